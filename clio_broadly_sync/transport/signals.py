"""What ends a wait early: a signal that asks the program to stop, and a limit by the clock.

Loads no library, for every command needs it, and `--help` must not wait for one.
"""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from clio_broadly_sync.domain.errors import StoppedError


class Stop:
    """Whether a signal has asked the run to end, and the sleep that it cuts short."""

    def __init__(self) -> None:
        self._signal: int | None = None
        self._at_once = False

    def ask(self, signal_number: int, frame: FrameType | None = None) -> None:
        """Note the signal, as its handler; raise where nothing is in flight."""
        self._signal = signal_number
        if self._at_once:
            raise StoppedError(signal_number)

    def check(self) -> None:
        """Raise StoppedError once a signal has come."""
        if self._signal is not None:
            raise StoppedError(self._signal)

    def sleep(self, seconds: float) -> None:
        # No threading.Event: a handler that sets one while it is waited for may wait for ever.
        with self.at_once():
            time.sleep(seconds)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Let a signal end what is inside, which changes nothing anywhere."""
        self._at_once = True
        try:
            self.check()
            yield
        finally:
            self._at_once = False


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError inside after `seconds`.

    A time-out of requests bounds each read of the socket, not the whole: a server that drips
    a byte a second would hold the run for ever.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def expire(signal_number: int, frame: FrameType | None) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, expire)
    # Again and again: while connecting, a library may take it for the failure of one address.
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
