"""The outbox: what waits, is held or is dead, and a person's choice of it, listed or changed.

The counts that `status` shows are in `store/overview.py`.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from clio_broadly_sync.domain.model import Closing, Command, Due, Key
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.store import database, queue, rows
from clio_broadly_sync.store.database import Connection
from clio_broadly_sync.store.overview import SurgeFigures, surge_figures
from clio_broadly_sync.store.rows import OF_FIRM, among
from clio_broadly_sync.store.tables import DEAD, HELD, PENDING, SENDING
from clio_broadly_sync.store.writer import Writer

OUTBOX: Final = frozenset({State.PENDING, State.HELD, State.DEAD})


class Selection(NamedTuple):
    """Which rows of the outbox are meant: those that fit all of this.

    None fits every row, and so does an empty `matters`.
    """

    states: frozenset[State] = OUTBOX
    matters: Sequence[int] = ()
    """Ids of matters."""
    reason: Reason | None = None
    batch: tuple[int, int] | None = None
    """The number of a run, and of the one of its batches that the row was in last."""
    command: Command | None = None


class Listed(NamedTuple):
    """A row of the outbox."""

    closing: Closing
    since: datetime
    """When the row last changed or, if it waits, when it was noticed (aware UTC)."""
    code: str | None
    """Broadly's code in the row's last change; None where there is none."""


class Outbox:
    """One firm's outbox. Every method is one transaction and may raise StorageError."""

    def __init__(self, connection: Connection, firm: int, writer: Writer) -> None:
        self._connection = connection
        self._firm = firm
        self._writer = writer
        self._before = 0
        """The place of the run's last change before `change` made its own."""

    def listed(self, chosen: Selection) -> Iterator[Listed]:
        """Yield the chosen rows in the order in which they were noticed."""
        condition, values = self._chosen(chosen)
        statement = _LISTED.format(condition=condition)
        with self._transaction() as connection:
            for row in database.each(connection, statement, values):
                closing = rows.closing_of(row)
                waits = closing.state is State.PENDING
                since_when = closing.noticed_at if waits else rows.moment(row["changed_at"])
                yield Listed(closing, since_when, row["code"])

    def count(self, chosen: Selection) -> Counter[State]:
        """Count the chosen rows by their state."""
        condition, values = self._chosen(chosen)
        statement = f"SELECT state, count(*) FROM closings WHERE {condition} GROUP BY state"
        with self._transaction() as connection:
            found = connection.execute(statement, values)
            return Counter({State(state): number for state, number in found})

    def count_sending(self) -> int:
        """Count what a run is sending to Broadly, or was sending when it was killed."""
        statement = f"SELECT count(*) FROM closings WHERE {OF_FIRM} AND {SENDING}"
        with self._transaction() as connection:
            return int(connection.execute(statement, {"firm": self._firm}).fetchone()[0])

    def change(self, chosen: Selection, after: Callable[[Closing], Closing], at: datetime) -> int:
        """Change all chosen rows or, where that fails, none; return how many there were.

        `after` returns what becomes of a row.
        """
        with self._writer.transaction(self._connection) as connection:
            # The rows are chosen once, by whatever index; the chunks then go by their places, so
            # no change to a row can hide another one or show one twice.
            self._before = self._writer.position
            number = queue.put(connection, *self._chosen(chosen))
            place: int | None = 0
            while place is not None:
                chunk, place = queue.chunk(connection, self._firm, place)
                self._writer.write(connection, [(old, after(old)) for old in chunk], at)
        return number

    def changed(self) -> Iterator[Key]:
        """Yield what `change` changed last, and not what the recovery of the run changed."""
        values = {"firm": self._firm, "run": self._writer.run, "before": self._before}
        with self._transaction() as connection:
            yield from map(rows.key_of, database.each(connection, _CHANGED, values))

    def surge_figures(self, wanted: Due) -> SurgeFigures:
        """Return the figures of what is due and waits for a person's approval."""
        values = queue.parameters(wanted, self._firm, self._writer.run)
        with self._transaction() as connection:
            return surge_figures(connection, values)

    def _chosen(self, chosen: Selection) -> tuple[str, dict[str, Any]]:
        """Return the condition of the chosen rows, and the values of its parameters."""
        found = [OF_FIRM, _in_states(chosen.states)]
        values: dict[str, Any] = {"firm": self._firm}
        if chosen.matters:
            listed, matters = among("matter", chosen.matters)
            found.append(f"closings.matter_id IN {listed}")
            values |= matters
        if chosen.reason is not None:
            found.append("closings.reason = :reason")
            values["reason"] = chosen.reason.value
        if chosen.batch is not None:
            found.append("closings.claimed_in_run = :run AND closings.batch = :batch")
            values["run"], values["batch"] = chosen.batch
        if chosen.command is not None:
            found.append("closings.command = :command")
            values["command"] = chosen.command.value
        return " AND ".join(found), values

    def _transaction(self) -> database.Transaction:
        return database.transaction(self._connection)


_IN_STATE: Final = {State.PENDING: PENDING, State.HELD: HELD, State.DEAD: DEAD}


def _in_states(states: frozenset[State]) -> str:
    """Return the condition that a row is in one of these states.

    Each of the three states is found by an index of its own; that of the held ones is the index of
    the rows in doubt, because what is held is in doubt. For several states at once SQLite looks at
    every row of the ledger, once, which is fine for a command that a person types.
    """
    return f"({' OR '.join(f'({_IN_STATE[state]})' for state in states) or 'false'})"


_LISTED: Final = f"""
    SELECT {rows.SELECTED}, closings.code, closings.changed_at
    FROM closings
    WHERE {{condition}}
    ORDER BY closings.noticed_at, closings.matter_id, closings.closed_on
"""
_CHANGED: Final = f"""
    SELECT matter_id, closed_on FROM closings
    WHERE {OF_FIRM} AND changed_in_run = :run AND position > :before
    ORDER BY position
"""
