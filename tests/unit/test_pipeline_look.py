"""What is read again before it is handed over, and how old it may be."""

from datetime import timedelta
from typing import Any

import pytest
from ends import OPT_IN, OPT_OUT
from factories import CLOSED_ON, NOW, make_policy
from runs import WANTED, YESTERDAY, Runs

from clio_broadly_sync.domain.errors import ConfigError
from clio_broadly_sync.domain.model import Box, Key, SyncRule
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.states import State

PENDING, SENT, SKIPPED, DEAD = State.PENDING, State.SENT, State.SKIPPED, State.DEAD

# The second look.


def test_matter_that_waited_is_read_again(runs: Runs) -> None:
    """Reopened, gone or opted out of meanwhile: skipped, each with its reason."""
    runs.close(1, 2, 3, 4, updated_at=YESTERDAY)
    runs.waiting(1, 2, 3, 4, 5)
    runs.edit(1, closed=False, updated_at=YESTERDAY)
    runs.edit(2, opted_in=Box.UNCHECKED, updated_at=YESTERDAY)
    runs.client(1003, opted_out=Box.CHECKED)
    context = runs.sync(overlap=timedelta(0))
    assert runs.broadly.matters == [[4]]
    reasons = {n: runs.row(n).reason for n in (1, 2, 3, 5)}
    assert reasons == {
        1: Reason.NOT_CLOSED,
        2: Reason.NOT_OPTED_IN,
        3: Reason.OPTED_OUT,
        5: Reason.NOT_CLOSED,
    }
    assert context.report.skipped == {"not_closed": 2, "not_opted_in": 1, "opted_out": 1}
    assert runs.clio.asked_by_id == [[1, 2, 3, 4, 5], [1003, 1004]]


def test_what_was_just_read_is_not_read_again(runs: Runs) -> None:
    """Beside one that is, it keeps its place in the order."""
    runs.close(2, updated_at=YESTERDAY)
    runs.waiting(2)
    runs.close(1, 3)
    runs.sync()
    assert runs.clio.asked_by_id == [[2], [1001, 1002, 1003]]
    assert runs.broadly.matters == [[2, 1, 3]]


def test_matters_are_read_again_a_hundred_at_a_time(runs: Runs) -> None:
    """As many as Clio takes in one request."""
    runs.close(*range(1, 102), updated_at=YESTERDAY)
    runs.waiting(*range(1, 102))
    runs.sync(make_policy(max_new=500))
    assert [len(ids) for ids in runs.clio.asked_by_id] == [100, 1, 100, 1]
    assert set(runs.states.values()) == {SENT}


def test_matter_with_two_closings_is_asked_for_once(runs: Runs) -> None:
    """It was closed on another day: the row of that day is a closing of its own, the other none."""
    runs.close(1, updated_at=YESTERDAY)
    runs.waiting(1)
    runs.waiting(1, closed_on=CLOSED_ON - timedelta(days=1), contact_id=1001)
    runs.sync()
    assert runs.clio.asked_by_id[0] == [1]
    found = {c.key.closed_on: c.state for c in runs.store.ledger.known([1])[1]}
    assert found == {CLOSED_ON: SENT, CLOSED_ON - timedelta(days=1): SKIPPED}


def test_corrected_date_moves_the_closing_before_it_goes(runs: Runs) -> None:
    """It is handed over under the date that the matter has now."""
    corrected = CLOSED_ON - timedelta(days=2)
    runs.close(1, closed_on=corrected, updated_at=YESTERDAY)
    runs.waiting(1)
    runs.sync()
    assert runs.row(1).key == Key(1, corrected)
    assert runs.broadly.posts[0][0].key == Key(1, corrected)


def test_two_closings_that_move_to_one_date_are_one(runs: Runs) -> None:
    """The first of them takes it; the client is asked once."""
    corrected = CLOSED_ON - timedelta(days=2)
    runs.close(1, closed_on=corrected, updated_at=YESTERDAY)
    runs.waiting(1)
    runs.waiting(1, closed_on=CLOSED_ON - timedelta(days=1), contact_id=1001)
    runs.sync()
    found = {c.key.closed_on: c.state for c in runs.store.ledger.known([1])[1]}
    assert sorted(found.values()) == [SENT, SKIPPED]
    assert found[corrected] is SENT


