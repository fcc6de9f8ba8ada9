"""Who is handed over, in which batches and order, and what is read again before."""

from datetime import timedelta

import pytest
from factories import CLOSED_ON, NOW, make_policy
from runs import YESTERDAY, Runs

from clio_broadly_sync.domain.model import Box, Outcome
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.pipeline import push
from clio_broadly_sync.sinks.dry_run import DryRun

PENDING, SENT, SKIPPED, DEAD = State.PENDING, State.SENT, State.SKIPPED, State.DEAD

# Batches.


def test_batches_fill_across_those_who_may_not_go(runs: Runs) -> None:
    """Only the last one is not full; all are in the order in which they were noticed."""
    runs.close(*range(1, 8))
    runs.client(1002, opted_out=Box.CHECKED)
    runs.client(1003, opted_out=Box.CHECKED)
    context = runs.sync(batch_size=2)
    assert runs.broadly.matters == [[1, 4], [5, 6], [7]]
    assert (context.report.to_send, context.report.sent) == (5, 5)
    assert context.report.skipped == {"opted_out": 2}


def test_limit_ends_the_run(runs: Runs) -> None:
    """So many are handed over and the rest waits, without a reason."""
    runs.close(*range(1, 6))
    context = runs.sync(batch_size=2, limit=3)
    assert runs.broadly.matters == [[1, 2], [3]]
    assert (context.report.to_send, runs.row(4).state, runs.row(4).reason) == (3, PENDING, None)


def test_time_that_is_over_lets_the_rest_wait(runs: Runs) -> None:
    """No batch begins after it; that is no failure."""
    runs.close(*range(1, 6))
    runs.ends_at = NOW + timedelta(minutes=2)
    runs.broadly.meanwhile("post", *[runs.clock.after(minutes=1)] * 2)
    context = runs.sync(batch_size=2)
    assert runs.broadly.matters == [[1, 2], [3, 4]]
    assert (runs.states[5], context.report.attention) == (PENDING, False)


def test_clients_are_read_a_hundred_at_a_time_with_all_their_closings(runs: Runs) -> None:
    """And none of them twice."""
    runs.close(1, 2, client_id=1001, opted_in=Box.CHECKED)
    runs.close(*range(3, 103))
    runs.sync(make_policy(max_new=500))
    contacts = [1001, *range(1003, 1103)]
    assert runs.clio.asked_by_id == [contacts[:100], contacts[100:]]


def test_progress_ends_with_everybody_settled(runs: Runs) -> None:
    """Each closing that was lined up is told of once, however it ended."""
    runs.close(1, 2, 3, 4, 5)
    runs.close(6, client_id=1001)
    runs.waiting(7, 8)
    runs.close(7, closed_on=CLOSED_ON)
    runs.edit(7, closed=False)
    runs.close(8)
    runs.client(1002, opted_out=Box.CHECKED)
    runs.broadly.answers = [[Outcome.ACCEPTED, Outcome.REJECTED]]
    runs.sync(batch_size=2)
    told = runs.progress.told
    assert [n for what, n in told if what == "sending"] == [8]
    assert sum(n for what, n in told if what == "settled") == 8


# One person once.


def test_second_closing_of_a_client_waits_for_the_first(runs: Runs) -> None:
    """Accepted, the client was asked, and the second is skipped; its place is another's."""
    runs.close(1, 2, client_id=1001)
    runs.close(3)
    context = runs.sync(batch_size=2)
    assert runs.broadly.matters == [[1, 3]]
    assert (runs.states[2], runs.row(2).reason) == (SKIPPED, Reason.ASKED_RECENTLY)
    assert context.report.skipped == {"asked_recently": 1}


def test_second_closing_goes_where_the_first_was_rejected(runs: Runs) -> None:
    """Nobody was asked yet."""
    runs.close(1, 2, client_id=1001)
    runs.broadly.answers = [Outcome.REJECTED]
    runs.sync()
    assert runs.broadly.matters == [[1], [2]]
    assert runs.states == {1: DEAD, 2: SENT}


def test_asked_recently_is_judged_by_the_time_of_the_claim(runs: Runs) -> None:
    """The window is over when it is over, not when the closing was noticed."""
    runs.close(1)
    runs.sync()
    runs.clock.tick(days=180)
    runs.close(2, client_id=1001, closed_on=None)
    runs.edit(2, closed_on=runs.clock.now.date())
    runs.sync(make_policy(reask_days=180), approve=True)
    assert runs.states == {1: SENT, 2: SENT}


def test_refusal_that_is_kept_back_keeps_the_clients_other_closing_waiting(runs: Runs) -> None:
    """It is settled at the end of the push; the other one is the next run's."""
    runs.close(1, 2, client_id=1001)
    runs.broadly.answers = [Outcome.REFUSED]
    context = runs.sync()
    assert runs.states == {1: DEAD, 2: PENDING}
    assert (context.report.to_send, context.report.rejected, context.report.attention) == (
        1,
        1,
        True,
    )
    runs.sync()
    assert runs.states == {1: DEAD, 2: SENT}


def test_many_closings_of_one_client_do_not_fill_the_memory(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch goes although it is not full, once so many wait for its receipt."""
    monkeypatch.setattr(push, "LOOK_AHEAD", 4)
    runs.close(*range(1, 5), client_id=1001)
    runs.close(5)
    runs.sync(batch_size=2)
    assert runs.broadly.matters == [[1], [5]]
    assert [runs.states[n] for n in range(1, 6)] == [SENT, *[SKIPPED] * 3, SENT]


def test_more_closings_of_one_client_than_can_be_read_in_time(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read first would grow old before the last was; so it is sent before."""
    monkeypatch.setattr(push, "LOOK_AHEAD", 4)
    monkeypatch.setattr(push, "READ_AT_ONCE", 1)
    runs.close(*range(1, 31), client_id=1001, updated_at=YESTERDAY)
    runs.waiting(*range(1, 31), contact_id=1001)
    runs.clio.meanwhile("matters", *[runs.clock.after(minutes=2)] * 100)
    runs.sync(batch_size=2)
    assert runs.broadly.matters == [[1]]
    assert runs.states == {1: SENT} | dict.fromkeys(range(2, 31), SKIPPED)


def test_push_goes_on_where_all_that_is_in_memory_was_skipped(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client of more closings than that does not keep the next one waiting."""
    monkeypatch.setattr(push, "LOOK_AHEAD", 4)
    runs.close(*range(1, 7), client_id=1001)
    runs.close(7)
    runs.sync(batch_size=2)
    assert runs.broadly.matters == [[1], [7]]
    assert runs.states[7] is SENT


def test_dry_run_accepts_everybody_and_sends_nobody(runs: Runs) -> None:
    """What it works on is a copy of the state, so that may say "sent"."""
    runs.close(1, 2)
    context = runs.sync(sink=DryRun())
    assert runs.states == {1: State.SENT, 2: State.SENT}
    assert (context.report.to_send, runs.broadly.posts) == (2, [])
