"""What may go wrong between a server and its client (faults), and the script that says when."""

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
    """How much of a response reaches the client, and in what manner."""

    response: Response | None
    """The response; None cuts the connection without an answer."""
    chunks: Iterable[bytes] | None = None
    """The pieces that are sent in place of the body; None sends the body whole."""
    length: int | None = None
    """The Content-Length to go with `chunks`; with None the body ends when the connection does."""
    chunked: bool = False
    """Whether `chunks` go in HTTP's chunked encoding, with the header that says so."""
    pause: float = 0.0
    """How many seconds to wait after each piece."""
    cut: bool = False
    """Whether the connection ends after the last piece, whether the body is complete or not."""
    reset: bool = False
    """Whether a connection that is cut ends by a TCP reset."""


@dataclass(frozen=True)
class Turn:
    """What a fault may use when its turn comes."""

    request: Request
    process: Callable[[Request], Response]
    """Does the server's work for a request, and returns the response."""
    nap: Callable[[float], None]
    """Waits for so many seconds, or until the server stops."""
    url: str
    """The scheme, host and port of the server."""


@dataclass(frozen=True)
class Fault:
    """One way of going wrong."""

    name: str
    """How the history calls it."""
    play: Callable[[Turn], Delivery]
    """Returns what the client gets in place of the server's own answer."""


def answer(
    status: int,
    body: bytes | str | Any = b"",
    headers: Mapping[str, str] | None = None,
    *,
    process: bool = False,
) -> Fault:
    """Answer this in place of the server; with `process` it does its work all the same.

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
    """Let the server do its work, then send what `edit` makes of its response."""
    return Fault(name, lambda turn: Delivery(edit(turn.process(turn.request))))


def change_json(edit: Callable[[Any], Any], name: str = "change json") -> Fault:
    """Let the server do its work, then send what `edit` makes of its body, both as JSON values."""

    def change_body(response: Response) -> Response:
        return replace(response, body=json.dumps(edit(response.json())).encode())

    return change(change_body, name)


def headers(**values: str | None) -> Fault:
    """Let the server do its work, then set headers; None takes one away, even `Date`.

    The names have underscores in place of dashes.
    """
    named = {name.replace("_", "-"): value for name, value in values.items()}

    def edit(response: Response) -> Response:
        lower = {name.lower() for name in named}
        kept = {k: v for k, v in response.headers.items() if k.lower() not in lower}
        return replace(response, headers={**kept, **{k: v for k, v in named.items() if v}})

    return change(edit, "headers")


def garble(body: bytes = b'{"data": [{"id": 5\xff') -> Fault:
    """Let the server do its work, then send these bytes in place of the body."""
    return change(lambda response: replace(response, body=body), "garble")


def drop(*, reset: bool = False) -> Fault:
    """Cut the connection before any work is done; with `reset` by a TCP reset."""
    return Fault("drop", lambda turn: Delivery(None, reset=reset))


def lose_answer(*, reset: bool = False) -> Fault:
    """Let the server do its work, then cut the connection without an answer."""

    def play(turn: Turn) -> Delivery:
        turn.process(turn.request)
        return Delivery(None, reset=reset)

    return Fault("lose answer", play)


def cut_body(keep: float = 0.5, *, framing: str = "length") -> Fault:
    """Let the server do its work, then send only this part of the body, from 0 to 1.

    `framing` says what the headers promise: "length" promises the whole body by Content-Length,
    "close" promises nothing, so that the cut looks like the end, and "chunked" leaves out the last
    chunk.
    """

    def play(turn: Turn) -> Delivery:
        response = turn.process(turn.request)
        part = response.body[: int(len(response.body) * keep)]
        length = len(response.body) if framing == "length" else None
        return Delivery(response, [part], length, chunked=framing == "chunked", cut=True)

    return Fault("cut body", play)


def drip(pause: float = 0.001, size: int = 64) -> Fault:
    """Send the body `size` bytes at a time, and wait for `pause` seconds after each piece."""

    def play(turn: Turn) -> Delivery:
        response = turn.process(turn.request)
        body = response.body
        parts = [body[start : start + size] for start in range(0, len(body), size)]
        return Delivery(response, parts, len(body), pause=pause)

    return Fault("drip", play)


def delay(seconds: float, *, after: bool = False) -> Fault:
    """Wait before the server does its work, or after it, but before it answers."""

    def play(turn: Turn) -> Delivery:
        if not after:
            turn.nap(seconds)
        response = turn.process(turn.request)
        if after:
            turn.nap(seconds)
        return Delivery(response)

    return Fault("delay", play)


def redirect(location: str, status: int = 302) -> Fault:
    """Send the client to another address, without any work."""
    return Fault("redirect", lambda turn: Delivery(Response(status, b"", {"Location": location})))


def next_link(url: str) -> Fault:
    """Let the server do its work, but let the page's next link lead to this address."""
    return Fault("next link", lambda turn: _linked(turn, turn.request, url))


def page_to_itself() -> Fault:
    """Let the server do its work, but let the page's next link lead to the page itself."""
    return Fault(
        "page to itself", lambda turn: _linked(turn, turn.request, turn.url + turn.request.target)
    )


def endless_pages() -> Fault:
    """Answer the first page for ever, each time with a next link that was never seen before.

    Add it with `times=None`, because it must also catch the requests that follow its own links.
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
    """Answer 200 with a body of `size` bytes, which is never in memory as a whole."""
    response = Response(200, b"", {"Content-Type": "application/json"})
    return Fault("huge body", lambda turn: Delivery(response, _blocks(start, fill, size), size))


def gzip_bomb(size: int, *, start: bytes = b'{"data":[', fill: bytes = b" ") -> Fault:
    """Answer 200 with a gzip body that unpacks to `size` bytes, and is never in memory whole."""
    kinds = {"Content-Type": "application/json", "Content-Encoding": "gzip"}

    def packed() -> Iterator[bytes]:
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        for block in _blocks(start, fill, size):
            yield packer.compress(block)
        yield packer.flush()

    response = Response(200, b"", kinds)
    return Fault("gzip bomb", lambda turn: Delivery(response, packed(), chunked=True))


def on(path: str = "", method: str | None = None) -> When:
    """Return a condition: the path contains this, and the method is that one, if one is given."""
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
    """One line of the script."""

    do: Fault
    when: When | None
    """Accepts the requests that the rule is for; None accepts every request."""
    times: int | None
    """How often the fault may be played in all; None means without end."""
    skip: int
    """How many requests that it is for are still let pass first."""
    hits: int = 0
    """How often the fault was played so far."""

    def claims(self, request: Request) -> bool:
        """Tell whether the fault is played for this request; if so, count it."""
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
    """The faults to come: for each request, the first rule that claims it is played."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Rule] = []

    def add(
        self, do: Fault, *, when: When | None = None, times: int | None = 1, skip: int = 0
    ) -> Rule:
        """Play `do` for the next `times` requests that `when` accepts, after `skip` of them.

        `when=None` accepts every request; `times=None` never ends. Return the rule, which counts
        how often the fault was played.
        """
        rule = Rule(do, when, times, skip)
        with self._lock:
            self._rules.append(rule)
        return rule

    def clear(self) -> None:
        with self._lock:
            self._rules.clear()

    def claim(self, request: Request) -> Fault | None:
        """Return the fault to play for this request, and count it; None where there is none."""
        with self._lock:
            return next((rule.do for rule in self._rules if rule.claims(request)), None)
