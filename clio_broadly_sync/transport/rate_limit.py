"""When the next request may begin, so that a rate limit is never run into.

After `X-RateLimit-Limit`, `-Remaining` and `-Reset` (Clio's rate limit guide: so many requests in
a window, which begins anew at `Reset`, in seconds since 1970).
"""

import math
import re
import time
from collections.abc import Callable, Mapping
from datetime import datetime


class RateLimit:
    """What is left of the window, counted on from the last answer that told."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._remaining: int | None = None
        self._reset = 0
        self._ahead = -math.inf

    def seconds(self) -> float:
        """Return how long to wait before the next request."""
        if self._remaining is None or self._remaining > 0:
            return 0.0
        # A second more, because `Reset` is in whole seconds.
        return max(0.0, self._reset + 1 - self._ahead - self._monotonic())

    def count_request(self) -> None:
        """Count a request that begins; its answer may be lost."""
        if self._remaining is None or self._remaining > 0:
            self._remaining = self._remaining and self._remaining - 1
        else:
            self._remaining, self._ahead = None, -math.inf

    def note_answer(self, headers: Mapping[str, str], date: datetime | None) -> None:
        """Note what an answer tells; `date` is its `Date`."""
        remaining = _whole(headers.get("X-RateLimit-Remaining"))
        reset = _whole(headers.get("X-RateLimit-Reset"))
        if remaining is None or reset is None:
            return
        # `Date` is in whole seconds, too: the latest one of a window is the nearest to the truth.
        theirs = date.timestamp() if date is not None else time.time()
        self._ahead = max(self._ahead, theirs - self._monotonic())
        self._remaining, self._reset = remaining, reset


def _whole(text: str | None) -> int | None:
    found = re.fullmatch(r"\s*(-?[0-9]{1,12})\s*", text or "")
    return int(found[1]) if found else None
