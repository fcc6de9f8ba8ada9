"""The run's lock on a state, and the look under it at what a killed run left beside the state.

SQLite takes a -wal for the latest changes of whatever file it lies beside. Where a copy was put in
the place of that file, the two together are a state that there never was: who was asked is lost in
it, and the watermark is not. So both are copied and looked at before SQLite may join them.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from clio_broadly_sync.domain.errors import DamagedError
from clio_broadly_sync.store import database
from clio_broadly_sync.store.state import Store, half_restored

_HELD: Final[set[Path]] = set()
"""The states that this process holds, each of which was looked at before."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the state for one run; raise BusyError at once where another run holds it.

    Raise StorageError where the lock file cannot be made or opened, and as `look_beside` does.
    """
    busy = "Another run is at work on this state; it was left alone."
    lock = database.take_lock(f"{path}.lock", busy)
    try:
        look_beside(path)
        _HELD.add(path)
        yield
    finally:
        _HELD.discard(path)
        os.close(lock)


def look_beside(path: Path) -> None:
    """Raise DamagedError where a -wal beside the state does not fit it; write nothing.

    Whoever is to write to the state calls this before it is opened. Where this process holds the
    state that was done, and it is not done again, since the process may be connected by now. Raise
    StorageError where the state cannot be read.
    """
    with database.storage_errors():
        if path in _HELD or not database.has_changes_beside(path):
            return
    try:
        with Store.snapshot(path) as both:
            is_sound = not any(flaw.grave for flaw in both.flaws(None))
    except DamagedError:
        is_sound = False
    if not is_sound:
        raise DamagedError(half_restored(path))
