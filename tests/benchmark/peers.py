"""The peers dlt and singer-sdk, each in a virtual environment of its own, for `--peers`."""

import json
import subprocess
import venv
from pathlib import Path
from typing import NamedTuple

from tests.benchmark import measuring
from tests.benchmark.contestants import Contestant, environment
from tests.benchmark.measuring import Cost, Ends

DLT, SINGER = "dlt==1.31.0", "singer-sdk==0.54.9"
CACHE = Path("~/.cache/clio-broadly-sync-benchmark").expanduser()


def peers(folder: Path) -> list[Contestant]:
    """Return the peers; whatever is not in the folder yet is installed there first."""
    here = folder.resolve()
    return [Dlt(_installed(DLT, here)), Singer(_installed(SINGER, here))]


class Dlt(NamedTuple):
    """The job by `benchmark/peer_dlt.py`."""

    python: str
    """The path of the interpreter that has dlt."""
    name: str = DLT.replace("==", " ")
    hands_over: bool = True

    def prepare(self, folder: Path, ends: Ends) -> None:
        self.run(folder, ends)

    def run(self, folder: Path, ends: Ends) -> Cost:
        command = [self.python, "-m", "tests.benchmark.peer_dlt", ends.clio, ends.broadly]
        settings = {"HOME": str(folder), "RUNTIME__DLTHUB_TELEMETRY": "false"}
        return measuring.run(command, environment(settings), folder, ends)


class Singer(NamedTuple):
    """The job by `benchmark/peer_singer.py`: two processes in a pipe, as people run them."""

    python: str
    """The path of the interpreter that has singer-sdk."""
    name: str = SINGER.replace("==", " ")
    hands_over: bool = True

    def prepare(self, folder: Path, ends: Ends) -> None:
        tap = {"clio_url": ends.clio, "token": "secret", "start_date": "2020-01-01T00:00:00Z"}
        target = {"broadly_url": ends.broadly, "key": "secret"}
        for name, content in {"tap": tap, "target": target, "state": {}}.items():
            (folder / f"{name}.json").write_text(json.dumps(content))
        self.run(folder, ends)

    def run(self, folder: Path, ends: Ends) -> Cost:
        command = ["bash", "-e", "-o", "pipefail", "-c", _PIPE, self.python]
        settings = {"HOME": str(folder), "LOGLEVEL": "ERROR"}
        return measuring.run(command, environment(settings), folder, ends)


_PIPE = """
"$0" -m tests.benchmark.peer_singer tap --config tap.json --state state.json |
    "$0" -m tests.benchmark.peer_singer target --config target.json > states
tail -n 1 states > state.json
"""


def _installed(requirement: str, folder: Path) -> str:
    """Return the path of an interpreter that has this package, which is installed if need be."""
    home = folder / requirement.replace("==", "-")
    python, done = str(home / "bin" / "python"), home / "installed"
    if not done.exists():
        print(f"Installing {requirement} in {home}", flush=True)
        venv.create(home, clear=True, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", requirement], check=True)
        done.touch()
    return python
