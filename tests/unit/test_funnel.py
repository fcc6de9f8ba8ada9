"""The terms of the report: which step each closing reaches, and which of them waits for a person.

The table is the policy, spelled out once more: whoever changes a term changes it here as well.
"""

import pytest

from clio_broadly_sync.domain.attention import Attention
from clio_broadly_sync.domain.funnel import Step, missed
from clio_broadly_sync.domain.model import Command
from clio_broadly_sync.domain.reasons import OF_STATE, TOLD, Reason
from clio_broadly_sync.domain.states import State

OUT_OF_SCOPE = {
    Reason.NOT_CLOSED, Reason.NO_CLIENT, Reason.CLOSED_BEFORE_START, Reason.CLOSED_TOO_LONG_AGO
}  # fmt: skip
NOT_TO_BE_ASKED = {
    Reason.NO_CHANNEL, Reason.ASKED_RECENTLY, Reason.COMPANY, Reason.SUPPRESSED, Reason.DROPPED
}  # fmt: skip
ASKED = {Reason.RETRY, Reason.UNKNOWN_OUTCOME}
EVERY = [
    (state, reason)
    for state in State
    for reason in (None, *Reason)
    if reason in OF_STATE[state] or (state is State.PENDING and reason in TOLD)
]
IDS = [f"{state}-{reason}" for state, reason in EVERY]


def expected(state: State, reason: Reason | None) -> Step | None:
    """Return the step that a closing does not reach, by the words of the terms."""
    if state is State.SENT:
        return None
    if state in (State.HELD, State.DEAD, State.SENDING):
        return Step.ACCEPTED
    if state is State.PENDING:
        return Step.ACCEPTED if reason in ASKED else Step.TRIED
    if reason in OUT_OF_SCOPE:
        return Step.IN_SCOPE
    return Step.COULD_BE_ASKED if reason in NOT_TO_BE_ASKED else Step.TRIED


@pytest.mark.parametrize(("state", "reason"), EVERY, ids=IDS)
def test_where_each_closing_drops_out(state: State, reason: Reason | None) -> None:
    assert missed(state, reason, in_doubt=state is State.HELD) is expected(state, reason)


@pytest.mark.parametrize(("state", "reason"), EVERY, ids=IDS)
def test_whoever_may_have_been_asked_was_tried(state: State, reason: Reason | None) -> None:
    """Whatever it waits for by now; but a person's last word stands, and an accepted one is."""
    step = missed(state, reason, in_doubt=True)
    if state is State.SKIPPED:
        assert step is expected(state, reason)
    else:
        assert step is (None if state is State.SENT else Step.ACCEPTED)


NOBODY = Attention(backfill_left=False, export_due=False)


@pytest.mark.parametrize("command", Command)
@pytest.mark.parametrize(("state", "reason"), EVERY, ids=IDS)
def test_what_waits_for_a_person(state: State, reason: Reason | None, command: Command) -> None:
    """What is held or dead, and what waits for one of these reasons."""
    for_one = {
        Reason.SURGE, Reason.CONTACT_HIDDEN, Reason.UNREADABLE_FIELD, Reason.NO_CLOSE_DATE
    }  # fmt: skip
    waits = state is State.PENDING and reason in for_one
    assert NOBODY.needed(state, reason, command) == (waits or state in (State.HELD, State.DEAD))


@pytest.mark.parametrize(("state", "reason"), EVERY, ids=IDS)
def test_what_a_backfill_has_left(state: State, reason: Reason | None) -> None:
    """All that waits for it, whatever for; nothing of `sync`."""
    left = NOBODY._replace(backfill_left=True)
    assert left.is_left(state, Command.BACKFILL) == (state is State.PENDING)
    if state is State.PENDING:
        assert left.needed(state, reason, Command.BACKFILL)
    assert left.needed(state, reason, Command.SYNC) == NOBODY.needed(state, reason, Command.SYNC)


def test_a_file_that_is_due() -> None:
    """It is for what waits for a `sync`."""
    due = NOBODY._replace(export_due=True)
    waits = State.PENDING, Reason.EXPORT
    assert due.needed(*waits, Command.SYNC)
    assert not due.needed(*waits, Command.BACKFILL)
    assert not NOBODY.needed(*waits, Command.SYNC)


def test_words_of_the_steps() -> None:
    """They are public: JSON and files have them."""
    words = [step.word for step in Step]
    assert words == ["closed", "in_scope", "could_be_asked", "tried", "accepted"]
