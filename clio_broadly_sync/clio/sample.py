"""A few of Clio's records, to see whether the token may read them and their boxes.

No name, e-mail address or phone number is asked for. Sources: Clio's OpenAPI document.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from clio_broadly_sync.clio import records
from clio_broadly_sync.clio.api import Api, Params
from clio_broadly_sync.clio.records import Row, unreadable
from clio_broadly_sync.clio.source import with_box
from clio_broadly_sync.domain.model import Box

ROWS: Final = 10


class Sample(NamedTuple):
    """What the records showed: the box of each by id, whether values were withheld from the
    token, and (of matters) the ids of their clients."""

    boxes: Mapping[int, Box]
    withheld: bool
    clients: frozenset[int] = frozenset()

    @property
    def unreadable(self) -> list[int]:
        return sorted(id_ for id_, box in self.boxes.items() if box is Box.UNREADABLE)


class Sampling:
    """Reads a few records, in one request each."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def matters(self, box: int | None) -> Sample:
        """Return the matters closed last; where none is closed, any."""
        params = [*with_box("id,client{id}", box), ("limit", str(ROWS))]
        closed = [("status", "closed"), ("order", "close_date(desc)")]
        rows = self._rows("matters.json", closed + params) or self._rows("matters.json", params)
        return _sample(rows, box, _clients(rows))

    def contacts(self, ids: Iterable[int], box: int | None) -> Sample:
        """Return those of the contacts that are not hidden; any, where there are no ids."""
        params = with_box("id", box)
        asked = sorted(set(ids))
        if asked:
            rows = list(self._api.by_id("contacts.json", asked, params).values())
        else:
            rows = self._rows("contacts.json", [*params, ("limit", str(ROWS))])
        return _sample([row for row in rows if records.is_whole(row)], box)

    def _rows(self, path: str, params: Params) -> list[Row]:
        body, _ = self._api.get(path, params)
        rows = body.get("data")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise unreadable("a list has no rows")
        return rows


def _sample(rows: list[Row], box: int | None, clients: frozenset[int] = frozenset()) -> Sample:
    boxes = {records.record_id(row.get("id")): records.box(row, box) for row in rows}
    return Sample(boxes, any(records.withheld(row) for row in rows), clients)


def _clients(rows: list[Row]) -> frozenset[int]:
    named = (row.get("client") for row in rows)
    ids = (client.get("id") for client in named if isinstance(client, dict))
    return frozenset(records.record_id(id_) for id_ in ids if id_ is not None)
