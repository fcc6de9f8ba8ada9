"""A pooler before the database lends one session to several runs, locks and all: it is refused.

PgBouncer refuses what a session is begun with, whatever its mode is, and where it is told not to,
it leaves out the limits of the session, and whose rows it sees.
"""

import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from agency import Agency
from databases import Database, firm_place, url_of
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from surroundings import BUSY_SECONDS

from clio_broadly_sync.domain.errors import StorageError
from clio_broadly_sync.fleet import engine
from clio_broadly_sync.store.sessions import Pool

PORT = 6432
SAID = (
    "Before the database is a pooler that does not begin sessions as this program asks: connect to "
    "PostgreSQL itself, or to a pooler in session mode that hands on `options`."
)
IGNORING = "ignore_startup_parameters = options,extra_float_digits"


@pytest.fixture
def agency(database: Database) -> Iterator[Agency]:
    with closing(Agency(database.emptied())) as made:
        yield made


@contextmanager
def pooler(address: str, *settings: str) -> Iterator[str]:
    """Yield the address of a PgBouncer before a database; skip the test where it is missing."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("PgBouncer is not installed")
    given = conninfo_to_dict(address)
    behind = " ".join(f"{name}={value}" for name, value in given.items() if name != "dbname")
    with TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)  # noqa: S103  (it refuses to run as root, and so is somebody else)
        file = Path(folder, "pgbouncer.ini")
        lines = ["[databases]", f"* = {behind}", "[pgbouncer]", "listen_addr =", "auth_type = any"]
        file.write_text("\n".join([*lines, f"unix_socket_dir = {folder}", *settings]))
        user = {"user": "postgres"} if os.geteuid() == 0 else {}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        running = subprocess.Popen([program, str(file)], **user, **quiet)
        try:
            _wait_for(Path(folder, f".s.PGSQL.{PORT}"), running)
            yield make_conninfo(address, host=folder, port=str(PORT))
        finally:
            running.terminate()
            running.wait()


def _wait_for(file: Path, running: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + BUSY_SECONDS
    while not file.exists():
        assert running.poll() is None, "PgBouncer has ended"
        assert time.monotonic() < end, "PgBouncer does not listen"


@pytest.mark.parametrize("mode", ["transaction", "session"])
@pytest.mark.parametrize("further", [[], [IGNORING]], ids=["plain", "ignoring"])
def test_pgbouncer_is_refused(agency: Agency, mode: str, further: list[str]) -> None:
    """By whatever would begin a session there for a run."""
    with pooler(agency.address, f"pool_mode = {mode}", *further) as address:
        with pytest.raises(StorageError) as caught:
            agency.fleet(FLEET_DATABASE=url_of(address)).connect()
        assert str(caught.value) == SAID
        with pytest.raises(StorageError) as caught:
            firm_place(address).open()
        assert str(caught.value) == SAID
        with closing(Pool(address, 1)) as pool, pytest.MonkeyPatch.context() as patch:
            patch.setattr(pool._pool, "timeout", 1)
            with pytest.raises(StorageError):
                pool.borrow()


Listen = Callable[[Callable[[socket.socket], object]], int]


def _refuse(connection: socket.socket) -> None:
    """Answer as PgBouncer does; whoever connects may ask for encryption first."""
    while length := connection.recv(4, socket.MSG_WAITALL):
        asked = connection.recv(struct.unpack("!i", length)[0] - 4, socket.MSG_WAITALL)
        if b"options\0" in asked:
            fields = b"SFATAL\0C08P01\0Munsupported startup parameter: options\0\0"
            connection.sendall(b"E" + struct.pack("!i", len(fields) + 4) + fields)
            return
        connection.sendall(b"N")


def test_words_by_which_it_is_known(listen: Listen) -> None:
    """Where PgBouncer itself is not installed, too."""
    address = f"postgresql://x@127.0.0.1:{listen(_refuse)}/fleet"
    with pytest.raises(StorageError) as caught:
        firm_place(address).open()
    assert str(caught.value) == SAID


def test_worker_behind_one_does_not_begin(listen: Listen, tmp_path: Path, agency: Agency) -> None:
    """It ends with 74, and says so on a line."""
    address = f"postgresql://x@127.0.0.1:{listen(_refuse)}/fleet"
    ran = subprocess.run(
        [sys.executable, "-m", "clio_broadly_sync", "fleet", "worker"],
        env={
            **agency.environment,
            "FLEET_DATABASE": address,
            "PYTHONPATH": str(Path(__file__).parents[2]),
        },
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=BUSY_SECONDS,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (74, "")
    assert " ".join(ran.stderr.split()) == f"clio-broadly-sync: {SAID}"


def test_session_that_begins_as_asked_is_taken(agency: Agency) -> None:
    """So is one whose address brings options of its own."""
    address = f"{agency.address} options='-c work_mem=5MB'"
    with closing(Pool(address, 1)) as pool, closing(pool.borrow()) as session:
        assert session.execute("SHOW work_mem").fetchone()[0] == "5MB"
        assert session.execute("SELECT queue FROM fleet").fetchone()[0] == engine.VERSION
