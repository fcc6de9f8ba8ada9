"""Workers, each of which is started anew when it has ended, as by systemd's `Restart=always`."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from databases import KEY
from world import PACKAGE, SHIFTED

LEASE_SECONDS: Final = 5
SLOTS: Final = 8
RESTART_SECONDS: Final = 0.1
ENDS_WITHIN: Final = 45
"""So many seconds a worker may take to end when it is asked to."""


class Worker:
    """One place for a worker: the process in it, and those that were there before."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self.codes: list[int] = []
        """How those before have ended."""
        self.ahead = 0.0
        """How many seconds the clock is ahead of the next one that is started."""
        self.printed = folder / "printed"
        self._environment = environment
        self._folder = folder
        self._ending = threading.Event()
        self._starting = threading.Lock()
        self._process = self._started()
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self._keeper.start()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process that is there now."""
        if self._process.poll() is None:
            self._process.send_signal(number)

    def end(self) -> int:
        """Ask the worker to end, and return its exit code; one that does not end is killed."""
        with self._starting:
            self._ending.set()
            self.signal(signal.SIGTERM)
        self._keeper.join(ENDS_WITHIN)
        self.signal(signal.SIGKILL)
        self._keeper.join()
        return self.codes[-1]

    def _keep(self) -> None:
        while True:
            self.codes.append(self._process.wait())
            self._ending.wait(RESTART_SECONDS)
            with self._starting:
                if self._ending.is_set():
                    return
                self._process = self._started()

    def _started(self) -> "subprocess.Popen[bytes]":
        shifted = {"CLOCK_AHEAD": str(self.ahead), "PYTHONPATH": f"{SHIFTED}:{PACKAGE}"}
        with open(self.printed, "ab") as printed:
            return subprocess.Popen(
                [sys.executable, "-m", "clio_broadly_sync", "fleet", "worker"],
                env={**self._environment, **(shifted if self.ahead else {})},
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=printed,
            )


def environment(address: str, folder: Path) -> dict[str, str]:
    """Return the environment of whatever is run for a fleet."""
    return {
        "PATH": os.defpath,
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(PACKAGE),
        "PYTHONDONTWRITEBYTECODE": "1",
        "FLEET_DATABASE": address,
        "FLEET_KEYS": KEY,
        "FLEET_SLOTS": str(SLOTS),
        "FLEET_LEASE_SECONDS": str(LEASE_SECONDS),
    }


@contextmanager
def working(address: str, folder: Path, count: int = 2) -> Iterator[list[Worker]]:
    """Yield so many workers; none of them is left."""
    workers: list[Worker] = []
    try:
        for number in range(count):
            own = folder / f"worker-{number}"
            own.mkdir()
            workers.append(Worker(environment(address, own), own))
        yield workers
    finally:
        for worker in workers:
            worker.signal(signal.SIGCONT)
            worker.end()
