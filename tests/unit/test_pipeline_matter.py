"""One matter that a person named: decided on anew and sent, on the terms of a backfill."""

from datetime import date, timedelta

import pytest
from factories import CLOSED_ON, NOW, TODAY, for_backfill, make_policy
from runs import Runs

from clio_broadly_sync.domain.errors import UnavailableError
from clio_broadly_sync.domain.hours import SendingHours
from clio_broadly_sync.domain.model import Approval, Box, Command, Key
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.pipeline.context import Lot

PENDING, SENT, SKIPPED, HELD = State.PENDING, State.SENT, State.SKIPPED, State.HELD
LONG_AGO = TODAY - timedelta(days=400)


def never(lot: Lot) -> bool:
    raise AssertionError("asked in vain")


def test_however_long_ago_it_closed(runs: Runs) -> None:
    """Neither age nor start day count; nobody else goes, and the watermark stays."""
    runs.close(1, closed_on=LONG_AGO)
    runs.close(2)
    runs.sync_matter(1)
    assert runs.states == {1: SENT}
    assert runs.row(1).command is Command.BACKFILL
    assert runs.store.watermark == NOW


def test_what_sync_had_skipped_is_decided_anew(runs: Runs) -> None:
    """Even where Clio shows no edit."""
    runs.close(1, closed_on=LONG_AGO)
    runs.sync()
    assert runs.row(1).state is SKIPPED
    runs.sync_matter(1)
    assert runs.states == {1: SENT}


@pytest.mark.parametrize("reason", [Reason.DROPPED, Reason.SUPPRESSED])
def test_what_is_final_stays(runs: Runs, reason: Reason) -> None:
    """A person or Broadly has decided that for good."""
    runs.close(1)
    runs.waiting(1, state=SKIPPED, reason=reason)
    runs.sync_matter(1, confirm=never)
    assert (runs.row(1).reason, runs.broadly.posts) == (reason, [])


def test_rules_of_the_matter_and_the_contact_stay(runs: Runs) -> None:
    """A person's yes does not overrule the two boxes."""
    runs.close(1, opted_in=Box.UNCHECKED)
    runs.sync_matter(1, confirm=never)
    assert runs.row(1).reason is Reason.NOT_OPTED_IN
    runs.close(2)
    runs.client(1002, opted_out=Box.CHECKED)
    runs.sync_matter(2)
    assert runs.row(2).reason is Reason.OPTED_OUT


def test_person_is_asked_about_the_one(runs: Runs) -> None:
    """After a no it waits, and `sync` does not take it."""
    runs.close(1)
    asked: list[Lot] = []
    runs.sync_matter(1, confirm=lambda lot: bool(asked.append(lot)))
    assert [(lot.closings, lot.clients) for lot in asked] == [(1, 1)]
    assert (runs.states, runs.row(1).command) == ({1: PENDING}, Command.BACKFILL)
    runs.sync()
    assert runs.states == {1: PENDING}
    runs.sync_matter(1)
    assert runs.states == {1: SENT}


def test_what_waits_for_sync_goes_and_stays_one_of_sync(runs: Runs) -> None:
    """The yes is to that one, whatever else waits for one; it counts as approved."""
    runs.close(1, 2, 3)
    runs.sync(make_policy(max_new=2))
    runs.sync_matter(2)
    assert runs.states == {1: PENDING, 2: SENT, 3: PENDING}
    assert (runs.row(2).command, runs.row(2).approval) == (Command.SYNC, Approval.GIVEN)
    assert runs.row(1).approval is Approval.WANTED


def test_after_a_no_it_still_waits_for_a_yes(runs: Runs) -> None:
    """Nothing is noted of what was declined."""
    runs.close(1, 2, 3)
    runs.sync(make_policy(max_new=2))
    runs.sync_matter(2, confirm=lambda lot: False)
    assert (runs.row(2).reason, runs.row(2).approval) == (Reason.SURGE, Approval.WANTED)


def test_what_settles_goes_at_once(runs: Runs) -> None:
    runs.close(1)
    runs.sync(make_policy(settle_hours=24))
    assert runs.states == {1: PENDING}
    runs.sync_matter(1)
    assert runs.states == {1: SENT}


def test_what_was_hidden_is_read_at_once(runs: Runs) -> None:
    """`sync` would look again after 20 hours; and its yes counts although it waited for one."""
    runs.close(1)
    person = runs.clio.people.pop(1001)
    runs.clock.tick(days=4)
    runs.sync()
    assert runs.row(1).reason in (Reason.CONTACT_HIDDEN, Reason.SURGE)
    runs.waiting(2, reason=Reason.CONTACT_HIDDEN, approval=Approval.WANTED)
    runs.close(2)
    runs.clio.people[1001] = person
    runs.sync_matter(2)
    runs.sync_matter(1)
    assert runs.states == {1: SENT, 2: SENT}


