"""A copy of a state for a dry run, made without a byte or a file changed beside the original.

SQLite itself, opened for reading only, would put a -wal and a -shm file beside it, or write to
those that are there. So a state at rest is opened as immutable; one with a -wal and a -shm (a run
is at work, or was killed) with the latter only read.
"""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple, TypeVar

from clio_broadly_sync.domain.errors import StorageError

T = TypeVar("T")

ATTEMPTS = 10
_WAL_HEADER_BYTES = 32
_READ_ONLY, _IMMUTABLE = "mode=ro", "mode=ro&immutable=1"
_AS_IT_IS = "mode=ro&readonly_shm=1"
"""Reads what is in the -wal by the -shm of whoever is at work; or, where that is a dead run's, by
an index of its own in memory."""


class _Generation(NamedTuple):
    """What is the same before and after a whole copy: the -wal's header, which names its
    generation (a file once in the -wal stays in it until the next); without one, the file's age."""

    wal: bytes
    file: tuple[int, int]


def copy(path: Path, scratch: sqlite3.Connection) -> None:
    """Copy the state into `scratch`, as its last transaction left it."""
    look(path, lambda source: source.backup(scratch))


def look(path: Path, read: Callable[[sqlite3.Connection], T]) -> T:
    """Return what `read` finds in the state, as its last transaction left it."""
    for _ in range(ATTEMPTS):
        before = _generation(path)
        at_work = before.wal and os.path.exists(f"{path}-shm")
        try:
            if at_work:
                return _read(path, _AS_IT_IS, read)
            found = _read_copy(path, read) if before.wal else _read(path, _IMMUTABLE, read)
        except (sqlite3.DatabaseError, FileNotFoundError):
            if _generation(path) == before:
                raise
        else:
            if _generation(path) == before:
                return found
    raise StorageError("The state changes faster than it can be read; try again in a minute.")


def _generation(path: Path) -> _Generation:
    try:
        with open(f"{path}-wal", "rb") as file:
            wal = file.read(_WAL_HEADER_BYTES)
    except FileNotFoundError:
        wal = b""
    found = path.stat()
    return _Generation(wal, (0, 0) if wal else (found.st_mtime_ns, found.st_size))


def _read_copy(path: Path, read: Callable[[sqlite3.Connection], T]) -> T:
    """Read a -wal without a -shm, as a backup leaves it; whoever reads one makes the other.

    The -wal is copied second: whatever of it is in the file already is then in its copy as well.
    """
    with tempfile.TemporaryDirectory() as folder:
        copied = Path(folder, "copy")
        for end in ("", "-wal"):
            shutil.copyfile(f"{path}{end}", f"{copied}{end}")
        return _read(copied, _READ_ONLY, read)


def _read(path: Path, how: str, read: Callable[[sqlite3.Connection], T]) -> T:
    address = f"{path.absolute().as_uri()}?{how}"
    with closing(sqlite3.connect(address, uri=True)) as connection:
        return read(connection)
