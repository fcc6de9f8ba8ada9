"""How closings become rows and rows become closings, and how a statement names a list."""

import sqlite3
from collections.abc import Callable, Iterable, Sized
from datetime import UTC, date, datetime
from enum import Enum
from operator import attrgetter
from typing import Any, Final, TypeVar

from clio_broadly_sync.domain.errors import StorageError
from clio_broadly_sync.domain.model import Approval, Closing, Command, Key, SyncRule
from clio_broadly_sync.domain.reasons import Reason, State

E = TypeVar("E", bound=Enum)

COLUMNS: Final = (
    "matter_id",
    "closed_on",
    "contact_id",
    "state",
    "reason",
    "command",
    "rule",
    "etag",
    "noticed_at",
    "read_at",
    "read_in_run",
    "marked",
    "resent",
    "approval",
    "tries",
    "claimed_at",
    "claimed_in_run",
    "batch",
    "updated_at",
    "cause",
)
"""The columns that hold a closing, in the order in which they are read and written. The other
columns are the ledger's own. `marked` is what `Closing` calls `in_doubt`."""
SELECTED: Final = ", ".join(f"closings.{column}" for column in COLUMNS)
OF_FIRM: Final = "closings.firm = :firm"
"""This is part of every condition, because every index begins with the firm."""
OWN_CHANGES: Final = " AND ".join(
    f"changes.{name} = closings.{name}" for name in ("firm", "matter_id", "closed_on")
)
"""The condition that a change belongs to the closing at hand."""


def closing_of(row: Iterable[Any]) -> Closing:
    """Return the closing of a row that begins with the columns of `SELECTED`.

    Raise StorageError where the row holds what no run could have written.
    """
    try:
        return _closing_of(row)
    except (KeyError, ValueError, TypeError, OverflowError, OSError):
        raise StorageError(
            "The state is damaged: a closing in it cannot be read; "
            "`clio-broadly-sync verify` tells more."
        ) from None


def _closing_of(row: Iterable[Any]) -> Closing:
    (
        matter_id,
        closed_on,
        contact_id,
        state,
        reason,
        command,
        rule,
        etag,
        noticed_at,
        read_at,
        read_in_run,
        marked,
        resent,
        approval,
        tries,
        claimed_at,
        claimed_in_run,
        batch,
        updated_at,
        cause,
        *_,
    ) = row
    return Closing(
        key=_key(matter_id, closed_on),
        contact_id=contact_id,
        state=_STATES[state],
        reason=_REASONS[reason] if reason else None,
        command=_COMMANDS[command],
        rule=_RULES[rule],
        etag=etag,
        noticed_at=moment(noticed_at),
        read_at=moment(read_at),
        read_in_run=read_in_run,
        in_doubt=bool(marked),
        resent=bool(resent),
        approval=_APPROVALS[approval],
        tries=tries,
        claimed_at=None if claimed_at is None else moment(claimed_at),
        claimed_in_run=claimed_in_run,
        batch=batch,
        updated_at=None if updated_at is None else moment(updated_at),
        cause=cause,
    )


def values_of(closing: Closing) -> tuple[Any, ...]:
    """Return what is stored of a closing, in the order of `COLUMNS`."""
    return tuple([_stored(value) for value in _flat(closing)])


def difference(old: Closing, new: Closing) -> dict[str, Any]:
    """Return the columns in which `new` differs from `old`, with the values to be stored.

    `read_at` is always one of them: a closing that was just read may be at work with a later
    `read_at` than its row has.
    """
    several = zip(COLUMNS, _flat(old), _flat(new), strict=True)
    return {
        column: _stored(after)
        for column, before, after in several
        if after != before or column == "read_at"
    }


def _flat(closing: Closing) -> tuple[Any, ...]:
    """Return a closing's values in the order of `COLUMNS`, which is the order of its fields too."""
    key, *others = closing
    return (key.matter_id, day(key.closed_on), *others)


def _stored(value: Any) -> Any:
    convert = _CONVERSIONS.get(type(value))
    return value if convert is None else convert(value)


def _by_value(kind: type[E]) -> dict[Any, E]:
    return {member.value: member for member in kind}


_STATES, _REASONS, _APPROVALS = _by_value(State), _by_value(Reason), _by_value(Approval)
_COMMANDS, _RULES = _by_value(Command), _by_value(SyncRule)


def key_of(row: sqlite3.Row) -> Key:
    return _key(row["matter_id"], row["closed_on"])


def _key(matter_id: int, closed_on: str) -> Key:
    return Key(matter_id, date.fromisoformat(closed_on) if closed_on else None)


def day(value: date | None) -> str:
    """Return the date as `YYYY-MM-DD`, and an empty text for None."""
    return value.isoformat() if value is not None else ""


def seconds(value: datetime) -> int:
    """Return an aware moment as whole seconds since 1970 in UTC."""
    return int(value.timestamp())


def moment(value: int) -> datetime:
    """Return the moment so many seconds after the beginning of 1970, in aware UTC."""
    return datetime.fromtimestamp(value, UTC)


_CONVERSIONS: Final[dict[type, Callable[[Any], Any]]] = {
    datetime: seconds,
    **dict.fromkeys((State, Reason, Approval, Command, SyncRule), attrgetter("value")),
}


# Lists within a statement.


def words(members: Iterable[Enum]) -> str:
    """Return a list of the members' values as literals, for a statement that never changes.

    This is only for the program's own words: nothing in them is escaped.
    """
    return f"({', '.join(sorted(repr(member.value) for member in members))})"


def marks(values: Sized) -> str:
    """Return a list of as many parameters as there are values."""
    return f"({', '.join('?' * len(values))})"
