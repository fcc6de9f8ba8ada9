"""What the state tells of its past: the stories of closings, and the counts of `status`."""

import itertools
from datetime import date, timedelta

import pytest
from factories import (
    CLOSED_ON,
    NOW,
    make_candidate,
    make_closing,
    make_contact,
    start,
)
from ledgers import claim, firm, hand_over, put, release, row, settle
from planting import connection_of

from clio_broadly_sync.domain import lifecycle
from clio_broadly_sync.domain.model import Approval, Asked, Command, Outcome
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.store import Place, Selection, Store
from clio_broadly_sync.store.overview import Group, PastRun

LATER = NOW + timedelta(minutes=15)


def test_story_of_a_closing(store: Store) -> None:
    """Each change with its time, run, command, reason, batch and answer, the oldest first."""
    put(store, make_closing(77, reason=Reason.SETTLING))
    store.begin_run("backfill", "r2", LATER)
    hand_over(store, make_closing(77), Outcome.REJECTED, "invalid_email", LATER)
    (story,) = store.history.of_matter(77)
    assert (story.closing.state, story.closing.batch) == (State.DEAD, 1)
    assert [(s.at, s.run, s.command) for s in story.steps] == [
        (NOW, 1, "sync"),
        (LATER, 2, "backfill"),
        (LATER, 2, "backfill"),
    ]
    assert [step.reason for step in story.steps] == [Reason.SETTLING, None, None]
    assert [(s.before, s.state, s.batch, s.answer) for s in story.steps] == [
        (None, State.PENDING, None, None),
        (State.PENDING, State.SENDING, 1, None),
        (State.SENDING, State.DEAD, None, "invalid_email"),
    ]


@pytest.mark.parametrize(
    ("outcome", "answer"), [(Outcome.ACCEPTED, None), (Outcome.DUPLICATE, "duplicate")]
)
def test_duplicate_is_told_from_accepted(
    store: Store, outcome: Outcome, answer: str | None
) -> None:
    """Both are sent; the answer says that it was no news to Broadly."""
    put(store, make_closing(77))
    hand_over(store, make_closing(77), outcome)
    (story,) = store.history.of_matter(77)
    assert (story.closing.state, story.steps[-1].answer) == (State.SENT, answer)


def test_closings_of_one_matter(store: Store) -> None:
    """All of them, the one that was noticed last first; nothing of another matter."""
    old = make_closing(77, date(2026, 11, 1), noticed_at=NOW - timedelta(days=9))
    put(store, old, make_closing(77), make_closing(78))
    found = [story.closing.key for story in store.history.of_matter(77)]
    assert found == [(77, CLOSED_ON), (77, date(2026, 11, 1))]
    assert all(len(story.steps) == 1 for story in store.history.of_matter(77))
    assert store.history.of_matter(79) == []


def test_closings_that_were_noticed_at_once(store: Store) -> None:
    """The one that closed last comes first."""
    days = [date(2026, 11, 2), date(2026, 11, 9)]
    put(store, *(make_closing(77, day) for day in days))
    found = [story.closing.key.closed_on for story in store.history.of_matter(77)]
    assert found == days[::-1]


def test_story_of_a_run_that_is_missing(store: Store) -> None:
    """The change is told all the same, and not which command made it."""
    put(store, make_closing(77))
    connection_of(store).execute("DELETE FROM runs")
    (story,) = store.history.of_matter(77)
    assert [(step.run, step.command) for step in story.steps] == [(1, None)]


def test_moved_closing_keeps_its_story(store: Store) -> None:
    """A new close date is one more change of the same closing."""
    put(store, make_closing(77))
    before = row(store)
    after = before._replace(key=before.key._replace(closed_on=date(2026, 11, 19)))
    store.ledger.record([(before, after)], LATER)
    (story,) = store.history.of_matter(77)
    assert story.closing.key.closed_on == date(2026, 11, 19)
    assert [step.state for step in story.steps] == [State.PENDING, State.PENDING]


