"""`schedule`: what is printed means the same words to cron, to a shell and to systemd."""

import os
import re
import shlex
import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from golden_files import Golden

from clio_broadly_sync.cli import schedule
from clio_broadly_sync.cli.main import cli
from clio_broadly_sync.cli.schedule import Place
from clio_broadly_sync.domain.errors import ConfigError
from clio_broadly_sync.settings import Settings, load_settings

AWKWARD = "the 100%n of 'a' \"b\" $HOME & <user>; #1"
CRON = Path(__file__).parents[2] / "cron"
SETTINGS = "SYNC_RULE=both\nBROADLY_PROFILE=csv\n"


def settings_in(folder: Path, more: str = "") -> Settings:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.env").write_text(SETTINGS + more)
    return load_settings(folder / "config.env", {}, folder)


def place_in(folder: Path, more: str = "") -> Place:
    settings = settings_in(folder, more)
    program = folder.with_name("100%n $HOME") / "program"  # systemd takes no quotes in this one
    return Place([str(program)], folder / "config.env", "office", settings)


@pytest.fixture
def awkward(tmp_path: Path) -> Place:
    """A place whose folder has every sign that means something to somebody."""
    return place_in(tmp_path / AWKWARD)


def usual() -> Place:
    """The place of the README, which need not be there."""
    settings = Settings(
        sync_rule="both", sync_state=Path("/var/lib/clio-broadly-sync/state/state.db")
    )  # type: ignore[arg-type]
    program = "/opt/clio-broadly-sync/bin/clio-broadly-sync"
    return Place([program], Path("/var/lib/clio-broadly-sync/config.env"), "clio-sync", settings)


def test_cron_holds_what_is_printed(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder `cron/` is for whoever reads before they install; `--update` writes it anew."""
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    held = Golden(CRON, update=request.config.getoption("--update"), suffix="")
    made = {
        "crontab.example": schedule.crontab(usual()),
        **schedule.units(usual(), "clio-broadly-sync"),
    }
    for name, text in made.items():
        held(name, text)
    assert {file.name for file in CRON.iterdir()} == made.keys()


@pytest.mark.parametrize(
    ("release", "says"), [("5.15.167.4-microsoft-standard-WSL2", True), ("6.1.0-31-amd64", False)]
)
def test_windows_ends_what_is_scheduled_in_wsl(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release: str, says: bool
) -> None:
    """There the lines are printed all the same: some keep a window open."""
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(release=release))
    settings_in(tmp_path)
    ran = CliRunner().invoke(cli, ["--config", str(tmp_path / "config.env"), "schedule", "cron"])
    assert (ran.exit_code, "*/15" in ran.stdout) == (0, True)
    assert ("Windows ends WSL soon" in ran.stderr) == says


# Cron


def commands_of(crontab: str) -> list[str]:
    """Return what cron passes to a shell: all after five fields, with % for each escaped one."""
    lines = [line for line in crontab.splitlines() if line and not line.startswith("#")]
    commands = [line.split(maxsplit=5)[5] for line in lines]
    assert not any(re.search(r"(?<!\\)%", command) for command in commands)
    return [command.replace("\\%", "%") for command in commands]


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "-c", command], capture_output=True, text=True, cwd=folder)


def a_program(place: Place, *, ends: int) -> None:
    """Put a program there that prints the words that it gets, one a line."""
    program = Path(place.program[0])
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@"\nexit {ends}\n')
    program.chmod(0o700)


@pytest.mark.parametrize("has_timeout", [True, False])
def test_lines_say_to_a_shell_what_is_meant(
    awkward: Place, tmp_path: Path, has_timeout: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """macOS has no `timeout`. The weekly look prints only where something is wrong."""
    if not has_timeout:
        monkeypatch.setattr(shutil, "which", lambda name: None)
    a_program(awkward, ends=65)
    sync, verify = commands_of(schedule.crontab(awkward))
    assert ("timeout -k" in sync) is has_timeout
    said = [shell(command, tmp_path) for command in (sync, verify)]
    config = f"--config\n{awkward.config}\n"
    assert said[0].stdout == f"{config}sync\n"
    assert said[1].stdout == f"{config}verify\n--against-clio\n35\n"
    assert (said[0].returncode, said[0].stderr, said[1].stderr) == (65, "", "")


def test_weekly_look_that_finds_nothing_is_silent(awkward: Place, tmp_path: Path) -> None:
    a_program(awkward, ends=0)
    _, verify = commands_of(schedule.crontab(awkward))
    assert shell(verify, tmp_path).stdout == ""


@pytest.mark.parametrize("sign", ["\\", "\n", "\x7f"])
def test_what_cannot_stand_in_a_crontab(tmp_path: Path, sign: str) -> None:
    """A backslash before a % means one thing to one cron and another to the next."""
    place = place_in(tmp_path)._replace(config=Path(f"/srv/a{sign}b/config.env"))
    with pytest.raises(ConfigError, match="give that folder another name"):
        schedule.crontab(place)


def test_weekly_look_reaches_further_than_the_oldest_that_is_sent(tmp_path: Path) -> None:
    for setting, days in (("7", "35"), ("60", "65"), ("36500", "3650")):
        place = place_in(tmp_path / setting, f"SYNC_MAX_AGE_DAYS={setting}\n")
        assert place.verify[-1] == days


# Systemd


class Unit(ConfigParser):
    """A unit file, in which names have capitals and a name may occur twice."""

    def __init__(self, text: str) -> None:
        super().__init__(strict=False, interpolation=None)
        self.read_string(text.replace("\\\n", " "))

    def optionxform(self, optionstr: str) -> str:
        return optionstr


def words_of(line: str, *, variables: bool = True) -> list[str]:
    """Return the words that systemd reads (systemd.syntax, systemd.service: quotes, C escapes,
    specifiers, variables); fail where it would put something else in their place."""
    found = []
    for word in shlex.split(line):
        assert not re.search("%(?!%)", word.replace("%%", ""))
        word = word.replace("%%", "%")
        if variables and found:
            assert "$" not in word.replace("$$", "")
            word = word.replace("$$", "$")
        found.append(word)
    return found


def test_units_say_to_systemd_what_is_meant(awkward: Place) -> None:
    """The words of the command, and the folder that it may write to."""
    made = schedule.units(awkward, "office")
    for name, command in (("office", ["sync"]), ("office-verify", [*awkward.verify])):
        unit = Unit(made[f"{name}.service"])
        assert words_of(unit["Service"]["ExecStart"]) == awkward.words(*command)
        folder = words_of(unit["Service"]["ReadWritePaths"], variables=False)
        assert folder == [str(awkward.settings.sync_state.parent)]
        assert unit["Service"]["User"] == "office"
        assert unit["Unit"]["OnFailure"] == "office-failed@%N.service"
        assert Unit(made[f"{name}.timer"])["Install"]["WantedBy"] == "timers.target"
    assert "office-failed@.service" in made


def test_what_waits_for_a_person_is_no_failure_of_sync_alone(awkward: Place) -> None:
    """Of the weekly look nobody else tells."""
    made = schedule.units(awkward, "office")
    assert Unit(made["office.service"])["Service"]["SuccessExitStatus"] == "65 69 75"
    assert "SuccessExitStatus" not in Unit(made["office-verify.service"])["Service"]


def test_systemd_takes_them(tmp_path: Path, awkward: Place) -> None:
    """Its own judge finds nothing, where there is one."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze on this machine")
    a_program(awkward, ends=0)
    made = schedule.units(awkward._replace(user="root"), "office")
    for unit, text in made.items():
        (tmp_path / unit).write_text(text)
    files = [str(tmp_path / unit) for unit in made]
    ran = subprocess.run([analyze, "verify", *files], capture_output=True, text=True)
    said = [line for line in ran.stderr.splitlines() if "office" in line]
    assert not said
    assert ran.returncode == 0


