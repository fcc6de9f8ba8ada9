"""What the sandbox's Clio stores: compact rows, each with room for oddities.

A firm may hold a million matters, so rows have slots, times are whole seconds, dates are day
numbers, and the empty and the common values are shared. How a row looks on the wire is
`render`'s business.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import Any, Final, TypeAlias

JSON: TypeAlias = Any


class Box(enum.Enum):
    """How a checkbox without a value may look; every other state is simply its value."""

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
    """As a raw value: leave the key out although it was asked for."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING
NOTHING: Final[Mapping[Any, JSON]] = MappingProxyType({})


def _nothing() -> Mapping[Any, JSON]:
    return NOTHING


@dataclass(slots=True)
class Contact:
    id: int
    first: str | None
    last: str | None
    company: str | None
    email: str | None
    phone: str | None
    created: int
    updated: int
    rev: int = 0
    sight: Sight = Sight.FULL
    is_client: bool = True
    boxes: Mapping[int, JSON | Box] = field(default_factory=_nothing)
    raw: Mapping[str, JSON] = field(default_factory=_nothing)

    @property
    def name(self) -> str:
        return self.company or " ".join(part for part in (self.first, self.last) if part)

    @property
    def surname(self) -> str:
        return self.company or self.last or self.first or ""


@dataclass(slots=True)
class Matter:
    id: int
    client_id: int | None
    status: str
    opened: int | None
    closed: int | None
    created: int
    updated: int
    pending: int | None = None
    rev: int = 0
    boxes: Mapping[int, JSON | Box] = field(default_factory=_nothing)
    raw: Mapping[str, JSON] = field(default_factory=_nothing)


@dataclass(slots=True)
class CustomField:
    id: int
    name: str
    parent_type: str
    field_type: str
    created: int
    updated: int
    displayed: bool = True
    required: bool = False
    deleted: bool = False
    display_order: int = 0
    rev: int = 0
    raw: Mapping[str, JSON] = field(default_factory=_nothing)


Row: TypeAlias = Contact | Matter | CustomField


def etag(row: Row) -> str:
    """Clio's etags carry their quotes inside the string."""
    return f'"{row.rev:08x}{row.id:024x}"'


def moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def day(number: int | None) -> str | None:
    return None if number is None else date.fromordinal(number).isoformat()