def test_closings_of_one_contact(store: Store) -> None:
    """Across matters, in their order where they were noticed at once, with their changes."""
    put(store, make_closing(78), make_closing(77), make_closing(79, contact_id=5))
    found = store.history.of_contact(1201)
    assert [story.closing.key.matter_id for story in found] == [77, 78]
    assert all(story.steps for story in found)
    assert store.history.of_contact(6) == []


def test_closings_of_a_contacts_matters(store: Store) -> None:
    """Those of the contact, and those that the same matters have of another one."""
    former = make_closing(77, date(2026, 11, 1), contact_id=5, noticed_at=NOW - timedelta(days=9))
    put(store, former, make_closing(77), make_closing(78), make_closing(79, contact_id=5))
    found = [story.closing.key for story in store.history.of_matters_of(1201)]
    assert found == [(77, CLOSED_ON), (78, CLOSED_ON), (77, date(2026, 11, 1))]
    assert store.history.of_matters_of(6) == []


def test_story_goes_on_from_run_to_run(place: Place) -> None:
    """In the order of the runs, each of which counts its changes from the beginning."""
    with place.open() as store:
        start(store)
        put(store, make_closing(76), make_closing(77))
        hand_over(store, make_closing(77), Outcome.REJECTED)
    with place.open() as store:
        store.begin_run("outbox", "r2", LATER)
        store.outbox.change(Selection(), lifecycle.resent, LATER)
        (story,) = store.history.of_matter(77)
    assert [(step.run, step.state) for step in story.steps] == [
        (1, State.PENDING),
        (1, State.SENDING),
        (1, State.DEAD),
        (2, State.PENDING),
    ]


def test_asked_before(store: Store) -> None:
    """What the claim would find of an earlier hand-over, without claiming."""
    first, second = make_closing(77), make_closing(78)
    put(store, first, second)
    assert store.history.asked(make_candidate(second)) == Asked()
    hand_over(store, first, at=LATER)
    assert store.history.asked(make_candidate(second)) == Asked(person_at=LATER)


@pytest.mark.parametrize("order", list(itertools.permutations([3, 20, 100])), ids=str)
def test_asked_several_times(store: Store, order: tuple[int, ...]) -> None:
    """The last time counts, whichever of the closings it was; its own time never does."""
    for matter, days in enumerate([*order, 0], 1):
        put(store, make_closing(matter))
        hand_over(store, make_closing(matter), at=NOW - timedelta(days=days))
    last = store.history.asked(make_candidate(make_closing(4)))
    assert last == Asked(person_at=NOW - timedelta(days=3))
    assert store.history.asked(make_candidate(make_closing(5))) == Asked(person_at=NOW)


def test_asked_for_a_matter_of_which_two_closings_were_dropped_at_once(store: Store) -> None:
    """One of them without a close date: no closing has to come before the other."""
    put(store, make_closing(77, None), make_closing(77))
    store.outbox.change(Selection(), lifecycle.dropped, LATER)
    new = make_candidate(make_closing(77, date(2026, 11, 19)))
    assert store.history.asked(new) == Asked(matter_at=LATER, matter_dates=frozenset({CLOSED_ON}))


def test_closings_of_one_person(store: Store) -> None:
    """Claimed for the contact, the e-mail address or the phone number; by hashes, no address."""
    by_email, by_phone, other = (make_closing(n, contact_id=n) for n in (77, 78, 79))
    put(store, by_email, by_phone, other)
    claim(store, [make_candidate(by_email, email="pat@example.com", phone=None)])
    claim(store, [make_candidate(by_phone, email=None, phone="+14155550100")])
    claim(store, [make_candidate(other, email="other@example.com", phone="+14155550199")])
    person = make_contact(80, email="PAT@example.com", phone="+14155550100")
    found = store.history.of_person(person)
    assert [story.closing.key.matter_id for story in found] == [77, 78]
    assert all(story.steps for story in found)
    assert firm(store).history.of_person(person) == []


