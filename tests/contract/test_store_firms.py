"""The table of firms: who gets a name, what is due and when, who sees whose rows."""

import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from databases import Database, firm_place
from factories import NOW, PINS, START, make_closing
from ledgers import hand_over, next_run, put

from clio_broadly_sync.domain.errors import (
    BUG,
    ConfigError,
    DeniedError,
    StorageError,
)
from clio_broadly_sync.store import postgresql, tables
from clio_broadly_sync.store.firm import FirmPlace
from clio_broadly_sync.store.firms import ACTIVE, PAUSED, REMOVED, Firm, Firms
from clio_broadly_sync.store.postgresql import OWNER, READER, WORKER, Session

QUARTER = timedelta(minutes=15)
LEASE = timedelta(seconds=90)
SETTINGS = {"sync_rule": "both"}
SEALED = b"sealed"
LATER, EARLIER = timedelta(hours=1), timedelta(hours=-1)


@pytest.fixture
def address(database: Database) -> str:
    return database.without_firms()


@pytest.fixture
def firms(address: str) -> Iterator[Firms]:
    with closing(_session(address, WORKER)) as session:
        yield Firms(session)


@pytest.fixture
def admin(address: str) -> Iterator[psycopg.Connection[Any]]:
    with closing(psycopg.connect(address, autocommit=True)) as connection:
        yield connection


def _session(address: str, role: str | None) -> Session:
    return postgresql.connect(address, "clio-broadly-sync fleet", idle=LATER, role=role)


def _add(firms: Firms, name: str, *, removed: bytes | None = None) -> int | None:
    return firms.add(name, SETTINGS, SEALED, QUARTER, removed=removed)


def _named(firms: Firms, name: str = "acme") -> Firm:
    found = firms.named(name)
    assert found is not None
    return found


def _with_a_client(address: str, firm: int) -> FirmPlace:
    """Return a firm one of whose clients was sent; another one waits."""
    place = firm_place(address, firm)
    with place.open() as store:
        store.begin_run("sync", "r1", NOW)
        store.pin(PINS, **START)
        put(store, make_closing(), make_closing(78))
        hand_over(store, make_closing())
        store.finish_run(0, NOW)
    return place


def _due_in(admin: psycopg.Connection[Any], time: timedelta, name: str = "acme") -> None:
    admin.execute("UPDATE firms SET next_at = now() + %s WHERE name = %s", (time, name))


# Who there is.


def test_what_is_added_is_there(firms: Firms) -> None:
    """Active, due at once, and with nothing behind it; the firms are listed by name."""
    assert (_add(firms, "zeta"), _add(firms, "acme")) == (1, 2)
    found = _named(firms)
    assert (found.number, found.settings, found.secrets) == (2, SETTINGS, SEALED)
    assert (found.state, found.period, found.failures) == (ACTIVE, QUARTER, 0)
    assert found.added_at == found.state_at == found.next_at <= firms.now()
    behind = (found.account, found.last_exit, found.started_at, found.ended_at, found.worker)
    assert behind == (None, None, None, None, None)
    assert [firm.name for firm in firms.all()] == ["acme", "zeta"]
    assert firms.named("acm") is None
    assert firms.named("\udcff") is None  # no text that PostgreSQL takes


@pytest.mark.parametrize("name", ["", "Acme", "-acme", "a_b", "a b", "é", "a" * 64, "a\n"])
def test_database_refuses_names_that_are_none(firms: Firms, name: str) -> None:
    """Whoever asks: the command line has said so before."""
    with pytest.raises(StorageError):
        _add(firms, name)


@pytest.mark.parametrize("state", [ACTIVE, PAUSED])
def test_firm_is_never_overwritten(firms: Firms, state: str) -> None:
    """Neither blindly nor with what its row holds by chance."""
    _add(firms, "acme")
    if state == PAUSED:
        firms.pause([1])
    before = firms.all()
    for removed in (None, SEALED):
        assert firms.add("acme", {}, b"other", LATER, removed=removed) is None
    assert firms.all() == before


def test_of_two_that_add_one_name_one_gets_it(
    firms: Firms, address: str, admin: psycopg.Connection[Any]
) -> None:
    """At the same moment: the second waits for the first one's transaction, and finds it there."""
    got: list[int | None] = []

    def second() -> None:
        with closing(_session(address, WORKER)) as session:
            got.append(Firms(session).add("acme", {}, b"second", LATER))

    with closing(_session(address, WORKER)) as session, session.transaction():
        first = Firms(session).add("acme", SETTINGS, b"first", QUARTER)
        thread = threading.Thread(target=second)
        thread.start()
        while not _waits(admin):
            assert thread.is_alive()
    thread.join()
    assert (got, _named(firms).number) == ([None], first)
    assert _named(firms).secrets == b"first"


