"""How SQLite finds the rows: by an index each time, never through the whole ledger."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from factories import NOW, make_candidate, make_closing, make_due
from watched import plans, watch

from clio_broadly_sync.domain.model import Approval, Closing, Command, Key, Outcome, Receipt
from clio_broadly_sync.domain.reasons import State
from clio_broadly_sync.store import Store
from clio_broadly_sync.store.ledger import Ledger

MATTERS = 400


@pytest.fixture(params=[False, True], ids=["without statistics", "with statistics"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Store]:
    """A ledger of mostly settled closings, a few of each kind that waits."""
    watch(monkeypatch)
    with Store.open(tmp_path / "state" / "state.db") as opened:
        for state, ids in (
            (State.SENT, range(1, MATTERS)),
            (State.PENDING, range(MATTERS, MATTERS + 50)),
            (State.SENDING, range(MATTERS + 50, MATTERS + 53)),
        ):
            opened.begin_run("sync", "r", NOW)
            made = [
                make_closing(
                    n, contact_id=n, state=state, claimed_at=NOW, claimed_in_run=3,
                    in_doubt=n == MATTERS,
                )
                for n in ids
            ]  # fmt: skip
            opened.ledger.record([(None, closing) for closing in made], NOW)
        if request.param:
            opened._connection.execute("ANALYZE")
        yield opened


def pending(ledger: Ledger) -> list[Closing]:
    known = ledger.known(range(MATTERS, MATTERS + 3))
    return [closing for several in known.values() for closing in several]


def claim(ledger: Ledger) -> None:
    candidates = [make_candidate(closing) for closing in pending(ledger)]
    ledger.claim(candidates, 3, whole=False, judge=lambda closing, asked: None, at=NOW)


def settle(ledger: Ledger) -> None:
    receipts = [
        Receipt(Key(n, closing.key.closed_on), Outcome.ACCEPTED)
        for n, (closing,) in ledger.known(range(MATTERS + 50, MATTERS + 53)).items()
    ]
    ledger.settle(receipts, lambda receipt, closing: closing._replace(state=State.SENT), NOW)


def hold(closing: Closing) -> Closing:
    return closing._replace(state=State.HELD, in_doubt=True)


def approve(closing: Closing) -> Closing:
    return closing._replace(approval=Approval.GIVEN)


WORK: dict[str, tuple[Callable[[Ledger], object], set[str]]] = {
    "known": (lambda ledger: ledger.known([1, 2]), {"sqlite_autoindex_closings_1"}),
    "recover": (
        lambda ledger: ledger.recover(hold, NOW),
        {"closings_sending", "closings_marked", "sqlite_autoindex_closings_1"},
    ),
    "release": (
        lambda ledger: ledger.release(hold, NOW),
        {"closings_sending", "sqlite_autoindex_closings_1"},
    ),
    "claim": (claim, {"sqlite_autoindex_closings_1"}),
    "settle": (settle, {"closings_sending", "sqlite_autoindex_closings_1"}),
    "count due": (lambda ledger: ledger.count_due(make_due()), {"closings_pending"}),
    "count unapproved": (
        lambda ledger: ledger.count_unapproved(make_due()),
        {"closings_pending"},
    ),
    "count awaiting": (lambda ledger: ledger.count_awaiting(make_due()), {"closings_pending"}),
    "count pending": (lambda ledger: ledger.count_pending(make_due()), {"closings_pending"}),
    "count handed over": (
        lambda ledger: ledger.count_handed_over(Command.SYNC, NOW),
        {"closings_by_claim"},
    ),
    "line up": (
        lambda ledger: ledger.line_up(make_due(), approved_only=False),
        {"closings_pending"},
    ),
    "line up what is approved": (
        lambda ledger: ledger.line_up(make_due(), approved_only=True),
        {"closings_pending"},
    ),
    "line up for a backfill": (
        lambda ledger: ledger.line_up(
            make_due(command=Command.BACKFILL, faults_until=None, first=NOW.date()),
            approved_only=False,
        ),
        {"closings_pending"},
    ),
    "lined up": (lambda ledger: list(ledger.lined_up()), {"sqlite_autoindex_closings_1"}),
    "approve": (
        lambda ledger: ledger.set_approval(make_due(), Approval.GIVEN, approve, NOW),
        {"closings_pending", "sqlite_autoindex_closings_1"},
    ),
    "decided": (
        lambda ledger: list(ledger.decided_in_run(Command.SYNC)),
        {"closings_by_run", "closings_pending"},
    ),
}


@pytest.mark.parametrize("work", WORK)
def test_rows_are_found_by_an_index(store: Store, work: str) -> None:
    """Each statement uses the index that is meant for it, and more of it than the firm."""
    do, indexes = WORK[work]
    steps = plans(store, lambda: do(store.ledger))
    assert set(re.findall(r"SEARCH closings USING (?:COVERING )?INDEX (\w+)", steps)) == indexes
    assert not re.search(r"SCAN (closings|people|changes)", steps)
    assert not re.search(r"SEARCH (closings|people|changes) .*\(firm=\?\)", steps)


def test_approval_goes_on_from_where_it_was(store: Store) -> None:
    """The second chunk of a surge is not looked for from the start."""
    steps = plans(
        store, lambda: store.ledger.set_approval(make_due(), Approval.GIVEN, approve, NOW)
    )
    assert "(noticed_at,matter_id,closed_on)>(?,?,?)" in steps
