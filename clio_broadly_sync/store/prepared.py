"""Statements for many rows, compiled once.

What SQLAlchemy does with each row of an `executemany` takes longer than SQLite with the row; so a
statement is written with its tables, and the driver gets its text and plain tuples.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Delete, Insert, Update
from sqlalchemy.dialects.sqlite import dialect

from clio_broadly_sync.store.rows import Values

NEW = "new_"
"""Before the name of a parameter for a column's new value; the row's own key has no such word."""


class Prepared:
    """A statement and, by name, the order of its parameters."""

    def __init__(self, statement: Insert | Update | Delete) -> None:
        self._statement = statement

    def execute(self, connection: Connection, rows: Sequence[Values]) -> None:
        """Execute it with each of the rows, in their order."""
        if rows:  # else it need not even be compiled
            sql, in_order = self._compiled
            connection.exec_driver_sql(sql, [in_order(row) for row in rows])

    @cached_property
    def _compiled(self) -> tuple[str, Callable[[Values], Any]]:
        compiled = self._statement.compile(dialect=dialect())
        names = compiled.positiontup or []
        return str(compiled), itemgetter(*(name.removeprefix(NEW) for name in names))