def test_address_of_an_earlier_claim_is_nobody(store: Store) -> None:
    """It was given back and claimed again with another address; but a lost answer keeps both."""
    closing = make_closing(77, contact_id=77)
    put(store, closing)
    claim(store, [make_candidate(closing, email="old@example.com")])
    release(store)
    claim(store, [make_candidate(closing, email="new@example.com")], at=LATER)
    old = make_contact(80, email="old@example.com", phone=None)
    assert store.history.of_person(old) == []
    settle(store, Outcome.UNKNOWN, 77)
    assert len(store.history.of_person(old)) == 1


def test_firms_do_not_see_each_other(store: Store) -> None:
    """Not in a story, and not in a count, though matters, contacts and runs have the same ids."""
    other = firm(store)
    put(other, make_closing(77, closed_on=date(2026, 11, 2)))
    store.begin_run("backfill", "r2", LATER)
    put(store, make_closing(77))
    (story,) = store.history.of_matter(77)
    assert [(step.run, step.command) for step in story.steps] == [(2, "backfill")]
    assert len(store.history.of_contact(1201)) == 1
    (mine, _), (theirs,) = store.overview.last_runs(5), other.overview.last_runs(5)
    assert (mine.run, theirs.run) == (2, 1)
    assert [group.closings for group in store.overview.waiting(None, NOW)] == [1]


def test_runs(store: Store) -> None:
    """The latest first; one that has not come to its end has neither end nor code."""
    other = firm(store)
    store.finish_run(65, LATER)
    store.begin_run("backfill", "r2", LATER)
    assert store.overview.last_runs(5) == [
        PastRun(2, "backfill", LATER, None, None),
        PastRun(1, "sync", NOW, LATER, 65),
    ]
    assert len(store.overview.last_runs(1)) == 1
    assert other.overview.last_runs(5) == [PastRun(1, "sync", NOW, None, None)]
    store.finish_run(0, LATER)
    assert [run.exit_code for run in store.overview.last_runs(5)] == [0, 65]
    last = store.overview.last_sync()
    assert last is not None
    assert last.run == 1
    store.begin_run("sync", "r3", LATER)
    assert store.overview.last_sync() == PastRun(3, "sync", LATER, None, None)


def test_waiting_is_counted_by_command_and_reason(store: Store) -> None:
    """With the oldest of each group; the largest group first."""
    old = NOW - timedelta(days=3)
    put(
        store,
        make_closing(1, reason=Reason.SURGE),
        make_closing(2, reason=Reason.SURGE, noticed_at=old),
        make_closing(3, command=Command.BACKFILL),
        make_closing(4, state=State.SKIPPED),
    )
    assert store.overview.waiting(None, NOW) == [
        Group(Command.SYNC, Reason.SURGE, 2, old),
        Group(Command.BACKFILL, None, 1, NOW),
    ]


def test_what_waits_is_told_with_the_reason_of_the_moment(store: Store) -> None:
    """While nobody may be claimed; what would wait in any case is told first."""
    old, settled = NOW - timedelta(days=2), NOW - timedelta(hours=1)
    put(
        store,
        make_closing(1, noticed_at=old),
        make_closing(2, noticed_at=old, reason=Reason.UNAVAILABLE),
        make_closing(3, noticed_at=old, reason=Reason.SETTLING),
        make_closing(4, reason=Reason.SETTLING),
        make_closing(5, noticed_at=old, reason=Reason.SURGE, approval=Approval.WANTED),
        make_closing(6, noticed_at=old, reason=Reason.CONTACT_HIDDEN),
        make_closing(7, command=Command.BACKFILL),
    )
    told = store.overview.waiting(Reason.EXPORT, settled)
    assert {(group.command, group.reason): group.closings for group in told} == {
        (Command.SYNC, Reason.EXPORT): 3,
        (Command.SYNC, Reason.SETTLING): 1,
        (Command.SYNC, Reason.SURGE): 1,
        (Command.SYNC, Reason.CONTACT_HIDDEN): 1,
        (Command.BACKFILL, Reason.EXPORT): 1,
    }
    assert told[0].oldest == old


