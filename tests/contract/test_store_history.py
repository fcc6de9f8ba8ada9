"""What the state tells of its past: the stories of closings, and the counts of `status`."""

import itertools
import re
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from factories import (
    CLOSED_ON,
    NOW,
    make_candidate,
    make_closing,
    make_policy,
    make_receipt,
    make_request,
    start,
)
from watched import plans, watch

from clio_broadly_sync.domain import lifecycle
from clio_broadly_sync.domain.model import Asked, Closing, Command, Outcome
from clio_broadly_sync.domain.reasons import Reason, State
from clio_broadly_sync.store import Selection, Store
from clio_broadly_sync.store.overview import Group, PastRun

LATER = NOW + timedelta(minutes=15)
PERSON = make_request(make_closing(77), email="pat@example.com")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    watch(monkeypatch)
    with Store.open(tmp_path / "state" / "state.db") as opened:
        opened.begin_run("sync", "r1", NOW)
        yield opened


def put(store: Store, *closings: Closing) -> None:
    store.ledger.record([(None, closing) for closing in closings], NOW)


def send(store: Store, closing: Closing, outcome: Outcome, code: str | None = None) -> None:
    """Hand a pending closing over, and settle it with this answer."""
    store.ledger.claim([make_candidate(closing)], 5, whole=False, judge=lambda *_: None, at=LATER)
    receipt = make_receipt(closing, outcome, code)
    store.ledger.settle([receipt], lambda r, c: lifecycle.settled(r, c, make_policy()), LATER)


def send_at(store: Store, closing: Closing, at: datetime) -> None:
    """Hand it over at that time, whatever is known of its person; Broadly accepts."""
    store.ledger.claim([make_candidate(closing)], 1, whole=False, judge=lambda *_: None, at=at)
    receipt = make_receipt(closing, Outcome.ACCEPTED)
    store.ledger.settle([receipt], lambda r, c: lifecycle.settled(r, c, make_policy()), at)


def test_story_of_a_closing(store: Store) -> None:
    """Each change with its time, run, command, reason, batch and answer, the oldest first."""
    closing = make_closing(77, reason=Reason.SETTLING)
    put(store, closing)
    store.begin_run("backfill", "r2", LATER)
    send(store, closing, Outcome.REJECTED, "invalid_email")
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
    send(store, make_closing(77), outcome)
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
    store._connection.execute("DELETE FROM runs")
    (story,) = store.history.of_matter(77)
    assert [(step.run, step.command) for step in story.steps] == [(1, None)]


def test_moved_closing_keeps_its_story(store: Store) -> None:
    """A new close date is one more change of the same closing."""
    before = make_closing(77)
    put(store, before)
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


def test_story_goes_on_from_run_to_run(tmp_path: Path) -> None:
    """In the order of the runs, each of which counts its changes from the beginning."""
    path = tmp_path / "state" / "state.db"
    with Store.open(path) as store:
        start(store)
        put(store, make_closing(76), make_closing(77))
        send(store, make_closing(77), Outcome.REJECTED)
    with Store.open(path) as store:
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
    send(store, first, Outcome.ACCEPTED)
    assert store.history.asked(make_candidate(second)) == Asked(person_at=LATER)


@pytest.mark.parametrize("order", list(itertools.permutations([3, 20, 100])), ids=str)
def test_asked_several_times(store: Store, order: tuple[int, ...]) -> None:
    """The last time counts, whichever of the closings it was; its own time never does."""
    for matter, days in enumerate([*order, 0], 1):
        put(store, make_closing(matter))
        send_at(store, make_closing(matter), NOW - timedelta(days=days))
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
    _claim(store, by_email, email="pat@example.com", phone=None)
    _claim(store, by_phone, email=None, phone="+14155550100")
    _claim(store, other, email="other@example.com", phone="+14155550199")
    person = make_request(
        make_closing(80, contact_id=80), email="PAT@example.com", phone="+14155550100"
    )
    found = store.history.of_person(person)
    assert [story.closing.key.matter_id for story in found] == [77, 78]
    assert all(story.steps for story in found)
    assert Store(store._connection, firm="other").history.of_person(person) == []


