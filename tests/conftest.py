"""What holds for every test: it does not reach the network, wait for a disk, or miss a signal.

A connection that would leave this machine fails at once. Files are written to memory, where there
is room. A shell lets what it runs in the background ignore some signals; they are caught again.
"""

import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from importlib import import_module
from ipaddress import ip_address
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

import pytest
from clio_contract import requests_fit_clios_contract
from databases import Database, firm_place, server
from golden_files import golden
from hypothesis import HealthCheck, settings
from quiet import pytest_runtest_makereport
from surroundings import (
    environment_of_their_own,
    none_outlives_its_test,
    sessions_of_their_own,
)

import clio_broadly_sync
from clio_broadly_sync.store import FilePlace, Place

__all__ = [
    "environment_of_their_own",
    "golden",
    "none_outlives_its_test",
    "pytest_runtest_makereport",
    "requests_fit_clios_contract",
    "sessions_of_their_own",
]

IN_MEMORY = Path("/dev/shm")  # noqa: S108  (every file in it gets a name of its own)
ROOM = 1 << 30
"""How many bytes must be free in memory so that it is used."""
_CONNECT = socket.socket.connect
_HANDLERS = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update", action="store_true", help="Write the golden files anew.")


def pytest_configure() -> None:
    _try_the_same_each_time()
    _write_to_memory()
    for number, handler in _HANDLERS.items():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


def _try_the_same_each_time() -> None:
    """Let hypothesis choose the same inputs in each run, and mind no busy machine.

    It chooses by the constants of what is loaded, too, and that would depend on which tests ran
    before in the same process. So all of the program is loaded.
    """
    for found in walk_packages(clio_broadly_sync.__path__, "clio_broadly_sync."):
        if not found.name.endswith("__main__"):
            import_module(found.name)
    slow = [HealthCheck.too_slow]
    settings.register_profile("ours", deadline=None, derandomize=True, suppress_health_check=slow)
    settings.load_profile("ours")


def _write_to_memory() -> None:
    """Keep in memory what tests write, because there thousands of commits wait for no disk."""
    if "TMPDIR" not in os.environ and IN_MEMORY.is_dir():
        folder = os.statvfs(IN_MEMORY)
        if folder.f_bavail * folder.f_frsize >= ROOM and not folder.f_flag & os.ST_NOEXEC:
            tempfile.tempdir = str(IN_MEMORY)


def _connect(self: socket.socket, address: Any) -> None:
    if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
        raise AssertionError(f"a test tried to reach {address[0]}")
    _CONNECT(self, address)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True, scope="session")
def _no_network() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", _connect)
        yield


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Database]:
    """Yield the database of this process of tests."""
    own = tmp_path_factory.getbasetemp()
    with server(own if worker_id == "master" else own.parent) as address:
        made = Database(address, f"clio_broadly_sync_{worker_id}_{os.getpid()}")
        yield made
        made.close()


@pytest.fixture(params=["file", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Return where a state is to be: a file that is not there yet, or a firm without rows."""
    if request.param == "file":
        return FilePlace(tmp_path / "state" / "state.db")
    return firm_place(request.getfixturevalue("database").emptied())
