"""What one request does: statuses, waits, limits of time and size, signals, where secrets go."""

import os
import signal
import socket
import ssl
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import requests
import responses
import urllib3
from parts import BEARER, DATE, NOW, Clock, served, transport
from requests.adapters import HTTPAdapter
from rig import Sandbox, faults
from rig.faults import Delivery
from surroundings import at_once

from clio_broadly_sync import __version__
from clio_broadly_sync.domain.errors import (
    AddressError,
    ConfigError,
    DeniedError,
    RefusedError,
    StoppedError,
    SyncError,
    UnavailableError,
)
from clio_broadly_sync.sandbox import Response
from clio_broadly_sync.transport import client as module
from clio_broadly_sync.transport import failures, retrying
from clio_broadly_sync.transport.client import Answer, Transport
from clio_broadly_sync.transport.session import REFUSAL_BYTES, HandshakeError, open_session
from clio_broadly_sync.transport.signals import Stop, time_limit

URL = "https://clio.example/api/v4/matters.json"
MIB = 1024 * 1024
Talk = Callable[[socket.socket], object]
Listen = Callable[[Talk], int]


def _get(over: Transport, url: str = URL) -> Answer:
    return over.request("GET", url, headers=BEARER)


def _post(over: Transport, url: str, body: bytes = b"{}") -> Answer:
    return over.request("POST", url, headers=BEARER, body=body)


def _fails(over: Transport, url: str, method: str = "POST") -> UnavailableError:
    with pytest.raises(UnavailableError) as caught:
        over.request(method, url, headers=BEARER)
    return caught.value


def _path(sandbox: Sandbox) -> str:
    return f"{sandbox.clio.url}/api/v4/matters.json"


# What a status means


MEANT: dict[tuple[type[SyncError], bool | None], tuple[int, ...]] = {
    (AddressError, None): (300, 302, 304, 404, 405),
    (DeniedError, None): (401, 403),
    (RefusedError, None): (400, 402, 407, 409, 410, 413, 415, 418, 422, 423, 451, 499),
    (UnavailableError, True): (408, 425, 500, 502, 503, 504, 511, 599),
    (UnavailableError, False): (429,),
}
"""What a status becomes, and whether a POST that it answers may have been acted on."""
STATUSES: list[tuple[int, dict[str, str], type[SyncError], bool | None]] = [
    *((status, {}, *meant) for meant, several in MEANT.items() for status in several),
    (302, {"Location": "https://elsewhere.example/"}, AddressError, None),
    (500, {"Retry-After": "5"}, UnavailableError, True),
    (504, {"Retry-After": "2"}, UnavailableError, True),
    *(
        (503, {"Retry-After": wait}, UnavailableError, False)
        for wait in ("5", "soon", "", "2.0", "-1", "2 min")
    ),
]


@pytest.mark.parametrize(("status", "headers", "error", "unknown"), STATUSES)
@responses.activate
def test_status_says_what_to_do_next(
    status: int, headers: dict[str, str], error: type[SyncError], unknown: bool | None
) -> None:
    """Settings, sign-in, later or refused; and whether a POST may have been acted on."""
    responses.post(URL, status=status, headers=headers, body=b"a body")
    with pytest.raises(SyncError) as caught:
        _post(transport(), URL)
    assert type(caught.value) is error
    if isinstance(caught.value, UnavailableError):
        assert (caught.value.outcome_unknown, caught.value.answered) == (unknown, True)
    if isinstance(caught.value, RefusedError):
        assert (caught.value.status, caught.value.body) == (status, b"a body")
    if isinstance(caught.value, AddressError):
        assert caught.value.status == status
    assert len(responses.calls) == 1
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("status", "body"), [(200, b"{}"), (202, b""), (204, b""), (299, b"x")])
@responses.activate
def test_success_is_an_answer(status: int, body: bytes) -> None:
    """Status, body and date of any 2xx come back."""
    responses.post(URL, status=status, body=body, headers=DATE)
    assert _post(transport(), URL) == Answer("Clio", status, body, NOW)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("99999999", 99999999.0),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        ((NOW + timedelta(seconds=90)).strftime("%A, %d-%b-%y %H:%M:%S GMT"), 90.0),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), 0.0),
        ("2.0", 2.0),
        ("1.5", 2.0),
        ("0.001", 1.0),
        ("2s", 2.0),
        ("2 S", 2.0),
        ("30 seconds", 30.0),
        ("1 sec", 1.0),
        ("2, 2", 2.0),
        ("9, 7", 9.0),
        ("7, soon", 7.0),
        ("9" * 400, failures.LONGEST_SECONDS),
        ("-5", None),
        ("2.", None),
        ("2 min", None),
        ("1e3", None),
        ("inf", None),
        ("\u0662", None),
        ("soon", None),
        ("", None),
        ("Fri, 31 Dec 9999 23:59:59 -1400", None),
        ("Fri, 31 Dec 99999999999999999999 23:59:59 GMT", None),
    ],
)
@responses.activate
def test_retry_after_in_both_forms(header: str, seconds: float | None) -> None:
    """Seconds, or an HTTP date seen from the answer's own date; what is neither is none."""
    responses.get(URL, status=429, headers={"Retry-After": header, **DATE})
    assert _fails(transport(), URL, "GET").retry_after == seconds


@pytest.mark.parametrize("date", ["", "yesterday", "Fri, 31 Dec 9999 23:59:59 -1400"])
@responses.activate
def test_date_that_is_none(date: str) -> None:
    """An answer whose date cannot be read has none."""
    responses.get(URL, body=b"{}", headers={"Date": date})
    assert _get(transport()).date is None


