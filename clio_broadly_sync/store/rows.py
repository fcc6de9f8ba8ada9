"""Closings to rows and back."""

from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Row

from clio_broadly_sync.errors import StorageError
from clio_broadly_sync.model import Approval, Closing, Command, Key, Reason, State, SyncRule
from clio_broadly_sync.store.schema import closings

Values = dict[str, Any]


def closing_of(row: Row[Any]) -> Closing:
    """Return the closing; raise StorageError where the row holds what no run could have written."""
    try:
        return _closing_of(row)
    except (ValueError, TypeError, OverflowError, OSError):
        raise StorageError(
            "The state is damaged: a closing in it cannot be read; "
            "`clio-broadly-sync verify` tells more."
        ) from None


def _closing_of(row: Row[Any]) -> Closing:
    return Closing(
        key=key_of(row),
        contact_id=row.contact_id,
        state=State(row.state),
        reason=Reason(row.reason) if row.reason else None,
        command=Command(row.command),
        rule=SyncRule(row.rule),
        etag=row.etag,
        noticed_at=moment(row.noticed_at),
        read_at=moment(row.read_at),
        read_in_run=row.read_in_run,
        marked=bool(row.marked),
        resent=bool(row.resent),
        approval=Approval(row.approval),
        tries=row.tries,
        claimed_at=None if row.claimed_at is None else moment(row.claimed_at),
        claimed_in_run=row.claimed_in_run,
        batch=row.batch,
        updated_at=None if row.updated_at is None else moment(row.updated_at),
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


def key_of(row: Row[Any]) -> Key:
    return Key(row.matter_id, date.fromisoformat(row.closed_on) if row.closed_on else None)


def day(value: date | None) -> str:
    return value.isoformat() if value is not None else ""


def seconds(value: datetime) -> int:
    return int(value.timestamp())


def moment(value: int) -> datetime:
    return datetime.fromtimestamp(value, UTC)
