"""What the sandbox's Clio showed the program of each contact and each matter, and when."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from rig import Exchange

Record = Mapping[str, Any]
LISTS = {"/api/v4/contacts.json": "contact", "/api/v4/matters.json": "matter"}
"""The paths of lists, and what each of them lists."""
CHECKED = (True, "true", 1, "1")
"""The values that mean a checked box."""
UNCHECKED = (None, False, "false", 0, "0", "")
"""The values that mean an unchecked box."""
WITHHELD = "withheld"


class Reading(NamedTuple):
    """What one answer of Clio showed of one record."""

    number: int
    """The number of the request, among all requests to any server."""
    at: datetime
    """When the request arrived; aware UTC."""
    shown: Record | None
    """The record; None where Clio was asked for it by id and did not show it."""
    boxed: bool
    """Whether the request asked for the record's checkbox."""

    @property
    def boxes(self) -> list[Any]:
        """Return the value of each checkbox; WITHHELD in place of one that may not be read."""
        entries = (self.shown or {}).get("custom_field_values")
        if not isinstance(entries, list):
            return [WITHHELD]
        return [e["value"] if e.get("field_name") else WITHHELD for e in entries]


class Readings:
    """The readings in a whole history, by record and in order of the requests."""

    def __init__(self, history: Iterable[Exchange]) -> None:
        self._read: dict[tuple[str, int], list[Reading]] = defaultdict(list)
        self._walked: dict[tuple[str, ...], set[int]] = {}
        for exchange in sorted(history, key=lambda e: e.number):
            page = _page(exchange)
            if page is not None:
                self._add(exchange, page)

    def last(self, kind: str, record: int, before: Exchange) -> Reading | None:
        """Return the last reading of a contact or a matter before this POST."""
        earlier = [r for r in self._read[kind, record] if r.number < before.number]
        return earlier[-1] if earlier else None

    def _add(self, exchange: Exchange, page: Record) -> None:
        kind, boxed = LISTS[exchange.path], "custom_field_ids[]" in exchange.query
        shown = {row["id"]: row for row in page["data"]}
        missing = dict.fromkeys(self._missing(exchange, shown.keys(), page))
        for record, row in {**shown, **missing}.items():
            reading = Reading(exchange.number, exchange.at, row, boxed)
            self._read[kind, record].append(reading)

    def _missing(self, exchange: Exchange, shown: Collection[int], page: Record) -> set[int]:
        """Return the ids that were asked for and are on no page, where this page ends the list."""
        ids = exchange.query.get("ids[]", [])
        walked = self._walked.setdefault((exchange.path, *ids), set())
        if "page_token" not in exchange.query:
            walked.clear()
        walked.update(shown)
        return set() if page["meta"]["paging"].get("next") else {*map(int, ids)} - walked


def _page(exchange: Exchange) -> Record | None:
    """Return a page of contacts or matters, if it reached the program whole and well-formed."""
    if exchange.path not in LISTS or exchange.status != 200 or not exchange.whole:
        return None
    try:
        page = json.loads(exchange.answer or b"")
    except (ValueError, RecursionError):
        return None
    if not isinstance(page, dict) or not isinstance(page.get("meta"), dict):
        return None
    rows = page.get("data")
    sound = isinstance(rows, list) and all(isinstance(r, dict) and "id" in r for r in rows)
    return page if sound and isinstance(page["meta"].get("paging"), dict) else None
