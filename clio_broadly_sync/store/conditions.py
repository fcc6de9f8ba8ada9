"""Which closings: conditions on the ledger's rows, with the names of their parameters.

Each names the firm, for every index begins with it.
"""

from typing import Any, Final

from clio_broadly_sync.domain.model import Approval, Due
from clio_broadly_sync.domain.reasons import FAULTS, Reason, State
from clio_broadly_sync.store import rows
from clio_broadly_sync.store.schema import PENDING
from clio_broadly_sync.store.sql import words

_FAULTS: Final = words(FAULTS)
_TRIED: Final = words([Reason.RETRY, Reason.UNKNOWN_OUTCOME])

OF_FIRM: Final = "closings.firm = :firm"
OWN_CHANGES: Final = " AND ".join(
    f"changes.{name} = closings.{name}" for name in ("firm", "matter_id", "closed_on")
)
"""The condition that a change is one of the closing at hand."""
IS_FAULT: Final = f"coalesce(closings.reason IN {_FAULTS}, 0)"


def approval(*approvals: Approval) -> str:
    return f"closings.approval IN {words(approvals)}"


AWAITING: Final = (
    f"{OF_FIRM} AND {PENDING} AND closings.command = :command AND {approval(Approval.WANTED)}"
)
"""What waits of a command for a person to approve it, due or not."""

OF_COMMAND: Final = f"""
    {OF_FIRM} AND {PENDING} AND closings.command = :command
    AND (closings.closed_on = '' OR :first IS NULL OR closings.closed_on >= :first)
    AND (closings.closed_on = '' OR :last IS NULL OR closings.closed_on <= :last)
"""
"""What waits of a command and its range, due or not."""

DUE: Final = f"""
    {OF_COMMAND}
    AND (closings.noticed_at <= :noticed_until OR closings.resent = 1)
    AND NOT (closings.decided_in_run = :run AND {IS_FAULT})
    AND NOT (closings.claimed_in_run = :run AND coalesce(closings.reason IN {_TRIED}, 0))
    AND (:faults_until IS NULL OR NOT {IS_FAULT} OR closings.read_at <= :faults_until)
"""
"""What is due, and was not tried or looked at in this run already."""
DUE_WITHOUT_FAULTS: Final = f"{DUE} AND NOT {IS_FAULT}"

HANDED_OVER: Final = f"""
    {OF_FIRM} AND closings.claimed_at > :since AND closings.command = :command
    AND closings.approval != {Approval.GIVEN.value}
    AND closings.state IN {words([State.SENT, State.HELD])}
"""
"""What was handed over since then, or may have been, without a person's approval."""


def parameters(wanted: Due, firm: str, run: int) -> dict[str, Any]:
    """Return the parameters of OF_COMMAND and of DUE."""
    until = wanted.faults_until
    return {
        "firm": firm,
        "command": wanted.command.value,
        "first": rows.day(wanted.first) or None,
        "last": rows.day(wanted.last) or None,
        "noticed_until": rows.seconds(wanted.noticed_until),
        "run": run,
        "faults_until": None if until is None else rows.seconds(until),
    }
