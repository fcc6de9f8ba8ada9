"""What is due: the command that a closing belongs to, its range, settling, and looking again."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from factories import CLOSED_ON, NOW, TODAY, make_policy
from runs import YESTERDAY, Runs

from clio_broadly_sync.domain.model import Box, Command
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.pipeline.context import Lot

PENDING, SENT, SKIPPED = State.PENDING, State.SENT, State.SKIPPED


def yes(asked: list[int]) -> Callable[[Lot], bool]:
    """Return what says yes to any number, and notes it."""

    def confirm(lot: Lot) -> bool:
        asked.append(lot.closings)
        return True

    return confirm


# A backfill's range.


def test_backfill_asks_how_many_before_it_hands_over(runs: Runs) -> None:
    """It has read and recorded them all by then; the watermark is not its business."""
    runs.close(1, 2)
    runs.close(3, closed_on=TODAY - timedelta(days=31))
    runs.close(4, opted_in=Box.UNCHECKED)
    runs.clock.tick(hours=1)
    asked: list[int] = []
    context = runs.backfill(confirm=yes(asked))
    assert asked == [2]
    assert runs.states == {1: SENT, 2: SENT, 4: SKIPPED}
    assert (runs.store.watermark, context.report.watermark_to) == (NOW, None)


def test_backfill_that_is_declined_hands_over_nobody(runs: Runs) -> None:
    """What it found waits for the same command."""
    runs.close(1)
    runs.backfill(confirm=lambda lot: False)
    assert runs.broadly.posts == []
    assert (runs.row(1).state, runs.row(1).command) == (PENDING, Command.BACKFILL)
    runs.backfill()
    assert runs.states == {1: SENT}


def test_backfill_of_nobody_does_not_ask(runs: Runs) -> None:
    """There is nothing to say yes to."""
    asked: list[int] = []
    runs.backfill(confirm=yes(asked))
    assert asked == []


def test_neither_command_pushes_what_belongs_to_the_other(runs: Runs) -> None:
    """A closing belongs to the command that made it pending."""
    runs.close(1)
    runs.backfill(confirm=lambda lot: False)
    runs.sync()
    assert runs.states == {1: PENDING}
    runs.close(2)
    runs.sync(limit=0)
    runs.backfill()
    assert runs.states == {1: SENT, 2: PENDING}


def test_backfill_pushes_what_waits_in_its_own_range_only(runs: Runs) -> None:
    """Both ends of it included; what was interrupted elsewhere waits for its own range."""
    for days in range(4):
        runs.close(1 + days, closed_on=CLOSED_ON - timedelta(days=days))
    runs.backfill(confirm=lambda lot: False)
    runs.backfill(close_dates=(CLOSED_ON - timedelta(days=2), CLOSED_ON - timedelta(days=1)))
    assert runs.states == {1: PENDING, 2: SENT, 3: SENT, 4: PENDING}


# What is due.


def test_closing_settles_before_it_is_due(runs: Runs) -> None:
    """So many hours after it was noticed, and not a minute before."""
    policy = make_policy(settle_hours=24)
    runs.close(1)
    runs.sync(policy)
    assert (runs.row(1).state, runs.row(1).reason) == (PENDING, Reason.SETTLING)
    runs.clock.tick(hours=24, minutes=-1)
    runs.sync(policy)
    assert runs.states == {1: PENDING}
    runs.clock.tick(minutes=1)
    runs.sync(policy)
    assert runs.states == {1: SENT}


@pytest.mark.parametrize(("minutes", "state"), [(-1, PENDING), (0, SENT)])
def test_hidden_contact_is_looked_for_again_after_20_hours(
    runs: Runs, minutes: int, state: State
) -> None:
    """Not at each run; and once it is there, the client goes."""
    runs.close(1)
    del runs.clio.people[1001]
    runs.sync()
    assert (runs.row(1).state, runs.row(1).reason) == (PENDING, Reason.CONTACT_HIDDEN)
    runs.client(1001)
    runs.clock.tick(hours=20, minutes=minutes)
    runs.sync()
    assert runs.states == {1: state}


def test_each_backfill_looks_again_for_a_hidden_contact(runs: Runs) -> None:
    """It is a person who runs it, and has mended something perhaps."""
    runs.close(1)
    del runs.clio.people[1001]
    runs.backfill()
    runs.client(1001)
    runs.clock.tick(minutes=1)
    runs.backfill()
    assert runs.states == {1: SENT}


# Beside another run.


@pytest.mark.parametrize("dedupes", [False, True])
def test_what_another_run_has_claimed_is_left_alone(runs: Runs, dedupes: bool) -> None:
    """It is counted; what waits is decided on as ever."""
    runs.waiting(1, state=State.SENDING, claimed_in_run=1, claimed_at=YESTERDAY)
    runs.waiting(2)
    runs.close(1, 2, etag="after")
    context = runs.sync(make_policy(dedupes=dedupes), another_at_work=True)
    assert runs.states == {1: State.SENDING, 2: SENT}
    assert (context.report.on_their_way, context.report.held) == (1, 0)
    assert (context.report.to_send, runs.broadly.matters) == (1, [[2]])


def test_nobody_else_is_at_work(runs: Runs) -> None:
    """Then there is nothing to count, and what was left is decided on."""
    runs.waiting(1, state=State.SENDING, claimed_in_run=1, claimed_at=YESTERDAY)
    context = runs.sync()
    assert (context.report.on_their_way, context.report.held) == (None, 1)
