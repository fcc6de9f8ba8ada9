"""Days, weeks and moments as the page spells them: “Oct 13”, “In October”, “6:45 p.m.”.

The year stands once on the page, in its masthead, and elsewhere only where it has to be told.
"""

from datetime import date, datetime, timedelta, tzinfo
from typing import Final

from clio_broadly_sync.report.figures import Period

_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
WEEK: Final = 7
"""So many days has a week."""


def day(on: date) -> str:
    """Return a day such as “Oct 13”."""
    return f"{_MONTHS[on.month - 1][:3]} {on.day}"


def full_day(on: date) -> str:
    """Return a day such as “October 13”."""
    return f"{_MONTHS[on.month - 1]} {on.day}"


def month(on: date) -> str:
    """Return the month of a day, such as “Oct”; of a day in January its year, such as “2026”."""
    return str(on.year) if on.month == 1 else _MONTHS[on.month - 1][:3]


def hour(at: datetime, zone: tzinfo | None) -> str:
    """Return a time of the day such as “6:45 p.m.”, by the clocks of the zone; None: ours."""
    there = at.astimezone(zone)
    return f"{there.hour % 12 or 12}:{there:%M} {'p.m.' if there.hour >= 12 else 'a.m.'}"


def moment(at: datetime, zone: tzinfo | None) -> str:
    """Return a moment such as “Oct 27, 6:45 p.m.”."""
    return f"{day(at.astimezone(zone))}, {hour(at, zone)}"


def stamp(at: datetime, zone: tzinfo | None) -> str:
    """Return a moment with its year and zone, such as “Nov 1, 2026, 8:05 a.m. PST”."""
    there = at.astimezone(zone)
    return f"{day(there)}, {there.year}, {hour(at, zone)} {there:%Z}"


def length(period: Period) -> int:
    """Return how many days a period has."""
    return (period.last - period.first).days + 1


def name(period: Period) -> str | None:
    """Return the name of a period that has one: a month (“October”) or a year (“2026”)."""
    first, after = period.first, period.last + timedelta(days=1)
    if first.day != 1 or after.day != 1:
        return None
    if (first.month, after.month, after.year) == (1, 1, first.year + 1):
        return str(first.year)
    return _MONTHS[first.month - 1] if length(period) <= 31 else None


def within(period: Period) -> str:
    """Return “in October”, “on October 5” or “from October 1 to 27”."""
    if known := name(period):
        return f"in {known}"
    if period.first == period.last:
        return f"on {full_day(period.first)}"
    return f"from {span(period)}"


def span(period: Period) -> str:
    """Return “October 1 to 27”; with their years where those differ."""
    first, last = period
    if first == last:
        return full_day(first)
    if first.year != last.year:
        return f"{full_day(first)}, {first.year} to {full_day(last)}, {last.year}"
    same_month = first.month == last.month
    return f"{full_day(first)} to {last.day if same_month else full_day(last)}"


def title(period: Period) -> str:
    """Return the period with its year: “October 2026” or “October 1 to 27, 2026”."""
    known = name(period)
    if known is None:
        years = period.first.year != period.last.year
        return span(period) if years else f"{span(period)}, {period.first.year}"
    return known if known.isdigit() else f"{known} {period.first.year}"


def beginning(period: Period) -> str:
    """Return what something is before: “October”, or “October 5” where that is the first day."""
    return name(period) or full_day(period.first)


def short(first: date, last: date) -> str:
    """Return the days from one to another in a few characters, as in “October” or “Oct 5–11”."""
    if known := name(Period(first, last)):
        return known
    if first == last:
        return day(first)
    if first.year != last.year:
        return f"{day(first)}, {first.year}–{day(last)}, {last.year}"
    return f"{day(first)}–{last.day if first.month == last.month else day(last)}"


def dated(first: date, last: date) -> str:
    """Return the same with its year, as in “Oct 2026” or “Oct 5–11, 2026”."""
    if name(Period(first, last)):
        return f"{_MONTHS[first.month - 1][:3]} {first.year}"
    return f"{short(first, last)}, {first.year}"
