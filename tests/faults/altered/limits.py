"""What can be taken from a child: the time of waits, room on the disk, an answer's time, its lock.

And it can be told where its state is.
"""

import resource
import time

from clio_broadly_sync.transport.client import Transport
from clio_broadly_sync.transport.clock import Clock
from clio_broadly_sync.transport.signals import Stop


def in_a_firm(address: str) -> None:
    """Let the state be the rows of the first firm in the database at this address."""
    from clio_broadly_sync.cli import app
    from clio_broadly_sync.domain.credentials import Secret
    from clio_broadly_sync.store.firm import FirmPlace
    from clio_broadly_sync.store.seal import Seal
    from clio_broadly_sync.store.sessions import Sessions

    seal = Seal([Secret("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")])
    place = FirmPlace(Sessions(address), 1, "firm-1", hash_key=f"{1:064x}", seal=seal)
    app.place_of = lambda settings: place


def no_lock() -> None:
    """Let every run believe that it holds the firm."""
    from clio_broadly_sync.store import postgresql

    postgresql.try_lock = lambda session, kind, firm: True


def no_waits() -> None:
    """Let each wait end at once; the clock that only goes forward jumps instead."""
    monotonic, waited = time.monotonic, [0.0]

    def jumping() -> float:
        return monotonic() + waited[0]

    def sleep(stop: Stop, seconds: float) -> None:
        stop.check()
        waited[0] += seconds

    time.monotonic, Stop.sleep = jumping, sleep  # type: ignore[method-assign]
    _, others = Clock.__init__.__defaults__  # type: ignore[misc]
    Clock.__init__.__defaults__ = jumping, others  # type: ignore[misc]


def file_bytes(most: int) -> None:
    """Let no file have more bytes than this, as if the disk were full from there on."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


def small_files(clients: int) -> None:
    """Let a file of `--csv` have no more clients than these, claimed by half as many at once."""
    from clio_broadly_sync.cli import runner
    from clio_broadly_sync.sinks import csv_file

    runner.BATCH = csv_file.BATCH = clients // 2
    csv_file.MOST_BYTES = csv_file.BATCH * csv_file.LONGEST_ROW + clients * 115


def seconds_for_an_answer(most: float) -> None:
    """Let no request to either side take more seconds than this."""
    Transport.__init__.__kwdefaults__["whole_call"] = most  # type: ignore[misc]
