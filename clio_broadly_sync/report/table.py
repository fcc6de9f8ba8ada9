"""A report as a short table of plain lines, whose tables need no more than 60 columns."""

from collections.abc import Iterator, Sequence
from datetime import date
from itertools import groupby
from typing import Final

from clio_broadly_sync.domain.errors import day, moment
from clio_broadly_sync.domain.funnel import Step
from clio_broadly_sync.report import alike_table
from clio_broadly_sync.report.figures import (
    MOST_WEEKS,
    WEEKS_BEFORE,
    Counts,
    Day,
    DayState,
    DropOut,
    Figures,
    Period,
    Week,
)
from clio_broadly_sync.report.words import share

MOST_DAYS: Final = 5
"""At most so many days that went wrong are told, the latest."""
STEPS: Final = {
    Step.CLOSED: "Closed",
    Step.IN_SCOPE: "In scope",
    Step.COULD_BE_ASKED: "Could be asked",
    Step.TRIED: "Sent to Broadly",
    Step.ACCEPTED: "Accepted",
}
_PROGRAM: Final = "clio-broadly-sync"


def lines(figures: Figures) -> Iterator[str]:
    """Yield the lines; the first ones say the most important."""
    yield from _headline(figures)
    yield from _limits(figures)
    if figures.counts is not None and figures.counts.closed:
        yield from _funnel(figures.counts, figures.dropped)
        yield from _weeks([week for week in figures.weeks if week.in_period])
    yield from _runs(figures.days, figures)
    if figures.known_until is not None:
        yield from _for_a_person(figures)
    yield from _opted_out(figures, figures.counts)
    yield from alike_table.lines(figures.alike)


def spoken(period: Period) -> str:
    """Return the days of a period, such as `1 Oct 2026 to 31 Oct 2026`."""
    first, last = period
    return day(first) if first == last else f"{day(first)} to {day(last)}"


def count(number: int, one: str, many: str) -> str:
    """Return words such as `1 client was` or `1,300 clients were`."""
    return f"{number:,} {one if number == 1 else many}"


def _headline(figures: Figures) -> Iterator[str]:
    counts, known = figures.counts, figures.known
    if counts is None or known is None:
        yield f"{spoken(figures.period)}: nothing is known of these days."
        return
    if not counts.closed:
        since = known._replace(first=max(known.first, figures.known_from or known.first))
        yield f"{spoken(since)}: no matter was closed, so nobody was asked."
        return
    closed = count(counts.closed, "matter was closed", "matters were closed")
    sent = count(counts.tried, "client was sent", "clients were sent")
    yield f"{spoken(known)}: {closed};"
    yield f"{sent} to Broadly, {counts.not_tried:,} not."
    if counts.could_be_asked:
        rate = share(counts.tried, counts.could_be_asked)
        were = "was" if counts.tried == 1 and counts.could_be_asked < 5 else "were"
        yield f"Of the clients who could be asked, {rate} {were}{_before(figures)}."


def _before(figures: Figures) -> str:
    before = figures.before
    if before is None or not before.could_be_asked:
        return ""
    all_known = all(week.known for week in figures.weeks if not week.in_period)
    weeks = f"the {WEEKS_BEFORE} weeks before" if all_known else "the weeks before, as far as known"
    return f"; in {weeks}, {share(before.tried, before.could_be_asked)}"


def _limits(figures: Figures) -> Iterator[str]:
    """Say what is not known."""
    first, until, period = figures.known_from, figures.known_until, figures.period
    if until is None:
        yield "No run yet: the first `sync` notes where to start."
        return
    if figures.known is None or figures.known.last < period.last:
        yield f"Known up to {moment(until, figures.zone)}: no later `sync` came to its end."
    if figures.known is not None and (first is None or first > period.first):
        began = "has not begun yet" if first is None else f"began on {day(first)}"
        yield f"The program {began}; of what closed before, not all is known."
    if figures.later:
        later = count(figures.later, "matter", "matters")
        yield f"Not counted yet: {later} with a later close date."


def _funnel(counts: Counts, dropped: Sequence[DropOut]) -> Iterator[str]:
    width = max(7, len(f"{counts.closed:,}"))
    yield ""
    for step, reached in zip(Step, counts, strict=True):
        yield f"{STEPS[step]:<16}{reached:>{width},}"
        for one in dropped:
            if one.step is step:
                yield f"{'':<{width + 16}}  {one.closings:>5,} {one.why.replace('`', '')}"


