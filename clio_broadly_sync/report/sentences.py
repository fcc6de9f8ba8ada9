"""What the page says in sentences. Each figure in them is one of `Figures`, or a sum of some.

What stands between two `backticks` is a command or the name of something.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import groupby
from typing import Final, NamedTuple

from clio_broadly_sync.domain.funnel import Step
from clio_broadly_sync.domain.model import SyncRule
from clio_broadly_sync.domain.reasons import NOTHING_TO_DO
from clio_broadly_sync.report import days
from clio_broadly_sync.report.figures import (
    Counts,
    Day,
    DayState,
    DropOut,
    Figures,
    Period,
)
from clio_broadly_sync.report.table import MOST_DAYS, count
from clio_broadly_sync.report.words import FEWEST, share

MOST_REASONS: Final = 5
"""At most so many reasons stand at a step; the table has all."""
_WAITING: Final = "waiting for a person"


class Piece(NamedTuple):
    """A part of the headline."""

    text: str
    line: str = ""
    """The colour in which it is underlined: `sent`, `not`, or none."""
    ends_line: bool = False
    """Whether a new line begins after it, where there is room."""


def upper(text: str) -> str:
    """Return the text with a capital at its beginning, unless a command stands there."""
    return text[:1].upper() + text[1:]


# The first screen.


def headline(figures: Figures) -> list[Piece]:
    """Say how many matters were closed, and how many clients were sent and were not."""
    counts, known = figures.counts, figures.known
    if counts is None or known is None:
        return [Piece(f"{upper(days.within(figures.period))}, nothing is known.")]
    when = upper(days.within(known))
    if not counts.closed:
        return [Piece(f"{when}, no matters were closed.")]
    closed = count(counts.closed, "matter was", "matters were")
    return [Piece(f"{when}, {closed} closed; ", ends_line=True), *_sent(counts)]


def _sent(counts: Counts) -> Iterator[Piece]:
    if not counts.tried:
        yield Piece("no client was sent", "not")
        yield Piece(" to Broadly.")
        return
    yield Piece(count(counts.tried, "client was sent", "clients were sent"), "sent")
    yield Piece(" to Broadly")
    if counts.not_tried:
        yield Piece(", ")
        yield Piece(f"{counts.not_tried:,} not", "not")
    yield Piece(".")


def rate(figures: Figures) -> str:
    """Say which share of those who could be asked was asked, and what is not known."""
    said = [_share_asked(figures), _unknown(figures)]
    return " ".join(sentence for sentence in said if sentence)


def _share_asked(figures: Figures) -> str:
    counts, before = figures.counts, figures.before
    if counts is None:
        return ""
    if not counts.closed:
        return f"So nobody was asked.{_true_zero(figures)}"
    earlier = ""
    if before is not None and before.could_be_asked:
        earlier = f"; in {before_words(figures)}, {share(before.tried, before.could_be_asked)}"
    if not counts.could_be_asked:
        return f"No client could be asked{earlier}."
    could = counts.could_be_asked
    if could == 1:
        return f"The one client who could be asked was{'' if counts.tried else ' not'}{earlier}."
    if could < FEWEST:
        were = "none was" if not counts.tried else count(counts.tried, "was", "were")
        return f"Of {count(could, 'client', 'clients')} who could be asked, {were}{earlier}."
    return f"Of the clients who could be asked, {share(counts.tried, could)} were{earlier}."


def _true_zero(figures: Figures) -> str:
    ran = sum(day.runs > 0 for day in figures.days)
    since = figures.known_from
    if figures.known != figures.period or since is None or since > figures.period.first:
        return ""
    if 0 < ran == len(figures.days):
        on = "that day" if ran == 1 else f"all {ran:,} days"
        return f" The program ran on {on}, so this is a true zero."
    return ""


def _unknown(figures: Figures) -> str:
    until, known = figures.known_until, figures.known
    if until is None:
        return "A report needs a first run."
    began = figures.known_from
    if known is None and began is not None and figures.period.last < began:
        return f"The program began on {days.day(began)}, {began.year}, after that."
    if known is None or known.last < figures.period.last:
        there = until.astimezone(figures.zone)
        when = f"{days.full_day(there)}, {days.hour(until, figures.zone)}"
        silent = figures.silent_since is not None
        why = "the program has not run" if silent else "no later run came to its end"
        return f"After {when} nothing is known: {why}."
    return ""


def before_words(figures: Figures) -> str:
    """Return “the 12 weeks before”, as many as are known."""
    before = (week.first for week in figures.weeks if not week.in_period and week.known)
    weeks = len({on - timedelta(days=on.weekday()) for on in before})
    return f"the {weeks} weeks before" if weeks > 1 else "the week before"


# From closed to accepted.


def step_words(figures: Figures, step: Step) -> str:
    """Say who drops out at a step, as “2 drop out: 1 reopened; 1 without a client”."""
    if step is Step.CLOSED:
        when = days.within(figures.known or figures.period)
        return f"matters with a close date {when}"
    gone = [drop for drop in figures.dropped if drop.step is step]
    number = sum(drop.closings for drop in gone)
    if not number:
        return "nobody drops out"
    parts = list(_parts(gone, step))
    if step is Step.ACCEPTED:
        return "; ".join(parts)
    drop_out = count(number, "drops out", "drop out")
    alone = parts[0].removeprefix(f"{number:,} ")
    return f"{drop_out}: {alone if len(parts) == 1 else '; '.join(parts)}"


def _parts(gone: Sequence[DropOut], step: Step) -> Iterator[str]:
    """Yield each reason with how many it took out, the most frequent first; not too many."""
    numbers = Counter[str]()
    for drop in gone:
        waits = drop.needs_a_person and step is not Step.ACCEPTED
        numbers[_WAITING if waits else drop.why] += drop.closings
    frequent = numbers.most_common()
    told = frequent if len(frequent) <= MOST_REASONS else frequent[: MOST_REASONS - 1]
    yield from (f"{number:,} {why}" for why, number in told)
    if rest := sum(number for _, number in frequent[len(told) :]):
        yield f"{rest:,} for other reasons"


# Why not.


class Why(NamedTuple):
    """A row of the table of reasons."""

    why: str
    closings: int
    helps: str
    waits: bool = False
    """Whether they are the ones who wait for a person."""

    @property
    def nothing(self) -> bool:
        """Whether there is nothing to do."""
        return self.helps.startswith(NOTHING_TO_DO)


def reasons(figures: Figures) -> list[Why]:
    """Return why clients were not sent, the most frequent first. The rows add up to them."""
    numbers = Counter[tuple[str, str]]()
    waits = 0
    for drop in figures.dropped:
        if drop.step is Step.ACCEPTED:
            continue
        if drop.needs_a_person:
            waits += drop.closings
        else:
            numbers[drop.why, drop.helps] += drop.closings
    rows = [Why(upper(why), number, helps) for (why, helps), number in numbers.items()]
    if waits:
        above = _of_those_above(figures, waits)
        rows.append(Why(upper(_WAITING), waits, above, waits=True))
    return sorted(rows, key=lambda row: -row.closings)


def _of_those_above(figures: Figures, waits: int) -> str:
    them = figures.for_a_person
    if waits == them.closings:
        return "This is the one above." if waits == 1 else f"These are the {waits:,} above."
    sent, others = them.in_period - waits, them.closings - them.in_period
    rest = [
        count(sent, "was sent first", "were sent first") if sent else "",
        f"{others:,} closed at another time" if others else "",
    ]
    return f"{waits:,} of the {them.closings:,} above; {' and '.join(filter(None, rest))}."


# Week by week, and how the runs went.


def weeks_words(figures: Figures) -> str:
    """Say what the columns show that cannot be read off them."""
    said = [*_usual(figures), *_cut(figures), *_gaps(figures)]
    if figures.later and figures.known is not None:
        later = count(figures.later, "matter has", "matters have")
        said.append(f"{later} a close date after {days.day(figures.known.last)}, not counted here.")
    return " ".join(said)


def _usual(figures: Figures) -> Iterator[str]:
    here = _full_weeks(figures, in_period=True)
    before = _full_weeks(figures, in_period=False)
    name = days.name(figures.period) or "this period"
    if figures.counts is not None and not figures.counts.closed:
        if before:
            about = count(round(sum(before) / len(before)), "closing", "closings")
            yield f"{upper(before_words(figures))} had about {about} a week."
        yield f"If {name} should not be empty: are matters being closed in Clio, with a close date?"
    elif here:
        earlier = f"; in {before_words(figures)} it was {_between(before)}" if before else ""
        yield f"A full week in {name} had {_between(here)} closings{earlier}."


def _full_weeks(figures: Figures, *, in_period: bool) -> list[int]:
    return [
        week.counts.closed
        for week in figures.weeks
        if week.in_period is in_period
        and week.known
        and (week.last - week.first).days + 1 == days.WEEK
    ]


def _between(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    if low == high:
        return f"{low:,}"
    return f"{low:,} {'or' if high == low + 1 else 'to'} {high:,}"


def _cut(figures: Figures) -> Iterator[str]:
    """Say that a week is cut where the period begins."""
    first = figures.period.first
    if figures.counts is not None and figures.counts.closed and first.weekday():
        monday = days.full_day(first - timedelta(days=first.weekday()))
        yield f"The week of {monday} is cut where {days.beginning(figures.period)} begins."


def _gaps(figures: Figures) -> Iterator[str]:
    unknown = [week for week in figures.weeks if week.in_period and not week.known]
    start = figures.known_from
    if figures.known_until is None:
        return
    if start is not None and any(week.last < start for week in unknown):
        yield (
            f"Of what closed before {days.full_day(start)}, the day of the first run, only what a "
            "`backfill` brought is known."
        )
    after = [week for week in unknown if start is None or week.first >= start]
    if after:
        gap = days.span(Period(after[0].first, after[-1].last))
        yield (
            f"{gap} is not zero; it is not known yet. Closings of those days are picked up when "
            "the program runs again."
        )


def usual_runs(figures: Figures) -> str:
    """Say how often the program runs on a day."""
    runs = sorted(day.runs for day in figures.days if day.runs)
    return f"Usually {count(runs[len(runs) // 2], 'run', 'runs')} a day." if runs else ""


class BadDays(NamedTuple):
    """Some days in a row on which the same was wrong."""

    when: str
    what: str


def bad_days(figures: Figures) -> tuple[list[BadDays], int]:
    """Return the days on which something was wrong, the latest last, and how many are left out."""
    bad = [day for day in figures.days if day.state in (DayState.FAILED, DayState.SILENT)]
    rows = [list(some) for _, some in groupby(enumerate(bad), lambda each: _alike(*each))]
    groups = [[day for _, day in row] for row in rows]
    left_out = sum(len(group) for group in groups[:-MOST_DAYS])
    return [_bad(group) for group in groups[-MOST_DAYS:]], left_out


def _alike(number: int, day: Day) -> tuple[object, ...]:
    """Return what days in a row share of which the same is to be said."""
    why = day.failures[0].why if day.failures else ""
    return day.on - timedelta(days=number), day.state, why


def _bad(group: Sequence[Day]) -> BadDays:
    first, last = group[0].on, group[-1].on
    same_month = first.month == last.month
    until = "" if first == last else f" to {last.day if same_month else days.day(last)}"
    when = f"{days.day(first)}{until}"
    if group[0].state is DayState.SILENT:
        return BadDays(when, "no run at all. Was the computer off, or the crontab changed?")
    failed, runs = sum(day.failed for day in group), sum(day.runs for day in group)
    why = f" {group[0].failures[0].why}" if group[0].failures else ""
    return BadDays(when, f"{failed:,} of {count(runs, 'run', 'runs')} failed.{why}")


# The end.


def rule_words(figures: Figures) -> str:
    """Say which of the two boxes decides."""
    return {
        SyncRule.OPT_OUT: f"all but those with `{figures.opt_out}` checked",
        SyncRule.OPT_IN: f"those with `{figures.opt_in}` checked",
        SyncRule.BOTH: f"those with `{figures.opt_in}` checked and `{figures.opt_out}` not",
    }[figures.rule]
