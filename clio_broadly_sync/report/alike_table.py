"""Whether everybody is asked alike, as plain lines, none of which has more than 80 columns but for
the sentences, which may be folded."""

from collections.abc import Collection, Iterator
from typing import Final

from clio_broadly_sync.domain.errors import shown
from clio_broadly_sync.report.alike import SMALLEST, WHY, Alike, Fold, Share
from clio_broadly_sync.report.words import FEWEST, share

TOO_FEW: Final = f"too few to compare (it takes {SMALLEST} in one group, {SMALLEST} in the rest)."
_NAME: Final = 40
"""A longer name is cut."""


def lines(found: Collection[Alike]) -> Iterator[str]:
    """Yield a table for each way of grouping; then the questions, and why it matters."""
    for one in found:
        yield ""
        yield from _table(one)
    for question in (question for one in found for question in one.questions):
        yield from ("", f"A question, not a finding: {question}")
    if any(one.groups for one in found):
        yield from ("", f"Why this matters: {WHY}")


def _table(one: Alike) -> Iterator[str]:
    if not one.firm.could:
        yield f"By {one.by.words}: nobody could be asked."
        return
    if not one.groups:
        yield f"By {one.by.words}: {TOO_FEW}"
        if one.unknown.could:
            yield f"  Clio does not say whose {one.unknown.could:,} of {one.firm.could:,} are."
        return
    yield f"{f'By {one.by.words}':<{_NAME + 2}}{'could be asked':>16}{'sent':>8}{'share':>7}"
    for group in one.groups:
        yield _line(group.name, group.share) + ("  ?" if group.question else "")
    if one.fold is not None:
        yield _line(folded(one.fold), one.fold.share)
    if one.unknown.could:
        yield _line("not known: Clio does not say", one.unknown)
    yield _line("the firm", one.firm)


def folded(fold: Fold) -> str:
    """Return what stands for the names of the folded groups, where others are shown."""
    return f"{fold.groups} others, few clients each"


def _line(name: str, of: Share) -> str:
    """Return a line; a share is told of 5 clients or more, as everywhere."""
    rate = f"{share(of.tried, of.could):>7}" if of.could >= FEWEST else ""
    return f"  {shown(name, _NAME):<{_NAME}}{of.could:>16,}{of.tried:>8,}{rate}"
