"""The weeks of a report: cut where the period begins and ends, and never one day twice."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clio_broadly_sync.report.calendar import (
    DAY,
    cut_into_weeks,
    days_of,
    each_day,
    is_long,
    last_month,
    midnight,
    months_of,
    weeks_before,
)
from clio_broadly_sync.report.figures import Period

PACIFIC = ZoneInfo("America/Los_Angeles")
DATES = st.dates(date(2015, 1, 1), date(2035, 1, 1))


def period(first: str, last: str) -> Period:
    return Period(date.fromisoformat(first), date.fromisoformat(last))


OCTOBER = period("2026-10-01", "2026-10-31")


def test_weeks_of_a_month() -> None:
    """October 2026 begins on a Thursday and ends on a Saturday."""
    found = [(first.day, last.day) for first, last in cut_into_weeks(OCTOBER)]
    assert found == [(1, 4), (5, 11), (12, 18), (19, 25), (26, 31)]


def test_weeks_are_cut_where_knowing_begins_and_ends() -> None:
    edges = [date(2026, 10, 7), date(2026, 10, 28), date(2026, 11, 3)]
    found = [(first.day, last.day) for first, last in cut_into_weeks(OCTOBER, edges)]
    assert found == [(1, 4), (5, 6), (7, 11), (12, 18), (19, 25), (26, 27), (28, 31)]


def test_weeks_before() -> None:
    """Twelve, the last of them as long as it is until the period begins."""
    before = weeks_before(OCTOBER)
    assert before == period("2026-07-13", "2026-09-30")
    weeks = [*cut_into_weeks(before)]
    assert (len(weeks), weeks[-1]) == (12, period("2026-09-28", "2026-09-30"))
    monday = weeks_before(period("2026-10-05", "2026-10-11"))
    assert monday == period("2026-07-13", "2026-10-04")


@given(DATES, st.integers(0, 400), st.lists(DATES, max_size=3))
def test_weeks_hold_each_day_once(first: date, days: int, edges: list[date]) -> None:
    whole = Period(first, first + days * DAY)
    weeks = [*cut_into_weeks(whole, edges)]
    assert [on for week in weeks for on in each_day(week)] == [*each_day(whole)]
    assert all(week.first.isocalendar()[:2] == week.last.isocalendar()[:2] for week in weeks)
    assert all(later.first - earlier.last == DAY for earlier, later in pairwise(weeks))


def test_months_of_a_long_period() -> None:
    """More than 26 weeks are long, and cut where each month begins."""
    first = date(2026, 1, 5)
    assert not is_long(Period(first, first + 181 * DAY))
    assert is_long(Period(first, first + 182 * DAY))
    edges = [*months_of(period("2026-01-01", "2026-03-31"))]
    assert [on.isoformat() for on in edges] == ["2026-01-01", "2026-02-01", "2026-03-01"]
    weeks = [*cut_into_weeks(period("2026-01-05", "2026-03-31"), edges)]
    assert all(week.first.month == week.last.month for week in weeks)


@pytest.mark.parametrize(
    ("today", "month"),
    [
        ("2026-11-01", OCTOBER),
        ("2026-11-30", OCTOBER),
        ("2027-01-05", period("2026-12-01", "2026-12-31")),
        ("2028-03-31", period("2028-02-01", "2028-02-29")),
    ],
)
def test_last_month(today: str, month: Period) -> None:
    assert last_month(date.fromisoformat(today)) == month


def test_days_are_those_of_the_firm() -> None:
    """One has 25 hours where the clocks are set back, 23 where they are set forward; one without a
    midnight begins at one o'clock."""
    november = days_of(period("2026-11-01", "2026-11-01"), PACIFIC)
    assert november.begins == datetime(2026, 11, 1, 7, tzinfo=UTC)
    assert november.ends - november.begins == timedelta(hours=25)
    march = days_of(period("2026-03-08", "2026-03-08"), PACIFIC)
    assert march.ends - march.begins == timedelta(hours=23)
    santiago = midnight(date(2026, 9, 6), ZoneInfo("America/Santiago"))
    assert santiago.astimezone(ZoneInfo("America/Santiago")).hour == 1
