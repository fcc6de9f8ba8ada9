"""Moments and lengths of time as a person reads them, in the firm's zone."""

from datetime import date, datetime, timedelta, tzinfo

from clio_broadly_sync.pipeline import pins
from clio_broadly_sync.settings import Settings
from clio_broadly_sync.store import Store

_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def firm_zone(settings: Settings, store: Store) -> tzinfo | None:
    """Return the firm's zone; None is this machine's."""
    return settings.clio_time_zone or pins.zone_named(store.time_zone)


def moment(at: datetime, zone: tzinfo | None) -> str:
    """Write `20 Nov 2026, 14:05`."""
    there = at.astimezone(zone)
    return f"{day(there)}, {there:%H:%M}"


def day(on: date | None) -> str:
    """Write `20 Nov 2026`, whatever the machine's language is."""
    return "no date" if on is None else f"{on.day} {_MONTHS[on.month - 1]} {on.year}"


def length(time: timedelta) -> str:
    """Write how long, in the largest unit of which there are two: `40 minutes`, `3 days`."""
    seconds = max(0, int(time.total_seconds()))
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}s"
    return f"{seconds} second" + ("" if seconds == 1 else "s")


def iso(at: datetime | None) -> str | None:
    """Write a moment for another program."""
    return None if at is None else f"{at:%Y-%m-%dT%H:%M:%SZ}"
