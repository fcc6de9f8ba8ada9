"""`schedule`: its line run as cron runs it, its files where they belong, and what it lacks."""

import os
import subprocess
from pathlib import Path

import pytest
from world import Ran, World

CRON = {"PATH": "/usr/bin:/bin", "SHELL": "/bin/sh", "LOGNAME": "office"}
"""About all that cron sets."""


@pytest.fixture
def file(world: World) -> Path:
    """A settings file in a folder with signs that mean something to cron and to a shell."""
    file = world.folder / "100% of 'a' $HOME" / "office.env"
    file.parent.mkdir()
    lines = (f"{name}={value}\n" for name, value in world.settings.items())
    file.write_text("".join(lines))
    file.chmod(0o600)
    return file


def scheduled(world: World, file: Path, *words: str, **settings: str) -> Ran:
    """Call `schedule` with nothing in the environment but these settings."""
    unset = dict.fromkeys(world.settings)
    return world.run("--config", str(file), "schedule", *words, **unset | settings)


def test_line_runs_from_cron(world: World, file: Path) -> None:
    """In the home folder, with next to no environment; a run that goes well mails nothing."""
    printed = scheduled(world, file, "cron")
    assert (printed.code, printed.err) == (0, "")
    lines = [line for line in printed.out.splitlines() if line[:1] not in ("", "#")]
    asked = world.closing().matter
    environment = CRON | {
        name: value
        for name, value in world._environment({}).items()
        if name.startswith(("PYTHON", "CLOCK", "HOME", "TMPDIR"))
    }
    for line in lines:
        command = line.split(maxsplit=5)[5].replace("\\%", "%")
        ran = subprocess.run(
            ["/bin/sh", "-c", command], env=environment, cwd=environment["HOME"],
            capture_output=True, text=True,
        )  # fmt: skip
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert world.asked == [asked]
    assert len(lines) == 2


def test_units_are_written_where_they_belong(world: World, file: Path) -> None:
    """All of them, for everybody to read, over those of before; it says what comes next."""
    folder = world.folder / "units"
    folder.mkdir()
    (folder / "office-b.service").write_text("of before")
    ran = scheduled(world, file, "systemd", "--name", "office-b", "--into", str(folder))
    assert (ran.code, ran.err) == (0, "")
    assert {one.name for one in folder.iterdir()} == {
        "office-b.service", "office-b.timer", "office-b-verify.service", "office-b-verify.timer",
        "office-b-failed@.service",
    }  # fmt: skip
    assert "of before" not in (folder / "office-b.service").read_text()
    assert "systemctl enable --now office-b.timer office-b-verify.timer" in ran.out
    printed = scheduled(world, file, "systemd", "--name", "office-b").out
    assert all(one.read_text() in printed for one in folder.iterdir())


def test_folder_that_cannot_be_written(world: World, file: Path) -> None:
    ran = scheduled(world, file, "systemd", "--into", str(file))
    assert (ran.code, ran.out) == (74, "")
    assert "Not a directory" in ran.err
    assert scheduled(world, file, "systemd", "--name", "a b").code == 2


def test_environment_is_not_seen_by_a_scheduled_run(world: World, file: Path) -> None:
    """What it sets beside the file is pointed out; what the file lacks is a problem of the file."""
    proxy = {"https_proxy": "http://me:s3cret@proxy.test:3128"}
    ran = scheduled(world, file, "cron", SYNC_MAX_NEW="7", **proxy)
    assert ran.code == 0
    assert f"This shell sets SYNC_MAX_NEW: put it into {file}" in ran.err
    assert "This shell sets https_proxy" in ran.err
    assert "s3cret" not in ran.out + ran.err
    file.write_text("SYNC_RULE=both\n")
    ran = scheduled(world, file, "cron", BROADLY_URL=world.broadly.endpoint)
    assert (ran.code, ran.out) == (78, "")
    assert "BROADLY_URL is not set" in ran.err
    assert "not this shell's environment" in ran.err
    file.unlink()
    assert scheduled(world, file, "systemd").code == 78


def test_before_the_first_run(fresh: World) -> None:
    """The state that the service may write to is not there yet."""
    file = fresh.folder / "config.env"
    file.write_text("SYNC_RULE=both\nBROADLY_PROFILE=csv\n")
    os.chmod(file, 0o600)
    ran = scheduled(fresh, file, "systemd")
    assert (ran.code, "the first `sync` by hand" in ran.err) == (0, True)


def test_state_that_cannot_even_be_looked_for(world: World, file: Path) -> None:
    """The lines are printed all the same, and nothing is said of what nobody could see."""
    hidden = str(world.folder / ("n" * 300) / "state.db")
    file.write_text(file.read_text().replace(world.settings["SYNC_STATE"], hidden))
    ran = scheduled(world, file, "cron")
    assert (ran.code, "by hand" in ran.err) == (0, False)
