"""A Clio and a Broadly that answer at once and remember nothing, each in a process of its own.

They are so cheap that they are not what is measured: a page is one formatted text. `python -m
tests.benchmark.canned clio` prints its port and serves a firm in which no matter was closed. Once
`/closings/10000` was asked for, 10,000 matters were closed today, each with a client of its own.
Every tenth client has opted out.
"""

import json
import re
import socketserver
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from email.utils import format_datetime

from clio_broadly_sync.sandbox.people import AREAS, DOMAINS, FIRST, LAST, SPELLINGS

PAGE = 200
OPT_OUT = 301
FIRST_CLIENT = 1_000_000
OPTED_OUT = 10
"""The clients whose number is a multiple of this have opted out."""
COUNTED = "/counted"
"""The path at which a server says how many requests and items it has had so far."""
CLOSINGS = "/closings"
"""The path under which Clio is told how many matters were closed today."""
_ID = re.compile(r"ids(?:\[\]|%5B%5D)=(\d+)", re.IGNORECASE)
Answer = tuple[int, str]
_counted: Counter[str] = Counter()


class Clio:
    """A firm whose matters that were closed today are numbered from 1."""

    def __init__(self) -> None:
        self._close(0)

    def __call__(self, target: str, body: bytes) -> Answer:
        path, _, query = target.partition("?")
        ids = [int(id_) for id_ in _ID.findall(query)]
        match path.rpartition("/")[2]:
            case "who_am_i.json":
                return 200, '{"data":{"id":1,"name":"A","account":{"id":2,"name":"B"}}}'
            case "custom_fields.json":
                return 200, _list([_FIELD])
            case "contacts.json":
                return 200, _list(map(_contact, ids))
            case "matters.json" if ids:
                return 200, _list(_matters(ids, self._day))
            case "matters.json":
                return 200, self._page(path, int(query.partition("page_token=")[2] or 1))
            case number if path == f"{CLOSINGS}/{number}":
                self._close(int(number))
                return 200, "{}"
        return 404, "{}"

    def _close(self, closings: int) -> None:
        """Let so many matters have been closed today.

        It stays their close date even if a run goes on past midnight.
        """
        self._closings, self._day = closings, f"{datetime.now(UTC):%Y-%m-%d}"

    def _page(self, path: str, first: int) -> str:
        last = min(first + PAGE - 1, self._closings)
        more = f"{path}?page_token={last + 1}" if last < self._closings else None
        return _list(_matters(range(first, last + 1), self._day), more)


def broadly(target: str, body: bytes) -> Answer:
    """Answer a batch for Broadly: accept every item."""
    items = body.count(b'"transactionId"')
    _counted["items"] += items
    results = ",".join(f'{{"index":{n},"status":"accepted"}}' for n in range(items))
    return 200, f'{{"results":[{results}]}}'


_FIELD = (
    f'{{"id":{OPT_OUT},"name":"BroadlyOptOut","parent_type":"Contact","field_type":"checkbox",'
    '"deleted":false,"displayed":true,"required":false}'
)


def _list(rows: Iterable[str], more: str | None = None) -> str:
    paging = f'{{"next":"{{HOST}}{more}"}}' if more else "{}"
    return f'{{"meta":{{"paging":{paging}}},"data":[{",".join(rows)}]}}'


def _matters(numbers: Iterable[int], day: str) -> Iterator[str]:
    """Yield matters that were changed in this second, each at a moment of its own.

    Clio itself says whole seconds. But dlt keeps every row that shares the last moment, and in a
    real firm few rows do.
    """
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}"
    for number in numbers:
        yield (
            f'{{"id":{number},"etag":"\\"{number:032x}\\"","status":"Closed",'
            f'"close_date":"{day}","updated_at":"{now}.{number % 1_000_000:06}Z",'
            f'"client":{{"id":{FIRST_CLIENT + number}}}}}'
        )


def _contact(id_: int) -> str:
    number = id_ - FIRST_CLIENT
    first, last = FIRST[number % len(FIRST)], LAST[number % len(LAST)]
    checked = "true" if number % OPTED_OUT == 0 else "false"
    return (
        f'{{"id":{id_},"type":"Person","name":"{first} {last}","first_name":"{first}",'
        f'"last_name":"{last}","primary_email_address":"client{number}@{DOMAINS[number % 3]}",'
        f'"primary_phone_number":"{_phone(number)}","custom_field_values":[{{"id":'
        f'"checkbox-{number}","field_name":"BroadlyOptOut","field_type":"checkbox","value":'
        f'{checked},"soft_deleted":false,"custom_field":{{"id":{OPT_OUT}}}}}]}}'
    )


def _phone(number: int) -> str:
    """Return a phone number that nobody has, because the exchange 555 has no subscribers."""
    line, area = divmod(number, len(AREAS))
    spelt = SPELLINGS[number % len(SPELLINGS)]
    return spelt.format(AREAS[area], f"{line % 10_000:04d}")


class _Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    answer: Callable[[str, bytes], Answer]

    def handle(self) -> None:
        while line := self.rfile.readline():
            headers = b""
            while (header := self.rfile.readline()) not in (b"\r\n", b""):
                headers += header
            length = re.search(rb"(?i)^content-length: *(\d+)", headers, re.MULTILINE)
            body = self.rfile.read(int(length[1])) if length else b""
            target = line.split()[1].decode()
            if target == COUNTED:
                self._send(200, json.dumps(_counted).encode())
                continue
            _counted["requests"] += 1
            status, text = type(self).answer(target, body)
            self._send(status, text.replace("{HOST}", self._host(headers)).encode())

    def _host(self, headers: bytes) -> str:
        host = re.search(rb"(?i)^host: *(\S+)", headers, re.MULTILINE)
        return f"http://{host[1].decode() if host else ''}"

    def _send(self, status: int, body: bytes) -> None:
        head = (
            f"HTTP/1.1 {status} OK\r\nDate: {format_datetime(datetime.now(UTC), usegmt=True)}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self.wfile.write(head.encode() + body)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 64


def serve(answer: Callable[[str, bytes], Answer]) -> None:
    """Serve on a free port, which is printed, until the process is killed."""
    _Handler.answer = staticmethod(answer)
    with _Server(("127.0.0.1", 0), _Handler) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()


if __name__ == "__main__":
    serve(Clio() if sys.argv[1] == "clio" else broadly)
