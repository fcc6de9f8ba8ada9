"""Killed, interrupted, or run side by side: nobody is asked twice, and nobody is lost."""

import os
import signal
import threading
from collections.abc import Callable

import pytest
from rig import faults
from surroundings import BUSY_SECONDS
from terminal import on_terminal
from world import Ran, World, on_post

CODES = {signal.SIGTERM: 143, signal.SIGINT: 130}


def _signalled(
    world: World, number: signal.Signals, *arguments: str, hook: str, server: str = "broadly"
) -> Ran:
    """Run, and send the signal when the server has the first request of its kind."""
    pid: list[int] = []
    known = threading.Event()

    def send() -> None:
        assert known.wait(BUSY_SECONDS)
        os.kill(pid[0], number)
        if number is signal.SIGKILL:
            assert _gone(child.wait)

    peer = world.broadly if server == "broadly" else world.clio
    setattr(peer, hook, on_post(send))
    child = world.start(arguments, {"BROADLY_BATCH_SIZE": "2"})
    pid.append(child.pid)
    known.set()
    ran = world.finish(child)
    setattr(peer, hook, None)
    return ran


def _gone(wait: Callable[..., int]) -> bool:
    return wait(timeout=BUSY_SECONDS) != 0


@pytest.mark.parametrize(("number", "dedupes"), [(signal.SIGTERM, False), (signal.SIGINT, True)])
def test_post_in_flight_is_settled_first(
    world: World, number: signal.Signals, dedupes: bool
) -> None:
    """Its receipts are written, no other POST begins, and the next run completes."""
    world.dedupes(dedupes)
    matters = world.closings(5)
    ran = _signalled(world, number, "sync", "--json", "-v", hook="working")
    assert (ran.code, ran.delivery) == (CODES[number], {"sent": 2, "waiting": 3})
    assert world.posts == [matters[:2]]
    assert [row.state for row in world.rows()] == ["sent"] * 2 + ["pending"] * 3
    assert world.sync("--json").delivery == {"sent": 3}
    assert world.asked == matters


@pytest.mark.parametrize("command", ["sync", "backfill"])
def test_interrupted_dry_run(world: World, command: str) -> None:
    """It ends at the request in which the signal comes, and has written nothing."""
    world.closings(2)
    span = ["--from", str(world.day(9)), "--to", str(world.day())] * (command == "backfill")
    before = world.files()
    ran = _signalled(
        world, signal.SIGTERM, command, *span, "--dry-run", "--json", hook="before", server="clio"
    )
    assert (ran.code, world.files()) == (143, before)


def _killed_in_a_post(world: World, *, taken: bool) -> list[int]:
    """Kill a run in its first POST, which Broadly took or did not; return all the closings."""
    matters = world.closings(4)
    if not taken:
        world.broadly.faults.add(faults.drop())
    ran = _signalled(world, signal.SIGKILL, "sync", hook="after" if taken else "before")
    assert ran.code == -signal.SIGKILL
    assert world.asked == (matters[:2] if taken else [])
    return matters


@pytest.mark.parametrize("taken", [True, False])
def test_killed_in_the_middle_of_a_post_is_held(world: World, taken: bool) -> None:
    """Taken or not, nobody knows: held, and a dry run says so before."""
    matters = _killed_in_a_post(world, taken=taken)
    assert [row.state for row in world.rows()] == ["sending"] * 2 + ["pending"] * 2
    dry = world.sync("--dry-run", "--json")
    ran = world.sync("--json", "-v")
    assert (ran.code, ran.delivery) == (65, {"sent": 2, "held": 2})
    assert dry.code == 65
    assert dry.json["decisions"] == ran.json["decisions"]
    assert {m: world.ledger()[m].state for m in matters[:2]} == dict.fromkeys(matters[:2], "held")
    assert world.asked == (matters if taken else matters[2:])


def test_second_run_at_once_is_busy(world: World) -> None:
    """75 without a request, whichever command; the first one goes on undisturbed."""
    matter = world.closing().matter
    seen: list[Ran] = []

    def second(request: object) -> None:
        world.broadly.working = None
        before = len(world.clio.history)
        seen.append(world.sync("--json"))
        seen.append(world.backfill(world.day(9), world.day(), "--yes", "--json"))
        seen.append(world.check("--accept"))
        assert len(world.clio.history) == before

    world.broadly.working = second
    assert world.sync("--json").delivery == {"sent": 1}
    assert [ran.code for ran in seen] == [75, 75, 75]
    assert all("run" in ran.err for ran in seen)
    assert world.asked == [matter]


@pytest.mark.parametrize("refused", [False, True])
def test_signal_during_the_very_last_post(world: World, refused: bool) -> None:
    """143, though nothing more was to be done; a refused key is told all the same."""
    world.closing()
    if refused:
        world.broadly.faults.add(faults.answer(401))
    ran = _signalled(world, signal.SIGTERM, "sync", "--json", hook="before")
    assert (ran.code, ran.delivery) == (143, {"waiting": 1} if refused else {"sent": 1})
    assert [row.state for row in world.rows()] == ["pending" if refused else "sent"]
    assert ("Broadly refuses the sign-in or key (401)" in ran.err) is refused


def test_ctrl_c_in_the_demo(world: World) -> None:
    """130 as everywhere, and the same sentence: it notes no signals itself, and is no bug (1)."""
    step = {"1. The first sync": ""}
    ran = on_terminal(world, "demo", answers=step, signalled=signal.SIGINT)
    assert ran.code == 130
    assert "\nclio-broadly-sync: Interrupted; nothing is half done" in ran.out
    assert "Aborted" not in ran.out
