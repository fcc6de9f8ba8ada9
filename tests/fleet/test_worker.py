"""How a worker ends, and what it does where two jobs of one firm meet."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import Random

import psycopg
import pytest
from databases import control, own_server
from surroundings import BUSY_SECONDS, at_once

from clio_broadly_sync.cli.one_firm import Fleet
from clio_broadly_sync.cli.worker import Worker
from clio_broadly_sync.settings import read_given
from fleet.offices import Office
from fleet.storm import Storm, set_up
from fleet.workers import environment

WORKER = "from clio_broadly_sync.cli import main, worker; {altered}; main()"


@pytest.fixture
def address() -> Iterator[str]:
    with own_server(lasting=True) as address:
        yield address


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    office = Office(1, tmp_path / "firm-1")
    with office.sandbox:
        yield office


@contextmanager
def begun(address: str, folder: Path, altered: str = "pass") -> Iterator["subprocess.Popen[str]"]:
    """Yield a worker, altered by a statement, that has begun its work; see that it is not left."""
    command = [sys.executable, "-c", WORKER.format(altered=altered), "fleet", "worker"]
    with subprocess.Popen(
        command, env=environment(address, folder), cwd=folder, stderr=subprocess.PIPE, text=True
    ) as worker:
        try:
            assert worker.stderr
            assert "Working" in worker.stderr.readline()
            yield worker
        finally:
            worker.kill()


def ended(worker: "subprocess.Popen[str]") -> tuple[int, str]:
    """Return the exit code of a worker that ends, and the last line that it has printed.

    Each of its lines is a sentence of this program.
    """
    _, said = worker.communicate(timeout=2 * BUSY_SECONDS)
    lines = said.splitlines() or [""]
    assert all(line.startswith("clio-broadly-sync: ") for line in lines if line), said
    return worker.returncode, lines[-1]


def test_a_worker_whose_database_goes_away_ends_with_74(address: str, tmp_path: Path) -> None:
    set_up(address, [], tmp_path)
    with begun(address, tmp_path) as worker:
        control(address, "stop", "--mode=immediate")
        code, says = ended(worker)
    assert (code, "lost its engine" in says) == (74, True)


def test_a_worker_that_can_hand_over_no_firm_any_more_ends(address: str, tmp_path: Path) -> None:
    set_up(address, [], tmp_path)
    with begun(address, tmp_path, "worker.due.hand_over = lambda *given: 1 / 0") as worker:
        code, _ = ended(worker)
    assert code == 74


def test_a_worker_ends_although_a_run_does_not(
    address: str, office: Office, tmp_path: Path
) -> None:
    asked = threading.Event()
    office.clio.before = lambda request: (asked.set(), office.clio.stopping.wait())
    set_up(address, [office], tmp_path)
    with begun(address, tmp_path, "worker.GRACE_SECONDS = 0.5") as worker:
        assert asked.wait(BUSY_SECONDS)
        with at_once():
            worker.send_signal(signal.SIGTERM)
            code, says = ended(worker)
    assert (code, "did not end in time" in says) == (143, True)


def test_a_worker_that_is_asked_to_end_ends_what_is_on_its_way(
    address: str, office: Office, tmp_path: Path
) -> None:
    set_up(address, [office], tmp_path)
    with begun(address, tmp_path) as worker:
        Storm(address, [office], [], Random(1)).first_runs()
        office.broadly.working = lambda request: worker.send_signal(signal.SIGTERM)
        matter = office.closing().matter
        code, _ = ended(worker)
    with psycopg.connect(address) as server:
        rows = server.execute("SELECT matter_id, state FROM closings").fetchall()
    assert (code, office.asked, rows) == (143, [matter], [(matter, "sent")])


def test_a_second_run_of_a_firm_at_once_leaves_the_first_alone(
    address: str, office: Office, tmp_path: Path
) -> None:
    set_up(address, [office], tmp_path)
    given = read_given(None, environment(address, tmp_path), tmp_path)
    worker = Worker(Fleet(given), slots=2)
    asked, go_on = threading.Event(), threading.Event()
    office.clio.before = lambda request: (asked.set(), go_on.wait(BUSY_SECONDS))
    with ThreadPoolExecutor() as threads:
        first = threads.submit(worker.run_firm, office.number)
        assert asked.wait(BUSY_SECONDS)
        worker.run_firm(office.number)
        go_on.set()
        first.result()
    with psycopg.connect(address) as server:
        (code,) = server.execute("SELECT last_exit FROM firms").fetchone() or (None,)
    assert code == 0
