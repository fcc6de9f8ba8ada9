"""Workers as processes: no firm holds up another one, and a worker that is to stop stops.

They share a server of their own, which keeps what is committed: on any other no worker begins.
"""

import gc
import json
import math
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

import psycopg
import pytest
from agency import Agency
from databases import KEY, own_server
from rig import Sandbox, faults
from surroundings import BUSY_SECONDS, at_once

from clio_broadly_sync.cli import worker as module
from clio_broadly_sync.cli.worker import Worker
from clio_broadly_sync.sandbox import Firm, Request, Response
from clio_broadly_sync.sandbox.server import Clock, Server
from clio_broadly_sync.store.fleet_overview import FleetOverview
from clio_broadly_sync.transport.client import READ_SECONDS
from clio_broadly_sync.transport.signals import Stop

FIRMS: Final = 40
REVOKED, SILENT = "firm-1", "firm-2"
"""One whose token was withdrawn, and one whose Clio takes a request and never answers."""
PERIOD: Final = timedelta(seconds=1)
RUNS: Final = 4
"""So often each of the others has run by the end."""
SECONDS: Final = 90
"""On the busiest machine, forty firms have been run so often by then."""
_FIELD: Final = {
    "id": 1,
    "name": "BroadlyOptOut",
    "parent_type": "Contact",
    "field_type": "checkbox",
    "deleted": False,
}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with own_server(lasting=True) as address:
        yield address


@pytest.fixture
def agency(address: str) -> Iterator[Agency]:
    with closing(Agency(address)) as made:
        yield made


