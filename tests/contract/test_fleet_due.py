"""Who is due, and what is handed to the queue: each firm once, the longest due first.

The queue holds nothing that is needed, so whatever becomes of it, the lease brings each firm back.
"""

import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import timedelta

import psycopg
import pytest
from agency import LEASE, QUARTER, Agency
from databases import Database
from surroundings import BUSY_SECONDS

from clio_broadly_sync.domain.errors import ConfigError
from clio_broadly_sync.fleet import engine
from clio_broadly_sync.store import due, postgresql
from clio_broadly_sync.store.firms import Firms
from clio_broadly_sync.store.postgresql import Session

_WAITING = """
    SELECT CAST(args->>'firm' AS INT) FROM fleet_queue.procrastinate_jobs
    WHERE status = 'todo' ORDER BY id
"""


@pytest.fixture
def agency(database: Database) -> Iterator[Agency]:
    with closing(Agency(database.emptied())) as made:
        yield made


@pytest.fixture
def dispatcher(agency: Agency) -> Iterator[Session]:
    with closing(agency.session()) as session:
        yield session


def add(agency: Agency, count: int) -> None:
    """Add firms, of which each was due a minute before the one that was added before it."""
    for number in range(1, count + 1):
        agency.add(f"firm-{number}", {})
        agency.admin.execute(
            "UPDATE firms SET next_at = now() - firm * INTERVAL '1 minute' WHERE firm = %s",
            (number,),
        )


def waiting(agency: Agency) -> list[int]:
    """Return the firms whose job waits, in the order in which they were handed over."""
    return [firm for (firm,) in agency.admin.execute(_WAITING)]


def fetch(agency: Agency) -> None:
    """Let a worker have taken every job, as far as the queue knows."""
    agency.admin.execute("UPDATE fleet_queue.procrastinate_jobs SET status = 'doing'")


def test_longest_due_is_handed_over_first_and_as_many_as_there_is_room_for(
    agency: Agency, dispatcher: Session
) -> None:
    """Four for each slot; what waits takes room, what is being done does not."""
    add(agency, 13)
    assert due.hand_over(dispatcher, 1, LEASE) == 4
    assert sorted(waiting(agency)) == [10, 11, 12, 13]
    assert due.hand_over(dispatcher, 1, LEASE) == 0
    assert due.hand_over(dispatcher, 2, LEASE) == 4
    assert sorted(waiting(agency)) == [*range(6, 14)]
    fetch(agency)
    assert due.hand_over(dispatcher, 2, LEASE) == 5
    assert sorted(waiting(agency)) == [1, 2, 3, 4, 5]


def test_what_is_not_due_is_not_handed_over(agency: Agency, dispatcher: Session) -> None:
    """Nor is who is paused or removed, however long ago that was due."""
    add(agency, 5)
    agency.admin.execute("UPDATE firms SET state = 'paused' WHERE firm = 1")
    agency.admin.execute("UPDATE firms SET state = 'removed' WHERE firm = 2")
    agency.admin.execute("UPDATE firms SET next_at = now() + INTERVAL '1 second' WHERE firm = 3")
    assert due.hand_over(dispatcher, 16, LEASE) == 2
    assert sorted(waiting(agency)) == [4, 5]


def test_firm_whose_job_still_waits_is_left_out(agency: Agency, dispatcher: Session) -> None:
    """Its lease may be over while no worker has had room; nobody else is held up by that."""
    add(agency, 2)
    assert due.hand_over(dispatcher, 16, LEASE) == 2
    agency.due()
    assert due.hand_over(dispatcher, 16, LEASE) == 0
    assert sorted(waiting(agency)) == [1, 2]
    agency.add("firm-3", {})
    assert due.hand_over(dispatcher, 16, LEASE) == 1
    assert sorted(waiting(agency)) == [1, 2, 3]


def test_lease_brings_a_lost_one_back(agency: Agency, dispatcher: Session) -> None:
    """By the server's clock, and not before: its worker may only be slow."""
    add(agency, 1)
    due.hand_over(dispatcher, 16, LEASE)
    assert LEASE.total_seconds() - BUSY_SECONDS < agency.until("firm-1") <= LEASE.total_seconds()
    fetch(agency)
    assert due.hand_over(dispatcher, 16, LEASE) == 0
    agency.admin.execute("UPDATE firms SET next_at = next_at - %s", (LEASE,))
    assert due.hand_over(dispatcher, 16, LEASE) == 1


def test_wiped_queue_loses_nobody(agency: Agency, dispatcher: Session) -> None:
    """Whoever was in it is due again after the lease."""
    add(agency, 3)
    due.hand_over(dispatcher, 16, LEASE)
    agency.admin.execute("TRUNCATE fleet_queue.procrastinate_jobs CASCADE")
    assert due.hand_over(dispatcher, 16, LEASE) == 0
    agency.admin.execute("UPDATE firms SET next_at = next_at - %s", (LEASE,))
    assert due.hand_over(dispatcher, 16, LEASE) == 3
    assert sorted(waiting(agency)) == [1, 2, 3]


