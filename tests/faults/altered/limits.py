"""What a child may not have: waits that take time, room on the disk, patience for an answer."""

import resource
import time

from clio_broadly_sync.clio.api import Api
from clio_broadly_sync.transport.client import Transport
from clio_broadly_sync.transport.signals import Stop


def no_waits() -> None:
    """Let each wait pass at once: the clock that only goes forward jumps instead."""
    monotonic, waited = time.monotonic, [0.0]

    def jumping() -> float:
        return monotonic() + waited[0]

    def sleep(stop: Stop, seconds: float) -> None:
        stop.check()
        waited[0] += seconds

    time.monotonic, Stop.sleep = jumping, sleep  # type: ignore[method-assign]
    for kind in (Transport, Api):
        kind.__init__.__kwdefaults__["monotonic"] = jumping  # type: ignore[misc]


def file_bytes(most: int) -> None:
    """Let no file grow beyond this, as on a disk that is full from there on."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


def seconds_for_an_answer(most: float) -> None:
    """Let no request take longer than this, of whatever side."""
    Transport.__init__.__kwdefaults__["whole_call"] = most  # type: ignore[misc]
