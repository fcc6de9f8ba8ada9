"""Closings to rows and back."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from enum import Enum
from typing import Any, TypeVar

from sqlalchemy import Row

from clio_broadly_sync.errors import StorageError
from clio_broadly_sync.model import Approval, Closing, Command, Key, Reason, State, SyncRule
from clio_broadly_sync.store.schema import closings

Values = dict[str, Any]
E = TypeVar("E", bound=Enum)


def closing_of(row: Row[Any]) -> Closing:
    """Return the closing; raise StorageError where the row holds what no run could have written."""
    try:
        return _closing_of(row)
    except (KeyError, ValueError, TypeError, OverflowError, OSError):
        raise StorageError(
            "The state is damaged: a closing in it cannot be read; "
            "`clio-broadly-sync verify` tells more."
        ) from None


def _closing_of(row: Sequence[Any]) -> Closing:
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
        marked=bool(marked),
        resent=bool(resent),
        approval=_APPROVALS[approval],
        tries=tries,
        claimed_at=None if claimed_at is None else moment(claimed_at),
        claimed_in_run=claimed_in_run,
        batch=batch,
        updated_at=None if updated_at is None else moment(updated_at),
    )


def values_of(closing: Closing) -> Values:
    return {
        "matter_id": closing.key.matter_id,
        "closed_on": day(closing.key.closed_on),
        "contact_id": closing.contact_id,
        "state": closing.state.value,
        "reason": closing.reason.value if closing.reason else None,
        "command": closing.command.value,
        "rule": closing.rule.value,
        "etag": closing.etag,
        "noticed_at": seconds(closing.noticed_at),
        "read_at": seconds(closing.read_at),
        "read_in_run": closing.read_in_run,
        "marked": int(closing.marked),
        "resent": int(closing.resent),
        "approval": closing.approval.value,
        "tries": closing.tries,
        "claimed_at": None if closing.claimed_at is None else seconds(closing.claimed_at),
        "claimed_in_run": closing.claimed_in_run,
        "batch": closing.batch,
        "updated_at": None if closing.updated_at is None else seconds(closing.updated_at),
    }


_KEPT_BY_THE_LEDGER = ("firm", "decided_in_run", "position", "changed_at")
COLUMNS = [column for column in closings.c if column.name not in _KEPT_BY_THE_LEDGER]
"""What a closing is read from: `closing_of` takes them in this order, and whatever follows them."""


def _by_value(kind: type[E]) -> dict[Any, E]:
    return {member.value: member for member in kind}


_STATES, _REASONS, _APPROVALS = _by_value(State), _by_value(Reason), _by_value(Approval)
_COMMANDS, _RULES = _by_value(Command), _by_value(SyncRule)


def key_of(row: Row[Any]) -> Key:
    return _key(row.matter_id, row.closed_on)


def _key(matter_id: int, closed_on: str) -> Key:
    return Key(matter_id, date.fromisoformat(closed_on) if closed_on else None)


def day(value: date | None) -> str:
    return value.isoformat() if value is not None else ""


def seconds(value: datetime) -> int:
    return int(value.timestamp())


def moment(value: int) -> datetime:
    return datetime.fromtimestamp(value, UTC)
