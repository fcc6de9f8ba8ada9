"""What a run reads and records: the walk since the watermark, and its decisions."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from ends import OPT_IN, OPT_OUT
from factories import NOW, TODAY, make_policy
from runs import Runs

from clio_broadly_sync.domain.errors import ConfigError, StorageError, UnavailableError
from clio_broadly_sync.domain.model import Approval, Box
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.states import State

PENDING, SENT, SKIPPED = State.PENDING, State.SENT, State.SKIPPED
HOUR = timedelta(hours=1)


def out_of_reach() -> None:
    raise UnavailableError("Clio is out of reach.")


# The walk and its watermark.


def test_walk_begins_an_overlap_before_the_watermark(runs: Runs) -> None:
    """But not before the first run, less the second that Clio leaves out."""
    runs.clock.tick(minutes=30)
    runs.sync()
    assert runs.clio.since == NOW - timedelta(seconds=1)
    runs.clock.tick(hours=9)
    runs.sync()
    runs.sync(overlap=timedelta(minutes=5))
    assert runs.clio.since == runs.clock.now - timedelta(minutes=5)


def test_watermark_is_the_time_of_the_first_answer(runs: Runs) -> None:
    """What is closed while later pages are read is the next run's."""
    runs.close(*range(1, 6))
    runs.clio.page = 2
    runs.clock.tick(hours=1)
    runs.clio.meanwhile("page", *[runs.clock.after(minutes=1)] * 3)
    context = runs.sync()
    first_answer = NOW + HOUR + timedelta(minutes=1)
    assert runs.store.watermark == context.report.watermark_to == first_answer
    assert context.report.matters_read == 5
    assert [n for told, n in runs.progress.told if told == "read"] == [2, 4, 5]


@pytest.mark.parametrize(
    ("ours", "reached"), [(NOW + HOUR, NOW + HOUR), (NOW + 9 * HOUR, NOW + 2 * HOUR), (NOW, NOW)]
)
def test_watermark_goes_no_further_than_our_clock(
    runs: Runs, ours: datetime, reached: datetime
) -> None:
    """The earlier of the two clocks counts."""
    runs.clock.tick(hours=2)
    runs.sync(our_clock=lambda: ours)
    assert runs.store.watermark == reached


def test_walk_that_breaks_off_keeps_what_it_read_and_leaves_the_watermark(runs: Runs) -> None:
    """The next run begins where this one did, so that nobody is jumped over."""
    runs.close(1, 2, 3)
    runs.clio.page = 2
    runs.clock.tick(hours=1)
    runs.clio.meanwhile("page", lambda: None, out_of_reach)
    with pytest.raises(UnavailableError):
        runs.sync()
    assert runs.store.watermark == NOW
    assert runs.states == {1: PENDING, 2: PENDING}
    assert runs.broadly.posts == []


def test_watermark_moves_although_broadly_is_out_of_reach(runs: Runs) -> None:
    """What was read is in the ledger, and waits there."""
    runs.close(1)
    runs.clock.tick(hours=1)
    runs.broadly.answers = [UnavailableError("Broadly is out of reach.")]
    with pytest.raises(UnavailableError):
        runs.sync()
    assert runs.store.watermark == runs.clock.now
    assert (runs.row(1).state, runs.row(1).reason) == (PENDING, Reason.UNAVAILABLE)


# The checkboxes are looked at before anything is recorded.


def test_run_with_nothing_new_is_one_request(runs: Runs) -> None:
    """Neither checkboxes nor contacts are read for nobody."""
    runs.close(1)
    runs.sync()
    runs.sync()
    assert runs.clio.requests == ["page"]
    assert runs.context is not None
    assert runs.context.report.matters_read == 1


def test_missing_checkbox_leaves_everything_as_it_was(runs: Runs) -> None:
    """Nobody is recorded and the watermark stays, so that nobody is lost until it is mended."""
    runs.close(1)
    runs.clock.tick(hours=1)
    runs.clio.boxes = [OPT_OUT]
    with pytest.raises(ConfigError, match=OPT_IN.name):
        runs.sync()
    assert (runs.states, runs.store.watermark) == ({}, NOW)
    runs.clio.boxes = [OPT_OUT, OPT_IN]
    runs.sync()
    assert runs.states == {1: SENT}


