"""A copy of the state beside the -wal of a killed run: found before SQLite joins the two."""

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest
from factories import NOW, PINS, make_closing, start
from ledgers import hand_over

from clio_broadly_sync.domain.account import Grant
from clio_broadly_sync.domain.errors import StorageError
from clio_broadly_sync.domain.model import Key
from clio_broadly_sync.store import Store, TokenStore, database, locked, look_beside
from clio_broadly_sync.store.state import half_restored

GRANT = Grant("https://app.clio.com", "access-one", "refresh-one", NOW)
LONG = 8000
"""So many closings that SQLite begins the -wal anew while they are recorded."""


def send(store: Store, first: int, many: int) -> None:
    """Let a run send so many clients, and come to its end but for `finish_run`."""
    store.begin_run("sync", f"r{first}", NOW)
    rows = [make_closing(key=Key(n, NOW.date()), contact_id=n) for n in range(first, first + many)]
    for page in (rows[at : at + 200] for at in range(0, many, 200)):
        store.ledger.record([(None, row) for row in page], NOW)
    store.move_watermark(NOW)
    for row in rows[:50]:
        hand_over(store, row)


def run(path: Path, first: int, many: int) -> None:
    with Store.open(path) as store:
        send(store, first, many)
        store.finish_run(0, NOW)


def make(path: Path, closings: int = 30, first: int = 100) -> Path:
    """Make a state at rest that has sent so many clients."""
    with Store.open(path) as store:
        start(store, "first")
        store.finish_run(0, NOW)
    run(path, first, closings)
    return path


@pytest.fixture
def made(tmp_path: Path) -> Path:
    return make(tmp_path / "state" / "state.db")


def killed(path: Path, act: Callable[[Store], object]) -> None:
    """Leave what a process leaves that is killed after `act`, with the state still open."""
    kept = path.with_name("kept")
    with Store.open(path) as store:
        act(store)
        for end in ("", "-wal", "-shm"):
            shutil.copy(f"{path}{end}", f"{kept}{end}")
    for end in ("", "-wal", "-shm"):
        Path(f"{kept}{end}").replace(f"{path}{end}")


def killed_run(path: Path, first: int, many: int) -> None:
    killed(path, lambda store: send(store, first, many))


def old_copy_and_idle_run(path: Path) -> None:
    copy = path.read_bytes()
    run(path, 200, 30)
    killed_run(path, 300, 0)
    path.write_bytes(copy)


def old_copy_and_busy_run(path: Path) -> None:
    copy = path.read_bytes()
    run(path, 200, 30)
    killed_run(path, 300, 30)
    path.write_bytes(copy)


def copy_of_the_run_before_and_long_run(path: Path) -> None:
    copy = path.read_bytes()
    killed_run(path, 200, LONG)
    path.write_bytes(copy)


def copy_with_a_run_that_nobody_saw(path: Path) -> None:
    copy = path.with_name("copy.db")
    shutil.copy(path, copy)
    run(copy, 200, 1)
    killed_run(path, 300, 30)
    copy.replace(path)


def copy_of_the_first_day(path: Path) -> None:
    new = path.parent.with_name("new") / "state.db"
    with Store.open(new):
        pass
    run(path, 200, 1)
    killed_run(path, 300, 1)
    new.replace(path)


def old_copy_and_sign_in(path: Path) -> None:
    copy = path.read_bytes()
    run(path, 200, 30)
    killed(path, lambda _: TokenStore(path).save(GRANT))
    path.write_bytes(copy)


def another_state(path: Path) -> None:
    other = make(path.parent.with_name("other") / "state.db", 5, 500)
    killed_run(path, 200, 5)
    other.replace(path)


def nothing(path: Path) -> None:
    killed_run(path, 200, 5)
    path.unlink()


def copy_that_is_cut(path: Path) -> None:
    killed_run(path, 200, 5)
    path.write_bytes(path.read_bytes()[:8192])


def copy_without_facts(path: Path) -> None:
    copy = path.with_name("copy.db")
    shutil.copy(path, copy)
    with closing(sqlite3.connect(copy)) as connection, connection:
        connection.execute("DELETE FROM facts")
    killed(path, lambda store: store.ledger.record([(None, make_closing(9))], NOW))
    copy.replace(path)


HALVES = [
    old_copy_and_idle_run, old_copy_and_busy_run, copy_of_the_run_before_and_long_run,
    copy_with_a_run_that_nobody_saw, copy_of_the_first_day, old_copy_and_sign_in, another_state,
    nothing, copy_that_is_cut,
    copy_without_facts,
]  # fmt: skip


def contents(path: Path) -> dict[str, str]:
    return {
        file.name: sha256(file.read_bytes()).hexdigest()
        for file in path.parent.iterdir()
        if not file.name.endswith(".lock")
    }


@pytest.mark.parametrize("has_shm", [True, False])
@pytest.mark.parametrize("lay", HALVES)
def test_half_a_restore_is_refused(made: Path, lay: Callable[[Path], None], has_shm: bool) -> None:
    """By whoever is to write, a sign-in included; no byte changes, and the sentence is the same."""
    lay(made)
    if not has_shm:
        Path(f"{made}-shm").unlink()
    before = contents(made)
    for entered in (lambda: locked(made), lambda: TokenStore(made).alone()):
        with pytest.raises(StorageError) as caught, entered():
            pass
        assert str(caught.value) == half_restored(made)
    with pytest.raises(StorageError):
        look_beside(made)
    assert contents(made) == before