def test_hidden_contact_waits_from_the_day_it_was_last_looked_for(runs: Runs) -> None:
    """Reading its matter again is not looking for it."""
    runs.close(1, 2, updated_at=YESTERDAY)
    runs.waiting(1, reason=Reason.CONTACT_HIDDEN)
    runs.waiting(2)
    runs.clio.meanwhile("contacts", _breaks_off)
    with pytest.raises(ConfigError):
        runs.sync()
    assert (runs.row(1).read_at, runs.row(1).reason) == (YESTERDAY, Reason.CONTACT_HIDDEN)
    assert runs.row(2).read_at == NOW
    del runs.clio.people[1001]
    runs.clio.meanwhile("matters", runs.clock.after(minutes=1))
    runs.sync()
    assert runs.row(1).read_at == NOW + timedelta(minutes=1)


def test_matter_that_cannot_be_read_waits_from_now_on(runs: Runs) -> None:
    """Also where it waited for its contact before."""
    runs.close(1, updated_at=YESTERDAY, opted_in=Box.UNREADABLE)
    runs.waiting(1, reason=Reason.CONTACT_HIDDEN)
    runs.sync()
    assert (runs.row(1).read_at, runs.row(1).reason) == (NOW, Reason.UNREADABLE_FIELD)


def _breaks_off() -> None:
    raise ConfigError("Clio refuses to say.")


# What is handed over was read just before.


def test_what_grew_old_in_the_queue_is_read_again(runs: Runs) -> None:
    """An opt-out that was ticked while the batch before it was on its way counts."""
    runs.close(1, 2, 3)
    runs.broadly.meanwhile("post", runs.clock.after(minutes=16))
    runs.clio.meanwhile("contacts", lambda: None, lambda: runs.client(1003, opted_out=Box.CHECKED))
    runs.sync(batch_size=1)
    assert runs.broadly.matters == [[1], [2]]
    assert runs.states == {1: SENT, 2: SENT, 3: SKIPPED}
    assert runs.clio.requests.count("matters") == 1


def test_contact_that_was_slow_to_come_is_read_again(runs: Runs) -> None:
    """Its age counts from when it was asked for."""
    runs.close(1)
    runs.clio.meanwhile("contacts", runs.clock.after(minutes=16))
    runs.sync()
    assert runs.clio.requests.count("contacts") == 2
    assert runs.states == {1: SENT}


def test_matter_is_read_again_when_the_pull_took_long(runs: Runs) -> None:
    """What its first page said is too old for a hand-over."""
    runs.close(1, 2)
    runs.clio.page = 1
    runs.clio.meanwhile("page", lambda: None, runs.clock.after(minutes=16))
    runs.clio.meanwhile("matters", lambda: runs.edit(1, closed=False))
    runs.sync()
    assert runs.clio.asked_by_id[0] == [1, 2]
    assert runs.states == {1: SKIPPED, 2: SENT}


def test_checkboxes_are_looked_at_again_after_a_quarter_of_an_hour(runs: Runs) -> None:
    """One that is gone by then ends the run, and what was not sent waits."""
    runs.close(1, 2)
    runs.broadly.meanwhile("post", runs.clock.after(minutes=16))
    runs.clio.meanwhile("custom_fields", lambda: None, lambda: runs.clio.boxes.remove(OPT_OUT))
    with pytest.raises(ConfigError, match=OPT_OUT.name):
        runs.sync(batch_size=1)
    assert runs.broadly.matters == [[1]]
    assert runs.states == {1: SENT, 2: PENDING}


def test_box_for_opting_out_that_turns_up_counts_from_then_on(new: Runs) -> None:
    """Under `opt-in` it is optional: whoever was read without it is read again before a POST."""
    alone: dict[str, Any] = {"wanted": WANTED._replace(rule=SyncRule.OPT_IN)}
    policy = make_policy(rule=SyncRule.OPT_IN)
    new.clio.boxes = [OPT_IN]
    new.sync(policy, **alone)
    new.close(1, 2, updated_at=YESTERDAY)
    new.waiting(1, 2, rule=SyncRule.OPT_IN)
    new.client(1002, opted_out=Box.CHECKED)
    new.close(8, 9, opted_in=Box.UNCHECKED)
    new.clio.page = 1
    new.clio.meanwhile("page", lambda: None, new.clock.after(minutes=10))
    new.clio.meanwhile("custom_fields", lambda: None, lambda: new.clio.boxes.append(OPT_OUT))
    new.broadly.meanwhile("post", new.clock.after(minutes=6))
    new.sync(policy, batch_size=1, **alone)
    assert new.broadly.matters == [[1]]
    assert (new.states[1], new.row(2).reason) == (SENT, Reason.OPTED_OUT)
