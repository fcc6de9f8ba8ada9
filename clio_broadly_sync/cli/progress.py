"""How far a run has come: a line on a terminal where it takes long, and log lines elsewhere."""

import logging
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final, Protocol

from clio_broadly_sync.cli import logs
from clio_broadly_sync.pipeline import ports

log = logging.getLogger(__name__)

LONG_SECONDS: Final = 2.0
"""The line is drawn only after so many seconds, so that a short run draws nothing."""
TICK_SECONDS: Final = 0.5
BAR: Final = 24
"""How many characters the bar has."""


class Progress(ports.Progress, Protocol):
    """Whoever watches how far a run has come, and shows it to a person."""

    def waiting(self, what: str, seconds: float) -> None:
        """Take in that a wait of so many seconds begins, and what is waited for."""
        ...

    def finish(self) -> None:
        """Leave the terminal to something else until there is news again."""
        ...


def of_a_run(label: str, *, drawn: bool) -> Progress:
    """Return what shows how far a run has come.

    That is a line on the terminal (`drawn`), which a thread keeps up to date and which begins with
    the `label` while closings are worked on; otherwise it is log lines.
    """
    if not drawn:
        return Logged()
    line = Drawn(
        label,
        write=_write,
        monotonic=time.monotonic,
        local_time=lambda: datetime.now().astimezone(),
        width=lambda: shutil.get_terminal_size().columns,
    )
    logs.around_each_line(line.wiped)
    threading.Thread(target=_tick, args=(line,), daemon=True).start()
    return line


class Logged:
    """Progress in the log. A wait is not logged here, because whoever waits logs it."""

    def __init__(self) -> None:
        self._done = self._all = 0

    def matters_read(self, matters: int) -> None:
        log.info("matters read so far: %d", matters)

    def closings_due(self, closings: int) -> None:
        self._done, self._all = 0, closings

    def closings_done(self, closings: int) -> None:
        self._done += closings
        if closings:
            log.info("closed matters done: %d of %d", self._done, self._all)

    def waiting(self, what: str, seconds: float) -> None:
        pass

    def finish(self) -> None:
        pass


class Drawn:
    """Progress as one line on a terminal, drawn anew whenever it changes and wiped in the end.

    `write` puts text on the terminal, and `width` returns how many columns it has. `monotonic` and
    `local_time` are the clocks, and are arguments so that tests wait for nothing. `label` is what
    the line begins with while closings are worked on. `tick` may be called by another thread than
    the other methods.
    """

    def __init__(
        self,
        label: str,
        *,
        write: Callable[[str], object],
        monotonic: Callable[[], float],
        local_time: Callable[[], datetime],
        width: Callable[[], int],
    ) -> None:
        self._label = label
        self._write = write
        self._monotonic = monotonic
        self._local_time = local_time
        self._width = width
        self._long_from = monotonic() + LONG_SECONDS
        self._lock = threading.RLock()
        self._text = "Asking Clio"
        self._wait = ("", 0.0)
        self._done = self._all = 0
        self._shown = ""

    def matters_read(self, matters: int) -> None:
        self._say(f"Closed matters looked at: {matters}")

    def closings_due(self, closings: int) -> None:
        self._done, self._all = 0, closings
        self.closings_done(0)

    def closings_done(self, closings: int) -> None:
        self._done = min(self._done + closings, self._all)
        filled = BAR * self._done // self._all if self._all else 0
        bar = "#" * filled + "." * (BAR - filled)
        self._say(f"{self._label} [{bar}] {self._done} of {self._all}" if self._all else "")

    def waiting(self, what: str, seconds: float) -> None:
        """Show until when a wait lasts; show a wait of `LONG_SECONDS` or more at once."""
        until = self._local_time() + timedelta(seconds=seconds)
        over = self._monotonic() + seconds
        with self._lock:
            self._wait = (f"Waiting for {what} until {until:%H:%M:%S}", over)
            if seconds >= LONG_SECONDS:
                self._long_from = self._monotonic()
        self.tick()

    def finish(self) -> None:
        """Wipe the line, and draw nothing until there is something new."""
        with self._lock:
            self._wait = ("", 0.0)
            self._text = ""
            self._wipe()

    @contextmanager
    def wiped(self) -> Iterator[None]:
        """Wipe the line, and draw none while something else is printed in its place."""
        with self._lock:
            self._wipe()
            yield

    def tick(self) -> None:
        """Draw what is to be shown now, unless the terminal shows it already."""
        with self._lock:
            now = self._monotonic()
            text, over = self._wait
            text = (text if now < over else self._text)[: self._width() - 1]
            if now >= self._long_from and text != self._shown:
                self._wipe()
                self._write(text)
                self._shown = text

    def _wipe(self) -> None:
        if self._shown:
            self._write("\r" + " " * len(self._shown) + "\r")
            self._shown = ""

    def _say(self, text: str) -> None:
        with self._lock:
            self._text, self._wait = text, ("", 0.0)
        self.tick()


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def _tick(line: Drawn) -> None:
    # Signals must reach the main thread, because they may have to wake it.
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    while True:
        time.sleep(TICK_SECONDS)
        line.tick()