# JSON


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b'{"data": [{"id": 5',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": "\xff"}',
        b"[" * 100_000,
        b'{"a": ' * 100_000,
        b"1" * 5000,
        b"{} {}",
        "{“a”: 1}".encode(),
    ],
)
def test_what_is_no_json(body: bytes) -> None:
    """It is an answer that tells nothing, whatever it does to a parser."""
    with pytest.raises(UnavailableError) as caught:
        Answer("Clio", 200, body, None).json()
    assert caught.value.outcome_unknown
    assert caught.value.answered


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        ('{"a": "ä"}'.encode("utf-16"), {"a": "ä"}),
        (b'{"a": 1, "a": 1}', {"a": 1}),
        (b" [] ", []),
    ],
)
def test_what_is_json(body: bytes, value: Any) -> None:
    """A byte order mark does no harm, nor does the same said twice."""
    assert Answer("Clio", 200, body, None).json() == value


@pytest.mark.parametrize("values", [("1", "2"), ("2", "1", "2"), ("true", "null"), ("{}", "[]")])
def test_key_with_two_values_has_none(values: Iterable[str]) -> None:
    """Which one holds is not guessed: the value is of no JSON type."""
    pairs = ", ".join(f'"a": {value}' for value in values)
    read = Answer("Clio", 200, f'{{{pairs}, "b": 1}}'.encode(), None).json()
    assert not isinstance(read["a"], None | bool | int | float | str | list | dict)
    assert read["b"] == 1


# Retries


def _script(*answers: Any) -> None:
    """Answer in this order: a status, or a status and its headers."""
    registry = responses.registries.OrderedRegistry
    responses.mock._set_registry(registry)
    for answer in answers:
        status, headers = answer if isinstance(answer, tuple) else (answer, {})
        responses.get(URL, status=status, headers=headers, body=b"{}")


@responses.activate
def test_repeats_until_it_succeeds() -> None:
    """Each wait is what was asked for, or the backoff where that is longer."""
    _script((429, {"Retry-After": "7"}), (503, {"Retry-After": "3"}), 500, 200)
    clock = Clock()
    over = transport(clock=clock)
    assert over.retry(lambda: _get(over), repeat=lambda error: True).status == 200
    assert clock.waits[:2] == [7.0, 3.0]
    assert 0 <= clock.waits[2] <= 4 * retrying.BACKOFF_SECONDS
    assert (len(clock.waits), over.requests) == (3, 4)


@responses.activate
def test_attempts_are_counted() -> None:
    """After the last one comes what it raised."""
    responses.get(URL, status=500)
    clock = Clock()
    over = transport(clock=clock)
    with pytest.raises(UnavailableError, match="status 500"):
        over.retry(lambda: _get(over), repeat=lambda error: True)
    assert (len(responses.calls), len(clock.waits)) == (5, 4)


@responses.activate
def test_backoff_grows_with_full_jitter() -> None:
    """The n-th wait lies anywhere below twice the one before's bound, never above."""
    responses.get(URL, status=500)
    waits: list[list[float]] = []
    for _ in range(60):
        clock = Clock()
        over = transport(clock=clock)
        with pytest.raises(UnavailableError):
            over.retry(lambda over=over: _get(over), repeat=lambda error: True)  # type: ignore[misc]
        waits.append(clock.waits)
    for number, drawn in enumerate(zip(*waits, strict=True)):
        bound = retrying.BACKOFF_SECONDS * 2**number
        assert 0 <= min(drawn) < bound / 2 < max(drawn) <= bound


@pytest.mark.parametrize(("patience", "limit"), [(30.0, 1e9), (1e9, 30.0)])
@responses.activate
def test_waits_within_the_time_that_is_left(patience: float, limit: float) -> None:
    """A wait that would last longer is not begun."""
    responses.get(URL, status=429, headers={"Retry-After": "31"})
    clock = Clock()
    over = transport(clock=clock, patience=patience)
    with pytest.raises(UnavailableError) as caught:
        over.retry(lambda: _get(over), repeat=lambda error: True, limit=lambda: limit)
    assert caught.value.retry_after == 31
    assert (clock.waits, len(responses.calls)) == ([], 1)


@pytest.mark.parametrize(
    ("status", "error"), [(401, DeniedError), (404, ConfigError), (422, RefusedError)]
)
@responses.activate
def test_only_what_may_pass_is_repeated(status: int, error: type[SyncError]) -> None:
    """What a person must mend is not asked twice; nor what the caller says is not safe."""
    responses.get(URL, status=status)
    over = transport()
    with pytest.raises(error):
        over.retry(lambda: _get(over), repeat=lambda error: True)
    responses.replace("GET", URL, status=500)
    with pytest.raises(UnavailableError):
        over.retry(lambda: _get(over), repeat=lambda error: False)
    assert len(responses.calls) == 2


# Connections


def _closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def _unknown_host(*args: Any, **kwargs: Any) -> Any:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def test_no_such_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """The request never arrived."""

    monkeypatch.setattr(socket, "getaddrinfo", _unknown_host)
    assert not _fails(transport(), "https://clio.example/").outcome_unknown


CHUNKED = b"HTTP/1.1 %d OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BODIES = [
    CHUNKED % 200 + b"-5\r\n{}\r\n",
    CHUNKED % 200 + b"2\r\n{}\r\n-1\r\n\r\n",
    CHUNKED % 200 + b"zz\r\n{}\r\n",
    CHUNKED % 200 + b"f" * 40 + b"\r\n{}",
    CHUNKED % 202 + b"-5\r\n",
    CHUNKED % 422 + b"-5\r\n",
    CHUNKED % 500 + b"-5\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: " + b"gzip, " * 20 + b"\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n{}",
]


