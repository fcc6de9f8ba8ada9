"""The state as it is on the disk, read with nothing of the program's own."""

import shutil
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


class Row(NamedTuple):
    matter: int
    closed_on: str
    contact: int | None
    state: str
    reason: str | None
    marked: int

    @property
    def transaction_id(self) -> str:
        return f"clio:matter:{self.matter}:{self.closed_on or None}"

    def __str__(self) -> str:
        return f"matter {self.matter} ({self.state}, {self.reason})"


class Change(NamedTuple):
    matter: int
    closed_on: str
    from_state: str | None
    to_state: str
    reason: str | None


@dataclass(frozen=True)
class Books:
    """`problems`: what SQLite itself finds wrong."""

    facts: dict[str, str]
    rows: list[Row]
    changes: list[Change]
    problems: list[str]


def read(state: Path) -> Books:
    """Read a copy, so that the state is left alone, with whatever a killed run left beside it."""
    with tempfile.TemporaryDirectory() as folder:
        for file in state.parent.glob(f"{state.name}*"):
            shutil.copy(file, folder)
        with closing(sqlite3.connect(Path(folder) / state.name)) as database:
            return _read(database)


def _read(database: sqlite3.Connection) -> Books:
    checks = [*database.execute("PRAGMA integrity_check")]
    foreign = [*database.execute("PRAGMA foreign_key_check")]
    problems = [str(found) for (found,) in checks if found != "ok"] + [str(f) for f in foreign]
    rows = database.execute(
        "SELECT matter_id, closed_on, contact_id, state, reason, marked FROM closings ORDER BY 1, 2"
    )
    changes = database.execute(
        "SELECT matter_id, closed_on, from_state, to_state, reason FROM changes"
        " ORDER BY run, position"
    )
    return Books(
        facts=dict(database.execute("SELECT name, value FROM facts")),
        rows=[Row(*row) for row in rows],
        changes=[Change(*change) for change in changes],
        problems=problems,
    )
