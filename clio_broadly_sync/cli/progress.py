"""How far a run has come: a line on a terminal once it takes long, log lines elsewhere."""

import logging
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, Protocol

from clio_broadly_sync.cli import logs
from clio_broadly_sync.pipeline import ports

log = logging.getLogger(__name__)

LONG_SECONDS: Final = 2.0
"""What is over by then draws nothing."""
TICK_SECONDS: Final = 0.5
BAR: Final = 24


class Progress(ports.Progress, Protocol):
    """What a run tells of, beside how far it has come."""

    def waiting(self, what: str, seconds: float) -> None: ...

    def finish(self) -> None:
        """Leave the terminal to somebody else, until there is something to tell again."""
        ...


def of_a_run(label: str, *, drawn: bool) -> Progress:
    """Return a line on the terminal, kept up to date by a thread of its own, or log lines."""
    if not drawn:
        return Logged()
    line = Drawn(
        label,
        write=_write,
        monotonic=time.monotonic,
        local_time=lambda: datetime.now().astimezone(),
        width=lambda: shutil.get_terminal_size().columns,
    )
    logs.before_each_line(line.clear)
    threading.Thread(target=_tick, args=(line,), daemon=True).start()
    return line


class Logged:
    """Says it in the log; what is waited for is logged by who waits."""

    def __init__(self) -> None:
        self._done = self._all = 0

    def matters_read(self, matters: int) -> None:
        log.info("%d matters read so far", matters)

    def closings_due(self, closings: int) -> None:
        self._done, self._all = 0, closings

    def closings_done(self, closings: int) -> None:
        self._done += closings
        if closings:
            log.info("%d of %d closings done", self._done, self._all)

    def waiting(self, what: str, seconds: float) -> None:
        pass

    def finish(self) -> None:
        pass


class Drawn:
    """One line, drawn anew whenever it changes, and wiped out in the end.

    `tick` may be called by another thread than the rest.
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
        self._say(f"Read {matters} matters")

    def closings_due(self, closings: int) -> None:
        self._done, self._all = 0, closings
        self.closings_done(0)

    def closings_done(self, closings: int) -> None:
        self._done = min(self._done + closings, self._all)
        filled = BAR * self._done // self._all if self._all else 0
        bar = "#" * filled + "." * (BAR - filled)
        self._say(f"{self._label} [{bar}] {self._done} of {self._all}" if self._all else "")

    def waiting(self, what: str, seconds: float) -> None:
        """Say until when; what is longer than a moment is said at once."""
        until = self._local_time() + timedelta(seconds=seconds)
        over = self._monotonic() + seconds
        with self._lock:
            self._wait = (f"Waiting for {what} until {until:%H:%M:%S}", over)
            if seconds >= LONG_SECONDS:
                self._long_from = self._monotonic()
        self.tick()

    def finish(self) -> None:
        """Wipe the line out; nothing is drawn until there is something new."""
        with self._lock:
            self._wait = ("", 0.0)
            self._text = ""
            self.clear()

    def clear(self) -> None:
        """Wipe the line out for a moment, for what is to be printed in its place."""
        with self._lock:
            if self._shown:
                self._write("\r" + " " * len(self._shown) + "\r")
                self._shown = ""

    def tick(self) -> None:
        """Draw what is to be seen now, if that is something else than before."""
        with self._lock:
            now = self._monotonic()
            text, over = self._wait
            text = (text if now < over else self._text)[: self._width() - 1]
            if now >= self._long_from and text != self._shown:
                self.clear()
                self._write(text)
                self._shown = text

    def _say(self, text: str) -> None:
        with self._lock:
            self._text, self._wait = text, ("", 0.0)
        self.tick()


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def _tick(line: Drawn) -> None:
    # A signal is for the main thread, which it may have to wake.
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    while True:
        time.sleep(TICK_SECONDS)
        line.tick()
