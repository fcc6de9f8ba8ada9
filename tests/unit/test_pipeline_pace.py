"""A destination with a pace: the wait for the turn, the run's time, how much is read at once."""

from datetime import timedelta

from factories import NOW
from runs import Runs

from clio_broadly_sync.domain.model import Box
from clio_broadly_sync.domain.states import State

PENDING, SENT = State.PENDING, State.SENT


def test_nobody_is_claimed_while_the_push_waits_for_its_turn(runs: Runs) -> None:
    """A kill in the wait leaves nobody in doubt."""
    runs.close(1, 2, 3)
    runs.broadly.between = timedelta(seconds=10)
    meanwhile: list[list[State]] = []

    def wait(seconds: float) -> None:
        meanwhile.append(list(runs.states.values()))
        runs.clock.tick(seconds=seconds)

    runs.sync(batch_size=1, wait=wait)
    assert runs.broadly.matters == [[1], [2], [3]]
    assert meanwhile == [[SENT, PENDING, PENDING], [SENT, SENT, PENDING]]


def test_wait_lasts_until_the_turn(runs: Runs) -> None:
    """The first POST need not wait, what the last one took is part of the pace, and where nobody is
    left, nobody waits."""
    runs.close(1, 2, 3)
    runs.broadly.between = timedelta(seconds=10)
    runs.broadly.meanwhile("post", runs.clock.after(seconds=4))
    runs.sync(batch_size=1)
    assert runs.waits == [6.0, 10.0]


def test_no_that_is_said_in_a_long_wait_counts(runs: Runs) -> None:
    """What grew too old in the wait is read again before it is claimed."""
    runs.close(1, 2)
    runs.broadly.between = timedelta(hours=1)

    def wait(seconds: float) -> None:
        runs.client(1002, opted_out=Box.CHECKED)
        runs.clock.tick(seconds=seconds)

    runs.sync(batch_size=1, wait=wait)
    assert runs.broadly.matters == [[1]]
    assert runs.states == {1: SENT, 2: State.SKIPPED}


def test_time_that_would_be_over_in_the_wait_ends_the_run_at_once(runs: Runs) -> None:
    """That is no failure: the rest waits for the next run, without a reason."""
    runs.close(*range(1, 6))
    runs.broadly.between = timedelta(seconds=10)
    runs.ends_at = NOW + timedelta(seconds=25)
    context = runs.sync(batch_size=1)
    assert runs.broadly.matters == [[1], [2], [3]]
    assert runs.waits == [10.0, 10.0]
    assert (runs.states[4], runs.row(4).reason, runs.states[5]) == (PENDING, None, PENDING)
    assert (context.report.to_send, context.report.attention) == (3, False)
    runs.clock.tick(minutes=1)
    runs.ends_at = None
    runs.sync(batch_size=1)
    assert runs.broadly.matters == [[4], [5]]


def test_no_more_is_read_at_once_than_may_be(runs: Runs) -> None:
    """What is read last goes while it is still fresh; matters and contacts alike."""
    runs.waiting(*range(1, 4))
    runs.close(*range(1, 4), updated_at=NOW - timedelta(days=2))
    runs.close(4, 5)
    runs.sync(batch_size=1, read_at_once=2)
    assert all(len(ids) <= 2 for ids in runs.clio.asked_by_id)
    assert sorted(id_ for ids in runs.clio.asked_by_id for id_ in ids) == [
        *range(1, 4),
        *range(1001, 1006),
    ]
    assert [runs.states[n] for n in range(1, 6)] == [SENT] * 5


def test_what_is_read_ahead_waits_until_the_first_of_it_were_sent(runs: Runs) -> None:
    """The next ones are read only when their turn comes."""
    runs.close(*range(1, 6))
    read: list[int] = []
    runs.broadly.meanwhile("post", *[lambda: read.append(sum(map(len, runs.clio.asked_by_id)))] * 5)
    runs.sync(batch_size=1, read_at_once=2)
    assert read == [2, 2, 4, 4, 5]
