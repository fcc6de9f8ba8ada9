"""The script of faults: each one as a client meets it, and the hooks around a request."""

import json
import socket
import struct
import threading
from collections.abc import Callable
from typing import Any

import pytest
import requests
from rig import Sandbox, faults
from surroundings import BUSY_SECONDS

from clio_broadly_sync.sandbox import Request, Response

Ask = Callable[..., requests.Response]


def test_conditions_count_and_skip(ask: Ask, sandbox: Sandbox) -> None:
    """A rule claims what it is for, after letting some by, so often and no more."""
    rule = sandbox.clio.faults.add(
        faults.answer(500, {"error": "x"}), when=faults.on("matters", "GET"), times=2, skip=1
    )
    paths = ("contacts", "matters", "matters", "contacts", "matters", "matters")
    assert [ask(path).status_code for path in paths] == [200, 200, 500, 200, 500, 200]
    assert rule.hits == 2
    sandbox.clio.faults.add(faults.answer(500), times=None)
    assert [ask("matters").status_code for _ in range(3)] == [500] * 3
    sandbox.clio.faults.clear()
    assert ask("matters").status_code == 200


@pytest.mark.parametrize("reset", [False, True])
def test_lost_answer_is_worked_and_dropped_one_is_not(
    ask: Ask, sandbox: Sandbox, reset: bool
) -> None:
    """Both cut the connection; only one did the work."""
    for fault in (faults.drop(reset=reset), faults.lose_answer(reset=reset)):
        sandbox.clio.faults.add(fault)
        with pytest.raises(requests.ConnectionError):
            ask("matters")
    seen = sandbox.clio.history
    assert [(e.status, e.processed is None) for e in seen] == [(None, True), (None, False)]


def test_answer_in_place_of_what_was_worked(sandbox: Sandbox, session: requests.Session) -> None:
    """Broadly accepts, and says 202 with an empty body."""
    sandbox.broadly.faults.add(faults.answer(202, process=True))
    body = {
        "source": "clio",
        "customers": [{"externalId": "a", "transactionId": "b", "transactionDate": "2026-01-01"}],
    }
    headers = {
        "Authorization": f"Bearer {sandbox.broadly.key}",
        "Idempotency-Key": "7f3f4f0e-3b43-4e38-9d6b-2f1d2c0b9c11",
    }
    answer = session.post(sandbox.broadly.endpoint, json=body, headers=headers, timeout=60)
    assert (answer.status_code, answer.content, len(sandbox.broadly.accepted)) == (202, b"", 1)
    seen = sandbox.broadly.posts[0]
    assert (seen.status, seen.answer, seen.fault) == (202, b"", "answer 202")
    assert seen.processed is not None
    assert json.loads(seen.processed.body)["results"][0]["status"] == "accepted"


def test_hooks_see_each_request_in_order(ask: Ask, sandbox: Sandbox) -> None:
    """Before the work, after it, and when all was sent; the firm may change in between."""
    told: list[str] = []
    finished = threading.Event()

    def before(request: Request) -> None:
        told.append("before")
        sandbox.firm.edit_contact(1001, first_name="Odalys")

    def after(request: Request, response: Response) -> None:
        told.append(f"after {response.status}")

    def sent(request: Request, response: Response) -> None:
        told.append("sent")
        finished.set()

    sandbox.clio.before, sandbox.clio.after, sandbox.clio.sent = before, after, sent
    assert ask("contacts/1001", fields="first_name").json()["data"] == {"first_name": "Odalys"}
    assert finished.wait(BUSY_SECONDS)
    assert told == ["before", "after 200", "sent"]


def test_failing_hook_is_raised_at_the_end() -> None:
    """The client gets a 500, and the test that wrote the hook hears of it."""

    def fail(request: Any) -> None:
        raise ZeroDivisionError("in a hook")

    sandbox = Sandbox().start()
    sandbox.clio.before = fail
    assert requests.get(sandbox.clio.url, timeout=60).status_code == 500
    with pytest.raises(RuntimeError, match="in a hook"):
        sandbox.__exit__(None, None, None)


def test_server_may_go_down_in_the_middle_of_a_request(ask: Ask, sandbox: Sandbox) -> None:
    """A hook stops its own server; the client is cut off, and the work was done."""
    sandbox.clio.after = lambda request, response: sandbox.clio.stop()
    with pytest.raises(requests.ConnectionError):
        ask("matters")
    seen = sandbox.clio.history[0]
    assert (seen.status, seen.processed is None) == (None, False)


def test_client_that_hangs_up_is_no_error(sandbox: Sandbox) -> None:
    """A killed program leaves nothing but its request in the history."""
    gone, done = threading.Event(), threading.Event()

    def after(request: Request, response: Response) -> None:
        assert gone.wait(BUSY_SECONDS)
        done.set()

    sandbox.broadly.after = after
    host, port = sandbox.broadly.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(b"POST /v1 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    gone.set()
    assert done.wait(BUSY_SECONDS)
    sandbox.stop()
    assert [exchange.body for exchange in sandbox.broadly.posts] == [b"{}"]
    assert sandbox.broadly.errors == []


@pytest.mark.parametrize(
    "cut",
    [
        b"Content-Length: 9\r\n\r\n{}",
        b"Content-Length: 9\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n9\r\n{}",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n",
    ],
)
def test_request_that_did_not_arrive_whole_is_none(sandbox: Sandbox, cut: bytes) -> None:
    """A program that was killed as it sent has asked for nothing, and that is no error."""
    host, port = sandbox.broadly.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(b"POST /v1 HTTP/1.1\r\nHost: x\r\n" + cut)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    assert (sandbox.broadly.history, sandbox.broadly.errors) == ([], [])
