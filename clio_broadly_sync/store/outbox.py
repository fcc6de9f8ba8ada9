"""The outbox: what waits, is held or was rejected; a person's choice of it, listed or changed."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    ScalarSelect,
    Select,
    and_,
    delete,
    false,
    func,
    insert,
    or_,
    select,
)

from clio_broadly_sync.model import Approval, Closing, Command, Due, Key, Reason, State
from clio_broadly_sync.store import conditions, database, rows
from clio_broadly_sync.store.crowd import Crowd, crowd_of
from clio_broadly_sync.store.schema import DEAD, MARKED, PENDING, SENDING, changes, closings, due
from clio_broadly_sync.store.writing import Writer

OUTBOX: Final = frozenset({State.PENDING, State.HELD, State.DEAD})
CHUNK: Final = 500
"""Rows held in memory at a time."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows of the outbox are meant: those that fit all of it, None or no matters fit any.

    `batch`: the number of a run and of one of its batches, the last that the row was in.
    """

    states: frozenset[State] = OUTBOX
    matters: Sequence[int] = ()
    reason: Reason | None = None
    batch: tuple[int, int] | None = None
    command: Command | None = None


class Listed(NamedTuple):
    """A row of the outbox. `since`: when it came to where it is, a waiting one when it was
    noticed; `code`: Broadly's, of its last change."""

    closing: Closing
    since: datetime
    code: str | None


class Outbox:
    """One firm's outbox. Every method is one transaction, and raises StorageError."""

    def __init__(self, engine: Engine, firm: str, writer: Writer) -> None:
        self._engine = engine
        self._firm = firm
        self._writer = writer

    def listed(self, chosen: Selection) -> Iterator[Listed]:
        """Yield the rows in the order in which they were noticed."""
        code, since = _of_last_change(changes.c.code), _of_last_change(changes.c.at)
        statement: Select[Any] = (
            select(*rows.COLUMNS, code.label("code"), since.label("since"))
            .where(self._condition(chosen))
            .order_by(closings.c.noticed_at, closings.c.matter_id, closings.c.closed_on)
        )
        with self._transaction() as connection:
            for row in connection.execution_options(yield_per=CHUNK).execute(statement):
                closing = rows.closing_of(row)
                waits = closing.state is State.PENDING or row.since is None
                since_when = closing.noticed_at if waits else rows.moment(row.since)
                yield Listed(closing, since_when, row.code)

    def count(self, chosen: Selection) -> Counter[State]:
        """Count the rows by their state."""
        statement = select(closings.c.state, func.count().label("number"))
        statement = statement.where(self._condition(chosen)).group_by(closings.c.state)
        with self._transaction() as connection:
            return Counter({State(r.state): r.number for r in connection.execute(statement)})

    def count_sending(self) -> int:
        """Count what a run is handing over, or was when it was killed."""
        statement = select(func.count()).where(closings.c.firm == self._firm, SENDING)
        with self._transaction() as connection:
            return connection.execute(statement).scalar_one()

    def change(self, chosen: Selection, after: Callable[[Closing], Closing], at: datetime) -> int:
        """Change all chosen rows or, where that fails, none; return how many there were."""
        changed = 0
        with self._transaction() as connection:
            self._put_in_a_row(connection, chosen)
            place = 0
            while chunk := connection.execute(_chunk(self._firm, place)).all():
                pairs = [(old, after(old)) for old in map(rows.closing_of, chunk)]
                self._writer.write(connection, pairs, at)
                changed += len(pairs)
                place = chunk[-1].place
        return changed

    def changed(self) -> Iterator[Key]:
        """Yield what was changed in this run; what its recovery held is not meant."""
        of_this_run = closings.c.decided_in_run == self._writer.run
        statement: Select[Any] = (
            select(closings.c.matter_id, closings.c.closed_on)
            .where(closings.c.firm == self._firm, of_this_run, closings.c.state != State.HELD.value)
            .order_by(closings.c.position)
        )
        with self._transaction() as connection:
            found = connection.execution_options(yield_per=CHUNK).execute(statement)
            yield from map(rows.key_of, found)

    def crowd(self, wanted: Due) -> Crowd:
        """Return the figures of what is due and waits for a person's approval."""
        condition = and_(
            closings.c.firm == self._firm,
            conditions.due(wanted, self._writer.run),
            conditions.no_fault(),
            conditions.approval(Approval.WANTED),
        )
        with self._transaction() as connection:
            return crowd_of(connection, condition)

    def _put_in_a_row(self, connection: Connection, chosen: Selection) -> None:
        """Choose once, whatever the index that finds them: the chunks then follow the places."""
        own = (closings.c.matter_id, closings.c.closed_on)
        place = func.row_number().over(order_by=own)
        connection.execute(delete(due))
        statement = select(place, *own).where(self._condition(chosen))
        connection.execute(insert(due).from_select(list(due.c), statement))

    def _condition(self, chosen: Selection) -> ColumnElement[bool]:
        found: list[Any] = [closings.c.firm == self._firm, _in_states(chosen.states)]
        if chosen.matters:
            found.append(closings.c.matter_id.in_(chosen.matters))
        if chosen.reason is not None:
            found.append(closings.c.reason == chosen.reason.value)
        if chosen.batch is not None:
            run, batch = chosen.batch
            found += [closings.c.claimed_in_run == run, closings.c.batch == batch]
        if chosen.command is not None:
            found.append(closings.c.command == chosen.command.value)
        return and_(*found)

    def _transaction(self) -> database.Transaction:
        return database.transaction(self._engine)


def _in_states(states: frozenset[State]) -> ColumnElement[bool]:
    """What is held is marked, so each of the three is found by an index of its own.

    For several of them at once SQLite looks at every row of the ledger, once: fine for a command
    that a person types.
    """
    held = and_(MARKED, closings.c.state == State.HELD.value)
    found = {State.PENDING: and_(PENDING), State.HELD: held, State.DEAD: and_(DEAD)}
    return or_(false(), *(found[state] for state in states))


def _of_last_change(column: ColumnElement[Any]) -> ScalarSelect[Any]:
    """Return a column of the row's last change; the key of the changes finds it."""
    return (
        select(column)
        .where(*conditions.OWN_CHANGES)
        .order_by(changes.c.run.desc(), changes.c.position.desc())
        .limit(1)
        .scalar_subquery()
    )


def _chunk(firm: str, after: int) -> Select[Any]:
    names = ("matter_id", "closed_on")
    of_place = and_(closings.c.firm == firm, *(closings.c[n] == due.c[n] for n in names))
    return (
        select(*rows.COLUMNS, due.c.place)
        .select_from(due)
        .join(closings, of_place)
        .where(due.c.place > after)
        .order_by(due.c.place)
        .limit(CHUNK)
    )
