"""The sessions of a worker, which are lent to one firm after another."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from datetime import timedelta

import psycopg
import pytest
from databases import Database, firm_place
from factories import NOW, PINS, START, make_closing
from ledgers import put
from surroundings import BUSY_SECONDS, at_once

from clio_broadly_sync.domain.errors import StorageError
from clio_broadly_sync.store import postgresql, sessions
from clio_broadly_sync.store.firm import FirmPlace
from clio_broadly_sync.store.postgresql import RUN, Session
from clio_broadly_sync.store.sessions import WORKS, Pool

_NAME = "clio-broadly-sync {} sync"
_MATTERS = "SELECT firm, matter_id FROM closings"
_HELD = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"


@pytest.fixture
def address(database: Database) -> str:
    """Two firms, each with a closing of its own."""
    address = database.emptied()
    for firm in (1, 2):
        with firm_place(address, firm).open() as store:
            store.begin_run("sync", f"r{firm}", NOW)
            store.pin(PINS, **START)
            put(store, make_closing(firm))
            store.finish_run(0, NOW)
    database.wait()
    return address


@pytest.fixture
def pool(address: str) -> Iterator[Pool]:
    """A pool that opens no more than one session."""
    with closing(Pool(address, 1)) as opened:
        yield opened


def pid(session: Session) -> int:
    return session.raw.info.backend_pid


def one(session: Session, statement: str) -> object:
    (value,) = session.execute(statement).fetchone()
    return value


def test_session_is_one_firms_after_another(pool: Pool) -> None:
    """And sees the rows of the one whose it is."""
    seen, used = [], set()
    for firm in (1, 2, 1):
        with closing(pool.open(firm, _NAME.format(firm))) as session:
            seen += [tuple(row) for row in session.execute(_MATTERS)]
            assert one(session, "SHOW application_name") == _NAME.format(firm)
            used.add(pid(session))
    assert seen == [(1, 1), (2, 2), (1, 1)]
    assert len(used) == 1


def test_session_of_nobody_sees_nobodys_rows(pool: Pool) -> None:
    """As it comes, and after it was given back."""
    for _ in range(2):
        with closing(pool.borrow()) as session:
            assert session.execute(_MATTERS).fetchall() == []
            assert one(session, "SHOW application_name") == WORKS
        pool.open(1, _NAME.format(1)).close()


def test_session_is_given_back_without_its_locks(pool: Pool, address: str) -> None:
    """Also where whoever had it has ended by an error; another run takes the firm at once."""
    with suppress(RuntimeError), closing(pool.open(1, _NAME.format(1))) as session:
        assert postgresql.try_lock(session, RUN, 1)
        assert one(session, _HELD) == 1
        raise RuntimeError
    with closing(pool.borrow()) as session:
        assert one(session, _HELD) == 0
        with firm_place(address, 1).locked():
            pass


def test_transaction_that_was_left_open_is_not_the_next_ones(pool: Pool) -> None:
    """Nothing of it is done, and the next one may begin its own."""
    with closing(pool.open(1, _NAME.format(1))) as session:
        session.execute("BEGIN")
        session.execute("UPDATE firms SET worker = 'lost' WHERE firm = 1")
    with closing(pool.open(2, _NAME.format(2))) as session, session.transaction():
        assert one(session, "SELECT worker FROM firms WHERE firm = 1") is None
        assert [tuple(row) for row in session.execute(_MATTERS)] == [(2, 2)]


def test_role_and_limits_are_a_workers(pool: Pool) -> None:
    """So that no firm's rows are seen by whoever owns them, and a run that hangs lets go."""
    with closing(pool.open(1, _NAME.format(1))) as session:
        assert one(session, "SELECT current_user") == postgresql.WORKER
        assert one(session, "SHOW idle_session_timeout") == "15min"


def test_server_is_patient_with_a_run_that_may_take_long(pool: Pool) -> None:
    """And with the next firm's no more than with any other's."""
    with closing(pool.borrow()) as session:
        session.give_to(1, _NAME.format(1))
        session.stay(timedelta(hours=2))
        assert one(session, "SHOW idle_session_timeout") == "125min"
        session.stay(timedelta(minutes=10))
    with closing(pool.open(2, _NAME.format(2))) as session:
        assert one(session, "SHOW idle_session_timeout") == "15min"


def test_session_is_lost_as_its_run_asks_for_patience(pool: Pool, database: Database) -> None:
    with closing(pool.borrow()) as session:
        session.give_to(1, _NAME.format(1))
        database.cut()
        with pytest.raises(StorageError):
            session.stay(timedelta(hours=2))


