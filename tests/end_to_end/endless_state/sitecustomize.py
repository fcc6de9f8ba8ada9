"""A state that takes for ever to read, and a signal that comes in the middle of that.

The program's first look at the closings never ends; a process of its own sends the signal.
"""

import os
import sqlite3
from typing import Any

_ENDLESS = "WITH RECURSIVE t (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t"
_CONNECT = sqlite3.connect
_looks: list[str] = []


class _Endless(sqlite3.Connection):
    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if not _looks and sql.lstrip().startswith("SELECT") and "closings" in sql:
            _looks.append(sql)
            # Not by subprocess, whose object may not be whole yet when the signal comes.
            os.posix_spawn("/bin/sh", ["sh", "-c", "kill -TERM $PPID"], {})
            sql, values = _ENDLESS, ()
        return super().execute(sql, *values)


def _connect(*arguments: Any, **named: Any) -> sqlite3.Connection:
    return _CONNECT(*arguments, **{"factory": _Endless, **named})


sqlite3.connect = _connect  # type: ignore[assignment]
