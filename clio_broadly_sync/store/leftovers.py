"""What a killed run left beside a state, looked at under the run's lock.

SQLite takes a -wal for the latest changes of whatever file it lies beside. Where a copy was put in
the place of that file, the two together are a state that there never was: who was asked is lost in
it, and the watermark is not. So both are copied and looked at before SQLite may join them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from clio_broadly_sync.domain.errors import DamagedError
from clio_broadly_sync.store import database, lock
from clio_broadly_sync.store.half_restored import half_restored
from clio_broadly_sync.store.state import Store

_HELD: Final[set[Path]] = set()
"""The states that this process holds, each of which was looked at before."""


@contextmanager
def locked(path: Path, command: str | None = None, mark: str = "") -> Iterator[None]:
    """Hold the state for one run, once what lies beside it was looked at.

    Raise as `lock.locked` does, and as `look_beside` does.
    """
    with lock.locked(path, command):
        look_beside(path, mark)
        _HELD.add(path)
        try:
            yield
        finally:
            _HELD.discard(path)


def look_beside(path: Path, mark: str = "") -> None:
    """Raise DamagedError where a -wal beside the state does not fit it; write nothing.

    `mark` is as for `Store.snapshot`.

    Whoever is to write to the state calls this before it is opened. Where this process holds the
    state that was done, and it is not done again, since the process may be connected by now. Raise
    StorageError where the state cannot be read.
    """
    with database.storage_errors():
        if path in _HELD or not database.has_changes_beside(path):
            return
    try:
        with Store.snapshot(path, mark) as both:
            is_sound = not any(flaw.grave for flaw in both.flaws(None))
    except DamagedError:
        is_sound = False
    if not is_sound:
        raise DamagedError(half_restored(path))
