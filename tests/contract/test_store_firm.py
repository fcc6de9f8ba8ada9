"""The state of a firm in PostgreSQL: whose it is, what a lost session leaves, what is said of it.

That the store does the same there as in a file, its other tests show.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from databases import Database, firm_place
from factories import NOW, PINS, START, make_candidate, make_closing, make_due
from ledgers import claim, hand_over, next_run, put, recover, row
from surroundings import BUSY_SECONDS

from clio_broadly_sync.domain.credentials import Grant
from clio_broadly_sync.domain.errors import BusyError, ConfigError, HungError, StorageError
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.store import lock, postgresql, postgresql_schema, tokens
from clio_broadly_sync.store.firm import FirmPlace
from clio_broadly_sync.store.postgresql import Session, in_its_words

HOST = "https://app.clio.com"
GRANT = Grant(HOST, "access-one", "refresh-one", NOW)
OTHER = Grant(HOST, "access-two", "refresh-two", NOW.replace(year=2027))


@pytest.fixture
def firm(address: str) -> FirmPlace:
    """A firm with a closing that waits."""
    place = firm_place(address, 1)
    with place.open() as store:
        store.begin_run("sync", "r1", NOW)
        store.pin(PINS, **START)
        put(store, make_closing())
        store.finish_run(0, NOW)
    return place


@pytest.fixture
def admin(address: str) -> Iterator[psycopg.Connection[Any]]:
    with closing(psycopg.connect(address, autocommit=True)) as connection:
        yield connection


def somebody_waits(admin: psycopg.Connection[Any]) -> None:
    """Return when a session waits for a lock of another one."""
    waits = "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted)"
    end = time.monotonic() + BUSY_SECONDS
    while admin.execute(waits).fetchone() == (False,):
        assert time.monotonic() < end, "nobody waits"


# Whose it is.


def test_one_run_at_a_time(firm: FirmPlace, address: str) -> None:
    """The other hears at once that it is busy, from wherever; and another firm's run is not."""
    beside = firm_place(address, 1)
    with firm.locked("sync"):
        with pytest.raises(BusyError, match="Another run is at work"), beside.locked():
            pass
        with firm_place(address, 2).locked():
            pass
    for _ in range(20):
        with beside.locked():
            pass


def test_holder_is_told(firm: FirmPlace, address: str) -> None:
    """Its command, since when, and how long it has asked nothing; to itself as to everybody."""
    assert firm.holder() is None
    began = datetime.now(UTC) - timedelta(seconds=1)
    with firm.locked("outbox resend"):
        for place in (firm, firm_place(address, 1)):
            found = place.holder()
            assert found is not None
            assert found.command == "outbox resend"
            assert found.since is not None
            assert began <= found.since <= datetime.now(UTC) + timedelta(seconds=1)
            assert timedelta(0) <= found.quiet < lock.HANGS_AFTER
            assert found.process == f"process {found.pid} on the database's server"
    with firm.locked():
        assert (found := firm.holder()) is not None
        assert found.command is None


