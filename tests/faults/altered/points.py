"""The points at which a child may be killed: around each request, and around each commit.

A request has three points: when nothing has been sent, when the server has acted and its answer is
still unread, and when the answer has been read. A commit has two: before it and after it. The child
writes the name of each point into a file. At the point whose number or name it was given, it kills
itself, which nothing can catch. With FILES in the environment, each step on the way of a file of
`--csv` to its name has two more.
"""

import http.client
import os
import select
import signal
import sqlite3
from typing import Any

FULL = 2
"""SQLite's number for the setting with which a transaction lasts at once."""
_write = os.write
SECONDS_FOR_AN_ANSWER = 30
"""How long to wait until an answer lies unread."""


class _Points:
    """The points that this process has passed, counted from 1.

    An empty `kill_at` means no point. KILL_BY in the environment names a signal other than SIGKILL.
    """

    def __init__(self, path: str, kill_at: str) -> None:
        self._path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._kill_at = kill_at
        self._kill_by = signal.Signals[os.environ.get("KILL_BY", "SIGKILL")]
        self._number = 0

    def note_lasting(self, state: str) -> None:
        """Write down how many bytes of the state's log outlive a power cut from now on."""
        log = f"{state}-wal"
        size = os.path.getsize(log) if os.path.exists(log) else 0
        with open(f"{self._path}.lasting", "w", encoding="ascii") as file:
            file.write(str(size))

    def reach(self, name: str) -> None:
        """Pass the point with this name, or be killed there."""
        self._number += 1
        _write(self._file, f"{name}\n".encode())
        if self._kill_at in (str(self._number), name):
            os.kill(os.getpid(), self._kill_by)


def watch(path: str, *, kill_at: str) -> None:
    """Let this process pass its points from now on, and write their names into this file."""
    points = _Points(path, kill_at)
    _watch_requests(points)
    _watch_commits(points)
    if "FILES" in os.environ:
        _watch_files(points)


def _watch_files(points: _Points) -> None:
    """Let each step on the way of a file to its name be two points: before it and after it."""

    def watched(name: str) -> Any:
        step = getattr(os, name)

        def stepping(*arguments: Any, **named: Any) -> Any:
            if name == "open" and not arguments[1] & os.O_EXCL:
                return step(*arguments, **named)
            points.reach(f"{name}: undone")
            done = step(*arguments, **named)
            points.reach(f"{name}: done")
            return done

        return stepping

    for name in ("open", "write", "fsync", "link", "unlink"):
        setattr(os, name, watched(name))


def _watch_requests(points: _Points) -> None:
    connection = http.client.HTTPConnection
    begin, read = connection.putrequest, connection.getresponse
    asked = [""]

    def putrequest(self: Any, method: str, url: str, *more: Any, **named: Any) -> None:
        path = url.partition("?")[0]
        secret = path.startswith("/hooks/")  # the rest of such a path is written nowhere
        asked[0] = f"{method} {'/hooks' if secret else path}"
        points.reach(f"{asked[0]}: unsent")
        begin(self, method, url, *more, **named)

    def getresponse(self: Any) -> http.client.HTTPResponse:
        select.select([self.sock], [], [], SECONDS_FOR_AN_ANSWER)
        points.reach(f"{asked[0]}: unread")
        response = read(self)
        points.reach(f"{asked[0]}: answered")
        return response

    connection.putrequest = putrequest  # type: ignore[assignment]
    connection.getresponse = getresponse  # type: ignore[method-assign]


def _watch_sessions(points: _Points) -> None:
    """Let the commits of PostgreSQL be points, except where nothing was written."""
    from clio_broadly_sync.store.postgresql import Session

    session = Session.__init__, Session.execute, Session.executemany
    writing = set()

    def watch(self: Any, raw: Any, end: Any) -> None:
        session[0](self, raw, end)
        commit = raw.commit

        def committing() -> None:
            wrote = raw in writing
            writing.discard(raw)
            if wrote:
                points.reach("commit: undone")
            commit()
            if wrote:
                points.reach("commit: done")

        if "commit" not in vars(raw):
            raw.commit = committing

    def execute(self: Any, statement: str, *values: Any) -> Any:
        if not statement.lstrip().startswith(("SELECT", "SET")):
            writing.add(self.raw)
        return session[1](self, statement, *values)

    def executemany(self: Any, statement: str, rows: Any) -> Any:
        if rows:
            writing.add(self.raw)
        return session[2](self, statement, rows)

    Session.__init__, Session.execute, Session.executemany = watch, execute, executemany


def _watch_commits(points: _Points) -> None:
    class Connection(sqlite3.Connection):
        """A connection whose commits are points, except where nothing was written."""

        written = 0

        def commit(self) -> None:
            if self.total_changes == self.written:
                super().commit()
                return
            points.reach("commit: undone")
            super().commit()
            self.written = self.total_changes
            if self.execute("PRAGMA synchronous").fetchone()[0] == FULL:
                points.note_lasting(self.execute("PRAGMA database_list").fetchone()[2])
            points.reach("commit: done")

    if "FIRM_ADDRESS" in os.environ:
        _watch_sessions(points)
    connect = sqlite3.connect

    def connecting(*arguments: Any, **named: Any) -> sqlite3.Connection:
        return connect(*arguments, factory=Connection, **named)

    sqlite3.connect = connecting
