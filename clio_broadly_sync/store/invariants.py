"""What always holds in the ledger, as conditions that find the rows where it does not.

Each goes through its table once; none brings rows into memory.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, and_, false, func, not_, or_, select, tuple_

from clio_broadly_sync.model import FAULTS, FINAL, Approval, Command, Reason, State, SyncRule
from clio_broadly_sync.store.identities import HASH_BYTES
from clio_broadly_sync.store.schema import changes, closings, people, runs

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
    """What holds for each row of `table`, which has a firm and a matter; `words`: for where it
    does not, and `name` the same for programs."""

    name: str
    words: str
    table: Any
    is_broken: ColumnElement[bool]


def of_firm(firm: str) -> Iterator[Invariant]:
    """Yield all of them."""
    c = closings.c
    yield Invariant(
        "closing", "Closings hold a word, a number or a date that is none", closings, _malformed()
    )
    yield Invariant("reason", "The reason of closings is not one of their state", closings, _odd())
    yield Invariant(
        "claim",
        "Closings were handed over, but not when, by whom or to whom",
        closings,
        _unclaimed(),
    )
    yield Invariant(
        "mark",
        "Closings that may have been asked were let go, or are held without having been in doubt",
        closings,
        or_(
            and_(c.state == State.HELD.value, c.marked == 0),
            and_(c.marked == 1, c.state == State.SKIPPED.value, _reason().not_in(_words(FINAL))),
        ),
    )
    yield Invariant(
        "person",
        "Clients were handed over, but the hashes that recognise them are missing, so they could "
        "be asked again",
        closings,
        _forgotten(firm),
    )
    yield Invariant("run", "Closings name a run that there never was", closings, _runless(firm))
    yield Invariant(
        "last_change", "Closings are not what the last of their changes says", closings, _untold()
    )
    yield Invariant(
        "claim_change",
        "Closings were handed over, and their changes do not say so",
        closings,
        _claim_untold(),
    )
    yield Invariant(
        "way", "Changes lead where no closing may go, such as away from sent", changes, _no_way()
    )
    yield _chain()
    yield Invariant(
        "hash", "Hashes of people are cut", people, func.length(people.c.identity) != HASH_BYTES
    )


def _words(reasons: frozenset[Reason]) -> list[str]:
    return sorted(reason.value for reason in reasons)


def _reason() -> ColumnElement[str]:
    return func.coalesce(closings.c.reason, "")


def _malformed() -> ColumnElement[bool]:
    c = closings.c
    no_words = [
        column.not_in([word.value for word in words])
        for column, words in ((c.state, State), (c.command, Command), (c.rule, SyncRule))
    ]
    no_flags = [column.not_in([0, 1]) for column in (c.marked, c.resent)]
    return or_(
        *no_words,
        *no_flags,
        c.approval.not_in([approval.value for approval in Approval]),
        and_(c.closed_on != "", func.date(c.closed_on, "+0 days").is_distinct_from(c.closed_on)),
        *(_no_whole_number(column, 2**63 - 1) for column in (c.matter_id, c.contact_id)),
        *(
            _no_whole_number(column, _LAST_SECOND)
            for column in (c.noticed_at, c.read_at, c.changed_at, c.claimed_at, c.updated_at)
        ),
    )


def _no_whole_number(column: Any, most: int) -> ColumnElement[bool]:
    return and_(
        column.is_not(None), or_(func.typeof(column) != "integer", not_(column.between(0, most)))
    )


def _odd() -> ColumnElement[bool]:
    fits = [
        and_(
            closings.c.state == state.value,
            _reason().in_([reason.value if reason else "" for reason in reasons]),
        )
        for state, reasons in _REASONS.items()
    ]
    return not_(or_(*fits))


def _was_handed_over() -> ColumnElement[bool]:
    """It was, or it may have been."""
    states = [State.SENDING.value, State.SENT.value, State.HELD.value]
    return or_(closings.c.state.in_(states), closings.c.marked == 1)


def _unclaimed() -> ColumnElement[bool]:
    c = closings.c
    nobody = and_(c.state.in_([State.SENDING.value, State.SENT.value]), c.contact_id.is_(None))
    unclaimed = and_(_was_handed_over(), c.claimed_at.is_(None))
    return or_(nobody, unclaimed, c.claimed_at.is_(None) != (c.claimed_in_run == 0))


def _forgotten(firm: str) -> ColumnElement[bool]:
    """The subquery is made once: `people` has no index by matter."""
    names = ("matter_id", "closed_on", "claimed_at")
    known = select(*(people.c[name] for name in names)).where(people.c.firm == firm)
    return and_(_was_handed_over(), tuple_(*(closings.c[name] for name in names)).not_in(known))


def _runless(firm: str) -> ColumnElement[bool]:
    last = select(func.coalesce(func.max(runs.c.run), 0)).where(runs.c.firm == firm)
    named = (closings.c.read_in_run, closings.c.decided_in_run, closings.c.claimed_in_run)
    return or_(*(not_(column.between(0, last.scalar_subquery())) for column in named))


def _own_changes() -> ColumnElement[bool]:
    return and_(*(changes.c[n] == closings.c[n] for n in ("firm", "matter_id", "closed_on")))


def _untold() -> ColumnElement[bool]:
    told = func.coalesce(changes.c.reason, "")
    last = (
        select(changes.c.to_state + " " + told)
        .where(_own_changes())
        .order_by(changes.c.run.desc(), changes.c.position.desc())
        .limit(1)
        .scalar_subquery()
    )
    return last.is_distinct_from(closings.c.state + " " + _reason())


def _claim_untold() -> ColumnElement[bool]:
    told = (
        select(changes.c.run)
        .where(
            _own_changes(),
            changes.c.run == closings.c.claimed_in_run,
            changes.c.to_state == State.SENDING.value,
            changes.c.batch.is_not_distinct_from(closings.c.batch),
        )
        .exists()
    )
    return and_(closings.c.claimed_in_run > 0, not_(told))


def _no_way() -> ColumnElement[bool]:
    came = func.coalesce(changes.c.from_state, "")
    ways = [
        and_(
            came == (state.value if state else ""),
            changes.c.to_state.in_([next_.value for next_ in following]) if following else false(),
        )
        for state, following in _WAYS.items()
    ]
    return not_(or_(*ways))


def _chain() -> Invariant:
    """Each change goes on from where the one before it ended."""
    c = changes.c
    before = func.lag(c.to_state).over(
        partition_by=(c.firm, c.matter_id, c.closed_on), order_by=(c.run, c.position)
    )
    linked = select(c.firm, c.matter_id, c.from_state, before.label("before")).subquery()
    is_broken = linked.c.before.is_distinct_from(linked.c.from_state)
    return Invariant("chain", "Changes are missing from the list", linked, is_broken)
