"""What may go wrong between a server and its client, and the script that says when."""

import json
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias
from urllib.parse import urlencode

from clio_broadly_sync.sandbox import Request, Response

When: TypeAlias = Callable[[Request], bool]
BLOCK = 65_536


@dataclass(frozen=True)
class Delivery:
    """How much of a response reaches the client, and in what manner.

    No response: the connection is cut without an answer. `chunks` replace the body; `length` is
    the Content-Length then given, None gives none and ends by closing; `chunked` says so in the
    headers. With `cut` the connection ends after the last chunk, complete or not.
    """

    response: Response | None
    chunks: Iterable[bytes] | None = None
    length: int | None = None
    chunked: bool = False
    pause: float = 0.0
    cut: bool = False
    reset: bool = False


@dataclass(frozen=True)
class Turn:
    """What a fault may use: the request, the server's work, its address, and a nap."""

    request: Request
    process: Callable[[Request], Response]
    nap: Callable[[float], None]
    url: str


@dataclass(frozen=True)
class Fault:
    name: str
    play: Callable[[Turn], Delivery]


def answer(
    status: int,
    body: bytes | str | Any = b"",
    headers: Mapping[str, str] | None = None,
    *,
    process: bool = False,
) -> Fault:
    """Answer this instead; with `process` the server does its work all the same.

    A body that is neither bytes nor text is sent as JSON.
    """
    if isinstance(body, str):
        body = body.encode()
    if isinstance(body, bytes):
        response = Response(status, body, headers or {})
    else:
        response = Response.of_json(status, body, headers)

    def play(turn: Turn) -> Delivery:
        if not process:
            return Delivery(response)
        date = turn.process(turn.request).headers.get("Date")
        stamp = {"Date": date} if date else {}
        return Delivery(replace(response, headers={**stamp, **response.headers}))

    return Fault(f"answer {status}", play)


def change(edit: Callable[[Response], Response], name: str = "change") -> Fault:
    """Process, then send what `edit` makes of the response."""
    return Fault(name, lambda turn: Delivery(edit(turn.process(turn.request))))


def change_json(edit: Callable[[Any], Any], name: str = "change json") -> Fault:
    """Process, then send the body that `edit` makes of the parsed one."""

    def change_body(response: Response) -> Response:
        return replace(response, body=json.dumps(edit(response.json())).encode())

    return change(change_body, name)


def headers(**values: str | None) -> Fault:
    """Process, then set headers, underscores for dashes; None takes one away (`Date` too)."""
    named = {name.replace("_", "-"): value for name, value in values.items()}

    def edit(response: Response) -> Response:
        lower = {name.lower() for name in named}
        kept = {k: v for k, v in response.headers.items() if k.lower() not in lower}
        return replace(response, headers={**kept, **{k: v for k, v in named.items() if v}})

    return change(edit, "headers")


def garble(body: bytes = b'{"data": [{"id": 5\xff') -> Fault:
    """Process, then send these bytes as if they were the body."""
    return change(lambda response: replace(response, body=body), "garble")


def drop(*, reset: bool = False) -> Fault:
    """Cut the connection before any work is done; `reset` sends a TCP reset."""
    return Fault("drop", lambda turn: Delivery(None, reset=reset))


def lose_answer(*, reset: bool = False) -> Fault:
    """Do the work, then cut the connection without an answer."""

    def play(turn: Turn) -> Delivery:
        turn.process(turn.request)
        return Delivery(None, reset=reset)

    return Fault("lose answer", play)


def cut_body(keep: float = 0.5, *, framing: str = "length") -> Fault:
    """Do the work, then send only this part of the body.

    `framing`: "length" promises the whole by Content-Length; "close" promises nothing, so that the
    cut looks like the end; "chunked" leaves out the last chunk.
    """

    def play(turn: Turn) -> Delivery:
        response = turn.process(turn.request)
        part = response.body[: int(len(response.body) * keep)]
        length = len(response.body) if framing == "length" else None
        return Delivery(response, [part], length, chunked=framing == "chunked", cut=True)

    return Fault("cut body", play)


def drip(pause: float = 0.001, size: int = 64) -> Fault:
    """Send the body `size` bytes at a time, with a pause after each."""

    def play(turn: Turn) -> Delivery:
        response = turn.process(turn.request)
        body = response.body
        parts = [body[start : start + size] for start in range(0, len(body), size)]
        return Delivery(response, parts, len(body), pause=pause)

    return Fault("drip", play)