@pytest.mark.parametrize(
    "change", [{"config": Path("/srv/a\nb/config.env")}, {"program": ["/opt/office's/program"]}]
)
def test_what_cannot_stand_in_a_unit(tmp_path: Path, change: Any) -> None:
    with pytest.raises(ConfigError, match="give that folder another name"):
        schedule.units(place_in(tmp_path)._replace(**change), "office")


# The unit that tells


@pytest.fixture
def tells(tmp_path: Path) -> Path:
    """A folder with programs in systemd's place, for the script of the unit that tells."""
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


def put(folder: Path, program: str, script: str) -> None:
    (folder / program).write_text(f"#!/bin/sh\n{script}\n")
    (folder / program).chmod(0o700)


def told(folder: Path, result: str, said: str, *, mail: bool = True) -> str:
    """Let a run have ended so and have said this; return what somebody is told, by `mail` or by a
    line on the terminals."""
    (folder / "told").unlink(missing_ok=True)
    put(folder, "systemctl", f'case "$*" in *Result*) echo {result};; *) echo 4711;; esac')
    put(folder, "journalctl", f"case \"$*\" in *=4711) printf %s '{said}';; esac")
    for program in ("sendmail", "wall"):
        put(folder, program, f'echo "{program} $*" > "{folder}/told"; cat >> "{folder}/told"')
    if not mail:
        (folder / "sendmail").unlink()
    for program in ("uname", "cat"):
        (folder / program).unlink(missing_ok=True)
        (folder / program).symlink_to(shutil.which(program) or "")
    line = Unit(schedule.units(usual(), "office")["office-failed@.service"])["Service"]["ExecStart"]
    _, _, script, *rest = words_of(line.replace("%i", "office"))
    environment = {"PATH": str(folder), "MAILTO": "root"}
    subprocess.run(["/bin/sh", "-c", script, *rest], env=environment, check=True)
    return (folder / "told").read_text() if (folder / "told").exists() else ""


def test_what_a_run_said_is_mailed(tells: Path) -> None:
    """To root; where there is no mail, to whoever is logged in."""
    by_mail = told(tells, "exit-code", "Clio refuses the sign-in.")
    assert by_mail.startswith("sendmail root\nSubject: office failed on ")
    assert by_mail.endswith(": exit-code\n\nClio refuses the sign-in.\n")
    assert told(tells, "exit-code", "It failed.", mail=False).startswith("wall \nSubject: office")


def test_what_it_does_not_say_again_is_no_mail(tells: Path) -> None:
    """Unless it was killed, and could say nothing."""
    assert told(tells, "exit-code", "") == ""
    assert "timeout" in told(tells, "timeout", "")
