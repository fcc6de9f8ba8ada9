"""The closing because of which another was passed over later (`asked_recently`).

It is of the same matter under another close date, or of the same person.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, tzinfo
from typing import Final, NamedTuple, Self

from clio_broadly_sync.cli import output
from clio_broadly_sync.domain import rules
from clio_broadly_sync.domain.model import Closing
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.store.history import Step, Story

CORRECTED: Final = (
    f"Another close date within {rules.SAME_MATTER.days} days is taken as a correction, not as a "
    "new closing."
)
_BY_ADDRESS: Final = "with the same e-mail address or phone number"


class Related(NamedTuple):
    """A closing that keeps others from being sent to Broadly."""

    at: datetime
    """When it began to do so (aware UTC): when it was claimed, or dropped."""
    closing: Closing

    def moment(self) -> datetime:
        """Return when it was sent to Broadly, or may have been; otherwise when it was dropped."""
        claimed = self.closing.claimed_at if _counts(self.closing) else None
        return claimed or self.at


class Causes:
    """The changes of some closings that keep others from going, put in order once.

    So the last one before a moment is found at once, and a client with many closings is explained
    in a time that grows only as their number does.
    """

    def __init__(self, stories: Iterable[Story]) -> None:
        found = [Related(step.at, closing) for step, closing in _causes(stories)]
        found.reverse()  # so that of several at one moment, that of the first story comes last
        self._in_order = sorted(found, key=_at)

    @classmethod
    def by_matter(cls, stories: Iterable[Story]) -> dict[int, Self]:
        """Return the causes in the closings of each matter, by its id."""
        found: dict[int, list[Story]] = defaultdict(list)
        for story in stories:
            found[story.closing.key.matter_id].append(story)
        return {matter_id: cls(several) for matter_id, several in found.items()}

    @classmethod
    def of_person(cls, stories: Iterable[Story]) -> Self:
        """Leave out what was dropped and never asked: that keeps only its own matter from going."""
        return cls(story for story in stories if _counts(story.closing))

    def before(self, story: Story) -> Iterator[Related]:
        """Yield the causes before the turn of this closing, but its own, the latest first."""
        end = bisect_right(self._in_order, _turn(story), key=_at)
        before = map(self._in_order.__getitem__, range(end - 1, -1, -1))
        return (one for one in before if one.closing.key != story.closing.key)

    def last_before(self, story: Story) -> Related | None:
        """Return the last of them; None where there is none."""
        return next(self.before(story), None)


def of_matter(story: Story, same_matter: Causes) -> Related | None:
    """Return the closing of the same matter, under another close date, that still counted then.

    Return None where there is none.
    """
    since, own = _turn(story) - rules.SAME_MATTER, story.closing.key.closed_on
    return next(
        (
            found
            for found in same_matter.before(story)
            if found.at > since or rules.corrects(own, found.closing.key.closed_on)
        ),
        None,
    )


def sentence(closing: Closing, former: Related, zone: tzinfo | None) -> str:
    """Return a sentence that says what became of the matter under its `former` closing.

    That is what counts: a new close date changes nothing.
    """
    when = _when(former, zone)
    new = f"the new one, {output.day(closing.key.closed_on)},"
    if closing.state is State.HELD:
        return (
            "Perhaps sent: Broadly's answer was lost, and it is not sent again, because this "
            f"matter was {_became(former.closing)} {when}."
        )
    if former.closing.state is State.SENT:
        return f"Sent to Broadly {when}; under {new} it is not sent again."
    if _counts(former.closing):
        return f"Perhaps sent {when}: Broadly's answer was lost; under {new} it is not sent again."
    return f"Not sent: a person took it out of the outbox {when}, and {new} changes nothing."


def whose(closing: Closing, before: Related | None, zone: tzinfo | None) -> str:
    """Return a sentence that names the matter with which the person was sent to Broadly before.

    `before` is that closing; None where it is not known which.
    """
    if before is None:
        return f"It was another contact in Clio, {_BY_ADDRESS}."
    is_same = before.closing.contact_id == closing.contact_id
    who = "The same contact" if is_same else f"Another contact in Clio, {_BY_ADDRESS},"
    became, when = _became(before.closing), output.moment(before.moment(), zone)
    return f"{who} was {became} for matter {before.closing.key.matter_id} on {when}."


def _when(former: Related, zone: tzinfo | None) -> str:
    on = former.closing.key.closed_on
    under = "without a close date" if on is None else f"under the close date {output.day(on)}"
    return f"on {output.moment(former.moment(), zone)}, {under}"


def _became(closing: Closing) -> str:
    if closing.state is State.SENT:
        return "sent to Broadly"
    return "perhaps sent to Broadly" if _counts(closing) else "taken out of the outbox"


def _counts(closing: Closing) -> bool:
    """Tell whether the client was sent to Broadly, or may have been."""
    return closing.state in (State.SENT, State.HELD) or closing.in_doubt


def _causes(stories: Iterable[Story]) -> Iterator[tuple[Step, Closing]]:
    for story in stories:
        closing = story.closing
        yield from ((step, closing) for step in story.steps if _is_cause(step, closing))


def _is_cause(step: Step, closing: Closing) -> bool:
    """Tell whether this change of a closing keeps others from being sent to Broadly."""
    claimed = step.state is State.SENDING and _counts(closing)
    return claimed or step.reason is Reason.DROPPED


def _turn(story: Story) -> datetime:
    """Return when the closing was passed over.

    One that the ledger does not have has no changes; for it, this is the end of time, so that
    everything lies before it.
    """
    return story.steps[-1].at if story.steps else datetime.max.replace(tzinfo=UTC)


def _at(one: Related) -> datetime:
    return one.at
