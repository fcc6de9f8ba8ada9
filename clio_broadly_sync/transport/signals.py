"""What ends a wait early: a signal that asks the program to stop, and a limit by the clock.

This module loads no library, because every command needs it, and `--help` must not wait for one.
"""

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from types import FrameType
from typing import Final, TypeVar

from clio_broadly_sync.domain.errors import StoppedError

T = TypeVar("T")

LONGEST_SLEEP: Final = 1.0
"""So many seconds a signal may be late that comes just as a sleep begins."""


class Stop:
    """Notes whether a signal has asked the program to stop, and cuts its sleep short."""

    def __init__(self) -> None:
        self._signal: int | None = None
        self._at_once = False

    def ask(self, signal_number: int, frame: FrameType | None = None) -> None:
        """Note a signal, as its handler; raise StoppedError inside `at_once`."""
        self._signal = signal_number
        if self._at_once:
            raise StoppedError(signal_number)

    def check(self) -> None:
        """Raise StoppedError where a signal has come."""
        if self._signal is not None:
            raise StoppedError(self._signal)

    def sleep(self, seconds: float) -> None:
        # No threading.Event, because a handler that sets it during the wait may hang for ever. And
        # Python calls no handler of a signal that came just before the system's sleep until that is
        # over, so that one is never long.
        until = time.monotonic() + seconds
        with self.at_once():
            while (left := until - time.monotonic()) > 0:
                time.sleep(min(left, LONGEST_SLEEP))

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Let a signal end at once what is inside, which must change nothing anywhere.

        Raise StoppedError when it comes, or where it has come already; also where what is inside
        made an error of its own of that, or a result.
        """
        before = self._at_once
        try:
            self._at_once = True
            self.check()
            yield
            self.check()
        except Exception:
            self.check()
            raise
        finally:
            self._at_once = before

    @contextmanager
    def to_the_end(self) -> Iterator[None]:
        """Let what is inside come to its end although it is done `at_once`, because it writes."""
        before, self._at_once = self._at_once, False
        try:
            yield
        finally:
            self._at_once = before

    def each(self, things: Iterator[T]) -> Iterator[T]:
        """Yield the things; a signal ends at once the search for the next one.

        It does not end what is done with one, such as to print it, so nothing is printed by halves.
        """
        while True:
            with self.at_once():
                found = list(islice(things, 1))
            if not found:
                return
            yield found[0]


class ThreadStop(Stop):
    """A Stop for a run in a thread of its own, which another thread asks to stop.

    Whoever asks is not interrupted, and no thread can be: a sleep ends at once, but what is inside
    `at_once` comes to its end, or to its limit of time, and StoppedError is raised then. Nobody may
    ask in the thread of the run, nor in the handler of a signal.
    """

    def __init__(self) -> None:
        super().__init__()
        self._asked = threading.Event()

    def ask(self, signal_number: int, frame: FrameType | None = None) -> None:
        """Note a signal that came in another thread, and wake the sleep of the run."""
        self._signal = signal_number
        self._asked.set()

    def sleep(self, seconds: float) -> None:
        with self.at_once():
            self._asked.wait(seconds)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError inside after so many seconds.

    A time-out of requests limits each read of the socket and not the whole, so a server that sends
    a byte a second would hold the run for ever. Only the main thread can be interrupted, because
    Python runs the handlers of signals only there. In every other one, what is inside must ask
    `time_left` before each step that may last; connections do (`transport/session.py`).
    """
    if threading.current_thread() is not threading.main_thread():
        _limit.until = time.monotonic() + seconds
        try:
            yield
        finally:
            del _limit.until
        return

    def expire(signal_number: int, frame: FrameType | None) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, expire)
    # It rings again and again: while connecting, a library may take one ring for the failure of
    # one address, and go on.
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def time_left() -> float:
    """Return how many seconds `time_limit` leaves to this thread; raise TimeoutError at its end.

    Return infinity where there is no limit, and in the main thread, which is interrupted.
    """
    left: float = getattr(_limit, "until", math.inf) - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


_limit: Final = threading.local()
