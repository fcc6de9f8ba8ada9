"""A storm: workers and their database are killed, cut and frozen while firms close matters.

`python -m tests.fleet.storm --firms 200 --minutes 10` is the long one. Where something is wrong it
ends with 1. The same seed gives the same faults in the same order, at other moments.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

import psycopg
from databases import control, own_server

from clio_broadly_sync.store.postgresql import RUN
from fleet import judge
from fleet.offices import Office, add_all
from fleet.workers import LEASE_SECONDS, Worker, environment, working

CLOSINGS_A_SECOND: Final = 10
"""So many matters are closed in all firms together."""
AT_WORK: Final = 8
"""A fault comes when so many clients are being sent, or after `LONGEST_SECONDS`; and not before one
was sent in each fifth firm since the last fault, or twice that time is over."""
LONGEST_SECONDS: Final = 8.0
MOST: Final = 40
"""So many sentences are printed of what is wrong."""
AT_ONCE: Final = 0.2
"""Which part of the faults comes as soon as the one before is over."""
CALM_SECONDS: Final = 120.0
"""By then 40 firms are at rest, on the busiest machine."""
HOURS: Final = 3600.0


class Struck(NamedTuple):
    """A fault that has happened."""

    name: str
    sending: int
    """How many clients were being sent at that moment."""

    def __str__(self) -> str:
        return f"{self.name} ({self.sending} being sent)"


class Storm:
    """Firms, the workers that do their runs, and the database of both."""

    def __init__(
        self, address: str, offices: Sequence[Office], workers: Sequence[Worker], random: Random
    ) -> None:
        self.offices = offices
        self.workers = workers
        self.struck: list[Struck] = []
        """The faults so far, in order."""
        self._address = address
        self._random = random

    def strike(self, name: str) -> Struck:
        """Let this fault happen when the workers are at work again, or now and then before that."""
        enough = self._accepted() + len(self.offices) // 5
        if self._random.random() >= AT_ONCE:
            self._until(lambda: self._accepted() >= enough, 2 * LONGEST_SECONDS)
            self._until(lambda: self._sending() >= AT_WORK, LONGEST_SECONDS)
        self.struck.append(Struck(name, self._sending()))
        FAULTS[name](self)
        return self.struck[-1]

    def first_runs(self) -> None:
        """Return when each firm has had the run that only notes where it starts."""
        never = "SELECT count(*) FROM firms WHERE good_at IS NULL"
        assert self._until(lambda: self._one(never) == 0, self._calm), "not every firm was run"

    def sums(self) -> str:
        """Return what came of it, in a few words."""
        with psycopg.connect(self._address) as connection:
            states = dict(connection.execute(_STATES).fetchall())
        closed = sum(len(office.closed) for office in self.offices)
        told = ", ".join(f"{number} {state}" for state, number in states.items())
        return f"{closed} closings: {told}; {self._accepted()} accepted"

    @contextmanager
    def closing(self) -> Iterator[None]:
        """Let matters be closed all the time inside."""
        over, chance = threading.Event(), Random(self._random.random())
        clerk = threading.Thread(target=self._close, args=(over, chance), daemon=True)
        clerk.start()
        try:
            yield
        except BaseException as error:
            error.add_note(f"after {', '.join(map(str, self.struck))}")
            raise
        finally:
            over.set()
            clerk.join()

    def calm(self) -> Iterator[str]:
        """Wait until everything is at rest, and yield a sentence for each firm that is not."""
        for office in self.offices:
            office.all_opt_out()
        now = self._one("SELECT clock_timestamp()")
        if not self._until(lambda: self._is_at_rest(now), self._calm):
            with psycopg.connect(self._address) as connection:
                for row in connection.execute(_RESTLESS, (now,)):
                    yield "{} did not come to rest: {}".format(*row)

    def _close(self, over: threading.Event, chance: Random) -> None:
        while not over.wait(1 / CLOSINGS_A_SECOND):
            chance.choice(self.offices).close_one()

    def _is_at_rest(self, since: Any) -> bool:
        """Tell whether nothing is under way, and each firm was run well since a moment."""
        closed = sum(len(office.closed) for office in self.offices)
        rows, busy = self._row(_UNDER_WAY)
        return (rows, busy, self._one(_TO_RUN, since)) == (closed, 0, 0)

    # What befalls them.

    def kill(self) -> None:
        self._any_worker().signal(signal.SIGKILL)

    def kill_all(self) -> None:
        for worker in self.workers:
            worker.signal(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop a worker for longer than the lease of its firms."""
        worker = self._any_worker()
        worker.signal(signal.SIGSTOP)
        time.sleep(LEASE_SECONDS + 2)
        worker.signal(signal.SIGCONT)

    def cut(self) -> None:
        """End all sessions of the program, as when a network goes away."""
        self._one(_CUT)

    def crash(self) -> None:
        """Let the server end at once and start again a little later, from its log."""
        control(self._address, "stop", "--mode=immediate")
        time.sleep(self._random.uniform(0, 2))
        control(self._address, "start")

    def restart(self) -> None:
        control(self._address, "stop", "--mode=fast")
        control(self._address, "start")

    def wipe(self) -> None:
        self._one(_WIPE)

    def shift(self) -> None:
        """Let a worker go on with a clock that is hours ahead, or behind."""
        worker = self._any_worker()
        worker.ahead = self._random.choice((-3 * HOURS, 3 * HOURS))
        worker.signal(signal.SIGKILL)

    # What is asked of the server.

    def _accepted(self) -> int:
        return sum(len(office.broadly.accepted) for office in self.offices)

    def _sending(self) -> int:
        return int(self._one(_SENDING, RUN))

    def _one(self, statement: str, *values: Any) -> Any:
        return self._row(statement, *values)[0]

    def _row(self, statement: str, *values: Any) -> Any:
        with psycopg.connect(self._address, autocommit=True, options=_OPTIONS) as connection:
            return connection.execute(statement.encode(), values or None).fetchone()

    @property
    def _calm(self) -> float:
        return CALM_SECONDS * max(1, len(self.offices) / 40)

    def _until(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Wait until this holds, but no longer than so many seconds; tell whether it does."""
        end = time.monotonic() + seconds
        while not (held := holds()) and time.monotonic() < end:
            time.sleep(0.25)
        return held

    def _any_worker(self) -> Worker:
        return self._random.choice(self.workers)


_UNDER_WAY: Final = """
    SELECT count(*), count(*) FILTER (WHERE state IN ('pending', 'sending')) FROM closings
"""
_SENDING: Final = """
    SELECT count(*) FROM closings WHERE state = 'sending' AND firm IN (
        SELECT CAST(objid AS BIGINT) FROM pg_locks
        WHERE locktype = 'advisory' AND granted AND CAST(classid AS BIGINT) = %s
    )
"""
"""What a run that is at work is sending; what an ended one left is not counted."""
_STATES: Final = "SELECT state, count(*) FROM closings GROUP BY 1 ORDER BY 1"
_RESTLESS: Final = """
    SELECT name, concat_ws(', ', 'ran well ' || (now() - good_at) || ' ago',
        'due in ' || (next_at - now()), failures || ' failures', 'code ' || last_exit, last_said)
    FROM firms WHERE good_at < %s
        OR firm IN (SELECT firm FROM closings WHERE state IN ('pending', 'sending'))
"""
_TO_RUN: Final = "SELECT count(*) FROM firms WHERE good_at IS NULL OR good_at < %s"
_WIPE: Final = "WITH gone AS (DELETE FROM fleet_queue.procrastinate_jobs) SELECT 1"
_OPTIONS: Final = "-c search_path=public,fleet_queue"
"""What the engine does by itself when a job is deleted finds its tables by this."""
_CUT: Final = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'clio-broadly-sync %'
"""
FAULTS: Final[Mapping[str, Callable[[Storm], None]]] = {
    "one worker killed": Storm.kill,
    "all workers killed": Storm.kill_all,
    "one worker frozen for longer than the lease": Storm.freeze,
    "all sessions cut": Storm.cut,
    "PostgreSQL crashed": Storm.crash,
    "PostgreSQL restarted": Storm.restart,
    "the queue wiped": Storm.wipe,
    "one worker killed, its clock hours off": Storm.shift,
}


class Ran(NamedTuple):
    """A storm that is over."""

    seed: int
    struck: Sequence[Struck]
    sums: str
    flaws: Sequence[str]
    """What is wrong; empty where each client was asked once, and nobody who opted out."""

    def __str__(self) -> str:
        more = [f"and {len(self.flaws) - MOST} more"] if len(self.flaws) > MOST else []
        said = [f"seed {self.seed}; {self.sums}", *map(str, self.struck), *self.flaws[:MOST], *more]
        return "\n".join(said)


def run(
    folder: Path,
    seed: int,
    *,
    firms: int,
    faults: Callable[[Random], Iterator[str]],
    tell: Callable[[str], object] = lambda says: None,
) -> Ran:
    """Let a storm with these `faults` come over so many firms, and judge what it leaves."""
    random = Random(seed)
    with own_server(lasting=True) as address, ExitStack() as open_offices:
        offices = [Office(n, folder / f"firm-{n}") for n in range(1, firms + 1)]
        for office in offices:
            office.sandbox.start()
            open_offices.callback(office.sandbox.stop)
        set_up(address, offices, folder)
        with working(address, folder) as workers:
            storm = Storm(address, offices, workers, random)
            storm.first_runs()
            tell("every firm was run once")
            with storm.closing():
                for name in faults(random):
                    tell(str(storm.strike(name)))
            found = [*storm.calm()]
            tell("the storm is over")
        found += judge.flaws(offices, workers, address, folder)
        return Ran(seed, storm.struck, storm.sums(), found)


def set_up(address: str, offices: Sequence[Office], folder: Path) -> None:
    """Make a fleet of these firms in a new database."""
    command = [sys.executable, "-m", "clio_broadly_sync", "fleet", "init"]
    subprocess.run(
        command, env=environment(address, folder), cwd=folder, stdout=subprocess.DEVNULL, check=True
    )
    add_all(offices, address)


def each_once(random: Random) -> Iterator[str]:
    """Yield the name of each fault once."""
    yield from random.sample([*FAULTS], len(FAULTS))


def for_so_long(seconds: float) -> Callable[[Random], Iterator[str]]:
    """Return what yields each fault again and again, until the time is over."""

    def faults(random: Random) -> Iterator[str]:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for name in each_once(random):
                if time.monotonic() < end:
                    yield name

    return faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--firms", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        ran = run(
            Path(folder),
            asked.seed,
            firms=asked.firms,
            faults=for_so_long(60 * asked.minutes),
            tell=lambda says: print(says, flush=True),
        )
    print(ran.sums, *ran.flaws, "WRONG" if ran.flaws else "well", sep="\n")
    sys.exit(1 if ran.flaws else 0)


if __name__ == "__main__":
    main()
