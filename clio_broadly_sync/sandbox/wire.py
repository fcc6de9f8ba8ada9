"""What passes over the wire: requests, responses, deliveries, and the record of them."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import count
from typing import Any
from urllib.parse import parse_qsl

JSON_TYPE = "application/json; charset=utf-8"


@dataclass(frozen=True)
class Request:
    """A request as it arrived; header names are in lower case.

    `number` is its place among all the requests that any server got, whatever their clocks say.
    """

    at: datetime
    method: str
    path: str
    raw_query: str
    headers: Mapping[str, str]
    body: bytes
    number: int = field(default_factory=count().__next__, compare=False)

    @cached_property
    def pairs(self) -> list[tuple[str, str]]:
        return parse_qsl(self.raw_query, keep_blank_values=True)

    @cached_property
    def query(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name, value in self.pairs:
            found.setdefault(name, []).append(value)
        return found

    @cached_property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    @property
    def target(self) -> str:
        return f"{self.path}?{self.raw_query}" if self.raw_query else self.path

    def first(self, name: str) -> str | None:
        return self.query.get(name, [None])[0]

    def header(self, name: str) -> str | None:
        return self.headers.get(name.lower())

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Response:
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_json(
        cls, status: int, value: Any, headers: Mapping[str, str] | None = None
    ) -> "Response":
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
        return cls(status, text.encode(), {"Content-Type": JSON_TYPE, **(headers or {})})

    def json(self) -> Any:
        return json.loads(self.body)


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
class Exchange:
    """One request and what the server did: `status` and `answer` are None where none was sent.

    `processed` says whether the server did its work, whatever the client got to see; `answer` is
    kept only by servers whose answers are small, and is `whole` unless it was cut on its way.
    """

    request: Request
    status: int | None
    answer: bytes | None
    processed: Response | None
    fault: str | None
    whole: bool

    @property
    def number(self) -> int:
        return self.request.number

    @property
    def at(self) -> datetime:
        return self.request.at

    @property
    def method(self) -> str:
        return self.request.method

    @property
    def path(self) -> str:
        return self.request.path

    @property
    def query(self) -> Mapping[str, list[str]]:
        return self.request.query

    @property
    def headers(self) -> Mapping[str, str]:
        return self.request.headers

    @property
    def body(self) -> bytes:
        return self.request.body
