"""The clock of every age and deadline: it goes on while the machine sleeps.

`time.monotonic` stands still while a laptop or a virtual machine is suspended, and the wall clock
can be set. So this clock goes as far, from one reading to the next, as the fastest of them went;
and where the other side's `Date` shows that time passed which none of them saw, it is put forward.
"""

import math
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

JUMP_SECONDS: Final = 60.0
"""A disagreement of more than this means that time has passed unseen."""


def boot_time() -> float:
    """Return seconds by a clock that counts sleep, where the system has one (Linux)."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class Clock:
    """Seconds, as `time.monotonic` gives them, with the time that only other clocks saw.

    `awake` is a clock that is never set; `others` are those that may see more.
    """

    def __init__(
        self,
        awake: Callable[[], float] = time.monotonic,
        others: Sequence[Callable[[], float]] = (boot_time, time.time),
    ) -> None:
        self._clocks = (awake, *others)
        self._read = [clock() for clock in self._clocks]
        self._now = 0.0
        self._unseen = 0.0
        self._ahead = math.inf
        self.jumped_at = -math.inf
        """When time last passed unseen, in the seconds of this clock; -inf: never so far."""

    def __call__(self) -> float:
        """Return the seconds that have passed since this clock was made."""
        read = [clock() for clock in self._clocks]
        steps = [now - before for now, before in zip(read, self._read, strict=True)]
        self._read = read
        self._go(max(0.0, *steps), seen=max(0.0, steps[0]))
        return self._now

    def hear(self, date: datetime, asked_at: float) -> None:
        """Take in the `Date` of an answer (aware UTC) to what was asked at `asked_at`.

        Source: RFC 9110, 6.6.1: `Date` is when the answer was made, in whole seconds. So it lies
        between the question and now, by the other side's clock.
        """
        unseen = date.timestamp() - self() - self._ahead
        if unseen > JUMP_SECONDS:
            self._go(unseen, seen=0.0)
        self._ahead = min(self._ahead, date.timestamp() + 1 - asked_at)

    def _go(self, seconds: float, *, seen: float) -> None:
        self._now += seconds
        self._unseen += seconds - seen
        if self._unseen > JUMP_SECONDS:
            self._unseen, self.jumped_at = 0.0, self._now
