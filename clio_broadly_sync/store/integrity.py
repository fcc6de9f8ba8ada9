"""What always holds in the ledger, as conditions that find the rows where it does not.

Each goes through its table once; none brings rows into memory.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from clio_broadly_sync.domain.model import Approval, Command, SyncRule
from clio_broadly_sync.domain.reasons import FAULTS, FINAL, Reason, State
from clio_broadly_sync.store.conditions import OWN_CHANGES
from clio_broadly_sync.store.people import HASH_BYTES
from clio_broadly_sync.store.schema import MARKED
from clio_broadly_sync.store.sql import words

_LAST_SECOND: Final = 253_402_300_799  # of the year 9999
_IN_DOUBT: Final = Reason.UNKNOWN_OUTCOME
_WAITS: Final = {Reason.SETTLING, Reason.SURGE, Reason.UNAVAILABLE, Reason.RETRY}
_SKIPS: Final = frozenset(Reason) - _WAITS - {_IN_DOUBT}
_REASONS: Final[Mapping[State, frozenset[Reason | None]]] = {
    State.PENDING: FAULTS | _WAITS | {_IN_DOUBT, None},
    State.SENDING: frozenset({None}),
    State.SENT: frozenset({None}),
    State.SKIPPED: _SKIPS,
    State.DEAD: frozenset({Reason.RETRY, None}),
    State.HELD: (_SKIPS - FINAL) | {_IN_DOUBT},
}
_WAYS: Final[Mapping[State | None, frozenset[State]]] = {
    None: frozenset({State.PENDING, State.SKIPPED}),
    State.PENDING: frozenset({State.PENDING, State.SENDING, State.SKIPPED, State.HELD}),
    State.SENDING: frozenset(State) - {State.SENDING},
    State.SENT: frozenset(),
    State.SKIPPED: frozenset({State.SKIPPED, State.PENDING}),
    State.DEAD: frozenset({State.PENDING, State.SKIPPED}),
    State.HELD: frozenset({State.PENDING, State.SKIPPED}),
}


class Invariant(NamedTuple):
    """What holds for each of the `rows`, a table or what is selected as one, which have a firm
    and a matter; `words`: for where it does not, and `name` the same for programs. `is_broken` may
    name the parameter `:firm`."""

    name: str
    words: str
    rows: str
    is_broken: str


def every() -> tuple[Invariant, ...]:
    """Return all of them."""
    return (
        Invariant(
            "closing",
            "Closings hold a word, a number or a date that is none",
            "closings",
            _malformed(),
        ),
        Invariant("reason", "The reason of closings is not one of their state", "closings", _odd()),
        Invariant(
            "claim",
            "Closings were handed over, but not when, by whom or to whom",
            "closings",
            _UNCLAIMED,
        ),
        Invariant(
            "mark",
            "Closings that may have been asked were let go, or are held without having been in "
            "doubt",
            "closings",
            _LET_GO,
        ),
        Invariant(
            "person",
            "Clients were handed over, but the hashes that recognise them are missing, so they "
            "could be asked again",
            "closings",
            _FORGOTTEN,
        ),
        Invariant("run", "Closings name a run that there never was", "closings", _RUNLESS),
        Invariant(
            "last_change",
            "Closings are not what the last of their changes says",
            "closings",
            _UNTOLD,
        ),
        Invariant(
            "claim_change",
            "Closings were handed over, and their changes do not say so",
            "closings",
            _CLAIM_UNTOLD,
        ),
        Invariant(
            "way",
            "Changes lead where no closing may go, such as away from sent",
            "changes",
            _no_way(),
        ),
        Invariant(
            "chain", "Changes are missing from the list", _LINKED, "before IS NOT from_state"
        ),
        Invariant(
            "hash", "Hashes of people are cut", "people", f"length(identity) != {HASH_BYTES}"
        ),
    )


def _malformed() -> str:
    words_of = (("state", State), ("command", Command), ("rule", SyncRule), ("approval", Approval))
    moments = ("noticed_at", "read_at", "changed_at", "claimed_at", "updated_at")
    return _any(
        *(f"{column} NOT IN {words(members)}" for column, members in words_of),
        *(f"{column} NOT IN (0, 1)" for column in ("marked", "resent")),
        "closed_on != '' AND date(closed_on, '+0 days') IS NOT closed_on",
        *(_no_whole_number(column, 2**63 - 1) for column in ("matter_id", "contact_id")),
        *(_no_whole_number(column, _LAST_SECOND) for column in moments),
    )


def _no_whole_number(column: str, most: int) -> str:
    no_number = f"typeof({column}) != 'integer' OR {column} NOT BETWEEN 0 AND {most}"
    return f"{column} IS NOT NULL AND ({no_number})"


def _odd() -> str:
    return _none(
        f"state = '{state.value}' AND {_REASON} IN {_words(reasons)}"
        for state, reasons in _REASONS.items()
    )


def _no_way() -> str:
    return _none(
        f"coalesce(from_state, '') IN {_words([state])} AND to_state IN {words(following)}"
        for state, following in _WAYS.items()
    )


def _words(members: Iterable[Reason | State | None]) -> str:
    """Return a list of literals, the empty word for None."""
    return f"({', '.join(repr(member.value if member else '') for member in members)})"


def _any(*conditions: str) -> str:
    return " OR ".join(f"({condition})" for condition in conditions)


def _none(conditions: Iterable[str]) -> str:
    return f"NOT ({_any(*conditions)})"


_REASON: Final = "coalesce(reason, '')"
_HANDED_OVER: Final = words([State.SENDING, State.SENT, State.HELD])
_WAS_HANDED_OVER: Final = f"(state IN {_HANDED_OVER} OR {MARKED})"
"""It was, or it may have been."""
_UNCLAIMED: Final = f"""
    (state IN {words([State.SENDING, State.SENT])} AND contact_id IS NULL)
    OR ({_WAS_HANDED_OVER} AND claimed_at IS NULL)
    OR (claimed_at IS NULL) != (claimed_in_run = 0)
