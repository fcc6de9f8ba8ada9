"""`outbox`: what waits, is held or was rejected, listed, sent again, or dropped for good."""

import contextlib
import os
import pty
import re
import signal
import subprocess
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from planting import opened
from rig import faults
from surroundings import BUSY_SECONDS
from terminal import begun_on_terminal, on_terminal
from world import Child, Closing, Ran, World, on_post

from clio_broadly_sync.store import locked

FEW = {"SYNC_MAX_NEW": "2"}


def _dead(world: World) -> Closing:
    """Close a matter whose client Broadly rejects, until it takes everybody again."""
    closing = world.closing()
    world.broadly.rule("rejected", error={"code": "bad_email"})
    assert world.sync().code == 65
    world.broadly.clear_rules()
    return closing


def _held(world: World) -> Closing:
    """Close a matter of which nobody knows whether Broadly took its client; the pause is over."""
    closing = world.closing()
    world.broadly.faults.add(faults.drop())
    assert world.sync(BROADLY_DEDUPES="false").code == 65
    assert world.ledger()[closing.matter].state == "held"
    world.later(minutes=61)
    return closing


def _surge(world: World, number: int = 3) -> list[int]:
    matters = world.closings(number)
    assert world.sync(**FEW).code == 65
    return matters


def _in_doubt(world: World) -> list[int]:
    """Kill a run in its POST; return its closings."""
    matters = world.closings(2)
    started: Queue[Child] = Queue()
    world.broadly.before = on_post(lambda: _kill(started.get(timeout=BUSY_SECONDS)))
    child = world.start(["sync"], {})
    started.put(child)
    assert world.finish(child).code == -signal.SIGKILL
    world.broadly.before = None
    world.forget()
    return matters


def _kill(child: Child) -> None:
    child.kill()
    child.wait(BUSY_SECONDS)


def _outbox(world: World, *arguments: str, **settings: str | None) -> Ran:
    return world.run("outbox", *arguments, **settings)


def _listed(world: World, *arguments: str) -> dict[int, dict[str, Any]]:
    """Return what is listed, by matter."""
    ran = _outbox(world, "list", "--json", *arguments)
    assert ran.code == 0
    assert ran.json["command"] == "outbox list"
    return {row["matter_id"]: row for row in ran.json["rows"]}


def _runs(world: World) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.run("status", "--json").json["runs"]
    return found


def _state(world: World, matter: int) -> tuple[str, str | None]:
    row = world.ledger()[matter]
    return row.state, row.reason


# Listed.


def test_list_is_narrowed(world: World) -> None:
    """By matter, state, reason, batch and command; several of them together mean all."""
    dead, held = _dead(world).matter, _held(world).matter
    waiting = _surge(world)
    everything = {dead, held, *waiting}
    for arguments, found in (
        ([], everything),
        ([str(dead), str(waiting[0])], {dead, waiting[0]}),
        (["--state", "held"], {held}),
        (["--state", "rejected"], {dead}),
        (["--state", "dead"], {dead}),
        (["--state", "waiting"], set(waiting)),
        (["--reason", "surge"], set(waiting)),
        (["--batch", "2.1"], {dead}),
        (["--batch", "2.2"], set()),
        (["--command", "sync"], everything),
        (["--command", "backfill"], set()),
        (["--state", "dead", str(held)], set()),
    ):
        assert _listed(world, *arguments).keys() == found, arguments


def test_list_for_a_person(world: World) -> None:
    """On a terminal no line is wider than it, and what is left out is named."""
    dead = _dead(world).matter
    for columns in (60, 200):
        titles, row, *rest = on_terminal(world, "outbox", "list", columns=columns).out.splitlines()
        assert max(len(titles), len(row)) <= columns
        assert row.startswith(str(dead))
        assert {"closed on", "state", "reason"} <= {*re.split(" {2,}", titles)}
        assert ("code" in titles, rest == []) == (columns == 200, columns == 200)


def test_list_writes_nothing_and_waits_for_nobody(world: World) -> None:
    """While another run is at work, and before the first one; the state is left byte for byte."""
    _dead(world)
    with locked(world.state):
        before = world.files()
        assert len(_listed(world)) == 1
        assert world.files() == before
    elsewhere = str(world.folder / "none" / "state.db")
    ran = _outbox(world, "list", SYNC_STATE=elsewhere)
    assert (ran.code, ran.out) == (0, "The outbox is empty.\n")
    assert not Path(elsewhere).parent.exists()


def test_list_of_a_state_that_is_damaged(world: World) -> None:
    """That is found at its second row: one object all the same, and its outcome is true."""
    whole, damaged = _dead(world).matter, _dead(world).matter
    change = "UPDATE closings SET rule = 'none', noticed_at = noticed_at + 1 WHERE matter_id = ?"
    with opened(world.state) as database:
        database.execute(change, (damaged,))
    ran = _outbox(world, "list", "--json")
    assert (ran.code, ran.json["outcome"]) == (74, "storage")
    assert [row["matter_id"] for row in ran.json["rows"]] == [whole]


# Sent again.


