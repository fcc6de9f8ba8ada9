"""What becomes of closings that were being written into a file when a run was cut short."""

from collections.abc import Callable
from enum import Enum
from typing import Final

from clio_broadly_sync.domain import lifecycle
from clio_broadly_sync.domain.lifecycle import Change
from clio_broadly_sync.domain.model import Closing
from clio_broadly_sync.domain.states import State

BATCH: Final = 100
"""So many clients are claimed at once for a file."""


class Fate(Enum):
    """What became of the file that a run was writing when it was cut short."""

    MADE = "made"
    """It is there under its name, or was taken from there, with everybody whom the run claimed."""
    NOT_MADE = "not made"
    """Nobody has ever seen it under its name."""
    UNKNOWN = "unknown"
    """Somebody may have got it."""


def after(
    fate: Fate | None, otherwise: Callable[[Closing], Closing]
) -> Callable[[Closing], Closing]:
    """Return what tells what becomes of a closing that a run left (`lifecycle.recovered`).

    What was `sending` goes by the fate of its file, and all else by `otherwise`; None says that no
    file was being written.
    """

    def decided(closing: Closing) -> Closing:
        if closing.state is State.SENDING and fate is Fate.MADE:
            return lifecycle.applied(closing, Change(State.SENT))
        if closing.state is State.SENDING and fate is Fate.NOT_MADE:
            return lifecycle.released(closing, None)
        return otherwise(closing)

    return decided
