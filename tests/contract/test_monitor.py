"""Pings: where they go, what they say, and that nothing a monitor does reaches the run."""

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from pinged import Pinged
from rig import faults
from surroundings import at_once

from clio_broadly_sync import monitor as module
from clio_broadly_sync.monitor import Monitor

Listen = Callable[[Callable[[socket.socket], object]], int]


@pytest.fixture
def pinged() -> Iterator[Pinged]:
    with Pinged() as running:
        yield running


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """Return all that is logged, formatted with what it holds."""
    lines: list[str] = []
    log, handler = logging.getLogger("clio_broadly_sync"), logging.Handler(logging.DEBUG)
    handler.emit = lambda record: lines.append(logging.Formatter().format(record))  # type: ignore[method-assign]
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    yield lines
    log.removeHandler(handler)
    log.setLevel(level)


def test_start_success_and_failure(pinged: Pinged) -> None:
    """The path grows, the query stays, and the last lines of the run are the text."""
    monitor = Monitor(pinged.address)
    monitor.started()
    monitor.ended(0, ["2 matters read."])
    monitor.ended(78, ["SYNC_RULE is not set.", "BROADLY_URL – neither."])
    assert pinged.told == [
        ("/start", ""),
        ("", "2 matters read."),
        ("/78", "SYNC_RULE is not set.\nBROADLY_URL – neither."),
    ]
    assert pinged.history[-1].headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("address", "start"),
    [
        ("", "/start"),
        ("/", "/start"),
        ("/a", "/a/start"),
        ("/a/", "/a/start"),
        ("/a?b", "/a/start?b"),
    ],
)
def test_address_of_any_form(pinged: Pinged, address: str, start: str) -> None:
    """With a slash at its end, without a path, with a query."""
    monitor = Monitor(pinged.url + address)
    monitor.started()
    monitor.ended(0, [])
    assert [e.request.target for e in pinged.history] == [start, address or "/"]


def test_text_is_short(pinged: Pinged) -> None:
    """The last 20 lines, the last 10 kB, and no half of a letter."""
    Monitor(pinged.address).ended(65, [f"line {n}" for n in range(50)])
    Monitor(pinged.address).ended(65, ["é" * 6000, "ends so"])
    first, second = (text for _, text in pinged.told)
    assert first.splitlines() == [f"line {n}" for n in range(30, 50)]
    assert len(second.encode()) <= 10_000
    assert second.endswith("éé\nends so")


def test_nobody_to_tell() -> None:
    """No address, no ping."""
    Monitor(None).started()
    Monitor(None).ended(77, ["denied"])


@pytest.mark.parametrize(
    "fault",
    [
        *map(faults.answer, (204, 400, 401, 403, 404, 410, 429, 500, 503)),
        faults.answer(503, headers={"Retry-After": "1"}),
        faults.drop(),
        faults.drop(reset=True),
        faults.lose_answer(),
        faults.cut_body(),
        faults.headers(X_RateLimit_Remaining="0", X_RateLimit_Reset="99999999999"),
        faults.answer(200, b"no gzip", {"Content-Encoding": "gzip"}),
    ],
    ids=lambda fault: fault.name,
)
def test_monitor_out_of_order(pinged: Pinged, logged: list[str], fault: faults.Fault) -> None:
    """One attempt, no exception, and the next ping goes out all the same.

    The address is a key to the alarm: no line of the log holds it.
    """
    pinged.faults.add(fault)
    monitor = Monitor(pinged.address)
    monitor.started()
    monitor.ended(0, [])
    assert [end for end, _ in pinged.told] == ["/start", ""]
    assert not [line for line in logged if "0b1c" in line or "a%2Fb" in line]


def test_redirect_is_not_followed(pinged: Pinged) -> None:
    """The address is for the host of the settings."""
    pinged.faults.add(faults.redirect(f"{pinged.url}/elsewhere"))
    Monitor(pinged.address).started()
    assert [end for end, _ in pinged.told] == ["/start"]


def test_monitor_is_down(pinged: Pinged, logged: list[str]) -> None:
    """Nobody listens; nor does TLS speak to it."""
    Monitor(pinged.address.replace("http:", "https:")).started()
    pinged.stop()
    Monitor(pinged.address).ended(0, [])
    assert len([line for line in logged if "could not be told" in line]) == 2
    assert not [line for line in logged if "0b1c" in line]


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"])
def test_monitor_that_hangs(listen: Listen, monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
    """Its own short limit ends it, although the connection stands."""
    monkeypatch.setattr(module, "WHOLE_CALL_SECONDS", 0.2)

    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer)
        connection.recv(65536)

    with at_once():
        Monitor(f"http://127.0.0.1:{listen(talk)}/ping").started()


def test_name_that_is_looked_up_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that does not answer is waited for in C, where no alarm is heard."""
    monkeypatch.setattr(module, "WHOLE_CALL_SECONDS", 0.2)
    answered = threading.Event()

    def look_up(*address: object) -> Any:
        until = time.monotonic() + 60
        while not answered.is_set() and time.monotonic() < until:
            with suppress(TimeoutError):
                answered.wait(0.05)
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with at_once():
        Monitor("https://monitor.example/ping").started()
    answered.set()
