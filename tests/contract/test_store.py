"""The state's file: who may read it, what is refused, and what a failure leaves behind."""

import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from factories import NOW, PINS, START, make_candidate, make_closing, make_due
from ledgers import claim, put, settle
from planting import connection_of

from clio_broadly_sync.domain.errors import StorageError
from clio_broadly_sync.domain.model import FieldIds, Outcome, Pins, SyncRule
from clio_broadly_sync.domain.rules import Doubts
from clio_broadly_sync.store import Store, locked

Listing = dict[str, tuple[int, bytes]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "state.db"


@pytest.fixture
def made(path: Path) -> Path:
    """A state at rest, with one closing in it."""
    with Store.open(path) as store:
        store.begin_run("sync", "r1", NOW)
        store.pin(PINS, **START)
        store.ledger.record([(None, make_closing())], NOW)
    return path


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def listing(folder: Path) -> Listing:
    """Return every file of a folder: its mode and its bytes."""
    files = [path for path in sorted(folder.iterdir()) if path.is_file()]
    return {file.name: (file.stat().st_mode, file.read_bytes()) for file in files}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def sql(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


# Who may read it.


@pytest.mark.usefixtures("umask")
def test_files_are_private(path: Path) -> None:
    """Database, -wal, -shm and lock are 0600 in a 0700 folder, whatever the umask."""
    with locked(path), Store.open(path) as store:
        store.begin_run("sync", "r1", NOW)
        modes = {file.name: mode(file) for file in path.parent.iterdir()}
    assert modes == dict.fromkeys(
        ("state.db", "state.db-wal", "state.db-shm", "state.db.lock"), 0o600
    )
    assert mode(path.parent) == 0o700


# What is refused, with a sentence, and left as it is.


def not_a_database(path: Path) -> None:
    path.write_bytes(b"SYNC_RULE=opt-out\n" * 500)


def cut_short(path: Path) -> None:
    os.truncate(path, 3000)


def cut_to_nothing(path: Path) -> None:
    os.truncate(path, 0)


def another_programs(path: Path) -> None:
    path.write_bytes(b"")
    sql(path, "CREATE TABLE bookmarks (url TEXT)", "INSERT INTO bookmarks VALUES ('x')")


def newer(path: Path) -> None:
    sql(path, "UPDATE schema_version SET version = version + 1")


@pytest.mark.parametrize("opened", [Store.open, Store.snapshot], ids=["open", "scratch"])
def test_link_or_folder_in_its_place_is_refused(
    made: Path, opened: Callable[[Path], Store]
) -> None:
    """The state is an ordinary file: no link, not even to nowhere, and no folder."""
    for name in ("folder", "link", "dangling"):
        place = made.parent / name
        if name == "folder":
            place.mkdir()
        else:
            place.symlink_to(made if name == "link" else made.parent / "nowhere")
        with pytest.raises(StorageError, match="not an ordinary file"):
            opened(place)


AS_NOBODY = """
import os, sys
import urllib.parse  # pathlib loads it late, when nobody may no longer read where Python lies
from datetime import UTC, datetime
from pathlib import Path
from clio_broadly_sync.domain.errors import StorageError
from clio_broadly_sync.store import Store, locked
if os.geteuid() == 0:
    os.setgid(65534); os.setuid(65534)
path, now = Path(sys.argv[1]), datetime(2026, 11, 20, tzinfo=UTC)
def tried(opened):
    try:
        with opened() as store:
            return "ok" if store is None else str(store.begin_run("sync", "r", now))
    except StorageError as error:
        return str(error)
for opened in (lambda: locked(path), lambda: Store.open(path), lambda: Store.snapshot(path)):
    print(tried(opened))
"""


def as_nobody(made: Path, file_bits: int, folder_bits: int) -> tuple[list[str], bool]:
    """Try lock, state and scratch copy as a user for whom permissions count; tell whether the
    folder is as it was."""
    nobody = 65534 if os.geteuid() == 0 else os.geteuid()
    with tempfile.TemporaryDirectory() as outside:
        Path(outside).chmod(0o755)
        path = Path(outside, "state", "state.db")
        path.parent.mkdir()
        path.write_bytes(made.read_bytes())
        for place, bits in ((path, file_bits), (path.parent, folder_bits)):
            os.chown(place, nobody, -1)
            place.chmod(bits)
        before = listing(path.parent) if file_bits & 0o400 else {}
        command = [sys.executable, "-c", AS_NOBODY, str(path)]
        ran = subprocess.run(command, capture_output=True, text=True)
        path.parent.chmod(0o700)
        path.chmod(file_bits)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.splitlines(), bool(before) and listing(path.parent) == before


NOT_ALLOWED: dict[str, tuple[int, int, str, str, str]] = {
    "to write to the folder": (0o600, 0o500, "Permission denied", "could not be used", "2"),
    "to enter the folder": (0o600, 0o000, *["could not be used"] * 3),
    "to write to the file": (0o400, 0o700, "ok", "readonly", "2"),
    "to read the file": (0o000, 0o700, "ok", "could not be used", "could not be used"),
}
"""The modes of file and folder; what becomes of the lock, of the state, and of a scratch copy."""


@pytest.mark.parametrize(
    ("file", "folder", "lock", "opened", "scratch"), NOT_ALLOWED.values(), ids=NOT_ALLOWED
)
def test_user_who_is_not_allowed(
    made: Path, file: int, folder: int, lock: str, opened: str, scratch: str
) -> None:
    """No run without lock and file; a dry run needs no more than to read, and changes nothing."""
    answers, unchanged = as_nobody(made, file, folder)
    assert all(word in said for word, said in zip((lock, opened, scratch), answers, strict=True))
    assert unchanged or (file, folder) != (0o600, 0o500)


# A full disk.


def fill(store: Store) -> None:
    """Let the disk be full for this state from now on."""
    connection = connection_of(store)
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")


def test_full_disk_leaves_nothing_half_done(made: Path) -> None:
    """All of a transaction or nothing, and what was recorded before is there."""
    many = [(None, make_closing(number)) for number in range(1000, 3000)]
    with Store.open(made) as store:
        store.begin_run("sync", "r2", NOW)
        fill(store)
        with pytest.raises(StorageError, match="full"):
            store.ledger.record(many, NOW)
        with pytest.raises(StorageError, match="full"):
            store.pin(replace_pins(), start_day="x" * 100_000)
        assert store.pins() == PINS
    with Store.open(made) as store:
        assert store.pins() == PINS
        assert store.start_day == date(2026, 11, 20)
        assert store.ledger.count_pending(make_due()) == 1


def replace_pins() -> Pins:
    return PINS._replace(rule=SyncRule.OPT_IN)


def test_failed_first_opening_leaves_no_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full at the very first run must not leave an empty state behind."""
    monkeypatch.setattr("clio_broadly_sync.store.database.PRAGMAS", ("PRAGMA max_page_count = 2",))
    with pytest.raises(StorageError, match="full"):
        Store.open(path)
    assert list(path.parent.iterdir()) == []
    monkeypatch.undo()
    with Store.open(path) as store:
        assert store.pins() is None


def test_what_a_kill_left_of_a_first_opening_is_in_nobodys_way(path: Path) -> None:
    """Half a state under another name, with what SQLite had beside it: nothing of it is used."""
    path.parent.mkdir(mode=0o700)
    draft = f"{path}.new"
    with closing(sqlite3.connect(draft)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE half (done INTEGER)")
        left = {end: Path(f"{draft}{end}").read_bytes() for end in ("", "-wal", "-shm")}
    for end, content in left.items():
        Path(f"{draft}{end}").write_bytes(content)
    with Store.open(path) as store:
        assert store.pins() is None
    assert [file.name for file in path.parent.iterdir()] == ["state.db"]


# SQLite's settings, and the lock.


@pytest.mark.parametrize(
    ("pragma", "value"),
    [
        ("journal_mode", "wal"),
        ("synchronous", 2),
        ("busy_timeout", 5000),
        ("secure_delete", 1),
        ("temp_store", 1),
    ],
)
def test_pragmas(made: Path, pragma: str, value: object) -> None:
    """Committed is on the disk, even after a power failure; deleted is gone."""
    with Store.open(made) as store:
        assert connection_of(store).execute(f"PRAGMA {pragma}").fetchone()[0] == value


# The scratch copy of a dry run.


def test_scratch_of_nothing(path: Path) -> None:
    """Where there is no state yet, a dry run makes none."""
    with Store.snapshot(path) as store:
        assert store.pins() is None
    assert not path.parent.exists()


def test_scratch_of_a_state_at_rest(made: Path) -> None:
    """The copy has all of it; what is done to it reaches nobody."""
    before = listing(made.parent)
    with Store.snapshot(made) as store:
        store.begin_run("sync", "dry", NOW)
        assert store.pins() == PINS
        store.ledger.record([(None, make_closing(99))], NOW)
        assert store.ledger.count_pending(make_due()) == 2
        assert listing(made.parent) == before
    assert listing(made.parent) == before


def test_scratch_of_a_state_at_work(made: Path) -> None:
    """Beside a run whose changes are still in the -wal: they are in the copy, and nothing in the
    folder is touched."""
    with Store.open(made) as live:
        live.begin_run("sync", "r2", NOW)
        live.ledger.record([(None, make_closing(99))], NOW)
        before = listing(made.parent)
        assert before.keys() >= {"state.db-wal", "state.db-shm"}
        # Another process, as it is in life: within one, SQLite shares what it has open.
        program = (
            "import sys\nfrom pathlib import Path\nfrom clio_broadly_sync.store import Store\n"
            "with Store.snapshot(Path(sys.argv[1])) as copy:\n"
            "    print(sorted(copy.ledger.known([77, 99])))\n"
        )
        command = [sys.executable, "-c", program, str(made)]
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
        assert ran.stdout == "[77, 99]\n"
        assert listing(made.parent) == before
        live.ledger.record([(None, make_closing(100))], NOW)
        assert live.ledger.count_pending(make_due()) == 3


@pytest.mark.parametrize("lost", ["", "-shm"], ids=["all files", "without -shm"])
def test_scratch_of_what_a_kill_left(made: Path, tmp_path: Path, lost: str) -> None:
    """A -wal without a program: the copy has what was committed, the files are as they were."""
    left = tmp_path / "left"
    left.mkdir(mode=0o700)
    with Store.open(made) as live:
        live.begin_run("sync", "r2", NOW)
        live.ledger.record([(None, make_closing(99))], NOW)
        for file in made.parent.iterdir():
            if not lost or not file.name.endswith(lost):
                (left / file.name).touch(mode=0o600)
                (left / file.name).write_bytes(file.read_bytes())
    before = listing(left)
    with Store.snapshot(left / "state.db") as copy:
        assert copy.ledger.count_pending(make_due()) == 2
    assert listing(left) == before
    with Store.open(left / "state.db") as store:
        assert store.ledger.count_pending(make_due()) == 2


# What it remembers.


def test_facts_survive(path: Path) -> None:
    """Pins, start day, watermark, token and zone are there for the next run."""
    mark = datetime(2026, 11, 20, 18, 0, 0, 123456, tzinfo=UTC)
    with Store.open(path) as store:
        assert (store.pins(), store.watermark, store.first_run) == (None, None, None)
        assert (store.start_day, store.time_zone) == (None, None)
        first = {"first_run": NOW.isoformat(), "start_day": "2026-11-20"}
        seen = {"token_seen": store.hash_of("t0ken"), "time_zone": None}
        store.pin(PINS, watermark=mark.isoformat(), **first, **seen)
    with Store.open(path) as store:
        assert (store.pins(), store.watermark, store.first_run) == (PINS, mark, NOW)
        assert (store.start_day, store.time_zone) == (date(2026, 11, 20), None)
        assert store.has_seen("t0ken")
        assert not store.has_seen("another")
        assert store.watermark.tzinfo is store.first_run.tzinfo is UTC
        store.move_watermark(mark + timedelta(minutes=15))
    with Store.open(path) as store:
        assert store.watermark == mark + timedelta(minutes=15)


def test_doubts_survive(path: Path) -> None:
    """How many there were in a row and when the last one was, until they have ended."""
    with Store.open(path) as store:
        store.end_doubts()
        assert store.doubts is None
        store.note_doubt(NOW)
        store.note_doubt(NOW + timedelta(hours=1, microseconds=7))
    with Store.open(path) as store:
        assert store.doubts == Doubts(2, NOW + timedelta(hours=1, microseconds=7))
        store.end_doubts()
    with Store.open(path) as store:
        assert store.doubts is None
        store.note_doubt(NOW)
        assert store.doubts == Doubts(1, NOW)


@pytest.mark.parametrize(
    "pins",
    [
        PINS,
        PINS._replace(account=None),
        PINS._replace(account=1, fields=FieldIds(1, 2)),
        PINS._replace(fields=FieldIds(11, None), rule=SyncRule.OPT_OUT),
        PINS._replace(fields=FieldIds(None, 22), rule=SyncRule.OPT_IN),
    ],
)
def test_pins_come_back_as_they_were(path: Path, pins: Pins) -> None:
    """An absent account or field is absent, not zero."""
    with Store.open(path) as store:
        store.pin(pins)
    with Store.open(path) as store:
        assert store.pins() == pins


def test_runs_are_numbered(path: Path) -> None:
    """Each run has the next number, across openings."""
    with Store.open(path) as store:
        store.pin(PINS, **START)
        assert store.begin_run("sync", "a", NOW) == 1
        store.finish_run(0, NOW)
    with Store.open(path) as store:
        assert store.begin_run("sync", "b", NOW) == 2
        assert store.ledger.run == 2


def test_hashes_differ_from_state_to_state(tmp_path: Path) -> None:
    """The key is random: nobody can look a hash up elsewhere."""
    hashes = set()
    for name in ("one", "two"):
        with Store.open(tmp_path / name / "s.db") as store:
            hashes.add(store.hash_of("t0ken"))
    assert len(hashes) == 2


def test_no_person_is_in_any_file(path: Path) -> None:
    """Not a byte of name, address or number is written, in any of the files."""
    person = {
        "first_name": "Grace", "last_name": "Hopper", "email": "Grace@Example.com",
        "phone": "+14155550123", "company_name": "Nanosecond Wire",
    }  # fmt: skip
    with Store.open(path) as store:
        store.begin_run("sync", "r1", NOW)
        put(store, make_closing())
        claim(store, [make_candidate(make_closing(), **person)])
        settle(store, Outcome.ACCEPTED, 77)
        written = b"".join(data for _, data in listing(path.parent).values()).lower()
    written += path.read_bytes().lower()
    for word in person.values():
        for part in {word, *word.split(), *word.split("@"), word.lstrip("+")}:
            assert part.lower().encode() not in written