def delay(seconds: float, *, after: bool = False) -> Fault:
    """Wait before the work is done, or after it."""

    def play(turn: Turn) -> Delivery:
        if not after:
            turn.nap(seconds)
        response = turn.process(turn.request)
        if after:
            turn.nap(seconds)
        return Delivery(response)

    return Fault("delay", play)


def redirect(location: str, status: int = 302) -> Fault:
    """Send the client elsewhere."""
    return Fault("redirect", lambda turn: Delivery(Response(status, b"", {"Location": location})))


def next_link(url: str) -> Fault:
    """Process, then let the page's next link point to this address."""
    return Fault("next link", lambda turn: _linked(turn, turn.request, url))


def page_to_itself() -> Fault:
    """Process, then let the page's next link point to the page itself."""
    return Fault(
        "page to itself", lambda turn: _linked(turn, turn.request, turn.url + turn.request.target)
    )


def endless_pages() -> Fault:
    """Answer the first page for ever, each time with a next link that was never seen before.

    Add it with `times=None`, for it must catch the requests that follow its own links.
    """
    lock, count = threading.Lock(), [0]

    def play(turn: Turn) -> Delivery:
        with lock:
            count[0] += 1
        pairs = [pair for pair in turn.request.pairs if pair[0] != "page_token"]
        request = replace(turn.request, raw_query=urlencode(pairs))
        token = urlencode([*pairs, ("page_token", f"endless-{count[0]}")])
        return _linked(turn, request, f"{turn.url}{request.path}?{token}")

    return Fault("endless pages", play)


def huge_body(size: int, *, start: bytes = b'{"data":[', fill: bytes = b" ") -> Fault:
    """Answer 200 with a body of `size` bytes, never held in memory."""
    response = Response(200, b"", {"Content-Type": "application/json"})
    return Fault("huge body", lambda turn: Delivery(response, _blocks(start, fill, size), size))


def gzip_bomb(size: int, *, start: bytes = b'{"data":[', fill: bytes = b" ") -> Fault:
    """Answer 200 with a gzip body that unpacks to `size` bytes, never held in memory."""
    kinds = {"Content-Type": "application/json", "Content-Encoding": "gzip"}

    def packed() -> Iterator[bytes]:
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        for block in _blocks(start, fill, size):
            yield packer.compress(block)
        yield packer.flush()

    response = Response(200, b"", kinds)
    return Fault("gzip bomb", lambda turn: Delivery(response, packed(), chunked=True))


def on(path: str = "", method: str | None = None) -> When:
    """Return a condition: the path contains this, and the method is that."""
    return lambda request: path in request.path and method in (None, request.method)


def _linked(turn: Turn, request: Request, url: str) -> Delivery:
    response = turn.process(request)
    page = response.json()
    page.setdefault("meta", {}).setdefault("paging", {})["next"] = url
    return Delivery(replace(response, body=json.dumps(page).encode()))


def _blocks(start: bytes, fill: bytes, size: int) -> Iterator[bytes]:
    yield start
    left, block = size - len(start), fill * (BLOCK // len(fill))
    while left > 0:
        yield block[:left]
        left -= len(block)


@dataclass
class Rule:
    """One line of the script; `hits` counts how often the fault was played."""

    do: Fault
    when: When | None
    times: int | None
    skip: int
    hits: int = 0

    def claims(self, request: Request) -> bool:
        if self.times is not None and self.hits >= self.times:
            return False
        if self.when is not None and not self.when(request):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.hits += 1
        return True


class FaultScript:
    """The faults to come; for each request the first rule that claims it plays."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Rule] = []

    def add(
        self, do: Fault, *, when: When | None = None, times: int | None = 1, skip: int = 0
    ) -> Rule:
        """Play `do` for the next `times` requests that `when` accepts, after skipping `skip`.

        `when=None` accepts every request; `times=None` never ends.
        """
        rule = Rule(do, when, times, skip)
        with self._lock:
            self._rules.append(rule)
        return rule

    def clear(self) -> None:
        with self._lock:
            self._rules.clear()

    def claim(self, request: Request) -> Fault | None:
        with self._lock:
            return next((rule.do for rule in self._rules if rule.claims(request)), None)
