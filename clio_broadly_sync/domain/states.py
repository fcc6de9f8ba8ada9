"""The states of a closing, and the kinds of reasons that one may have in them."""

from enum import Enum, StrEnum
from typing import Final


class State(StrEnum):
    """Where a closing stands in the ledger."""

    PENDING = "pending"
    """It waits to be sent to Broadly."""
    SENDING = "sending"
    """It was claimed, and what became of it has not been settled yet."""
    SENT = "sent"
    """Broadly has accepted it; nothing leaves this state."""
    SKIPPED = "skipped"
    """It is not sent, for a reason."""
    DEAD = "dead"
    """It is a dead letter, which Broadly rejected or put off too often. Only a person moves it."""
    HELD = "held"
    """It may have been sent. Only a person moves it."""


_NOT_SENT: Final = frozenset({State.SKIPPED, State.HELD})
"""What is not sent is skipped; what is in doubt is held instead."""
_WAITING: Final = frozenset({State.PENDING})


class Kind(Enum):
    """Of what kind a reason is, and in which states a closing may have one of that kind."""

    MATTER = "matter", _NOT_SENT
    """The matter speaks against sending it."""
    CONTACT = "contact", _NOT_SENT
    """The contact speaks against it, or what was sent to the same person before."""
    FINAL = "final", frozenset({State.SKIPPED})
    """It is skipped, and no run decides on it anew."""
    WAITS = "waits", _WAITING
    """Nothing speaks against it, and it waits for its turn."""
    TRIED = "tried", _WAITING
    """Broadly was asked and settled nothing; it is not tried again in the same run."""
    FAULT = "fault", _NOT_SENT | _WAITING
    """The record in Clio is at fault, which is no decision, so it waits until it is too old."""

    TOLD = "told", frozenset[State]()
    """Nobody may be claimed at this moment. It is told, and no closing has it in the ledger."""

    def __init__(self, word: str, states: frozenset[State]) -> None:
        self.states = states
