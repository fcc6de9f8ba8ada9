"""The firm's custom fields: the two checkboxes that steer, and a few that have no part in it."""

from collections.abc import Iterator
from dataclasses import replace
from threading import RLock
from typing import Any

from clio_broadly_sync.sandbox.clock import Clock
from clio_broadly_sync.sandbox.records import JSON, NOTHING, CustomField
from clio_broadly_sync.sandbox.table import Table

OPT_OUT = "BroadlyOptOut"
THANK_YOU = "SendBroadlyThankYou"
DEFAULTS = (
    ("Referred By", "Contact", "text_line"),
    (OPT_OUT, "Contact", "checkbox"),
    ("Preferred Language", "Contact", "text_line"),
    ("Court Case Number", "Matter", "text_line"),
    (THANK_YOU, "Matter", "checkbox"),
    ("Fee Agreement Signed", "Matter", "checkbox"),
)


class Definitions:
    """Custom field definitions; a field is named by its id or by its name (the oldest so named)."""

    def __init__(self, clock: Clock, lock: RLock, created: int) -> None:
        self._clock = clock
        self._lock = lock
        self.table: Table[CustomField] = Table(301)
        for name, parent_type, field_type in DEFAULTS:
            self._add(name, parent_type, field_type, created)

    def __iter__(self) -> Iterator[CustomField]:
        with self._lock:
            return iter(list(self.table.walk()))

    def __getitem__(self, field: int | str) -> CustomField:
        with self._lock:
            for row in self.table.walk():
                if field in (row.id, row.name):
                    return row
        raise KeyError(field)

    def add(
        self, name: str, parent_type: str, field_type: str = "checkbox", *, displayed: bool = True
    ) -> int:
        with self._lock:
            row = self._add(name, parent_type, field_type, self._clock.seconds())
            row.displayed = displayed
            return row.id

    def rename(self, field: int | str, name: str) -> None:
        self.change(field, name=name)

    def retype(self, field: int | str, field_type: str) -> None:
        self.change(field, field_type=field_type)

    def move(self, field: int | str, parent_type: str) -> None:
        """Put the field on the other parent, `Contact` or `Matter`."""
        self.change(field, parent_type=parent_type)

    def delete(self, field: int | str) -> None:
        """Delete as Clio does: no longer for use, what was answered remains, soft-deleted."""
        self.change(field, deleted=True)

    def restore(self, field: int | str) -> None:
        self.change(field, deleted=False)

    def purge(self, field: int | str) -> None:
        """Make the definition vanish, and with it every value."""
        with self._lock:
            self.table.remove(self[field].id)

    def duplicate(self, field: int | str) -> int:
        """Add a second field of the same name, parent and type; nobody has answered it yet."""
        with self._lock:
            row, now, new_id = self[field], self._clock.seconds(), self.table.new_id()
            self.table.add(replace(row, id=new_id, created=now, updated=now, rev=0))
            return new_id

    def change(self, field: int | str, **attributes: Any) -> None:
        """Set any attribute of `CustomField`."""
        with self._lock:
            row = self[field]
            for name, value in attributes.items():
                setattr(row, name, value)
            self.table.touch(row, self._clock.seconds())

    def set_raw(self, field: int | str, **values: JSON) -> None:
        """Show these JSON values whatever the definition is; MISSING leaves a key out."""
        with self._lock:
            row = self[field]
            row.raw = {**row.raw, **values} if values else NOTHING

    def _add(self, name: str, parent_type: str, field_type: str, at: int) -> CustomField:
        row_id = self.table.new_id()
        row = CustomField(row_id, name, parent_type, field_type, at, at)
        row.display_order = len(self.table) + 1
        self.table.add(row)
        return row
