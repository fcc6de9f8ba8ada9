"""A run of a firm by a worker: how it ends, what is noted of it, and who hears of that."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from signal import SIGTERM
from typing import Any

import pytest
from agency import QUARTER, Agency, logged
from databases import KEY, Database
from notified import Notified
from pinged import Pinged
from rig import Sandbox, faults
from surroundings import BUSY_SECONDS

from clio_broadly_sync import pipeline
from clio_broadly_sync.cli import worker as module
from clio_broadly_sync.cli.worker import Worker
from clio_broadly_sync.sandbox import Firm, Request
from clio_broadly_sync.store.seal import new_key

Heard = Callable[[], str]


@pytest.fixture
def agency(database: Database) -> Iterator[Agency]:
    with closing(Agency(database.emptied())) as made:
        yield made


@pytest.fixture(autouse=True)
def _ends_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that was asked to stop ends its process after a while: here that is the tests'."""
    monkeypatch.setattr(module, "_give_up", lambda code: None)


@pytest.fixture
def worker(agency: Agency, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Worker]:
    """A worker that begins no run by itself."""
    monkeypatch.chdir(tmp_path)
    with working(agency) as made:
        yield made


@contextmanager
def working(agency: Agency, **changes: str) -> Iterator[Worker]:
    made = Worker(agency.fleet(**changes), 2)
    yield made
    made._pool.close()


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Heard]:
    """Return what returns what the worker has logged by now."""
    with logged(monkeypatch) as said:
        yield said


@pytest.fixture
def acme(agency: Agency, worker: Worker, sandbox: Sandbox) -> int:
    """A firm that began to be run, and has closed nothing since."""
    number = agency.add("acme", sandbox.settings())
    worker.run_firm(number)
    assert agency.firm("acme").last_exit == 0
    return number


@pytest.fixture
def beta(agency: Agency) -> Iterator[int]:
    """Another firm, of an account of its own."""
    with Sandbox(Firm(contacts=0, matters=0)) as other:
        other.firm.account.id = 777
        yield agency.add("beta", other.settings())


def close(sandbox: Sandbox, count: int = 1) -> list[int]:
    """Close so many matters, each of a new client who may be asked."""
    ids = []
    for _ in range(count):
        matter = sandbox.firm.add_matter(sandbox.firm.add_contact(), thank_you=True)
        sandbox.firm.close(matter)
        ids.append(matter)
    return ids


def is_free(agency: Agency, name: str) -> bool:
    """Tell whether nobody holds a firm."""
    return agency.place(name).holder() is None


# How it ends.


def test_good_run(
    agency: Agency, worker: Worker, acme: int, sandbox: Sandbox, heard: Heard
) -> None:
    """It sends who closed, is due after its period, holds nothing, and says nothing."""
    matters = close(sandbox, 3)
    worker.run_firm(acme)
    assert len(sandbox.broadly.accepted) == 3
    assert agency.closings("acme") == dict.fromkeys(matters, ("sent", None))
    found = agency.firm("acme")
    assert (found.last_exit, found.failures, found.worker) == (0, 0, None)
    assert found.good_at == found.ended_at is not None
    assert found.last_said is not None
    assert "3" in found.last_said
    assert 0.9 * QUARTER <= found.next_at - found.ended_at <= 1.1 * QUARTER
    assert is_free(agency, "acme")
    assert heard() == ""


def test_run_is_the_workers_while_it_goes(
    agency: Agency, worker: Worker, acme: int, sandbox: Sandbox
) -> None:
    """It is seen whose it is, and since when."""
    seen: list[Any] = []

    def look(request: Request) -> None:
        if not seen:
            seen.append((agency.firm("acme"), agency.place("acme").holder()))

    sandbox.clio.before = look
    worker.run_firm(acme)
    ((found, holder),) = seen
    assert (found.worker, found.last_exit) == (f"{os.uname().nodename} {os.getpid()}", 0)
    assert found.started_at > found.ended_at
    assert holder is not None
    assert holder.command == "sync"


