"""Brings the state in a file into a firm of a fleet, history and all, so nobody is asked again.

At no moment can both send. Before the firm is committed, the file is marked (`store/moved.py`), and
nothing opens it from then on. What was cut short between the two, the same call again finishes.
"""

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from clio_broadly_sync.domain.daily_look import Part
from clio_broadly_sync.domain.errors import ConfigError, DamagedError, StorageError
from clio_broadly_sync.store import FilePlace, Store, database, exports, moved, postgresql, tokens
from clio_broadly_sync.store.facts import WRITE
from clio_broadly_sync.store.firm import take_account
from clio_broadly_sync.store.firms import HASH_KEY
from clio_broadly_sync.store.leftovers import locked
from clio_broadly_sync.store.postgresql import OWNER, Session
from clio_broadly_sync.store.postgresql_schema import MOVING
from clio_broadly_sync.store.schema import RESTORE
from clio_broadly_sync.store.seal import Seal
from clio_broadly_sync.store.tables import (
    CHANGES,
    CLOSINGS,
    FACTS,
    NOES,
    OBJECTIONS,
    PEOPLE,
    RUNS,
    Table,
)

log = logging.getLogger(__name__)

NOTES: Final = ("told", "notified")
"""What was told to whom, which is beside a file and a fact of a firm."""
_COMMAND: Final = "firms add"
_FLEET: Final = """
    SELECT concat_ws('-', (SELECT system_identifier FROM pg_control_system()),
        (SELECT oid FROM pg_database WHERE datname = current_database()),
        CAST(CAST('firms' AS REGCLASS) AS OID))
"""
"""What tells a fleet from every other one: the server, the database, and the table there."""


def move(
    path: Path,
    name: str,
    add: Callable[[str], int],
    *,
    session: Session,
    seal: Seal,
    now: datetime,
) -> int:
    """Bring the state in the file at `path` into the firm with that name; return its number.

    `add` adds the firm by the session's transaction, and returns its number; it is given the key of
    the firm's hashes (in hex), which is to be sealed with the secrets. The session may work as
    `fleet_worker` and as `fleet_owner`. The file's watermark is held against `now` (aware UTC).

    All is done or nothing; but where it is cut short at its very end, the file is marked and there
    may be no firm yet. The same call then goes on. Raise StorageError where the state is missing or
    not sound, and ConfigError where it has moved already, where it has to be put in order first,
    where the firm has a ledger already, or where another one has its account of Clio.
    """
    place, fleet = FilePlace(path), _fleet(session)
    mark = moved.in_progress(name, fleet)
    _check_there(path)
    with locked(path, _COMMAND, mark), place.sign_in().alone():
        with Store.snapshot(path, mark) as copy:
            _check_sound(copy, place, now)
            with session.transaction():
                facts = _facts_of(copy)
                firm = add(facts.pop(HASH_KEY))
                arrival = _Arrival(session, firm, copy)
                arrival.bring_tables()
                arrival.bring_facts(facts | _notes(place), lambda own: seal.close(name, own))
                with _marking(path) as connection:
                    moved.begin(connection, name, fleet)
        _end(path, name)
    return firm


def _fleet(session: Session) -> str:
    with postgresql.storage_errors():
        return str(session.execute(_FLEET).fetchone()[0])


def _check_there(path: Path) -> None:
    with database.storage_errors():
        if not database.exists(path):
            raise StorageError(f"There is no state at {path}: see what --state names.")


def _check_sound(copy: Store, place: FilePlace, now: datetime) -> None:
    grave = [flaw for flaw in [*place.flaws(), *copy.flaws(now)] if flaw.grave]
    if grave:
        raise DamagedError(grave[0].sentence)


def _notes(place: FilePlace) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in NOTES:
        with suppress(OSError):  # who was told of what is worth no refusal
            if content := place.notes(name).read():
                found[name] = json.dumps(content)
    return found


@contextmanager
def _marking(path: Path) -> Iterator[Any]:
    """Let something be written into the file, whatever its version; it outlives a power cut."""
    with database.storage_errors(), tokens.opened(path) as connection:
        connection.execute(database.WRITE_AHEAD).close()
        with database.transaction(connection):
            yield connection
        with suppress(StorageError):  # another program reads it, and the -wal is left as it is
            database.take_in(connection)


def _end(path: Path, name: str) -> None:
    """Note that the move has come to its end, and leave no sign-in behind: it is the firm's now.

    Where that fails, the file is refused all the same.
    """
    try:
        with _marking(path) as connection:
            moved.end(connection, name)
            tokens.erase(connection)
    except StorageError:
        log.warning("The firm is there, but its sign-in may be left in %s: remove that file.", path)


def _facts_of(copy: Store) -> dict[str, str]:
    """Return the facts of the state; raise ConfigError where it can go on only on this machine."""
    facts = {row["name"]: row["value"] for row in copy.rows(FACTS)}
    if facts.get(exports.FACT):
        raise ConfigError(_EXPORT)
    return facts