def test_holder_that_hangs(firm: FirmPlace, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever finds it held by one that asks nothing any more is told which session to end."""
    with firm.locked("sync"):
        monkeypatch.setattr(lock, "HANGS_AFTER", timedelta(0))
        with pytest.raises(HungError) as caught, firm_place(address, 1).locked():
            pass
    assert "`sync` (process " in str(caught.value)
    assert "on the database's server; the next run puts in order" in str(caught.value)


def test_holder_that_is_gone_by_the_time_it_is_asked_for(
    firm: FirmPlace, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was busy all the same."""
    beside = firm_place(address, 1)
    monkeypatch.setattr(beside, "holder", lambda: None)
    with firm.locked("sync"), pytest.raises(BusyError, match="at work"), beside.locked():
        pass


def test_nothing_lies_beside_a_firm(firm: FirmPlace) -> None:
    assert firm.flaws() == []
    firm.look_beside()


# A session that is lost.


def test_lost_session_has_lost_the_firm_and_can_write_nothing(
    firm: FirmPlace, address: str, database: Database
) -> None:
    """Whatever it was about to do; and the next run finds what was committed, and no more."""
    with firm.locked("sync"), firm.open() as store:
        next_run(store)
        claim(store, [make_candidate(make_closing())])
        database.cut()
        with pytest.raises(StorageError, match="could not be used"):
            firm.touch()
        with pytest.raises(StorageError, match="what was recorded before is kept"):
            put(store, make_closing(5))
        with firm_place(address, 1).locked("sync"), firm_place(address, 1).open() as other:
            next_run(other)
            (left,) = recover(other)
            assert (left.state, left.in_doubt) == (State.HELD, True)
            assert other.ledger.known([5]) == {}


def test_session_that_is_lost_within_a_transaction(firm: FirmPlace, database: Database) -> None:
    """Nothing of it is done."""
    with firm.open() as store:
        next_run(store)

        def cut_then(closing: object, asked: object) -> None:
            database.cut()

        with pytest.raises(StorageError):
            claim(store, [make_candidate(make_closing())], judge=cut_then)
    with firm.open() as store:
        assert row(store).state is State.PENDING


def test_waiting_goes_on_in_the_sight_of_the_server(firm: FirmPlace) -> None:
    """One that holds nothing has nobody to tell."""
    firm.touch()
    with firm.locked():
        firm.touch()


def test_run_begins_only_when_another_has_written_what_it_writes(
    firm: FirmPlace, admin: psycopg.Connection[Any]
) -> None:
    """Without the lock, too: what the earlier run claims in the meantime is seen by the later one,
    or not claimed at all."""
    with firm.open() as earlier, firm.open() as later:
        next_run(earlier)
        begun = threading.Thread(target=next_run, args=(later,))

        def wait(closing: object, asked: object) -> None:
            begun.start()
            somebody_waits(admin)

        claim(earlier, [make_candidate(make_closing())], judge=wait)
        begun.join()
        assert [closing.state for closing in recover(later)] == [State.HELD]
        with pytest.raises(BusyError, match="Does a pooler before"):
            put(earlier, make_closing(6))


# What a session is.


def test_session_ends_by_the_servers_clock(address: str) -> None:
    """When it hangs, waits for others, or asks too much; and what the address says stays."""
    asked = f"{address} options='-c work_mem=5MB'"
    with closing(postgresql.connect(asked, "n" * 99, idle=timedelta(minutes=15))) as session:
        shown = {
            name: session.execute(f"SHOW {name}").fetchone()[0]
            for name in ("idle_session_timeout", "lock_timeout", "statement_timeout", "work_mem")
        }
    assert shown == {
        "idle_session_timeout": "15min",
        "lock_timeout": "1min",
        "statement_timeout": "5min",
        "work_mem": "5MB",
    }


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("a = ? AND b = :b_1", "a = %s AND b = %(b_1)s"),
        ("'who? :me 5 %' || :x % 2", "'who? :me 5 %%' || %(x)s %% 2"),
        ("CAST(:x AS INTEGER)", "CAST(%(x)s AS BIGINT)"),
        (
            "(place INTEGER PRIMARY KEY, closing INTEGER)",
            "(place BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, closing BIGINT)",
        ),
    ],
)
def test_statements_are_spelled(text: str, spelled: str) -> None:
    """What stands in quotation marks is as it was."""
    assert in_its_words(text).decode() == spelled


def test_row_by_place_and_by_name(address: str) -> None:
    with closing(postgresql.connect(address, "test", idle=timedelta(hours=1))) as session:
        found = session.execute("SELECT 1 AS one, '%' AS two").fetchone()
    one, two = found
    assert (one, two) == (found["one"], found["two"]) == (found[0], found[1]) == (1, "%")


# Tables.


def emptied(database: Database) -> Session:
    """Return a session in a schema without tables."""
    with closing(psycopg.connect(database.address, autocommit=True)) as connection:
        connection.execute("DROP SCHEMA IF EXISTS empty CASCADE")
        connection.execute("CREATE SCHEMA empty")
    address = f"{database.address} options='-c search_path=empty'"
    return postgresql.connect(address, "test", idle=timedelta(hours=1))


