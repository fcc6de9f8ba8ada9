"""How many closings were sent to Broadly on each of the last days."""

from datetime import date, datetime, timedelta, tzinfo
from typing import Final

from clio_broadly_sync.report.calendar import midnight
from clio_broadly_sync.store import Store

DAYS: Final = 14
"""For so many days it is said how many closings were sent to Broadly."""


def sent_by_day(store: Store, now: datetime, zone: tzinfo | None) -> list[tuple[date, int]]:
    """Count the closings that were sent to Broadly on each of the last days, the latest first.

    A day is one of the firm's zone, where it may have 23 or 25 hours.
    """
    today = now.astimezone(zone).date()
    days = [today - timedelta(days=ago) for ago in range(DAYS - 1, -1, -1)]
    bounds = [midnight(day, zone) for day in [*days, today + timedelta(days=1)]]
    return list(zip(days, store.overview.handed_over(bounds), strict=True))[::-1]
