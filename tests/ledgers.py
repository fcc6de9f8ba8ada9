"""A ledger with closings in it, and the steps that tests of the store take there."""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from factories import NOW, make_candidate, make_policy
from planting import connection_of, untriggered

from clio_broadly_sync.domain import lifecycle
from clio_broadly_sync.domain.model import Asked, Candidate, Closing, Outcome, Receipt
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.transitions import TRANSITIONS
from clio_broadly_sync.store import Claim, Store

Judge = Callable[[Closing, Asked], Closing | None]
POLICY = make_policy()
_STEPS = """
    WITH steps (step, state) AS (VALUES (1, 'pending'), (2, 'sending'))
    INSERT INTO changes (firm, closing, run, position, at, from_state, to_state, batch)
    SELECT firm, number, claimed_in_run, position + step - 3, changed_at,
        CASE WHEN step = 2 THEN 'pending' END, steps.state, CASE WHEN step = 2 THEN batch END
    FROM steps JOIN closings ON steps.state <> closings.state
    WHERE number > ? AND claimed_in_run > 0
"""
_NOTE = """
    INSERT INTO changes
        (firm, closing, run, position, at, from_state, to_state, reason, cause, code, batch)
    SELECT firm, number, changed_in_run, position, changed_at, CASE
            WHEN state = 'sending' THEN 'pending' WHEN claimed_in_run > 0 THEN 'sending' END,
        state, reason, cause, code, CASE WHEN state = 'sending' THEN batch END
    FROM closings WHERE number > ?
"""
"""What is noted of closings that were claimed and are planted: the steps, and where they led."""


def put(store: Store, *closings: Closing, at: datetime = NOW) -> None:
    """Record new closings; where no new closing has such a state, they are planted as they are."""
    pairs = [(None, closing) for closing in closings]
    if {closing.state for closing in closings} <= TRANSITIONS[None]:
        store.ledger.record(pairs, at)
        return
    with untriggered(connection_of(store)) as connection:
        (last,) = connection.execute("SELECT coalesce(max(number), 0) FROM closings").fetchone()
        store.ledger.record(pairs, at)
        for statement in (_STEPS, _NOTE):
            connection.execute(statement, (last,))


def row(store: Store, matter_id: int = 77) -> Closing:
    """Return the only closing of a matter."""
    (closing,) = store.ledger.known([matter_id])[matter_id]
    return closing


def rows(store: Store, *closings: Closing) -> list[Closing]:
    """Return these closings as they stand in the ledger by now."""
    known = store.ledger.known({closing.key.matter_id for closing in closings})
    by_key = {closing.key: closing for several in known.values() for closing in several}
    return [by_key[closing.key] for closing in closings]


def firm(store: Store, number: int = 2) -> Store:
    """Return another firm's state in the same database, in which a run has begun.

    No role of the program sees both, so in PostgreSQL it is the superuser's from here on.
    """
    connection = connection_of(store)
    if not isinstance(connection, sqlite3.Connection):
        connection.execute("SET ROLE NONE")
    other = Store(connection, number, f"{number:064x}")
    next_run(other)
    return other


def next_run(store: Store) -> None:
    store.begin_run("sync", "another", NOW)


def allow(closing: Closing, asked: Asked) -> Closing | None:
    """Judge that it may be sent, whatever is known."""
    return None


def judge(closing: Closing, asked: Asked) -> Closing | None:
    """Judge by the window of `POLICY`."""
    return lifecycle.asked_before(closing, asked, POLICY, NOW)


def claim(
    store: Store,
    candidates: Sequence[Candidate],
    size: int = 50,
    *,
    at: datetime = NOW,
    whole: bool = False,
    judge: Judge = judge,
) -> Claim:
    """Claim candidates, whose closings are read from the ledger first."""
    closings = rows(store, *(candidate.closing for candidate in candidates))
    pairs = zip(candidates, closings, strict=True)
    current = [replace(candidate, closing=closing) for candidate, closing in pairs]
    return store.ledger.claim(current, size, whole=whole, judge=judge, at=at)


def settle(
    store: Store,
    outcome: Outcome,
    *matters: int,
    code: str | None = "a_code",
    dedupes: bool = False,
    at: datetime = NOW,
) -> list[Closing]:
    """Let Broadly answer so for these matters, whose closings are being sent."""
    receipts = [Receipt(row(store, matter).key, outcome, code) for matter in matters]
    policy = make_policy(dedupes=dedupes)
    settled = store.ledger.settle(receipts, lambda r, c: lifecycle.settled(r, c, policy), at)
    return [closing for _, closing in settled]


def hand_over(
    store: Store,
    closing: Closing,
    outcome: Outcome = Outcome.ACCEPTED,
    code: str | None = None,
    at: datetime = NOW,
) -> None:
    """Send a closing that waits, whatever is known of its person; Broadly answers so."""
    claim(store, [make_candidate(closing)], at=at, judge=allow)
    settle(store, outcome, closing.key.matter_id, code=code, at=at)


def release(store: Store, reason: Reason | None = None) -> list[Closing]:
    """Give back what never reached Broadly."""
    return store.ledger.release(lambda closing: lifecycle.released(closing, reason), NOW)


def recover(store: Store, *, dedupes: bool = False) -> list[Closing]:
    return store.ledger.recover(lambda closing: lifecycle.recovered(closing, dedupes), NOW)
