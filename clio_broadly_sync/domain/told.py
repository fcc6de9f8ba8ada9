"""With which reason a closing that waits is told: worked out as of now, and not stored."""

from typing import Final

from clio_broadly_sync.domain.reasons import FAULTS, Reason

_TOLD_FIRST: Final = FAULTS | {Reason.UNKNOWN_OUTCOME, Reason.SURGE}
"""What keeps a closing waiting whether or not anybody may be claimed."""


def told(stored: Reason | None, kept_back: Reason | None, *, settling: bool) -> Reason | None:
    """Return the reason with which a closing that waits is told at this moment.

    `stored` is the one that it has in the ledger; `kept_back`, why nobody may be claimed at this
    moment (`rules.kept_back`), None where somebody may be; `settling`, whether it still rests.
    """
    if kept_back is None or stored in _TOLD_FIRST:
        return stored
    return Reason.SETTLING if settling else kept_back