class Process:
    """A command of the fleet as a child, whose stderr is read line by line."""

    def __init__(self, environment: Mapping[str, str], folder: Path, *words: str) -> None:
        self.child = subprocess.Popen(
            [sys.executable, "-m", "clio_broadly_sync", "fleet", *words],
            env={**environment, "PATH": os.defpath, "PYTHONPATH": str(Path(__file__).parents[2])},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said: list[str] = []
        """The lines so far."""
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def hears(self, words: str) -> None:
        """Return when it has said a line with these words in it."""
        while words not in (line := self._lines.get(timeout=BUSY_SECONDS)):
            assert line, "it has ended"

    def end(self, number: int | None = None) -> int:
        """Send it a signal, and return its exit code."""
        if number is not None:
            self.child.send_signal(number)
        code = self.child.wait(BUSY_SECONDS)
        self._reader.join()
        return code

    def _read(self) -> None:
        assert self.child.stderr is not None
        with self.child.stderr as lines:
            for line in lines:
                self.said.append(line)
                self._lines.put(line)
        self._lines.put("")


Start = Callable[..., Process]


@pytest.fixture
def start(agency: Agency, tmp_path: Path) -> Iterator[Start]:
    """Return what starts a command; what still runs at the end is killed."""
    started: list[Process] = []

    def begin(*words: str, **settings: str) -> Process:
        started.append(Process({**agency.environment, **settings}, tmp_path, *words))
        return started[-1]

    yield begin
    for process in started:
        if process.child.poll() is None:
            process.child.kill()
        process.end()


def until(holds: Callable[[], bool], seconds: float = BUSY_SECONDS) -> None:
    """Return when this holds; fail where it does not for so long."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it does not come to hold"
        time.sleep(0.05)


# No firm holds up another one.


class Clios(Server):
    """The Clio of many firms, each known by its token, in which nothing was closed."""

    def __init__(self) -> None:
        super().__init__(Clock())
        self.asked: Counter[str] = Counter()
        """How many requests each firm made."""

    def handle(self, request: Request) -> Response:
        firm = (request.header("authorization") or "").removeprefix("Bearer token-of-")
        self.asked[firm] += 1
        if firm == REVOKED:
            return Response.of_json(401, {"error": {"type": "Unauthorized", "message": "no"}})
        if firm == SILENT:
            self.stopping.wait()
        if "who_am_i" in request.path:
            account = {"id": int(firm.partition("-")[2]), "name": "Some firm"}
            return Response.of_json(200, {"data": {"id": 1, "name": "A", "account": account}})
        found = [_FIELD] if "custom_fields" in request.path else []
        meta = {"paging": {}, "records": len(found)}
        return Response.of_json(200, {"data": found, "meta": meta})


def settings_of(firm: str, clios: Clios) -> dict[str, str]:
    return {
        "CLIO_BASE_URL": clios.url,
        "CLIO_ACCESS_TOKEN": f"token-of-{firm}",
        "SYNC_RULE": "opt-out",
        "BROADLY_URL": "http://127.0.0.1:9/",
        "BROADLY_API_KEY": "key",
    }


def ended(agency: Agency) -> dict[str, int]:
    """Return how many runs of each firm have come to their end well."""
    counted = """
        SELECT name, count(*) FROM firms JOIN runs USING (firm)
        WHERE exit_code = 0 GROUP BY name
    """
    return dict(agency.admin.execute(counted).fetchall())


def test_no_firm_holds_up_the_others(agency: Agency, start: Start) -> None:
    """Of forty, one has lost its sign-in, and one's Clio takes each request and never answers.

    Four slots in two workers are enough for the others. Whoever fails is tried ever more rarely,
    and who does not answer has one slot, although its lease passes again and again.
    """
    began = time.monotonic()
    names = [f"firm-{number}" for number in range(1, FIRMS + 1)]
    with Clios() as clios:
        for name in names:
            agency.add(name, settings_of(name, clios), period=PERIOD)
        for _ in range(2):
            start("worker", "--slots", "2", FLEET_LEASE_SECONDS="5")
        well = {*names} - {REVOKED, SILENT}

        def have_run() -> bool:
            found = ended(agency)
            return all(found.get(name, 0) >= RUNS for name in well)

        until(have_run, SECONDS)
        found = ended(agency)
        broken, silent = agency.firm(REVOKED), agency.firm(SILENT)
    assert found.keys() == well
    assert (broken.last_exit, silent.last_exit) == (77, None)
    assert broken.ended_at is not None
    seconds = time.monotonic() - began
    assert broken.failures <= math.log2(seconds / (0.9 * PERIOD.total_seconds()) + 1) + 2
    wait = PERIOD * 2 ** (broken.failures - 1)
    if broken.worker is None:
        assert broken.next_at - broken.ended_at >= 0.9 * wait  # later, where it is handed over
    assert clios.asked[SILENT] <= 1 + seconds // READ_SECONDS
    held = "SELECT count(*) FROM runs JOIN firms USING (firm) WHERE name = %s"
    assert agency.admin.execute(held, (SILENT,)).fetchone() == (1,)


# A worker that is to stop.


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(Firm(contacts=0, matters=0)) as running:
        yield running


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signal_ends_a_worker_that_has_nothing_to_do(start: Start, number: int, code: int) -> None:
    worker = start("worker", "--slots", "2")
    worker.hears("Working, with 2 slots")
    assert worker.end(number) == code
    assert worker.said == ["clio-broadly-sync: INFO Working, with 2 slots.\n"]


@pytest.mark.parametrize("form", ["json", "JSON"])
def test_each_line_of_a_worker_is_in_the_form_of_the_log(
    agency: Agency, start: Start, form: str
) -> None:
    """The first one as well, which is printed without -v."""
    agency.add("acme", {"SYNC_RULE": "neither"})
    worker = start("worker", "--slots", "2", LOG_FORMAT=form)
    until(lambda: agency.firm("acme").last_exit == 78)
    assert worker.end(signal.SIGTERM) == 143
    said = [json.loads(line) for line in worker.said]
    assert [line["level"] for line in said] == ["info", "error"]
    assert said[0]["message"] == "Working, with 2 slots."


def test_status_shows_the_worker_and_what_it_has_at_work(agency: Agency, start: Start) -> None:
    """By the name that the rows of its firms bear; its other sessions are none of their own."""
    with Clios() as clios:
        agency.add(SILENT, settings_of(SILENT, clios))
        start("worker", "--slots", "2")
        until(lambda: clios.asked[SILENT] > 0, SECONDS)
        with closing(agency.session()) as session:
            (shown,) = FleetOverview(session).read(timedelta(hours=6)).workers
    assert (shown.name, shown.connected, shown.firms) == (agency.firm(SILENT).worker, True, 1)


def test_worker_does_what_is_done_for_all_firms(agency: Agency, start: Start) -> None:
    """It looks for silent firms, and sweeps the list of runs."""
    start("worker", "--slots", "1")
    done = "SELECT watched_at IS NOT NULL AND swept_at IS NOT NULL FROM fleet"
    until(lambda: agency.admin.execute(done).fetchone() == (True,), SECONDS)


class Signalled(Stop):
    """Is asked by a signal, and not before the worker asks it."""

    def check(self) -> None:
        _ask_again()


def _ask_again() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def _asked() -> Stop:
    (stop := Stop()).ask(signal.SIGTERM)
    return stop


@pytest.mark.parametrize("make", [_asked, Signalled], ids=["before", "while it opens sessions"])
def test_signal_that_comes_while_a_worker_begins(
    agency: Agency, monkeypatch: pytest.MonkeyPatch, make: Callable[[], Stop]
) -> None:
    """It is not forgotten, and no run is begun."""
    monkeypatch.setattr(gc, "freeze", lambda: None)
    over = threading.Event()
    monkeypatch.setattr(module, "_give_up", lambda code: over.is_set() or _ask_again())
    agency.add("acme", {})
    with at_once():
        assert Worker(agency.fleet(), 1).work(make()) == 143
    over.set()
    assert agency.firm("acme").started_at is None


def test_signal_ends_the_runs_of_a_worker(agency: Agency, start: Start, sandbox: Sandbox) -> None:
    """One waits because Clio asked for it, and one has a request on its way: both firms are due at
    once, for whichever worker is there, and free."""
    arrived, over = threading.Event(), threading.Event()

    def hold(request: Request) -> None:
        arrived.set()
        over.wait(BUSY_SECONDS)

    with Sandbox(Firm(contacts=0, matters=0)) as other:
        other.firm.account.id = 777
        agency.add("waits", sandbox.settings())
        agency.add("asks", other.settings())
        patience = faults.answer(429, headers={"Retry-After": "60"})
        asked = sandbox.clio.faults.add(patience, times=None)
        other.clio.before = hold
        worker = start("worker", "--slots", "2")
        until(lambda: asked.hits > 0 and arrived.is_set())
        worker.child.send_signal(signal.SIGTERM)
        until(lambda: agency.firm("waits").last_exit == 143)
        over.set()
        assert worker.end() == 143
    for name in ("waits", "asks"):
        found = agency.firm(name)
        assert (found.last_exit, found.worker, found.failures) == (143, None, 0)
        assert found.next_at == found.ended_at
        assert agency.place(name).holder() is None
    assert worker.said == ["clio-broadly-sync: INFO Working, with 2 slots.\n"]


def test_another_worker_goes_on_at_once(agency: Agency, start: Start, sandbox: Sandbox) -> None:
    """With what the first one left, and nobody is sent twice."""
    agency.add("acme", sandbox.settings(BROADLY_BATCH_SIZE="1"), period=PERIOD)
    first = start("worker", "--slots", "1")
    until(lambda: agency.firm("acme").good_at is not None)
    asked = threading.Event()

    def ask(request: Request) -> None:
        if not asked.is_set():
            asked.set()
            first.child.send_signal(signal.SIGTERM)

    sandbox.broadly.working = ask
    for _ in range(5):
        matter = sandbox.firm.add_matter(sandbox.firm.add_contact(), thank_you=True)
        sandbox.firm.close(matter)
    assert first.end() == 143
    start("worker", "--slots", "1")
    until(lambda: len(sandbox.broadly.accepted) == 5)
    assert len({accepted.transaction_id for accepted in sandbox.broadly.accepted}) == 5


# A worker that does not begin.


@contextmanager
def empty(address: str) -> Iterator[str]:
    """Yield the address of a database without tables."""
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("CREATE DATABASE empty")
        yield address.replace("@/fleet?", "@/empty?")
        connection.execute("DROP DATABASE empty WITH (FORCE)")


def test_worker_before_the_tables_are_made(address: str, start: Start) -> None:
    """78, naming the command that makes them."""
    with empty(address) as without:
        worker = start("worker", FLEET_DATABASE=without)
        assert worker.end() == 78
        assert "run `clio-broadly-sync fleet init`" in " ".join(" ".join(worker.said).split())
        made = start("init", FLEET_DATABASE=without)
        assert (made.end(), made.said) == (0, [])
        worker = start("worker", "--slots", "1", FLEET_DATABASE=without)
        worker.hears("Working, with 1 slot")
        assert worker.end(signal.SIGTERM) == 143


def test_worker_whose_queue_is_of_another_version(agency: Agency, start: Start) -> None:
    """As after an upgrade: `fleet init` was forgotten, and without it no job would be fetched."""
    agency.admin.execute("DROP SCHEMA fleet_queue CASCADE")
    agency.admin.execute("UPDATE fleet SET queue = '0.0'")
    worker = start("worker")
    assert worker.end() == 78
    assert "run `clio-broadly-sync fleet init`" in " ".join(" ".join(worker.said).split())


def test_worker_of_a_database_that_is_not_there(address: str, start: Start) -> None:
    worker = start("worker", FLEET_DATABASE=address.replace("@/fleet?", "@/nowhere?"))
    assert worker.end() == 74
    assert "The database could not be used (OperationalError)" in worker.said[0]


def test_worker_without_settings(start: Start) -> None:
    """Each that is missing or not in order is named."""
    worker = start("worker", FLEET_DATABASE="", FLEET_KEYS=KEY[:-4])
    assert worker.end() == 78
    said = " ".join(" ".join(worker.said).split())
    assert "FLEET_DATABASE is not set" in said
    assert "FLEET_KEYS must be keys" in said
