"""The points at which a child may be killed: around each request, and around each commit.

A request has three: nothing has been sent; the server has acted and its answer lies unread; the
answer is here. A commit has two. The child writes the name of each point into a file, and at
the one whose number or name it was given it kills itself, which nothing can catch.
"""

import http.client
import os
import select
import signal
import sqlite3
from typing import Any

SECONDS_FOR_AN_ANSWER = 30


class _Points:
    """Counts from 1; an empty `kill_at` kills nowhere. KILL_BY names another signal."""

    def __init__(self, path: str, kill_at: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._kill_at = kill_at
        self._kill_by = signal.Signals[os.environ.get("KILL_BY", "SIGKILL")]
        self._number = 0

    def reach(self, name: str) -> None:
        self._number += 1
        os.write(self._file, f"{name}\n".encode())
        if self._kill_at in (str(self._number), name):
            os.kill(os.getpid(), self._kill_by)


def watch(path: str, *, kill_at: str) -> None:
    """Let this process pass its points from now on."""
    points = _Points(path, kill_at)
    _watch_requests(points)
    _watch_commits(points)


def _watch_requests(points: _Points) -> None:
    connection = http.client.HTTPConnection
    begin, read = connection.putrequest, connection.getresponse
    asked = [""]

    def putrequest(self: Any, method: str, url: str, *more: Any, **named: Any) -> None:
        asked[0] = f"{method} {url.partition('?')[0]}"
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


def _watch_commits(points: _Points) -> None:
    class Connection(sqlite3.Connection):
        """Commits of what was only read are no points: nothing differs after them."""

        written = 0

        def commit(self) -> None:
            if self.total_changes == self.written:
                super().commit()
                return
            points.reach("commit: undone")
            super().commit()
            self.written = self.total_changes
            points.reach("commit: done")

    connect = sqlite3.connect

    def connecting(*arguments: Any, **named: Any) -> sqlite3.Connection:
        return connect(*arguments, factory=Connection, **named)

    sqlite3.connect = connecting
