"""Ends the child that loads it with 99 where it opens a file of the state while it is connected.

Whoever closes a descriptor of a file drops all locks that the process has on it (POSIX), and so
those of SQLite: another process may then take away the -wal to which this one goes on writing.
"""

import os
import sqlite3
import sys
from collections import Counter
from typing import Any
from urllib.parse import unquote, urlsplit

ENDS = ("", "-wal", "-shm", "-journal")
connected: Counter[str] = Counter()


def _file(name: Any) -> str:
    path = os.fsdecode(name)
    return os.path.realpath(unquote(urlsplit(path).path) if path.startswith("file:") else path)


class Watched(sqlite3.Connection):
    """A connection that is counted, by its file, as long as it is open."""

    def __init__(self, database: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(database, *arguments, **options)
        self._file = _file(database) if database else ""
        self._count(1)

    def close(self) -> None:
        super().close()
        self._count(-1)

    def __del__(self) -> None:
        self._count(-1)

    def _count(self, change: int) -> None:
        name = getattr(self, "_file", "")
        connected[name] += change if name else 0
        if change < 0:
            self._file = ""


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and isinstance(arguments[0], str | bytes) and +connected:
        opened = _file(arguments[0])
        if any(f"{name}{end}" == opened for name in +connected for end in ENDS):
            sys.stderr.write(f"{os.path.basename(opened)} was opened\n")
            sys.stderr.flush()
            os._exit(99)


_connect = sqlite3.connect
sqlite3.connect = lambda *arguments, **options: _connect(  # type: ignore[assignment]
    *arguments, **{"factory": Watched, **options}
)
sys.addaudithook(_watch)
