"""Which closings: conditions on the ledger's rows, to be combined with the firm."""

from typing import Any

from sqlalchemy import ColumnElement, and_, or_

from clio_broadly_sync.model import FAULTS, Approval, Command, Due, Reason, State
from clio_broadly_sync.store import rows
from clio_broadly_sync.store.schema import PENDING, changes, closings

_FAULTS = sorted(reason.value for reason in FAULTS)
OWN_CHANGES = [changes.c[name] == closings.c[name] for name in ("firm", "matter_id", "closed_on")]
"""The condition that a change is one of the closing at hand."""
_TRIED = (Reason.RETRY.value, Reason.UNKNOWN_OUTCOME.value)


def no_fault() -> ColumnElement[bool]:
    return or_(closings.c.reason.is_(None), closings.c.reason.not_in(_FAULTS))


def approval(*approvals: Approval) -> ColumnElement[bool]:
    return closings.c.approval.in_([one.value for one in approvals])


def awaiting(command: Command) -> ColumnElement[bool]:
    """What waits for a person to approve it, due or not."""
    return and_(PENDING, closings.c.command == command.value, approval(Approval.WANTED))


def of_command(wanted: Due) -> ColumnElement[bool]:
    """What waits of a command and its range, due or not."""
    conditions: list[Any] = [PENDING, closings.c.command == wanted.command.value]
    day = closings.c.closed_on
    unreadable = day == rows.day(None)
    if wanted.first is not None:
        conditions.append(or_(unreadable, day >= rows.day(wanted.first)))
    if wanted.last is not None:
        conditions.append(or_(unreadable, day <= rows.day(wanted.last)))
    return and_(*conditions)


def due(wanted: Due, run: int) -> ColumnElement[bool]:
    """What is due, and was not tried or looked at in this run already."""
    settled = closings.c.noticed_at <= rows.seconds(wanted.noticed_until)
    looked = and_(closings.c.decided_in_run == run, closings.c.reason.in_(_FAULTS))
    tried = and_(closings.c.claimed_in_run == run, closings.c.reason.in_(_TRIED))
    conditions = [
        of_command(wanted),
        or_(settled, closings.c.resent == 1),
        or_(closings.c.reason.is_(None), and_(~looked, ~tried)),
    ]
    if wanted.faults_until is not None:
        looked_at = closings.c.read_at <= rows.seconds(wanted.faults_until)
        conditions.append(or_(no_fault(), looked_at))
    return and_(*conditions)


def handed_over(command: Command, since: int) -> ColumnElement[bool]:
    """What was handed over since then, or may have been, without a person's approval."""
    return and_(
        closings.c.claimed_at > since,
        closings.c.command == command.value,
        closings.c.approval != Approval.GIVEN.value,
        closings.c.state.in_([State.SENT.value, State.HELD.value]),
    )