def test_of_two_dispatchers_at_once_each_hands_over_others(
    agency: Agency, dispatcher: Session
) -> None:
    """What the one has taken and not yet committed, the other passes over, and does not wait."""
    add(agency, 9)
    with dispatcher.transaction():
        taken = dispatcher.execute(due._HAND_OVER, {"room": 4, "lease": LEASE}).fetchone()[0]
        with closing(agency.session()) as other:
            passed = due.hand_over(other, 16, LEASE)
    assert (taken, passed) == (4, 5)
    assert sorted(waiting(agency)) == [*range(1, 10)]
    assert due.hand_over(dispatcher, 16, LEASE) == 0


def test_many_dispatchers_hand_over_each_firm_once(agency: Agency) -> None:
    """However their statements fall."""
    add(agency, 60)
    agency.due()
    begin, handed = threading.Barrier(4), list[int]()

    def dispatch() -> None:
        with closing(agency.session()) as session:
            begin.wait(BUSY_SECONDS)
            handed.extend(due.hand_over(session, 5, LEASE) for _ in range(4))

    threads = [threading.Thread(target=dispatch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    fetched = waiting(agency)
    assert sum(handed) == len(fetched) == len({*fetched})
    assert len(fetched) >= 20


def test_dispatcher_that_is_lost_before_it_has_committed_hands_nobody_over(
    agency: Agency, dispatcher: Session
) -> None:
    """The jobs and the lease are one transaction: both are there, or none of them."""
    add(agency, 3)
    with suppress(RuntimeError), dispatcher.transaction():
        dispatcher.execute(due._HAND_OVER, {"room": 4, "lease": LEASE})
        raise RuntimeError
    assert waiting(agency) == []
    assert due.hand_over(dispatcher, 16, LEASE) == 3


# The queue's tables.


def owner(agency: Agency) -> Session:
    """Return a session of whoever sets the database up."""
    return postgresql.connect(agency.address, "tests", idle=timedelta(hours=1))


def test_queue_of_another_version_is_made_anew(agency: Agency, dispatcher: Session) -> None:
    """What was in it comes back with the lease; one of this version is left as it is."""
    add(agency, 2)
    due.hand_over(dispatcher, 16, LEASE)
    with closing(owner(agency)) as session:
        due.make_queue(session, engine.VERSION, engine.schema())
        assert sorted(waiting(agency)) == [1, 2]
        due.make_queue(session, "0.0", engine.schema())
        assert waiting(agency) == []
        due.make_queue(session, engine.VERSION, engine.schema())
    agency.due()
    assert due.hand_over(dispatcher, 16, LEASE) == 2
    assert sorted(waiting(agency)) == [1, 2]


def test_queue_that_a_worker_takes(agency: Agency, dispatcher: Session) -> None:
    """One of its own version; before there is one, and after an upgrade of the engine, none."""
    due.check_queue(dispatcher, engine.VERSION)
    with pytest.raises(ConfigError, match="`clio-broadly-sync fleet init`"):
        due.check_queue(dispatcher, "0.0")
    agency.admin.execute("UPDATE fleet SET queue = NULL")
    with pytest.raises(ConfigError, match="`clio-broadly-sync fleet init`"):
        due.check_queue(dispatcher, engine.VERSION)


def test_queue_of_no_tables(agency: Agency) -> None:
    """Nor where there is not even the table that would say so."""
    with closing(owner(agency)) as session:
        session.execute("SET search_path = pg_catalog")
        with pytest.raises(ConfigError, match="`clio-broadly-sync fleet init`"):
            due.check_queue(session, engine.VERSION)


def test_failing_upgrade_leaves_the_queue_as_it_was(agency: Agency, dispatcher: Session) -> None:
    """All of it is one transaction."""
    add(agency, 1)
    due.hand_over(dispatcher, 16, LEASE)
    with closing(owner(agency)) as session, pytest.raises(Exception, match="could not be used"):
        due.make_queue(session, "0.0", "SELECT 1 / 0")
    assert waiting(agency) == [1]
    (version,) = agency.admin.execute("SELECT queue FROM fleet").fetchone() or ()
    assert version == engine.VERSION


def test_worker_can_do_with_the_queue_what_the_engine_does(
    agency: Agency, dispatcher: Session
) -> None:
    """As its role, which makes no tables."""
    add(agency, 1)
    due.hand_over(dispatcher, 16, LEASE)
    dispatcher.execute(f"SET search_path = {due.SCHEMA}")
    for statement in (
        "UPDATE procrastinate_jobs SET status = 'doing'",
        "INSERT INTO procrastinate_workers DEFAULT VALUES",
        "DELETE FROM procrastinate_jobs",
    ):
        assert dispatcher.execute(statement).rowcount == 1
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        dispatcher.execute("DROP TABLE procrastinate_jobs CASCADE")


def test_backoff_goes_on_where_the_queue_was_wiped(agency: Agency, dispatcher: Session) -> None:
    """How often a firm has failed is the firm's, and not the queue's."""
    add(agency, 1)
    for _ in range(2):
        Firms(dispatcher).end(1, 77, ["no"])
    agency.admin.execute("TRUNCATE fleet_queue.procrastinate_jobs CASCADE")
    assert due.hand_over(dispatcher, 16, LEASE) == 0
    assert agency.until("firm-1") > 1.7 * QUARTER.total_seconds()
