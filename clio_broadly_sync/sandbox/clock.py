"""The sandbox's time: real time plus an offset that anyone may shift. It can also stand still."""

import threading
from datetime import UTC, datetime, timedelta


class Clock:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._offset = timedelta(0)
        self._frozen: datetime | None = None

    def now(self) -> datetime:
        with self._lock:
            return self._now()

    def seconds(self) -> int:
        """Return the moment in whole seconds, as Clio's records keep it."""
        return int(self.now().timestamp())

    def advance(self, delta: timedelta) -> None:
        """Move forward, or back where the delta is negative."""
        with self._lock:
            self._offset += delta
            if self._frozen is not None:
                self._frozen += delta

    def set(self, moment: datetime) -> None:
        """Go to an aware moment; from there time runs on, unless it stands still."""
        self.advance(moment - self.now())

    def freeze(self, moment: datetime | None = None) -> None:
        """Stand still, at `moment` or now, until `thaw`; `advance` still moves."""
        with self._lock:
            self._frozen = moment or self._now()

    def thaw(self) -> None:
        with self._lock:
            if self._frozen is not None:
                self._offset = self._frozen - datetime.now(UTC)
                self._frozen = None

    def _now(self) -> datetime:
        return self._frozen or datetime.now(UTC) + self._offset
