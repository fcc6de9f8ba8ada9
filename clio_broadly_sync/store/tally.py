"""How a state stands, counted: runs, what waits, what needs a person, hand-overs. Only reads.

Each count goes by an index, so that a ledger of many years is counted as fast as a new one.
"""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, Row, Select, TextClause, func, select

from clio_broadly_sync.model import Command, Reason, State
from clio_broadly_sync.store import database, rows
from clio_broadly_sync.store.schema import DEAD, MARKED, PENDING, SENDING, closings, runs


class PastRun(NamedTuple):
    """A run; the last two are None where it is at work, or was cut short."""

    run: int
    command: str
    started_at: datetime
    finished_at: datetime | None
    exit_code: int | None


class Group(NamedTuple):
    """So many closings of one command for one reason; `oldest`: when the first was noticed."""

    command: Command
    reason: Reason | None
    closings: int
    oldest: datetime


class Tally:
    """The counts of one firm. Every method is one transaction, and raises StorageError."""

    def __init__(self, engine: Engine, firm: str) -> None:
        self._engine = engine
        self._firm = firm

    def last_runs(self, number: int) -> list[PastRun]:
        """Return the last runs, the latest first."""
        return self._runs(select(runs).where(runs.c.firm == self._firm).limit(number))

    def last_sync(self) -> PastRun | None:
        """Return the last `sync`, however it ended."""
        is_sync = runs.c.command == Command.SYNC.value
        found = self._runs(select(runs).where(runs.c.firm == self._firm, is_sync).limit(1))
        return found[0] if found else None

    def waiting(self) -> list[Group]:
        """Count what waits, by command and reason; what is most comes first."""
        return self._groups(PENDING)

    def sending(self) -> list[Group]:
        """Count what is on its way, or was when a run was cut short."""
        return self._groups(SENDING)

    def held(self) -> list[Group]:
        """Count what may have been handed over and is not sent again by itself."""
        return self._groups(MARKED, closings.c.state == State.HELD.value)

    def dead(self) -> list[Group]:
        """Count what Broadly rejected, or put off until it was given up."""
        return self._groups(DEAD)

    def handed_over(self, bounds: Sequence[datetime]) -> list[int]:
        """Count the closings handed over between each two neighbours of `bounds`."""
        moments = [rows.seconds(bound) for bound in bounds]
        with self._transaction() as connection:
            return [self._handed_over(connection, first, end) for first, end in pairwise(moments)]

    def _handed_over(self, connection: Connection, first: int, end: int) -> int:
        statement = select(func.count()).where(
            closings.c.firm == self._firm,
            closings.c.claimed_at >= first,
            closings.c.claimed_at < end,
            closings.c.state == State.SENT.value,
        )
        return connection.execute(statement).scalar_one()

    def _groups(self, *conditions: ColumnElement[bool] | TextClause) -> list[Group]:
        number = func.count()
        grouped = (closings.c.command, closings.c.reason)
        statement = (
            select(*grouped, number.label("number"), func.min(closings.c.noticed_at).label("first"))
            .where(closings.c.firm == self._firm, *conditions)
            .group_by(*grouped)
            .order_by(number.desc(), *grouped)
        )
        with self._transaction() as connection:
            return [_group(row) for row in connection.execute(statement)]

    def _runs(self, statement: "Select[tuple[object, ...]]") -> list[PastRun]:
        with self._transaction() as connection:
            found = connection.execute(statement.order_by(runs.c.run.desc()))
            return [_past_run(row) for row in found]

    def _transaction(self) -> database.Transaction:
        return database.transaction(self._engine)


def _group(row: "Row[tuple[object, ...]]") -> Group:
    reason = Reason(row.reason) if row.reason else None
    return Group(Command(row.command), reason, row.number, rows.moment(row.first))


def _past_run(row: "Row[tuple[object, ...]]") -> PastRun:
    finished = row.finished_at
    return PastRun(
        run=row.run,
        command=row.command,
        started_at=rows.moment(row.started_at),
        finished_at=None if finished is None else rows.moment(finished),
        exit_code=row.exit_code,
    )
