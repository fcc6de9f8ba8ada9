"""A connection over which nothing goes: to some addresses any request is an event."""

import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from parts import transport
from rig import Sandbox

from clio_broadly_sync.domain.errors import ConfigError, StoppedError, UnavailableError
from clio_broadly_sync.transport.signals import Stop

Listen = Callable[[Callable[[socket.socket], object]], int]


def _tls(certificate: Path, got: list[bytes]) -> Callable[[socket.socket], None]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def talk(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            got.append(secured.recv(65536))

    return talk


def test_nothing_goes_over_the_connection(listen: Listen) -> None:
    got: list[bytes] = []
    port = listen(lambda connection: got.append(connection.recv(65536)))
    there = transport("Broadly")
    there.reach(f"http://127.0.0.1:{port}/hooks/s3cret?x=y")
    there.reach(f"http://127.0.0.1:{port}")
    for _ in range(2):  # it has been accepted once this one was
        socket.create_connection(("127.0.0.1", port)).close()
    assert b"".join(got) == b""
    assert there.requests == 0


def test_practice_server_hears_nothing(sandbox: Sandbox) -> None:
    transport("Broadly").reach(sandbox.broadly.endpoint)
    assert sandbox.broadly.history == []


def test_hands_are_shaken_and_no_more(
    listen: Listen, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    got: list[bytes] = []
    port = listen(_tls(certificate, got))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    transport("Broadly").reach(f"https://127.0.0.1:{port}/hooks/s3cret")
    assert b"".join(got) == b""


def test_certificate_of_a_stranger(listen: Listen, certificate: Path) -> None:
    """As a run would find it: 78."""
    port = listen(_tls(certificate, []))
    with pytest.raises(ConfigError, match="No trusted TLS connection to Broadly") as caught:
        transport("Broadly").reach(f"https://127.0.0.1:{port}/hooks/s3cret")
    assert "s3cret" not in str(caught.value)


def test_through_a_proxy(
    listen: Listen, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What goes to the proxy is where to connect, and no path."""
    got: list[bytes] = []
    asked: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        asked.append(connection.recv(65536))
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        _tls(certificate, got)(connection)

    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{listen(talk)}")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    transport("Broadly").reach("https://127.0.0.1/hooks/s3cret")
    assert asked[0].startswith(b"CONNECT 127.0.0.1:443 ")
    assert b"s3cret" not in asked[0]
    assert b"".join(got) == b""


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_nobody_there(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(UnavailableError, match="Broadly could not be reached") as caught:
        transport("Broadly").reach(f"{scheme}://127.0.0.1:{port}/hooks/s3cret")
    assert not caught.value.outcome_unknown


def test_no_such_host(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*arguments: object, **named: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(UnavailableError, match="could not be reached"):
        transport("Broadly").reach("https://hooks.example/s3cret")


def test_host_that_never_shakes_hands(listen: Listen) -> None:
    """It takes no longer than one request may."""
    over: list[bytes] = []
    port = listen(lambda connection: over.append(connection.recv(65536) + connection.recv(65536)))
    with pytest.raises(UnavailableError, match="could not be reached"):
        transport("Broadly", whole_call=0.2).reach(f"https://127.0.0.1:{port}/")


def test_signal_ends_it(stop: Stop) -> None:
    stop.ask(15)
    with pytest.raises(StoppedError):
        transport("Broadly", stop=stop).reach("https://127.0.0.1:9/")