def _weeks(weeks: Sequence[Week]) -> Iterator[str]:
    if not 1 < len(weeks) <= MOST_WEEKS:
        return
    days = [_short(week.first, week.last) for week in weeks]
    if weeks[0].first.year == (year := weeks[-1].last.year):
        days = [on.removesuffix(f" {year}") for on in days]
    wide = max(map(len, days))
    yield ""
    yield f"{'By week':<{wide + 2}}{'closed':>8}{'could be asked':>16}{'sent':>6}{'accepted':>10}"
    for week, on in zip(weeks, days, strict=True):
        closed, _, could, tried, accepted = week.counts
        if not week.known and not closed:
            yield f"  {on:<{wide}}  not known"
        else:
            more = "" if week.known else "+"
            yield f"  {on:<{wide}}{closed:>8,}{could:>16,}{tried:>6,}{accepted:>10,}{more}"
    if any(week.counts.closed and not week.known for week in weeks):
        yield "  +  at least so many: not all of that week is known"


def _short(first: date, last: date) -> str:
    """Return the days from the first to the last, without what both have in common."""
    end = day(last)
    if first == last:
        return end
    begin = day(first).removesuffix(f" {last.year}")
    if (first.year, first.month) == (last.year, last.month):
        begin = str(first.day)
    return f"{begin} to {end}"


def _runs(days: Sequence[Day], figures: Figures) -> Iterator[str]:
    due = [one for one in days if one.state is not DayState.NOT_YET]
    if not due:
        return
    ran = sum(one.runs > 0 for one in due)
    of_all = f"all {len(due)} days" if ran == len(due) > 1 else f"{ran} of {count_days(len(due))}"
    yield from ("", f"The program ran on {of_all}.")
    if figures.silent_since is not None:
        yield f"It has been silent since {moment(figures.silent_since, figures.zone)}."
    wrong = [*_wrong(due)]
    yield from wrong[-MOST_DAYS:]
    if len(wrong) > MOST_DAYS:
        yield f"  … and {len(wrong) - MOST_DAYS} more before: `{_PROGRAM} report --json`"


def count_days(number: int) -> str:
    return count(number, "day", "days")


def _wrong(days: Sequence[Day]) -> Iterator[str]:
    """Yield a line for each day on which runs failed, and for silent days in a row."""
    for state, some in groupby(days, key=lambda one: one.state):
        group = [*some]
        if state is DayState.SILENT:
            yield f"  {_short(group[0].on, group[-1].on)}: no run at all"
        if state is DayState.FAILED:
            yield from map(_failed, group)


def _failed(one: Day) -> str:
    why = f" {one.failures[0].why}" if one.failures else ""
    failed = f"{one.failed} of {one.runs} runs" if one.runs > 1 else "the run"
    return f"  {day(one.on)}: {failed} failed.{why}".split("\n")[0]


def _for_a_person(figures: Figures) -> Iterator[str]:
    waiting = figures.for_a_person
    if not waiting.closings:
        yield from ("", "Nobody waits for a person.")
        return
    total = count(waiting.closings, "closed matter waits", "closed matters wait")
    yield from ("", f"{total} for a person; what to do: `{_PROGRAM} status`")
    for one in waiting.listed:
        yield f"  matter {one.matter_id:<12}  {one.word}, since {moment(one.since, figures.zone)}"
    if waiting.closings > len(waiting.listed):
        more = waiting.closings - len(waiting.listed)
        yield f"  … and {more:,} more: `{_PROGRAM} outbox list`"


def _opted_out(figures: Figures, counts: Counts | None) -> Iterator[str]:
    found = figures.opted_out
    if not found.closings or counts is None:
        return
    yield from ("", f"Opted out after they were sent: {found.closings:,} of {counts.accepted:,}")
    for one in found.listed:
        noticed = moment(one.noticed_at, figures.zone)
        yield f"  matter {one.matter_id:<12}  noticed on {noticed}"
    if found.closings > len(found.listed):
        more = found.closings - len(found.listed)
        yield f"  … and {more:,} more: `{_PROGRAM} report --list`"
