"""Is everybody asked alike? What chance explains is left; what it does not becomes a question.

These are pure functions of counts: how many clients could be asked in each group, and how many of
them were. Which clients those are, the report's figures say; whose they are, Clio says.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from math import exp, lgamma, sqrt
from typing import Final, NamedTuple

from clio_broadly_sync.domain.errors import shown
from clio_broadly_sync.domain.grouping import Belonging
from clio_broadly_sync.domain.grouping import By as By
from clio_broadly_sync.domain.model import SyncRule

SMALLEST: Final = 5
"""A group with fewer clients is not shown alone: its share would say nothing, or too much of one
client."""
JUDGED_FROM: Final = 10
"""A group with fewer clients is shown, but not judged."""
CHANCE: Final = 0.01
"""A difference is a question where chance alone makes so great a one more rarely than this."""
WHY: Final = (
    "Google's policy forbids “selectively soliciting positive reviews”, and the FTC's guide for "
    "marketers says not to ask only those who are expected to leave good ones: clients should be "
    "asked alike, pleased or not."
)
_Z: Final = 1.959963984540054
"""So many standard deviations to either side hold 95 % of a normal distribution."""
_ROUNDING: Final = 1e-7
"""Two tables that are equally likely may differ by so much in floating point."""


class Share(NamedTuple):
    """How many clients could be asked, and how many of them were."""

    tried: int
    """How many were given to Broadly, whatever it answered."""
    could: int
    """How many could be asked."""

    def more(self, other: "Share") -> "Share":
        return Share(self.tried + other.tried, self.could + other.could)

    def less(self, other: "Share") -> "Share":
        return Share(self.tried - other.tried, self.could - other.could)


NOBODY: Final = Share(0, 0)


class Span(NamedTuple):
    """Between which shares the true one lies, with 95 % confidence (Wilson); both from 0 to 1."""

    low: float
    high: float


class Group(NamedTuple):
    """A group that is shown by its name."""

    name: str
    """The attorney's or practice area's name in Clio; for matters without one, `no attorney`."""
    share: Share
    span: Span
    chance: float
    """How often chance alone makes so great a difference from the rest of the firm (Fisher)."""
    question: str | None
    """What to ask where the group differs from the rest; None where there is nothing to ask."""


class Fold(NamedTuple):
    """The small groups together, without their names. A fold is never judged."""

    groups: int
    share: Share
    span: Span


class Alike(NamedTuple):
    """The answer for one way of grouping. Groups, fold and unknown add up to the firm."""

    by: By
    groups: tuple[Group, ...]
    """The largest first."""
    fold: Fold | None
    unknown: Share
    """Clients whose matter Clio does not show, so that nobody knows whose they are."""
    firm: Share

    @property
    def questions(self) -> tuple[str, ...]:
        return tuple(group.question for group in self.groups if group.question)

    @property
    def calm(self) -> str | None:
        """What is said where groups were compared and there is nothing to ask; None elsewhere."""
        if self.questions or len(self.groups) + (self.fold is not None) < 2:
            return None
        if all(group.share.could < JUDGED_FROM for group in self.groups):
            return f"No {self.by.words} has the {JUDGED_FROM} clients that a verdict takes."
        return (
            f"No {self.by.words} with {JUDGED_FROM} clients or more differs from the rest of the "
            "firm by more than chance may explain."
        )


class CouldBeAsked(NamedTuple):
    """A closing whose client could be asked."""

    matter_id: int
    tried: bool
    """Whether it was given to Broadly, whatever it answered."""


Counted = tuple[str | None, Share]
"""A group's name in Clio, None where the matters have none, and its clients."""


def alike(
    by: By,
    closings: Iterable[CouldBeAsked],
    belonging: Mapping[int, Belonging],
    rule: SyncRule,
) -> Alike:
    """Compare the groups of these closings; `belonging` says whose each matter is."""
    names: dict[int | None, str | None] = {}
    sums: defaultdict[int | None, Share] = defaultdict(lambda: NOBODY)
    unknown = NOBODY
    for closing in closings:
        one = Share(int(closing.tried), 1)
        of_matter = belonging.get(closing.matter_id, {})
        if by not in of_matter:
            unknown = unknown.more(one)
            continue
        named = of_matter[by]
        id_ = None if named is None else named.id
        names[id_] = None if named is None else shown(named.name)
        sums[id_] = sums[id_].more(one)
    return compare(by, ((names[id_], share) for id_, share in sums.items()), unknown, rule)


