"""The sending hours: on which days of the week, and between which hours, closings may be sent.

Days and hours are those on the clocks of a zone, so they follow its daylight saving by themselves:
an hour that the clocks leave out is none, and one that they show twice counts twice.
"""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, NamedTuple

_HOUR: Final = timedelta(hours=1)
_STEP: Final = timedelta(minutes=15)
"""In every zone an hour begins, and the clocks are set, at a quarter of an hour of UTC."""


class SendingHours(NamedTuple):
    """Sending hours; without anything given, they never end."""

    days: frozenset[int] = frozenset(range(7))
    """The days of the week on which they begin, of which Monday is 0; there is at least one."""
    begin: int = 0
    """The full hour at which they begin, from 0 to 23."""
    end: int = 24
    """The full hour at which they end, up to 24. Where it is not above `begin`, they end on the
    next day, and the night belongs to the day on which it begins."""

    @property
    def length(self) -> int:
        """How many hours they last on a day on which nobody sets the clocks."""
        return (self.end - self.begin - 1) % 24 + 1

    def are_open(self, at: datetime, zone: tzinfo | None) -> bool:
        """Tell whether it is within them at the moment `at` (aware), in this zone (None: the
        machine's)."""
        shown = at.astimezone(zone).replace(tzinfo=None)
        since = shown - self.begin * _HOUR  # so the whole of a night has the date of its evening
        return since.weekday() in self.days and since.hour < self.length

    def next_open(self, at: datetime, zone: tzinfo | None) -> datetime:
        """Return the first moment (aware UTC) from `at` on that is within them."""
        moment = at.astimezone(UTC)
        while not self.are_open(moment, zone):
            minute = moment.minute // 15 * 15
            moment = moment.replace(minute=minute, second=0, microsecond=0) + _STEP
        return moment

    def longest_gap(self) -> timedelta:
        """Return the longest time without them in a week in which nobody sets the clocks."""
        days = sorted(self.days)
        following = [*days[1:], days[0] + 7]
        apart = max(after - day for day, after in zip(days, following, strict=True))
        return (apart * 24 - self.length) * _HOUR


ALWAYS: Final = SendingHours()
