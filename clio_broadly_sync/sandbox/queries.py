"""Clio's query parameters: what each list knows, and what it makes of the values."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any, TypeAlias

from clio_broadly_sync.sandbox.firm import Firm
from clio_broadly_sync.sandbox.records import Box, Sight
from clio_broadly_sync.sandbox.shapes import display_number

Query: TypeAlias = Mapping[str, list[str]]
Test: TypeAlias = Callable[[Any], bool]
Maker: TypeAlias = Callable[[Firm, list[str]], Test | None]
LIMIT = 200
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
    """An answer other than success, in Clio's nested form."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind


def bad(name: str, value: str) -> ApiError:
    return ApiError(400, "ArgumentError", f"{value!r} is not a valid value for {name}")


def tests(resource: str, firm: Firm, query: Query) -> list[Test]:
    """Return what a row must pass. Parameters that Clio doesn't know count for nothing."""
    makers = FILTERS[resource]
    found = [makers[name](firm, values) for name, values in query.items() if name in makers]
    if resource != "custom_field":
        found += [_box(name, values) for name, values in query.items()]
    if resource == "contact":
        found.append(lambda row: row.sight not in (Sight.HIDDEN, Sight.HIDDEN_REDACTED))
    return [test for test in found if test is not None]


def limit(query: Query) -> int:
    value = query.get("limit", [str(LIMIT)])[-1]
    if not value.isdecimal() or not 1 <= int(value) <= LIMIT:
        raise bad("limit", value)
    return int(value)


def integers(name: str, values: list[str]) -> frozenset[int]:
    for value in values:
        if not value.isdecimal():
            raise bad(name, value)
    return frozenset(int(value) for value in values)


def instant(name: str, value: str) -> float:
    """Return the unix time of an ISO-8601 moment; one without an offset is UTC."""
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
    """Filter by a box; one that nobody answered matches neither value."""
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
