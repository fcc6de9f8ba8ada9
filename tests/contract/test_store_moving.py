"""A state that moves from a file into a firm of a fleet: all of it, and only once."""

import os
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import old_states
import psycopg
import pytest
from databases import KEY, Database, firm_place
from factories import CLOSED_ON, NOW, make_candidate, make_closing, start
from ledgers import allow, claim, judge, next_run, put, recover
from ledgers import row as row_of
from planting import connection_of, sql
from psycopg.rows import dict_row
from runs import Runs
from whole import LATER, SENDING, SENT
from whole import make as make_whole

from clio_broadly_sync.domain.credentials import Grant, Secret
from clio_broadly_sync.domain.daily_look import Part
from clio_broadly_sync.domain.errors import (
    BusyError,
    ConfigError,
    DamagedError,
    StorageError,
    SyncError,
)
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.store import FilePlace, Store, TokenStore, moved, moving, postgresql, tokens
from clio_broadly_sync.store.firm import FirmPlace
from clio_broadly_sync.store.firms import HASH_KEY, Firms
from clio_broadly_sync.store.postgresql import WORKER, Session
from clio_broadly_sync.store.seal import Seal
from clio_broadly_sync.store.sessions import Sessions
from clio_broadly_sync.store.tables import SCHEMA_VERSION, TABLES

Row = dict[str, Any]
SEAL: Final = Seal([Secret(KEY)])
NAME: Final = "smith-and-co"
PERIOD: Final = timedelta(minutes=15)
GRANT: Final = Grant("https://app.clio.com", "access-one", "refresh-one", LATER)
NOT_ROWS: Final = {HASH_KEY, *tokens.NAMES}
"""The facts that are sealed in a fleet."""


@pytest.fixture
def neighbour(address: str) -> FirmPlace:
    """Another firm of the fleet, whose closings have the first numbers."""
    place = firm_place(address, 1)
    with place.open() as store:
        start(store)
        put(store, *(make_closing(matter) for matter in range(1, 30)))
    return place


