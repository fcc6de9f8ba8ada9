"""The hand-over for whose sake a closing was passed over later (`asked_recently`), and its words.

Of the same matter under another close date, or of the same person. Asks nobody.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, tzinfo
from typing import Final, NamedTuple

from clio_broadly_sync.cli import times
from clio_broadly_sync.domain import rules
from clio_broadly_sync.domain.model import Closing
from clio_broadly_sync.domain.reasons import Reason, State
from clio_broadly_sync.store.history import Step, Story

CORRECTED: Final = (
    f"Another close date within {rules.SAME_MATTER.days} days is taken as a correction, not as a "
    "new closing."
)
_BY_ADDRESS: Final = "with the same e-mail address or phone number"


class Earlier(NamedTuple):
    """Another closing, and when it began to keep others back: by a claim, or dropped."""

    at: datetime
    closing: Closing

    def moment(self) -> datetime:
        """Return when it was handed over, or perhaps was; what never was, when it was dropped."""
        claimed = self.closing.claimed_at if _counts(self.closing) else None
        return claimed or self.at


def of_matter(story: Story, others: Iterable[Story]) -> Earlier | None:
    """Return what became of the same matter under another close date, where it still counted."""
    since = _turn(story) - rules.SAME_MATTER
    return _last(found for found in _before(story, others) if found.at > since)


def of_person(story: Story, others: Iterable[Story]) -> Earlier | None:
    """Return the last hand-over of the same person; what was dropped before is none."""
    return _last(found for found in _before(story, others) if _counts(found.closing))


def sentence(closing: Closing, former: Earlier, zone: tzinfo | None) -> str:
    """Say what became of the matter, which is what counts, and that a new date changes nothing."""
    when = _when(former, zone)
    new = f"the new one, {times.day(closing.key.closed_on)},"
    if closing.state is State.HELD:
        return (
            "Perhaps handed over, for Broadly's answer was lost; and it is not sent again, because "
            f"this matter was {_became(former.closing)} {when}."
        )
    if former.closing.state is State.SENT:
        return f"Handed over to Broadly {when}; under {new} it is not asked again."
    if _counts(former.closing):
        return (
            f"Perhaps handed over {when}, for Broadly's answer was lost; under {new} it is not "
            "asked."
        )
    return f"Not handed over: a person took it out of the outbox {when}, and {new} changes nothing."


def whose(closing: Closing, before: Earlier | None, zone: tzinfo | None) -> str:
    """Name the matter with which the person was handed over; None: it is not known which."""
    if before is None:
        return f"It was another contact in Clio, {_BY_ADDRESS}."
    is_same = before.closing.contact_id == closing.contact_id
    who = "The same contact" if is_same else f"Another contact in Clio, {_BY_ADDRESS},"
    became, when = _became(before.closing), times.moment(before.moment(), zone)
    return f"{who} was {became} for matter {before.closing.key.matter_id} on {when}."


def _when(former: Earlier, zone: tzinfo | None) -> str:
    on = former.closing.key.closed_on
    under = "without a close date" if on is None else f"under the close date {times.day(on)}"
    return f"on {times.moment(former.moment(), zone)}, {under}"


def _became(closing: Closing) -> str:
    if closing.state is State.SENT:
        return "handed over"
    return "perhaps handed over" if _counts(closing) else "taken out of the outbox"


def _counts(closing: Closing) -> bool:
    """Tell whether the client was handed over, or perhaps was."""
    return closing.state in (State.SENT, State.HELD) or closing.marked


def _before(story: Story, others: Iterable[Story]) -> Iterator[Earlier]:
    for other in others:
        moments = [step.at for step in other.steps if _is_cause(step, other.closing)]
        past = [at for at in moments if at <= _turn(story)]
        if other.closing.key != story.closing.key and past:
            yield Earlier(max(past), other.closing)


def _is_cause(step: Step, closing: Closing) -> bool:
    """Tell whether this change of a closing keeps others from being handed over."""
    claimed = step.state is State.SENDING and _counts(closing)
    return claimed or step.reason is Reason.DROPPED


def _turn(story: Story) -> datetime:
    """Return when the closing was passed over; one that is only foreseen, at the end of time."""
    return story.steps[-1].at if story.steps else datetime.max.replace(tzinfo=UTC)


def _last(found: Iterable[Earlier]) -> Earlier | None:
    return max(found, key=lambda one: one.at, default=None)