def compare(by: By, counted: Iterable[Counted], unknown: Share, rule: SyncRule) -> Alike:
    """Fold the small groups and judge the others against the rest of those that are known."""
    some = sorted((each for each in counted if each[1].could), key=lambda each: _rank(by, each))
    alone, folded = _fold(some)
    known = _all(some)
    groups = tuple(_judged(by, each, known.less(each[1]), rule) for each in alone)
    return Alike(by, groups, folded, unknown, total([known, unknown]))


def total(shares: Iterable[Share]) -> Share:
    """Return the clients of all of these together."""
    return reduce(Share.more, shares, NOBODY)


def _rank(by: By, counted: Counted) -> tuple[int, str]:
    name, share = counted
    return -share.could, name or by.none


def _fold(largest_first: Sequence[Counted]) -> tuple[Sequence[Counted], Fold | None]:
    """Fold the groups under 5, and as many more as it takes for a fold of 5.

    So a fold is never one group alone, which everybody could name, but where there is only one.
    """
    kept = sum(share.could >= SMALLEST for _, share in largest_first)
    if kept == len(largest_first):
        return largest_first, None
    while kept and _all(largest_first[kept:]).could < SMALLEST:
        kept -= 1
    share = _all(largest_first[kept:])
    return largest_first[:kept], Fold(len(largest_first) - kept, share, wilson(share))


def _all(groups: Iterable[Counted]) -> Share:
    return total(share for _, share in groups)


def _judged(by: By, counted: Counted, rest: Share, rule: SyncRule) -> Group:
    name, share = counted
    chance = fisher(share, rest)
    asks = share.could >= JUDGED_FROM and chance < CHANCE
    question = _question(_of(by, name), share, rest, rule) if asks else None
    return Group(name or by.none, share, wilson(share), chance, question)


def _of(by: By, name: str | None) -> str:
    if name is None:
        return f"without {'an' if by is By.ATTORNEY else 'a'} {by.words}"
    return f"of {name}" if by is By.ATTORNEY else f"in {name}"


def _question(of: str, share: Share, rest: Share, rule: SyncRule) -> str:
    were = {0: "none was", 1: "1 was"}.get(share.tried, f"{share.tried:,} were")
    return (
        f"of the {share.could:,} clients {of} who could be asked, {were}; in the rest of the firm "
        f"it is {rest.tried:,} of {rest.could:,}. Is there a reason, or is the box "
        f"{_mistake(share, rest, rule)}?"
    )


def _mistake(share: Share, rest: Share, rule: SyncRule) -> str:
    """Say what may have been done with the box, here or, where more are asked here, elsewhere."""
    here = share.tried * rest.could < rest.tried * share.could
    mistake = "forgotten" if rule.needs_opt_in else "checked out of habit"
    return mistake if here else f"{mistake} elsewhere"


def wilson(share: Share) -> Span:
    """Return Wilson's range for a share; it stays between 0 and 1 however few there are."""
    tried, could = share
    if not could:
        return Span(0.0, 1.0)
    rate, spread = tried / could, _Z * _Z / could
    middle = rate + spread / 2
    reach = _Z * sqrt(rate * (1 - rate) / could + spread / (4 * could))
    low, high = ((middle + side) / (1 + spread) for side in (-reach, reach))
    return Span(low if tried else 0.0, high if tried < could else 1.0)


def fisher(one: Share, other: Share) -> float:
    """Return the two-sided p of Fisher's exact test: how often chance parts two groups so far.

    Of all tables with these margins, those count that are no likelier than the one that was seen.
    """
    tried, could = one.tried + other.tried, one.could + other.could
    fewest, most = max(0, tried - other.could), min(one.could, tried)
    ways = [
        _log_comb(one.could, asked) + _log_comb(other.could, tried - asked)
        for asked in range(fewest, most + 1)
    ]
    seen = ways[one.tried - fewest] + _ROUNDING
    every = _log_comb(could, tried)
    return min(1.0, sum(exp(each - every) for each in ways if each <= seen))


def _log_comb(of: int, taken: int) -> float:
    """Return the logarithm of the ways to take so many: the ways themselves fit in no float."""
    return lgamma(of + 1) - lgamma(taken + 1) - lgamma(of - taken + 1)
