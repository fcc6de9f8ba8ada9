"""PostgreSQL for tests: one server for all that run, and a database for each process of them.

Where FLEET_TEST_DATABASE is set, the databases are made there, by a role that may make them and
turn triggers off. Else a server is started in a folder of its own, by the first who needs it, as a
user that is not root, and stopped by the last.
"""

import fcntl
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, LiteralString, NamedTuple, NoReturn
from urllib.parse import quote, urlencode

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from surroundings import BUSY_SECONDS

from clio_broadly_sync.domain.credentials import Secret
from clio_broadly_sync.store import postgresql, postgresql_schema
from clio_broadly_sync.store.firm import FirmPlace
from clio_broadly_sync.store.firms import MARK_NOW
from clio_broadly_sync.store.postgresql import WORKER, Session
from clio_broadly_sync.store.seal import Seal
from clio_broadly_sync.store.sessions import Sessions
from clio_broadly_sync.store.tables import SCHEMA_VERSION, TABLES

GIVEN: Final = "FLEET_TEST_DATABASE"
"""The environment variable with the address of a server that runs already."""
MUST_RUN: Final = "CLIO_BROADLY_SYNC_FLEET_TESTS"
"""The environment variable that turns a missing server into a failure."""
IN_MEMORY: Final = ("fsync", "full_page_writes", "synchronous_commit")
"""What keeps a database whole in a power cut is off: nobody cuts the power of this server."""
_OF_FIRMS: Final = tuple(table for table in TABLES if table is not SCHEMA_VERSION)
_NUMBER_ON: Final = """
    SELECT setval(pg_get_serial_sequence('closings', 'number'), max(number))
    FROM closings HAVING max(number) IS NOT NULL
"""
_NUMBER_FROM_1: Final = "SELECT setval(pg_get_serial_sequence('closings', 'number'), 1, false)"
_SESSIONS: Final = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'clio-broadly-sync %'
"""
_PLACES: Final = ("/usr/lib/postgresql/*/bin", "/usr/local/opt/postgresql*/bin")
_USERS: Final = ("postgres", "nobody")


KEY: Final = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
"""A key of a fleet."""
_FIRMS: Final = """
    TRUNCATE firms RESTART IDENTITY;
    INSERT INTO firms (name, settings, secrets)
    SELECT 'firm-' || n, '{}', '' FROM generate_series(1, 3) AS n;
    UPDATE fleet SET restored_at = NULL, watched_at = NULL, swept_at = NULL;
"""
_MARK: Final = f"UPDATE fleet SET mark = {MARK_NOW}"  # noqa: S608


def firm_place(address: str, firm: int = 1, *, idle: timedelta = timedelta(hours=2)) -> FirmPlace:
    """Return the place of a firm in a `Database`."""
    seal, key = Seal([Secret(KEY)]), f"{firm:064x}"
    sessions = Sessions(address, idle=idle)
    return FirmPlace(sessions, firm, f"firm-{firm}", hash_key=key, seal=seal)


def url_of(address: str) -> str:
    """Return an address as FLEET_DATABASE has it."""
    return f"postgresql:///?{urlencode(conninfo_to_dict(address), quote_via=quote)}"


def connected(address: str, role: str = WORKER, name: str = "tests") -> Session:
    """Begin a session of the fleet's own, as one of its roles."""
    return postgresql.connect(address, name, idle=timedelta(days=1), role=role)


