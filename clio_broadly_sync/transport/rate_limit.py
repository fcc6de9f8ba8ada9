"""When the next request may begin, so that the other side's rate limit is never exceeded.

That is its own limit, which its answers tell, and a pace, which the settings may name.

The headers `X-RateLimit-Remaining` and `X-RateLimit-Reset` say it. Source: Clio's rate limit guide,
where so many requests (`X-RateLimit-Limit`) are allowed in a window, and the next window begins at
`Reset`, in seconds since 1970.
"""

import math
import re
import time
from collections.abc import Callable, Mapping
from datetime import datetime


class RateLimit:
    """What is left of the window, counted on from the last answer that said it.

    `monotonic` returns seconds by a clock that is never set. At most so many requests begin
    `per_minute`, evenly; None where there is no such limit.
    """

    def __init__(self, monotonic: Callable[[], float], per_minute: int | None = None) -> None:
        self._monotonic = monotonic
        self._between = 60 / per_minute if per_minute else 0.0
        """At least so many seconds lie between two requests."""
        self._began = -math.inf
        """When the last request began."""
        self._remaining: int | None = None
        self._reset = 0
        self._ahead = -math.inf
        """How many seconds the other side's clock is ahead of `monotonic`."""

    def seconds(self) -> float:
        """Return how many seconds to wait for the next window, where this one is used up."""
        if self._remaining is None or self._remaining > 0:
            return 0.0
        # It is one second more, because `Reset` is in whole seconds.
        return max(0.0, self._reset + 1 - self._ahead - self._monotonic())

    def pace_seconds(self) -> float:
        """Return how many seconds the pace has the next request wait; not above zero: none."""
        return self._began + self._between - self._monotonic()

    def count_request(self) -> None:
        """Count a request when it begins, because its answer may be lost."""
        self._began = self._monotonic()
        if self._remaining is None or self._remaining > 0:
            self._remaining = self._remaining and self._remaining - 1
        else:
            self._remaining, self._ahead = None, -math.inf

    def note_answer(self, headers: Mapping[str, str], date: datetime | None) -> None:
        """Take in what an answer's headers say; `date` is its `Date` in aware UTC."""
        remaining = _whole(headers.get("X-RateLimit-Remaining"))
        reset = _whole(headers.get("X-RateLimit-Reset"))
        if remaining is None or reset is None:
            return
        # `Date` is in whole seconds, too, so the largest difference is the nearest to the truth.
        theirs = date.timestamp() if date is not None else time.time()
        self._ahead = max(self._ahead, theirs - self._monotonic())
        self._remaining, self._reset = remaining, reset


def _whole(text: str | None) -> int | None:
    found = re.fullmatch(r"\s*(-?[0-9]{1,12})\s*", text or "")
    return int(found[1]) if found else None
