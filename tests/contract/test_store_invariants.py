"""What `verify` takes for sound in the ledger, tried out whole: each reason in each state, each way
from one state to another."""

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest
from factories import NOW, make_closing

from clio_broadly_sync.domain.reasons import FINAL, Reason, State
from clio_broadly_sync.store import Store

SKIPS: Final = frozenset(
    {
        Reason.NOT_CLOSED, Reason.NO_CLIENT, Reason.NO_CLOSE_DATE, Reason.CLOSED_BEFORE_START,
        Reason.CLOSED_TOO_LONG_AGO, Reason.NOT_OPTED_IN, Reason.OPTED_OUT, Reason.COMPANY,
        Reason.NO_CHANNEL, Reason.ASKED_RECENTLY, Reason.SUPPRESSED, Reason.DROPPED,
        Reason.CONTACT_HIDDEN, Reason.UNREADABLE_FIELD,
    }
)  # fmt: skip
"""Nobody is handed over for these; the last two wait at first, until they are too old."""
REASONS: Final[Mapping[State, frozenset[Reason | None]]] = {
    State.PENDING: frozenset(
        {
            None, Reason.SETTLING, Reason.SURGE, Reason.UNAVAILABLE, Reason.RETRY,
            Reason.UNKNOWN_OUTCOME, Reason.CONTACT_HIDDEN, Reason.UNREADABLE_FIELD,
        }
    ),
    State.SENDING: frozenset({None}),
    State.SENT: frozenset({None}),
    State.SKIPPED: SKIPS,
    State.DEAD: frozenset({None, Reason.RETRY}),
    State.HELD: (SKIPS - FINAL) | {Reason.UNKNOWN_OUTCOME},
}  # fmt: skip
WAYS: Final[Mapping[State | None, frozenset[State]]] = {
    None: frozenset({State.PENDING, State.SKIPPED}),
    State.PENDING: frozenset({State.PENDING, State.SENDING, State.SKIPPED, State.HELD}),
    State.SENDING: frozenset({State.PENDING, State.SENT, State.SKIPPED, State.DEAD, State.HELD}),
    State.SENT: frozenset(),
    State.SKIPPED: frozenset({State.PENDING, State.SKIPPED}),
    State.DEAD: frozenset({State.PENDING, State.SKIPPED}),
    State.HELD: frozenset({State.PENDING, State.SKIPPED}),
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "state" / "state.db") as opened:
        opened.begin_run("sync", "r1", NOW)
        yield opened


def found(store: Store, name: str) -> int:
    """Return how many rows a flaw is told of."""
    sentences = [flaw.sentence for flaw in store.integrity.flaws(NOW) if flaw.name == name]
    return sum(int(number) for s in sentences for number in re.findall(r"\((\d+) in all\)", s))


def reasoned(store: Store, state: State, reasons: Collection[Reason | None]) -> None:
    rows = [make_closing(n, state=state, reason=r) for n, r in enumerate(reasons, 1)]
    store.ledger.record([(None, row) for row in rows], NOW)


@pytest.mark.parametrize("state", State)
def test_reasons_that_a_state_may_have(store: Store, state: State) -> None:
    reasoned(store, state, REASONS[state])
    assert found(store, "reason") == 0


@pytest.mark.parametrize("state", State)
def test_reasons_that_a_state_may_not_have(store: Store, state: State) -> None:
    others = {None, *Reason} - REASONS[state]
    reasoned(store, state, others)
    assert found(store, "reason") == len(others)


def gone(store: Store, before: State | None, ways: Collection[State]) -> None:
    """Let each of some closings have gone one of the ways."""
    store.ledger.record([(None, make_closing(n)) for n, _ in enumerate(ways, 1)], NOW)
    rows = [(before, to, n) for n, to in enumerate(ways, 1)]
    statement = "UPDATE changes SET from_state = ?, to_state = ? WHERE matter_id = ?"
    store._connection.executemany(statement, rows)


@pytest.mark.parametrize("before", WAYS, ids=str)
def test_ways_that_a_closing_may_go(store: Store, before: State | None) -> None:
    gone(store, before, WAYS[before])
    assert found(store, "way") == 0


@pytest.mark.parametrize("before", WAYS, ids=str)
def test_ways_that_no_closing_may_go(store: Store, before: State | None) -> None:
    others = frozenset(State) - WAYS[before]
    gone(store, before, others)
    assert found(store, "way") == len(others)
