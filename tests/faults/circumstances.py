"""What the checker cannot know from the servers: what a person did, and how wrong clocks were.

Each of these allows something that would otherwise be a broken promise, and no more than is said
here.
"""

from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import NamedTuple

ON_TIME = timedelta(0)


class Walked(NamedTuple):
    """A backfill that ended well."""

    first: date
    """The first close date of its range."""
    last: date
    """The last close date of its range, which is part of it."""
    at: datetime
    """The second in which it began; aware UTC."""


class Reader(NamedTuple):
    """A run that read something of Clio; its requests have the numbers between its two marks.

    Those that lie between the marks of another one which ran beside it are that one's.
    """

    begun: int
    """The mark of its beginning."""
    ended: int
    """The mark of its end."""
    done: bool
    """Whether it came to a good end."""
    dry: bool
    """Whether it was a dry run, which writes nothing down."""


class Hours(NamedTuple):
    """The hours in which somebody may be sent, from some POST on."""

    posts: int
    """How many POSTs there were before they were set."""
    days: frozenset[int]
    """The days of the week on which they begin; Monday is 0."""
    begin: int
    """The full hour at which they begin."""
    length: int
    """For how many hours they last by the clock on the wall; a night's are those of its evening."""


class Unread(NamedTuple):
    """What was read between these two marks is unknown since, because an old copy was put back."""

    copied: int
    put_back: int


class Dropped(NamedTuple):
    """A closing that a person dropped."""

    transaction_id: str
    accepted: int
    """How many items Broadly had accepted by then in all."""
    at: datetime
    """When it was dropped; aware UTC."""

    @property
    def matter(self) -> str:
        """Return the part of the transactionId that names the matter."""
        return self.transaction_id.rpartition(":")[0]


class Forgotten(NamedTuple):
    """An old copy of the state was put back, so that no state knows what was accepted meanwhile."""

    copied: int
    """How many items Broadly had accepted when the copy was made."""
    put_back: int
    """How many it had accepted when the copy was put back."""


@dataclass
class Circumstances:
    """What a person did in a world so far, and how wrong its clocks were."""

    backfills: list[Walked] = field(default_factory=list)
    """The backfills that ended well."""
    resent: set[tuple[str, int]] = field(default_factory=set)
    """Closings that a person sent again, with how often Broadly had accepted each by then.

    Broadly may accept each of them once more, and no more than that.
    """
    overruled: dict[str, int] = field(default_factory=dict)
    """The same closings, each with how many POSTs there had been.

    From then on the matter's own box does not count.
    """
    readers: list[Reader] = field(default_factory=list)
    """The runs, in the order in which they ended."""
    unread: list[Unread] = field(default_factory=list)
    """What the copies that were put back had not read, in their order."""
    dropped: list[Dropped] = field(default_factory=list)
    """The closings that a person dropped."""
    forgotten: list[Forgotten] = field(default_factory=list)
    """The copies of the state that were put back."""
    posts_forgotten: int = 0
    """How many POSTs there had been when the last of them was put back."""
    hours: list[Hours] = field(default_factory=list)
    """The sending hours that were set, in their order; before the first there are none."""
    earliest: timedelta = ON_TIME
    """How far ahead of the firm's clock the slowest clock was (not above zero)."""
    latest: timedelta = ON_TIME
    """How far ahead of the firm's clock the fastest clock was."""
    ahead: timedelta = ON_TIME
    """How far Clio's `Date` was ahead of its own records at most.

    By these records the watermark may be too late by as much.
    """

    @property
    def spread(self) -> timedelta:
        """Return the time between the earliest and the latest clock.

        A window in which nobody is asked again may end too early by as much.
        """
        return self.latest - self.earliest

    def note_clocks(self, *, clio: timedelta, machine: timedelta) -> None:
        """Note how far the clocks of Clio and of the machine are ahead of the firm's."""
        self.ahead = max(self.ahead, clio)
        self.earliest = min(self.earliest, clio, machine)
        self.latest = max(self.latest, clio, machine)

    def note_resent(self, transaction_id: str, *, accepted: int, posts: int) -> None:
        """Note that a person sent a closing again.

        `accepted` is how often Broadly has accepted it so far, `posts` how many POSTs there were.
        """
        self.resent.add((transaction_id, accepted))
        self.overruled.setdefault(transaction_id, posts)

    def is_overruled(self, transaction_id: str, post: int) -> bool:
        """Tell whether the POST with this number came after a person had sent the closing again."""
        return post >= self.overruled.get(transaction_id, post + 1)

    def note_put_back(self, then: "Circumstances", copied: int, accepted: Sequence[str]) -> None:
        """Note that an old copy of the state was put back.

        `then` are the circumstances when it was made, and `copied` is how many items Broadly had
        accepted by then; `accepted` names the transactionIds of all that it has accepted by now.

        What a person did since then is forgotten, too. But what they sent again and was accepted
        remains allowed. By the README's recipe they drop what Broadly has received. Until that is
        done, and for closings that do not wait just then, it is nobody's fault if somebody is asked
        a second time.
        """
        kept = deepcopy(then)
        self.backfills, self.dropped = kept.backfills, kept.dropped
        done = {(name, times) for name, times in self.resent if accepted.count(name) > times}
        again = {
            (name, accepted.count(name))
            for name, times in kept.resent
            if accepted[:copied].count(name) == times  # in the copy it still waits to be sent again
        }
        self.resent = kept.resent | done | again
        self.forgotten.append(Forgotten(copied, len(accepted)))
        self.unread.append(Unread(then.last_mark, self.last_mark))

    @property
    def last_mark(self) -> int:
        """Return the mark of the end of the last run; -1 before the first."""
        return max((reader.ended for reader in self.readers), default=-1)

    def remembered(self, accepted: int) -> list[int]:
        """Return the numbers of the accepted items that the state may still know.

        `accepted` is how many were accepted so far; the first has the number 0.
        """
        kept: list[int] = []
        for number in range(accepted + 1):
            for gone in self.forgotten:
                if gone.put_back == number:
                    kept = [one for one in kept if one < gone.copied]
            kept.append(number)
        return kept[:-1]

    def droppings_before(self, accepted: int) -> Iterable[Dropped]:
        """Return what was dropped before the item with this number was accepted."""
        return (one for one in self.dropped if one.accepted <= accepted)
