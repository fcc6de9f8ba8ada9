"""Which hand-over kept a closing back, by the ledger alone, and how `explain` says it."""

from datetime import UTC, date, timedelta
from typing import Any

import pytest
from factories import NOW, make_closing

from clio_broadly_sync.cli.explain import sentences
from clio_broadly_sync.domain.model import Closing
from clio_broadly_sync.domain.reasons import Reason, State
from clio_broadly_sync.store.history import Step, Story

FORMER_DATE = date(2026, 11, 10)
DROPPED = Reason.DROPPED


def changed(at: timedelta, state: State, reason: Reason | None = None) -> Step:
    return Step(NOW + at, 1, "sync", None, state, reason, None, None)


def passed_over(**more: Any) -> Story:
    """Return the closing under its new date, whose turn came at NOW."""
    known = {"state": State.SKIPPED, "reason": Reason.ASKED_RECENTLY} | more
    closing = make_closing(77, **known)
    return Story(closing, (changed(timedelta(0), closing.state, closing.reason),))


def former(ago: timedelta, state: State = State.SENT, **more: Any) -> Story:
    """Return the closing of the same matter under its former date, claimed some time ago."""
    closing = make_closing(77, FORMER_DATE, state=state, **more)
    steps = [changed(-ago, State.SENDING), changed(-ago, state, closing.reason)]
    return Story(closing, tuple(steps))


@pytest.mark.parametrize(
    ("ago", "counts"),
    [
        (timedelta(0), True),
        (timedelta(days=30) - timedelta(seconds=1), True),
        (timedelta(days=30), False),
        (-timedelta(seconds=1), False),
    ],
)
def test_same_matter_counts_for_thirty_days(ago: timedelta, counts: bool) -> None:
    """As in the rule; and what was handed over after the turn was not its cause."""
    found = sentences.related_by_matter(passed_over(), [former(ago)])
    assert (found is not None) is counts


def test_closing_is_not_its_own_cause() -> None:
    """A marked one was claimed once itself."""
    own = passed_over(state=State.HELD, in_doubt=True)
    own = Story(own.closing, (changed(-timedelta(days=1), State.SENDING), *own.steps))
    assert sentences.related_by_matter(own, [own]) is None
    assert sentences.related_by_person(own, [own]) is None


@pytest.mark.parametrize("state", [State.DEAD, State.PENDING, State.SKIPPED])
def test_what_never_reached_the_client_is_no_cause(state: State) -> None:
    """Rejected, given back, or passed over after a claim."""
    others = [former(timedelta(days=1), state)]
    assert sentences.related_by_matter(passed_over(), others) is None
    assert sentences.related_by_person(passed_over(), others) is None


def test_dropped_one_keeps_its_matter_but_not_its_contact() -> None:
    """It never was handed over; but a corrected date does not bring it back."""
    others = [former(timedelta(days=1), State.SKIPPED, reason=DROPPED)]
    assert sentences.related_by_matter(passed_over(), others) is not None
    assert sentences.related_by_person(passed_over(), others) is None


def test_last_one_of_several_is_named() -> None:
    """Of a contact with many matters, the one that was handed over last."""
    others = [
        Story(make_closing(matter, state=State.SENT), former(timedelta(days=ago)).steps)
        for matter, ago in ((1, 20), (2, 10), (3, 15))
    ]
    found = sentences.related_by_person(passed_over(), others)
    assert found is not None
    assert found.closing.key.matter_id == 2


def test_foreseen_one_comes_after_everything() -> None:
    """Whatever this machine's clock says: the ledger's times are those of Clio."""
    foreseen = Story(passed_over().closing, ())
    assert sentences.related_by_person(foreseen, [former(-timedelta(hours=1))]) is not None


SENT = make_closing(77, FORMER_DATE, state=State.SENT)
LOST = make_closing(77, FORMER_DATE, state=State.HELD, in_doubt=True)
OUT = make_closing(77, FORMER_DATE, state=State.SKIPPED, reason=DROPPED)
UNDER = "on 20 Nov 2026, 18:00, under the close date 10 Nov 2026"
NEW = "under the new one, 18 Nov 2026, it is not asked"
SAID = [
    (SENT, f"Handed over to Broadly {UNDER}; {NEW} again."),
    (LOST, f"Perhaps handed over {UNDER}, for Broadly's answer was lost; {NEW}."),
    (
        OUT,
        f"Not handed over: a person took it out of the outbox {UNDER}, and the new one, "
        "18 Nov 2026, changes nothing.",
    ),
]


@pytest.mark.parametrize(("closing", "says"), SAID)
def test_sentence_begins_with_what_became_of_the_matter(closing: Closing, says: str) -> None:
    """Not with what became of the second close date."""
    found = sentences.Related(NOW, closing)
    assert sentences.related_sentence(passed_over().closing, found, UTC) == says


def test_lost_one_that_was_dropped_tells_when_it_was_sent() -> None:
    """Not when a person took it out of the outbox, perhaps days later."""
    claimed = NOW - timedelta(days=2)
    found = sentences.Related(NOW, OUT._replace(in_doubt=True, claimed_at=claimed))
    text = sentences.related_sentence(passed_over().closing, found, UTC)
    assert text.startswith("Perhaps handed over on 18 Nov 2026, 18:00, under the close date")


@pytest.mark.parametrize(
    ("closing", "became"),
    [(SENT, "handed over"), (LOST, "perhaps handed over"), (OUT, "taken out of the outbox")],
)
def test_held_one_names_the_former_date(closing: Closing, became: str) -> None:
    """Its own answer was lost, too, which comes first."""
    own = passed_over(state=State.HELD, in_doubt=True).closing
    text = sentences.related_sentence(own, sentences.Related(NOW, closing), UTC)
    assert text.startswith("Perhaps handed over, for Broadly's answer was lost; and it is not sent")
    assert text.endswith(f"because this matter was {became} {UNDER}.")


def test_former_closing_without_a_date() -> None:
    """What waited as unreadable and was dropped may have none."""
    found = sentences.Related(NOW, make_closing(77, None, state=State.SKIPPED, reason=DROPPED))
    assert "18:00, without a close date" in sentences.related_sentence(
        passed_over().closing, found, UTC
    )


def test_whose() -> None:
    """The matter is named wherever it is known, and whether it was the same contact."""
    when = "for matter 77 on 20 Nov 2026, 18:00."
    same, other = passed_over().closing, passed_over(contact_id=5).closing
    sent, lost = sentences.Related(NOW, SENT), sentences.Related(NOW, LOST)
    assert sentences.whose(same, sent, UTC) == f"The same contact was handed over {when}"
    assert sentences.whose(same, lost, UTC) == f"The same contact was perhaps handed over {when}"
    address = "with the same e-mail address or phone number"
    assert sentences.whose(other, sent, UTC) == (
        f"Another contact in Clio, {address}, was handed over {when}"
    )
    assert sentences.whose(same, None, UTC) == f"It was another contact in Clio, {address}."
