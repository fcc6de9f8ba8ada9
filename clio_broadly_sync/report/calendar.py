"""The days and weeks of a report, as dates in the firm's zone."""

from collections.abc import Collection, Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo

from clio_broadly_sync.report.figures import MOST_WEEKS, WEEKS_BEFORE, Period
from clio_broadly_sync.store.periods import Days

DAY = timedelta(days=1)
WEEK = timedelta(days=7)


def midnight(on: date, zone: tzinfo | None) -> datetime:
    """Return when the day begins in the zone (aware UTC); None stands for this machine's zone.

    Where the clocks leave midnight out, that is the first moment of the day.
    """
    return datetime(on.year, on.month, on.day, tzinfo=zone).astimezone(UTC)


def day_of(at: datetime, zone: tzinfo | None) -> date:
    """Return the day in the zone to which a moment (aware) belongs."""
    return at.astimezone(zone).date()


def days_of(period: Period, zone: tzinfo | None) -> Days:
    """Return the days of a period as the store counts them."""
    begins, ends = midnight(period.first, zone), midnight(period.last + DAY, zone)
    return Days(period.first, period.last, begins, ends)


def last_month(today: date) -> Period:
    """Return the whole month before the one in which `today` lies."""
    last = today.replace(day=1) - DAY
    return Period(last.replace(day=1), last)


def weeks_before(period: Period) -> Period:
    """Return the weeks before a period, the last of which ends where the period begins."""
    last = period.first - DAY
    return Period(_monday(last) - (WEEKS_BEFORE - 1) * WEEK, last)


def is_long(period: Period) -> bool:
    """Tell whether a period has so many weeks that its months tell more."""
    return period.last - period.first >= MOST_WEEKS * WEEK


def cut_into_weeks(period: Period, edges: Collection[date] = ()) -> Iterator[Period]:
    """Yield the weeks of a period, also cut before each of the days `edges`."""
    first = period.first
    while first <= period.last:
        ends = (_monday(first) + WEEK, period.last + DAY, *edges)
        last = min(end for end in ends if end > first) - DAY
        yield Period(first, last)
        first = last + DAY


def months_of(period: Period) -> Iterator[date]:
    """Yield the first day of each month that begins in the period."""
    return (day for day in each_day(period) if day.day == 1)


def each_day(period: Period) -> Iterator[date]:
    for number in range((period.last - period.first).days + 1):
        yield period.first + number * DAY


def _monday(on: date) -> date:
    return on - on.weekday() * DAY
