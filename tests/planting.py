"""Rows put into a state by hand, as no run could have put them there."""

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from clio_broadly_sync.store import FilePlace, Place, Store
from clio_broadly_sync.store.firm import FirmPlace

_TRIGGERS = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
_CROWD = """
    INSERT INTO closings
        (firm, matter_id, closed_on, contact_id, state, reason, command, rule, etag, noticed_at,
        read_at, read_in_run, in_doubt, resent, approval, tries, claimed_in_run, changed_at,
        changed_in_run, position)
    VALUES
        (1, :n, :closed_on, :n, 'pending', 'surge', 'sync', 'both', '', :noticed_at, :at, 1, 0, 0,
        1, 0, 0, :at, 1, :n)
"""


def connection_of(store: Store) -> Any:
    """Return a store's own connection, for what the program has no word for."""
    return store._connection


@contextmanager
def unguarded(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Let anything be written inside: no trigger writes or forbids, and no condition is checked."""
    with untriggered(connection):
        connection.execute("PRAGMA ignore_check_constraints = ON")
        try:
            yield connection
        finally:
            connection.execute("PRAGMA ignore_check_constraints = OFF")


@contextmanager
def untriggered(connection: Any) -> Iterator[Any]:
    """Let no trigger write or forbid anything inside; the conditions are checked."""
    if not isinstance(connection, sqlite3.Connection):
        (role,) = connection.execute("SHOW role").fetchone()
        connection.execute("SET ROLE NONE")
        connection.execute("SET session_replication_role = replica")
        yield connection
        connection.execute("SET session_replication_role = DEFAULT")
        connection.execute(f"SET ROLE {role}")
        return
    triggers = [tuple(row) for row in connection.execute(_TRIGGERS)]
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    try:
        yield connection
    finally:
        for _, statement in triggers:
            connection.execute(statement)


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a state that no run has open, unguarded, and keep what is written inside."""
    with closing(sqlite3.connect(path)) as connection:
        with unguarded(connection):
            yield connection
        connection.commit()


def sql(state: Path | Place, statement: str, *more: str) -> None:
    """Execute statements on a state that no run has open, unguarded; each must change a row.

    PostgreSQL checks its conditions all the same, and raises psycopg.IntegrityError.
    """
    with _opened(state) as connection:
        for each in (statement, *more):
            assert connection.execute(each).rowcount != 0, each


def crowd(connection: Any, number: int, until: datetime, first: int = 1) -> None:
    """Let one closing have been noticed each minute before that moment (aware, in the firm's zone).

    All of them, from the `first` to that `number`, wait for a person. Nothing is noted of their
    changes.
    """
    at = int(until.timestamp())
    rows = [
        {"n": n, "closed_on": str(noticed.date()), "noticed_at": at - 60 * n, "at": at}
        for n in range(first, number + 1)
        for noticed in [until - n * timedelta(minutes=1)]
    ]
    connection.executemany(_CROWD, rows)


def _opened(state: Path | Place) -> AbstractContextManager[Any]:
    if isinstance(state, FirmPlace):
        replica = "-c session_replication_role=replica"  # no trigger writes or forbids
        return psycopg.connect(state.sessions.address, options=replica)
    return opened(state.path if isinstance(state, FilePlace) else Path(str(state)))