def test_tables_are_made_once(database: Database) -> None:
    """Whoever makes them again finds them, and those of another version are left alone."""
    with closing(emptied(database)) as session:
        with pytest.raises(ConfigError, match="`clio-broadly-sync fleet init`"):
            postgresql_schema.check(session)
        for _ in range(2):
            postgresql_schema.make(session)
        with session.transaction():
            with pytest.raises(StorageError, match="ProgrammingError"), session.transaction():
                pass
            session.execute("UPDATE schema_version SET version = version + 1")
        with pytest.raises(StorageError, match="of another version of this program"):
            postgresql_schema.make(session)


def test_place_without_tables(database: Database) -> None:
    """It is refused by whatever opens it, and no session is left."""
    emptied(database).close()
    place = firm_place(f"{database.address} options='-c search_path=empty'")
    for opening in (place.open, place.snapshot):
        with pytest.raises(ConfigError, match="`clio-broadly-sync fleet init`"):
            opening()
    database.wait()


# A copy.


def test_copy_is_of_one_firm_and_reaches_none(firm: FirmPlace, address: str) -> None:
    """All of the firm is in it, and nothing of another; what is done to it goes with it."""
    with firm_place(address, 2).open() as other:
        next_run(other)
        put(other, make_closing(500), make_closing(501))
    with firm.snapshot() as copy:
        assert copy.pins() == PINS
        assert copy.flaws(NOW) == []
        next_run(copy)
        assert copy.ledger.known([500, 501]) == {}
        put(copy, make_closing(99))
        hand_over(copy, make_closing())
        assert row(copy, 99).number == row(copy).number + 1
        assert [step.state for step in copy.history.of_matter(77)[0].steps][-1] is State.SENT
        copy.note_doubt(NOW)
    with firm.open() as store:
        assert (store.doubts, row(store).state, store.integrity.sizes()) == (
            None,
            State.PENDING,
            (1, 1, 1),
        )
        assert store.ledger.known([99]) == {}


def test_copy_of_a_firm_that_has_not_begun(address: str) -> None:
    """None is made by it."""
    with firm_place(address, 7).snapshot() as copy:
        assert copy.pins() is None
        assert copy.ledger.count_pending(make_due()) == 0
    with psycopg.connect(address) as connection:
        assert connection.execute("SELECT count(*) FROM facts").fetchone() == (0,)


def test_run_at_work_as_it_was_copied(firm: FirmPlace, address: str) -> None:
    """By its command; one that does not hold the firm was cut short; and one may end meanwhile."""
    beside = firm_place(address, 1)
    with firm.locked("backfill"), firm.open() as store:
        store.begin_run("backfill", "r2", NOW)
        with beside.snapshot() as copy:
            assert copy.at_work == "backfill"
    with firm.snapshot() as copy:
        assert copy.at_work is None
    with firm.locked("sync"), firm.open() as store:
        store.begin_run("sync", "r3", NOW)
        store.finish_run(0, NOW)
        with beside.snapshot() as copy:
            assert copy.at_work is None


# What is said.


def test_what_is_wrong_is_said_without_a_value(firm: FirmPlace) -> None:
    """PostgreSQL tells rows, addresses and roles in its own words; none of them is repeated."""
    with firm.open() as store:
        next_run(store)
        with pytest.raises(StorageError) as caught:
            put(store, make_closing())
    assert str(caught.value) == (
        "Nothing was written, because the state would be unsound (duplicate key value violates "
        'unique constraint "closings_firm_matter_id_closed_on_key"). This is a bug of the program: '
        "please report it."
    )


@pytest.mark.parametrize(
    "changed", [{"dbname": "nowhere"}, {"host": "/nowhere"}, {"dbname": "a b c=d"}]
)
def test_server_that_is_not_there(address: str, changed: dict[str, str]) -> None:
    elsewhere = psycopg.conninfo.make_conninfo(address, **changed)
    with pytest.raises(StorageError) as caught:
        firm_place(elsewhere).open()
    assert str(caught.value) == (
        "The database could not be used (OperationalError); what was recorded before is kept. See "
        "that PostgreSQL is there, and that its address and the role in it are right."
    )


