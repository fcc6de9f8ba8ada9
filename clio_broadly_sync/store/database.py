"""Opening the state file: its permissions, its lock, SQLite's settings, a scratch copy."""

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import filelock
from sqlalchemy import Connection, Engine, StaticPool, create_engine, event
from sqlalchemy.exc import SQLAlchemyError

from clio_broadly_sync.errors import BusyError, StorageError
from clio_broadly_sync.store import schema

Transaction = AbstractContextManager[Connection]

PRAGMAS = (
    "PRAGMA busy_timeout = 5000",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA secure_delete = ON",
    "PRAGMA temp_store = FILE",
)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the state for one run; raise BusyError at once where another run does."""
    _make_folder(path.parent)
    lock = filelock.FileLock(f"{path}.lock", mode=0o600, blocking=False)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise BusyError("Another run is at work on this state; it was left alone.") from None
    except OSError as error:
        raise _cannot("written", error) from None
    try:
        yield
    finally:
        lock.release()


def open_file(path: Path) -> Engine:
    """Open the state, made private and brought to this version where it is new or old."""
    with _storage_errors():
        _make_folder(path.parent)
        _make_file(path)
        _check_private(path)
        return _engine(sqlite3.connect(path, isolation_level=None, check_same_thread=False))


def open_scratch(path: Path) -> Engine:
    """Open a copy of the state in a temporary file that has no name; `path` is only read."""
    with _storage_errors():
        # An empty name is a private temporary database, unlinked by SQLite as soon as it is open.
        scratch = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        if path.exists():
            _check_private(path)
            source = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
            source.backup(scratch)
            source.close()
        return _engine(scratch)


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """All or nothing; raise StorageError where the state could not be read or written."""
    with _storage_errors(), engine.begin() as connection:
        yield connection


def _engine(connection: sqlite3.Connection) -> Engine:
    for pragma in PRAGMAS:
        connection.execute(pragma).close()
    engine = create_engine(
        "sqlite://", creator=lambda: connection, poolclass=StaticPool, hide_parameters=True
    )
    event.listen(engine, "begin", _begin_immediate)
    with engine.begin() as opened:
        schema.migrate(opened)
        schema.due.create(opened)
    return engine


def _begin_immediate(connection: Connection) -> None:
    """A deferred transaction that reads first and then writes would fail beside another."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot("written", error) from None


def _make_file(path: Path) -> None:
    """SQLite's own files take the mode of this one."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return


def _check_private(path: Path) -> None:
    found = os.lstat(path)
    if not stat.S_ISREG(found.st_mode):
        raise StorageError(
            "The state is not an ordinary file (a link, or a folder); check SYNC_STATE."
        )
    if found.st_mode & 0o077:
        raise StorageError("Others may read the state file; make it private: chmod 600 on it.")
    if found.st_uid != os.geteuid():
        raise StorageError("The state file belongs to another user; run this as that user.")
    if os.stat(path.parent).st_mode & 0o022:
        raise StorageError(
            "Others may write to the folder of the state; make it private: chmod 700 on it."
        )


@contextmanager
def _storage_errors() -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise _cannot("used", error) from None


def _cannot(what: str, error: Exception) -> StorageError:
    """Name the cause; SQLAlchemy's own text would hold a statement."""
    cause: Any = getattr(error, "orig", None) or error
    words = cause.strerror if isinstance(cause, OSError) else str(cause)
    return StorageError(
        f"The state could not be {what}: {words}. Nothing is lost; check SYNC_STATE."
    )
