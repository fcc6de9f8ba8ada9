"""How closings are written: the row as it now is, and a line in the append-only list of changes."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from typing import Any, Final

from clio_broadly_sync.domain.errors import BusyError
from clio_broadly_sync.domain.model import Closing, Key
from clio_broadly_sync.domain.reasons import State
from clio_broadly_sync.store import database, rows
from clio_broadly_sync.store.rows import marks

Pair = tuple[Closing | None, Closing]
"""A closing as it was (None: new) and as it is to be."""
Values = tuple[Any, ...]
NO_CODES: Mapping[Key, str | None] = {}


class Writer:
    """Writes one firm's closings, and their changes."""

    def __init__(self, firm: str) -> None:
        self.run = 0
        """The number of the run, which every change carries."""
        self._firm = firm
        self._position = 0

    @contextmanager
    def transaction(self, connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
        """Do what is inside as one transaction of this run.

        Raise BusyError where another run has begun since this one did: the lock did not lock, and
        what the other one decides must stand.
        """
        with database.transaction(connection):
            (last,) = connection.execute(_LAST_RUN, (self._firm,)).fetchone()
            if self.run and last != self.run:
                raise BusyError(
                    "Another run has begun on this state although this one was still at work, so "
                    "this one wrote nothing more. Does the state lie on a network folder, or was "
                    "its lock file removed?"
                )
            yield connection

    def write(
        self,
        connection: sqlite3.Connection,
        pairs: Sequence[Pair],
        at: datetime,
        *,
        codes: Mapping[Key, str | None] = NO_CODES,
        decided: bool = True,
    ) -> None:
        """Write all pairs; with `decided`, as decisions of this run (what becomes held always is).

        The transaction is one of `transaction`. `codes` are Broadly's codes, for the list of
        changes.
        """
        added: list[Values] = []
        changed: defaultdict[tuple[str, ...], list[Values]] = defaultdict(list)
        noted: list[Values] = []
        changed_at = rows.seconds(at)
        for old, new in pairs:
            self._position += 1
            run = self.run if decided or new.state is State.HELD else 0
            own = (run, self._position, changed_at)
            if old is None:
                added.append((self._firm, *rows.values_of(new), *own))
            else:
                values = rows.difference(old, new)
                changed[tuple(values)].append((*values.values(), *own, *self._key(old.key)))
            if old is None or _differ(old, new):
                noted.append(self._note(old, new, changed_at, codes.get(new.key)))
        connection.executemany(_ADD, added)
        for columns, several in changed.items():
            connection.executemany(_change(columns), several)
        connection.executemany(_NOTE, noted)

    def _key(self, key: Key) -> Values:
        return self._firm, key.matter_id, rows.day(key.closed_on)

    def _note(self, old: Closing | None, new: Closing, at: int, code: str | None) -> Values:
        return (
            *self._key(new.key),
            self.run,
            self._position,
            at,
            old.state.value if old is not None else None,
            new.state.value,
            new.reason.value if new.reason else None,
            code,
            new.batch if new.state is State.SENDING else None,
            new.cause,
        )


_LAST_RUN: Final = "SELECT max(run) FROM runs WHERE firm = ?"
_OWN: Final = ("decided_in_run", "position", "changed_at")
_ALL: Final = ("firm", *rows.COLUMNS, *_OWN)
_NOTED: Final = (
    "firm",
    "matter_id",
    "closed_on",
    "run",
    "position",
    "at",
    "from_state",
    "to_state",
    "reason",
    "code",
    "batch",
    "cause",
)
_ADD: Final = f"INSERT INTO closings ({', '.join(_ALL)}) VALUES {marks(_ALL)}"
_NOTE: Final = f"INSERT INTO changes ({', '.join(_NOTED)}) VALUES {marks(_NOTED)}"


@cache
def _change(columns: tuple[str, ...]) -> str:
    """Return an UPDATE of these columns only: SQLite rewrites every index that has one of them."""
    changes = ", ".join(f"{column} = ?" for column in (*columns, *_OWN))
    return f"UPDATE closings SET {changes} WHERE firm = ? AND matter_id = ? AND closed_on = ?"


def _differ(old: Closing, new: Closing) -> bool:
    return _told(old) != _told(new)


def _told(closing: Closing) -> Values:
    return closing.key, closing.state, closing.reason, closing.cause