"""
_LET_GO: Final = f"""
    (state = '{State.HELD.value}' AND marked = 0)
    OR (marked = 1 AND state = '{State.SKIPPED.value}' AND {_REASON} NOT IN {words(FINAL)})
"""
_FORGOTTEN: Final = f"""
    {_WAS_HANDED_OVER} AND (matter_id, closed_on, claimed_at) NOT IN
        (SELECT matter_id, closed_on, claimed_at FROM people WHERE firm = :firm)
"""
"""The subquery is made once: `people` has no index by matter."""
_RUNLESS: Final = _any(
    *(
        f"{column} NOT BETWEEN 0 AND (SELECT coalesce(max(run), 0) FROM runs WHERE firm = :firm)"
        for column in ("read_in_run", "decided_in_run", "claimed_in_run")
    )
)
_UNTOLD: Final = f"""
    state || ' ' || {_REASON} IS NOT (
        SELECT changes.to_state || ' ' || coalesce(changes.reason, '')
        FROM changes WHERE {OWN_CHANGES}
        ORDER BY changes.run DESC, changes.position DESC
        LIMIT 1
    )
"""
_CLAIM_UNTOLD: Final = f"""
    claimed_in_run > 0 AND NOT EXISTS (
        SELECT 1 FROM changes
        WHERE {OWN_CHANGES}
        AND changes.run = closings.claimed_in_run
        AND changes.to_state = '{State.SENDING.value}'
        AND changes.batch IS closings.batch
    )
"""
_LINKED: Final = """(
    SELECT
        firm,
        matter_id,
        from_state,
        lag(to_state) OVER (
            PARTITION BY firm, matter_id, closed_on ORDER BY run, position
        ) AS before
    FROM changes
)"""
"""Each change, beside where the one before it ended."""
