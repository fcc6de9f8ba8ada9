"""The ways from state to state that a closing may go."""

from collections.abc import Mapping
from typing import Final

from clio_broadly_sync.domain.states import State

TRANSITIONS: Final[Mapping[State | None, frozenset[State]]] = {
    None: frozenset({State.PENDING, State.SKIPPED}),
    State.PENDING: frozenset({State.PENDING, State.SENDING, State.SKIPPED, State.HELD}),
    State.SENDING: frozenset(State) - {State.SENDING},
    State.SENT: frozenset(),
    State.SKIPPED: frozenset({State.SKIPPED, State.PENDING}),
    State.DEAD: frozenset({State.PENDING, State.SKIPPED}),
    State.HELD: frozenset({State.PENDING, State.SKIPPED}),
}
"""The states into which a closing may go from a state; None stands for a closing that is new."""
