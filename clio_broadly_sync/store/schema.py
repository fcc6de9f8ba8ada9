"""The tables of the state, and the steps from one version of them to the next.

The firm is the first column of every key. No table holds a name, an e-mail address or a phone
number: `people` and `noes` hold keyed hashes. Moments are whole seconds since 1970 in UTC. A close
date is `YYYY-MM-DD`, or empty where the matter has none.
"""

import sqlite3
from collections.abc import Callable
from typing import Final

from clio_broadly_sync.domain.errors import DamagedError, StorageError

RESTORE: Final = "Restore a sound copy of it (README, Recipes)."
"""What to do about a state that is damaged."""
_NOES: Final = """
    CREATE TABLE noes (
        firm TEXT NOT NULL,
        identity BLOB NOT NULL,
        contact_id BIGINT NOT NULL,
        read_at INTEGER NOT NULL,
        PRIMARY KEY (firm, identity, contact_id)
    ) WITHOUT ROWID
"""
TABLES: Final = (
    """
    CREATE TABLE schema_version (
        version INTEGER NOT NULL
    )
    """,
    """
    CREATE TABLE facts (
        firm TEXT NOT NULL,
        name TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (firm, name)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE runs (
        firm TEXT NOT NULL,
        run INTEGER NOT NULL,
        run_id TEXT NOT NULL,
        command TEXT NOT NULL,
        started_at INTEGER NOT NULL,
        finished_at INTEGER,
        exit_code INTEGER,
        failure TEXT,
        PRIMARY KEY (firm, run)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE closings (
        firm TEXT NOT NULL,
        matter_id BIGINT NOT NULL,
        closed_on TEXT NOT NULL,
        contact_id BIGINT,
        state TEXT NOT NULL,
        reason TEXT,
        command TEXT NOT NULL,
        rule TEXT NOT NULL,
        etag TEXT NOT NULL,
        noticed_at INTEGER NOT NULL,
        read_at INTEGER NOT NULL,
        read_in_run INTEGER NOT NULL,
        decided_in_run INTEGER NOT NULL,
        position INTEGER NOT NULL,
        marked INTEGER NOT NULL,
        resent INTEGER NOT NULL,
        approval INTEGER NOT NULL,
        tries INTEGER NOT NULL,
        claimed_at INTEGER,
        claimed_in_run INTEGER NOT NULL,
        changed_at INTEGER NOT NULL,
        batch INTEGER,
        updated_at INTEGER,
        cause TEXT,
        PRIMARY KEY (firm, matter_id, closed_on)
    )
    """,
    """
    CREATE TABLE changes (
        firm TEXT NOT NULL,
        matter_id BIGINT NOT NULL,
        closed_on TEXT NOT NULL,
        run INTEGER NOT NULL,
        position INTEGER NOT NULL,
        at INTEGER NOT NULL,
        from_state TEXT,
        to_state TEXT NOT NULL,
        reason TEXT,
        code TEXT,
        batch INTEGER,
        cause TEXT,
        PRIMARY KEY (firm, matter_id, closed_on, run, position),
        FOREIGN KEY (firm, matter_id, closed_on)
            REFERENCES closings (firm, matter_id, closed_on) ON UPDATE CASCADE
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE people (
        firm TEXT NOT NULL,
        identity BLOB NOT NULL,
        matter_id BIGINT NOT NULL,
        closed_on TEXT NOT NULL,
        claimed_at INTEGER NOT NULL,
        PRIMARY KEY (firm, identity, matter_id, closed_on)
    ) WITHOUT ROWID
    """,
    _NOES,
)

PENDING: Final = "closings.state = 'pending'"
SENDING: Final = "closings.state = 'sending'"
MARKED: Final = "closings.marked = 1"
DEAD: Final = "closings.state = 'dead'"
HELD: Final = f"{MARKED} AND closings.state = 'held'"
"""These five are the conditions of the partial indexes. SQLite uses such an index only for a
statement that repeats its condition with the same literal, so no statement may bind these values.
The primary key begins with the firm as well. SQLite prefers a partial index to it only where more
columns of that index are given (so each holds the column of its own condition), and where the
primary key is not the table itself (so `closings` is not WITHOUT ROWID)."""

