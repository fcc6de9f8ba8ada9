"""A state, a sandbox without people, a Stop that a signal asks, ports whose talk a test decides.

And a certificate for those that talk TLS.
"""

import shutil
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from certificates import certificate_for
from clio_contract import requests_fit_clios_contract
from databases import Database, connected
from factories import NOW
from rig import Sandbox
from watched import watch
from whole import make as make_whole

from clio_broadly_sync.sandbox import Firm
from clio_broadly_sync.store import FilePlace, Place, Store
from clio_broadly_sync.store.postgresql import Session
from clio_broadly_sync.transport.signals import Stop

__all__ = ["requests_fit_clios_contract"]

Talk = Callable[[socket.socket], object]


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "NETRC"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def store(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """Yield a state in which a run has begun; what it tells SQLite is kept (`watched.py`)."""
    watch(monkeypatch)
    with place.open() as opened:
        opened.begin_run("sync", "r1", NOW)
        yield opened


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a state that has everything (`whole.py`), for others to copy."""
    path = tmp_path_factory.mktemp("whole") / "state.db"
    make_whole(FilePlace(path))
    return path


@pytest.fixture
def path(whole: Path, tmp_path: Path) -> Path:
    """Return a copy of it, to be broken."""
    path = tmp_path / "state" / "state.db"
    path.parent.mkdir(mode=0o700)
    shutil.copy(whole, path)
    return path


@pytest.fixture
def state(place: Place, request: pytest.FixtureRequest) -> Place:
    """Return the place of such a state, to be broken, a file or a firm."""
    if isinstance(place, FilePlace):
        request.getfixturevalue("path")
    else:
        make_whole(place)
    return place


@pytest.fixture
def address(database: Database) -> str:
    """Return the address of a database with three firms, and nothing in them."""
    return database.emptied()


@pytest.fixture
def session(address: str) -> Iterator[Session]:
    """Yield a session of the fleet's own there."""
    with closing(connected(address)) as session:
        yield session


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(Firm(contacts=0, matters=0)) as running:
        yield running


@pytest.fixture
def stop() -> Iterator[Stop]:
    """Yield a Stop that SIGTERM asks to stop, until the test ends."""
    asked = Stop()
    before = signal.signal(signal.SIGTERM, asked.ask)
    yield asked
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def listen() -> Iterator[Callable[[Talk], int]]:
    """Yield a function that listens on a free port, and returns the port.

    It lets `talk` deal with each connection, one after the other, until the test ends.
    """
    over = threading.Event()
    listeners: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def serve(listener: socket.socket, talk: Talk) -> None:
        while not over.is_set():
            with suppress(OSError), listener.accept()[0] as connection:
                connection.settimeout(60)
                talk(connection)

    def start(talk: Talk) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threads.append(threading.Thread(target=serve, args=(listener, talk), daemon=True))
        threads[-1].start()
        port: int = listener.getsockname()[1]
        return port

    yield start
    over.set()
    for listener in listeners:
        with suppress(OSError):
            socket.create_connection(listener.getsockname(), timeout=1).close()
    for thread in threads:
        thread.join()
    for listener in listeners:
        listener.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a certificate for 127.0.0.1 that nobody knows, with its key."""
    return certificate_for("127.0.0.1", "IP:127.0.0.1", tmp_path_factory.mktemp("tls"))
