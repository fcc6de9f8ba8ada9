"""Who does the job: this program, and what a person would use instead."""

import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, Protocol

from tests.benchmark import measuring
from tests.benchmark.measuring import ROOT, Cost, Ends

HERE = Path(__file__).parent


class Contestant(Protocol):
    name: str

    def run(self, folder: Path, ends: Ends) -> Cost:
        """Do the job once, as if a first run had just been done."""
        ...


class Loop(NamedTuple):
    name: str = "plain loop"

    def run(self, folder: Path, ends: Ends) -> Cost:
        watermark = folder / "watermark"
        watermark.write_text(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
        script = str(HERE / "plain_loop.py")
        command = [sys.executable, script, ends.clio, ends.broadly, str(watermark)]
        return measuring.run(command, _environment({}), folder, ends)


class Program(NamedTuple):
    """This program; the first `sync`, which hands over nobody, is not measured."""

    name: str = "this program"
    options: tuple[str, ...] = ()

    def run(self, folder: Path, ends: Ends) -> Cost:
        environment = _environment(_settings(folder, ends))
        command = [sys.executable, "-m", "clio_broadly_sync", "sync", "--json"]
        if not (folder / "state.db").exists():
            measuring.run(command, environment, folder, ends)
        return measuring.run([*command, *self.options], environment, folder, ends)


def _settings(folder: Path, ends: Ends) -> dict[str, str]:
    return {
        "CLIO_BASE_URL": ends.clio,
        "CLIO_ACCESS_TOKEN": "secret",
        "CLIO_TIME_ZONE": "UTC",
        "SYNC_RULE": "opt-out",
        "SYNC_MAX_NEW": "1000000",
        "SYNC_RUN_MINUTES": "1440",
        "SYNC_STATE": str(folder / "state.db"),
        "BROADLY_URL": ends.broadly,
        "BROADLY_API_KEY": "secret",
    }


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    return {"PATH": os.defpath, "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT), **settings}
