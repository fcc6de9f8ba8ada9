"""The state as it is on the disk, read without any code of the program."""

import shutil
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from firm_state import FirmState


class Row(NamedTuple):
    """What the ledger says of one closing."""

    matter: int
    """The matter's id."""
    closed_on: str
    """The close date, such as 2026-11-20; empty where there is none."""
    contact: int | None
    """The client's id."""
    state: str
    reason: str | None
    in_doubt: int
    """1 where the outcome of a try is unknown, else 0."""
    cause: str | None = None
    """What stands behind the reason."""

    @property
    def transaction_id(self) -> str:
        """Return the transactionId under which Broadly gets this closing."""
        return f"clio:matter:{self.matter}:{self.closed_on or None}"

    def __str__(self) -> str:
        return f"matter {self.matter} ({self.state}, {self.reason})"


class Change(NamedTuple):
    """One change of a closing, as the ledger has it."""

    matter: int
    closed_on: str
    from_state: str | None
    """The state before; None where the closing was new."""
    to_state: str
    reason: str | None


@dataclass(frozen=True)
class Books:
    """Everything in a state that the checker needs."""

    facts: dict[str, str]
    """What the state keeps by name, such as the watermark."""
    rows: list[Row]
    """The closings, by matter and close date."""
    changes: list[Change]
    """The changes, in the order in which they were made."""
    objections: dict[tuple[int, str], int | None]
    """The run that told of each closing whose client opted out after being sent; None: none has."""
    problems: list[str]
    """What SQLite itself finds wrong, and what belongs to no closing."""


_ORPHANS = """
    SELECT 'changes', closing FROM changes WHERE closing NOT IN (SELECT number FROM closings)
    UNION
    SELECT 'people', closing FROM people WHERE closing NOT IN (SELECT number FROM closings)
    UNION
    SELECT 'objections', closing FROM objections WHERE closing NOT IN (SELECT number FROM closings)
"""


def read(state: Path | FirmState) -> Books:
    """Read a copy of the state, with what a killed run left beside it; the state is left alone."""
    if isinstance(state, FirmState):
        return _read(state.database.read(), [])
    with tempfile.TemporaryDirectory() as folder:
        for file in state.parent.glob(f"{state.name}*"):
            shutil.copy(file, folder)
        with closing(sqlite3.connect(Path(folder) / state.name)) as database:
            # What rows may hold is the checker's to know, and not the tables' of the program.
            database.execute("PRAGMA ignore_check_constraints = ON")
            checks = [str(found) for (found,) in database.execute("PRAGMA integrity_check")]
            return _read(database, [found for found in checks if found != "ok"])


def read_if_sound(state: Path) -> Books | None:
    """Read a copy of the state as `read` does; return None where SQLite finds it broken."""
    try:
        found = read(state)
    except sqlite3.DatabaseError:
        return None
    return None if found.problems else found


def _read(database: Any, problems: list[str]) -> Books:
    orphans = [*database.execute(_ORPHANS)]
    problems = problems + [f"{table} of no closing {number}" for table, number in orphans]
    rows = database.execute(
        "SELECT matter_id, closed_on, contact_id, state, reason, in_doubt, cause"
        " FROM closings"
        " ORDER BY 1, 2"
    )
    objections = database.execute(
        "SELECT matter_id, closed_on, told_in_run FROM objections JOIN closings ON closing = number"
    )
    changes = database.execute(
        "SELECT matter_id, closed_on, from_state, to_state, changes.reason"
        " FROM changes JOIN closings ON closing = number ORDER BY run, changes.position"
    )
    return Books(
        facts=dict(database.execute("SELECT name, value FROM facts")),
        rows=[Row(*row) for row in rows],
        changes=[Change(*change) for change in changes],
        objections={(matter, day): told for matter, day, told in objections},
        problems=problems,
    )
