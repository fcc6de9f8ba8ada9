"""Rows by id, and by the time of their last change, both without a scan."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from clio_broadly_sync.sandbox.records import Contact, CustomField, Matter

R = TypeVar("R", Contact, Matter, CustomField)
WIDE = 5_000  # changes beyond which walking by id is cheaper than sorting what changed


class Table(Generic[R]):
    def __init__(self, first_id: int) -> None:
        self._rows: dict[int, R] = {}
        self._ids = array("q")
        self._next_id = first_id
        self._times = array("q")  # one entry for each change, in order of time
        self._touched = array("q")  # the id that belongs to it

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[R]:
        return iter(self._rows.values())

    def get(self, row_id: int | None) -> R | None:
        return None if row_id is None else self._rows.get(row_id)

    def new_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def load(self, rows: Iterable[R]) -> None:
        """Take many rows at once, in the order of their ids, into an empty table."""
        self._rows = {row.id: row for row in rows}
        self._ids = array("q", self._rows)
        self._next_id = max(self._next_id, self._ids[-1] + 1 if self._ids else 0)
        self._index()

    def add(self, row: R) -> None:
        self._rows[row.id] = row
        self._ids.insert(bisect_left(self._ids, row.id), row.id)
        self._next_id = max(self._next_id, row.id + 1)
        self._note(row)

    def remove(self, row_id: int) -> R:
        row = self._rows.pop(row_id)
        del self._ids[bisect_left(self._ids, row_id)]
        return row

    def touch(self, row: R, at: int) -> None:
        """Give the row a new etag and a new time of change."""
        row.rev += 1
        row.updated = at
        self._note(row)

    def walk(self, after: int = 0) -> Iterator[R]:
        """Yield the rows whose ids follow `after`, in the order of their ids."""
        for position in range(bisect_right(self._ids, after), len(self._ids)):
            yield self._rows[self._ids[position]]

    def pick(self, ids: Iterable[int], after: int = 0) -> Iterator[R]:
        for row_id in sorted(set(ids)):
            if row_id > after and row_id in self._rows:
                yield self._rows[row_id]

    def changed(self, since: float, after: int = 0) -> Iterator[R]:
        """Yield what changed after `since`, in the order of ids; quick where that is little."""
        start = bisect_right(self._times, since)
        few = len(self._times) - start <= WIDE
        rows = self.pick(self._touched[start:], after) if few else self.walk(after)
        return (row for row in rows if row.updated > since)

    def _note(self, row: R) -> None:
        if len(self._times) > 2 * len(self._rows) + WIDE:
            self._index()
            return
        position = bisect_right(self._times, row.updated)
        self._times.insert(position, row.updated)
        self._touched.insert(position, row.id)

    def _index(self) -> None:
        rows = sorted(self._rows.values(), key=lambda row: row.updated)
        self._times = array("q", [row.updated for row in rows])
        self._touched = array("q", [row.id for row in rows])
