"""What a person asks of Clio beyond a run: one matter, by its id or its display number, and names.

A name and a display number (Clio's usual one holds the client's surname) are for a terminal
only, and are forgotten at once. How a record is read is in `clio_records`.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from clio_broadly_sync.clio import records
from clio_broadly_sync.clio.api import Api
from clio_broadly_sync.clio.records import Row
from clio_broadly_sync.clio.source import with_box
from clio_broadly_sync.domain.model import FieldIds, Matter

FIELDS: Final = f"{records.MATTER_FIELDS},display_number"
NAME_FIELDS: Final = "id,name"


class Found(NamedTuple):
    """A matter, and its display number, which only a terminal may show."""

    matter: Matter
    number: str | None


class Lookup:
    """One firm's Clio, asked about single records."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def matter(self, matter_id: int, fields: FieldIds) -> Found | None:
        """Return the matter, in whatever status; None where Clio shows none of that id."""
        rows = self._api.by_id("matters.json", [matter_id], with_box(FIELDS, fields.opt_in))
        row = rows.get(matter_id)
        return None if row is None else _found(row, fields)

    def numbered(self, number: str, fields: FieldIds) -> list[Found]:
        """Return the matters with exactly this display number, capitals or not.

        Clio looks for the words anywhere, in the names of clients as well, so most of what it
        finds is none of them. The walk ends with the page that holds one.
        """
        params = [("query", number), *with_box(FIELDS, fields.opt_in)]
        for page in self._api.pages("matters.json", params):
            found = [_found(row, fields) for row in page.rows]
            if exact := list(_exact(found, number)):
                return exact
        return []

    def name(self, contact_id: int) -> str | None:
        """Return the contact's name; None where Clio shows no such contact, or no name of it."""
        params = [("fields", NAME_FIELDS)]
        row = self._api.by_id("contacts.json", [contact_id], params).get(contact_id, {})
        return _text(row.get("name"))


def _found(row: Row, fields: FieldIds) -> Found:
    return Found(records.matter(row, fields.opt_in), _text(row.get("display_number")))


def _exact(found: list[Found], number: str) -> Iterator[Found]:
    wanted = number.casefold()
    return (one for one in found if one.number is not None and one.number.casefold() == wanted)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value.strip() else None
