"""What only looks: in a time that grows as the ledger does, and until a signal ends it."""

import select
import signal
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

import pytest
from planting import opened, sql
from world import PACKAGE, World

ENDLESS = Path(__file__).parent / "endless_state"
MANY = 10_000
CLIENT = 900_000_001
FIRST = 800_000_000
"""Ids beyond those of the practice Clio."""
CPU_SECONDS = 10.0
"""Five times of what is promised, for slower machines; what is not linear takes minutes."""
AT = 1_700_000_000
_ADD = """
    INSERT INTO closings (firm, number, matter_id, closed_on, contact_id, state, reason, command,
        rule, etag, noticed_at, read_at, read_in_run, changed_in_run, position, in_doubt, resent,
        approval, tries, claimed_at, claimed_in_run, changed_at, batch, updated_at)
    VALUES (1, ?, ?, ?, ?, ?, ?, 'sync', 'both', 'e', ?, ?, 1, 1, ?, 0, 0, 0, 0, ?, ?, ?, ?, ?)
"""
_CHANGE = """
    INSERT INTO changes (firm, closing, run, position, at, from_state, to_state, reason)
    VALUES (1, ?, 1, ?, ?, ?, ?, ?)
"""


def passed_over(world: World, keys: Iterable[tuple[int, str]], contact: int) -> None:
    """Let the ledger have closings of this contact, passed over one after the other; the first of
    them was sent, and so was every tenth."""
    rows, changes = [], []
    for n, key in enumerate(keys):
        sent = n % 10 == 0 and contact == CLIENT
        state, reason = ("sent", None) if sent else ("skipped", "asked_recently")
        claim = (AT + n, 1, AT + n, 1) if sent else (None, 0, AT + n, None)
        rows.append((FIRST + n, *key, contact, state, reason, AT + n, AT + n, n, *claim, AT))
        steps = ("pending", "sending", "sent") if sent else ("pending", "skipped")
        for position, (before, after) in enumerate(zip((None, *steps), steps, strict=False)):
            why = reason if after == state else None
            changes.append((FIRST + n, 4 * n + position, AT + n, before, after, why))
    with opened(world.state) as database:
        database.executemany(_ADD, rows)
        database.executemany(_CHANGE, changes)


def of_many_matters(number: int) -> list[tuple[int, str]]:
    return [(FIRST + n, "2026-01-01") for n in range(number)]


def of_many_dates(number: int) -> list[tuple[int, str]]:
    """The same matter under another close date each time."""
    return [(FIRST, str(date(1990, 1, 1) + timedelta(days=n))) for n in range(number)]


MANY_CLOSINGS: dict[str, tuple[Callable[[int], list[tuple[int, str]]], list[str]]] = {
    "of a client": (of_many_matters, ["--contact", str(CLIENT)]),
    "of a client, as JSON": (of_many_matters, ["--contact", str(CLIENT), "--json"]),
    "of a client, one matter": (of_many_dates, ["--contact", str(CLIENT)]),
    "of a matter": (of_many_dates, [str(FIRST)]),
}


@pytest.mark.parametrize("which", MANY_CLOSINGS)
def test_many_closings_are_explained_in_little_time(world: World, which: str) -> None:
    """10,000 of them, of which each was passed over for one of the others."""
    keys, asked = MANY_CLOSINGS[which]
    passed_over(world, keys(MANY), CLIENT)
    before = _cpu()
    ran = world.finish(world.start(["explain", "--offline", *asked], {}))
    assert _cpu() - before < CPU_SECONDS
    assert (ran.code, ran.err) == (0, "")
    of_each = len(ran.json["closings"]) if "--json" in asked else ran.out.count("  matter ")
    assert of_each == MANY


def test_address_is_asked_for_once(world: World) -> None:
    """Whatever the number of closings that were passed over for another contact's sake."""
    sent = world.closing(email="reception@example.com")
    assert world.sync().code == 0
    other = world.firm.add_contact(email="reception@example.com")
    passed_over(world, of_many_matters(300), other)
    sql(world.state, f"UPDATE changes SET at = at + 1000000000 WHERE closing >= {FIRST}")  # noqa: S608
    world.forget()
    ran = world.run("explain", "--contact", str(other))
    assert ran.code == 0
    assert ran.out.count(f"was sent to Broadly for matter {sent.matter}") == 300
    assert world.paths.count("contacts") == 1


def _cpu() -> float:
    used = getrusage(RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


LOOKING: dict[str, list[str]] = {
    "status": ["status"],
    "outbox": ["outbox", "list"],
    "explain": ["explain", "77", "--offline"],
    "explain --contact": ["explain", "--contact", "77", "--offline"],
    "verify": ["verify"],
    "check": ["check"],
}


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("command", LOOKING)
def test_look_ends_at_a_signal(world: World, command: str, as_json: bool) -> None:
    """143 in the middle of a statement that would never end, one object, and nothing is touched."""
    before = world.files()
    options = [*LOOKING[command], *["--json"] * as_json]
    ran = world.finish(world.start(options, {"PYTHONPATH": f"{ENDLESS}:{PACKAGE}"}))
    assert (ran.code, world.files()) == (143, before)
    assert "Interrupted" in ran.err
    if as_json:
        assert ran.json["outcome"] == "interrupted"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("command", ["explain", "outbox"])
def test_look_ends_although_nobody_reads_on(
    world: World, command: str, number: signal.Signals
) -> None:
    """As in a pager that was left at its first page."""
    passed_over(world, of_many_matters(MANY), CLIENT)
    if command == "outbox":
        sql(world.state, "UPDATE closings SET state = 'dead', reason = NULL")
    asked = ["outbox", "list"] if command == "outbox" else ["explain", "--contact", str(CLIENT)]
    child = world.start([*asked, *["--offline"] * (command == "explain")], {})
    assert child.stdout is not None
    assert select.select([child.stdout], [], [], 60)[0]
    child.send_signal(number)
    assert child.wait(60) == 128 + number
    assert world.finish(child).out
