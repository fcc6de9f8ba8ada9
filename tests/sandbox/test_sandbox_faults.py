"""The script of faults: each one as a client meets it, and the hooks around a request."""

import gzip
import json
import socket
import struct
import threading
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
import requests
from rig import Sandbox, faults

from clio_broadly_sync.sandbox import Request, Response

Ask = Callable[..., requests.Response]
BROKEN = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)


def test_answer_instead_of_the_work(ask: Ask, sandbox: Sandbox) -> None:
    """A status, headers and any body; the next request is served as ever."""
    sandbox.clio.faults.add(faults.answer(503, "<h1>down</h1>", {"Retry-After": "7"}))
    answer = ask("matters")
    assert (answer.status_code, answer.text) == (503, "<h1>down</h1>")
    assert answer.headers["Retry-After"] == "7"
    assert "Date" in answer.headers
    assert ask("matters").status_code == 200
    assert [e.processed is None for e in sandbox.clio.history] == [True, False]


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


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_cut_body_breaks_the_promise(ask: Ask, sandbox: Sandbox, framing: str) -> None:
    """The client can tell that something is missing."""
    sandbox.clio.faults.add(faults.cut_body(framing=framing))
    with pytest.raises(BROKEN):
        ask("matters")
    ask("matters")
    assert [exchange.whole for exchange in sandbox.clio.history] == [False, True]


def test_cut_body_without_a_length_looks_whole(ask: Ask, sandbox: Sandbox) -> None:
    """Only the JSON shows that the end is missing; the history knows."""
    sandbox.clio.faults.add(faults.cut_body(0.3, framing="close"))
    answer = ask("matters")
    assert not sandbox.clio.history[0].whole
    assert answer.status_code == 200
    with pytest.raises(ValueError, match=r"line 1 column"):
        answer.json()


def test_drip_and_delay_arrive_whole(ask: Ask, sandbox: Sandbox) -> None:
    """Slow answers are complete ones."""
    whole = ask("matters", limit=2).json()
    for fault in (faults.drip(0.0001, 16), faults.delay(0.001), faults.delay(0.001, after=True)):
        sandbox.clio.faults.add(fault)
        assert ask("matters", limit=2).json()["data"] == whole["data"]


def test_garbled_changed_and_bare_answers(ask: Ask, sandbox: Sandbox) -> None:
    """The body, its JSON and the headers can each be spoilt."""
    script = sandbox.clio.faults
    script.add(faults.garble(b"\xff\xfe"))
    assert ask("matters").content == b"\xff\xfe"
    script.add(faults.change_json(lambda page: page | {"data": None}))
    assert ask("matters").json()["data"] is None
    script.add(faults.headers(Date=None, Content_Type="text/html"))
    bare = ask("matters")
    assert ("Date" in bare.headers, bare.headers["Content-Type"]) == (False, "text/html")


def test_redirect_and_foreign_next_link(ask: Ask, sandbox: Sandbox) -> None:
    """The client is sent elsewhere, by status or by link."""
    sandbox.clio.faults.add(faults.redirect(sandbox.broadly.url + "/else"))
    assert ask("matters").url == sandbox.broadly.url + "/else"
    sandbox.clio.faults.add(faults.next_link("http://127.0.0.1:9/api/v4/matters.json"))
    assert (
        ask("matters").json()["meta"]["paging"]["next"] == "http://127.0.0.1:9/api/v4/matters.json"
    )


def test_page_to_itself_and_endless_pages(ask: Ask, sandbox: Sandbox) -> None:
    """One chain turns on the spot, the other shows a new link for ever."""
    sandbox.clio.faults.add(faults.page_to_itself())
    answer = ask("matters", limit=5)
    assert answer.json()["meta"]["paging"]["next"] == answer.url
    sandbox.clio.faults.add(faults.endless_pages(), times=None)
    seen = {link := ask("matters", limit=5).json()["meta"]["paging"]["next"]}
    for _ in range(5):
        link = ask(link).json()["meta"]["paging"]["next"]
        seen.add(link)
    assert len(seen) == 6


@pytest.mark.parametrize("fault", [faults.huge_body, faults.gzip_bomb])
def test_huge_bodies_take_no_memory(
    sandbox: Sandbox, session: requests.Session, fault: Callable[[int], faults.Fault]
) -> None:
    """Thirty megabytes pass while little is held."""
    size = 30_000_000
    sandbox.clio.faults.add(fault(size))
    tracemalloc.start()
    with session.get(sandbox.clio.url, stream=True, timeout=60) as answer:
        received = sum(len(part) for part in answer.iter_content(65_536))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert received == size
    assert peak < 5_000_000


def test_gzip_bomb_is_small_on_the_wire(sandbox: Sandbox, session: requests.Session) -> None:
    """What is packed unpacks to far more."""
    sandbox.clio.faults.add(faults.gzip_bomb(5_000_000))
    with session.get(sandbox.clio.url, stream=True, timeout=60) as answer:
        packed = answer.raw.read(decode_content=False)
    assert len(packed) < 50_000
    assert len(gzip.decompress(packed)) == 5_000_000


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
    assert finished.wait(5)
    assert told == ["before", "after 200", "sent"]


def test_history_tells_every_request(ask: Ask, sandbox: Sandbox) -> None:
    """Method, path, query, headers and status, in order."""
    ask("matters", ids__=[1, 2], headers={"X-Run": "7"})
    ask("nothing")
    first, second = sandbox.clio.history
    assert (first.method, first.path, first.status) == ("GET", "/api/v4/matters", 200)
    assert (first.query, first.headers["x-run"]) == ({"ids[]": ["1", "2"]}, "7")
    assert (second.status, second.body, second.fault) == (404, b"", None)
    assert first.at <= second.at


def test_outage_refuses_and_returns_on_the_same_port(ask: Ask, sandbox: Sandbox) -> None:
    """A server that is down refuses connections; then it is back at its address."""
    with sandbox.clio.outage(), pytest.raises(requests.ConnectionError):
        ask("matters")
    assert ask("matters").status_code == 200


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
        assert gone.wait(5)
        done.set()

    sandbox.broadly.after = after
    host, port = sandbox.broadly.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(b"POST /v1 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    gone.set()
    assert done.wait(5)
    sandbox.stop()
    assert [exchange.body for exchange in sandbox.broadly.posts] == [b"{}"]
    assert sandbox.broadly.errors == []


def test_chunked_request_is_read_whole(sandbox: Sandbox, session: requests.Session) -> None:
    """A body may come in pieces, and the connection serves the next request."""
    session.post(sandbox.broadly.url, data=iter([b"one ", b"two"]), timeout=60)
    session.post(sandbox.broadly.url, data=b"three", timeout=60)
    assert [exchange.body for exchange in sandbox.broadly.posts] == [b"one two", b"three"]