@pytest.mark.parametrize("lay", HALVES)
def test_who_looks_finds_the_same(made: Path, lay: Callable[[Path], None]) -> None:
    """`verify` and `check` go by these flaws; where it cannot even be opened, by the sentence."""
    lay(made)
    try:
        with Store.snapshot(made) as copy:
            said = [flaw.sentence for flaw in copy.flaws(None)]
    except StorageError as error:
        said = [str(error)]
    assert half_restored(made) in said


def long_run(path: Path) -> None:
    killed_run(path, 200, LONG)


def killed_twice(path: Path) -> None:
    killed_run(path, 200, 20)
    killed_run(path, 300, 20)


def killed_in_the_first(path: Path) -> None:
    for file in path.parent.iterdir():
        file.unlink()
    killed(path, start)


def killed_backfill_before_it(path: Path) -> None:
    for file in path.parent.iterdir():
        file.unlink()

    def act(store: Store) -> None:
        store.begin_run("backfill", "r1", NOW)
        store.pin(PINS)
        store.ledger.record([(None, make_closing())], NOW)

    killed(path, act)


def killed_sign_in(path: Path) -> None:
    killed(path, lambda _: TokenStore(path).save(GRANT))


def killed_while_it_brought_in_what_was_written(path: Path) -> None:
    """The file has all of it already, and the -wal still lies there."""
    killed_run(path, 200, 20)
    both = path.with_name("both")
    for end in ("", "-wal"):
        shutil.copy(f"{path}{end}", f"{both}{end}")
    with Store.open(both):
        pass
    both.replace(path)


def copied_together(path: Path) -> None:
    killed_run(path, 200, 20)
    Path(f"{path}-shm").unlink()


WHOLE = [
    long_run, killed_twice, killed_in_the_first, killed_backfill_before_it, killed_sign_in,
    killed_while_it_brought_in_what_was_written, copied_together,
]  # fmt: skip


@pytest.mark.parametrize("leave", WHOLE)
def test_what_a_killed_run_leaves_by_itself_is_taken(
    made: Path, leave: Callable[[Path], None]
) -> None:
    """Its last commit is there, and after the next run no -wal is."""
    leave(made)
    with Store.snapshot(made) as copy:
        sizes = copy.integrity.sizes()
        assert [flaw for flaw in copy.flaws(None) if flaw.grave] == []
    with locked(made), Store.open(made) as store:
        assert store.integrity.sizes() == sizes
    assert not Path(f"{made}-wal").exists()


def test_a_clock_that_is_slow_does_not_stop_what_was_killed(made: Path) -> None:
    """What is looked at is whether the two belong together, and no clock tells that."""

    def act(store: Store) -> None:
        store.begin_run("sync", "ahead", NOW)
        store.move_watermark(NOW.replace(year=2090))

    killed(made, act)
    with locked(made):
        pass


def test_state_without_changes_beside_it_is_not_looked_at(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An idle run costs what it did; nor is it where the process holds the state already."""

    def looked(path: Path) -> Store:
        raise AssertionError("the state was copied")

    monkeypatch.setattr(Store, "snapshot", looked)
    with locked(made), Store.open(made) as store:
        send(store, 200, 1)
        with TokenStore(made).alone():
            TokenStore(made).save(GRANT)
    assert not Path(f"{made}-wal").exists()


def test_run_that_ended_beside_a_reader_leaves_nothing_to_look_at(made: Path) -> None:
    """A program that has the state open keeps its -wal there; but it is empty."""
    reader = Store.open(made)
    run(made, 200, 5)
    assert Path(f"{made}-wal").stat().st_size == 0
    reader.__exit__(None, None, None)


def test_state_that_another_program_does_not_let_go_of(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its -wal could not be emptied, so this run's changes would lie with those of another one."""
    monkeypatch.setattr(database, "PRAGMAS", ("PRAGMA busy_timeout = 0",))
    killed_run(made, 200, 5)
    reader = sqlite3.connect(made, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM facts").fetchall()
    with pytest.raises(StorageError) as caught:
        Store.open(made)
    assert str(caught.value) == (
        "The state could not be used (another program reads it); what was recorded before is kept. "
        "Another program holds it: end that program, and try again."
    )
    reader.close()
    with locked(made), Store.open(made):
        pass


def test_row_that_is_committed_after_a_look_is_not_lost(made: Path) -> None:
    """A second process comes and goes while this one is connected and reads its sign-in.

    Had this process opened and closed the file by itself, SQLite's lock would be gone, and the
    other one would take away the -wal to which this one goes on writing.
    """
    TokenStore(made).save(GRANT)
    with locked(made), Store.open(made) as store:
        send(store, 200, 1)
        assert TokenStore(made).read() == GRANT
        with TokenStore(made).alone():
            pass
        come_and_go = (
            "import sqlite3, sys\n"
            "beside = sqlite3.connect(sys.argv[1])\n"
            "beside.execute('DELETE FROM noes')\n"
            "beside.commit()\n"
            "beside.close()\n"
        )
        subprocess.run([sys.executable, "-c", come_and_go, str(made)], check=True)
        store.ledger.record([(None, make_closing(999))], NOW)
        count = (
            "import sqlite3, sys\n"
            "beside = sqlite3.connect(sys.argv[1])\n"
            "print(*beside.execute('SELECT count(*) FROM closings WHERE matter_id = 999'))\n"
        )
        ran = subprocess.run(
            [sys.executable, "-c", count, str(made)], capture_output=True, text=True, check=True
        )
        assert ran.stdout == "(1,)\n"
