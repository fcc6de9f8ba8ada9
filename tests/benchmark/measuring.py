"""Measures what a child process costs, and what the canned servers did meanwhile."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

from tests.benchmark.canned import CLOSINGS, COUNTED

ROOT = Path(__file__).parents[2]
_TICK = os.sysconf("SC_CLK_TCK")


class Cost(NamedTuple):
    """What a run took."""

    wall: float
    """The seconds from its start to its end."""
    cpu: float
    """The seconds of CPU that it used."""
    mib: float
    """The most memory that it used, in MiB."""
    servers: float
    """The seconds of CPU that the two servers used meanwhile."""
    clio: int
    """How many requests Clio had."""
    broadly: int
    """How many requests Broadly had."""
    items: int
    """How many clients were sent to Broadly."""


class Served(NamedTuple):
    """What the two servers have done so far."""

    cpu: float
    """The seconds of CPU that they used together."""
    clio: int
    """How many requests Clio had."""
    broadly: int
    """How many requests Broadly had."""
    items: int
    """How many clients were sent to Broadly."""


class Ends(NamedTuple):
    """The two servers, Clio first."""

    ports: tuple[int, int]
    pids: tuple[int, int]

    @property
    def clio(self) -> str:
        """Return the scheme, host and port of Clio."""
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def broadly(self) -> str:
        """Return the whole address for batches."""
        return f"http://127.0.0.1:{self.ports[1]}/customers"

    def close(self, closings: int) -> None:
        """Let so many matters have been closed today, and no other ones."""
        _asked(self.ports[0], f"{CLOSINGS}/{closings}")

    def served(self) -> Served:
        """Return what the two servers have done so far."""
        clio, broadly = (_asked(port, COUNTED) for port in self.ports)
        requests = clio.get("requests", 0), broadly.get("requests", 0)
        return Served(sum(map(_cpu_of, self.pids)), *requests, broadly.get("items", 0))


@contextmanager
def serving() -> Iterator[Ends]:
    """Run a Clio in which nothing was closed, and a Broadly, until the context ends."""
    clio, broadly = servers = _server("clio"), _server("broadly")
    try:
        yield Ends((_port(clio), _port(broadly)), (clio.pid, broadly.pid))
    finally:
        for server in servers:
            server.kill()
            server.communicate()


def run(command: Sequence[str], environment: Mapping[str, str], folder: Path, ends: Ends) -> Cost:
    """Run a command to its end, and return what it cost; end the benchmark where it fails.

    What the command prints is in the file `out` of the folder afterwards. Where a shell pipes
    processes into one another, the memory is that of the largest one.
    """
    before = ends.served()
    with open(folder / "out", "wb") as out:
        started = time.perf_counter()
        child = subprocess.Popen(command, env=environment, cwd=folder, stdout=out)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{command} ended with {child.returncode}")
    served = [after - then for after, then in zip(ends.served(), before, strict=True)]
    cpu = usage.ru_utime + usage.ru_stime
    return Cost(wall, cpu, usage.ru_maxrss / 1024, served[0], *map(int, served[1:]))


def medians(costs: Sequence[Cost]) -> Cost:
    """Return a cost of which each part is the median of that part."""
    return Cost(*map(statistics.median, zip(*costs, strict=True)))


def _server(name: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.benchmark.canned", name]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def _port(server: "subprocess.Popen[str]") -> int:
    assert server.stdout is not None
    return int(server.stdout.readline())


def _asked(port: int, path: str) -> dict[str, int]:
    connection = HTTPConnection("127.0.0.1", port)
    connection.request("GET", path)
    found: dict[str, int] = json.loads(connection.getresponse().read())
    connection.close()
    return found


def _cpu_of(pid: int) -> float:
    """Return the seconds of CPU that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK
