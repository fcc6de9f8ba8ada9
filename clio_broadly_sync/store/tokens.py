"""The tokens of the sign-in to Clio, which are kept in the state and nowhere else.

A run that works on a copy of the state (a dry run) needs the real tokens as well, and may have to
renew them. So this store works by the path of the state, beside the run's own `Store`, in short
transactions of its own, and touches nothing there but the tokens. How tokens are renewed is in
`clio/auth.py`.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from clio_broadly_sync.domain.credentials import Grant
from clio_broadly_sync.domain.errors import StorageError
from clio_broadly_sync.store import database, lock
from clio_broadly_sync.store.leftovers import look_beside
from clio_broadly_sync.store.rows import among
from clio_broadly_sync.store.schema import OF_ANY_VERSION
from clio_broadly_sync.store.tables import FIRM, MOVED_TO

ALONE_SECONDS = 90.0
"""One process waits so long for another: longer than a refresh takes that is answered late."""
BUSY = "Another run has been renewing the sign-in to Clio for too long; the next run tries again."
_PATIENT = "PRAGMA busy_timeout = 60000"
"""It waits long, because a busy state must not lose what Clio gave for a spent refresh token."""

_HOST, _ACCESS, _REFRESH, _EXPIRES = NAMES = (
    "sign_in_host",
    "sign_in_access_token",
    "sign_in_refresh_token",
    "sign_in_expires_at",
)
_LISTED, _NAMED = among("name", NAMES)
_OURS = f"{OF_ANY_VERSION} AND name IN {_LISTED}"
_READ = f"""
    SELECT name, value FROM facts
    WHERE {OF_ANY_VERSION} AND (name IN {_LISTED} OR name = '{MOVED_TO}')
"""
_DELETE = f"DELETE FROM facts WHERE {_OURS}"
_WRITE = "INSERT INTO facts (firm, name, value) VALUES (:firm, :name, :value)"


class TokenStore:
    """One firm's sign-in. Every method is one transaction and may raise StorageError.

    It raises ConfigError where the state has moved.
    """

    def __init__(self, path: Path, firm: int = FIRM) -> None:
        self._path = path
        self._firm = firm
        self._ours = {"firm": firm, **_NAMED}

    def read(self) -> Grant | None:
        """Return what the state now holds; None where nobody has signed in. Write nothing."""
        with database.storage_errors():
            if not database.exists(self._path):
                return None
            database.check_private(self._path)
            return grant_of(database.read_snapshot(self._path, self._rows))

    def save(self, grant: Grant) -> None:
        """Keep this grant instead of the one before; make the state where there is none."""
        with database.storage_errors():
            if not database.exists(self._path):
                database.open_file(self._path).close()
            with self._opened() as connection, database.transaction(connection):
                connection.execute(_DELETE, self._ours)
                kept = texts_of(grant).items()
                rows = [{"firm": self._firm, "name": n, "value": value} for n, value in kept]
                connection.executemany(_WRITE, rows)

    def erase(self) -> None:
        """Erase the tokens, so that no byte of them is left in the state's files or the -wal.

        Raise StorageError where another program reads the state: the tokens are forgotten then, but
        traces of them may be left.
        """
        with database.storage_errors(), self._opened() as connection:
            with database.transaction(connection):
                connection.execute(_DELETE, self._ours)
            busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise StorageError(
                "The sign-in was forgotten, but another program is reading the state, so traces "
                "of it may be left in its files: end that program, and run this again."
            )

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let only one process at a time change the sign-in.

        Raise BusyError where another process has not finished within `ALONE_SECONDS`, and
        DamagedError where the state must not be written to (`look_beside`).
        """
        held = lock.take_lock(f"{self._path}.sign-in.lock", BUSY, patience=ALONE_SECONDS)
        try:
            look_beside(self._path)
            yield
        finally:
            os.close(held)

    def _rows(self, connection: sqlite3.Connection) -> dict[str, str]:
        found = dict(connection.execute(_READ, self._ours).fetchall())
        if MOVED_TO in found:
            from clio_broadly_sync.store import moved  # which no run needs

            raise moved.refusal(found[MOVED_TO])
        return found

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        from clio_broadly_sync.store import moved

        with opened(self._path) as connection:
            moved.check(connection)
            yield connection


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the state as it is: the tokens are at the same place in every version of it."""
    database.check_private(path)
    uri = f"{path.absolute().as_uri()}?mode=rw"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
        for pragma in (*database.PRAGMAS, _PATIENT):
            connection.execute(pragma).close()
        yield connection


def erase(connection: sqlite3.Connection) -> None:
    """Erase the tokens in a state that is open, in a transaction of the caller's."""
    connection.execute(_DELETE, {"firm": FIRM, **_NAMED})


def texts_of(grant: Grant) -> dict[str, str]:
    """Return what is kept of a grant, as `grant_of` reads it."""
    values = {
        _HOST: grant.host,
        _ACCESS: grant.access_token,
        _REFRESH: grant.refresh_token,
        _EXPIRES: grant.expires_at.isoformat(),
    }
    return {name: value for name, value in values.items() if value is not None}


def grant_of(found: dict[str, str]) -> Grant | None:
    """Return the grant of these facts, None without one; raise StorageError for half of one."""
    if _ACCESS not in found:
        return None
    try:
        expires_at = datetime.fromisoformat(found[_EXPIRES]).astimezone(UTC)
        return Grant(found[_HOST], found[_ACCESS], found.get(_REFRESH), expires_at)
    except (KeyError, ValueError, OverflowError):
        raise StorageError(
            "The sign-in in the state is damaged: restore a sound copy of the state, or run "
            "`clio-broadly-sync login`."
        ) from None
