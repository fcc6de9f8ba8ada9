"""Pings to a monitor, which raises the alarm when a run fails or when none comes.

Source: the pinging API of healthchecks.io. ADDRESS/start says that a run begins, ADDRESS that it
ended well, and ADDRESS/<exit code> that it ended otherwise. The body is text.
"""

import logging
import signal
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

from clio_broadly_sync.transport.signals import Stop

if TYPE_CHECKING:
    from clio_broadly_sync.transport.client import Transport

log = logging.getLogger(__name__)

WHOLE_CALL_SECONDS: Final = 5.0
"""A run waits at most so long for a ping."""
MAX_LINES: Final = 20
"""At most so many lines are sent, the last ones."""
MAX_BYTES: Final = 10_000
"""At most so many bytes of them are sent, the last ones."""
_HEADERS: Final = {"Content-Type": "text/plain; charset=utf-8"}


class Monitor:
    """The monitor at `url`, which is a secret. Where `url` is None, there is none.

    No method raises when the monitor cannot be reached: the run goes on as if there were none.
    """

    def __init__(self, url: str | None) -> None:
        self._url = url

    def started(self) -> None:
        """Tell the monitor that a run begins."""
        self._ping("/start", ())

    def ended(self, code: int, lines: Sequence[str]) -> None:
        """Tell the monitor the exit code of a run and the last of the lines that it said."""
        self._ping(f"/{code}" if code else "", lines)

    def _ping(self, end: str, lines: Sequence[str]) -> None:
        """Ping from a thread of its own.

        The name of a host is looked up in C, where no time limit can end it.
        """
        if self._url is None:
            return
        call = threading.Thread(
            target=_call, args=(_extended(self._url, end), _text(lines)), daemon=True
        )
        with suppress(RuntimeError):  # no further thread can be started
            call.start()
            call.join(WHOLE_CALL_SECONDS)


def transport_to_monitor(stop: Stop) -> "Transport":
    """Return a transport that speaks to a monitor and never waits between two tries.

    The HTTP libraries take long to load, so they are loaded only here.
    """
    from clio_broadly_sync.transport.client import Transport

    return Transport("The monitor", patience=lambda: 0.0, stop=stop, whole_call=WHOLE_CALL_SECONDS)


def _call(url: str, body: bytes) -> None:
    # Signals must reach the main thread, because they may have to wake it.
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    # A Stop of its own, because the monitor is also told of a run that a signal has ended.
    transport = transport_to_monitor(Stop())
    try:
        transport.request("POST", url, headers=_HEADERS, body=body)
    except Exception as error:  # noqa: BLE001  (whatever it is, the run goes on)
        log.info("the monitor could not be told (%s)", type(error).__name__)
    finally:
        transport.close()


def _extended(url: str, end: str) -> str:
    """Return the address with `end` added to its path; a query stays as it is."""
    if not end:
        return url
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + end))


def _text(lines: Sequence[str]) -> bytes:
    text = "\n".join(lines[-MAX_LINES:]).encode()
    return text[-MAX_BYTES:].decode(errors="ignore").encode()