def test_fault_that_is_still_there_stays_one(runs: Runs) -> None:
    """The reason is not lost, nor told as news."""
    runs.close(1)
    runs.waiting(1, reason=Reason.CONTACT_HIDDEN)
    del runs.clio.people[1001]
    context = runs.sync_matter(1)
    assert (runs.row(1).state, runs.row(1).reason) == (PENDING, Reason.CONTACT_HIDDEN)
    assert context.report.faults == 0


def test_new_close_date_moves_what_waits_for_sync(runs: Runs) -> None:
    """It is one closing, not two."""
    runs.close(1)
    runs.sync(limit=0)
    runs.edit(1, closed_on=CLOSED_ON - timedelta(days=3))
    runs.sync_matter(1)
    assert runs.row(1).key == Key(1, CLOSED_ON - timedelta(days=3))
    assert runs.states == {1: SENT}


def test_one_person_is_asked_once(runs: Runs) -> None:
    runs.close(1)
    runs.sync()
    runs.close(2, client_id=1001)
    runs.sync_matter(2)
    assert runs.row(2).reason is Reason.ASKED_RECENTLY


@pytest.mark.parametrize("state", [SENT, HELD, State.DEAD])
def test_what_is_settled_or_wants_a_person_is_left_alone(runs: Runs, state: State) -> None:
    """`outbox resend` is for what was rejected, or may have arrived."""
    runs.close(1)
    runs.waiting(1, state=state)
    runs.sync_matter(1, confirm=never)
    assert (runs.states, runs.broadly.posts) == ({1: state}, [])


def test_matter_that_is_not_closed(runs: Runs) -> None:
    """Nothing is noted of it, unless a closing of it waits, which is none any more."""
    runs.close(1, closed=False, closed_on=None)
    context = runs.sync_matter(1, confirm=never)
    assert (runs.states, context.report.is_open, context.report.matters_read) == ({}, True, 1)
    runs.close(2)
    runs.sync(limit=0)
    runs.edit(2, closed=False)
    runs.sync_matter(2)
    assert (runs.row(2).state, runs.row(2).reason) == (SKIPPED, Reason.NOT_CLOSED)


def test_matter_that_there_is_not(runs: Runs) -> None:
    """What waited of it is no closing any more."""
    context = runs.sync_matter(1, confirm=never)
    assert (runs.states, context.report.matters_read, context.report.is_open) == ({}, 0, False)
    runs.waiting(2)
    runs.sync_matter(2)
    assert runs.row(2).reason is Reason.NOT_CLOSED


def test_outside_of_the_sending_hours_nobody_is_asked(runs: Runs) -> None:
    """It is noted, and waits for the same command."""
    runs.close(1)
    mondays = SendingHours(days=frozenset({0}))
    context = runs.sync_matter(1, for_backfill(hours=mondays), confirm=never)
    assert (runs.states, context.report.kept_back) == ({1: PENDING}, Reason.OUTSIDE_HOURS)


def test_pause_after_a_lost_answer_counts(runs: Runs) -> None:
    """What waits for a yes is kept back as well, and nobody is asked in vain."""
    runs.close(1)
    runs.waiting(1, approval=Approval.WANTED, reason=Reason.SURGE)
    runs.store.note_doubt(runs.clock.now)
    with pytest.raises(UnavailableError):
        runs.sync_matter(1, confirm=never)
    assert runs.states == {1: PENDING}


def test_before_the_first_sync(runs: Runs) -> None:
    """It sets the pins only, as a backfill does."""
    runs.close(1, closed_on=date(2020, 1, 1))
    runs.sync_matter(1)
    assert runs.states == {1: SENT}
    assert not runs.sync_matter(1).report.first_run


def test_nobody_is_asked_with_a_limit_of_nobody(runs: Runs) -> None:
    """It is noted only, as by a backfill."""
    runs.close(1, 2)
    runs.sync_matter(1, confirm=never, limit=0)
    runs.backfill(confirm=never, limit=0)
    assert runs.states == {1: PENDING, 2: PENDING}


def test_limit_of_nobody_is_no_yes(runs: Runs) -> None:
    """Nobody was asked, so what waits for a yes waits on, and no later `sync` sends it."""
    runs.close(1, 2, 3)
    runs.sync(make_policy(max_new=2))
    runs.sync_matter(2, confirm=never, limit=0)
    assert (runs.row(2).reason, runs.row(2).approval) == (Reason.SURGE, Approval.WANTED)
    runs.sync(make_policy(max_new=2))
    assert set(runs.states.values()) == {PENDING}
