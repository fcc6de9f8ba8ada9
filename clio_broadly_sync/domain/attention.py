"""Which closings go no further until a person has done something."""

from typing import NamedTuple

from clio_broadly_sync.domain.model import Command
from clio_broadly_sync.domain.reasons import ABOUT, Reason
from clio_broadly_sync.domain.states import State


class Attention(NamedTuple):
    """What waits for a person at this moment, beside what a reason says of itself."""

    backfill_left: bool
    """Whether what waits for a backfill was left by it, as none is at work."""
    export_due: bool
    """Whether it is time for a person to write the file for which closings of `sync` wait."""

    def needed(self, state: State, told: Reason | None, command: Command) -> bool:
        """Tell whether a closing waits for a person; `told` is the reason with which it is told."""
        if state is not State.PENDING:
            return state in (State.HELD, State.DEAD)
        return (
            self.is_left(state, command)
            or (told is not None and bool(ABOUT[told].to_do))
            or (self.export_due and told is Reason.EXPORT and command is Command.SYNC)
        )

    def is_left(self, state: State, command: Command) -> bool:
        """Tell whether a backfill has left the closing, which no other run takes."""
        return state is State.PENDING and command is Command.BACKFILL and self.backfill_left
