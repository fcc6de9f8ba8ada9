"""The row of each reason is whole, and fits the rules, the states and the other rows."""

import pytest

from clio_broadly_sync.domain import rules
from clio_broadly_sync.domain.reasons import ABOUT, FINAL, OF_STATE, TOLD, Reason
from clio_broadly_sync.domain.states import Kind, State

FAULTS_OF_THE_MATTER = {"unreadable_matter", "no_close_date"}
"""The rules that find a fault and decide nothing."""
TOLD_OTHERWISE = {Reason.ASKED_RECENTLY}
"""Of these `explain` shows the closing that came before, which helps more than a sentence."""


def of_kind(*kinds: Kind) -> set[str]:
    return {reason for reason, about in ABOUT.items() if about.kind in kinds}


def test_every_reason_has_its_row() -> None:
    """In the same order, which is that of the rules."""
    assert list(ABOUT) == list(Reason)


def test_rules_are_of_the_kind_of_their_reason() -> None:
    """A rule bears the name of its reason."""
    by_matter = {rule.__name__ for rule in rules.BY_MATTER} - FAULTS_OF_THE_MATTER
    by_contact = {rule.__name__ for rule in (*rules.BY_CONTACT, rules.asked_recently)}
    assert by_matter == of_kind(Kind.MATTER)
    assert by_contact == of_kind(Kind.CONTACT)


def test_whoever_is_skipped_is_told_what_helps() -> None:
    helped = {reason for reason, about in ABOUT.items() if about.helps}
    assert helped == OF_STATE[State.SKIPPED] - TOLD_OTHERWISE


def test_what_waits_has_words_for_a_list() -> None:
    listed = {reason for reason, about in ABOUT.items() if about.waits}
    assert listed == (OF_STATE[State.PENDING] | TOLD) - {None}


@pytest.mark.parametrize("reason", Reason)
def test_what_waits_for_a_person_says_so_everywhere(reason: Reason) -> None:
    """In `explain`, in `status` and in a report; every fault does."""
    about = ABOUT[reason]
    assert bool(about.helps_waiting) == bool(about.to_do)
    assert about.waits_in_word or not about.to_do
    assert about.to_do or about.kind is not Kind.FAULT


@pytest.mark.parametrize("reason", Reason)
def test_words_of_a_cause(reason: Reason) -> None:
    """Where the reason itself says what helps, each of its causes does, too."""
    about = ABOUT[reason]
    assert all(bool(cause.helps) == bool(about.helps) for cause in about.by_cause.values())


def test_reasons_that_no_table_may_allow() -> None:
    """A no is final for nobody who may have been asked; what goes on says nothing against it."""
    assert OF_STATE[State.SENDING] == OF_STATE[State.SENT] == {None}
    assert not OF_STATE[State.PENDING] & {Reason.OPTED_OUT, Reason.NOT_OPTED_IN, *FINAL}
    assert not OF_STATE[State.HELD] & {None, *FINAL}
    assert not any(TOLD & reasons for reasons in OF_STATE.values())
    assert None not in OF_STATE[State.SKIPPED]


def test_each_reason_has_a_label_of_its_own_for_people() -> None:
    """It names the firm's own field, and is no code."""
    labels = [reason.named("Thank {them}") for reason in Reason]
    assert len(set(labels)) == len(labels)
    assert all(label and "_" not in label for label in labels)
    assert Reason.NOT_OPTED_IN.named("Thank {them}") == "without Thank {them}"
    assert Reason("opted_out").named("") == "opted out"
