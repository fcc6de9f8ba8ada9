"""Looking at a state without touching it: is a run at work on it."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from factories import NOW, make_closing, start

from clio_broadly_sync.domain.model import Key
from clio_broadly_sync.store import Store, database, holder, locked


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A state at rest, with closings on many pages."""
    path = tmp_path / "state" / "state.db"
    with Store.open(path) as store:
        start(store)
        rows = [make_closing(key=Key(number, NOW.date())) for number in range(1, 2001)]
        store.ledger.record([(None, row) for row in rows], NOW)
    return path


def test_at_work(made: Path) -> None:
    """Only while the lock is held; looking neither makes a file nor holds up a run."""
    for file in made.parent.glob("*.lock"):
        file.unlink()
    assert holder(made) is None
    assert [file.name for file in made.parent.iterdir()] == ["state.db"]
    with locked(made):
        assert holder(made) is not None
        assert holder(made) is not None
    assert holder(made) is None
    with locked(made):
        pass


def test_run_at_work_as_it_was_copied(made: Path) -> None:
    """By its command; of one that does not hold the lock, it was cut short."""
    for command in ("sync", "backfill"):
        with locked(made), Store.open(made) as store:
            store.begin_run(command, "r", NOW)
            with Store.snapshot(made) as copy:
                assert copy.at_work == command
        with Store.snapshot(made) as copy:
            assert copy.at_work is None


def test_run_that_has_ended(made: Path) -> None:
    """Whoever holds the lock then has not begun yet, and the run before it left nothing."""
    with locked(made), Store.open(made) as store:
        store.begin_run("sync", "r2", NOW)
        store.finish_run(0, NOW)
        with Store.snapshot(made) as copy:
            assert copy.at_work is None


def test_run_that_ends_while_somebody_looks(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the copy and the look at the lock: in the copy it is at work all the same."""
    with Store.open(made) as store:
        store.begin_run("sync", "r2", NOW)
        copied = database.open_snapshot

        def copy_and_end(*arguments: Any) -> sqlite3.Connection:
            connection = copied(*arguments)
            store.finish_run(0, NOW)
            return connection

        monkeypatch.setattr(database, "open_snapshot", copy_and_end)
        with Store.snapshot(made) as copy:
            assert copy.at_work == "sync"


def test_nobody_is_at_work_on_a_state_that_is_not_there(tmp_path: Path) -> None:
    with Store.snapshot(tmp_path / "state.db") as copy:
        assert copy.at_work is None
    assert list(tmp_path.iterdir()) == []