@pytest.mark.parametrize("raw", BODIES, ids=range(len(BODIES)))
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_body_that_no_library_reads(listen: Listen, raw: bytes, method: str) -> None:
    """Whatever a library raises in the middle of it, the outcome is unknown, and it is no bug."""
    error = _fails(transport(), f"http://127.0.0.1:{listen(_saying(raw))}/", method)
    assert (error.outcome_unknown, error.answered) == (True, False)
    assert error.cause in ("cut", "unreadable")


@pytest.mark.parametrize("status", [302, 401, 403, 404])
def test_body_of_a_refusal_that_no_library_reads(listen: Listen, status: int) -> None:
    """The status has decided."""
    url = f"http://127.0.0.1:{listen(_saying(CHUNKED % status + b'-5'))}/"
    with pytest.raises((AddressError, DeniedError)) as caught:
        _post(transport(), url)
    assert caught.value.cause == f"http_{status}"


@pytest.mark.parametrize("kind", [ValueError, KeyError, AttributeError, MemoryError, RuntimeError])
def test_whatever_a_library_raises(monkeypatch: pytest.MonkeyPatch, kind: type[Exception]) -> None:
    """It is an answer that could not be read, and its words, which may hold one, are not told."""

    def broken(request: requests.PreparedRequest) -> tuple[int, dict[str, str], bytes]:
        raise kind("ada@example.com")

    monkeypatch.setattr(HTTPAdapter, "send", served(broken))
    error = _fails(transport(), URL)
    assert (error.outcome_unknown, error.cause) == (True, "unreadable")
    assert "ada" not in str(error)


@pytest.mark.parametrize(
    "raw", [b"", b"\x00\xff", b"HTTP/9 hello\r\n\r\n", b"HTTP/1.1 99999 X\r\n"]
)
def test_answer_that_is_no_http(listen: Listen, raw: bytes) -> None:
    """Whatever comes back, it is no crash."""

    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(raw)

    assert _fails(transport(), f"http://127.0.0.1:{listen(talk)}/").outcome_unknown


FORETOLD = b"HTTP/1.1 %d Not yet\r\nLink: </style.css>\r\n\r\n"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_answer_that_is_only_foretold(listen: Listen, method: str) -> None:
    """What comes before the answer is none (RFC 9110, 15.2): the one that ends it decides."""
    foretold = FORETOLD % 103 + FORETOLD % 100 + FORETOLD % 102 + FORETOLD % 199
    taken = foretold + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    url = f"http://127.0.0.1:{listen(_saying(taken))}/"
    answer = transport().request(method, url, headers=BEARER)
    assert (answer.status, answer.json()) == (200, {})
    failed = _saying(foretold + b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
    assert _fails(transport(), f"http://127.0.0.1:{listen(failed)}/", method).cause == "http_500"
    lost = _fails(transport(), f"http://127.0.0.1:{listen(_saying(foretold))}/", method)
    assert (lost.outcome_unknown, lost.cause) == (True, "cut")


def test_another_protocol_is_no_answer(listen: Listen) -> None:
    """Nobody has asked for one, so whoever changes to it has told nothing."""
    error = _fails(transport(), f"http://127.0.0.1:{listen(_saying(FORETOLD % 101))}/")
    assert (error.outcome_unknown, error.answered, error.cause) == (True, True, "http_101")


def _saying(answered: bytes) -> Talk:
    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answered)

    return talk


@pytest.mark.parametrize(
    ("answered", "cause", "words"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "proxy_403", "does not connect to Clio (status 403)"),
        (b"HTTP/1.1 503 No\r\n\r\n", "proxy_503", "does not connect to Clio (status 503)"),
        (b"HTTP/1.1 302 No\r\nLocation: /\r\n\r\n", "proxy_302", "(status 302)"),
        (b"", "proxy", "could not be reached"),
        (b"hello\r\n\r\n", "proxy", "could not be reached"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000, "proxy", "could not be reached"),
    ],
    ids=["403", "503", "302", "nothing", "no HTTP", "too long"],
)
def test_proxy_that_does_not_connect(
    listen: Listen, monkeypatch: pytest.MonkeyPatch, answered: bytes, cause: str, words: str
) -> None:
    """The request never got through, and the proxy is called by its variable."""
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{listen(_saying(answered))}")
    error = _fails(transport(), "https://clio.example/")
    assert (error.outcome_unknown, error.cause) == (False, cause)
    assert str(error).startswith("The proxy that https_proxy names ")
    assert words in str(error)