@pytest.mark.parametrize("dedupes", [True, False])
def test_resent_dead_one_goes_with_the_next_sync(world: World, dedupes: bool) -> None:
    """Rejected for its address, mended, resent: once, however often it is resent."""
    world.dedupes(dedupes)
    dead = _dead(world)
    assert world.sync("--json").delivery == {}
    for changed in (1, 0):
        ran = _outbox(world, "resend", str(dead.matter), "--yes", "--json")
        assert (ran.code, ran.json["changed"]) == (0, changed)
    assert world.posts == [[dead.matter]]
    assert world.sync("--json").delivery == {"sent": 1}
    ran = _outbox(world, "resend", "--all", "--yes")
    assert (ran.code, ran.out) == (0, "Nothing was changed: nothing in the outbox fits.\n")
    assert world.sync("--json").delivery == {}
    assert world.asked == [dead.matter]


# Asked first, alone at work, told what was left.


@pytest.mark.parametrize("verb", ["resend", "drop"])
def test_matters_that_are_not_there(world: World, verb: str) -> None:
    """Mistyped, or handed over: each is named, and nothing is changed, of the others neither."""
    sent = world.closing().matter
    assert world.sync().code == 0
    dead = _dead(world).matter
    before = world.rows(), _runs(world)
    for matters, absent in (
        ((dead, sent, 5443), f"{sent}, 5443"),
        ((5443, 5442, 5443), "5443, 5442"),
    ):
        ran = _outbox(world, verb, *map(str, matters), "--yes", "--json")
        assert (ran.code, ran.out) == (2, "")
        assert f": Not in the outbox: {absent}. " in ran.err
    assert (world.rows(), _runs(world)) == before


def test_matter_with_another_closing_that_was_sent(world: World) -> None:
    """One of its closings is there, which is enough."""
    matter = world.closing().matter
    assert world.sync().code == 0
    world.later(days=31)
    world.firm.reopen(matter)
    world.firm.close(matter)
    assert world.sync("--limit", "0", SYNC_REASK_DAYS="0").code == 65
    assert _outbox(world, "drop", str(matter), "--yes").out.endswith("1 left out for good.\n")
    assert sorted(row.state for row in world.rows()) == ["sent", "skipped"]


@pytest.mark.parametrize(("answer", "state"), [("y", "pending"), ("n", "dead"), ("\x04", "dead")])
def test_asks_on_a_terminal(world: World, answer: str, state: str) -> None:
    """How many first, then the question; a no, or the end of the input, changes nothing."""
    dead = _dead(world)
    ran = on_terminal(world, "outbox", "resend", "--all", answers={"again?": answer})
    assert ran.code == 0
    assert ran.out.index("To be sent again: 1 rejected.") < ran.out.index("again?")
    assert ("Nothing was changed." in ran.out) is (state == "dead")
    assert world.ledger()[dead.matter].state == state


def test_who_is_asked_reads_what_it_is_about(world: World) -> None:
    """Also where the results go to a file: what comes before the question goes where it goes."""
    _held(world)
    ours, theirs = pty.openpty()
    os.write(ours, b"y\n")
    ran = world.finish(world.start(["outbox", "resend", "--all"], {}, stdin=theirs))
    os.close(ours)
    os.close(theirs)
    assert ran.err.index("may already have been asked") < ran.err.index("again?")
    assert ran.out == "1 will be sent again by the next `sync`.\n"


def test_interrupted_at_the_question(world: World) -> None:
    """Ctrl-C: 130, and nothing is changed."""
    dead = _dead(world)
    with begun_on_terminal(world, "outbox", "drop", "--all") as run:
        run.until("for good? ")
        for _ in range(20):  # one that comes just before the read is noticed only after it
            run.child.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                run.child.wait(1)
                break
        assert run.end().code == 130
    assert world.ledger()[dead.matter].state == "dead"


@pytest.mark.parametrize("dedupes", [True, False])
def test_what_a_killed_run_left_is_put_right_first(world: World, dedupes: bool) -> None:
    """Found sending: in doubt, so it can be chosen like all others; 65 where it became held."""
    world.dedupes(dedupes)
    matters = _in_doubt(world)
    ran = _outbox(world, "drop", *map(str, matters), "--batch", "2.1", "--yes", "--json")
    assert ran.code == (0 if dedupes else 65)
    assert ("2 became held" in ran.err) is not dedupes
    assert ran.json["found"] == {"waiting": 2 * dedupes, "held": 2 * (not dedupes), "dead": 0}
    assert ran.json["changed"] == 2
    assert [_state(world, matter) for matter in matters] == [("skipped", "dropped")] * 2
    assert world.sync("--json").delivery == {}


def test_resend_leaves_what_nobody_had_seen(world: World) -> None:
    """What a killed run left became held just now: a `--yes` from before cannot have meant it."""
    held = _held(world)
    world.closing()
    assert world.sync("--json").delivery == {"sent": 1}  # so that two go at once again
    matters = _in_doubt(world)
    ran = _outbox(world, "resend", "--all", "--yes", "--json")
    assert (ran.code, ran.json["changed"], ran.json["found"]["held"]) == (65, 0, 3)
    assert {_state(world, m) for m in (held.matter, *matters)} == {("held", "unknown_outcome")}
    ran = _outbox(world, "resend", "--all", "--yes", "--json")
    assert (ran.code, ran.json["changed"]) == (0, 3)


def test_resend_asks_about_what_a_killed_run_left(world: World) -> None:
    """Who is asked sees how many became held, and answers for them."""
    _in_doubt(world)
    ran = on_terminal(world, "outbox", "resend", "--all", answers={"again?": "y"})
    assert "2 became held just now" in ran.out
    assert {row.state for row in world.rows()} == {"pending"}