class _Arrival:
    """A state that arrives in a firm of the database, within one transaction of the caller's.

    Raise ConfigError where the firm has a ledger already.
    """

    def __init__(self, session: Session, firm: int, copy: Store) -> None:
        self._session = session
        self._firm = firm
        self._copy = copy
        for statement in _AS_OWNER:
            session.execute(statement)
        if session.execute(_HAS_LEDGER, {"firm": firm}).fetchone()[0]:
            raise ConfigError(_LEDGER)

    def bring_tables(self) -> None:
        """Bring every row along; the closings get numbers of this database, in the same order."""
        self._session.execute(_NUMBERS)
        self._bring(CLOSINGS, _ADD_CLOSINGS)
        self._session.execute("ANALYZE moving_numbers")
        for table in (RUNS, CHANGES, PEOPLE, NOES, OBJECTIONS):
            self._bring(table, _adding(table))

    def bring_facts(
        self, facts: dict[str, str], sealed: Callable[[Mapping[str, str]], bytes]
    ) -> None:
        """Bring these facts along; account and sign-in go into the row of the firm."""
        signed = {name: facts.pop(name) for name in tokens.NAMES if name in facts}
        for name in (f"{part}_looked_to" for part in Part):
            if name in facts:
                facts[name] = str(self._new_number(int(facts[name])))
        rows = [{"firm": self._firm, "name": n, "value": value} for n, value in facts.items()]
        self._session.executemany(WRITE, rows)
        if (pins := self._copy.pins()) is not None:
            take_account(self._session, self._firm, pins)
        if tokens.grant_of(signed) is not None:
            self._session.execute(_SIGN_IN, {"firm": self._firm, "sealed": sealed(signed)})

    def _bring(self, table: Table, add: str) -> None:
        """Bring the rows of a table along; raise DamagedError where one names no closing."""
        moving, columns = f"moving_{table.name}", (column.name for column in table.columns)
        self._session.execute(f"CREATE TEMPORARY TABLE {moving} (LIKE {table.name}) ON COMMIT DROP")
        # No rows may be copied at once into a table whose rows are kept apart by policies.
        brought = self._session.copy_in(moving, columns, self._rows(table))
        if self._session.execute(add).rowcount != brought:
            raise DamagedError(f"The state is damaged: a closing is gone from it. {RESTORE}")
        self._session.execute(f"DROP TABLE {moving}")

    def _rows(self, table: Table) -> Iterable[Sequence[Any]]:
        return ((self._firm, *tuple(row)[1:]) for row in self._copy.rows(table))

    def _new_number(self, number: int) -> int:
        """Return the number of the last closing up to the one that had this number."""
        return int(self._session.execute(_NEW_NUMBER, {"number": number}).fetchone()[0])


# A ledger of many years takes as long as it takes.
_AS_OWNER: Final = (
    f"SET LOCAL ROLE {OWNER}",
    f"SET LOCAL {MOVING} = 'on'",
    "SET LOCAL statement_timeout = 0",
    "SET LOCAL idle_in_transaction_session_timeout = 0",
)
_OF_FIRM: Final = (FACTS, RUNS, CLOSINGS)
_HAS_LEDGER: Final = "SELECT " + " OR ".join(
    f"EXISTS (SELECT 1 FROM {table.name} WHERE firm = :firm)" for table in _OF_FIRM
)
_NUMBERS: Final = """
    CREATE TEMPORARY TABLE moving_numbers (before BIGINT PRIMARY KEY, number BIGINT NOT NULL)
    ON COMMIT DROP
"""
_NEW_NUMBER: Final = """
    SELECT coalesce(max(number), 0) FROM moving_numbers WHERE before <= :number
"""
_COLUMNS: Final = ", ".join(c.name for c in CLOSINGS.columns if c.name != "number")
_ADD_CLOSINGS: Final = f"""
    WITH added AS (
        INSERT INTO closings ({_COLUMNS}) SELECT {_COLUMNS} FROM moving_closings ORDER BY number
        RETURNING number, matter_id, closed_on
    )
    INSERT INTO moving_numbers (before, number)
    SELECT moving.number, added.number
    FROM moving_closings AS moving JOIN added USING (matter_id, closed_on)
"""
_SIGN_IN: Final = "UPDATE firms SET sign_in = :sealed WHERE firm = :firm"
_EXPORT: Final = (
    "A run was killed while it wrote a file, and what became of that only this machine can tell: "
    "run `clio-broadly-sync sync --csv FILE` on this state once more, and then this again."
)
_LEDGER: Final = (
    "The firm of that name has a ledger already, so no other one can be brought into it: add it "
    "without --state, and it goes on with its own."
)


def _adding(table: Table) -> str:
    """Return the statement that adds the rows that were brought, with the new numbers."""
    names = [column.name for column in table.columns]
    taken = ["numbers.number" if name == "closing" else f"moving.{name}" for name in names]
    numbers = " JOIN moving_numbers AS numbers ON numbers.before = moving.closing"
    source = f"moving_{table.name} AS moving{numbers if 'closing' in names else ''}"
    return f"INSERT INTO {table.name} ({', '.join(names)}) SELECT {', '.join(taken)} FROM {source}"
