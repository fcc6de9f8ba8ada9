"""The no belongs to the person: what is checked on one card counts for another one of theirs."""

import pytest
from ends import OPT_IN
from factories import make_candidate, make_closing, make_policy
from runs import WANTED, Runs

from clio_broadly_sync.domain.model import Box, SyncRule
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.states import State

NO, YES, THIRD = 1001, 1002, 1003
SHARED = "pat@example.com"


def stopped(runs: Runs, matter: int = 2, by: int = NO) -> bool:
    row = runs.row(matter)
    expected = (State.SKIPPED, Reason.OPTED_OUT, f"contact:{by}")
    return (row.state, row.reason, row.cause) == expected


def two_cards(runs: Runs, **second: object) -> None:
    """Close a matter of a contact that says no, and one of another contact."""
    runs.close(1, 2)
    runs.client(NO, email=SHARED, phone="+14155550123", opted_out=Box.CHECKED)
    runs.client(YES, **second)


@pytest.mark.parametrize(
    "second",
    [
        {"email": SHARED},
        {"email": "PAT@Example.com"},
        {"email": None, "phone": "+14155550123"},
        {"email": "other@example.com", "phone": "+14155550123"},
        {"email": SHARED, "phone": "+14155550199"},
    ],
)
@pytest.mark.parametrize("size", [1, 50])
def test_another_card_with_the_same_address(
    runs: Runs, second: dict[str, str | None], size: int
) -> None:
    """In whichever order they are read, and though the card with the no is sent nothing."""
    two_cards(runs, **second)
    runs.sync(batch_size=size)
    assert runs.broadly.matters == []
    assert stopped(runs)
    assert runs.row(1).cause is None


def test_card_that_shares_nothing(runs: Runs) -> None:
    two_cards(runs, email="other@example.com", phone="+14155550199")
    runs.sync()
    assert runs.broadly.matters == [[2]]


def test_no_counts_as_it_was_read(runs: Runs) -> None:
    """Also by a phone number that is not sent at all."""
    two_cards(runs, email="other@example.com", phone="+14155550123")
    runs.sync(make_policy(fields=frozenset({"email"})))
    assert stopped(runs)


def test_no_that_was_read_in_an_earlier_run(runs: Runs) -> None:
    """No contact is read for this alone."""
    two_cards(runs, email="late@example.com")
    runs.close(3, client_id=THIRD)
    runs.client(THIRD, email=SHARED)
    del runs.clio.records[2], runs.clio.records[3]
    runs.sync()
    runs.clock.tick(hours=1)
    runs.close(3, client_id=THIRD)
    runs.client(THIRD, email=SHARED)
    runs.sync()
    assert runs.broadly.matters == []
    assert stopped(runs, 3)
    assert runs.clio.asked_by_id == [[THIRD]]


@pytest.mark.parametrize("now_says", [Box.CHECKED, Box.UNCHECKED, Box.UNREADABLE, None])
def test_old_no_is_read_again_before_it_stops_anybody(runs: Runs, now_says: Box | None) -> None:
    """Unchecked by now, it is forgotten; a card that is hidden by now (None) keeps it."""
    runs.close(1)
    runs.client(NO, email=SHARED, opted_out=Box.CHECKED)
    runs.sync()
    runs.clock.tick(hours=21)
    runs.close(2)
    runs.client(YES, email=SHARED)
    if now_says is None:
        del runs.clio.people[NO]
    else:
        runs.client(NO, email=SHARED, opted_out=now_says)
    runs.sync(looks=False)
    assert runs.clio.asked_by_id == [[YES], [NO]]
    assert runs.broadly.matters == ([[2]] if now_says is Box.UNCHECKED else [])
    assert stopped(runs) == (now_says is not Box.UNCHECKED)


