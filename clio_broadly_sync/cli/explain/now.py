"""How closings that wait, or were sent, stand in Clio at this moment.

What waits is decided on as the next run of its command would do it, and nothing is recorded.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, NamedTuple, TypeVar

from clio_broadly_sync.cli import app, objections
from clio_broadly_sync.cli.explain import sentences
from clio_broadly_sync.cli.explain.preview import Preview
from clio_broadly_sync.cli.explain.sentences import Given
from clio_broadly_sync.domain import lifecycle
from clio_broadly_sync.domain.lifecycle import MatterRead, Moment
from clio_broadly_sync.domain.model import (
    Box,
    Closing,
    Command,
    Contact,
    Decision,
    Key,
    Matter,
    Verdict,
)
from clio_broadly_sync.domain.reasons import FAULTS
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.pipeline.report import decision_of
from clio_broadly_sync.settings import Settings
from clio_broadly_sync.store import Store
from clio_broadly_sync.store.history import Story

AT_ONCE: Final = 100
"""So many matters or contacts are read by one request."""
NOT_ASKED: Final = "Clio could not be asked how that is now."

T = TypeVar("T")


class Seen(NamedTuple):
    """How a closing stands in Clio."""

    says: str | None
    """A sentence about it; None where there is nothing to say."""
    decision: Decision | None = None
    """What would be decided on a closing that waits; None for every other."""
    opted_out: bool | None = None
    """Whether the client of a closing that was sent has the box checked; None where that is not
    known, and for every other closing."""


def concerns(stories: Iterable[Story]) -> bool:
    """Tell whether there is anything here of which Clio is to be asked."""
    return any(story.closing.state in (State.PENDING, State.SENT) for story in stories)


class Now:
    """Clio as it is now. Every method may raise any SyncError."""

    def __init__(self, settings: Settings, store: Store, given: Given, preview: Preview) -> None:
        self._policies = {one: app.policy(settings, one, store) for one in Command}
        self._given = given
        self._preview = preview

    def see(self, stories: Sequence[Story], known: Iterable[Key]) -> dict[Key, Seen]:
        """Return how those of these closings stand that wait or were sent.

        `known` are all the closings of their matters.
        """
        waiting = [story for story in stories if story.closing.state is State.PENDING]
        sent = [story for story in stories if story.closing.state is State.SENT]
        matters = _read(self._preview.matters, (story.closing.key.matter_id for story in waiting))
        keys = frozenset(known)
        looks = [self._by_matter(story.closing, matters, keys) for story in waiting]
        going = [look.closing.contact_id for look in looks if look.goes_on]
        of_sent = [story.closing.contact_id for story in sent if self._preview.reads_opt_outs]
        contacts = _read(self._preview.contacts, (id_ for id_ in (*going, *of_sent) if id_))
        seen = {}
        for story, look in zip(waiting, looks, strict=True):
            seen[story.closing.key] = self._waits(story, self._decided(look, contacts))
        for story in sent:
            seen[story.closing.key] = self._was_sent(story, contacts)
        return seen

    def _by_matter(
        self, closing: Closing, matters: Mapping[int, Matter], known: frozenset[Key]
    ) -> MatterRead:
        matter = matters.get(closing.key.matter_id)
        if matter is None:
            return lifecycle.gone(closing)
        policy = self._policies[closing.command]
        look = lifecycle.matter_read(closing, matter, policy, self._at(), again=True)
        has_moved = look.closing.key != closing.key and look.closing.key in known
        return lifecycle.gone(closing) if has_moved else look

    def _decided(self, look: MatterRead, contacts: Mapping[int, Contact]) -> Closing:
        closing = look.closing
        if not look.goes_on:
            return closing
        contact, policy = contacts.get(closing.contact_id or 0), self._policies[closing.command]
        if closing.reason in FAULTS:  # it was the contact's, which is read just now
            closing = closing._replace(reason=None)
        return self._preview.judged(closing, contact, policy, self._at())

    def _at(self) -> Moment:
        policy, now = self._given.policy, app.our_clock()
        return Moment(policy.since_run, now, self._given.today, zone=self._given.zone)

    def _waits(self, story: Story, closing: Closing) -> Seen:
        """Return what is said of a closing that waits and is to be like this."""
        why = sentences.why(Story(closing._replace(read_at=app.our_clock()), ()), self._given)
        if closing.state is not State.PENDING:
            return Seen(f"As Clio shows it now, it will not be sent: {why}.", decision_of(closing))
        if closing.reason in FAULTS and closing.reason is story.closing.reason:
            return Seen("Clio was asked just now, and it is still so.", decision_of(closing))
        if closing.reason in FAULTS:
            return Seen(f"As Clio shows it now, it goes on waiting: {why}.", decision_of(closing))
        says = "Clio was asked just now: nothing speaks against sending it."
        if story.closing.reason in FAULTS:
            says += f" Not to wait any longer: {sentences.anew(closing, self._given)}"
        return Seen(says, Decision(Verdict.SEND))

    def _was_sent(self, story: Story, contacts: Mapping[int, Contact]) -> Seen:
        """Return whether the client of a closing that was sent has opted out since."""
        if not self._preview.reads_opt_outs:
            return Seen(None)
        contact = contacts.get(story.closing.contact_id or 0)
        if contact is None:
            return Seen("Clio does not show the client now, nor whether they have opted out since.")
        match contact.opted_out:
            case Box.UNREADABLE:
                return Seen("Whether the client has opted out since cannot be read in Clio.")
            case Box.CHECKED:
                noted = story.objected_at is not None
                return Seen(None if noted else objections.SEEN_NOW, opted_out=True)
        if story.objected_at is not None:
            return Seen("By now the box is not checked any more.", opted_out=False)
        return Seen("The client has not opted out since, as Clio shows it now.", opted_out=False)


def _read(read: Callable[[list[int]], Mapping[int, T]], ids: Iterable[int]) -> dict[int, T]:
    """Read what has these ids, so many at once as one request can ask for."""
    found: dict[int, T] = {}
    for some in _chunks(dict.fromkeys(ids)):
        found |= read(some)
    return found


def _chunks(ids: Iterable[int]) -> Iterator[list[int]]:
    rest = iter(ids)
    while some := list(islice(rest, AT_ONCE)):
        yield some