@pytest.fixture(params=[*old_states.VERSIONS, "now"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> FilePlace:
    """A state as each version of the tables made it, with every state that there is."""
    place = FilePlace(tmp_path / "state" / "state.db")
    if request.param == "now":
        make_whole(place)
    else:
        looked = {"skipped_looked_to": "7", "time_zone": "America/Denver"}
        old_states.make(place.path, request.param, **looked, **tokens.texts_of(GRANT))
    return place


def session(address: str) -> Session:
    return postgresql.connect(address, "clio-broadly-sync fleet", idle=PERIOD, role=WORKER)


def move(path: Path, address: str, name: str = NAME, now: datetime = LATER) -> FirmPlace:
    """Move a state as `firms add --state` does; return the place of the firm."""
    with closing(session(address)) as connected:

        def add(hash_key: str) -> int:
            firms, sealed = Firms(connected), SEAL.close(name, {HASH_KEY: hash_key})
            before = firms.named(name)
            removed = None if before is None else before.secrets
            number = firms.add(name, {"a": "b"}, sealed, PERIOD, removed=removed)
            assert number is not None
            return number

        moving.move(path, name, add, session=connected, seal=SEAL, now=now)
        return place_of(connected, name)


def place_of(connected: Session, name: str = NAME) -> FirmPlace:
    """Return the place of a firm that is there."""
    firm = Firms(connected).named(name)
    assert firm is not None
    key = SEAL.open(name, firm.secrets)[HASH_KEY]
    sessions = Sessions(connected.raw.info.dsn, idle=PERIOD)
    return FirmPlace(sessions, firm.number, name, hash_key=key, seal=SEAL)


def is_there(database: Database, name: str = NAME) -> bool:
    return database.read().execute("SELECT 1 FROM firms WHERE name = %s", [name]).rowcount == 1


def rows_of_file(path: Path) -> dict[str, list[Row]]:
    """Return the rows of each table, as this version has them; no one names a number."""
    with Store.snapshot(path) as copy:
        found = {
            table.name: [dict(row) for row in copy.rows(table)]
            for table in TABLES
            if table is not SCHEMA_VERSION
        }
    return without_numbers(found)


def rows_of_firm(database: Database, firm: int) -> dict[str, list[Row]]:
    with database.read().cursor(row_factory=dict_row) as cursor:
        found = {
            table.name: cursor.execute(
                f"SELECT * FROM {table.name} WHERE firm = %s",  # noqa: S608
                [firm],
            ).fetchall()
            for table in TABLES
            if table is not SCHEMA_VERSION
        }
    return without_numbers(found)


def without_numbers(tables: Mapping[str, list[Row]]) -> dict[str, list[Row]]:
    """Return the rows in an order of their own, with a closing's key in place of its number."""
    keys = {row["number"]: (row["matter_id"], row["closed_on"]) for row in tables["closings"]}
    found: dict[str, list[Row]] = {}
    for name, rows in tables.items():
        found[name] = [
            {
                column: keys[value] if column == "closing" else value
                for column, value in row.items()
                if column not in ("firm", "number")
            }
            for row in rows
            if name != "facts" or row["name"] not in NOT_ROWS
        ]
        for row in found[name]:
            if row.get("name") in {f"{part}_looked_to" for part in Part}:
                row["value"] = keys.get(int(row["value"]), 0)
        found[name].sort(key=repr)
    return found


# All of it.


def test_every_row_comes_along(state: FilePlace, neighbour: FirmPlace, database: Database) -> None:
    """Of each version, with every value; nothing of it is noted anew, and nothing is unsound."""
    before = rows_of_file(state.path)
    assert all(before[name] for name in before if name not in ("noes", "objections"))
    firm = move(state.path, neighbour.sessions.address)
    assert rows_of_firm(database, firm.firm) == before
    with firm.open() as store:
        assert store.flaws(LATER) == []


def test_order_of_numbers_is_kept(state: FilePlace, neighbour: FirmPlace) -> None:
    """Each is another one, because the numbers are those of all firms."""
    with Store.snapshot(state.path) as copy:
        before = in_order(copy)
    with move(state.path, neighbour.sessions.address).open() as store:
        after = in_order(store)
    assert list(after.values()) == list(before.values())
    assert min(after) > 29


def in_order(store: Store) -> dict[int, int]:
    numbered = "SELECT number, matter_id FROM closings WHERE firm = ? ORDER BY number"
    found = connection_of(store).execute(numbered, (store._firm,))
    return dict(found.fetchall())


def test_stories_are_the_same(state: FilePlace, neighbour: FirmPlace) -> None:
    """`explain` tells of every closing what it told before."""
    with Store.snapshot(state.path) as copy:
        before = stories(copy)
    with move(state.path, neighbour.sessions.address).open() as store:
        assert stories(store) == before
    assert len(before) > 8


def stories(store: Store) -> dict[int, Any]:
    found = {matter: store.history.of_matter(matter) for matter in in_order(store).values()}
    return {
        matter: [story._replace(closing=story.closing._replace(number=0)) for story in several]
        for matter, several in found.items()
    }


def test_other_firms_are_as_they_were(
    state: FilePlace, neighbour: FirmPlace, database: Database
) -> None:
    before = rows_of_firm(database, neighbour.firm)
    move(state.path, neighbour.sessions.address)
    assert rows_of_firm(database, neighbour.firm) == before
    with neighbour.open() as store:
        assert store.flaws(LATER) == []


def test_noes_come_along(path: Path, neighbour: FirmPlace, database: Database) -> None:
    """And who has opted out since."""
    at = int(NOW.timestamp())
    sql(
        path,
        f"INSERT INTO objections VALUES (1, {SENT}, {at}, 1)",  # noqa: S608
        f"INSERT INTO noes VALUES (1, -5, 1202, {at})",  # noqa: S608
    )
    rows = rows_of_firm(database, move(path, neighbour.sessions.address).firm)
    of_sent = {"closing": (SENT, str(CLOSED_ON)), "read_at": at, "told_in_run": 1}
    assert rows["objections"] == [of_sent]
    assert rows["noes"] == [{"identity": -5, "contact_id": 1202, "read_at": at}]


def test_known_client_is_known_again(path: Path, neighbour: FirmPlace) -> None:
    """By the same hashes: nobody who was asked from the file is asked from the fleet."""
    with move(path, neighbour.sessions.address).open() as store:
        store.begin_run("sync", "r3", LATER)
        known, new = (make_closing(n, contact_id=1200 + n) for n in (SENT, 500))
        known = known._replace(key=known.key._replace(matter_id=499))
        put(store, known, new)
        taken = claim(store, [make_candidate(known), make_candidate(new)], judge=judge, at=LATER)
    assert [candidate.closing.key.matter_id for candidate in taken.batch] == [500]


def test_claim_on_its_way_is_in_doubt_at_the_next_run(path: Path, address: str) -> None:
    """As after a kill: it is not sent again by itself."""
    with move(path, address).open() as store:
        assert row_of(store, SENDING).state is State.SENDING
        next_run(store)
        assert [closing.key.matter_id for closing in recover(store)] == [SENDING]
        assert (row_of(store, SENDING).state, row_of(store, SENDING).in_doubt) == (State.HELD, True)


def test_next_sync_goes_on(tmp_path: Path, neighbour: FirmPlace) -> None:
    """Nobody is asked again, whoever waits is asked once, and what was read is not begun anew."""
    path = tmp_path / "state" / "state.db"
    with Store.open(path) as store:
        runs = Runs(store)
        runs.sync()
        runs.clock.tick(hours=1)
        runs.close(*range(1, 7))
        runs.sync(limit=3)
        assert runs.broadly.matters == [[1, 2, 3]]
        watermark = store.watermark
    with move(path, neighbour.sessions.address).open() as store:
        runs.store = store
        assert store.watermark == watermark
        runs.clock.tick(hours=1)
        runs.close(7)
        runs.sync()
        assert runs.broadly.matters == [[4, 5, 6, 7]]
        assert store.flaws(runs.clock.now) == []
    assert runs.clio.since is not None
    assert runs.clio.since >= NOW


def test_state_without_a_run(tmp_path: Path, address: str, database: Database) -> None:
    """One in which somebody has only signed in."""
    path = tmp_path / "state" / "state.db"
    TokenStore(path).save(GRANT)
    firm = move(path, address)
    assert firm.sign_in().read() == GRANT
    with firm.open() as store:
        assert (store.pins(), store.flaws(NOW)) == (None, [])


# What is sealed, and what stands in the row of the firm.


def test_sign_in_is_sealed_and_erased(path: Path, address: str, database: Database) -> None:
    """It is in no fact, nor in any byte of the files; and the key of the hashes is in no fact."""
    TokenStore(path).save(GRANT)
    firm = move(path, address)
    assert firm.sign_in().read() == GRANT
    names = database.read().execute("SELECT name FROM facts WHERE firm = %s", [firm.firm])
    assert not {name for (name,) in names} & NOT_ROWS
    for file in path.parent.iterdir():
        assert b"access-one" not in file.read_bytes()
        assert b"refresh-one" not in file.read_bytes()


def test_account_is_noted(path: Path, address: str, database: Database) -> None:
    firm = move(path, address)
    found = database.read().execute("SELECT account FROM firms WHERE firm = %s", [firm.firm])
    assert found.fetchone() == ("https://app.clio.com 7",)


def test_account_of_another_firm(path: Path, address: str, database: Database) -> None:
    """Its clients would be asked twice; those of a firm that was removed are not asked."""
    admin = database.read()
    admin.execute("UPDATE firms SET account = 'https://app.clio.com 7' WHERE firm = 2")
    refused(path, address, ConfigError, "is the firm firm-2's")
    assert not is_there(database)
    admin.execute("UPDATE firms SET state = 'removed' WHERE firm = 2")
    move(path, address)


def test_notes_come_along(path: Path, address: str) -> None:
    """What was told to whom; what cannot be read is left."""
    FilePlace(path).notes("told").write({"a": 1})
    Path(f"{path}.notified").mkdir(mode=0o700)
    firm = move(path, address)
    assert firm.notes("told").read() == {"a": 1}
    assert firm.notes("notified").read() == {}


# What is refused: no firm is added, and the file goes on.


def refused(
    path: Path, address: str, kind: type[SyncError], says: str, now: datetime = LATER
) -> None:
    with pytest.raises(kind, match=says) as caught:
        move(path, address, now=now)
    assert type(caught.value) is kind


def test_unsound_state(path: Path, address: str, database: Database) -> None:
    """Whatever `verify` finds grave: a contradiction, a broken file, one that others may write."""
    sql(path, "UPDATE facts SET value = '2026-01-01' WHERE name = 'start_day'")
    refused(path, address, DamagedError, "start day lies before the first run")
    assert not is_there(database)
    with FilePlace(path).open():
        pass


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO objections VALUES (1, 99, 0, NULL)",
        "INSERT INTO people VALUES (1, -5, 99, 0)",
    ],
)
def test_row_of_no_closing(
    path: Path, address: str, database: Database, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    """It is not left behind in silence, be it that nobody looked."""
    sql(path, statement)
    refused(path, address, DamagedError, "Restore a sound copy")
    monkeypatch.setattr(Store, "flaws", lambda store, now: [])
    refused(path, address, DamagedError, "a closing is gone from it")
    assert not is_there(database)


def test_watermark_of_the_future(path: Path, address: str, database: Database) -> None:
    refused(path, address, DamagedError, "lies in the future", now=NOW - timedelta(days=5))
    assert not is_there(database)


def test_file_that_others_may_read(path: Path, address: str, database: Database) -> None:
    path.chmod(0o644)
    refused(path, address, StorageError, "Others may read the state file")
    path.chmod(0o600)
    Path(f"{path}.told").touch(mode=0o644)
    refused(path, address, DamagedError, "Others may read state.db.told")
    assert not is_there(database)


def test_file_that_is_not_there(tmp_path: Path, address: str, database: Database) -> None:
    """No folder and no file is made for a name that was mistyped."""
    path = tmp_path / "nowhere" / "state.db"
    refused(path, address, StorageError, "There is no state at .*nowhere/state.db: see")
    assert not path.parent.exists()
    assert not is_there(database)


def test_file_of_another_program(path: Path, address: str, database: Database) -> None:
    sql(path, "DROP TABLE schema_version")
    refused(path, address, StorageError, "belongs to another program")
    assert not is_there(database)


def test_half_of_a_restore(path: Path, address: str, database: Database, tmp_path: Path) -> None:
    """The changes beside the file are those of another one."""
    with FilePlace(path).open() as store:
        start(store, "another")
        for end in ("-wal", "-shm"):
            shutil.copy(f"{path}{end}", tmp_path / end)
    other = FilePlace(tmp_path / "other" / "state.db")
    with other.open() as store:
        start(store, "other")
    for end in ("-wal", "-shm"):
        shutil.copy(tmp_path / end, f"{other.path}{end}")
    refused(other.path, address, DamagedError, "half a restore")
    assert not is_there(database)


def test_file_that_was_being_written(path: Path, address: str, database: Database) -> None:
    """What became of an export is known on this machine alone."""
    with FilePlace(path).open() as store:
        store.exports.begin()
    refused(path, address, ConfigError, "`clio-broadly-sync sync --csv FILE`")
    assert not is_there(database)
    with FilePlace(path).open() as store:
        store.exports.clear()
    move(path, address)


def test_state_at_work(path: Path, address: str, database: Database) -> None:
    """A run holds it, or somebody changes the sign-in."""
    with FilePlace(path).locked("sync"):
        refused(path, address, BusyError, "Another run is at work")
    assert not is_there(database)


def test_nobody_works_on_it_meanwhile(
    path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No run, and nobody who would renew the sign-in that is on its way."""
    monkeypatch.setattr(tokens, "ALONE_SECONDS", 0.1)
    begin, seen = moved.begin, []

    def meanwhile(*arguments: Any) -> None:
        with pytest.raises(BusyError), FilePlace(path).locked():
            pass
        with pytest.raises(BusyError), TokenStore(path).alone():
            pass
        seen.append(begin(*arguments))

    monkeypatch.setattr(moved, "begin", meanwhile)
    move(path, address)
    assert len(seen) == 1


def test_firm_with_a_ledger(path: Path, address: str, database: Database) -> None:
    """One that was removed: it goes on with its own."""
    with firm_place(address, 2).open() as store:
        next_run(store)
    database.read().execute("UPDATE firms SET state = 'removed' WHERE firm = 2")
    before = rows_of_firm(database, 2)
    with pytest.raises(ConfigError, match="has a ledger already"):
        move(path, address, "firm-2")
    assert rows_of_firm(database, 2) == before
    assert database.read().execute("SELECT settings FROM firms WHERE firm = 2").fetchone() == ({},)
    with FilePlace(path).open():
        pass


def test_removed_firm_that_has_none(path: Path, address: str, database: Database) -> None:
    database.read().execute("UPDATE firms SET state = 'removed' WHERE firm = 3")
    assert move(path, address, "firm-3").firm == 3


# The file, from then on.

OPENINGS: Final[Mapping[str, Callable[[FilePlace], object]]] = {
    "run": lambda place: place.open(),
    "look": lambda place: place.snapshot(),
    "read sign-in": lambda place: place.sign_in().read(),
    "save sign-in": lambda place: place.sign_in().save(GRANT),
    "erase sign-in": lambda place: place.sign_in().erase(),
}
"""All by which a command meets a state's file."""


@pytest.mark.parametrize("opening", OPENINGS.values(), ids=OPENINGS)
def test_file_is_refused_from_then_on(
    state: FilePlace, address: str, opening: Callable[[FilePlace], object]
) -> None:
    move(state.path, address)
    before = state.path.read_bytes()
    with pytest.raises(ConfigError) as caught:
        opening(state)
    assert str(caught.value) == (
        f"This state has moved to the firm {NAME} of a fleet, and nobody is sent from here: set "
        f"FLEET_DATABASE, and name it with `--firm {NAME}`."
    )
    assert caught.value.exit_code == 78
    assert state.path.read_bytes() == before


def test_sign_in_that_cannot_be_taken_out_of_the_file(
    state: FilePlace,
    address: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The firm is there and the file is refused; whoever moved it is told to remove it."""

    def full(connection: object, name: str) -> None:
        raise StorageError("The disk is full.")

    monkeypatch.setattr(moved, "end", full)
    move(state.path, address)
    assert [record.message for record in caplog.records] == [
        f"The firm is there, but its sign-in may be left in {state.path}: remove that file."
    ]
    with pytest.raises(ConfigError, match="moved"):
        state.open()


def test_earlier_version_refuses_it_too(
    state: FilePlace, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It knows of no mark, and takes the file for a newer version's."""
    move(state.path, address)
    monkeypatch.setattr(moved, "check", lambda connection, own: None)
    for opening in (state.open, state.snapshot):
        with pytest.raises(StorageError, match="made by a newer version") as caught:
            opening()
        assert caught.value.exit_code == 74
    monkeypatch.undo()


@pytest.mark.parametrize("name", [NAME, "another"])
def test_it_moves_once(path: Path, address: str, database: Database, name: str) -> None:
    """Not again where the firm was erased since: whoever it has sent would be sent again."""
    firm = move(path, address)
    erase(database, firm)
    with pytest.raises(ConfigError, match=f"moved to the firm {NAME} of a fleet.*FLEET_DATABASE"):
        move(path, address, name)
    assert not is_there(database, name)


def erase(database: Database, firm: FirmPlace) -> None:
    """Let there be no such firm, and nothing of it."""
    admin = database.read()
    for table in TABLES:
        if table is not SCHEMA_VERSION:
            admin.execute(f"DELETE FROM {table.name} WHERE firm = %s", [firm.firm])  # noqa: S608
    admin.execute("DELETE FROM firms WHERE firm = %s", [firm.firm])


def marked(path: Path, fleet: str = "1-2") -> None:
    """Mark a state as a move does that is cut short before the firm is committed."""
    with tokens.opened(path) as connection:
        moved.begin(connection, NAME, fleet)


def test_killed_run_beside_it(path: Path, address: str, tmp_path: Path) -> None:
    """What the run had claimed comes along from the changes that lie beside the file."""
    killed = FilePlace(tmp_path / "killed" / "state.db")
    killed.path.parent.mkdir(mode=0o700)
    with FilePlace(path).open() as store:
        next_run(store)
        put(store, make_closing(300, contact_id=1500))
        claim(store, [make_candidate(make_closing(300, contact_id=1500))], judge=allow)
        for end in ("", "-wal", "-shm"):
            shutil.copy(f"{path}{end}", f"{killed.path}{end}")
    assert Path(f"{killed.path}-wal").stat().st_size > 0
    with move(killed.path, address).open() as store:
        assert row_of(store, 300).state is State.SENDING
    assert not may_send(killed)


def test_cut_short_elsewhere(path: Path, address: str, database: Database) -> None:
    """Another fleet may have the firm, so this one does not get it; nor does a firm of another
    name."""
    marked(path)
    refused(path, address, ConfigError, f"`firms add {NAME} --state` again")
    assert not is_there(database)


def test_cut_short_with_another_name(path: Path, address: str, database: Database) -> None:
    with closing(session(address)) as connected:
        marked(path, moving._fleet(connected))
    with pytest.raises(ConfigError, match=f"has moved to the firm {NAME}"):
        move(path, address, "another")
    assert not is_there(database, "another")
    move(path, address)


# The list of changes is noted by the database itself, but for a move.


def test_no_run_can_do_without_the_list(address: str, database: Database) -> None:
    """Not by the setting alone, which any session may set."""
    place = firm_place(address, 2)
    with place.open() as store:
        start(store)
        connection_of(store).execute("SET fleet.moving = 'on'")
        put(store, make_closing())
    assert len(rows_of_firm(database, 2)["changes"]) == 1


# Cut short at each of its steps.


class CutError(Exception):
    """What ends a move in a test."""


class Steps:
    """Cuts a move off before one of its steps; `cut` is what does it."""

    def __init__(self, left: int, cut: Callable[[], None]) -> None:
        self.left = left
        self.cut = cut

    def step(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.cut()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Let each statement and each end of a transaction be a step, in the file as in the
        database; the end of one there may also be a step that was made before it is cut off."""
        steps = self

        class Counting(sqlite3.Connection):
            def execute(self, *arguments: Any) -> sqlite3.Cursor:
                steps.step()
                return super().execute(*arguments)

            def commit(self) -> None:
                steps.step()
                super().commit()

        def before(real: Callable[..., Any]) -> Callable[..., Any]:
            def stepped(*arguments: Any, **named: Any) -> Any:
                steps.step()
                return real(*arguments, **named)

            return stepped

        def committed(raw: psycopg.Connection[Any]) -> None:
            steps.step()
            commit(raw)
            steps.step()

        def connected(name: str, **named: Any) -> sqlite3.Connection:
            """Let steps be those on the file alone, and not on a copy."""
            is_file = name.endswith("mode=rw")
            return connect(name, **named, **({"factory": Counting} if is_file else {}))

        commit, connect = psycopg.Connection.commit, sqlite3.connect
        with pytest.MonkeyPatch.context() as patch:
            for name in ("execute", "executemany", "copy_in"):
                patch.setattr(Session, name, before(getattr(Session, name)))
            patch.setattr(psycopg.Connection, "commit", committed)
            patch.setattr(sqlite3, "connect", connected)
            yield


def raises() -> None:
    raise CutError


def is_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def cut_at(step: int, path: Path, address: str, cut: Callable[[], None]) -> bool:
    """Move a state until just before that step; tell whether it was cut off there."""
    steps = Steps(step, cut)
    if cut is is_killed:
        if child := os.fork():
            return os.waitpid(child, 0)[1] == signal.SIGKILL
        try:
            with steps.watching():
                move(path, address)
        finally:
            os._exit(0)
    try:
        with steps.watching():
            move(path, address)
    except (CutError, StorageError):
        return True
    return steps.left <= 0


def may_send(place: FilePlace) -> bool:
    """Tell whether a run of the file would begin."""
    try:
        with place.locked(), place.open():
            return True
    except ConfigError:
        return False


@pytest.mark.parametrize("how", ["error", "cut", "kill"])
def test_cut_short_anywhere(path: Path, tmp_path: Path, database: Database, how: str) -> None:
    """Either the file goes on and there is no firm, or it is refused for good; never can both send.
    The same call then finishes it, or the firm is there already."""
    cuts = {"error": raises, "cut": database.cut, "kill": is_killed}
    TokenStore(path).save(GRANT)
    shutil.copy(path, tmp_path / "copy")
    before, found, step = rows_of_file(path), [], 0
    while True:
        step += 1
        address = database.emptied()
        for file in path.parent.iterdir():
            file.unlink()
        shutil.copy(tmp_path / "copy", path)
        was_cut = cut_at(step, path, address, cuts[how])
        database.wait()
        found.append((may_send(FilePlace(path)), is_there(database)))
        if not was_cut:
            break
        if not is_there(database):
            move(path, address)
        with closing(session(address)) as connected:
            firm = place_of(connected)
        assert rows_of_firm(database, firm.firm) == before, step
        assert firm.sign_in().read() == GRANT
        assert not may_send(FilePlace(path))
    assert sorted(set(found), reverse=True) == [(True, False), (False, True), (False, False)]
    assert found == sorted(found, key=[(True, False), (False, False), (False, True)].index)
    assert step > 40
