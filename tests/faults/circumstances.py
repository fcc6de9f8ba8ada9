"""What the servers' records do not tell the checker: what a person did, and how clocks went.

Each of these allows something, and no more than is said here.
"""

from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import NamedTuple

ON_TIME = timedelta(0)


class Walked(NamedTuple):
    """A backfill that ended well: its range, and in which second it began."""

    first: date
    last: date
    at: datetime


class Dropped(NamedTuple):
    """A closing that a person let go, when Broadly had accepted so many all told."""

    transaction_id: str
    accepted: int
    at: datetime

    @property
    def matter(self) -> str:
        return self.transaction_id.rpartition(":")[0]


class Forgotten(NamedTuple):
    """An old copy was put back: what Broadly accepted from the one number to the other is in no
    state any more."""

    copied: int
    put_back: int


@dataclass
class Circumstances:
    """`resent`: closings that a person sent again, each with how often Broadly had accepted it
    by then; it may accept each of them once more, no more. `overruled`: the same closings, each
    with how many POSTs there had been; from then on its own box does not count.

    `ahead`: how far Clio's `Date` was ahead of its own records at most, so that by them the
    watermark may be too late by as much. `spread`: between the earliest and the latest clock; a
    window may end too early by as much.
    """

    backfills: list[Walked] = field(default_factory=list)
    resent: set[tuple[str, int]] = field(default_factory=set)
    overruled: dict[str, int] = field(default_factory=dict)
    dropped: list[Dropped] = field(default_factory=list)
    forgotten: list[Forgotten] = field(default_factory=list)
    earliest: timedelta = ON_TIME
    latest: timedelta = ON_TIME
    ahead: timedelta = ON_TIME

    @property
    def spread(self) -> timedelta:
        return self.latest - self.earliest

    def note_clocks(self, *, clio: timedelta, machine: timedelta) -> None:
        """Note how far the clocks are ahead of the firm's."""
        self.ahead = max(self.ahead, clio)
        self.earliest = min(self.earliest, clio, machine)
        self.latest = max(self.latest, clio, machine)

    def note_resent(self, transaction_id: str, *, accepted: int, posts: int) -> None:
        """Note that a person sent a closing again."""
        self.resent.add((transaction_id, accepted))
        self.overruled.setdefault(transaction_id, posts)

    def is_overruled(self, transaction_id: str, post: int) -> bool:
        """Tell whether the POST with this number came after a person sent the closing again."""
        return post >= self.overruled.get(transaction_id, post + 1)

    def note_put_back(self, then: "Circumstances", copied: int, accepted: Sequence[str]) -> None:
        """Note that a copy was put back, made `then` when so many were accepted of these by now.

        What a person did since is forgotten, too; but what they sent again, and was accepted, has
        been, and is nobody's fault. README's recipe has them drop what Broadly has received; until
        that is done, and for what does not wait just then, nobody is to blame if somebody is asked
        a second time.
        """
        kept = deepcopy(then)
        self.backfills, self.dropped = kept.backfills, kept.dropped
        done = {(name, times) for name, times in self.resent if accepted.count(name) > times}
        self.resent = kept.resent | done
        self.forgotten.append(Forgotten(copied, len(accepted)))

    def remembered(self, accepted: int) -> list[int]:
        """Return which of so many that were accepted a state may still know of."""
        kept: list[int] = []
        for number in range(accepted + 1):
            for gone in self.forgotten:
                if gone.put_back == number:
                    kept = [one for one in kept if one < gone.copied]
            kept.append(number)
        return kept[:-1]

    def droppings_before(self, accepted: int) -> Iterable[Dropped]:
        """Return what was dropped before the next was accepted."""
        return (one for one in self.dropped if one.accepted <= accepted)