def test_address_of_an_earlier_claim_is_nobody(store: Store) -> None:
    """It was given back and claimed again with another address; but a lost answer keeps both."""
    closing = make_closing(77, contact_id=77)
    put(store, closing)
    _claim(store, closing, email="old@example.com")
    (claimed,) = store.ledger.known([77])[77]
    back = claimed._replace(state=State.PENDING)
    store.ledger.record([(claimed, back)], LATER)
    _claim(store, back, email="new@example.com", at=LATER + timedelta(hours=1))
    old = make_request(make_closing(80, contact_id=80), email="old@example.com")
    assert store.history.of_person(old) == []
    (claimed,) = store.ledger.known([77])[77]
    store.ledger.record([(claimed, claimed._replace(in_doubt=True))], LATER)
    assert len(store.history.of_person(old)) == 1


def _claim(store: Store, closing: Closing, at: datetime = LATER, **who: str | None) -> None:
    candidate = make_candidate(closing, **who)
    store.ledger.claim([candidate], 1, whole=False, judge=lambda *_: None, at=at)


def test_firms_do_not_see_each_other(store: Store) -> None:
    """Not in a story, and not in a count, though matters, contacts and runs have the same ids."""
    other = Store(store._connection, firm="other")
    other.begin_run("backfill", "o1", LATER)
    put(other, make_closing(77, closed_on=date(2026, 11, 2)))
    put(store, make_closing(77))
    (story,) = store.history.of_matter(77)
    assert [(step.run, step.command) for step in story.steps] == [(1, "sync")]
    assert len(store.history.of_contact(1201)) == 1
    (mine,), (theirs,) = store.overview.last_runs(5), other.overview.last_runs(5)
    assert (mine.command, theirs.command) == ("sync", "backfill")
    assert other.overview.last_sync() is None
    assert [group.closings for group in store.overview.waiting()] == [1]


def test_runs(store: Store) -> None:
    """The latest first; one that has not come to its end has neither end nor code."""
    other = Store(store._connection, firm="other")
    other.begin_run("sync", "o1", NOW)
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
        make_closing(4, state=State.SKIPPED, reason=Reason.SURGE),
    )
    assert store.overview.waiting() == [
        Group(Command.SYNC, Reason.SURGE, 2, old),
        Group(Command.BACKFILL, None, 1, NOW),
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


READING: dict[str, tuple[Callable[[Store], object], set[str]]] = {
    "a matter": (lambda s: s.history.of_matter(77), {"sqlite_autoindex_closings_1"}),
    "a person": (lambda s: s.history.of_person(PERSON), {"sqlite_autoindex_closings_1"}),
    "waiting": (lambda s: s.overview.waiting(), {"closings_pending"}),
    "sending": (lambda s: s.overview.sending(), {"closings_sending"}),
    "held": (lambda s: s.overview.held(), {"closings_marked"}),
    "dead": (lambda s: s.overview.dead(), {"closings_dead"}),
    "hand-overs": (lambda s: s.overview.handed_over([NOW, LATER]), {"closings_by_claim"}),
}


@pytest.mark.parametrize("statistics", [False, True])
@pytest.mark.parametrize("reading", READING)
def test_counts_go_by_an_index(store: Store, reading: str, statistics: bool) -> None:
    """However long the ledger is, no count goes through all of it."""
    states = [State.SENT] * 400 + [State.PENDING] * 9 + [State.DEAD, State.SENDING]
    put(store, *(make_closing(n, state=state) for n, state in enumerate(states, 1)))
    if statistics:
        store._connection.execute("ANALYZE")
    do, indexes = READING[reading]
    steps = plans(store, lambda: do(store))
    assert set(re.findall(r"SEARCH closings USING (?:COVERING )?INDEX (\w+)", steps)) == indexes
    assert not re.search(r"SCAN (closings|people|changes)", steps)
    assert not re.search(r"SEARCH (closings|changes) .*\(firm=\?\)", steps)
