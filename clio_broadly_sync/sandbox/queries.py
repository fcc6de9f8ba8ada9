"""Clio's lists: the query parameters that each of them knows, and Clio's two ways of paging.

The token of a page fits only the query with which the list began.
"""

import base64
import hmac
import json
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from itertools import islice
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import urlencode

from clio_broadly_sync.sandbox.firm import Firm
from clio_broadly_sync.sandbox.records import Box, Sight, day
from clio_broadly_sync.sandbox.render import display_number
from clio_broadly_sync.sandbox.server import Request

Query: TypeAlias = Mapping[str, list[str]]
Test: TypeAlias = Callable[[Any], bool]
Maker: TypeAlias = Callable[[Firm, list[str]], Test | None]
LIMIT = 200
"""How many rows a page holds at most, and where no `limit` is given."""
STATUSES = {"open": "Open", "closed": "Closed", "pending": "Pending"}
FIELD_TYPES = (
    "checkbox", "contact", "currency", "date", "time", "email", "matter", "numeric", "picklist",
    "text_area", "text_line", "url",
)  # fmt: skip
_DATE = re.compile(r"(>=|<=|>|<|=)(\d{4}-\d{2}-\d{2})")
_BOX = re.compile(r"custom_field_values\[(\d+)\]")
_COMPARE: dict[str, Callable[[int, int], bool]] = {
    ">": int.__gt__, ">=": int.__ge__, "=": int.__eq__, "<=": int.__le__, "<": int.__lt__,
}  # fmt: skip


