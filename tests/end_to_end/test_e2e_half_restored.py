"""A copy of the state laid beside the -wal of a killed run; and who opens the state's files."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import signing
from surroundings import BUSY_SECONDS
from world import PACKAGE, Child, Ran, World, on_post

WATCHED = {"PYTHONPATH": f"{Path(__file__).parent / 'watched_state'}:{PACKAGE}"}
ONE_BY_ONE = {"BROADLY_BATCH_SIZE": "1"}


def killed_at_post(world: World, number: int = 1) -> None:
    """Let a `sync` be killed while Broadly has its POST of this number."""
    children: list[Child] = []
    started = threading.Event()

    def kill() -> None:
        assert started.wait(BUSY_SECONDS)
        children[0].kill()
        children[0].wait(BUSY_SECONDS)

    world.broadly.before = on_post(kill, number=number)
    children.append(world.start(["sync"], ONE_BY_ONE))
    started.set()
    assert world.finish(children[0]).code == -signal.SIGKILL
    world.broadly.before = None
    with world.broadly.outage():
        pass  # whatever the server was still doing for it is done now


def lay_copy_beside(world: World, sent_since: int) -> list[int]:
    """Put a copy back beside the -wal of a killed run; return who was sent since the copy."""
    copy = world.state.read_bytes()
    since = world.closings(sent_since)
    assert world.sync("--yes").code == 0
    world.later(hours=1)
    world.closings(2)
    killed_at_post(world, 2)
    assert Path(f"{world.state}-wal").stat().st_size > 0
    world.state.write_bytes(copy)
    return since


REFUSED: dict[str, list[str]] = {
    "sync": ["sync"],
    "sync for a program": ["sync", "--json"],
    "dry run": ["sync", "--dry-run"],
    "backfill": ["backfill", "--from", "2099-11-01", "--to", "2099-11-20", "--yes"],
    "outbox": ["outbox", "drop", "--all", "--yes"],
    "login": ["login", "--paste"],
    "accept": ["check", "--accept"],
    "check": ["check"],
    "verify": ["verify"],
}


@pytest.mark.parametrize("sent_since", [1, 10])
def test_whoever_writes_or_checks_finds_it(world: World, sent_since: int) -> None:
    """74 in each command, one after the other; nobody is sent and no byte changes."""
    signing.by_login(world)
    world.settings["CLIO_ACCESS_TOKEN"] = world.clio.token
    lay_copy_beside(world, sent_since)
    world.forget()
    before = _without_locks(world)
    for name, arguments in REFUSED.items():
        ran = world.run(*arguments)
        assert (name, ran.code) == (name, 74)
        assert "state.db-wal and state.db-shm are moved away" in " ".join(
            (ran.out + ran.err).split()
        ), name
        assert _without_locks(world) == before, name
    assert world.posts == []


def _without_locks(world: World) -> dict[str, str]:
    return {
        name: digest
        for name, digest in world.files().items()
        if not name.endswith((".lock", ".told"))
    }


@pytest.mark.parametrize("command", [["sync", "--dry-run"], ["check"], ["verify"], ["logout"]])
def test_sign_in_that_has_ended_is_not_renewed(world: World, command: list[str]) -> None:
    """Its tokens would be written to what does not belong together, by whatever asks Clio."""
    signing.keep_sign_in(world)
    lay_copy_beside(world, 3)
    world.clio.oauth.expire()
    world.forget()
    before = _without_locks(world)
    options = ["--against-clio", "7"] if command == ["verify"] else []
    assert world.run(*command, *options).code == 74
    assert _without_locks(world) == before
    assert "/oauth/token" not in world.paths


def test_killed_run_alone_is_taken_up(world: World) -> None:
    """The same -wal beside its own file: the next run settles what was cut short."""
    world.closings(3)
    killed_at_post(world, 2)
    shutil.copy(world.state, world.folder / "copy")
    assert world.run("verify").code == 0
    assert world.run("check").code == 0
    assert world.sync("--dry-run").code in (0, 65)
    assert world.sync().code in (0, 65)
    assert world.run("verify").code == 0
    assert len(set(world.asked)) == len(world.asked)


# No code opens the state's files while it is connected.


def watched(world: World, *arguments: str, typed: str | None = None) -> Ran:
    """Run a command that would end with 99 if it opened such a file."""
    ran = world.finish(world.start(arguments, WATCHED), typed=typed)
    assert ran.code != 99, ran.err
    return ran


def _expired(world: World) -> None:
    world.clio.oauth.expire()


def _killed(world: World) -> None:
    world.closings(2)
    killed_at_post(world)


def _copied(world: World) -> None:
    _killed(world)
    Path(f"{world.state}-shm").unlink()


def _at_rest(world: World) -> None:
    world.closings(2)


COMMANDS = [
    ["sync", "-v"], ["sync", "--dry-run"], ["sync", "--json"], ["check"], ["check", "--accept"],
    ["status"], ["verify", "--against-clio", "7"], ["explain", "5001"], ["outbox", "list"],
    ["outbox", "drop", "--all", "--yes"], ["outbox", "resend", "--all", "--yes"],
    ["backfill", "--from", "2099-01-01", "--to", "2099-02-01", "--yes"], ["logout"],
]  # fmt: skip


@pytest.mark.parametrize("before", [_at_rest, _expired, _killed, _copied])
def test_no_command_opens_the_files_while_it_is_connected(
    world: World, before: Callable[[World], None]
) -> None:
    """After a run that ended or was killed, with a sign-in that lasts or has to be renewed."""
    world.clio.oauth.token_life = timedelta(days=30)
    for command in COMMANDS:
        signing.keep_sign_in(world)
        before(world)
        assert watched(world, *command).code in (0, 65, 77), command


def test_a_file_that_is_opened_while_connected_is_seen(world: World) -> None:
    """The watch itself: it ends a process that does it."""
    program = (
        "import sqlite3, sys; a = sqlite3.connect(sys.argv[1]); a.execute('SELECT 1');"
        "print(open(sys.argv[1] + sys.argv[2], 'ab'))"
    )
    for end in ("", "-wal", "-shm"):
        child = _python(program, str(world.state), end)
        assert child == 99, end
    assert _python(program, str(world.folder / "other.db"), ".lock") == 0


def _python(*arguments: str) -> int:
    environment = {**os.environ, **WATCHED}
    command = [sys.executable, "-c", *arguments]
    return subprocess.run(command, env=environment, capture_output=True).returncode
