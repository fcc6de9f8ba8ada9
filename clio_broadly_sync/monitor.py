"""Pings to a monitor that raises the alarm when a run fails, or when none comes.

After healthchecks.io's pinging API: ADDRESS/start, ADDRESS, ADDRESS/<exit code>; the body is text.
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
MAX_LINES: Final = 20
MAX_BYTES: Final = 10_000
_HEADERS: Final = {"Content-Type": "text/plain; charset=utf-8"}


class Monitor:
    """Whoever is at `url` (a secret); nobody where that is None.

    A monitor that cannot be told never raises: the run goes on as if it had none.
    """

    def __init__(self, url: str | None) -> None:
        self._url = url

    def started(self) -> None:
        """Tell that a run begins."""
        self._ping("/start", ())

    def ended(self, code: int, lines: Sequence[str]) -> None:
        """Tell the exit code of a run, and the last lines of what it said."""
        self._ping(f"/{code}" if code else "", lines)

    def _ping(self, end: str, lines: Sequence[str]) -> None:
        """Ping from a thread of its own: a name is looked up in C, where no time limit reaches."""
        if self._url is None:
            return
        call = threading.Thread(
            target=_call, args=(_extended(self._url, end), _text(lines)), daemon=True
        )
        with suppress(RuntimeError):  # there is no room for another thread
            call.start()
            call.join(WHOLE_CALL_SECONDS)


def transport_to_monitor(stop: Stop) -> "Transport":
    """Return what speaks to a monitor, and waits for none; the libraries are loaded only here."""
    from clio_broadly_sync.transport.client import Transport

    return Transport("The monitor", patience=lambda: 0.0, stop=stop, whole_call=WHOLE_CALL_SECONDS)


def _call(url: str, body: bytes) -> None:
    # Signals are for the main thread, which they may have to wake.
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    transport = transport_to_monitor(Stop())  # it is told of a run that a signal ended, too
    try:
        transport.request("POST", url, headers=_HEADERS, body=body)
    except Exception as error:  # noqa: BLE001  (whatever it is, the run goes on)
        log.info("the monitor could not be told (%s)", type(error).__name__)
    finally:
        transport.close()


def _extended(url: str, end: str) -> str:
    """Return the address with a longer path; a query stays what it is."""
    if not end:
        return url
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + end))


def _text(lines: Sequence[str]) -> bytes:
    text = "\n".join(lines[-MAX_LINES:]).encode()
    return text[-MAX_BYTES:].decode(errors="ignore").encode()
