"""How far closings come on the way from closed to accepted: the five steps that are counted.

This is the one place that says what “in scope”, “could be asked”, “tried” and “accepted” mean. What
a reason does to a closing follows from its kind in `domain/reasons.py`.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

from clio_broadly_sync.domain.reasons import ABOUT, TRIED, Reason
from clio_broadly_sync.domain.states import Kind, State


class Step(IntEnum):
    """A step; whatever reaches one has reached all before it."""

    CLOSED = 0
    """It is in the ledger."""
    IN_SCOPE = 1
    """Clio still shows it as closed, for a client, and not too long ago for this program."""
    COULD_BE_ASKED = 2
    """Its client can be reached, was not asked shortly before, and nobody ruled it out for good.
    The two boxes come later, so that what they leave out shows."""
    TRIED = 3
    """It was given to Broadly, whatever the answer was."""
    ACCEPTED = 4
    """Broadly has accepted it."""

    @property
    def word(self) -> str:
        """The step's word in JSON, such as `in_scope`."""
        return self.name.lower()


_BOXES: Final = frozenset({Reason.NOT_OPTED_IN, Reason.OPTED_OUT})
_MISSED: Final[Mapping[Kind, Step]] = {
    Kind.MATTER: Step.IN_SCOPE,
    Kind.CONTACT: Step.COULD_BE_ASKED,
    Kind.FINAL: Step.COULD_BE_ASKED,
}


def missed(state: State, reason: Reason | None, *, in_doubt: bool) -> Step | None:
    """Return the first step that a closing does not reach; None where it has reached them all.

    The state comes before the reason: what is held for an opt-out, say, may have been asked.
    `reason` may be one that is only told (`domain/told.py`).
    """
    if state is State.SENT:
        return None
    if state is not State.SKIPPED and (state is not State.PENDING or in_doubt or reason in TRIED):
        return Step.ACCEPTED
    if reason is None or reason in _BOXES:
        return Step.TRIED
    return _MISSED.get(ABOUT[reason].kind, Step.TRIED)
