"""What the sandbox's Clio stores: compact rows, each of which can also look odd on purpose.

A firm may hold a million matters. So rows have slots, moments are whole seconds since 1970, dates
are day numbers (`date.toordinal`), and empty and common values are shared. How a row looks in an
answer is said in `sandbox/render.py`.
"""

import enum
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import Any, Final, Generic, TypeAlias, TypeVar

JSON: TypeAlias = Any


class Box(enum.Enum):
    """How a checkbox without a value may look; any other state of a box is simply its value."""

    UNTOUCHED = "a placeholder where the field is displayed, else no entry"
    ABSENT = "no entry"
    PLACEHOLDER = "an entry whose id and value are null"
    EMPTY = "an entry with a real id whose value is null"
    UNREADABLE = "an entry with an id; field_name, field_type and value are null"
    UNREADABLE_BARE = "the same, and custom_field is left out too"


class Sight(enum.Enum):
    """What the token's user may see of a contact."""

    FULL = "everything"
    HIDDEN = "missing from lists, whole on its matters"
    HIDDEN_REDACTED = "missing from lists, redacted on its matters"
    REDACTED = "id and redacted: true, everywhere"


class Missing(enum.Enum):
    """A raw value that leaves the key out although it was asked for."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING
NOTHING: Final[Mapping[Any, JSON]] = MappingProxyType({})


def _nothing() -> Mapping[Any, JSON]:
    return NOTHING


@dataclass(slots=True)
class Contact:
    """A contact: a person, or a company."""

    id: int
    first: str | None
    last: str | None
    company: str | None
    """The name of a company; None for a person."""
    email: str | None
    """The primary e-mail address."""
    phone: str | None
    """The primary phone number, as a person typed it."""
    created: int
    updated: int
    rev: int = 0
    """How often it was changed; the etag is made from it."""
    sight: Sight = Sight.FULL
    is_client: bool = True
    boxes: Mapping[int, JSON | Box] = field(default_factory=_nothing)
    """The states of its boxes by field id; a field that is missing here was never touched."""
    raw: Mapping[str, JSON] = field(default_factory=_nothing)
    """What is shown in place of the truth, by the name in Clio's JSON."""

    @property
    def name(self) -> str:
        return self.company or " ".join(part for part in (self.first, self.last) if part)

    @property
    def surname(self) -> str:
        """Return the last name; in its place, a company has its name."""
        return self.company or self.last or self.first or ""


@dataclass(slots=True)
class Named:
    """A small resource, which has only an id, a name, and what `more` holds by name."""

    id: int
    name: str
    more: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(slots=True)
class Matter:
    """A matter; its dates are in the firm's zone."""

    id: int
    client_id: int | None
    status: str
    """Open, Pending or Closed."""
    opened: int | None
    closed: int | None
    """The close date, which a closed matter need not have."""
    created: int
    updated: int
    pending: int | None = None
    attorney: Named | None = None
    """The responsible attorney, who also brought the client in."""
    area: Named | None = None
    """The practice area."""
    rev: int = 0
    """How often it was changed; the etag is made from it."""
    boxes: Mapping[int, JSON | Box] = field(default_factory=_nothing)
    """The states of its boxes by field id; a field that is missing here was never touched."""
    raw: Mapping[str, JSON] = field(default_factory=_nothing)
    """What is shown in place of the truth, by the name in Clio's JSON."""


@dataclass(slots=True)
class CustomField:
    """The definition of a custom field."""

    id: int
    name: str
    parent_type: str
    """The kind of record that has it: `Contact` or `Matter`."""
    field_type: str
    """Clio's word for the type, such as `checkbox`."""
    created: int
    updated: int
    displayed: bool = True
    """Whether a record shows it by default."""
    required: bool = False
    deleted: bool = False
    display_order: int = 0
    rev: int = 0
    """How often it was changed; the etag is made from it."""
    raw: Mapping[str, JSON] = field(default_factory=_nothing)
    """What is shown in place of the truth, by the name in Clio's JSON."""


Row: TypeAlias = Contact | Matter | CustomField


def etag(row: Row) -> str:
    """Return the etag as Clio shows it, with its quotes inside the string."""
    return f'"{row.rev:08x}{row.id:024x}"'


def moment(seconds: int) -> str:
    """Return a moment as Clio shows it; the seconds are counted since 1970."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def day(number: int | None) -> str | None:
    """Return a date as Clio shows it; the number is one of `date.toordinal`."""
    return None if number is None else date.fromordinal(number).isoformat()


# Tables.

R = TypeVar("R", Contact, Matter, CustomField)
WIDE = 5_000
"""With more changes than this, walking by id is cheaper than sorting what changed."""


class Table(Generic[R]):
    """Rows of one kind, by id, with an index of when each was changed.

    `first_id` is the id of the first row that is added.
    """

    def __init__(self, first_id: int) -> None:
        self._rows: dict[int, R] = {}
        self._ids = array("q")
        """The ids in order."""
        self._next_id = first_id
        self._times = array("q")
        """When each change was made, in the order of time."""
        self._touched = array("q")
        """The id of the row that was changed, for each entry of `_times`."""

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[R]:
        return iter(self._rows.values())

    def get(self, row_id: int | None) -> R | None:
        """Return the row with this id; None where there is none."""
        return None if row_id is None else self._rows.get(row_id)

    def new_id(self) -> int:
        """Return an id that no row has had."""
        self._next_id += 1
        return self._next_id - 1

    def load(self, rows: Iterable[R]) -> None:
        """Fill an empty table with many rows at once, which come in the order of their ids."""
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
        """Remove the row with this id and return it; raise KeyError where there is none."""
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
        """Yield the rows with these ids that follow `after`, in the order of their ids."""
        for row_id in sorted(set(ids)):
            if row_id > after and row_id in self._rows:
                yield self._rows[row_id]

    def changed(self, since: float, after: int = 0) -> Iterator[R]:
        """Return the rows that changed after `since`, in the order of ids.

        `since` is in seconds since 1970. This is quick where few rows changed.
        """
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
