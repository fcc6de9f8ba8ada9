"""Looking at a state without touching it: is its file whole, and is a run at work on it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from factories import NOW, make_closing

from clio_broadly_sync.domain.model import Key
from clio_broadly_sync.store import Store, at_work, locked


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A state at rest, with closings on many pages."""
    path = tmp_path / "state" / "state.db"
    with Store.open(path) as store:
        store.begin_run("sync", "r1", NOW)
        rows = [make_closing(key=Key(number, NOW.date())) for number in range(1, 2001)]
        store.ledger.record([(None, row) for row in rows], NOW)
    return path


def test_whole(made: Path) -> None:
    with Store.snapshot(made) as store:
        assert store.is_sound()


def test_damaged_where_nobody_looks(made: Path) -> None:
    """A page in the middle: the state opens, and a run might meet it or not."""
    with closing(sqlite3.connect(made)) as database:
        size = database.execute("PRAGMA page_size").fetchone()[0]
    whole = made.read_bytes()
    made.write_bytes(whole[: -size * 2] + b"\xff" * size + whole[-size:])
    with Store.snapshot(made) as store:
        assert not store.is_sound()


def test_at_work(made: Path) -> None:
    """Only while the lock is held; looking neither makes a file nor holds up a run."""
    for file in made.parent.glob("*.lock"):
        file.unlink()
    assert not at_work(made)
    assert [file.name for file in made.parent.iterdir()] == ["state.db"]
    with locked(made):
        assert at_work(made)
        assert at_work(made)
    assert not at_work(made)
    with locked(made):
        pass