def test_run_that_hangs_loses_its_firm(address: str) -> None:
    """The server ends its session; nobody has to see to it."""
    with closing(Pool(address, 1, idle=timedelta(seconds=1))) as pool:
        session = pool.open(1, _NAME.format(1))
        assert postgresql.try_lock(session, postgresql.RUN, 1)
        with closing(Pool(address, 1)) as others, closing(others.open(1, "another")) as other:
            assert postgresql.wait_for_lock(other, postgresql.RUN, 1, BUSY_SECONDS)
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
        session.close()


def test_lost_session_is_replaced(pool: Pool, database: Database) -> None:
    """The one at work has lost what it had; the next one gets another."""
    session = pool.open(1, _NAME.format(1))
    first = pid(session)
    database.cut()
    with pytest.raises(psycopg.OperationalError):
        session.execute("SELECT 1")
    session.close()
    with closing(pool.open(2, _NAME.format(2))) as session:
        assert [tuple(row) for row in session.execute(_MATTERS)] == [(2, 2)]
        assert pid(session) != first


def test_session_that_was_lost_while_nobody_had_it(pool: Pool, database: Database) -> None:
    """It is found out by whoever borrows it; a check throws away all of them."""
    pool.open(1, _NAME.format(1)).close()
    database.cut()
    with pytest.raises(StorageError, match="could not be used"):
        pool.open(1, _NAME.format(1))
    with closing(pool.open(1, _NAME.format(1))) as session:
        assert [tuple(row) for row in session.execute(_MATTERS)] == [(1, 1)]
    database.cut()
    pool.check()
    pool.open(1, _NAME.format(1)).close()


def test_more_borrowers_than_sessions_are_told_so(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They do not hang; and whoever waits a moment for one that is given back gets it."""
    monkeypatch.setattr(pool._pool, "timeout", 0.1)
    with closing(pool.open(1, _NAME.format(1))):
        with at_once(), pytest.raises(StorageError, match="could not be used"):
            pool.open(2, _NAME.format(2))
        with at_once(), pytest.raises(StorageError, match="could not be used"):
            pool.borrow()
    with closing(pool.open(2, _NAME.format(2))):
        pass


def test_whoever_waits_gets_what_is_given_back(pool: Pool) -> None:
    got: list[int] = []
    session = pool.open(1, _NAME.format(1))

    def wait() -> None:
        with closing(pool.open(2, _NAME.format(2))) as other:
            got.append(pid(other))

    thread = threading.Thread(target=wait)
    thread.start()
    while not pool._pool.get_stats().get("requests_waiting"):
        assert thread.is_alive()
    assert got == []
    first = pid(session)
    session.close()
    thread.join(BUSY_SECONDS)
    assert got == [first]


def test_patience_is_less_than_any_lease() -> None:
    """Whoever waits for a session holds a firm whose lease runs."""
    assert sessions.WAIT_SECONDS < 90


def test_server_that_is_not_there(address: str) -> None:
    nowhere = psycopg.conninfo.make_conninfo(address, host="/nowhere")
    with closing(Pool(nowhere, 1)) as pool, pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool._pool, "timeout", 0.1)
        with at_once(), pytest.raises(StorageError, match="could not be used"):
            pool.borrow()


def test_copy_is_never_made_in_a_session_of_the_pool(pool: Pool, address: str) -> None:
    """A dry run's tables bear the names of the real ones, and stay as long as their session."""
    place = firm_place(address, 1)
    lent = FirmPlace(pool, 1, "firm-1", hash_key=place._hash_key, seal=place.seal)
    with lent.snapshot() as copy:
        copy.begin_run("sync", "dry", NOW)
        put(copy, make_closing(99))
    with ExitStack() as all_of_them:
        opened = [all_of_them.enter_context(closing(pool.open(1, _NAME.format(1))))]
        for session in opened:
            temporary = "SELECT count(*) FROM pg_class WHERE relpersistence = 't'"
            assert one(session, f"{temporary} AND relnamespace = pg_my_temp_schema()") == 0
            assert [tuple(row) for row in session.execute(_MATTERS)] == [(1, 1)]


def test_idle_sessions_are_closed_before_the_server_does_it(address: str) -> None:
    """Its own end would be found out by whoever borrows next."""
    with closing(Pool(address, 1, idle=timedelta(minutes=10))) as pool:
        assert pool._pool.max_idle == 300
