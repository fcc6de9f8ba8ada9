"""Does a state hold what it must: its files, its database, its facts, its ledger. Only reads.

SQLite finds a page that is broken; what a bug, a hand or half a restored copy may break is found
by rows that no run could have written (`facts`, `invariants`).
"""

import os
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

from clio_broadly_sync.domain.errors import StorageError
from clio_broadly_sync.store import database, facts, integrity
from clio_broadly_sync.store.facts import Facts
from clio_broadly_sync.store.integrity import Invariant

NAMED: Final = 5
"""So many matters are named with what is wrong about them."""
MEND: Final = "Restore a sound copy of the state (README, Recipes), or report this as a bug."


class Flaw(NamedTuple):
    """Something that does not hold, and what to do. `name` is for programs; `matters`: the first
    of those that it is about. What is not `grave` does the state no harm."""

    name: str
    sentence: str
    matters: tuple[int, ...] = ()
    grave: bool = True


class Soundness:
    """What holds in one firm's state. Every method is one transaction, and raises StorageError."""

    def __init__(self, connection: sqlite3.Connection, firm: str, known: Facts) -> None:
        self._connection = connection
        self._firm = firm
        self._facts = known

    def flaws(self, now: datetime) -> list[Flaw]:
        """Return what does not hold; of a broken database, only that."""
        with self._transaction() as connection:
            if broken := _broken(connection):
                return [broken]
            has_closings = self._count(connection, "closings") > 0
            found = facts.contradictions(self._facts, now, has_closings=has_closings)
            return [
                *(Flaw(name, f"{words} {MEND}") for name, words in found),
                *self._gaps(connection),
                *_orphans(connection),
                *(
                    flaw
                    for invariant in integrity.every()
                    for flaw in self._broken_by(connection, invariant)
                ),
            ]

    def sizes(self) -> tuple[int, int, int]:
        """Return how many closings, changes and runs there are."""
        with self._transaction() as connection:
            counted = [self._count(connection, table) for table in ("closings", "changes", "runs")]
        return counted[0], counted[1], counted[2]

    def _broken_by(self, connection: sqlite3.Connection, invariant: Invariant) -> Iterator[Flaw]:
        broken = f"FROM {invariant.rows} WHERE firm = :firm AND ({invariant.is_broken})"
        values = {"firm": self._firm}
        (number,) = connection.execute(f"SELECT count(*) {broken}", values).fetchone()
        if number:
            first = f"SELECT DISTINCT matter_id {broken} ORDER BY matter_id LIMIT {NAMED}"
            matters = tuple(matter for (matter,) in connection.execute(first, values))
            yield Flaw(invariant.name, f"{invariant.words} ({number} in all). {MEND}", matters)

    def _gaps(self, connection: sqlite3.Connection) -> Iterator[Flaw]:
        numbers = "SELECT count(*), min(run), max(run) FROM runs WHERE firm = ?"
        count, first, last = connection.execute(numbers, (self._firm,)).fetchone()
        if count and (first, last) != (1, count):
            yield Flaw("runs", f"Runs are missing from the list of runs. {MEND}")

    def _count(self, connection: sqlite3.Connection, table: str) -> int:
        statement = f"SELECT count(*) FROM {table} WHERE firm = ?"
        return int(connection.execute(statement, (self._firm,)).fetchone()[0])

    def _transaction(self) -> database.Transaction:
        return database.transaction(self._connection)


def files(path: Path) -> list[Flaw]:
    """Return what others may do with the state's folder, and with the files beside it; the state
    itself is looked at whenever it is opened.

    Raise StorageError where there is no state at all.
    """
    with database.storage_errors():
        if not database.exists(path):
            raise StorageError(
                "There is no state to verify; the first `sync` makes it. If there was one, check "
                "SYNC_STATE, or see “The state is lost” in the README."
            )
        folder = os.stat(path.parent).st_mode
        near = [f for f in sorted(path.parent.iterdir()) if f.name.startswith(path.name)]
        found = [flaw for file in near if file != path for flaw in _of_file(file)]
    if folder & 0o077:
        sentence = f"Others may look into {path.parent}; {database.privacy(path.parent)}"
        found.append(Flaw("folder", sentence, grave=bool(folder & 0o022)))
    return found


def _of_file(file: Path) -> Iterator[Flaw]:
    status = os.lstat(file)
    if status.st_uid != os.geteuid():
        yield Flaw("owner", f"{file.name} belongs to another user; give it to this one: chown.")
    if status.st_mode & 0o077:
        yield Flaw("mode", f"Others may read {file.name}; make it private: chmod 600 on it.")


def _broken(connection: sqlite3.Connection) -> Flaw | None:
    """What SQLite says names tables, indexes and pages, never a value."""
    (said,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if said == "ok":
        return None
    return Flaw("database", f"The database is broken ({said.splitlines()[-1]}). {MEND}")


def _orphans(connection: sqlite3.Connection) -> Iterator[Flaw]:
    if connection.execute("PRAGMA foreign_key_check").fetchone() is not None:
        yield Flaw("orphans", f"Changes belong to no closing. {MEND}")
