"""Whether the server is the one of before, and keeps what it was told."""

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest
from databases import IN_MEMORY, KEY, Database, connected, program_folder, promotable_server, url_of
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from surroundings import BUSY_SECONDS

from clio_broadly_sync.cli.one_firm import Fleet
from clio_broadly_sync.domain.errors import ConfigError
from clio_broadly_sync.settings import Given
from clio_broadly_sync.store import postgresql, postgresql_schema
from clio_broadly_sync.store.firms import ACTIVE, MARK_NOW, PAUSED, Firms, check_durable
from clio_broadly_sync.store.fleet_overview import FleetOverview
from clio_broadly_sync.store.postgresql import READER, Session

DAY = timedelta(days=1)


def states(session: Session) -> list[str]:
    return [firm.state for firm in Firms(session).all()]


def mark(database: Database, mark: str) -> None:
    database.read().execute("UPDATE fleet SET mark = %s", (mark,))


def test_server_of_before_pauses_nobody(session: Session) -> None:
    """However often it is looked at, and whatever was committed meanwhile."""
    firms = Firms(session)
    assert [firms.check_mark() for _ in range(3)] == [False] * 3
    assert not firms.is_restored()
    assert firms.begin(1, "a") is not None
    assert states(session) == [ACTIVE] * 3


@pytest.mark.parametrize("part", range(4), ids=["server", "timeline", "database", "tables"])
def test_each_part_of_the_mark_tells(database: Database, session: Session, part: int) -> None:
    (known,) = database.read().execute("SELECT mark FROM fleet").fetchone() or ("",)
    parts = known.split(" ")
    parts[part] = f"{int(parts[part], 16) + 1:08X}"
    mark(database, " ".join(parts))
    assert Firms(session).check_mark()
    assert states(session) == [PAUSED] * 3


def test_no_run_begins_before_anybody_has_looked(database: Database, session: Session) -> None:
    """A worker that goes on where the server was put in another's place is given no firm."""
    mark(database, "another")
    firms = Firms(session)
    assert firms.begin(1, "a") is None
    assert firms.is_restored()
    assert states(session) == [ACTIVE] * 3


def test_one_of_several_workers_finds_it(
    database: Database, session: Session, address: str
) -> None:
    """The other, who asked beside it, does not pause again whom a person has resumed meanwhile."""
    mark(database, "another")
    with closing(connected(address)) as beside:
        assert Firms(session).check_mark()
        Firms(session).resume([1])
        assert not Firms(beside).check_mark()
    assert states(session) == [ACTIVE, PAUSED, PAUSED]


def test_one_that_asks_while_another_is_at_it_finds_nothing(
    database: Database, session: Session, address: str
) -> None:
    """It waits until the other has paused them, and looks then."""
    mark(database, "another")
    found: list[bool] = []
    with closing(connected(address)) as beside:
        waiting = threading.Thread(target=lambda: found.append(Firms(beside).check_mark()))
        with session.transaction():
            session.execute(f"UPDATE fleet SET mark = {MARK_NOW}")  # noqa: S608
            waiting.start()
            somebody_waits(database)
        waiting.join(BUSY_SECONDS)
    assert found == [False]
    assert states(session) == [ACTIVE] * 3


def somebody_waits(database: Database) -> None:
    """Return when a session waits for a lock of another one."""
    end = time.monotonic() + BUSY_SECONDS
    waits = "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted)"
    while database.read().execute(waits).fetchone() == (False,):
        assert time.monotonic() < end, "nobody waits"


def test_firm_counts_as_paused_for_commands(database: Database, address: str) -> None:
    """Also before a worker has noted that the database was restored."""
    fleet = Fleet(Given({"fleet_database": url_of(address), "fleet_keys": KEY}, None, ()))
    assert fleet.named("firm-1").state == ACTIVE
    mark(database, "another")
    assert fleet.named("firm-1").state == PAUSED


def test_who_was_paused_by_it_is_told_until_resumed(database: Database, session: Session) -> None:
    """Apart from whom a person has paused."""
    firms = Firms(session)
    firms.pause([3])
    mark(database, "another")
    assert firms.check_mark()
    assert paused_after_restore(database.address) == 2
    firms.resume([1])
    assert paused_after_restore(database.address) == 1
    firms.resume([2])
    assert paused_after_restore(database.address) == 0
    assert states(session) == [ACTIVE, ACTIVE, PAUSED]