def test_missing_checkbox_is_found_by_what_is_due_from_before(runs: Runs) -> None:
    """Although nothing new was read; the watermark stays then, too."""
    runs.close(1)
    runs.sync(limit=0)
    runs.clock.tick(hours=3)
    runs.clio.boxes = [OPT_OUT]
    with pytest.raises(ConfigError):
        runs.sync(approve=True)
    assert runs.store.watermark == NOW
    assert (runs.row(1).reason, runs.row(1).approval) == (None, Approval.NONE)


def test_checkboxes_are_read_once_for_a_run(runs: Runs) -> None:
    """For many pages and batches, if that takes no longer than 15 minutes."""
    runs.close(*range(1, 8))
    runs.clio.page = 2
    runs.sync(batch_size=2)
    assert runs.clio.requests.count("custom_fields") == 1
    assert runs.clio.requests.index("custom_fields") == 1


# What is recorded.


def test_decisions_are_recorded_and_counted(runs: Runs) -> None:
    """Those who may go wait for the push; the others are skipped with their reason."""
    runs.close(1, 2, 3, opted_in=Box.UNCHECKED)
    runs.close(4, client_id=None)
    runs.close(5)
    context = runs.sync(limit=0)
    assert context.report.skipped == {"not_opted_in": 3, "no_client": 1}
    assert (runs.row(1).state, runs.row(1).reason) == (SKIPPED, Reason.NOT_OPTED_IN)
    assert (runs.row(5).state, runs.row(5).read_in_run) == (PENDING, context.run)


def test_matter_that_cannot_be_read_is_for_a_person_to_know(runs: Runs) -> None:
    """Also where somebody else goes in that run."""
    runs.close(1, opted_in=Box.UNREADABLE)
    runs.close(2)
    context = runs.sync()
    assert runs.states == {1: PENDING, 2: SENT}
    assert (context.report.faults, context.report.attention) == (1, True)
    assert not runs.sync().report.attention


def test_age_is_counted_in_the_firms_days(runs: Runs) -> None:
    """Late in the evening a matter is not yet a day old, as it would be by UTC."""
    runs.clock.tick(hours=10)
    runs.close(1, closed_on=TODAY)
    runs.sync(make_policy(max_age_days=0), given_zone=ZoneInfo("America/New_York"))
    assert runs.states == {1: SENT}
    assert runs.broadly.posts[0][0].transaction_date == TODAY


def test_watermark_that_is_old_lets_everything_wait_for_a_person(runs: Runs) -> None:
    """After 72 hours, be it a dead cron or an old copy of the state."""
    runs.clock.tick(hours=73)
    runs.close(1, 2)
    runs.clio.page = 1
    context = runs.sync()
    assert {runs.row(n).approval for n in (1, 2)} == {Approval.WANTED}
    assert (context.report.surge, context.report.attention) == (2, True)
    assert runs.broadly.posts == []


def test_watermark_far_in_the_future_ends_the_run(runs: Runs) -> None:
    """No run has set it: half a restore has, or a hand. Nothing is recorded."""
    runs.store.move_watermark(NOW + timedelta(hours=48))
    runs.sync()
    runs.store.move_watermark(NOW + timedelta(hours=48, seconds=1))
    runs.close(1)
    with pytest.raises(StorageError, match="in the future"):
        runs.sync()
    assert runs.states == {}


def test_matters_that_were_known_are_counted_apart_from_those_that_wait(runs: Runs) -> None:
    """So that the figures of a run add up to what it looked at."""
    runs.close(1, 2)
    runs.close(3, opted_in=Box.UNCHECKED)
    first = runs.sync(limit=1).report
    assert (first.known, first.sent, first.skipped.total()) == (0, 1, 1)
    again = runs.sync(limit=0).report
    assert (again.matters_read, again.known) == (3, 2)
    last = runs.sync().report
    assert (last.matters_read, last.known, last.sent) == (3, 2, 1)
    assert runs.backfill().report.known == 2