def _waits(admin: psycopg.Connection[Any]) -> bool:
    """Tell whether a session waits for another one's transaction."""
    waits = "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted)"
    return admin.execute(waits).fetchone() == (True,)


def test_removed_firm_is_taken_up_again(firms: Firms) -> None:
    """As the same firm, by whoever has seen what it is sealed with since then."""
    number = _add(firms, "acme")
    assert number is not None
    firms.end(number, DeniedError.exit_code, [])
    firms.remove(number, b"hash key alone")
    gone = _named(firms)
    assert (gone.state, gone.settings, gone.secrets) == (REMOVED, {}, b"hash key alone")
    for removed in (None, SEALED):
        assert _add(firms, "acme", removed=removed) is None
    assert _add(firms, "acme", removed=b"hash key alone") == number
    again = _named(firms)
    assert (again.state, again.settings, again.failures) == (ACTIVE, SETTINGS, 0)
    assert again.next_at <= firms.now()


def test_account_that_another_firm_has_by_now(firms: Firms, address: str) -> None:
    """Whoever comes back would ask its clients twice; a removed one has none."""
    _add(firms, "acme")
    _add(firms, "twin")
    firm_place(address, 2).begin(PINS._replace(account=9), only_looks=True)
    firm_place(address, 1).begin(PINS._replace(account=9))
    with pytest.raises(ConfigError, match="is the firm acme's"):
        firm_place(address, 2).begin(PINS._replace(account=9))
    firms.remove(1, SEALED)
    firm_place(address, 2).begin(PINS._replace(account=9))
    with pytest.raises(ConfigError, match="is the firm twin's"):
        _add(firms, "acme", removed=SEALED)
    assert _named(firms).state == REMOVED


def test_change_of_some_leaves_the_rest(firms: Firms, admin: psycopg.Connection[Any]) -> None:
    """Each change makes it due at once, as if it had not failed."""
    _add(firms, "acme")
    changes: tuple[dict[str, Any], ...] = (
        {"settings": {"sync_rule": "opt-in"}}, {"secrets": b"new"}, {"period": LATER},
    )  # fmt: skip
    for change in changes:
        firms.end(1, BUG, ["why"])
        _due_in(admin, LATER)
        before = _named(firms)
        firms.change(1, **change)
        after = _named(firms)
        assert after.next_at <= firms.now()
        made = {"next_at": after.next_at, "failures": 0, "failing_since": None}
        assert after == before._replace(**change, **made)


def test_paused_and_resumed(firms: Firms, admin: psycopg.Connection[Any]) -> None:
    """A paused firm is not due; it keeps how it failed until it goes on. A removed one stays so."""
    for name in ("acme", "beta", "gone"):
        _add(firms, name)
    firms.remove(3, SEALED)
    firms.end(1, BUG, ["why"])
    _due_in(admin, EARLIER)
    assert firms.pause([1, 2, 3]) == 2
    assert firms.pause([1]) == 0
    assert (_named(firms).state, _named(firms).failures) == (PAUSED, 1)
    assert firms.begin(1, "worker") is None
    assert firms.resume([1, 3]) == 1
    assert (_named(firms).state, _named(firms).failures) == (ACTIVE, 0)
    assert (_named(firms, "beta").state, _named(firms, "gone").state) == (PAUSED, REMOVED)
    assert _named(firms).next_at <= firms.now()
    assert firms.begin(1, "worker") is not None


def test_sign_in_makes_due_at_once(
    firms: Firms, address: str, admin: psycopg.Connection[Any]
) -> None:
    """And as if it had not failed; its neighbour waits on."""
    for name in ("acme", "beta"):
        _add(firms, name)
        _due_in(admin, LATER, name)
    firms.end(1, DeniedError.exit_code, ["sign in"])
    firm_place(address, 1).signed_in()
    assert (_named(firms).failures, _named(firms).failing_since) == (0, None)
    assert _named(firms).next_at <= firms.now() < _named(firms, "beta").next_at


# What is sealed, and erased.


