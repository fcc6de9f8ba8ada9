"""How closings become rows and rows become closings, and how a statement names a list."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from enum import Enum
from functools import lru_cache
from typing import Any, Final, TypeVar

from clio_broadly_sync.domain.consent import Channels
from clio_broadly_sync.domain.errors import StorageError
from clio_broadly_sync.domain.model import Approval, Closing, Command, Key, SyncRule
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.store.database import Row

E = TypeVar("E", bound=Enum)
T = TypeVar("T")

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
    "in_doubt",
    "resent",
    "approval",
    "tries",
    "claimed_at",
    "claimed_in_run",
    "batch",
    "updated_at",
    "cause",
    "channels",
    "number",
)
"""The columns that hold a closing, in the order in which they are read. The other columns are the
ledger's own."""
SELECTED: Final = ", ".join(f"closings.{column}" for column in COLUMNS)
OF_FIRM: Final = "closings.firm = :firm"
"""This is part of every condition, because every index begins with the firm."""
OWN_CHANGES: Final = "changes.firm = closings.firm AND changes.closing = closings.number"
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
        in_doubt,
        resent,
        approval,
        tries,
        claimed_at,
        claimed_in_run,
        batch,
        updated_at,
        cause,
        channels,
        number,
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
        in_doubt=bool(in_doubt),
        resent=bool(resent),
        approval=_APPROVALS[approval],
        tries=tries,
        claimed_at=None if claimed_at is None else moment(claimed_at),
        claimed_in_run=claimed_in_run,
        batch=batch,
        updated_at=None if updated_at is None else moment(updated_at),
        cause=cause,
        channels=_CHANNELS[channels] if channels else None,
        number=number,
    )


def values_of(closing: Closing) -> tuple[Any, ...]:
    """Return what is stored of a closing, in the order of `COLUMNS`; its number comes last."""
    key, claimed_at, updated_at = closing.key, closing.claimed_at, closing.updated_at
    return (
        key.matter_id,
        day(key.closed_on),
        closing.contact_id,
        str(closing.state),
        None if closing.reason is None else str(closing.reason),
        str(closing.command),
        str(closing.rule),
        closing.etag,
        seconds(closing.noticed_at),
        seconds(closing.read_at),
        closing.read_in_run,
        int(closing.in_doubt),
        int(closing.resent),
        int(closing.approval),
        closing.tries,
        None if claimed_at is None else seconds(claimed_at),
        closing.claimed_in_run,
        closing.batch,
        None if updated_at is None else seconds(updated_at),
        closing.cause,
        None if closing.channels is None else str(closing.channels),
        closing.number,
    )


def difference(old: Closing, new: Closing) -> dict[str, Any]:
    """Return the columns in which `new` differs from `old`, with the values to be stored.

    `read_at` is always one of them: a closing that was just read may be at work with a later
    `read_at` than its row has.
    """
    columns = zip(COLUMNS, values_of(old), values_of(new), strict=True)
    return {name: after for name, was, after in columns if after != was or name == "read_at"}


def _by_value(kind: type[E]) -> dict[Any, E]:
    return {member.value: member for member in kind}


_STATES, _REASONS, _APPROVALS = _by_value(State), _by_value(Reason), _by_value(Approval)
_COMMANDS, _RULES, _CHANNELS = _by_value(Command), _by_value(SyncRule), _by_value(Channels)


_day = lru_cache(date.fromisoformat)


def key_of(row: Row) -> Key:
    return _key(row["matter_id"], row["closed_on"])


def _key(matter_id: int, closed_on: str) -> Key:
    return Key(matter_id, _day(closed_on) if closed_on else None)


def day(value: date | None) -> str:
    """Return the date as `YYYY-MM-DD`, and an empty text for None."""
    return value.isoformat() if value is not None else ""


def seconds(value: datetime) -> int:
    """Return an aware moment as whole seconds since 1970 in UTC."""
    return int(value.timestamp())


@lru_cache
def moment(value: int) -> datetime:
    """Return the moment so many seconds after the beginning of 1970, in aware UTC."""
    return datetime.fromtimestamp(value, UTC)


# Lists within a statement.


def among(name: str, values: Collection[Any]) -> tuple[str, dict[str, Any]]:
    """Return a list of parameters as a text in brackets, and the parameters with their values.

    Their names begin with `name`. Nothing is in an empty list.
    """
    names, listed = _parameters(name, len(values))
    return listed, dict(zip(names, values, strict=True))


@lru_cache
def _parameters(name: str, number: int) -> tuple[list[str], str]:
    names = [f"{name}_{n}" for n in range(number)]
    return names, f"({', '.join(f':{parameter}' for parameter in names) or 'NULL'})"


_LOTS: Final = (50, 10, 1)
"""A statement writes so many rows. One for each row would take a third longer, and of one for
whatever number of rows there is, the database would hardly meet the same twice."""


def in_lots(several: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield the rows in as few lots as there can be of these sizes."""
    begin = 0
    for size in _LOTS:
        while len(several) - begin >= size:
            yield several[begin : begin + size]
            begin += size


def places(columns: int, lot: int) -> str:
    """Return the parameters of a lot of rows, by place."""
    row = f"({', '.join('?' * columns)})"
    return ", ".join([row] * lot)