def test_oldest_that_waits_for_a_file(store: Store) -> None:
    """Only what grows too old: no fault, no backfill, nothing resent, in doubt, or skipped."""
    assert store.overview.oldest_for_export() is None
    put(
        store,
        make_closing(1, date(2026, 1, 1), command=Command.BACKFILL),
        make_closing(2, date(2026, 1, 2), resent=True),
        make_closing(3, date(2026, 1, 3), reason=Reason.CONTACT_HIDDEN),
        make_closing(4, date(2026, 1, 4), in_doubt=True, reason=Reason.UNKNOWN_OUTCOME),
        make_closing(5, date(2026, 1, 5), state=State.SKIPPED),
        make_closing(6, None),
    )
    assert store.overview.oldest_for_export() is None
    put(store, make_closing(7, date(2026, 2, 2)), make_closing(8, date(2026, 2, 1)))
    assert store.overview.oldest_for_export() == date(2026, 2, 1)


def test_waiting_is_counted_by_the_reason_that_is_told(store: Store) -> None:
    """While nobody may be claimed, several reasons are told as one; a backfill's never settle."""
    old, outside = NOW - timedelta(days=3), Reason.OUTSIDE_HOURS
    put(
        store,
        make_closing(1, noticed_at=old),
        make_closing(2, noticed_at=NOW - timedelta(days=1), reason=Reason.RETRY),
        make_closing(3, noticed_at=old, reason=Reason.SETTLING),
        make_closing(4, reason=Reason.SETTLING),
        make_closing(5, resent=True),
        make_closing(6, command=Command.BACKFILL),
        make_closing(7, reason=Reason.SURGE),
    )
    settled = NOW - timedelta(hours=24)
    assert store.overview.waiting(outside, settled) == [
        Group(Command.SYNC, outside, 4, old),
        Group(Command.BACKFILL, outside, 1, NOW),
        Group(Command.SYNC, Reason.SETTLING, 1, NOW),
        Group(Command.SYNC, Reason.SURGE, 1, NOW),
    ]
    stored = store.overview.waiting(None, settled)
    assert [(group.command, group.reason, group.closings) for group in stored] == [
        (Command.SYNC, None, 2),
        (Command.SYNC, Reason.SETTLING, 2),
        (Command.BACKFILL, None, 1),
        (Command.SYNC, Reason.RETRY, 1),
        (Command.SYNC, Reason.SURGE, 1),
    ]


def test_what_needs_a_person_is_counted_by_state(store: Store) -> None:
    """Held, dead and on its way, each apart; a marked one that waits again is not held."""
    lost = Reason.UNKNOWN_OUTCOME
    put(
        store,
        make_closing(1, state=State.HELD, in_doubt=True, reason=lost),
        make_closing(2, state=State.PENDING, in_doubt=True, reason=lost),
        make_closing(3, state=State.DEAD),
        make_closing(4, state=State.DEAD, reason=Reason.RETRY),
        make_closing(5, state=State.SENDING),
        make_closing(6, state=State.PENDING, in_doubt=True, reason=lost),
    )
    overview = store.overview
    assert overview.held() == [Group(Command.SYNC, lost, 1, NOW)]
    assert [(group.reason, group.closings) for group in overview.dead()] == [
        (None, 1),
        (Reason.RETRY, 1),
    ]
    assert [group.closings for group in overview.sending()] == [1]


def test_hand_overs_between_moments(store: Store) -> None:
    """The first moment is included, the last is not; only what was sent counts."""
    hour = timedelta(hours=1)
    put(
        store,
        *(make_closing(n, state=State.SENT, claimed_at=NOW + n * hour / 2) for n in range(4)),
        make_closing(9, state=State.HELD, claimed_at=NOW, in_doubt=True),
    )
    bounds = [NOW, NOW + hour, NOW + 2 * hour, NOW + 3 * hour]
    assert store.overview.handed_over(bounds) == [2, 2, 0]
