"""A run that holds the state and does nothing: who it is, and when and to whom that is said.

It is stopped, as by Ctrl-Z, and time passes by what the kernel notes of the state's files.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import signing
from pinged import Pinged
from rig import faults
from terminal import begun_on_terminal
from world import Child, Ran, World, on_post

HOST = os.uname().nodename
HOUR = 3600
LONG = 3 * HOUR
"""Longer than any run leaves the state as it is."""


def _written(world: World, ago: float, *names: str) -> None:
    """Let nothing have been written beside the state for so many seconds; or not to these."""
    folder = world.state.parent
    files = [folder / name for name in names] or [*folder.glob("state.db*")]
    for file in files:
        os.utime(file, (time.time() - ago,) * 2)


@contextmanager
def _stopped(world: World, ago: float) -> Iterator[Child]:
    """Let a run be stopped in its POST, so long ago; end it in the end."""
    world.closing()
    with _begun(world) as child:
        os.kill(child.pid, signal.SIGSTOP)
        _written(world, ago)
        yield child


@contextmanager
def _begun(world: World) -> Iterator[Child]:
    """Let a run come as far as its POST, which gets no answer before the end."""
    read, write = os.pipe()
    waits, goes_on = os.pipe()

    def hold(*_: object) -> None:
        os.write(write, b".")
        os.read(waits, 1)

    world.broadly.before = hold
    child = world.start(["sync"], {})
    os.read(read, 1)
    world.broadly.before = None
    try:
        yield child
    finally:
        child.kill()
        os.write(goes_on, b".")
        for end in (read, write, waits, goes_on):
            os.close(end)
        world.finish(child)


def _status(world: World) -> tuple[int, dict[str, Any]]:
    ran = world.run("status", "--json")
    return ran.code, ran.json


def _telling(runs: list[Ran]) -> list[bool]:
    assert [(ran.code, ran.out) for ran in runs] == [(75, "")] * len(runs)
    return [bool(ran.err) for ran in runs]


def test_it_is_told_once_a_day(punctual: World) -> None:
    """With who it is; in the words of one line."""
    world = punctual
    with _stopped(world, LONG) as child:
        runs = [world.sync() for _ in range(3)]
        assert _telling(runs) == [True, False, False]
        said = runs[0].err
        assert said.startswith(f"clio-broadly-sync: `sync` (process {child.pid} on {HOST}) has ")
        assert said.endswith("the next run puts in order what it left.\n")
        assert (said.count("\n"), f"`kill -9 {child.pid}`" in said) == (1, True)
        world.later(hours=24)
        _written(world, 27 * HOUR)
        again = [world.sync() for _ in range(2)]
        assert (_telling(again), again[0].err) == ([True, False], said)
        assert world.sync("-v").err.count("has held this state") == 1


@pytest.mark.parametrize("end", ["clio", "broadly"])
def test_one_that_waits_shows_that_it_goes_on(world: World, end: str) -> None:
    """A backfill may wait an hour for each request, several times in a row."""
    day = world.day(400)
    world.closing(on=day)
    side = getattr(world, end)

    def busy(request: object) -> None:
        side.before = None
        _written(world, LONG, "state.db.lock")
        side.faults.add(faults.answer(503, headers={"Retry-After": "3000"}))

    side.before = busy
    assert world.backfill(day, day, "--yes", NO_WAITS="1").code == 0
    assert len(world.asked) == 1
    assert time.time() - (world.state.parent / "state.db.lock").stat().st_mtime < HOUR


def test_status_names_it(punctual: World) -> None:
    """65 and what to do; cron is not said to be silent, and once it is killed nobody is named."""
    world = punctual
    world.later(hours=3)
    with _stopped(world, LONG) as child:
        world.later(hours=3)
        _written(world, LONG)
        code, found = _status(world)
        running = found["running"]
        assert (code, found["outcome"], found["cron_seems_to_run"]) == (65, "attention", None)
        assert (running["command"], running["pid"], running["host"]) == ("sync", child.pid, HOST)
        assert running["since"] <= found["last_sync"]
        assert LONG <= running["quiet_seconds"] < LONG + 600
        shown = world.run("status")
        assert (shown.code, f"process {child.pid} on {HOST}" in shown.out) == (65, True)
        assert f"→ end it with `kill -9 {child.pid}`" in shown.out
        assert "Cron" not in shown.out
        assert "at work" in shown.out
    code, found = _status(world)
    assert (found["running"], found["cron_seems_to_run"]) == (None, False)


def test_check_warns_of_it(world: World) -> None:
    """Which is no failure of the settings; and one that works is none at all."""
    with _stopped(world, LONG):
        (told,) = _about_the_lock(world.check("--json"))
        assert (told["level"], told["exit_code"]) == ("warning", None)
        assert told["says"].startswith("`sync` (process ")
        _written(world, 0)
        assert _about_the_lock(world.check("--json")) == []


def _about_the_lock(ran: Ran) -> list[dict[str, Any]]:
    return [finding for finding in ran.json["findings"] if finding["about"] == "lock"]


def test_monitor_gets_it_each_time(world: World) -> None:
    """The exit code and the sentence, whatever is mailed."""
    with Pinged() as pinged, _stopped(world, LONG):
        for _ in range(2):
            world.sync(PING_URL=pinged.address)
        assert [end for end, _ in pinged.told] == ["/start", "/75"] * 2
        assert ["has held this state" in text for _, text in pinged.told] == [False, True] * 2


def test_it_goes_on_after_all(world: World) -> None:
    """Woken up, it sends its clients and comes to its end; that it hung is forgotten."""
    matters = world.closings(2)
    children: list[Child] = []
    seen: list[Ran] = []

    def stop() -> None:
        os.kill(children[0].pid, signal.SIGSTOP)
        _written(world, LONG)
        seen.append(world.sync())
        os.kill(children[0].pid, signal.SIGCONT)

    world.broadly.before = on_post(stop)
    children.append(world.start(["sync"], {}))
    assert world.finish(children[0]).code == 0
    assert (_telling(seen), world.asked) == ([True], matters)
    assert not world.state.with_name("state.db.told").exists()
    assert _status(world)[1]["running"] is None


def test_it_is_killed_as_advised(world: World) -> None:
    """The next run puts in order what it left, and says so; that it hung is forgotten."""
    with _stopped(world, LONG):
        assert _telling([world.sync()]) == [True]
    told = world.state.with_name("state.db.told")
    assert told.exists()
    assert [world.sync().code for _ in range(2)] == [65, 0]
    assert not told.exists()


def test_a_command_that_waits_for_an_answer(world: World) -> None:
    """By its name, without what was typed after it."""
    world.broadly.rule("rejected")
    world.closing()
    assert world.sync().code == 65
    with begun_on_terminal(world, "outbox", "drop", "--all") as run:
        run.until("for good?")
        assert _status(world)[1]["running"]["command"] == "outbox drop"
        _written(world, LONG)
        assert "`outbox drop` (process " in world.sync().err
        run.type("n")
        assert run.end().code == 0


def test_a_sign_in_that_waits_for_the_browser(world: World) -> None:
    """There is no run in the list, and yet somebody is named."""
    signing.by_login(world)
    child, url = signing.started(world)
    code, found = _status(world)
    assert (code, found["at_work"]) == (0, False)
    assert (found["running"]["command"], found["running"]["pid"]) == ("login", child.pid)
    signing.go(signing.allow(url))
    assert world.finish(child).code == 0
    assert _status(world)[1]["running"] is None


LOOKS: list[Callable[[World], Ran]] = [
    lambda world: world.sync("--dry-run"),
    lambda world: world.run("outbox", "list"),
    lambda world: world.run("verify"),
]


@pytest.mark.parametrize("look", LOOKS, ids=["dry run", "outbox", "verify"])
def test_looking_is_possible_all_the_same(world: World, look: Callable[[World], Ran]) -> None:
    """Nothing that only reads minds who holds the lock."""
    with _stopped(world, LONG):
        before = world.files()
        assert look(world).code == 0
        assert world.files() == before