@pytest.mark.parametrize("answered", [b"HTTP/1.1 407 Proxy\r\n\r\n", b"HTTP/1.0 407\r\n\r\n"])
@pytest.mark.parametrize("user", ["", "anna:secret-word@"])
def test_proxy_that_wants_a_password(
    listen: Listen, monkeypatch: pytest.MonkeyPatch, answered: bytes, user: str
) -> None:
    """It is a setting of this machine, and nobody's address; what stands there is not shown."""
    monkeypatch.setenv("ALL_PROXY", f"http://{user}127.0.0.1:{listen(_saying(answered))}")
    with pytest.raises(ConfigError, match="The proxy that ALL_PROXY names wants a user") as caught:
        _post(transport(), "https://clio.example/")
    assert caught.value.cause == "proxy_407"
    assert "secret-word" not in str(caught.value)


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize(
    "value",
    [
        "socks5://127.0.0.1:1080", "socks5h://127.0.0.1:1080", "socks4://127.0.0.1:1080",
        "ftp://127.0.0.1:21", "http://", "http://:8080", "direct://", "http://127.0.0.1:port",
        "http://127.0.0.1:99999", "http://my proxy:80", "http://[::1:80", " ", "http://a..b:80",
        "http://anna:p\u2603ss@127.0.0.1:1", "http://127.0.0.1:1\n",
    ],
)  # fmt: skip
def test_proxy_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """It is a setting of this machine: its variable is named, and Clio is not blamed."""
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=f"The proxy that {name} names cannot be used") as caught:
        _post(transport(), "https://clio.example/")
    assert caught.value.cause == "proxy"


