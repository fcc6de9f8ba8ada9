"""The limit of a whole call, in the main thread and in another, and a Stop for such a thread."""

import asyncio
import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from parts import BEARER, transport
from rig import Sandbox, faults
from surroundings import at_once
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.ssltransport import SSLTransport

from clio_broadly_sync.domain.errors import DeniedError, StoppedError, UnavailableError
from clio_broadly_sync.transport import signals
from clio_broadly_sync.transport.client import Transport
from clio_broadly_sync.transport.signals import ThreadStop, time_left, time_limit

Talk = Callable[[socket.socket], object]
Listen = Callable[[Talk], int]
Run = Callable[[Callable[[], Any]], Any]

HEAD = b"HTTP/1.1 200 OK\r\n"
OK = HEAD + b"Content-Length: 2\r\n\r\n{}"
LET_THROUGH = b"HTTP/1.1 200 OK\r\n\r\n"
HANDSHAKE, RECORD = b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc", b"\x17\x03\x03\x40\x00"
"""How a piece of TLS begins that has another 16 KiB."""


def _elsewhere(call: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as other:
        return other.submit(call).result()


@pytest.fixture(params=[lambda call: call(), _elsewhere], ids=["main thread", "other thread"])
def run(request: pytest.FixtureRequest) -> Run:
    """Return what calls in the main thread, or in another one."""
    given: Run = request.param
    return given


def _post(over: Transport, url: str, body: bytes = b"{}") -> Any:
    return over.request("POST", url, headers=BEARER, body=body)


def _fails(run: Run, url: str, body: bytes = b"{}") -> UnavailableError:
    """Return the error of a POST for which there are 0.2 s."""
    with at_once(), pytest.raises(UnavailableError) as caught:
        run(lambda: _post(transport(whole_call=0.2), url, body))
    return caught.value


# What a server does with the connection


def _drip(send: Callable[[bytes], object], head: bytes, piece: bytes = b"x") -> None:
    """Send the head, and then for a minute a piece now and then."""
    send(head)
    for _ in range(6000):
        send(piece)
        time.sleep(0.01)


def _dripping(head: bytes, piece: bytes = b"x") -> Talk:
    def talk(connection: socket.socket) -> None:
        if connection.recv(65536):
            _drip(connection.sendall, head, piece)

    return talk


def _dripping_beneath(connection: Any) -> None:
    """Send a piece of TLS byte by byte, which the layer beneath it carries."""
    connection.recv(65536)
    if isinstance(connection, SSLTransport):
        _drip(connection.socket.sendall, RECORD)
    else:
        _drip(lambda data: os.write(connection.fileno(), data), RECORD)


def _silent(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def _answering(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(OK)


def _tls(certificate: Path, talk: Talk) -> Talk:
    """Talk TLS, also within TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def wrap(incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, **named: Any) -> ssl.SSLObject:
        return context.wrap_bio(incoming, outgoing, server_side=True)

    def over_tls(connection: socket.socket) -> None:
        if isinstance(connection, ssl.SSLSocket):
            within: Any = SSLTransport(connection, SimpleNamespace(wrap_bio=wrap))  # type: ignore[arg-type]
            talk(within)
        else:
            with context.wrap_socket(connection, server_side=True) as wrapped:
                talk(wrapped)

    return over_tls


def _through(talk: Talk) -> Talk:
    """Be a proxy that connects, and the other side behind it."""

    def proxied(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(LET_THROUGH)
        talk(connection)

    return proxied


# After the request was sent


@pytest.mark.parametrize(
    "talk",
    [
        _silent,
        _dripping(b""),
        _dripping(HEAD + b"X-Long: "),
        _dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        _dripping(HEAD + b"Content-Length: 9999\r\n\r\n"),
        _dripping(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        _dripping(HEAD + b"Connection: close\r\n\r\n"),
    ],
    ids=["silence", "status", "headers", "continue", "body", "chunks", "to the end"],
)
@pytest.mark.parametrize("by_tls", [False, True], ids=["plain", "TLS"])
def test_answer_that_takes_too_long(
    run: Run,
    listen: Listen,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
    talk: Talk,
    by_tls: bool,
) -> None:
    """Wherever it drips, the POST may have been acted on."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    port = listen(_tls(certificate, talk) if by_tls else talk)
    error = _fails(run, f"http{'s' if by_tls else ''}://127.0.0.1:{port}/")
    assert (error.cause, error.outcome_unknown, error.answered) == ("timeout", True, False)


def test_piece_of_tls_that_drips(
    run: Run, listen: Listen, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes come, and nothing can be read of them."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    error = _fails(run, f"https://127.0.0.1:{listen(_tls(certificate, _dripping_beneath))}/")
    assert (error.cause, error.outcome_unknown) == ("timeout", True)


@pytest.mark.parametrize("by_tls", [False, True], ids=["plain", "TLS"])
def test_server_that_sips_the_request(
    run: Run, listen: Listen, certificate: Path, monkeypatch: pytest.MonkeyPatch, by_tls: bool
) -> None:
    """How much of it has arrived cannot be known."""
    over = threading.Event()

    def talk(connection: socket.socket) -> None:
        while not over.wait(0.03):
            connection.recv(16384)

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    port = listen(_tls(certificate, talk) if by_tls else talk)
    try:
        error = _fails(run, f"http{'s' if by_tls else ''}://127.0.0.1:{port}/", b"x" * 2**25)
    finally:
        over.set()
    assert (error.cause, error.outcome_unknown) == ("timeout", True)


def test_refusal_whose_body_drips(run: Run, listen: Listen) -> None:
    """The status has decided."""
    port = listen(_dripping(b"HTTP/1.1 401 No\r\nContent-Length: 9999\r\n\r\n"))
    with at_once(), pytest.raises(DeniedError):
        run(lambda: _post(transport(whole_call=0.2), f"http://127.0.0.1:{port}/"))


# Before it was sent


@pytest.mark.parametrize("talk", [_silent, _dripping(HANDSHAKE)], ids=["silence", "drip"])
def test_handshake_that_takes_too_long(run: Run, listen: Listen, talk: Talk) -> None:
    error = _fails(run, f"https://127.0.0.1:{listen(talk)}/")
    assert (error.cause, error.outcome_unknown) == ("not_reached", False)


@pytest.mark.parametrize("talk", [_silent, _dripping(HEAD + b"X: ")], ids=["silence", "drip"])
def test_proxy_that_takes_too_long(
    run: Run, listen: Listen, monkeypatch: pytest.MonkeyPatch, talk: Talk
) -> None:
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{listen(talk)}")
    error = _fails(run, "https://127.0.0.1/")
    assert (error.cause, error.outcome_unknown) == ("proxy", False)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("by_tls", "talk", "meant"),
    [
        (False, _silent, ("not_reached", False)),
        (False, _dripping(HANDSHAKE), ("not_reached", False)),
        (True, _dripping(HEAD), ("timeout", True)),
        (True, _dripping_beneath, ("timeout", True)),
    ],
    ids=["silence", "handshake", "headers", "piece of TLS"],
)
def test_other_side_of_a_proxy_that_takes_too_long(
    run: Run,
    listen: Listen,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
    by_tls: bool,
    talk: Talk,
    meant: tuple[str, bool],
) -> None:
    """Also through a proxy that talks TLS itself."""
    proxy = _through(_tls(certificate, talk) if by_tls else talk)
    port = listen(_tls(certificate, proxy) if scheme == "https" else proxy)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    monkeypatch.setenv("https_proxy", f"{scheme}://127.0.0.1:{port}")
    error = _fails(run, "https://127.0.0.1/")
    assert (error.cause, error.outcome_unknown) == meant


def test_answer_through_a_proxy_that_talks_tls(
    run: Run, listen: Listen, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = listen(_tls(certificate, _through(_tls(certificate, _answering))))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    monkeypatch.setenv("https_proxy", f"https://127.0.0.1:{port}")
    assert run(lambda: _post(transport(), "https://127.0.0.1/")).body == b"{}"


def test_reach_that_takes_too_long(run: Run, listen: Listen) -> None:
    port = listen(_dripping(HANDSHAKE))
    over = transport(whole_call=0.2)
    with at_once(), pytest.raises(UnavailableError, match="could not be reached"):
        run(lambda: over.reach(f"https://127.0.0.1:{port}/"))


# Where time runs out between two steps, by a clock that the test moves


class _Time:
    """In place of the module `time` for the limit."""

    def __init__(self, tick: float = 0.0) -> None:
        self.now, self.tick = 0.0, tick

    def monotonic(self) -> float:
        self.now += self.tick
        return self.now


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> _Time:
    moved = _Time()
    monkeypatch.setattr(signals, "time", moved)
    return moved


def _addresses(monkeypatch: pytest.MonkeyPatch, *ports: int, at: Callable[[], object]) -> None:
    def look_up(*arguments: object) -> list[Any]:
        at()
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", one)) for one in ports]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_look_up_that_takes_too_long(
    monkeypatch: pytest.MonkeyPatch, moved: _Time, scheme: str
) -> None:
    """It cannot be cut short, but then nobody is connected to."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        port = listener.getsockname()[1]
        _addresses(monkeypatch, port, at=lambda: vars(moved).update(now=61.0))
        error = _fails_elsewhere(f"{scheme}://clio.example/")
        assert (error.cause, error.outcome_unknown) == ("not_reached", False)
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_host_with_many_addresses(
    monkeypatch: pytest.MonkeyPatch, moved: _Time, scheme: str
) -> None:
    """They have one limit, and not one each."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as closed:
        listener.setblocking(False)
        closed.bind(("127.0.0.1", 0))
        ports = [one.getsockname()[1] for one in (closed, closed, listener)]
        _addresses(monkeypatch, *ports, at=lambda: vars(moved).update(tick=25.0))
        error = _fails_elsewhere(f"{scheme}://clio.example/")
        assert (error.cause, error.outcome_unknown) == ("not_reached", False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_time_that_connecting_used_up(monkeypatch: pytest.MonkeyPatch, moved: _Time) -> None:
    """Nothing is sent over the connection then, so nobody is in doubt."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        ports = [one.getsockname()[1] for one in (closed, listener)]
        _addresses(monkeypatch, *ports, at=lambda: vars(moved).update(tick=25.0))
        error = _fails_elsewhere("http://clio.example/")
        assert (error.cause, error.outcome_unknown) == ("not_reached", False)
        with listener.accept()[0] as connection:
            connection.settimeout(60)
            assert connection.recv(65536) == b""


def test_time_that_a_proxy_used_up(
    listen: Listen, monkeypatch: pytest.MonkeyPatch, moved: _Time
) -> None:
    """No handshake is begun."""
    heard: list[bytes] = []
    tunnel = HTTPSConnection._tunnel

    def slow(connection: HTTPSConnection) -> None:
        tunnel(connection)
        moved.now = 61.0

    monkeypatch.setattr(HTTPSConnection, "_tunnel", slow)
    port = listen(_through(lambda connection: heard.append(connection.recv(65536))))
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
    error = _fails_elsewhere("https://127.0.0.1/")
    assert (error.cause, error.outcome_unknown) == ("not_reached", False)
    _until_the_last_is_served(port)
    assert b"".join(heard) == b""


def test_time_that_the_handshake_used_up(
    listen: Listen, certificate: Path, monkeypatch: pytest.MonkeyPatch, moved: _Time
) -> None:
    """The request is not sent then, so nobody is in doubt."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda *arguments: vars(moved).update(now=61.0)
    heard: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:
            heard.append(wrapped.recv(65536))

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    port = listen(talk)
    error = _fails_elsewhere(f"https://127.0.0.1:{port}/")
    assert (error.cause, error.outcome_unknown) == ("not_reached", False)
    _until_the_last_is_served(port)
    assert b"".join(heard) == b""


def test_time_that_the_header_of_a_request_used_up(
    listen: Listen, monkeypatch: pytest.MonkeyPatch, moved: _Time
) -> None:
    """Its body is not sent; how much of it has arrived cannot be known."""
    heard: list[bytes] = []
    end = HTTPConnection.endheaders

    def slow(connection: HTTPConnection, *arguments: Any, **named: Any) -> None:
        end(connection, *arguments, **named)
        moved.now = 61.0

    def talk(connection: socket.socket) -> None:
        while data := connection.recv(65536):
            heard.append(data)

    monkeypatch.setattr(HTTPConnection, "endheaders", slow)
    port = listen(talk)
    error = _fails_elsewhere(f"http://127.0.0.1:{port}/")
    assert (error.cause, error.outcome_unknown) == ("timeout", True)
    _until_the_last_is_served(port)
    assert b"".join(heard).endswith(b"\r\n\r\n")


def test_each_call_has_a_limit_of_its_own(listen: Listen, moved: _Time) -> None:
    """Also those that share a connection."""
    accepted: list[int] = []

    def talk(connection: socket.socket) -> None:
        accepted.append(1)
        for _ in range(3):
            _answering(connection)

    over, port = transport(), listen(talk)

    def calls() -> None:
        for _ in range(3):
            assert over.request("GET", f"http://127.0.0.1:{port}/", headers=BEARER).body == b"{}"
            moved.now += 59.0
        over.close()

    _elsewhere(calls)
    assert len(accepted) == 1


def _fails_elsewhere(url: str) -> UnavailableError:
    with at_once(), pytest.raises(UnavailableError) as caught:
        _elsewhere(lambda: _post(transport(), url))
    return caught.value


# The limit itself


def test_no_limit_outside(run: Run) -> None:
    """Neither before nor after one, nor in another thread meanwhile."""

    def left() -> tuple[float, float, float]:
        before = time_left()
        with time_limit(60):
            elsewhere = _elsewhere(time_left)
        return before, elsewhere, time_left()

    assert run(left) == (float("inf"),) * 3


@pytest.mark.parametrize("by_tls", [False, True], ids=["plain", "TLS"])
def test_calls_leave_nothing_behind(
    run: Run, listen: Listen, certificate: Path, monkeypatch: pytest.MonkeyPatch, by_tls: bool
) -> None:
    """No thread and no socket, whether they end well, by the limit, or before the handshake."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    talks = [_answering, _dripping(HEAD), _dripping(HEAD + b"Content-Length: 9\r\n\r\n")]
    ports = [listen(_tls(certificate, talk) if by_tls else talk) for talk in talks]
    ports += [listen(_dripping(HANDSHAKE))] if by_tls else []
    urls = [f"http{'s' if by_tls else ''}://127.0.0.1:{port}/" for port in ports]
    threads, files = set(threading.enumerate()), _open_files()

    def calls() -> None:
        for url in (urls[0], *urls) * 5:
            over = transport(whole_call=30.0 if url == urls[0] else 0.05)
            with suppress(UnavailableError):
                _post(over, url)
            over.close()

    run(calls)
    for port in ports:
        _until_the_last_is_served(port)
    assert set(threading.enumerate()) <= threads
    assert _open_files() <= files


def _open_files() -> int:
    return len(os.listdir("/dev/fd"))


def _until_the_last_is_served(port: int) -> None:
    """Wait until the connection before this one is closed there, and this one, too."""
    with socket.create_connection(("127.0.0.1", port)) as last:
        last.settimeout(60)
        last.shutdown(socket.SHUT_WR)
        with suppress(OSError):
            while last.recv(65536):
                pass


# A Stop for a thread


def test_request_of_a_thread_comes_to_its_end(sandbox: Sandbox) -> None:
    """No thread can be interrupted: StoppedError is raised when the GET has its answer."""
    stop = ThreadStop()
    sandbox.clio.before = lambda request: stop.ask(signal.SIGTERM)
    over = transport(stop=stop)
    with pytest.raises(StoppedError) as caught:
        _elsewhere(lambda: over.request("GET", sandbox.clio.url, headers=BEARER))
    assert caught.value.signal_number == signal.SIGTERM
    assert len(sandbox.clio.history) == 1


def test_get_of_a_thread_ends_by_its_limit(listen: Listen) -> None:
    """It is the signal that counts, and not what became of the GET."""
    stop = ThreadStop()

    def talk(connection: socket.socket) -> None:
        stop.ask(signal.SIGTERM)
        _dripping(HEAD)(connection)

    over, url = transport(stop=stop, whole_call=0.2), f"http://127.0.0.1:{listen(talk)}/"
    with at_once(), pytest.raises(StoppedError):
        _elsewhere(lambda: over.request("GET", url, headers=BEARER))


def test_post_of_a_thread_has_its_answer(sandbox: Sandbox) -> None:
    """No other request begins."""
    stop = ThreadStop()
    sandbox.broadly.before = lambda request: stop.ask(signal.SIGTERM)
    sandbox.broadly.faults.add(faults.answer(202))
    over = transport("Broadly", stop=stop)
    assert _elsewhere(lambda: _post(over, sandbox.broadly.endpoint)).status == 202
    with pytest.raises(StoppedError):
        _elsewhere(lambda: _post(over, sandbox.broadly.endpoint))
    assert len(sandbox.broadly.history) == 1


def test_signal_wakes_the_sleep_of_a_thread() -> None:
    """As a worker hears of it: by asyncio, in the main thread."""
    stop = ThreadStop()

    async def work() -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, stop.ask, signal.SIGTERM)
        loop.call_later(0.05, os.kill, os.getpid(), signal.SIGTERM)
        await asyncio.to_thread(stop.sleep, 60)

    with at_once(), pytest.raises(StoppedError):
        asyncio.run(work())
