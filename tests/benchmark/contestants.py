"""The contestants here: this program, and the plain loop that a person might write instead.

The others are in `benchmark/peers.py`.
"""

import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, Protocol

from tests.benchmark import measuring
from tests.benchmark.measuring import ROOT, Cost, Ends

HERE = Path(__file__).parent
MOST = 1_000_000
"""So many closings may be sent without a person's approval: the most that a setting allows."""


class Contestant(Protocol):
    """Somebody who does the job."""

    @property
    def name(self) -> str: ...

    @property
    def hands_over(self) -> bool:
        """Tell whether a run sends clients to Broadly, and remembers it."""
        ...

    def prepare(self, folder: Path, ends: Ends) -> None:
        """Put into the folder what a first run leaves there in a firm where nothing was closed."""
        ...

    def run(self, folder: Path, ends: Ends) -> Cost:
        """Do the job once, and return what it cost."""
        ...


class Loop(NamedTuple):
    """The plain loop, `benchmark/plain_loop.py`, to which all others are compared."""

    name: str = "plain loop"
    hands_over: bool = True

    def prepare(self, folder: Path, ends: Ends) -> None:
        (folder / "watermark").write_text(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")

    def run(self, folder: Path, ends: Ends) -> Cost:
        script = str(HERE / "plain_loop.py")
        command = [sys.executable, script, ends.clio, ends.broadly, str(folder / "watermark")]
        return measuring.run(command, environment({}), folder, ends)


class Program(NamedTuple):
    """This program."""

    name: str = "this program"
    hands_over: bool = True
    options: tuple[str, ...] = ()
    """Further options of each run that is measured."""
    settled: int = 0
    """How many closings are in its ledger from the beginning."""

    def prepare(self, folder: Path, ends: Ends) -> None:
        self._sync(folder, ends)
        if self.settled:
            # Linux counts the memory of a child from that of its parent, which stays small so.
            from tests.benchmark.ledger import grow

            grow(folder / "state.db", self.settled)

    def run(self, folder: Path, ends: Ends) -> Cost:
        return self._sync(folder, ends, *self.options)

    def _sync(self, folder: Path, ends: Ends, *options: str) -> Cost:
        command = [sys.executable, "-m", "clio_broadly_sync", "sync", "--json", *options]
        return measuring.run(command, environment(_settings(folder, ends)), folder, ends)


DRY_RUN = Program("dry run", hands_over=False, options=("--dry-run",))


def _settings(folder: Path, ends: Ends) -> dict[str, str]:
    return {
        "CLIO_BASE_URL": ends.clio,
        "CLIO_ACCESS_TOKEN": "secret",
        "CLIO_TIME_ZONE": "UTC",
        "SYNC_RULE": "opt-out",
        "SYNC_MAX_NEW": str(MOST),
        "SYNC_RUN_MINUTES": "1440",
        "SYNC_STATE": str(folder / "state.db"),
        "BROADLY_URL": ends.broadly,
        "BROADLY_API_KEY": "secret",
    }


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the whole environment of a child with these settings, which finds this program."""
    return {"PATH": os.defpath, "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT), **settings}