def test_all_is_sealed_anew_or_nothing(firms: Firms, admin: psycopg.Connection[Any]) -> None:
    """A sign-in, where there is one; of a removed firm what it kept."""
    for name in ("acme", "beta"):
        _add(firms, name)
    admin.execute("UPDATE firms SET sign_in = 'grant' WHERE firm = 2")
    firms.remove(1, b"kept")
    sealed = "SELECT name, secrets, sign_in FROM firms ORDER BY firm"
    before = admin.execute(sealed).fetchall()

    def fails(name: str, what: bytes) -> bytes:
        if name == "beta":
            raise ConfigError("No key.")
        return b"anew"

    with pytest.raises(ConfigError):
        firms.rekey(fails)
    assert admin.execute(sealed).fetchall() == before
    assert firms.rekey(lambda name, what: name.encode() + b" " + what) == 2
    assert admin.execute(sealed).fetchall() == [
        ("acme", b"acme kept", None), ("beta", b"beta sealed", b"beta grant"),
    ]  # fmt: skip


def _rows(database: Database) -> set[tuple[Any, ...]]:
    """Return every row of every firm, after the name of its table."""
    return {(name, *row) for name, rows in database.rows().items() for row in rows}


def test_owner_alone_erases(firms: Firms, address: str, database: Database) -> None:
    """All of one firm and nothing of another; the name is then free, and the number is not."""
    for number, name in enumerate(("acme", "beta"), 1):
        _add(firms, name)
        _with_a_client(address, number)
    before = _rows(database)
    assert {row[1] for row in before} == {1, 2}
    for role in (WORKER, None):
        with closing(_session(address, role)) as session, pytest.raises(StorageError):
            Firms(session).erase(1)
        assert _rows(database) == before
    with closing(_session(address, OWNER)) as session:
        Firms(session).erase(1)
    assert _rows(database) == {row for row in before if row[1] == 2}
    assert [firm.name for firm in firms.all()] == ["beta"]
    assert _add(firms, "acme") == 3


# Who sees whose rows.


@pytest.fixture
def two(firms: Firms, address: str) -> tuple[FirmPlace, FirmPlace]:
    """Two firms, each of which has sent a client."""
    for name in ("acme", "beta"):
        _add(firms, name)
    return _with_a_client(address, 1), _with_a_client(address, 2)


def _seen(session: Session) -> dict[str, set[int]]:
    return {
        name: {firm for (firm,) in session.execute(f"SELECT firm FROM {name}")}  # noqa: S608
        for name in tables.OF_FIRM
    }


def test_session_of_a_firm_sees_it_alone(two: tuple[FirmPlace, FirmPlace]) -> None:
    for place in two:
        with closing(place.session()) as session:
            seen = _seen(session)
            assert set().union(*seen.values()) == {place.firm}
            assert seen["closings"] == seen["people"] == seen["changes"] == {place.firm}


def test_session_of_no_firm_sees_nothing(two: tuple[FirmPlace, FirmPlace], address: str) -> None:
    """A firm that was forgotten finds no row, and writes none."""
    with closing(_session(address, WORKER)) as session:
        assert set().union(*_seen(session).values()) == set()
        assert session.execute("UPDATE facts SET value = '0'").rowcount == 0
        with pytest.raises(StorageError), session.transaction():
            session.execute("INSERT INTO facts VALUES (1, 'a', 'b')")


def test_row_is_not_moved_to_another_firm(two: tuple[FirmPlace, FirmPlace]) -> None:
    """Nor is one written there, nor one of the other's changed."""
    place, other = two
    with closing(place.session()) as session:
        for statement in (
            "UPDATE people SET firm = 2",
            "UPDATE closings SET firm = 2",
            "INSERT INTO facts VALUES (2, 'a', 'b')",
        ):
            with pytest.raises(StorageError, match="42501"), session.transaction():
                session.execute(statement)
        assert session.execute("DELETE FROM people WHERE firm = 2").rowcount == 0
    with other.open() as store:
        next_run(store)
        assert store.flaws(NOW) == []


def test_owner_and_reader_see_all(two: tuple[FirmPlace, FirmPlace], address: str) -> None:
    """The one to migrate, the other to tell how all of them stand; it changes nothing."""
    for role in (OWNER, READER):
        with closing(_session(address, role)) as session:
            assert _seen(session)["closings"] == {1, 2}
    with closing(_session(address, READER)) as session:
        for statement in ("UPDATE facts SET value = ''", "UPDATE firms SET state = 'paused'"):
            with pytest.raises(StorageError, match="42501"), session.transaction():
                session.execute(statement)


def test_reader_sees_nothing_that_is_sealed(two: tuple[FirmPlace, FirmPlace], address: str) -> None:
    with closing(_session(address, READER)) as session:
        assert session.execute("SELECT name, state FROM firms ORDER BY firm").fetchall() == [
            ("acme", ACTIVE), ("beta", ACTIVE),
        ]  # fmt: skip
        for column in ("secrets", "sign_in", "*"):
            with pytest.raises(StorageError, match="42501"), session.transaction():
                session.execute(f"SELECT {column} FROM firms")  # noqa: S608
