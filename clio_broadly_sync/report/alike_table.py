"""Whether everybody is asked alike, as plain lines, none of which has more than 80 columns but for
the sentences, which may be folded; 60 are enough where no name is long."""

from collections.abc import Collection, Iterator
from typing import Final

from clio_broadly_sync.domain.errors import shown
from clio_broadly_sync.report.alike import SMALLEST, WHY, Alike, Fold, Share
from clio_broadly_sync.report.words import FEWEST, share

TOO_FEW: Final = f"too few to compare (it takes {SMALLEST} in one group, {SMALLEST} in the rest)."
_NARROWEST: Final = 24
"""The column of names has at least so many columns, so that its title fits."""
_NAME: Final = 40
"""A longer name is cut."""


def lines(found: Collection[Alike]) -> Iterator[str]:
    """Yield a table for each way of grouping; then the questions, and why it matters."""
    for one in found:
        yield ""
        yield from _table(one)
    for calm in (one.calm for one in found if one.calm):
        yield from ("", calm)
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
    rows = [(group.name, group.share, "  ?" if group.question else "") for group in one.groups]
    if one.fold is not None:
        rows.append((folded(one.fold), one.fold.share, ""))
    if one.unknown.could:
        rows.append(("not shown by Clio", one.unknown, ""))
    rows.append(("the firm", one.firm, ""))
    wide = max(_NARROWEST, min(_NAME, max(len(name) for name, _, _ in rows)))
    yield f"{f'By {one.by.words}':<{wide + 2}}{'could be asked':>15}{'sent':>7}{'share':>7}"
    for name, of, mark in rows:
        yield _line(name, of, wide) + mark


def folded(fold: Fold) -> str:
    """Return what stands for the names of the folded groups, where others are shown."""
    return f"{fold.groups} others, few clients each"


def _line(name: str, of: Share, wide: int) -> str:
    """Return a line; a share is told of 5 clients or more, as everywhere."""
    rate = f"{share(of.tried, of.could):>7}" if of.could >= FEWEST else ""
    return f"  {shown(name, wide):<{wide}}{of.could:>15,}{of.tried:>7,}{rate}"
