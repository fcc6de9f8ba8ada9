"""Does a state hold what it must: its files, its database, its facts, its ledger. Only reads.

SQLite finds a page that is broken; what a bug, a hand or half a restored copy may break is found
by rows that no run could have written (`facts`, `invariants`).
"""

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Engine, and_, func, select

from clio_broadly_sync.errors import StorageError
from clio_broadly_sync.store import database, facts, invariants
from clio_broadly_sync.store.facts import Facts
from clio_broadly_sync.store.invariants import Invariant
from clio_broadly_sync.store.schema import changes, closings, runs

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

    def __init__(self, engine: Engine, firm: str, known: Facts) -> None:
        self._engine = engine
        self._firm = firm
        self._facts = known

    def flaws(self, now: datetime) -> list[Flaw]:
        """Return what does not hold; of a broken database, only that."""
        with self._transaction() as connection:
            if broken := _broken(connection):
                return [broken]
            has_closings = self._count(connection, closings) > 0
            found = facts.contradictions(self._facts, now, has_closings=has_closings)
            return [
                *(Flaw(name, f"{words} {MEND}") for name, words in found),
                *self._gaps(connection),
                *_orphans(connection),
                *(
                    flaw
                    for invariant in invariants.of_firm(self._firm)
                    for flaw in self._broken_by(connection, invariant)
                ),
            ]

    def sizes(self) -> tuple[int, int, int]:
        """Return how many closings, changes and runs there are."""
        with self._transaction() as connection:
            counted = [self._count(connection, table) for table in (closings, changes, runs)]
        return counted[0], counted[1], counted[2]

    def _broken_by(self, connection: Connection, invariant: Invariant) -> Iterator[Flaw]:
        of_matter = invariant.table.c.matter_id
        rows = and_(invariant.table.c.firm == self._firm, invariant.is_broken)
        statement = select(func.count()).select_from(invariant.table).where(rows)
        if number := connection.execute(statement).scalar_one():
            first = select(of_matter).where(rows).distinct().order_by(of_matter).limit(NAMED)
            matters = tuple(connection.execute(first).scalars())
            yield Flaw(invariant.name, f"{invariant.words} ({number} in all). {MEND}", matters)

    def _gaps(self, connection: Connection) -> Iterator[Flaw]:
        numbers = select(func.count(), func.min(runs.c.run), func.max(runs.c.run))
        found = connection.execute(numbers.where(runs.c.firm == self._firm)).one()
        count, first, last = found
        if count and (first, last) != (1, count):
            yield Flaw("runs", f"Runs are missing from the list of runs. {MEND}")

    def _count(self, connection: Connection, table: Any) -> int:
        statement = select(func.count()).select_from(table).where(table.c.firm == self._firm)
        return connection.execute(statement).scalar_one()

    def _transaction(self) -> database.Transaction:
        return database.transaction(self._engine)


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
        sentence = "Others may look into the folder of the state; make it private: chmod 700 on it."
        found.append(Flaw("folder", sentence, grave=bool(folder & 0o022)))
    return found


def _of_file(file: Path) -> Iterator[Flaw]:
    status = os.lstat(file)
    if status.st_uid != os.geteuid():
        yield Flaw("owner", f"{file.name} belongs to another user; give it to this one: chown.")
    if status.st_mode & 0o077:
        yield Flaw("mode", f"Others may read {file.name}; make it private: chmod 600 on it.")


def _broken(connection: Connection) -> Flaw | None:
    """What SQLite says names tables, indexes and pages, never a value."""
    said = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalars().all()
    if said == ["ok"]:
        return None
    first = str(said[0]).splitlines()[-1]
    return Flaw("database", f"The database is broken ({first}). {MEND}")


def _orphans(connection: Connection) -> Iterator[Flaw]:
    for _ in connection.exec_driver_sql("PRAGMA foreign_key_check"):
        yield Flaw("orphans", f"Changes belong to no closing. {MEND}")
        return