_DEAD_INDEX: Final = "CREATE INDEX closings_dead ON closings (firm, state) WHERE state = 'dead'"
_NEW_IN_3: Final = (
    "CREATE INDEX closings_by_cause ON closings (firm, cause) WHERE cause IS NOT NULL",
    "CREATE INDEX noes_by_contact ON noes (firm, contact_id)",
)
INDEXES: Final = (
    "CREATE INDEX closings_by_run ON closings (firm, decided_in_run)",
    "CREATE INDEX closings_by_claim ON closings (firm, claimed_at)",
    """
    CREATE INDEX closings_pending
    ON closings (firm, state, command, noticed_at, matter_id, closed_on) WHERE state = 'pending'
    """,
    "CREATE INDEX closings_sending ON closings (firm, state) WHERE state = 'sending'",
    "CREATE INDEX closings_marked ON closings (firm, marked) WHERE marked = 1",
    _DEAD_INDEX,
    *_NEW_IN_3,
)

DUE: Final = """
CREATE TEMPORARY TABLE due (
    place INTEGER PRIMARY KEY,
    matter_id BIGINT NOT NULL,
    closed_on TEXT NOT NULL
)
"""
"""The closings of a push in the order of sending. The table is temporary, so it lives outside the
state file."""


def _m002_batches(connection: sqlite3.Connection) -> None:
    for table, column in (("closings", "batch"), ("closings", "updated_at"), ("changes", "batch")):
        connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} INTEGER")
    connection.execute(_DEAD_INDEX)


def _m003_causes_and_noes(connection: sqlite3.Connection) -> None:
    for table, column in (("closings", "cause"), ("changes", "cause"), ("runs", "failure")):
        connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} TEXT")
    for statement in (_NOES, *_NEW_IN_3):
        connection.execute(statement)


STEPS: Final[tuple[Callable[[sqlite3.Connection], None], ...]] = (
    _m002_batches,
    _m003_causes_and_noes,
)
"""The first step leads from version 1 to 2, the next from 2 to 3, and so on. A new state takes none
of them: it is made as `TABLES` and `INDEXES` now are."""
VERSION: Final = len(STEPS) + 1


def check(connection: sqlite3.Connection, *, is_new: bool) -> None:
    """Raise StorageError for a database that is empty, another program's, damaged, or newer.

    With `is_new`, an empty one is in order.
    """
    tables = _tables(connection)
    if tables and "schema_version" not in tables:
        raise StorageError("The state file belongs to another program; check SYNC_STATE.")
    if not tables and not is_new:
        raise DamagedError(
            "The state file is empty, as if it had been cut off: restore a copy of it; "
            "or remove it, if nobody was handed over yet."
        )
    if tables and _version(connection) > VERSION:
        raise StorageError(
            "The state was made by a newer version of this program; install that version again."
        )


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables to this program's version; make them where there are none.

    The caller opens the transaction, so that either all steps are made or none.
    """
    if not _tables(connection):
        for statement in (*TABLES, *INDEXES):
            connection.execute(statement)
        connection.execute("INSERT INTO schema_version (version) VALUES (?)", (VERSION,))
    elif (version := _version(connection)) < VERSION:
        for step in STEPS[version - 1 :]:
            step(connection)
        connection.execute("UPDATE schema_version SET version = ?", (VERSION,))


def _tables(connection: sqlite3.Connection) -> set[str]:
    found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return {name for (name,) in found}


def _version(connection: sqlite3.Connection) -> int:
    found = connection.execute("SELECT version FROM schema_version").fetchall()
    version = found[0][0] if len(found) == 1 else None
    if not isinstance(version, int) or version < 1:
        raise DamagedError(
            f"The state is damaged: it does not say by which version it was made. {RESTORE}"
        )
    return version