def test_attention(
    agency: Agency, worker: Worker, acme: int, sandbox: Sandbox, heard: Heard
) -> None:
    """More at once than a day brings: nobody is sent, and it is no failure."""
    agency.admin.execute("""UPDATE firms SET settings = settings || '{"sync_max_new": "1"}'""")
    close(sandbox, 3)
    worker.run_firm(acme)
    found = agency.firm("acme")
    assert (found.last_exit, found.failures) == (65, 0)
    assert found.good_at == found.ended_at
    assert sandbox.broadly.accepted == []
    assert heard() == ""


def test_sign_in_that_was_withdrawn(
    agency: Agency, worker: Worker, acme: int, sandbox: Sandbox, heard: Heard
) -> None:
    """The firm waits twice as long after each run, and its neighbours hear nothing of it."""
    sandbox.clio.oauth.revoke()
    for failures in (1, 2):
        worker.run_firm(acme)
        found = agency.firm("acme")
        assert (found.last_exit, found.failures) == (77, failures)
        assert agency.until("acme") > 0.85 * 2 ** (failures - 1) * QUARTER.total_seconds()
    told = "clio-broadly-sync: firm acme: sign-in or key refused (77): Clio refuses the token"
    assert heard().count(told) == 2
    assert sandbox.clio.token not in heard()
    assert found.last_said is not None
    assert found.last_said.startswith("Clio refuses the token")
    assert is_free(agency, "acme")


def test_clio_that_is_away(agency: Agency, worker: Worker, sandbox: Sandbox, heard: Heard) -> None:
    number = agency.add("acme", sandbox.settings(SYNC_RUN_MINUTES="0.01"))
    with sandbox.clio.outage():
        worker.run_firm(number)
    assert agency.firm("acme").last_exit == 69
    assert "firm acme: Clio or Broadly away (69): Clio could not be reached" in heard()
    worker.run_firm(number)
    assert (agency.firm("acme").last_exit, agency.firm("acme").failures) == (0, 0)


def test_settings_that_are_not_in_order(
    agency: Agency, worker: Worker, acme: int, beta: int, heard: Heard
) -> None:
    """What is wrong is said; the other firms go on."""
    agency.admin.execute(
        """UPDATE firms SET settings = settings || '{"sync_rule": "perhaps"}' WHERE name = 'acme'"""
    )
    worker.run_firm(acme)
    worker.run_firm(beta)
    assert (agency.firm("acme").last_exit, agency.firm("beta").last_exit) == (78, 0)
    said = "SYNC_RULE must be opt-out, opt-in or both."
    assert agency.firm("acme").last_said == said
    assert heard() == f"clio-broadly-sync: firm acme: settings or field wrong (78): {said}\n"


def test_key_that_is_missing(agency: Agency, acme: int, heard: Heard) -> None:
    """The firms that were sealed with it end with 78; with it, they go on."""
    with working(agency, FLEET_KEYS=new_key()) as other:
        other.run_firm(acme)
        assert agency.firm("acme").last_exit == 78
        assert "None of FLEET_KEYS opens what is sealed of the firm acme" in heard()
    with working(agency, FLEET_KEYS=f"{new_key()},{KEY}") as both:
        both.run_firm(acme)
        assert agency.firm("acme").last_exit == 0


def test_what_the_fleet_sets_is_every_firms(agency: Agency, sandbox: Sandbox) -> None:
    """What a firm sets itself wins."""
    given = sandbox.settings()
    rule = given.pop("SYNC_RULE")
    number = agency.add("acme", given)
    with working(agency) as without:
        without.run_firm(number)
        assert agency.firm("acme").last_exit == 78
    with working(agency, SYNC_RULE=rule, CLIO_BASE_URL="http://127.0.0.1:1") as with_it:
        with_it.run_firm(number)
        assert agency.firm("acme").last_exit == 0