class Database:
    """A database with the tables of any number of firms, and none of their rows at first."""

    def __init__(self, address: str, name: str) -> None:
        self.address = make_conninfo(address, dbname=name)
        self._server, self._name = address, name
        _on(address, "CREATE DATABASE {}", name)
        with closing(postgresql.connect(self.address, "tests", idle=timedelta(days=1))) as session:
            postgresql_schema.make(session)
        self._connection = psycopg.connect(self.address, autocommit=True)
        self._connection.execute("SET session_replication_role = replica")

    @property
    def url(self) -> str:
        """The address as FLEET_DATABASE has it."""
        given = conninfo_to_dict(self.address)
        return f"postgresql://?{urlencode(given)}"

    @property
    def sessions(self) -> list[int]:
        """The process of each session of the program at this moment."""
        return [pid for (pid,) in self._connection.execute(_SESSIONS)]

    def wait(self, sessions: int = 0) -> None:
        """Return when there are no more sessions than these: one that was left ends in a moment."""
        end = time.monotonic() + BUSY_SECONDS
        while len(self.sessions) > sessions:
            assert time.monotonic() < end, "a session outlives its run"

    def cut(self) -> None:
        """End every session of the program, as when a host or the network goes away."""
        for pid in self.sessions:
            self._connection.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,))

    def rows(self) -> dict[str, list[Any]]:
        """Return all rows, by table."""
        found = {}
        for table in _OF_FIRMS:
            rows = sql.SQL("SELECT * FROM {} ORDER BY 1, 2, 3").format(sql.Identifier(table.name))
            found[table.name] = [list(row) for row in self._connection.execute(rows)]
        return found

    def put(self, rows: Mapping[str, list[Any]]) -> None:
        """Let these rows be all that there are, as `rows` returned them."""
        self.emptied()
        with self._connection.transaction(), self._connection.cursor() as cursor:
            for name, several in rows.items():
                if several:
                    values = sql.SQL(", ").join([sql.Placeholder()] * len(several[0]))
                    insert = sql.SQL("INSERT INTO {} VALUES ({})")
                    cursor.executemany(insert.format(sql.Identifier(name), values), several)
            cursor.execute(_NUMBER_ON)

    def read(self) -> psycopg.Connection[Any]:
        """Return the connection by which the tests see what is committed."""
        return self._connection

    def without_firms(self) -> str:
        """Let there be no firm, and the next one be 1; return the address."""
        self.emptied()
        self._connection.execute("TRUNCATE firms RESTART IDENTITY")
        return self.address

    def emptied(self) -> str:
        """Let there be three firms without rows, the next closing be 1; return the address."""
        delete = sql.SQL("DELETE FROM {}")
        emptied = [delete.format(sql.Identifier(table.name)) for table in _OF_FIRMS]
        numbered = [sql.SQL(_FIRMS + _MARK), sql.SQL(_NUMBER_FROM_1)]
        self._connection.execute(sql.SQL("; ").join([*emptied, *numbered]))
        return self.address

    def close(self) -> None:
        """Take the database away."""
        self._connection.close()
        _on(self._server, "DROP DATABASE {} WITH (FORCE)", self._name)


def _on(address: str, statement: LiteralString, name: str) -> None:
    with closing(psycopg.connect(address, autocommit=True)) as connection:
        connection.execute(sql.SQL(statement).format(sql.Identifier(name)))


@contextmanager
def server(shared: Path) -> Iterator[str]:
    """Yield the address of a server; `shared` is a folder that all processes of tests know."""
    if GIVEN in os.environ:
        yield os.environ[GIVEN]
        return
    programs = program_folder()
    with _told(shared) as users:
        folder = Path(users.pop(0)) if users else _started(programs)
        _tell(shared, [str(folder), *users, str(os.getpid())])
    try:
        yield make_conninfo(host=str(folder), user="postgres", dbname="postgres")
    finally:
        with _told(shared) as users:
            left = [user for user in users[1:] if user != str(os.getpid())]
            _tell(shared, [str(folder), *left] if left else [])
            if not left:
                _control(programs, folder, "stop", "-m", "immediate")
                shutil.rmtree(folder, ignore_errors=True)