class ApiError(Exception):
    """Raised for an answer other than success; `kind` and the message go into Clio's `error`."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind


def bad(name: str, value: str) -> ApiError:
    """Return the error for a parameter whose value Clio does not take."""
    return ApiError(400, "ArgumentError", f"{value!r} is not a valid value for {name}")


def tests(resource: str, firm: Firm, query: Query) -> list[Test]:
    """Return the tests that a row must pass; a parameter that Clio does not know has none.

    Raise ApiError where Clio does not take a value. So do the other functions that read one.
    """
    makers = FILTERS[resource]
    found = [makers[name](firm, values) for name, values in query.items() if name in makers]
    if resource != "custom_field":
        found += [_box(name, values) for name, values in query.items()]
    if resource == "contact":
        found.append(lambda row: row.sight not in (Sight.HIDDEN, Sight.HIDDEN_REDACTED))
    return [test for test in found if test is not None]


def limit(query: Query) -> int:
    """Return how many rows the page shall hold."""
    value = query.get("limit", [str(LIMIT)])[-1]
    if not value.isdecimal() or not 1 <= int(value) <= LIMIT:
        raise bad("limit", value)
    return int(value)


def integers(name: str, values: list[str]) -> frozenset[int]:
    """Return the values of the parameter `name` as whole numbers."""
    for value in values:
        if not value.isdecimal():
            raise bad(name, value)
    return frozenset(int(value) for value in values)


def instant(name: str, value: str) -> float:
    """Return an ISO 8601 moment in seconds since 1970; one without an offset is in UTC."""
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        raise bad(name, value) from None
    if "T" not in value and " " not in value:
        raise bad(name, value)
    return parsed.timestamp() if parsed.tzinfo else parsed.replace(tzinfo=UTC).timestamp()


def _boolean(name: str, value: str) -> bool:
    if value not in ("true", "false"):
        raise bad(name, value)
    return value == "true"


def _status(firm: Firm, values: list[str]) -> Test:
    words = values[-1].split(",")
    for word in words:
        if word not in STATUSES:
            raise bad("status", word)
    chosen = frozenset(STATUSES[word] for word in words)
    return lambda row: row.status in chosen


def _dates(name: str, attribute: str) -> Maker:
    def make(firm: Firm, values: list[str]) -> Test:
        bounds = [_bound(name, value) for value in values]

        def test(row: Any) -> bool:
            number = getattr(row, attribute)
            return number is not None and all(holds(number, other) for holds, other in bounds)

        return test

    return make


def _bound(name: str, value: str) -> tuple[Callable[[int, int], bool], int]:
    match = _DATE.fullmatch(value)
    if match is None:
        raise bad(name, value)
    try:
        return _COMPARE[match[1]], date.fromisoformat(match[2]).toordinal()
    except ValueError:
        raise bad(name, value) from None


def _since(name: str, attribute: str) -> Maker:
    def make(firm: Firm, values: list[str]) -> Test:
        after = instant(name, values[-1])
        return lambda row: getattr(row, attribute) > after

    return make


def _equals(name: str, attribute: str) -> Maker:
    def make(firm: Firm, values: list[str]) -> Test:
        wanted = integers(name, values)
        return lambda row: getattr(row, attribute) in wanted

    return make


def _excluded(firm: Firm, values: list[str]) -> Test:
    unwanted = integers("exclude_ids[]", values)
    return lambda row: row.id not in unwanted


def _flag(name: str, holds: Test) -> Maker:
    def make(firm: Firm, values: list[str]) -> Test | None:
        return holds if _boolean(name, values[-1]) else None

    return make


def _deleted(firm: Firm, values: list[str]) -> Test:
    wanted = _boolean("deleted", values[-1])
    return lambda row: row.deleted is wanted


def _word(name: str, attribute: str, allowed: Mapping[str, str]) -> Maker:
    def make(firm: Firm, values: list[str]) -> Test:
        if values[-1] not in allowed:
            raise bad(name, values[-1])
        wanted = allowed[values[-1]]
        return lambda row: getattr(row, attribute) == wanted

    return make


def _type(firm: Firm, values: list[str]) -> Test:
    if values[-1] not in ("Company", "Person"):
        raise bad("type", values[-1])
    company = values[-1] == "Company"
    return lambda row: bool(row.company) is company


def _find_matter(firm: Firm, values: list[str]) -> Test:
    wanted = values[-1].casefold()

    def test(row: Any) -> bool:
        client = firm.contacts.get(row.client_id)
        name = client.name if client else ""
        return wanted in f"{display_number(row, client)} {name}".casefold()

    return test


def _find_name(firm: Firm, values: list[str]) -> Test:
    wanted = values[-1].casefold()
    return lambda row: wanted in f"{row.name} {getattr(row, 'email', '')}".casefold()


def _box(name: str, values: list[str]) -> Test | None:
    """Return the test for a checkbox; one that nobody has answered matches neither value."""
    match = _BOX.fullmatch(name)
    if match is None:
        return None
    field_id, wanted = int(match[1]), values[-1].removeprefix("=").lower()

    def test(row: Any) -> bool:
        state = row.boxes.get(field_id, Box.ABSENT)
        return not isinstance(state, Box) and str(state).lower() == wanted

    return test


_COMMON: dict[str, Maker] = {
    "ids[]": _equals("ids[]", "id"),
    "updated_since": _since("updated_since", "updated"),
    "created_since": _since("created_since", "created"),
}
FILTERS: Mapping[str, Mapping[str, Maker]] = {
    "matter": {
        **_COMMON,
        "status": _status,
        "client_id": _equals("client_id", "client_id"),
        "query": _find_matter,
        **{
            name + brackets: _dates(name + brackets, attribute)
            for name, attribute in (
                ("close_date", "closed"), ("open_date", "opened"), ("pending_date", "pending")
            )
            for brackets in ("", "[]")
        },
    },
    "contact": {
        **_COMMON,
        "exclude_ids[]": _excluded,
        "type": _type,
        "client_only": _flag("client_only", lambda row: bool(row.is_client)),
        "email_only": _flag("email_only", lambda row: row.email is not None),
        "clio_connect_only": _flag("clio_connect_only", lambda row: False),
        "initial": lambda firm, values: lambda row: row.surname[:1].upper() == values[-1].upper(),
        "query": _find_name,
    },
    "custom_field": {
        **_COMMON,
        "parent_type": _word(
            "parent_type", "parent_type", {"matter": "Matter", "contact": "Contact"}
        ),
        "field_type": _word("field_type", "field_type", {name: name for name in FIELD_TYPES}),
        "deleted": _deleted,
        "visible_and_required": _flag(
            "visible_and_required", lambda row: row.displayed and row.required
        ),
        "query": _find_name,
    },
}  # fmt: skip


# Paging.

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
    """One page of a list."""

    rows: list[Any]
    records: int
    """How many rows the whole list had when its first page was asked for."""
    paging: dict[str, str]
    """The addresses of the `next` and the `previous` page, where there are such."""


class Pager:
    """Cuts a list into pages; a token that one pager made is invalid for every other."""

    def __init__(self, firm: Firm, resource: str) -> None:
        self.firm = firm
        self.resource = resource
        self.table: Any = {
            "matter": firm.matters, "contact": firm.contacts, "custom_field": firm.fields.table
        }[resource]  # fmt: skip
        self.cap = LIMIT
        """How many rows a page holds at most, even where the request asks for more."""
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
        """Return rows among which are all the wanted ones, as few as an index can find."""
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
        """Return where the page starts, and the number of records when the list began.

        Without a token they are 0 and -1. Raise ApiError where the token is not one of this query.
        """
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
