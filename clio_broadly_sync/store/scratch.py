"""A copy of a state for a dry run, made without a byte or a file changed beside the original.

SQLite itself, opened for reading only, would put a -wal and a -shm file beside it, or write to
those that are there. So a state at rest is opened as immutable; one with a -wal (another run is
at work, or was killed) is copied as the files that it is.
"""

import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from clio_broadly_sync.errors import StorageError

ATTEMPTS = 10
_WAL_HEADER_BYTES = 32
_READ_ONLY, _IMMUTABLE = "mode=ro", "mode=ro&immutable=1"


class _Generation(NamedTuple):
    """What is the same before and after a whole copy: the -wal's header, which names its
    generation (a file once in the -wal stays in it until the next); without one, the file's age."""

    wal: bytes
    file: tuple[int, int]


def copy(path: Path, scratch: sqlite3.Connection) -> None:
    """Copy the state into `scratch`, as its last transaction left it."""
    for _ in range(ATTEMPTS):
        before = _generation(path)
        if before.wal:
            _copy_files(path, scratch)
        else:
            _back_up(path, _IMMUTABLE, scratch)
        if _generation(path) == before:
            return
    raise StorageError("The state changes faster than it can be copied; try again in a minute.")


def _generation(path: Path) -> _Generation:
    try:
        with open(f"{path}-wal", "rb") as file:
            wal = file.read(_WAL_HEADER_BYTES)
    except FileNotFoundError:
        wal = b""
    found = path.stat()
    return _Generation(wal, (0, 0) if wal else (found.st_mtime_ns, found.st_size))


def _copy_files(path: Path, scratch: sqlite3.Connection) -> None:
    """The -wal second: whatever of it is in the file already is then in its copy as well."""
    with tempfile.TemporaryDirectory() as folder:
        copied = Path(folder, "copy")
        try:
            for end in ("", "-wal"):
                shutil.copyfile(f"{path}{end}", f"{copied}{end}")
        except FileNotFoundError:
            return  # the other run has just ended: another generation
        _back_up(copied, _READ_ONLY, scratch)


def _back_up(path: Path, how: str, scratch: sqlite3.Connection) -> None:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True)) as source:
        source.backup(scratch)
