"""Clio's two ways of paging, and the tokens that bind a page to its query."""

import base64
import hmac
import json
import secrets
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import urlencode

from clio_broadly_sync.sandbox.firm import Firm
from clio_broadly_sync.sandbox.queries import (
    LIMIT,
    ApiError,
    Test,
    bad,
    instant,
    integers,
    limit,
    tests,
)
from clio_broadly_sync.sandbox.records import day
from clio_broadly_sync.sandbox.shapes import display_number
from clio_broadly_sync.sandbox.wire import Request

OFFSET_CAP = 10_000
ORDERS = {
    "matter": "id display_number custom_number client.name clients open_date close_date "
    "pending_date updated_at created_at practice_area.name matter_stage.name "
    "matter_stage_updated_at "
    "responsible_attorney.name originating_attorney.name statute_of_limitations.due_at grants",
    "contact": "id name shared_at",
    "custom_field": "id name display_order",
}
_ATTRIBUTES = {"updated_at": "updated", "created_at": "created", "display_order": "display_order"}
_DATES = {"open_date": "opened", "close_date": "closed", "pending_date": "pending"}
Link: TypeAlias = Callable[[int], str]


class Page(NamedTuple):
    rows: list[Any]
    records: int
    paging: dict[str, str]


class Pager:
    """Cuts a list into pages; a token made by one pager means nothing to another."""

    def __init__(self, firm: Firm, resource: str) -> None:
        self.firm = firm
        self.resource = resource
        self.table: Any = {
            "matter": firm.matters, "contact": firm.contacts, "custom_field": firm.fields.table
        }[resource]  # fmt: skip
        self.cap = LIMIT
        self._key = secrets.token_bytes(16)

    def page(self, request: Request, base: str) -> Page:
        """Return the page that the request asks for; `base` is the address of the server."""
        query = request.query
        size, order = min(limit(query), self.cap), self._order(request.first("order"))
        wanted = tests(self.resource, self.firm, query)
        start, records = self._open(request)
        pairs = sorted(pair for pair in request.pairs if pair[0] != "page_token")

        def link(position: int) -> str:
            token = self._seal(request.path, pairs, position, records)
            return f"{base}{request.path}?{urlencode([*pairs, ('page_token', token)])}"

        if order != ("id", False) or "offset" in query:
            if "page_token" not in query:
                start = self._offset(request.first("offset"))
            return self._by_offset(wanted, order, start, size, link)
        rows = list(islice(self._matching(query, wanted, start), size + 1))
        if records < 0:
            few = len(rows) <= size
            records = len(rows) if few else sum(1 for _ in self._matching(query, wanted, 0))
        paging = {"next": link(rows[size - 1].id)} if len(rows) > size else {}
        return Page(rows[:size], records, paging)

    def _by_offset(
        self, wanted: list[Test], order: tuple[str, bool], start: int, size: int, link: Link
    ) -> Page:
        if start >= OFFSET_CAP:
            message = f"offset may not exceed {OFFSET_CAP}; use cursor pagination"
            raise ApiError(422, "ArgumentError", message)
        rows = [row for row in self.table.walk() if all(test(row) for test in wanted)]
        rows.sort(key=self._sort_key(order[0]), reverse=order[1])
        paging = {}
        if start + size < len(rows):
            paging["next"] = link(start + size)
        if start:
            paging["previous"] = link(max(0, start - size))
        return Page(rows[start : start + size], len(rows), paging)

    def _matching(self, query: Any, wanted: list[Test], after: int) -> Iterator[Any]:
        for row in self._candidates(query, after):
            for test in wanted:
                if not test(row):
                    break
            else:
                yield row

    def _candidates(self, query: Any, after: int) -> Iterable[Any]:
        """Return few rows that hold all the wanted ones, by the narrowest index there is."""
        if "ids[]" in query:
            return self.table.pick(integers("ids[]", query["ids[]"]), after)  # type: ignore[no-any-return]
        if "updated_since" in query:
            since = instant("updated_since", query["updated_since"][-1])
            return self.table.changed(since, after)  # type: ignore[no-any-return]
        return self.table.walk(after)  # type: ignore[no-any-return]

    def _order(self, text: str | None) -> tuple[str, bool]:
        name, _, direction = (text or "id(asc)").partition("(")
        if name not in ORDERS[self.resource].split() or direction not in ("asc)", "desc)"):
            raise bad("order", str(text))
        return name, direction == "desc)"

    def _sort_key(self, name: str) -> Callable[[Any], Any]:
        if name in _ATTRIBUTES:
            return lambda row: (getattr(row, _ATTRIBUTES[name]), row.id)
        if name in _DATES:
            return lambda row: (day(getattr(row, _DATES[name])) or "", row.id)
        if name == "name":
            return lambda row: (row.name, row.id)
        if name == "display_number":
            return lambda row: display_number(row, self.firm.contacts.get(row.client_id))
        return lambda row: row.id

    def _offset(self, text: str | None) -> int:
        if text is not None and not text.isdecimal():
            raise bad("offset", text)
        return int(text or 0)

    def _open(self, request: Request) -> tuple[int, int]:
        """Return where the page starts and how many records there were at the first page."""
        token = request.first("page_token")
        if token is None:
            return 0, -1
        pairs = [pair for pair in request.pairs if pair[0] != "page_token"]
        try:
            text, _, _ = base64.urlsafe_b64decode(token.encode()).decode().partition("|")
            position, records = (int(part) for part in text.split("."))
        except (ValueError, UnicodeError):
            raise _invalid() from None
        if not hmac.compare_digest(token, self._seal(request.path, pairs, position, records)):
            raise _invalid()
        return position, records

    def _seal(self, path: str, pairs: list[tuple[str, str]], position: int, records: int) -> str:
        bound = json.dumps([path, pairs, position, records]).encode()
        mark = hmac.new(self._key, bound, "sha256").hexdigest()[:24]
        return base64.urlsafe_b64encode(f"{position}.{records}|{mark}".encode()).decode()


def _invalid() -> ApiError:
    return ApiError(400, "ArgumentError", "page_token is invalid")