class Promotable(NamedTuple):
    """A server that may become another one."""

    programs: Path
    folder: Path

    @property
    def address(self) -> str:
        return make_conninfo(host=str(self.folder), user="postgres", dbname="postgres")

    def promote(self) -> None:
        """Let it be a standby, and then no longer: from then on it goes its own way."""
        sign = self.folder / "data" / "standby.signal"
        sign.touch()
        if user := _user():
            shutil.chown(sign, user["user"])
        _control(self.programs, self.folder, "restart", "-w", "-m", "fast")
        _control(self.programs, self.folder, "promote", "-w")


@contextmanager
def promotable_server() -> Iterator[Promotable]:
    """Start a server for one test."""
    programs = program_folder()
    folder = _started(programs)
    try:
        yield Promotable(programs, folder)
    finally:
        _control(programs, folder, "stop", "-m", "immediate")
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def own_server(*, lasting: bool = False) -> Iterator[str]:
    """Yield the address of a new database on a server of its own, which the caller may kill.

    Where it is `lasting`, what is committed is on the disk.
    """
    programs = program_folder()
    folder = _started(programs, lasting=lasting)
    address = make_conninfo(host=str(folder), user="postgres", dbname="postgres")
    try:
        _on(address, "CREATE DATABASE {}", "fleet")
        yield f"postgresql://postgres@/fleet?host={folder}"
    finally:
        with suppress(subprocess.CalledProcessError):  # it was killed
            _control(programs, folder, "stop", "-m", "immediate")
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _told(shared: Path) -> Iterator[list[str]]:
    """Yield the server's folder and who uses it, while nobody else changes that."""
    with open(shared / "postgresql.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        told = shared / "postgresql"
        yield told.read_text().split() if told.exists() else []


def _tell(shared: Path, users: list[str]) -> None:
    (shared / "postgresql").write_text("\n".join(users))


def program_folder() -> Path:
    """Return the folder of PostgreSQL's programs; skip the test where there is none."""
    usual = (folder for pattern in _PLACES for folder in sorted(Path("/").glob(pattern[1:])))
    known = shutil.which("initdb", path=os.pathsep.join([os.environ["PATH"], *map(str, usual)]))
    if known is None:
        _do_without("PostgreSQL's programs are not installed, and FLEET_TEST_DATABASE is not set")
    return Path(known).resolve().parent


def _do_without(reason: str) -> NoReturn:
    """Skip the test for this reason, or fail it where it must run."""
    if MUST_RUN in os.environ:
        pytest.fail(reason)
    pytest.skip(reason)


def _started(programs: Path, *, lasting: bool = False) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    user = _user()
    if user:
        shutil.chown(folder, user["user"])
    made = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
    _run([str(programs / "initdb"), "--pgdata", str(folder / "data"), *made], user)
    settings = {"listen_addresses": "''", "unix_socket_directories": f"'{folder}'"}
    settings |= {} if lasting else dict.fromkeys(IN_MEMORY, "off")
    with open(folder / "data" / "postgresql.conf", "a") as file:
        file.writelines(f"{name} = {value}\n" for name, value in settings.items())
    _control(programs, folder, "start")
    return folder


def control(address: str, *arguments: str) -> None:
    """Let `pg_ctl` do this to the server of `own_server` at an address: `start`, or `stop`."""
    _control(program_folder(), Path(str(conninfo_to_dict(address)["host"])), *arguments)


def _control(programs: Path, folder: Path, *arguments: str) -> None:
    where = ["--pgdata", str(folder / "data"), "--log", str(folder / "log"), "--wait"]
    _run([str(programs / "pg_ctl"), *arguments, *where], _user())


def _run(command: list[str], user: Mapping[str, Any]) -> None:
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    subprocess.run(command, check=True, cwd="/", timeout=60, **quiet, **user)


def _user() -> Mapping[str, Any]:
    """Return as whom PostgreSQL's programs run: it refuses to be root's."""
    if os.geteuid() != 0:
        return {}
    for name in _USERS:
        with suppress(KeyError):
            found = pwd.getpwnam(name)
            return {"user": found.pw_name, "group": found.pw_gid, "extra_groups": []}
    _do_without("PostgreSQL does not run as root, and there is no other user")
