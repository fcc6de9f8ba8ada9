"""How a run of a firm is begun, and when the next one is due, however it ended."""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import pytest
from agency import QUARTER, Agency
from databases import Database

from clio_broadly_sync.domain.errors import ATTENTION, BUG, OK, BusyError, StorageError
from clio_broadly_sync.store.firms import LONGEST_WAIT, Firms
from clio_broadly_sync.store.postgresql import Session

FAILING = [BUG, 69, 77, 78]
STEPS = 40
"""How many runs it takes until chance shows what it may do."""


@pytest.fixture
def agency(database: Database) -> Iterator[Agency]:
    with closing(Agency(database.emptied())) as made:
        made.add("acme", {})
        made.add("beta", {})
        yield made


@pytest.fixture
def session(agency: Agency) -> Iterator[Session]:
    with closing(agency.session()) as opened:
        yield opened


@pytest.fixture
def firms(session: Session) -> Firms:
    return Firms(session)


def wait_after(agency: Agency, firms: Firms, code: int) -> timedelta:
    """Return after how long the firm is due, once its run has ended like this."""
    firms.end(1, code, ["said"])
    found = agency.firm("acme")
    assert found.ended_at is not None
    return found.next_at - found.ended_at


# A run begins.


def test_whoever_begins_has_the_firm(agency: Agency, firms: Firms) -> None:
    """With its lock, so that a job that was doubled, or a command beside it, keeps away.

    When it is due again if it is lost was settled as it was handed over.
    """
    before = agency.firm("acme")
    begun = firms.begin(1, "host 7")
    assert begun is not None
    assert (begun.name, begun.worker, begun.next_at) == ("acme", "host 7", before.next_at)
    assert begun.started_at is not None
    with closing(agency.session()) as other:
        assert Firms(other).begin(1, "host 8") is None
        assert Firms(other).begin(2, "host 8") is not None
    with pytest.raises(BusyError), agency.place("acme").locked():
        pass
    assert agency.firm("acme").worker == "host 7"


def test_firm_is_free_when_its_session_ends(agency: Agency) -> None:
    with closing(agency.session()) as other:
        assert Firms(other).begin(1, "host 7") is not None
    with closing(agency.session()) as other:
        assert Firms(other).begin(1, "host 8") is not None


def test_command_at_work_keeps_the_worker_away(agency: Agency, firms: Firms) -> None:
    """A `backfill` of a person, say; and nothing is noted of the run that did not begin."""
    before = agency.firm("acme")
    with agency.place("acme").locked("backfill"):
        assert firms.begin(1, "host 7") is None
    assert agency.firm("acme") == before
    assert firms.begin(1, "host 7") is not None


@pytest.mark.parametrize("state", ["paused", "removed"])
def test_firm_that_is_not_active_is_not_begun(agency: Agency, firms: Firms, state: str) -> None:
    """Its job may have been in the queue already; and nobody holds it then."""
    agency.admin.execute("UPDATE firms SET state = %s WHERE name = 'acme'", (state,))
    assert firms.begin(1, "host 7") is None
    with agency.place("acme").locked():
        pass


def test_firm_that_is_there_no_more(firms: Firms) -> None:
    assert firms.begin(99, "host 7") is None


# A run ends.


@pytest.mark.parametrize("code", [OK, ATTENTION])
def test_good_run_is_due_after_a_period(agency: Agency, firms: Firms, code: int) -> None:
    """A little more or less, so that those which began together do not stay together."""
    waits = [wait_after(agency, firms, code) for _ in range(STEPS)]
    assert all(0.9 * QUARTER <= wait <= 1.1 * QUARTER for wait in waits)
    assert max(waits) - min(waits) > 0.05 * QUARTER
    found = agency.firm("acme")
    assert (found.failures, found.failing_since, found.last_exit) == (0, None, code)
    assert found.good_at == found.ended_at


@pytest.mark.parametrize("code", FAILING)
def test_failing_firm_waits_twice_as_long_each_time(
    agency: Agency, firms: Firms, code: int
) -> None:
    """Six hours at most, however often it has failed, even where a power of two has no end."""
    for failures in range(30):
        wait = min(QUARTER * 2**failures, LONGEST_WAIT)
        assert 0.9 * wait <= wait_after(agency, firms, code) <= 1.1 * wait
    agency.admin.execute("UPDATE firms SET failures = 100000")
    assert 0.9 * LONGEST_WAIT <= wait_after(agency, firms, code) <= 1.1 * LONGEST_WAIT
    assert agency.firm("acme").last_exit == code


@pytest.mark.parametrize("hours", [5, 6, 7, 24])
def test_failing_firm_of_a_long_period(agency: Agency, firms: Firms, hours: int) -> None:
    """Nobody is tried more often because of failing."""
    period = timedelta(hours=hours)
    firms.change(1, period=period)
    for _ in range(4):
        first, longest = period, max(period, LONGEST_WAIT)
        wait = wait_after(agency, firms, 77)
        assert 0.9 * first <= wait <= 1.1 * longest
    assert 0.9 * longest <= wait


def test_since_when_it_fails(agency: Agency, firms: Firms) -> None:
    """Since the first of the runs that failed in a row; a good one makes up for all of them."""
    firms.end(1, 77, ["no"])
    since = agency.firm("acme").failing_since
    assert since == agency.firm("acme").ended_at
    firms.end(1, 69, ["away"])
    found = agency.firm("acme")
    assert (found.failing_since, found.failures, found.good_at) == (since, 2, None)
    firms.end(1, OK, [])
    found = agency.firm("acme")
    assert (found.failing_since, found.failures) == (None, 0)
    firms.end(1, 78, ["what"])
    found = agency.firm("acme")
    assert (found.failures, found.failing_since) == (1, found.ended_at)
    assert agency.firm("beta").failures == 0


@pytest.mark.parametrize("code", [BusyError.exit_code, StorageError.exit_code])
def test_run_that_was_kept_away_or_lost_leaves_the_row_alone(
    agency: Agency, firms: Firms, code: int
) -> None:
    """Another run may be writing it; the lease brings the firm back."""
    firms.begin(1, "host 7")
    before = agency.firm("acme")
    firms.end(1, code, ["why"])
    assert agency.firm("acme") == before


@pytest.mark.parametrize("code", [130, 143])
def test_run_that_was_stopped_is_due_at_once(agency: Agency, firms: Firms, code: int) -> None:
    """For whichever worker is there next; it is neither good nor has it failed."""
    firms.end(1, 77, ["no"])
    before = agency.firm("acme")
    firms.begin(1, "host 7")
    assert wait_after(agency, firms, code) == timedelta(0)
    found = agency.firm("acme")
    assert (found.failures, found.failing_since) == (1, before.failing_since)
    assert (found.worker, found.last_exit, found.good_at) == (None, code, None)


def test_change_lets_it_be_tried_at_once(agency: Agency, firms: Firms) -> None:
    """As if it had not failed; the firm beside it waits on."""
    for firm in (1, 2):
        for _ in range(3):
            firms.end(firm, 77, ["no"])
    firms.change(1, settings={"sync_rule": "both"})
    found = agency.firm("acme")
    assert (found.failures, found.failing_since) == (0, None)
    assert agency.until("acme") <= 0 < agency.until("beta")
    assert agency.firm("beta").failures == 3


def test_what_was_said_is_cut_off(agency: Agency, firms: Firms) -> None:
    """A row is read by whoever lists all firms."""
    firms.end(1, 77, ["x" * 5000, "y"])
    assert agency.firm("acme").last_said == "x" * 1000
