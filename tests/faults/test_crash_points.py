"""Killed at every request and every commit, and again while recovering: nobody is asked twice,
nobody against their will, nobody is lost.

`points` says what a point is. An undisturbed run counts them, and then a world of its own is
killed at each. While it lies dead a client opts out, one says no on another card, and a matter is
reopened.
"""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import books
import checker
import pytest
from books import Books
from drill import DONE, KILLED, Drill, MakeDrill, told
from mishaps import BUSY, OF_A_FIRM, armed
from world import Closing, on_post

from clio_broadly_sync.sandbox.firm import OPT_OUT, THANK_YOU

CLIENTS = 8
BATCH = 2
PAGE = 4
PAIRS = 100
SHARES = 8
"""Each test takes every eighth point, so that all cores have work."""
OF_FIRMS = range(SHARES if "HISTORIES" in os.environ else 1)
"""An eighth of the points befalls a firm in PostgreSQL, too; all of them where more is wanted."""
A_SHARE_ON_BOTH = pytest.mark.parametrize(
    ("where", "share"),
    [*product(["file"], range(SHARES)), *product(["postgresql"], OF_FIRMS)],
    indirect=["where"],
)
SLEEP = "the machine is suspended for half an hour"
LEAST_REQUESTS = {"matters": 3, "contacts": 1, "custom_fields": 1, "batch": CLIENTS // BATCH}

Command = Callable[[Drill], Sequence[str]]


def _sync(drill: Drill) -> Sequence[str]:
    return ["sync"]


def _backfill(drill: Drill) -> Sequence[str]:
    return ["backfill", "--from", str(drill.day(5)), "--to", str(drill.day(1)), "--yes"]


def _crowd(drill: Drill, command: Command) -> list[Closing]:
    """Close matters on three pages, of clients for four batches (`Drill.crowd`)."""
    drill.clio.cap_pages("matter", PAGE)
    drill.settings["BROADLY_BATCH_SIZE"] = str(BATCH)
    on = _close_date(drill, command)
    return drill.crowd(CLIENTS, on)


def _meanwhile(drill: Drill, command: Command, closings: Sequence[Closing]) -> None:
    """What was read before the kill is old, and no longer true of the last three."""
    drill.meanwhile(closings)
    phone = drill.firm.contacts.get(closings[-3].contact).phone
    drill.closing(_close_date(drill, command), opt_out=True, phone=phone)


def _close_date(drill: Drill, command: Command) -> Any:
    return "today" if command is _sync else drill.day(3)


def _check_end(drill: Drill, closings: Sequence[Closing], *, kills: int, dedupes: bool) -> None:
    """Who may still be asked has been; a kill leaves at most one batch for a person to judge."""
    rows = drill.rows()
    held = {row.matter for row in rows if row.state == "held"}
    changed = {closing.matter for closing in closings[-3:]}
    assert len(held) <= BATCH * kills, f"{held} are held"
    assert held <= changed or not dedupes, f"{held} are held although Broadly dedupes"
    sent = {row.matter for row in rows if row.state == "sent"}
    unchanged = {closing.matter for closing in closings} - changed
    assert unchanged <= sent | held, f"{unchanged - sent - held} were never handed over"


@pytest.mark.parametrize(
    ("where", "command", "dedupes", "share"),
    [
        *product(["file"], [_sync, _backfill], [True, False], range(SHARES)),
        *product(["postgresql"], [_sync], [False], OF_FIRMS),
        *product(["postgresql"], [_backfill], [True], OF_FIRMS),
    ],
    indirect=["where"],
)
def test_killed_at_every_point(
    make_drill: MakeDrill, command: Command, dedupes: bool, share: int
) -> None:
    """All points of a run over three pages and four batches; then recovery, with the checker
    after the kill and after each run."""
    names = _points(make_drill, command, dedupes=dedupes)
    for number in range(1 + share, len(names) + 1, SHARES):
        with told(f"killed at {number}, {names[number - 1]}"), make_drill(dedupes=dedupes) as drill:
            closings = _crowd(drill, command)
            assert drill.kill(number, *command(drill)), "it was not killed"
            _meanwhile(drill, command, closings)
            drill.rest(*command(drill))
            _check_end(drill, closings, kills=1, dedupes=dedupes)


@A_SHARE_ON_BOTH
def test_killed_twice(make_drill: MakeDrill, share: int) -> None:
    """A sample of all pairs of points: the recovery is killed as well."""
    for command, dedupes, first, second in _pairs(make_drill)[share::SHARES]:
        trial = f"{command.__name__}, dedupes {dedupes}, killed at {first} and at {second}"
        with told(trial), make_drill(dedupes=dedupes) as drill:
            closings = _crowd(drill, command)
            assert drill.kill(first, *command(drill)), "it was not killed"
            _meanwhile(drill, command, closings)
            kills = 1 + drill.kill(second, *command(drill))
            drill.later(minutes=20)
            drill.rest(*command(drill))
            _check_end(drill, closings, kills=kills, dedupes=dedupes)


@pytest.mark.parametrize("share", range(SHARES))
def test_killed_after_a_sleep(make_drill: MakeDrill, share: int) -> None:
    """A backfill whose machine was suspended at its first POST, at each point after that."""
    first_post = _requests_before_a_post(make_drill)

    def run(drill: Drill, number: int | str) -> list[Closing]:
        closings = _crowd(drill, _backfill)
        with armed(drill, SLEEP, first_post):
            assert drill.kill(number, *_backfill(drill)) == bool(number), "it was not killed"
        return closings

    with make_drill() as drill:
        run(drill, "")
        names = drill.passed()
    woken = next(n for n, name in enumerate(names, 1) if name == "POST /v1/customers/batch: unread")
    for number in range(woken + share, len(names) + 1, SHARES):
        dedupes = number % 2 == 0
        with told(f"killed at {number}, {names[number - 1]}"), make_drill(dedupes=dedupes) as drill:
            closings = run(drill, number)
            _meanwhile(drill, _backfill, closings)
            drill.rest(*_backfill(drill))
            _check_end(drill, closings, kills=1, dedupes=dedupes)


@A_SHARE_ON_BOTH
def test_killed_when_it_has_overtaken_another_run(make_drill: MakeDrill, share: int) -> None:
    """A sync beside one whose lock file was removed, at each of its points; the other goes on."""
    with make_drill() as drill:
        _crowd(drill, _sync)
        names, _ = _overtaken(drill, "")
    for number in range(1 + share, len(names) + 1, SHARES):
        dedupes = number % 2 == 0
        with told(f"killed at {number}, {names[number - 1]}"), make_drill(dedupes=dedupes) as drill:
            closings = _crowd(drill, _sync)
            _, killed = _overtaken(drill, number)
            assert killed, "it was not killed"
            _meanwhile(drill, _sync, closings)
            drill.rest("sync")
            _check_end(drill, closings, kills=2, dedupes=dedupes)


@pytest.mark.parametrize("where", ["postgresql"], indirect=True)
@pytest.mark.parametrize("how", OF_A_FIRM)
def test_cut_off_at_every_request(make_drill: MakeDrill, how: str) -> None:
    """A run that loses its sessions has lost the firm with them, and writes nothing more; what
    became of the POST that was on its way is unknown."""
    names = _points(make_drill, _sync, dedupes=False)
    for number in range(sum(name.endswith("answered") for name in names)):
        dedupes = number % 2 == 0
        with told(f"cut off at request {number}"), make_drill(dedupes=dedupes) as drill:
            closings = _crowd(drill, _sync)
            with armed(drill, how, number) as mishap:
                ran = drill.run("sync")
            assert (ran.code,) == mishap.codes, ran.err
            _meanwhile(drill, _sync, closings)
            drill.rest("sync")
            _check_end(drill, closings, kills=1, dedupes=dedupes)


@pytest.mark.parametrize("share", range(SHARES))
def test_killed_and_half_restored(make_drill: MakeDrill, share: int) -> None:
    """Killed at each point, and beside what that left the state's file of an older copy is put.

    Where it is a state that never was, nothing is written, and nothing was lost once the two are
    put back as they were. Every second point is enough: what lies beside is the same at several.
    """
    with make_drill() as drill:
        _copied_before(drill)
        _crowd(drill, _sync)
        names = drill.points("sync")
    for number in range(1 + share, len(names) + 1, 2 * SHARES):
        dedupes = number % 2 == 0
        with told(f"killed at {number}, {names[number - 1]}"), make_drill(dedupes=dedupes) as drill:
            copy = _copied_before(drill)
            closings = _crowd(drill, _sync)
            assert drill.kill(number, "sync"), "it was not killed"
            whole = shutil.copytree(drill.state.parent, drill.folder / "whole")
            half = drill.put_half_back(copy)
            if half is not None:
                continue  # nothing of the ledger lay beside it: an old copy like any other
            drill.run_on_half(half)
            shutil.rmtree(drill.state.parent)
            shutil.copytree(whole, drill.state.parent)
            _meanwhile(drill, _sync, closings)
            drill.rest("sync")
            _check_end(drill, closings, kills=1, dedupes=dedupes)


def _copied_before(drill: Drill) -> Path:
    """Copy the state, and then let other clients be sent; return the folder of the copy."""
    copy = drill.folder / "copy"
    drill.settings["SYNC_MAX_NEW"] = "100"
    shutil.copytree(drill.state.parent, copy)
    drill.closings(40)  # more than fit into one page, so that not all pages change each time
    drill.later(minutes=1)
    assert drill.sync().code == 0
    drill.later(minutes=1)
    return copy


def _skipped_and_sent(drill: Drill) -> tuple[set[int], set[int]]:
    """Let clients be sent and be skipped; then boxes change of which Clio does not tell.

    Return the matters that go once they were looked at, and those whose clients object.
    """
    sent = [drill.closing() for _ in range(2)]
    unticked = [drill.closing(thank_you=False) for _ in range(2)]
    no, card = drill.closing(opt_out=True), drill.closing(opt_out=True)
    other = drill.closing(email=drill.firm.contacts.get(card.contact).email)
    assert drill.sync().code == 0
    drill.firm.delete_matter(card.matter)
    drill.firm.set_box("matter", unticked[0].matter, True, THANK_YOU, touch=False)
    for contact, box in ((no.contact, False), (card.contact, False), (sent[0].contact, True)):
        drill.firm.set_box("contact", contact, box, OPT_OUT, touch=False)
    drill.later(hours=21)
    new = drill.closing()
    goes = {unticked[0].matter, no.matter, other.matter, new.matter, sent[1].matter}
    return goes, {sent[0].matter}


@A_SHARE_ON_BOTH
def test_daily_look_killed_at_every_point(make_drill: MakeDrill, share: int) -> None:
    """What was put right goes, and who opted out after being sent is told, by a later run."""
    with make_drill() as drill:
        _skipped_and_sent(drill)
        names = drill.points("sync")
    assert sum("contacts" in name and name.endswith("answered") for name in names) >= 4
    for number in range(1 + share, len(names) + 1, SHARES):
        dedupes = number % 2 == 0
        with told(f"killed at {number}, {names[number - 1]}"), make_drill(dedupes=dedupes) as drill:
            goes, objects = _skipped_and_sent(drill)
            assert drill.kill(number, "sync"), "it was not killed"
            drill.later(minutes=20)
            drill.rest("sync")
            rows = drill.rows()
            held = {row.matter for row in rows if row.state == "held"}
            assert goes <= {row.matter for row in rows if row.state == "sent"} | held
            assert len(held) <= len(goes) * (not dedupes)
            checker.check_who_was_put_right(drill)
            found = books.read(drill.state).objections
            assert {matter for matter, _ in found} == objects
            assert None not in found.values(), "nobody was told"


@pytest.mark.parametrize("where", ["file", "postgresql"], indirect=True)
def test_first_sync_killed_at_every_point(make_drill: MakeDrill) -> None:
    """It is done again, and still hands over nobody; what closes afterwards is handed over."""
    with make_drill(fresh=True) as drill:
        names = drill.points("sync")
    for number in range(1, len(names) + 1):
        with told(f"killed at {number}, {names[number - 1]}"), make_drill(fresh=True) as drill:
            drill.closing(drill.day(2))
            assert drill.kill(number, "sync"), "it was not killed"
            drill.later(minutes=20)
            drill.rest("sync")
            assert drill.asked == []
            matter = drill.closing().matter
            drill.rest("sync")
            assert drill.asked == [matter]


def _requests_before_a_post(make_drill: MakeDrill) -> int:
    names = _points(make_drill, _backfill, dedupes=False)
    requests = [name for name in names if name.endswith("answered")]
    return next(n for n, name in enumerate(requests) if name.startswith("POST"))


def _overtaken(drill: Drill, number: int | str) -> tuple[list[str], bool]:
    """Sync, and when it sends, remove its lock and run another, which is killed at this point.

    Return the points that the other one passed, and whether it was killed. Once it has begun, the
    first one writes nothing more.
    """
    left: list[tuple[list[str], bool, Books]] = []

    def overtake() -> None:
        drill.unlock()
        drill.kill_at = number
        killed = drill.beside("sync").code == KILLED
        drill.kill_at = ""
        left.append((drill.passed(), killed, books.read(drill.state)))

    drill.broadly.before = on_post(overtake)
    ran = drill.sync()
    drill.broadly.before = None
    names, killed, then = left[0]
    assert ran.code in (BUSY, *DONE), ran.err
    if ran.code == BUSY:
        checker.check_nothing_written(then, books.read(drill.state))
    else:
        assert killed, "it went on although it was overtaken"
        assert "commit: done" not in names, "it went on although it was overtaken"
    return names, killed


def _points(make_drill: MakeDrill, command: Command, *, dedupes: bool) -> list[str]:
    """Return the names of the points of an undisturbed run, which must be a long one."""
    with make_drill(dedupes=dedupes) as drill:
        _crowd(drill, command)
        names = drill.points(*command(drill))
    requests = Counter(name.partition(":")[0] for name in names if name.endswith("answered"))
    for path, least in LEAST_REQUESTS.items():
        assert sum(count for name, count in requests.items() if path in name) >= least
    return names


def _pairs(make_drill: MakeDrill) -> list[tuple[Command, bool, int, int]]:
    """Return the same sample each time; a recovery that has fewer points is not killed again."""
    found = []
    for command in (_sync, _backfill):
        for dedupes in (True, False):
            last = len(_points(make_drill, command, dedupes=dedupes))
            numbers = range(1, last + 1)
            found += [(command, dedupes, first, second) for first in numbers for second in numbers]
    return Random(20261122).sample(found, PAIRS)  # noqa: S311  (a sample, no secret)
