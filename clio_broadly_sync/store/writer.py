"""How closings are written, in transactions of the run that is at work.

The list of changes is written by the database's own triggers (`store/tables.py`).
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from itertools import chain
from typing import Any, Final

from clio_broadly_sync.domain.errors import BusyError, StorageError
from clio_broadly_sync.domain.model import Closing, Key
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.store import database, lock, rows
from clio_broadly_sync.store.database import Connection
from clio_broadly_sync.store.schema import RESTORE
from clio_broadly_sync.store.tables import CLOSINGS

Pair = tuple[Closing | None, Closing]
"""A closing as it was (None: new) and as it is to be."""
Values = tuple[Any, ...]
"""What a statement is given, by place: SQLite's module looks each name up anew in every row."""
NO_CODES: Mapping[Key, str | None] = {}


class Writer:
    """Writes one firm's closings."""

    def __init__(self, firm: int) -> None:
        self.run = 0
        """The number of the run, which every change carries."""
        self.position = 0
        """The place of the last change among those of the run."""
        self._firm = firm

    @contextmanager
    def transaction(self, connection: Connection, *, lasting: bool = True) -> Iterator[Connection]:
        """Do what is inside as one transaction of this run (`database.transaction`).

        Raise BusyError where another run has begun since this one did: the lock did not lock, and
        what the other one decides must stand.
        """
        with database.transaction(connection, lasting=lasting):
            if self.run and last_run(connection, self._firm) != self.run:
                raise BusyError(
                    "Another run has begun on this state although this one was still at work, so "
                    f"this one wrote nothing more. {lock.why_unlocked(connection)}"
                )
            yield connection

    def write(
        self,
        connection: Connection,
        pairs: Sequence[Pair],
        at: datetime,
        *,
        codes: Mapping[Key, str | None] = NO_CODES,
    ) -> None:
        """Write all pairs as changes of this run; the transaction is one of `transaction`.

        `codes` are Broadly's codes, for the list of changes.
        """
        written_at = rows.seconds(at)
        added: list[Values] = []
        changed: defaultdict[tuple[str, ...], list[Values]] = defaultdict(list)
        for old, new in pairs:
            own = self._own(written_at, codes.get(new.key))
            if old is None:
                *stored, _ = rows.values_of(new)
                added.append((self._firm, *stored, *own))
            else:
                values = rows.difference(old, new)
                changed[tuple(values)].append((old.number, *values.values(), *own))
        for lot in rows.in_lots(added):
            connection.execute(_adding(len(lot)), [*chain.from_iterable(lot)])
        for columns, several in changed.items():
            self._change(connection, columns, several)

    def claim(self, connection: Connection, closings: Sequence[Closing], at: datetime) -> None:
        """Write that these closings, as they are now, are being sent."""
        claimed_at = rows.seconds(at)
        claimed = [
            (
                c.number,
                rows.seconds(c.read_at),
                c.batch,
                str(c.channels),
                claimed_at,
                self.run,
                *self._own(claimed_at, None),
            )
            for c in closings
        ]
        self._change(connection, _CLAIMED, claimed, _IS_SENDING)

    def accept(
        self,
        connection: Connection,
        closings: Sequence[Closing],
        at: datetime,
        codes: Mapping[Key, str | None],
    ) -> None:
        """Write that these closings, which were being sent, were accepted."""
        accepted_at = rows.seconds(at)
        accepted = [(c.number, *self._own(accepted_at, codes[c.key])) for c in closings]
        self._change(connection, (), accepted, _IS_SENT)

    def _change(
        self,
        connection: Connection,
        columns: tuple[str, ...],
        several: Sequence[Values],
        fixed: str = "",
    ) -> None:
        """Change these columns of some rows, and what is `fixed`; raise StorageError where one is
        not there.

        A row is given as the number of its closing, the values of the columns, and those of `_OWN`.
        """
        for lot in rows.in_lots(several):
            statement = _changing(columns, fixed, len(lot))
            values = [*chain.from_iterable(lot), self._firm]
            if connection.execute(statement, values).rowcount != len(lot):
                raise StorageError(f"The state is damaged: a closing is gone from it. {RESTORE}")

    def _own(self, at: int, code: str | None) -> Values:
        """Return the ledger's own values of the next change, in the order of `_OWN`."""
        self.position += 1
        return (at, self.run, self.position, code)


def last_run(connection: Connection, firm: int) -> int:
    """Return the number of the run that began last; 0 where none has begun yet.

    None begins until the transaction ends.
    """
    found = connection.execute(database.kept(connection, _LAST_RUN), {"firm": firm}).fetchone()
    return 0 if found is None else int(found[0])


_LAST_RUN: Final = "SELECT value FROM facts WHERE firm = :firm AND name = 'run'"
_OWN: Final = ("changed_at", "changed_in_run", "position", "code")
_ADDED: Final = ("firm", *(c for c in rows.COLUMNS if c != "number"), *_OWN)
_TYPES: Final = {column.name: column.type for column in CLOSINGS.columns}
_CLAIMED: Final = ("read_at", "batch", "channels", "claimed_at", "claimed_in_run")
_IS_SENDING: Final = f", state = '{State.SENDING.value}', reason = NULL, cause = NULL"
_IS_SENT: Final = f", state = '{State.SENT.value}', resent = 0"


@cache
def _adding(lot: int) -> str:
    """Return an INSERT of so many rows."""
    return f"INSERT INTO closings ({', '.join(_ADDED)}) VALUES {rows.places(len(_ADDED), lot)}"


@cache
def _changing(columns: tuple[str, ...], fixed: str, lot: int) -> str:
    """Return an UPDATE of so many rows, and of these columns only: SQLite rewrites every index that
    has one of them.

    (PostgreSQL takes a column of values without any number in it for one of texts.)
    """
    given = (*columns, *_OWN)
    changes = ", ".join(
        f"{column} = CAST(given.column{place} AS {_TYPES[column].upper()})"
        for place, column in enumerate(given, 2)
    )
    return (
        f"UPDATE closings SET {changes}{fixed} "
        f"FROM (VALUES {rows.places(1 + len(given), lot)}) AS given "
        "WHERE closings.firm = ? AND closings.number = given.column1"
    )