def test_many_old_noes_are_read_a_hundred_at_a_time(runs: Runs) -> None:
    """A number at the reception: 250 cards share it."""
    cards = range(1, 251)
    runs.close(*cards)
    for card in cards:
        runs.client(1000 + card, email=SHARED, opted_out=Box.CHECKED)
    runs.sync(make_policy(max_new=1000))
    runs.clock.tick(hours=21)
    runs.close(300)
    runs.client(1300, email=SHARED)
    runs.sync(make_policy(max_new=1000), looks=False)
    assert [len(asked) for asked in runs.clio.asked_by_id] == [1, 100, 100, 50]
    assert stopped(runs, 300, by=1001)


def test_new_address_forgets_the_old_one(runs: Runs) -> None:
    """The card now has another address: its no is about that one."""
    two_cards(runs, email="other@example.com", phone=None)
    del runs.clio.records[2]
    runs.sync()
    runs.clock.tick(hours=1)
    runs.close(1, closed_on=runs.clock.now.date(), client_id=NO)
    runs.client(NO, email="new@example.com", opted_out=Box.CHECKED)
    runs.close(2)
    runs.client(YES, email=SHARED)
    runs.sync()
    assert runs.broadly.matters == [[2]]


def test_box_that_is_not_read_says_nothing(runs: Runs) -> None:
    """Under `opt-in`, where nobody reads the contact's box any more: no earlier no is forgotten."""
    two_cards(runs, email=SHARED)
    runs.sync()
    pins = runs.store.pins()
    assert pins is not None
    fields = pins.fields._replace(opt_out=None)
    runs.store.pin(pins._replace(rule=SyncRule.OPT_IN, fields=fields))
    runs.clio.boxes = [OPT_IN]
    runs.clock.tick(hours=1)
    runs.close(3, client_id=NO)
    runs.client(NO, email="new@example.com", opted_out=Box.CHECKED)
    runs.sync(
        make_policy(rule=SyncRule.OPT_IN, reask_days=0),
        wanted=WANTED._replace(rule=SyncRule.OPT_IN),
    )
    assert runs.store.history.asked(make_candidate(make_closing(9), email=SHARED)).no_of == NO


def test_resent_one_is_stopped_too(runs: Runs) -> None:
    """A person's wish to send again is no answer to the client's no."""
    two_cards(runs, email=SHARED)
    runs.waiting(2, resent=True)
    runs.sync()
    assert runs.broadly.matters == []
    assert stopped(runs)


def test_one_that_is_in_doubt_is_held(runs: Runs) -> None:
    two_cards(runs, email=SHARED)
    runs.waiting(2, in_doubt=True, reason=Reason.UNKNOWN_OUTCOME, claimed_at=runs.clock.now)
    runs.sync(make_policy(dedupes=True))
    row = runs.row(2)
    assert (row.state, row.reason, row.cause) == (State.HELD, Reason.OPTED_OUT, f"contact:{NO}")


def test_no_stops_before_what_was_sent_does(runs: Runs) -> None:
    """In the order of the rules: opted out comes before asked recently."""
    runs.close(2)
    runs.client(YES, email=SHARED)
    runs.sync()
    runs.clock.tick(days=1)
    runs.close(1, 3)
    runs.client(NO, email=SHARED, opted_out=Box.CHECKED)
    runs.client(THIRD, email=SHARED)
    runs.sync()
    assert stopped(runs, 3)
    assert runs.row(2).state is State.SENT


def test_noes_are_counted_by_card(runs: Runs) -> None:
    two_cards(runs, email=SHARED)
    runs.close(3, 4)
    runs.client(THIRD, email=SHARED)
    runs.client(1004, phone="+14155550177", opted_out=Box.CHECKED)
    runs.close(5)
    runs.client(1005, email=None, phone="+14155550177")
    runs.sync()
    assert runs.store.overview.stopped_by() == [(NO, 2), (1004, 1)]


def test_what_is_foreseen_goes_by_the_same_noes(runs: Runs) -> None:
    two_cards(runs, email=SHARED)
    runs.sync()
    assert runs.store.history.asked(make_candidate(make_closing(9), email=SHARED)).no_of == NO
