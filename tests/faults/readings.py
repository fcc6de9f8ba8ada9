"""What the sandbox's Clio showed the program of each contact and each matter, and when.

And of which of these readings the program knew when it sent somebody.
"""

import json
from bisect import bisect
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import takewhile
from typing import Any, NamedTuple

from circumstances import Circumstances, Reader
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
    texts_id: int = 0
    """The id of the checkbox that allows text messages."""

    @property
    def boxes(self) -> list[Any]:
        """Return the value of each checkbox; WITHHELD in place of one that may not be read.

        That which allows text messages is left out.
        """
        return self._values(lambda id_: id_ != self.texts_id)

    @property
    def texts(self) -> list[Any]:
        """Return the value of each checkbox that allows text messages, or that may be it."""
        return self._values(lambda id_: id_ in (self.texts_id, None))

    def _values(self, wanted: Callable[[int | None], bool]) -> list[Any]:
        entries = (self.shown or {}).get("custom_field_values")
        if not isinstance(entries, list):
            return [WITHHELD]
        own = [e for e in entries if wanted((e.get("custom_field") or {}).get("id"))]
        return [e["value"] if e.get("field_name") else WITHHELD for e in own]

    @property
    def no(self) -> bool | None:
        """Tell whether the box is checked; None where this reading does not say."""
        if not self.boxed or not self.shown or self.shown.get("redacted"):
            return None
        if self.boxes and all(box in CHECKED for box in self.boxes):
            return True
        return False if all(box in UNCHECKED for box in self.boxes) else None


class Readings:
    """The readings in a whole history, by record and in order of the requests.

    `texts_id` is the id of the checkbox that allows text messages.
    """

    def __init__(self, history: Iterable[Exchange], texts_id: int) -> None:
        self._texts_id = texts_id
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

    def said(self, kind: str) -> dict[int, list[Reading]]:
        """Return the readings of this kind that say how the box was, by record and in order."""
        return {
            record: [reading for reading in several if reading.no is not None]
            for (of, record), several in self._read.items()
            if of == kind
        }

    def _add(self, exchange: Exchange, page: Record) -> None:
        kind, boxed = LISTS[exchange.path], "custom_field_ids[]" in exchange.query
        shown = {row["id"]: row for row in page["data"]}
        missing = dict.fromkeys(self._missing(exchange, shown.keys(), page))
        for record, row in {**shown, **missing}.items():
            reading = Reading(exchange.number, exchange.at, row, boxed, self._texts_id)
            self._read[kind, record].append(reading)

    def _missing(self, exchange: Exchange, shown: Collection[int], page: Record) -> set[int]:
        """Return the ids that were asked for and are on no page, where this page ends the list."""
        ids = exchange.query.get("ids[]", [])
        walked = self._walked.setdefault((exchange.path, *ids), set())
        if "page_token" not in exchange.query:
            walked.clear()
        walked.update(shown)
        return set() if page["meta"]["paging"].get("next") else {*map(int, ids)} - walked


class Noes:
    """The contacts that said no, as the program had read it and written it down.

    `asked` is all that the program asked any server for. A run writes down what it read before it
    asks for anything else. So only what a run asked for last, in one try or several, may be lost if
    it came to no good end; and whether it was, nobody can tell, so a no that ends there counts as
    ended.
    """

    def __init__(self, readings: Readings, told: Circumstances, asked: Iterable[Exchange]) -> None:
        self._unread = told.unread
        written, perhaps = _written(told.readers, sorted(asked, key=lambda e: e.number))
        self._said = {
            contact: [
                reading
                for reading in said
                if reading.number in written or (reading.number in perhaps and not reading.no)
            ]
            for contact, said in readings.said("contact").items()
            if any(reading.no for reading in said)
        }

    def before(self, number: int) -> dict[int, Reading]:
        """Return what stood at the request with this number: by contact, the last reading, a no."""
        found = {}
        for contact, said in self._said.items():
            known = [one for one in said if self._is_known(one.number, number)]
            if known and known[-1].no:
                found[contact] = known[-1]
        return found

    def _is_known(self, read: int, number: int) -> bool:
        """Tell whether what was read then was known then, whichever copy had been put back."""
        spans = [span for span in self._unread if span.put_back < number]
        return read < number and not any(s.copied < read < s.put_back for s in spans)


def _written(readers: Sequence[Reader], asked: Sequence[Exchange]) -> tuple[set[int], set[int]]:
    """Return the requests of which it was written down what they showed, and those of which it may
    have been."""
    written: set[int] = set()
    perhaps: set[int] = set()
    seen: set[int] = set()
    numbers = [exchange.number for exchange in asked]
    for reader in readers:  # one that ran beside another ended before it
        between = asked[bisect(numbers, reader.begun) : bisect(numbers, reader.ended)]
        own = [exchange for exchange in between if exchange.number not in seen]
        seen.update(exchange.number for exchange in own)
        if not reader.dry:
            last = _tries_of_the_last(own)
            perhaps |= last
            written |= {exchange.number for exchange in own} - (set() if reader.done else last)
    return written, perhaps


def _tries_of_the_last(asked: Sequence[Exchange]) -> set[int]:
    """Return the requests with which a run asked for what it asked for last.

    A server cannot see whether its answer was read; what is asked for again at once was not.
    """
    tries = takewhile(lambda e: e.request.target == asked[-1].request.target, reversed(asked))
    return {exchange.number for exchange in tries}


def addresses(email: str | None, phone: str | None) -> set[str]:
    """Return an e-mail address and a phone number so that those of one person are alike.

    All phones of these firms are of one country; the last ten digits are what they differ in.
    """
    digits = "".join(char for char in phone or "" if char.isdigit())[-10:]
    return {address for address in ((email or "").casefold(), digits) if address}


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