def test_bug_is_one_firms(
    agency: Agency,
    worker: Worker,
    acme: int,
    beta: int,
    heard: Heard,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is told where it is, and nothing of what it was about; the others' runs go on, and so does
    the firm's own once it is mended."""
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "sync", _broken)
        worker.run_firm(acme)
    worker.run_firm(beta)
    found = agency.firm("acme")
    assert (found.last_exit, found.failures, agency.firm("beta").last_exit) == (1, 1, 0)
    said = heard()
    assert "firm acme: a bug (1): A bug in clio-broadly-sync" in said
    assert "in _broken" in said
    assert "builtins.ZeroDivisionError" in said
    assert "Ada" not in said + (found.last_said or "")
    worker.run_firm(acme)
    assert (agency.firm("acme").last_exit, agency.firm("acme").failures) == (0, 0)


def _broken(context: Any, **how: Any) -> None:
    raise ZeroDivisionError("Ada Lovelace")


def test_bug_within_a_transaction(
    agency: Agency, worker: Worker, acme: int, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is done, and its end is noted all the same."""

    def break_off(context: Any, **how: Any) -> None:
        with context.store._writer.transaction(context.store._connection) as connection:
            connection.execute("DELETE FROM runs")
            raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "sync", break_off)
        worker.run_firm(acme)
    assert agency.firm("acme").last_exit == 1
    assert agency.admin.execute("SELECT count(*) FROM runs").fetchone() == (2,)
    worker.run_firm(acme)
    assert agency.firm("acme").last_exit == 0


def test_session_that_is_lost_in_a_run(
    agency: Agency,
    worker: Worker,
    acme: int,
    sandbox: Sandbox,
    database: Database,
    heard: Heard,
) -> None:
    """The row is left to the lease, and the next run begins in a new session."""
    close(sandbox)
    cut = threading.Event()

    def cut_once(request: Request) -> None:
        if not cut.is_set():
            cut.set()
            database.cut()

    sandbox.broadly.before = cut_once
    before = agency.firm("acme")
    worker.run_firm(acme)
    found = agency.firm("acme")
    assert (found.last_exit, found.failures, found.next_at) == (0, 0, before.next_at)
    assert found.worker is not None
    assert found.started_at is not None
    assert "firm acme: state or file not usable (74): The database could not be used" in heard()
    worker.run_firm(acme)
    assert agency.firm("acme").last_exit == 0
    assert len(sandbox.broadly.accepted) == 1


def test_job_of_a_firm_that_is_at_work(
    agency: Agency, worker: Worker, acme: int, sandbox: Sandbox, heard: Heard
) -> None:
    """A run may last longer than its lease, and then its job comes again, to the same worker or to
    another one: nobody does anything, and the run at work goes on as it would have."""
    close(sandbox)
    doubled: list[str | None] = []

    def double(request: Request) -> None:
        if not doubled:
            doubled.append(agency.firm("acme").worker)
            worker.run_firm(acme)
            with working(agency) as other:
                other.run_firm(acme)
            doubled.append(agency.firm("acme").worker)

    sandbox.broadly.before = double
    worker.run_firm(acme)
    assert sandbox.broadly.errors == []
    assert doubled[0] == doubled[1] is not None
    assert len(sandbox.broadly.accepted) == 1
    assert agency.firm("acme").last_exit == 0
    assert heard() == ""


@pytest.mark.parametrize("state", ["paused", "removed"])
def test_firm_that_is_not_active_any_more(
    agency: Agency, worker: Worker, acme: int, sandbox: Sandbox, state: str
) -> None:
    """Its job was in the queue already."""
    sandbox.clio.history.clear()
    agency.admin.execute("UPDATE firms SET state = %s", (state,))
    before = agency.firm("acme")
    worker.run_firm(acme)
    assert agency.firm("acme") == before
    assert sandbox.clio.history == []


# Who hears of it.


def test_pings_of_a_firm(agency: Agency, worker: Worker, sandbox: Sandbox) -> None:
    """Each firm has a monitor of its own, which hears of each of its runs, and how it ended."""
    with Pinged() as monitor:
        number = agency.add("acme", sandbox.settings(PING_URL=monitor.address))
        worker.run_firm(number)
        sandbox.clio.oauth.revoke()
        worker.run_firm(number)
        assert [end for end, _ in monitor.told] == ["/start", "", "/start", "/77"]
        assert "Clio refuses the token" in monitor.told[-1][1]


def test_notices_of_a_firm(agency: Agency, worker: Worker, sandbox: Sandbox) -> None:
    """They are told once what is new; what they were told is remembered in the database, so that
    it does not matter which worker runs the firm next."""
    with Notified() as told:
        number = agency.add("acme", sandbox.settings(NOTIFY_URLS=told.address))
        worker.run_firm(number)
        assert [title for title, _ in told.told] == ["you are told here"]
        sandbox.clio.oauth.revoke()
        worker.run_firm(number)
        with working(agency) as other:
            other.run_firm(number)
        assert [lines for _, lines in told.told[1:]] == [["`sync` ended with denied (77)"]]
        sandbox.clio.oauth.issue(sandbox.clio.token)
        worker.run_firm(number)
        assert len(told.told) == 3
    kept = "SELECT firm, value FROM facts WHERE name = 'notified'"
    ((firm, value),) = agency.admin.execute(kept).fetchall()
    assert firm == number
    assert "p4ssword" not in value


# A signal.


def test_signal_ends_a_run_at_the_next_safe_point(
    agency: Agency, worker: Worker, sandbox: Sandbox
) -> None:
    """What is on its way is settled, what is not waits; and the firm is due at once."""
    number = agency.add("acme", sandbox.settings(BROADLY_BATCH_SIZE="1"))
    worker.run_firm(number)
    close(sandbox, 3)
    sandbox.broadly.working = lambda request: worker._ask(SIGTERM)
    thread = threading.Thread(target=worker.run_firm, args=(number,))
    thread.start()
    thread.join(BUSY_SECONDS)
    found = agency.firm("acme")
    assert (found.last_exit, found.failures, found.worker) == (143, 0, None)
    assert found.next_at == found.ended_at
    states = sorted(state for state, _ in agency.closings("acme").values())
    assert (states, len(sandbox.broadly.accepted)) == (["pending", "pending", "sent"], 1)
    assert is_free(agency, "acme")


def test_signal_wakes_a_run_that_waits(
    agency: Agency, worker: Worker, acme: int, sandbox: Sandbox
) -> None:
    """For Clio, which asked for a minute's patience."""
    asked = faults.answer(429, headers={"Retry-After": "60"}, process=False)
    rule = sandbox.clio.faults.add(asked, times=None)
    thread = threading.Thread(target=worker.run_firm, args=(acme,))
    thread.start()
    while not rule.hits:
        assert thread.is_alive()
    worker._ask(SIGTERM)
    thread.join(BUSY_SECONDS)
    assert not thread.is_alive()
    assert agency.firm("acme").last_exit == 143


def test_run_that_begins_after_the_signal(agency: Agency, worker: Worker, acme: int) -> None:
    """Its job had been fetched already; it is left to another worker, which has it at once."""
    worker._ask(SIGTERM)
    thread = threading.Thread(target=worker.run_firm, args=(acme,))
    thread.start()
    thread.join(BUSY_SECONDS)
    assert agency.firm("acme").last_exit == 143
    assert agency.until("acme") <= 0


def test_signal_finds_a_run_whose_job_was_doubled(
    agency: Agency, worker: Worker, acme: int, sandbox: Sandbox
) -> None:
    close(sandbox)

    def double(request: Request) -> None:
        worker.run_firm(acme)
        worker._ask(SIGTERM)

    sandbox.clio.before = double
    thread = threading.Thread(target=worker.run_firm, args=(acme,))
    thread.start()
    thread.join(BUSY_SECONDS)
    assert sandbox.clio.errors == []
    assert agency.firm("acme").last_exit == 143
