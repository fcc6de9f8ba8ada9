"""A state's file without the changes beside it, by which half a restore is recognised."""

import sqlite3
from pathlib import Path
from typing import Any, Final, NamedTuple

from clio_broadly_sync.domain.errors import DamagedError
from clio_broadly_sync.store import database
from clio_broadly_sync.store.schema import OF_ANY_VERSION
from clio_broadly_sync.store.tables import FIRM

LAST_RUNS: Final = f"""
    SELECT run, run_id FROM runs WHERE {OF_ANY_VERSION} ORDER BY run DESC LIMIT 2
"""
NO_RUN: Final = (0, "")


class Base(NamedTuple):
    """A state's file alone, without the changes in the -wal beside it."""

    run: tuple[Any, ...] | None
    """The number and the id of its last run, `NO_RUN` where it has none; None: cannot be told."""
    stamp: object
    """What is the same as long as nobody writes to it."""


def half_restored(path: Path) -> str:
    """Return the sentence about a state that does not fit the changes beside it."""
    return (
        f"{path.name} is missing, or does not fit the changes that a killed run left beside it in "
        f"{path.name}-wal, as after half a restore: put back copies of one moment, or a copy of "
        f"{path.name} alone once {path.name}-wal and {path.name}-shm are moved away (README, "
        "“Half a restore”)."
    )


def base_of(path: Path) -> Base | None:
    """Return the state's file alone; None where no changes lie beside it.

    Raise DamagedError where it is gone and they are not.
    """
    with database.storage_errors():
        if not database.has_changes_beside(path):
            return None
        if not database.exists(path):
            raise DamagedError(half_restored(path))
        stamp = database.stamp(path)
        return Base(_last_run_alone(path), stamp)


def _last_run_alone(path: Path) -> tuple[Any, ...] | None:
    """Return the last run in the state's file alone; None where that cannot be told.

    A run that was killed while SQLite brought its changes into the file leaves half of them there.
    """
    try:
        found = database.read_file_alone(
            path, lambda alone: alone.execute(LAST_RUNS, {"firm": FIRM}).fetchone()
        )
    except sqlite3.Error:
        return None
    return NO_RUN if found is None else tuple(found)
