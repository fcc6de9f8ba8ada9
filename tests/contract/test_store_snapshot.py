"""Looking at a state that changes meanwhile: what is found is of one moment, or nothing is told."""

import sqlite3
from pathlib import Path

import pytest
from factories import NOW, make_closing, start

from clio_broadly_sync.domain.errors import StorageError
from clio_broadly_sync.store import Store, database

COUNT = "SELECT count(*) FROM closings"


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A state at rest, without a closing."""
    path = tmp_path / "state" / "state.db"
    with Store.open(path) as store:
        start(store)
    return path


def write(path: Path, matter: int) -> None:
    """Let a run come and go that records one closing."""
    with Store.open(path) as store:
        store.begin_run("sync", "r", NOW)
        store.ledger.record([(None, make_closing(matter))], NOW)


class Reader:
    """Counts the closings; before it answers, a run comes and goes in its first `runs` looks."""

    def __init__(self, path: Path, runs: int, error: Exception | None = None) -> None:
        self.path = path
        self.runs = runs
        self.error = error
        self.looks = 0

    def __call__(self, connection: sqlite3.Connection) -> int:
        found: int = connection.execute(COUNT).fetchone()[0]
        self.looks += 1
        if self.looks <= self.runs:
            write(self.path, self.looks)
            if self.error is not None:
                raise self.error
        return found


@pytest.mark.parametrize("error", [None, sqlite3.DatabaseError("malformed"), FileNotFoundError()])
def test_what_a_run_changed_meanwhile_is_looked_at_again(
    made: Path, error: Exception | None
) -> None:
    """Whether the look seemed to go well or broke on half a change: the next one counts."""
    reader = Reader(made, runs=2, error=error)
    assert database.read_snapshot(made, reader) == 2
    assert reader.looks == 3


def test_fault_of_a_state_that_did_not_change_is_told_at_once(made: Path) -> None:
    """A second look would find the same."""
    looks = []

    def broken(connection: sqlite3.Connection) -> None:
        looks.append(connection)
        raise sqlite3.DatabaseError("malformed")

    with pytest.raises(sqlite3.DatabaseError, match="malformed"):
        database.read_snapshot(made, broken)
    assert len(looks) == 1


def test_state_that_never_rests_is_given_up(made: Path) -> None:
    """After ten looks, with a sentence, and without what was found in any of them."""
    reader = Reader(made, runs=99)
    with pytest.raises(StorageError) as caught:
        database.read_snapshot(made, reader)
    assert str(caught.value) == (
        "The state changes faster than it can be read; try again in a minute."
    )
    assert reader.looks == 10


def test_backup_with_its_last_changes_beside_it(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A -wal that belongs to the file is read with it, and nothing is left lying anywhere."""
    backup, here = tmp_path / "backup.db", tmp_path / "here"
    with Store.open(made) as store:
        store.ledger.record([(None, make_closing(1))], NOW)
        for end in ("", "-wal"):
            Path(f"{backup}{end}").write_bytes(Path(f"{made}{end}").read_bytes())
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr("tempfile.tempdir", str(here))
    before = sorted(tmp_path.iterdir())
    assert database.read_snapshot(backup, Reader(backup, runs=0)) == 1
    assert (list(here.iterdir()), sorted(tmp_path.iterdir())) == ([], before)


def test_look_at_a_state_at_rest_puts_nothing_beside_it(made: Path) -> None:
    """Not even for as long as it takes: who may only read can look as well."""

    def read(connection: sqlite3.Connection) -> list[str]:
        connection.execute(COUNT).fetchall()
        return [file.name for file in made.parent.iterdir()]

    assert database.read_snapshot(made, read) == ["state.db"]


def test_look_beside_a_run_at_work_is_neither_repeated_nor_of_a_copy(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look is one transaction: what the run commits meanwhile is for the next one."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    with Store.open(made) as store:
        store.ledger.record([(None, make_closing(1))], NOW)
        found = []

        def read(connection: sqlite3.Connection) -> int:
            connection.execute("BEGIN")
            for matter in (2, 3):
                found.append(connection.execute(COUNT).fetchone()[0])
                store.ledger.record([(None, make_closing(matter))], NOW)
            return len(found)

        assert (database.read_snapshot(made, read), found) == (2, [1, 1])
