"""A connection that remembers its statements, for tests of how the store asks."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import planting
import pytest

from clio_broadly_sync.store import Store
from clio_broadly_sync.store.postgresql import Session

ON_A_FILE = pytest.mark.parametrize("place", ["file"], indirect=True)
"""A test of what only SQLite does."""
IN_POSTGRESQL = pytest.mark.parametrize("place", ["postgresql"], indirect=True)
"""A test of what only PostgreSQL does."""


class Watched(sqlite3.Connection):
    """A connection that keeps what was executed on it."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.statements: list[tuple[str, Any]] = []
        """Each statement with its values; one for several rows stands once, with the first row."""
        self.commits = 0

    def execute(self, sql: str, values: Any = ()) -> sqlite3.Cursor:
        self.statements.append((sql.strip(), values))
        return super().execute(sql, values)

    def executemany(self, sql: str, rows: Sequence[Any]) -> sqlite3.Cursor:  # type: ignore[override]
        if rows:
            self.statements.append((sql.strip(), rows[0]))
        return super().executemany(sql, rows)

    def commit(self) -> None:
        self.commits += 1
        super().commit()


def watch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every state that is opened from now on have such a connection."""
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Watched))


def connection_of(store: Store) -> Watched:
    """Return the connection of a store that was opened after `watch`."""
    connection = planting.connection_of(store)
    assert isinstance(connection, Watched)
    return connection


def plans_of_a_firm(store: Store, work: Callable[[], object]) -> list[dict[str, Any]]:
    """Return the steps of PostgreSQL's plans of every statement that some work executes."""
    session, told = planting.connection_of(store), []

    def execute(statement: str, values: Any = ()) -> Any:
        told.append((statement.strip(), values))
        return Session.execute(session, statement, values)

    def executemany(statement: str, rows: Sequence[Any]) -> Any:
        told.extend((statement.strip(), row) for row in rows[:1])
        return Session.executemany(session, statement, rows)

    def stream(statement: str, values: Any) -> Any:
        told.append((statement.strip(), values))
        return Session.stream(session, statement, values)

    session.execute, session.executemany, session.stream = execute, executemany, stream
    work()
    del session.execute, session.executemany, session.stream
    steps: list[dict[str, Any]] = []
    for statement, values in told:
        if statement.startswith(("SELECT", "UPDATE", "DELETE", "INSERT")):
            (plan,) = session.execute(f"EXPLAIN (FORMAT JSON) {statement}", values).fetchone()
            steps += nodes(plan[0]["Plan"])
    return steps


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield all steps of a plan of PostgreSQL."""
    yield plan
    for step in plan.get("Plans", ()):
        yield from nodes(step)


def plans(store: Store, work: Callable[[], object]) -> str:
    """Return SQLite's plan of every statement that some work executes, one line for each step."""
    connection = connection_of(store)
    connection.statements.clear()
    work()
    steps: list[str] = []
    for statement, values in list(connection.statements):
        if statement.startswith(("SELECT", "UPDATE", "DELETE", "INSERT")):
            plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)
            steps.extend(row["detail"] for row in plan)
    return "\n".join(steps)