def paused_after_restore(address: str) -> int:
    with closing(connected(address, READER)) as session:
        standing = FleetOverview(session).read(DAY)
    assert (standing.restored_at is not None) == (standing.paused_after_restore > 0)
    return standing.paused_after_restore


def test_restored_dump_pauses_all(database: Database, address: str, tmp_path: Path) -> None:
    """In a database of another name on the same server, where all else is as it was."""
    file, found = tmp_path / "fleet.dump", program_folder()
    _run(found / "pg_dump", "--format=custom", f"--file={file}", f"--dbname={address}")
    with another_database(database) as other:
        _run(found / "pg_restore", f"--dbname={other}", str(file))
        with closing(connected(other)) as session:
            assert states(session) == [ACTIVE] * 3
            assert Firms(session).check_mark()
            assert states(session) == [PAUSED] * 3
            assert not Firms(session).check_mark()
        assert paused_after_restore(other) == 3


def test_tables_put_back_into_the_database_pause_all(
    database: Database, address: str, tmp_path: Path
) -> None:
    """By `pg_restore --clean`, where only the tables are others."""
    file, found = tmp_path / "fleet.dump", program_folder()
    with another_database(database) as other:
        with closing(postgresql.connect(other, "tests", idle=DAY)) as session:
            postgresql_schema.make(session)
            session.execute("INSERT INTO firms (name, settings, secrets) VALUES ('a', '{}', '')")
        _run(found / "pg_dump", "--format=custom", f"--file={file}", f"--dbname={other}")
        with closing(connected(other)) as session:
            assert not Firms(session).check_mark()
        _run(found / "pg_restore", "--clean", f"--dbname={other}", str(file))
        with closing(connected(other)) as session:
            assert Firms(session).check_mark()
            assert states(session) == [PAUSED]


def test_promoted_standby_pauses_all() -> None:
    """It may lack the last commits of the server in whose place it is."""
    with promotable_server() as server:
        with closing(postgresql.connect(server.address, "tests", idle=DAY)) as session:
            postgresql_schema.make(session)
            session.execute("INSERT INTO firms (name, settings, secrets) VALUES ('a', '{}', '')")
            assert not Firms(session).check_mark()
        server.promote()
        with closing(connected(server.address)) as session:
            assert Firms(session).begin(1, "a") is None
            assert Firms(session).check_mark()
            assert not Firms(session).check_mark()
            assert states(session) == [PAUSED]


@contextmanager
def another_database(database: Database) -> Iterator[str]:
    """Make an empty database beside it, and yield its address."""
    make, drop = "CREATE DATABASE {}", "DROP DATABASE {} WITH (FORCE)"
    name = f"{conninfo_to_dict(database.address)['dbname']}_restored"
    database.read().execute(sql.SQL(make).format(sql.Identifier(name)))
    try:
        yield make_conninfo(database.address, dbname=name)
    finally:
        database.read().execute(sql.SQL(drop).format(sql.Identifier(name)))


def _run(program: Path, *arguments: str) -> None:
    subprocess.run([str(program), *arguments], check=True, timeout=BUSY_SECONDS)


# What keeps a commit when the host goes down.


@pytest.mark.parametrize("off", [*IN_MEMORY, None])
def test_server_that_may_forget_is_refused(session: Session, off: str | None) -> None:
    """By the name of what is off; where nothing is, it is taken."""
    off_is = [f"('{name}', '{'off' if name == off else 'on'}')" for name in IN_MEMORY]
    session.raw.execute("SET ROLE NONE")
    session.raw.execute(_SHOWS.format(", ".join(off_is)).encode())
    refused = pytest.raises(ConfigError, match=f"has {off} off") if off else nullcontext()
    with refused:
        check_durable(session)


def test_server_of_the_tests_would_forget(session: Session) -> None:
    with pytest.raises(ConfigError, match="has fsync and full_page_writes and synchronous_commit"):
        check_durable(session)


def test_commits_that_do_not_wait_are_seen_where_a_role_has_them(address: str) -> None:
    """Not only the server has the setting: the address has it here."""
    lax = make_conninfo(address, options="-c synchronous_commit=off")
    with closing(connected(lax)) as session, pytest.raises(ConfigError, match="synchronous_commit"):
        check_durable(session)


_SHOWS: Final = "CREATE TEMPORARY VIEW pg_settings (name, setting) AS VALUES {}"
"""Found before the server's own, as temporary tables are."""
