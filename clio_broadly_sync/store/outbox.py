"""The outbox: what waits, is held or was rejected; a person's choice of it, listed or changed."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from clio_broadly_sync.domain.model import Closing, Command, Due, Key
from clio_broadly_sync.domain.reasons import Reason, State
from clio_broadly_sync.store import database, queue, rows
from clio_broadly_sync.store.ledger import Writer
from clio_broadly_sync.store.overview import SurgeFigures, surge_figures
from clio_broadly_sync.store.rows import OF_FIRM
from clio_broadly_sync.store.schema import DEAD, HELD, PENDING, SENDING

OUTBOX: Final = frozenset({State.PENDING, State.HELD, State.DEAD})


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

    def __init__(self, connection: sqlite3.Connection, firm: str, writer: Writer) -> None:
        self._connection = connection
        self._firm = firm
        self._writer = writer

    def listed(self, chosen: Selection) -> Iterator[Listed]:
        """Yield the rows in the order in which they were noticed."""
        condition, values = self._chosen(chosen)
        statement = _LISTED.format(condition=condition)
        with self._transaction() as connection:
            for row in connection.execute(statement, values):
                closing = rows.closing_of(row)
                waits = closing.state is State.PENDING or row["since"] is None
                since_when = closing.noticed_at if waits else rows.moment(row["since"])
                yield Listed(closing, since_when, row["code"])

    def count(self, chosen: Selection) -> Counter[State]:
        """Count the rows by their state."""
        condition, values = self._chosen(chosen)
        statement = f"SELECT state, count(*) FROM closings WHERE {condition} GROUP BY state"
        with self._transaction() as connection:
            found = connection.execute(statement, values)
            return Counter({State(state): number for state, number in found})

    def count_sending(self) -> int:
        """Count what a run is handing over, or was when it was killed."""
        statement = f"SELECT count(*) FROM closings WHERE {OF_FIRM} AND {SENDING}"
        with self._transaction() as connection:
            return int(connection.execute(statement, {"firm": self._firm}).fetchone()[0])

    def change(self, chosen: Selection, after: Callable[[Closing], Closing], at: datetime) -> int:
        """Change all chosen rows or, where that fails, none; return how many there were."""
        with self._transaction() as connection:
            # Chosen once, whatever the index that finds them: the chunks then follow the places.
            number = queue.put(connection, *self._chosen(chosen))
            place: int | None = 0
            while place is not None:
                chunk, place = queue.chunk(connection, self._firm, place)
                self._writer.write(connection, [(old, after(old)) for old in chunk], at)
        return number

    def changed(self) -> Iterator[Key]:
        """Yield what was changed in this run; what its recovery held is not meant."""
        values = {"firm": self._firm, "run": self._writer.run}
        with self._transaction() as connection:
            yield from map(rows.key_of, connection.execute(_CHANGED, values))

    def surge_figures(self, wanted: Due) -> SurgeFigures:
        """Return the figures of what is due and waits for a person's approval."""
        values = queue.parameters(wanted, self._firm, self._writer.run)
        with self._transaction() as connection:
            return surge_figures(connection, values)

    def _chosen(self, chosen: Selection) -> tuple[str, dict[str, Any]]:
        """Return the condition, and the values of its parameters."""
        found = [OF_FIRM, _in_states(chosen.states)]
        values: dict[str, Any] = {"firm": self._firm}
        if chosen.matters:
            matters = {f"matter_{n}": matter for n, matter in enumerate(chosen.matters)}
            found.append(f"closings.matter_id IN ({', '.join(f':{name}' for name in matters)})")
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
    """What is held is marked, so each of the three is found by an index of its own.

    For several of them at once SQLite looks at every row of the ledger, once: fine for a command
    that a person types.
    """
    return f"({' OR '.join(f'({_IN_STATE[state]})' for state in states) or 'false'})"


_OF_LAST_CHANGE: Final = f"""(
    SELECT {{column}} FROM changes
    WHERE {rows.OWN_CHANGES}
    ORDER BY changes.run DESC, changes.position DESC
    LIMIT 1
)"""
"""A column of the row's last change; the key of the changes finds it."""
_LISTED: Final = f"""
    SELECT
        {rows.SELECTED},
        {_OF_LAST_CHANGE.format(column="changes.code")} AS code,
        {_OF_LAST_CHANGE.format(column="changes.at")} AS since
    FROM closings
    WHERE {{condition}}
    ORDER BY closings.noticed_at, closings.matter_id, closings.closed_on
"""
_CHANGED: Final = f"""
    SELECT matter_id, closed_on FROM closings
    WHERE {OF_FIRM} AND decided_in_run = :run AND state != '{State.HELD.value}'
    ORDER BY position
"""