def test_server_that_is_too_old(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not know one of the settings that every session has; here no server does."""
    monkeypatch.setattr(postgresql, "IDLE_TIMEOUT", "no_such_timeout")
    with pytest.raises(StorageError, match="This PostgreSQL is too old"):
        firm_place(address).open()


@pytest.mark.parametrize(
    ("code", "helps"),
    [
        ("42501", "See that PostgreSQL is there"),
        ("42703", "Its tables are not as this program makes them"),
        ("53100", "lacks room on its disk"),
        ("57014", "took too long"),
        ("40P01", "Something else holds"),
        ("XX001", "Restore a sound copy"),
        ("22003", "See that PostgreSQL is there"),
    ],
)
def test_what_helps(address: str, code: str, helps: str) -> None:
    """By what PostgreSQL means; what it says may be a client's."""
    fails = f"DO $$ BEGIN RAISE EXCEPTION 'Ada' USING ERRCODE = '{code}'; END $$"
    with (
        closing(postgresql.connect(address, "test", idle=timedelta(hours=1))) as session,
        pytest.raises(StorageError, match=helps) as caught,
        session.transaction(),
    ):
        session.raw.execute(fails.encode())
    assert code in str(caught.value)
    assert "Ada" not in str(caught.value)


def test_address_that_is_none() -> None:
    """Whoever typed it may have typed a password."""
    with pytest.raises(StorageError, match="could not be used") as caught:
        firm_place("postgresql://x:secret@[").open()
    assert "secret" not in str(caught.value)


# The sign-in.


def test_what_is_saved_is_read(firm: FirmPlace, address: str) -> None:
    """By whoever works for the firm, on a copy, too; by no other firm. It can be erased."""
    sign_in, others = firm.sign_in(), firm_place(address, 2).sign_in()
    assert sign_in.read() is None
    for grant in (GRANT, OTHER, replace(OTHER, refresh_token=None)):
        sign_in.save(grant)
        assert firm_place(address, 1).sign_in().read() == grant
    others.save(GRANT)
    with firm.snapshot():
        assert sign_in.read() == replace(OTHER, refresh_token=None)
    others.erase()
    assert (sign_in.read() is None, others.read()) == (False, None)
    with firm.locked("login"), firm.open() as store:
        sign_in.save(GRANT)
        assert (sign_in.read(), store.pins()) == (GRANT, PINS)
    sign_in.erase()
    assert sign_in.read() is None


def test_lost_session_takes_no_sign_in_with_it(firm: FirmPlace, database: Database) -> None:
    """What Clio gave for a spent refresh token is kept, although the run can write nothing more."""
    with firm.locked("sync"), firm.open() as store:
        with firm.sign_in().alone():
            database.cut()
            firm.sign_in().save(GRANT)
        with pytest.raises(StorageError):
            store.note_doubt(NOW)
    assert firm.sign_in().read() == GRANT


def test_damaged_sign_in(firm: FirmPlace) -> None:
    """74 and not a bug; a new one takes its place."""
    firm.sign_in().save(GRANT)
    half = firm.seal.close(firm.name, {"sign_in_access_token": "access-one"})
    with firm.changing() as session:
        session.execute("UPDATE firms SET sign_in = ? WHERE firm = 1", (half,))
    with pytest.raises(StorageError, match="The sign-in in the state is damaged"):
        firm.sign_in().read()
    firm.sign_in().save(OTHER)
    assert firm.sign_in().read() == OTHER


def test_one_at_a_time_changes_the_sign_in(
    firm: FirmPlace, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From wherever, and beside a run that holds the firm; whoever waits too long is told."""
    beside = firm_place(address, 1).sign_in()
    monkeypatch.setattr(tokens, "ALONE_SECONDS", 0.0)
    with firm.locked("sync"), firm.sign_in().alone():
        with pytest.raises(BusyError, match="renewing the sign-in"), beside.alone():
            pass
        with firm_place(address, 2).sign_in().alone():
            pass
    with beside.alone():
        pass


def test_whoever_waits_comes_next(firm: FirmPlace, admin: psycopg.Connection[Any]) -> None:
    """It reads what the one before it has saved, and need not renew anything."""
    read: list[Grant | None] = []

    def second() -> None:
        with firm.sign_in().alone():
            read.append(firm.sign_in().read())

    with firm.sign_in().alone():
        thread = threading.Thread(target=second)
        thread.start()
        somebody_waits(admin)
        firm.sign_in().save(GRANT)
    thread.join()
    assert read == [GRANT]
