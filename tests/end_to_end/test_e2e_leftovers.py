"""Settings that are not what the person typed: nothing is made of them, least of all a ledger."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from terminal import on_terminal
from world import World

LEFT = ['"{}"', "“{}”", "'{}", "$HOME{}", "%h{}", "file://{}", "SYNC_STATE={}", "{{{{ dir }}}}{}"]


@pytest.mark.parametrize("form", LEFT)
def test_path_that_nobody_can_have_meant_starts_no_ledger(world: World, form: str) -> None:
    """78, the setting is named, the quotes are, and no file or folder is made anywhere."""
    world.closing()
    before = sorted(world.folder.rglob("*"))
    for name in ("sync", "status", "check"):
        ran = world.run(name, SYNC_STATE=form.format(world.state))
        assert ran.code == 78
        assert "SYNC_STATE must be the path of a file" in ran.err + ran.out
        assert ("quotation marks" in ran.err + ran.out) == (form in LEFT[:3])
    assert sorted(world.folder.rglob("*")) == before
    assert (world.paths[2:], world.posts) == ([], [])


@pytest.mark.parametrize("value", ['"config.env"', "$HOME/config.env", "%h/config.env"])
def test_path_of_the_settings_file_that_nobody_can_have_meant(world: World, value: str) -> None:
    """The usual state beside it would be another ledger; `init` writes no such file either."""
    before = sorted(world.folder.rglob("*"))
    for command in ("init", "sync", "check"):
        for options, environ in (
            (["--config", value], {}),
            ([], {"CLIO_BROADLY_SYNC_CONFIG": value}),
        ):
            ran = world.run(*options, command, **{"SYNC_STATE": None, **environ})
            assert ran.code == 78, command
            assert (ran.out + ran.err).count("must be the path of a settings file") == 1
    assert sorted(world.folder.rglob("*")) == before


def _socket(place: Path) -> None:
    here = os.open(".", os.O_RDONLY)
    os.chdir(place.parent)  # the name of a socket has little room
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(place.name)
    finally:
        os.fchdir(here)
        os.close(here)


def _link_to_a_pipe(place: Path) -> None:
    os.mkfifo(place.with_name("pipe"))
    place.symlink_to("pipe")


NO_FILES: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "link to a pipe": _link_to_a_pipe,
    "socket": _socket,
    "nothing": lambda place: place.symlink_to("/dev/null"),
    "endless": lambda place: place.symlink_to("/dev/zero"),
    "stdin": lambda place: place.symlink_to("/dev/stdin"),
    "folder": Path.mkdir,
}


@pytest.mark.parametrize("kind", NO_FILES)
@pytest.mark.parametrize("command", ["sync", "check"])
def test_settings_file_that_is_none_is_refused_and_not_read(
    world: World, kind: str, command: str
) -> None:
    """A pipe would be waited for, and then be empty for the next; the advice fits what it is."""
    place = world.folder / "config.env"
    NO_FILES[kind](place)
    place.chmod(0o755) if kind == "folder" else None
    for options in ((), ("--config", str(place))):
        ran = world.run(*options, command, "-v")
        assert ran.code == 78
        said = ran.out + ran.err
        assert ("(Is a directory)" if kind == "folder" else "(it is a pipe or a device)") in said
        assert "chmod" not in said
    assert world.posts == []


AS_NOBODY = """
import os, sys
from clio_broadly_sync.cli import main
import clio_broadly_sync.cli.sync, clio_broadly_sync.cli.check.command
if os.geteuid() == 0:
    os.setgid(65534); os.setuid(65534)
sys.argv = ["clio-broadly-sync", *sys.argv[1:]]
main()
"""


@pytest.mark.parametrize("command", ["sync", "status", "check"])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("what", ["file", "folder"])
def test_settings_file_that_may_not_be_read(command: str, after: bool, what: str) -> None:
    """78 by either place of the option, and not the wrong usage that click makes of it."""
    with tempfile.TemporaryDirectory() as outside:
        Path(outside).chmod(0o755)
        place = Path(outside, "config.env")
        place.mkdir() if what == "folder" else place.write_text("SYNC_RULE=both\n")
        place.chmod(0)
        option = ["--config", str(place)]
        words = [command, *option] if after else [*option, command]
        ran = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, *words],
            capture_output=True,
            text=True,
            cwd=outside,
            env={"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(sys.path)},
            start_new_session=True,
        )
        place.chmod(0o700)
    said = ran.stdout + ran.stderr
    assert ran.returncode == 78, said
    if what == "folder":
        assert "(Is a directory): name a file in it with --config." in said
    else:
        assert "(Permission denied): run this as the user that owns it, or name another" in said
    assert "chmod" not in said


NEARLY = {"SYNC_REASK_DAY": "90"}
POINTED_OUT = "The environment sets SYNC_REASK_DAY, which is no setting: did you mean "
LOOKING = ("status", "outbox list", "explain --offline 1", "verify", "login", "logout", "init")


def test_name_that_is_nearly_ours_is_pointed_out_once_a_day(world: World) -> None:
    """By whichever command comes first; a success does not forget it, and another one is news."""
    world.later(seconds=max(0.0, (datetime.now(UTC) - world.firm.clock.now()).total_seconds()))
    for first, second in (("sync", "status"), ("status", "sync")):
        runs = [world.run(name, **NEARLY) for name in (first, second, "sync", "sync")]
        assert [POINTED_OUT in ran.err for ran in runs] == [True, False, False, False]
        assert [ran.code for ran in runs] == [0] * 4
        assert "SYNC_RUEL" in world.sync(SYNC_RUEL="both", **NEARLY).err
        world.later(hours=25)
    assert POINTED_OUT in world.sync(**NEARLY).err
    assert world.sync().err == ""


def test_name_that_is_nearly_ours_beside_a_setting_that_is_missing(world: World) -> None:
    """It may be the very one: both are said."""
    ran = world.sync(SYNC_RULE=None, SYNC_RUEL="both")
    assert ran.code == 78
    assert "SYNC_RULE is not set" in ran.err
    assert "sets SYNC_RUEL, which is no setting" in ran.err


@pytest.mark.parametrize("command", ["sync", "sync --dry-run", *LOOKING])
def test_name_that_is_nearly_ours_is_pointed_out_on_a_terminal(world: World, command: str) -> None:
    """By every command, each time it is run."""
    for _ in range(2):
        asked = {"CLIO_REGION [us]:": "us"} if command == "init" else {}
        signalled = signal.SIGINT if command == "init" else None
        words = command.split()
        ran = on_terminal(world, *words, answers=asked, signalled=signalled, columns=200, **NEARLY)
        assert " ".join(ran.out.split()).count(POINTED_OUT) == 1


def test_check_finds_a_name_that_is_nearly_ours(world: World) -> None:
    """A warning, once, wherever it is run; also where the settings are not in order."""
    for settings in (NEARLY, {**NEARLY, "SYNC_RULE": "perhaps"}):
        ran = world.check("--json", **settings)
        warned = [found for found in ran.json["findings"] if POINTED_OUT in found["says"]]
        assert [(found["about"], found["level"]) for found in warned] == [("settings", "warning")]
        assert ran.err == ""
        shown = on_terminal(world, "check", columns=200, **settings)
        assert " ".join(shown.out.split()).count(POINTED_OUT) == 1