def test_proxy_that_speaks_no_tls(listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its address begins with https:// by mistake, and nothing was sent."""
    monkeypatch.setenv("https_proxy", f"https://127.0.0.1:{listen(_answer_ok)}")
    with pytest.raises(ConfigError, match="The proxy that https_proxy names cannot be used"):
        _post(transport(), "https://clio.example/")


@pytest.mark.parametrize("known", [True, False])
def test_proxy_that_is_away(monkeypatch: pytest.MonkeyPatch, known: bool) -> None:
    """It may be back when cron is, and Clio is not blamed."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{_closed_port()}")
    if not known:
        monkeypatch.setattr(socket, "getaddrinfo", _unknown_host)
    error = _fails(transport(), "https://clio.example/")
    assert str(error).startswith("The proxy that HTTPS_PROXY names could not be reached")
    assert not error.outcome_unknown


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"https_proxy": "A", "HTTPS_PROXY": "B", "ALL_PROXY": "C"}, "https_proxy"),
        ({"HTTPS_PROXY": "B", "all_proxy": "C"}, "HTTPS_PROXY"),
        ({"https_proxy": "", "HTTPS_PROXY": "B", "ALL_PROXY": "C"}, "ALL_PROXY"),
        ({"HTTP_PROXY": "A", "ALL_PROXY": "C"}, "ALL_PROXY"),
        ({"Https_Proxy": "A"}, "Https_Proxy"),
    ],
    ids=str,
)
def test_proxy_that_counts_is_named(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], named: str
) -> None:
    """That is the one which is used, where several are set."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value and f"ftp://{value}.invalid")
    with pytest.raises(ConfigError, match=f"The proxy that {named} names"):
        _get(transport(), "https://clio.example/")


def test_proxy_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """macOS may have one in its settings, where no variable names one."""
    monkeypatch.setattr("requests.utils.getproxies", lambda: {"https": "ftp://127.0.0.1"})
    with pytest.raises(ConfigError, match="The proxy that the system names"):
        _get(transport(), "https://clio.example/")


def test_address_is_not_blamed_on_a_proxy() -> None:
    """Where there is none, what is wrong with an address stays that."""
    prepared = requests.Request("GET", URL).prepare()
    prepared.url = "https://clio.example:99999/"
    with pytest.raises((ValueError, requests.exceptions.InvalidURL)):
        open_session().get_adapter(URL).send(prepared)


def test_another_kind_of_proxy_keeps_its_connections() -> None:
    """PySocks, where it is installed, has connections of its own."""
    adapter, socks = open_session().get_adapter(URL), urllib3.PoolManager()
    assert isinstance(adapter, HTTPAdapter)
    adapter.proxy_manager["socks5://127.0.0.1:1"] = socks  # type: ignore[assignment]
    before = socks.pool_classes_by_scheme
    assert adapter.proxy_manager_for("socks5://127.0.0.1:1") is socks
    assert socks.pool_classes_by_scheme is before


def test_host_for_which_there_is_no_proxy(
    listen: Listen, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wrong with a proxy is no matter then."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:1080")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    port = listen(_tls(certificate, _answer_ok))
    assert _get(transport(), f"https://127.0.0.1:{port}/").body == b"{}"


def test_stranger_behind_a_proxy(
    listen: Listen, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy let it through, so that the certificate is the other side's."""

    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        _tls(certificate, _answer_ok)(connection)

    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{listen(talk)}")
    with pytest.raises(ConfigError, match="No trusted TLS connection to Clio") as caught:
        _post(transport(), "https://127.0.0.1/")
    assert caught.value.cause == "tls"


def test_no_proxy_on_loopback(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over plain http, a proxy of the environment would see the token."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{_closed_port()}")
    with pytest.raises(DeniedError):
        _get(transport(), _path(sandbox))
    assert len(sandbox.clio.history) == 1


# TLS


def _tls(certificate: Path, talk: Talk) -> Talk:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def over_tls(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:
            talk(wrapped)

    return over_tls


def _answer_ok(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")


def _break_off(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n{}")
    _reset(connection)
    os.close(connection.detach())


def test_certificate_of_a_stranger(listen: Listen, certificate: Path) -> None:
    """A wrong or hostile endpoint gets nothing; a person must look."""
    port = listen(_tls(certificate, _answer_ok))
    with pytest.raises(ConfigError, match=r"TLS.* who signed its certificate.*REQUESTS_CA_BUNDLE"):
        _post(transport(), f"https://127.0.0.1:{port}/")


def test_certificate_for_another_name(
    listen: Listen, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does one that is known, but is somebody else's."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    port = listen(_tls(certificate, _answer_ok))
    with pytest.raises(ConfigError, match=r"TLS.* certificate is for another host"):
        _post(transport(), f"https://localhost:{port}/")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (9, "not valid yet, or this machine's clock is wrong"),
        (10, "has expired, or this machine's clock is wrong"),
        (62, "is for another host"),
        (64, "is for another host"),
        (18, "does not know who signed"),
        (19, "does not know who signed"),
        (20, "does not know who signed"),
        (None, "the address in the settings may be wrong"),
    ],
)
def test_what_is_wrong_with_a_certificate(number: int | None, words: str) -> None:
    """The clock, the address or the network is named, whichever it is likely to be."""
    error = ssl.SSLError("no")
    if number is not None:
        error = ssl.SSLCertVerificationError("no")
        error.verify_code = number  # type: ignore[attr-defined]
    told = failures.of_exception("The monitor", HandshakeError(error))
    assert (type(told), told.cause) == (ConfigError, "tls")
    assert str(told).startswith("No trusted TLS connection to the monitor: ")
    assert words in str(told)


def test_certificate_behind_another_kind_of_proxy() -> None:
    """Where PySocks is installed, connections are not ours, and the error comes as it is."""
    error = ssl.SSLCertVerificationError("no")
    error.verify_code = 10
    told = failures.of_exception("Clio", requests.exceptions.SSLError(error))
    assert "has expired" in str(told)


def test_trusted_certificate(
    listen: Listen, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The certificates that the environment names are trusted."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    port = listen(_tls(certificate, _answer_ok))
    assert _get(transport(), f"https://127.0.0.1:{port}/").body == b"{}"


def test_tls_that_breaks_later(
    listen: Listen, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a cut answer: the POST may have been acted on."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    port = listen(_tls(certificate, _break_off))
    assert _fails(transport(), f"https://127.0.0.1:{port}/").outcome_unknown


@pytest.mark.parametrize("end", [lambda connection: None, _reset], ids=["closed", "reset"])
def test_cut_behind_a_proxy(
    listen: Listen, certificate: Path, monkeypatch: pytest.MonkeyPatch, end: Talk
) -> None:
    """The proxy let it through, and the POST arrived: it may have been acted on."""
    arrived: list[bytes] = []

    def read_and_end(connection: socket.socket) -> None:
        arrived.append(connection.recv(65536))
        end(connection)

    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        _tls(certificate, read_and_end)(connection)

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{listen(talk)}")
    assert _fails(transport(), "https://127.0.0.1/").outcome_unknown
    assert len(arrived) == 1


@pytest.mark.parametrize("end", [lambda connection: None, _reset], ids=["closed", "reset"])
def test_handshake_that_is_broken_off(listen: Listen, end: Talk) -> None:
    """Somebody is out of order; the request was never sent."""

    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        end(connection)

    assert not _fails(transport(), f"https://127.0.0.1:{listen(talk)}/").outcome_unknown


def test_handshake_that_hangs(listen: Listen) -> None:
    """Time runs out before anything was sent."""
    port = listen(lambda connection: (connection.recv(65536), connection.recv(65536)))
    over = transport(whole_call=0.2)
    assert not _fails(over, f"https://127.0.0.1:{port}/").outcome_unknown


def test_time_that_runs_out_while_certificates_are_read(
    listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow machine is no reason to look at the certificates; nothing was sent."""

    def slow(*args: Any, **kwargs: Any) -> None:
        time.sleep(5)

    monkeypatch.setattr("urllib3.util.ssl_.SSLContext.load_verify_locations", slow)
    over = transport(whole_call=0.1)
    error = _fails(over, f"https://127.0.0.1:{listen(_answer_ok)}/")
    assert (error.cause, error.outcome_unknown) == ("not_reached", False)


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize(
    "content", [None, "no certificate", "", "-----BEGIN CERTIFICATE-----\nAAAA\n"]
)
@pytest.mark.parametrize("proxied", [True, False])
def test_certificates_that_are_none(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    listen: Listen,
    name: str,
    content: str | None,
    proxied: bool,
) -> None:
    """The variable that names them is a setting to mend, with a proxy and without one."""
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_text(content, encoding="utf-8")
    monkeypatch.setenv(name, str(bundle))
    port = listen(_saying(b"HTTP/1.1 200 OK\r\n\r\n"))
    if proxied:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
    with pytest.raises(ConfigError, match=f"{name} names certificates that"):
        _post(transport(), f"https://127.0.0.1:{port}/")


# Limits of time and size


def _drip(head: bytes) -> Talk:
    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(head)
        for _ in range(6000):
            connection.sendall(b"x")
            time.sleep(0.01)

    return talk


@pytest.mark.parametrize(
    "head",
    [b"", b"HTTP/1.1 200 OK\r\nX-Long: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"],
    ids=["status", "headers", "body"],
)
def test_drip_ends_by_the_clock(listen: Listen, head: bytes) -> None:
    """A byte now and then is no answer, wherever it comes."""
    with at_once():
        error = _fails(transport(whole_call=0.15), f"http://127.0.0.1:{listen(_drip(head))}/")
    assert (error.outcome_unknown, error.answered) == (True, False)


def test_clock_rings_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a library swallows it, as urllib3 does between two addresses, it comes once more."""

    def swallow_one() -> None:
        with suppress(TimeoutError):
            time.sleep(5)
        time.sleep(5)

    with pytest.raises(TimeoutError), time_limit(0.01):
        swallow_one()
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


@pytest.mark.parametrize(
    "fault", [faults.huge_body(1024 * MIB), faults.gzip_bomb(1024 * MIB)], ids=["plain", "gzip"]
)
def test_huge_body_needs_little_memory(sandbox: Sandbox, fault: faults.Fault) -> None:
    """Reading ends at the limit; the rest is never asked for, nor unpacked."""
    sandbox.clio.faults.add(fault)
    tracemalloc.start()
    try:
        error = _fails(transport(), _path(sandbox), "GET")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (error.outcome_unknown, error.answered) == (True, False)
    assert peak < 3 * module.MAX_BODY_BYTES


@pytest.mark.parametrize(("status", "error"), [(302, ConfigError), (401, DeniedError)])
def test_status_that_says_it_all_needs_no_body(
    sandbox: Sandbox, status: int, error: type[SyncError]
) -> None:
    """A redirect with an endless body is a redirect still."""
    sent: list[int] = []

    def blocks() -> Iterable[bytes]:
        for _ in range(1024):
            sent.append(MIB)
            yield b" " * MIB

    response = Response(status, b"", {"Location": "https://elsewhere.example/"})
    fault = faults.Fault("huge", lambda turn: Delivery(response, blocks(), 1024 * MIB))
    sandbox.clio.faults.add(fault)
    with pytest.raises(error):
        _get(transport(), _path(sandbox))
    assert sum(sent) < 64 * MIB


# Where secrets go


def test_redirect_is_not_followed(sandbox: Sandbox) -> None:
    """Not even to the same host."""
    sandbox.broadly.faults.add(faults.redirect(f"{sandbox.broadly.url}/elsewhere", 307))
    with pytest.raises(ConfigError, match="redirect"):
        _post(transport(), sandbox.broadly.endpoint)
    assert len(sandbox.broadly.history) == 1


def test_netrc_does_not_replace_the_token(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """requests takes a login from `~/.netrc` where it finds one."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n", encoding="utf-8")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with pytest.raises(DeniedError):
        _get(transport(), _path(sandbox))
    assert sandbox.clio.history[0].headers["authorization"] == "Bearer secret"


@pytest.mark.parametrize("token", ["line\nbreak", "ünïcode", "nul\0"])
def test_token_that_no_header_can_carry(token: str) -> None:
    """It is named as what it is, and not shown."""
    with pytest.raises(ConfigError) as caught:
        transport().request("GET", URL, headers={"Authorization": f"Bearer {token}"})
    assert token not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "clio.example",
        "ftp://clio.example/",
        "https://",
        "http://[::1",
        "http://a..b.example/",
        f"https://{'x' * 64}.example/",
    ],
)
def test_address_that_is_none(url: str) -> None:
    """It is a setting to mend."""
    with pytest.raises(ConfigError, match="not a URL"):
        _get(transport(), url)


# Signals


def _term() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_signal_cuts_a_get_short(sandbox: Sandbox, stop: Stop) -> None:
    """It changes nothing anywhere, so nobody waits for it."""
    sandbox.clio.before = lambda request: _term()
    sandbox.clio.faults.add(faults.delay(60))
    with at_once(), pytest.raises(StoppedError) as caught:
        _get(transport(stop=stop), _path(sandbox))
    assert caught.value.signal_number == signal.SIGTERM


def test_signal_waits_for_a_post(sandbox: Sandbox, stop: Stop) -> None:
    """Its answer is taken; no other request begins."""
    sandbox.broadly.before = lambda request: _term()
    sandbox.broadly.faults.add(faults.answer(202))
    over = transport("Broadly", stop=stop)
    assert _post(over, sandbox.broadly.endpoint).status == 202
    for method in ("GET", "POST"):
        with pytest.raises(StoppedError):
            over.request(method, sandbox.broadly.endpoint, headers=BEARER)
    assert len(sandbox.broadly.history) == 1


def test_signal_cuts_a_wait_short(stop: Stop) -> None:
    """Before a repeat, and for the rate limit."""
    timer = threading.Timer(0.05, _term)
    timer.start()
    for _ in range(2):
        with at_once(), pytest.raises(StoppedError):
            stop.sleep(60)
    timer.join()


@responses.activate
def test_signal_ends_the_repeats(stop: Stop) -> None:
    """What came before it is not tried again."""
    responses.get(URL, status=500)
    over = Transport("Clio", patience=lambda: 1000.0, stop=stop)

    def call() -> Answer:
        _term()
        return _get(over)

    with pytest.raises(StoppedError):
        over.retry(call, repeat=lambda error: True)
    assert len(responses.calls) == 0


@responses.activate
def test_what_it_took_is_counted() -> None:
    """Requests, repeats too; the bytes of the answers; and the seconds that were waited."""
    responses.get(URL, status=503, body=b"busy", headers={"Retry-After": "40"})
    responses.get(URL, body=b"{}")
    clock = Clock()
    over = transport(clock=clock)
    over.retry(lambda: _get(over), repeat=lambda error: True)
    assert (over.requests, over.bytes) == (2, len(b"busy{}"))
    assert over.waited == sum(clock.waits) >= 40


# Pacing


class Bucket:
    """So many requests in a window, as Clio counts them; a request takes some of the time.

    `aligned`: windows begin with the minute, otherwise with the first request after the last one.
    `ahead`: seconds of their clock before ours; `step`: by so many it is set with each window.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        aligned: bool,
        ahead: float,
        seconds: float,
        step: float = 0.0,
        allowed: int = 50,
    ) -> None:
        self.clock = clock
        self.aligned = aligned
        self.ahead = ahead
        self.seconds = seconds
        self.step = step
        self.left = self.allowed = allowed
        self.reset = 0.0
        self.refused = 0
        self.served = 0

    def answer(self, request: requests.PreparedRequest) -> tuple[int, dict[str, str], bytes]:
        self.clock.seconds += self.seconds
        now = NOW.timestamp() + self.ahead + self.clock.seconds
        if now >= self.reset:
            self.left = self.allowed
            self.ahead += self.step
            now += self.step
            self.reset = (now // 60 + 1) * 60 if self.aligned else now + 60
        ok = self.left > 0
        self.left -= ok
        self.refused += not ok
        self.served += ok
        headers = {
            "Date": format_datetime(datetime.fromtimestamp(now // 1, UTC), usegmt=True),
            "X-RateLimit-Limit": str(self.allowed),
            "X-RateLimit-Remaining": str(self.left),
            "X-RateLimit-Reset": str(int(self.reset)),
        }
        return (200 if ok else 429), headers, b"{}"


@pytest.mark.parametrize(
    ("aligned", "ahead", "seconds", "number"),
    [
        (False, 0.73, 0.03, 10_000),
        (False, 0.0, 0.0, 1_000),
        (False, -90_000.4, 0.31, 1_000),
        (False, 0.0, 0.0198, 1_000),
        (True, 0.73, 0.0, 1_000),
        (True, -90_000.4, 0.31, 1_000),
        (True, 0.2, 1.9, 1_000),
    ],
)
def test_long_backfill_never_meets_a_429(
    monkeypatch: pytest.MonkeyPatch, aligned: bool, ahead: float, seconds: float, number: int
) -> None:
    """Nor does it lose more than 2 % of the time that 50 a minute need, by any clock of theirs."""
    clock = Clock()
    bucket = Bucket(clock, aligned=aligned, ahead=ahead, seconds=seconds)
    monkeypatch.setattr(HTTPAdapter, "send", served(bucket.answer))
    over, begun = transport(clock=clock), clock.now()
    for _ in range(number):
        _get(over)
    assert (bucket.refused, bucket.served) == (0, number)
    assert clock.now() - begun < 1.02 * max(60 / 50, seconds) * number


def test_higher_limit_is_used_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Off peak Clio allows more: nothing is waited for as long as something is left."""
    clock = Clock()
    bucket = Bucket(clock, aligned=False, ahead=0.0, seconds=0.01, allowed=300)
    monkeypatch.setattr(HTTPAdapter, "send", served(bucket.answer))
    over = transport(clock=clock)
    for _ in range(300):
        _get(over)
    assert clock.waits == []
    _get(over)
    assert (len(clock.waits), bucket.refused) == (1, 0)


@pytest.mark.parametrize("step", [-7.0, 7.0])
def test_their_clock_is_set(monkeypatch: pytest.MonkeyPatch, step: float) -> None:
    """What was known of it in the window before does not count any more."""
    clock = Clock()
    bucket = Bucket(clock, aligned=False, ahead=0.0, seconds=0.03, step=step)
    monkeypatch.setattr(HTTPAdapter, "send", served(bucket.answer))
    over = transport(clock=clock)
    for _ in range(300):
        _get(over)
    assert (bucket.refused, bucket.served) == (0, 300)


def test_lost_answers_are_counted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their requests were, on the other side."""
    clock = Clock()
    bucket = Bucket(clock, aligned=True, ahead=0.0, seconds=0.01)

    def lose_some(request: requests.PreparedRequest) -> tuple[int, dict[str, str], bytes]:
        answer = bucket.answer(request)
        if bucket.left % 10 == 0:
            raise requests.ConnectionError
        return answer

    monkeypatch.setattr(HTTPAdapter, "send", served(lose_some))
    over = transport(clock=clock)
    lost = 0
    for _ in range(500):
        try:
            _get(over)
        except UnavailableError:
            lost += 1
    assert (lost, bucket.refused) == (50, 0)


def _use_up(reset: float, remaining: str = "0") -> None:
    headers = {"X-RateLimit-Remaining": remaining, "X-RateLimit-Reset": f"{reset:.0f}"}
    responses.get(URL, body=b"{}", headers={**headers, **DATE})


@responses.activate
def test_rate_limit_that_outlasts_the_run() -> None:
    """Nothing is asked; the error says how long it would have been."""
    _use_up(NOW.timestamp() + 500)
    over = transport(patience=400.0)
    _get(over)
    assert _fails(over, URL, "GET").retry_after == 501
    assert len(responses.calls) == 1


@pytest.mark.parametrize(
    ("remaining", "reset"),
    [("1", "9999999999"), ("", "9999999999"), ("0", ""), ("0", "soon"), ("0", "1"), ("x", "1e9")],
)
@responses.activate
def test_no_wait_without_a_reason(remaining: str, reset: str) -> None:
    """Something is left, the window is over, or the headers cannot be read."""
    headers = {"X-RateLimit-Remaining": remaining, "X-RateLimit-Reset": reset, **DATE}
    responses.get(URL, body=b"{}", headers=headers)
    clock = Clock()
    over = transport(clock=clock, patience=0.0)
    _get(over)
    _get(over)
    assert clock.waits == []


@responses.activate
def test_no_request_begins_too_late() -> None:
    """Neither where time is up, nor where the rate limit would take what is left of it."""
    _use_up(NOW.timestamp() + 30)
    over = transport()
    with pytest.raises(UnavailableError, match="grown old"):
        over.request("GET", URL, headers=BEARER, limit=lambda: 0.0)
    _get(over)
    with pytest.raises(UnavailableError, match="rate limit"):
        over.request("GET", URL, headers=BEARER, limit=lambda: 30.0)
    assert len(responses.calls) == 1
    assert over.request("GET", URL, headers=BEARER, limit=lambda: 31.0).status == 200


def test_log_names_nobody(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    """A line for each request, without address, query or token."""
    caplog.set_level("INFO")
    with pytest.raises(DeniedError):
        _get(transport(), f"{_path(sandbox)}?ids[]=5")
    assert caplog.messages == ["Clio GET request 1: http_401 after 0.0 s"]
    assert "secret" not in caplog.text


def test_log_tells_the_seconds(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """By the clock that is never set, also where no answer came; each request has its number."""
    caplog.set_level("INFO")
    clock = Clock()

    def slow(request: requests.PreparedRequest) -> tuple[int, dict[str, str], bytes]:
        clock.seconds += 12.34
        raise requests.ReadTimeout

    monkeypatch.setattr(HTTPAdapter, "send", served(slow))
    over = transport(clock=clock)
    _fails(over, URL, "GET")
    _fails(over, URL)
    assert caplog.messages == [
        "Clio GET request 1: timeout after 12.3 s",
        "Clio POST request 2: timeout after 12.3 s",
    ]


def test_log_tells_an_interruption(
    sandbox: Sandbox, stop: Stop, caplog: pytest.LogCaptureFixture
) -> None:
    """A request that a signal ended has no answer."""
    caplog.set_level("INFO")
    sandbox.clio.before = lambda request: _term()
    sandbox.clio.faults.add(faults.delay(30))
    with pytest.raises(StoppedError):
        _get(transport(stop=stop), _path(sandbox))
    assert caplog.messages == ["Clio GET request 1: interrupted after 0.0 s"]


# Causes


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (faults.drop(), "cut"),
        (faults.lose_answer(), "cut"),
        (faults.lose_answer(reset=True), "cut"),
        (faults.cut_body(framing="length"), "cut"),
        (faults.cut_body(framing="chunked"), "cut"),
        (faults.answer(200, b"no gzip", {"Content-Encoding": "gzip"}), "unreadable"),
        (faults.answer(200, b"{}", {"X-Long": "x" * 70_000}), "unreadable"),
        (faults.delay(5), "timeout"),
        (faults.delay(5, after=True), "timeout"),
        (faults.huge_body(5 * MIB), "too_large"),
        (faults.answer(418), "http_418"),
        (faults.redirect("/", 308), "http_308"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_cause_of_a_failure(sandbox: Sandbox, fault: faults.Fault, cause: str) -> None:
    """A word that tells apart what the sentence may tell in one."""
    sandbox.clio.token = sandbox.clio.oauth.issue("secret").access
    sandbox.clio.faults.add(fault)
    with pytest.raises(SyncError) as caught:
        _get(transport(whole_call=1.0), _path(sandbox))
    assert caught.value.cause == cause
    if isinstance(caught.value, UnavailableError):
        assert (caught.value.outcome_unknown, caught.value.answered) == (True, False)


def test_cause_where_nothing_was_sent(listen: Listen) -> None:
    """Nobody listens, no TLS is spoken, or the address is none: nobody is in doubt."""
    causes = {
        f"http://127.0.0.1:{_closed_port()}/": "not_reached",
        f"https://127.0.0.1:{_closed_port()}/": "not_reached",
        f"https://127.0.0.1:{listen(_answer_ok)}/": "tls",
        "clio.example": "no_url",
    }
    for url, cause in causes.items():
        with pytest.raises((ConfigError, UnavailableError)) as caught:
            _post(transport(), url)
        assert caught.value.cause == cause
        assert not getattr(caught.value, "outcome_unknown", False)


# Who asks


@responses.activate
def test_program_names_itself() -> None:
    """With its version, so that the other side can tell whose requests they are."""
    responses.get(URL, body=b"{}")
    _get(transport())
    assert responses.calls[0].request.headers["User-Agent"] == f"clio-broadly-sync/{__version__}"


# The word of a refusal


@responses.activate
def test_refused_sign_in_holds_its_word() -> None:
    """For a token endpoint's `error`; the sentence does not repeat it."""
    responses.post(URL, status=401, json={"error": "invalid_client"})
    with pytest.raises(DeniedError) as caught:
        _post(transport(), URL)
    assert caught.value.body == b'{"error": "invalid_client"}'
    assert "invalid_client" not in str(caught.value)


@pytest.mark.parametrize(
    "fault",
    [
        faults.cut_body(0.5, framing="length"), faults.cut_body(0.5, framing="chunked"),
        faults.headers(Content_Encoding="gzip"), faults.huge_body(64 * MIB),
    ],
    ids=["length", "chunked", "no gzip", "huge"],
)  # fmt: skip
def test_refusal_is_a_refusal_whatever_its_body(sandbox: Sandbox, fault: faults.Fault) -> None:
    """Cut, unreadable or endless: nothing of that makes it another error."""

    def play(turn: faults.Turn) -> Delivery:
        refused = faults.Turn(
            turn.request, lambda request: Response(401, b"x" * 2048), turn.nap, turn.url
        )
        played = fault.play(refused)
        response = played.response or Response(401)
        return replace(played, response=replace(response, status=401))

    sandbox.clio.faults.add(faults.Fault("refusal", play))
    with pytest.raises(DeniedError) as caught:
        _get(transport(), _path(sandbox))
    assert (caught.value.status, len(caught.value.body) <= REFUSAL_BYTES) == (401, True)
