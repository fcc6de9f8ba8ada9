"""The sending hours: when they are open, when they open next, and how long their gaps are."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clio_broadly_sync.domain.hours import ALWAYS, SendingHours

LOS_ANGELES = ZoneInfo("America/Los_Angeles")
ZONES = (
    "UTC", "America/Los_Angeles", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe",
    "America/Havana", "Africa/Cairo", "Pacific/Apia", "Europe/London", "America/Sao_Paulo",
)  # fmt: skip
"""Zones with half and quarter hours, with a change of half an hour and at midnight, and one that
left out a whole day."""
WORKDAYS = frozenset(range(5))
OFFICE = SendingHours(WORKDAYS, 9, 17)
NIGHT = SendingHours(WORKDAYS, 22, 6)
FRIDAY_NIGHT = SendingHours(frozenset({4}), 22, 6)
MINUTE = timedelta(minutes=1)


def shown(text: str, fold: int = 0, zone: ZoneInfo = LOS_ANGELES) -> datetime:
    """Return when the clocks of the zone show this; `fold` 1: for the second time."""
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).astimezone(UTC)


def open_for(hours: SendingHours, first: datetime, last: datetime, zone: ZoneInfo) -> timedelta:
    """Return how much time between these moments is within the sending hours, to the minute."""
    minutes = range((last - first) // MINUTE)
    return sum(hours.are_open(first + n * MINUTE, zone) for n in minutes) * MINUTE


# 2026-11-20 is a Friday.
@pytest.mark.parametrize(
    ("hours", "moment", "is_open"),
    [
        (ALWAYS, "2026-11-22 00:00", True),
        (ALWAYS, "2026-11-22 23:59:59", True),
        (OFFICE, "2026-11-20 08:59:59.999999", False),
        (OFFICE, "2026-11-20 09:00", True),
        (OFFICE, "2026-11-20 16:59:59.999999", True),
        (OFFICE, "2026-11-20 17:00", False),
        (OFFICE, "2026-11-21 12:00", False),
        (NIGHT, "2026-11-20 22:00", True),
        (NIGHT, "2026-11-21 00:00", True),
        (NIGHT, "2026-11-21 05:59:59", True),
        (NIGHT, "2026-11-21 06:00", False),
        (NIGHT, "2026-11-21 22:00", False),
        (NIGHT, "2026-11-22 23:00", False),
        (NIGHT, "2026-11-23 03:00", False),
        (NIGHT, "2026-11-23 22:00", True),
        (SendingHours(end=0, begin=18), "2026-11-20 23:59:59", True),
        (SendingHours(end=0, begin=18), "2026-11-21 00:00", False),
        (SendingHours(WORKDAYS), "2026-11-20 23:59:59", True),
        (SendingHours(WORKDAYS), "2026-11-21 00:00", False),
        (SendingHours(frozenset({1}), 9, 17), "2028-02-29 09:00", True),
        (SendingHours(frozenset({1}), 22, 6), "2028-02-29 22:00", True),
        (SendingHours(frozenset({1}), 22, 6), "2028-03-01 05:59", True),
        (SendingHours(frozenset({0}), 22, 6), "2028-02-29 05:59", True),
        (SendingHours(frozenset({0}), 22, 6), "2028-02-29 06:00", False),
        (SendingHours(frozenset({3}), 22, 6), "2027-01-01 01:00", True),
    ],
)
def test_days_and_hours(hours: SendingHours, moment: str, is_open: bool) -> None:
    """From the first second to the last; a night belongs to the day on which it begins."""
    assert hours.are_open(shown(moment), LOS_ANGELES) is is_open


SPRING, AUTUMN = "2026-03-08", "2026-11-01"
"""Sundays: on the first, 2:00 becomes 3:00; on the second, 2:00 becomes 1:00."""


@pytest.mark.parametrize(
    ("hours", "on_the_day", "in_spring", "in_autumn"),
    [
        (ALWAYS, 24, 23, 25),
        (SendingHours(begin=9, end=17), 8, 8, 8),
        (SendingHours(begin=1, end=2), 1, 1, 2),
        (SendingHours(begin=2, end=3), 1, 0, 1),
        (SendingHours(begin=2, end=5), 3, 2, 3),
        (SendingHours(begin=0, end=6), 6, 5, 7),
    ],
)
def test_days_of_23_and_25_hours(
    hours: SendingHours, on_the_day: int, in_spring: int, in_autumn: int
) -> None:
    """An hour that there is not is none, and one that comes twice is two."""
    for day, length in (("2026-06-07", on_the_day), (SPRING, in_spring), (AUTUMN, in_autumn)):
        first = shown(f"{day} 00:00")
        last = first.astimezone(LOS_ANGELES) + timedelta(days=1)
        found = open_for(hours, first, last.astimezone(UTC), LOS_ANGELES)
        assert found == timedelta(hours=length), day


@pytest.mark.parametrize(("evening", "length"), [("2026-03-07", 7), ("2026-10-31", 9)])
def test_nights_in_which_the_clocks_are_set(evening: str, length: int) -> None:
    """They last an hour less or more, and belong to the evening all the same."""
    night = SendingHours(frozenset({5}), 22, 6)
    first = shown(f"{evening} 12:00")
    assert open_for(night, first, first + timedelta(days=6), LOS_ANGELES) == timedelta(hours=length)


@pytest.mark.parametrize(
    ("hours", "at", "opens"),
    [
        (OFFICE, "2026-11-20 16:59", "2026-11-20 16:59"),
        (OFFICE, "2026-11-20 17:00", "2026-11-23 09:00"),
        (OFFICE, "2026-11-23 08:59:59.5", "2026-11-23 09:00"),
        (FRIDAY_NIGHT, "2026-11-21 06:00", "2026-11-27 22:00"),
        (FRIDAY_NIGHT, "2026-11-21 00:30", "2026-11-21 00:30"),
        (SendingHours(frozenset({6}), 2, 3), "2026-03-07 12:00", "2026-03-15 02:00"),
        (SendingHours(begin=2, end=5), "2026-03-08 00:30", "2026-03-08 03:00"),
        (SendingHours(begin=3, end=5), "2026-03-07 12:00", "2026-03-08 03:00"),
        (SendingHours(begin=9, end=17), "2026-03-07 17:00", "2026-03-08 09:00"),
        (SendingHours(begin=9, end=17), "2026-10-31 17:00", "2026-11-01 09:00"),
        (SendingHours(frozenset({1}), 9, 17), "2028-02-28 12:00", "2028-02-29 09:00"),
        (SendingHours(frozenset({2}), 0, 1), "2028-02-29 12:00", "2028-03-01 00:00"),
    ],
)
def test_next_opening(hours: SendingHours, at: str, opens: str) -> None:
    """At once where they are open; else at the first moment that the clocks show so."""
    assert hours.next_open(shown(at), LOS_ANGELES) == shown(opens)


def test_hour_that_comes_again() -> None:
    """Between its two comings they are open; before the first and after the second they are not."""
    hours = SendingHours(begin=1, end=2)
    assert hours.next_open(shown("2026-11-01 00:30"), LOS_ANGELES) == shown("2026-11-01 01:00")
    assert hours.are_open(shown("2026-11-01 01:59", fold=0), LOS_ANGELES)
    assert hours.are_open(shown("2026-11-01 01:00", fold=1), LOS_ANGELES)
    assert hours.next_open(shown("2026-11-01 02:00"), LOS_ANGELES) == shown("2026-11-02 01:00")


def test_midnight_that_comes_again() -> None:
    """In Havana 1:00 becomes 0:00: a day whose first hour comes twice."""
    havana = ZoneInfo("America/Havana")
    first_hour = SendingHours(frozenset({6}), 0, 1)
    before = shown("2026-10-31 12:00", zone=havana)
    found = open_for(first_hour, before, before + timedelta(days=1), havana)
    assert found == timedelta(hours=2)


moments = st.integers(1_322_700_000, 1_861_920_000).map(lambda s: datetime.fromtimestamp(s, UTC))
some_hours = st.builds(
    SendingHours,
    st.frozensets(st.integers(0, 6), min_size=1),
    st.integers(0, 23),
    st.integers(0, 24),
)


@given(some_hours, moments, st.sampled_from(ZONES).map(ZoneInfo))
@example(SendingHours(frozenset({4}), 9, 17), datetime(2011, 12, 29, tzinfo=UTC),
         ZoneInfo("Pacific/Apia"))  # fmt: skip
@example(SendingHours(begin=2, end=3), datetime(2026, 10, 3, tzinfo=UTC),
         ZoneInfo("Australia/Lord_Howe"))  # fmt: skip
def test_opens_no_sooner_and_no_later(hours: SendingHours, at: datetime, zone: ZoneInfo) -> None:
    """Wherever the firm is, nothing before that moment is open, and that moment is."""
    opens = hours.next_open(at, zone)
    assert opens >= at
    assert hours.are_open(opens, zone)
    five = timedelta(minutes=5)
    last = min((opens - at) // five, 288)  # at most the last day before it
    assert not any(hours.are_open(opens - n * five, zone) for n in range(1, last + 1))


@given(some_hours, moments, st.sampled_from(ZONES).map(ZoneInfo))
def test_open_is_what_the_clock_on_the_wall_says(
    hours: SendingHours, at: datetime, zone: ZoneInfo
) -> None:
    """Said in other words: today's hours, or what is left of last night's."""
    clock = at.astimezone(zone)
    whole = hours.end > hours.begin
    of_today = clock.weekday() in hours.days and clock.hour >= hours.begin
    of_last_night = (clock.weekday() - 1) % 7 in hours.days and clock.hour < hours.end
    expected = of_today and clock.hour < hours.end if whole else of_today or of_last_night
    assert hours.are_open(at, zone) is expected


def test_zone_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts where no other is known."""
    at = datetime(2026, 11, 20, 18, tzinfo=UTC)
    assert OFFICE.are_open(at, None) is OFFICE.are_open(at, at.astimezone().tzinfo)


@pytest.mark.parametrize(
    ("hours", "gap"),
    [
        (ALWAYS, 0),
        (OFFICE, 64),
        (SendingHours(begin=9, end=17), 16),
        (SendingHours(WORKDAYS), 48),
        (NIGHT, 64),
        (FRIDAY_NIGHT, 160),
        (SendingHours(frozenset({0, 2})), 96),
        (SendingHours(frozenset(range(6))), 24),
    ],
)
def test_longest_gap(hours: SendingHours, gap: int) -> None:
    """In hours; over the week's end, too."""
    assert hours.longest_gap() == timedelta(hours=gap)
