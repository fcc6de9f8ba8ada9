"""The ledger: record, claim, settle, release, recover; what is due, in which order, and surges."""

import itertools
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from factories import (
    CLOSED_ON,
    NOW,
    PINS,
    START,
    make_candidate,
    make_closing,
    make_due,
    make_policy,
    start,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledgers import POLICY, claim, firm, next_run, put, recover, release, row, settle
from watched import ON_A_FILE, connection_of

from clio_broadly_sync.domain import lifecycle
from clio_broadly_sync.domain.errors import BusyError, StorageError
from clio_broadly_sync.domain.model import (
    Approval,
    Asked,
    Candidate,
    Closing,
    Command,
    Due,
    Key,
    Outcome,
)
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.store import Place, Selection, Store
from clio_broadly_sync.store.queue import CHUNK

PENDING, SENDING, SENT, SKIPPED, DEAD, HELD = (
    State.PENDING,
    State.SENDING,
    State.SENT,
    State.SKIPPED,
    State.DEAD,
    State.HELD,
)


def lined_up(store: Store, *, approved_only: bool = False, **due: Any) -> list[int]:
    count = store.ledger.line_up(make_due(**due), approved_only=approved_only)
    found = [closing.key.matter_id for closing in store.ledger.lined_up()]
    assert len(found) == count
    return found


def steps(store: Store, matter_id: int = 77) -> list[tuple[object, ...]]:
    (story,) = store.history.of_matter(matter_id)
    return [(step.run, step.before, step.state, step.reason, step.answer) for step in story.steps]


def matters(candidates: Iterable[Candidate]) -> list[int]:
    return [candidate.closing.key.matter_id for candidate in candidates]


# Recorded.


@pytest.mark.parametrize(
    "closing",
    [
        make_closing(),
        make_closing(closed_on=None, contact_id=None, state=SKIPPED, reason=Reason.NO_CLIENT),
        make_closing(
            in_doubt=True,
            resent=True,
            approval=Approval.GIVEN,
            tries=3,
            claimed_at=NOW,
            command=Command.BACKFILL,
            batch=3,
            updated_at=NOW - timedelta(hours=2),
        ),
    ],
)
def test_closing_comes_back_as_it_was(store: Store, closing: Closing) -> None:
    """What is recorded is what is read."""
    put(store, closing)
    assert row(store) == closing._replace(number=1)


def test_later_reading_is_written_even_if_it_was_known(store: Store) -> None:
    """A closing that was just read is at work with a later reading than its row has."""
    put(store, make_closing())
    read = row(store)._replace(read_at=NOW + timedelta(minutes=1))
    store.ledger.record([(read, read._replace(reason=Reason.CONTACT_HIDDEN))], NOW)
    assert row(store).read_at == NOW + timedelta(minutes=1)


@ON_A_FILE
def test_nothing_to_record_is_no_transaction(store: Store) -> None:
    """A page that brought nothing new costs nothing."""
    before = connection_of(store).commits
    store.ledger.record([], NOW)
    assert connection_of(store).commits == before
    put(store, make_closing())
    assert connection_of(store).commits == before + 1


def test_record_is_all_or_nothing(store: Store) -> None:
    """A page that cannot be written whole is not written at all."""
    put(store, make_closing(2))
    with pytest.raises(Exception, match=r"(?i)unique"):
        put(store, make_closing(1), make_closing(2))
    assert store.ledger.known([1]) == {}


def test_what_did_not_change_is_not_noted(store: Store) -> None:
    """Read again and decided the same, a closing adds nothing to its history."""
    put(store, make_closing())
    next_run(store)
    store.ledger.record([(row(store), row(store)._replace(read_in_run=2, etag="after"))], NOW)
    assert len(steps(store)) == 1


# Claimed: one person once.

A, B, C = (make_closing(number, contact_id=100 + number) for number in (1, 2, 3))


def test_claim_takes_no_more_than_a_batch(store: Store) -> None:
    """The rest stays pending, in its order."""
    put(store, A, B, C)
    taken = claim(store, [make_candidate(c) for c in (A, B, C)], 2)
    assert (matters(taken.batch), matters(taken.rest)) == ([1, 2], [3])
    assert [row(store, number).state for number in (1, 2, 3)] == [SENDING, SENDING, PENDING]
    assert row(store, 1).claimed_at == NOW


def test_batches_are_numbered_in_each_run(store: Store) -> None:
    """A closing keeps the number of its last batch; the change to `sending` notes it as well."""
    put(store, A, B, C)
    for closing in (A, B):
        claim(store, [make_candidate(closing)])
    next_run(store)
    claim(store, [make_candidate(C)])
    found = [row(store, number) for number in (1, 2, 3)]
    assert [(c.claimed_in_run, c.batch) for c in found] == [(1, 1), (1, 2), (2, 1)]
    noted = [store.history.of_matter(number)[0].steps[-1] for number in (1, 2, 3)]
    assert [(step.state, step.batch) for step in noted] == [
        (SENDING, 1),
        (SENDING, 2),
        (SENDING, 1),
    ]


def test_claim_of_a_batch_that_is_not_full(store: Store) -> None:
    """With more to come, a batch that is not full is left unclaimed, in its order."""
    put(store, A, B)
    taken = claim(store, [make_candidate(A), make_candidate(B)], 3, whole=True)
    assert (taken.batch, matters(taken.rest)) == ([], [1, 2])
    assert row(store, 1).state is PENDING
    full = claim(store, taken.rest, 2, whole=True)
    assert (matters(full.batch), full.rest) == ([1, 2], [])


SAME = {
    "contact": ({"contact_id": 101}, {}, {}),
    "e-mail, without case": ({}, {"email": "Ada@example.com"}, {"email": "aDA@EXAMPLE.com"}),
    "phone": ({}, {"email": None, "phone": "+1415"}, {"email": "b@b.org", "phone": "+1415"}),
}


@pytest.fixture(params=SAME, ids=SAME)
def pair(request: pytest.FixtureRequest, store: Store) -> tuple[Candidate, Candidate]:
    """Two closings of one person, told by contact, by e-mail or by phone."""
    changes, first, second = SAME[request.param]
    other = B._replace(**changes)
    put(store, A, other)
    return make_candidate(A, **first), make_candidate(other, **second)


Pair = tuple[Candidate, Candidate]


def test_one_person_once_in_a_batch(store: Store, pair: Pair) -> None:
    """The second waits for the receipt of the first, whoever stands between them."""
    put(store, C)
    taken = claim(store, [pair[0], make_candidate(C), pair[1]])
    assert (matters(taken.batch), matters(taken.rest)) == ([1, 3], [2])


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Outcome.ACCEPTED, SKIPPED),
        (Outcome.DUPLICATE, SKIPPED),
        (Outcome.UNKNOWN, SKIPPED),
        (Outcome.REJECTED, SENDING),
        (Outcome.RETRY, SENDING),
        (Outcome.SUPPRESSED, SENDING),
    ],
)
def test_receipt_of_the_first_decides_the_second(
    store: Store, pair: Pair, outcome: Outcome, state: State
) -> None:
    """Accepted, or perhaps: the second is skipped. Rejected: it goes."""
    claim(store, pair[:1])
    waits = claim(store, pair[1:])
    assert (waits.batch, len(waits.rest)) == ([], 1)
    settle(store, outcome, 1)
    taken = claim(store, waits.rest)
    assert row(store, 2).state is state
    assert [c.reason for c in taken.refused] == [Reason.ASKED_RECENTLY] * (state is SKIPPED)


def test_released_request_was_none(store: Store, pair: Pair) -> None:
    """What never reached Broadly does not stand against another request."""
    claim(store, pair[:1])
    release(store, Reason.UNAVAILABLE)
    assert claim(store, pair[1:]).batch


def test_request_handed_over_at_the_second_attempt_counts(store: Store, pair: Pair) -> None:
    """Its person is known by that one; the first came to nothing."""
    claim(store, pair[:1], at=NOW - timedelta(hours=1))
    release(store, Reason.UNAVAILABLE)
    claim(store, pair[:1])
    settle(store, Outcome.ACCEPTED, 1)
    assert [c.reason for c in claim(store, pair[1:]).refused] == [Reason.ASKED_RECENTLY]


def test_window_is_judged_by_when_the_person_was_handed_over(store: Store, pair: Pair) -> None:
    """After the window, the person may be asked again."""
    claim(store, pair[:1], at=NOW - timedelta(days=181))
    settle(store, Outcome.ACCEPTED, 1)
    assert claim(store, pair[1:]).batch


def test_dry_window(store: Store, pair: Pair) -> None:
    """With the window off, one person is still at most once in a batch, and goes in the next."""
    off = make_policy(reask_days=0)

    def judge_without(closing: Closing, asked: Asked) -> Closing | None:
        return lifecycle.asked_before(closing, asked, off, NOW)

    first = claim(store, pair, judge=judge_without)
    assert (len(first.batch), len(first.rest)) == (1, 1)
    settle(store, Outcome.ACCEPTED, 1)
    assert len(claim(store, first.rest, judge=judge_without).batch) == 1


def test_marked_closing_does_not_stand_against_itself(store: Store) -> None:
    """Tried again, it is judged by the others only."""
    put(store, A)
    claim(store, [make_candidate(A)])
    settle(store, Outcome.UNKNOWN, 1, dedupes=True)
    assert row(store, 1).in_doubt
    assert claim(store, [make_candidate(row(store, 1))]).batch


def test_marked_closing_counts_for_whom_it_was_sent_to_first(store: Store) -> None:
    """The matter has another client by now: the first one may have been asked all the same."""
    put(store, A, B._replace(contact_id=101))
    claim(store, [make_candidate(A)])
    settle(store, Outcome.UNKNOWN, 1, dedupes=True)
    marked = row(store, 1)
    moved = marked._replace(contact_id=999)
    store.ledger.record([(marked, moved)], NOW)
    claim(store, [make_candidate(moved)])
    again = claim(store, [make_candidate(row(store, 2), email="new@example.com")])
    assert not again.batch


def test_address_of_an_earlier_claim_counts_for_nothing(store: Store) -> None:
    """Released, and handed over later under a new address: the old address was never asked."""
    put(store, A, B)
    claim(store, [make_candidate(A, email="old@example.com")], at=NOW - timedelta(hours=1))
    release(store)
    claim(store, [make_candidate(row(store, 1), email="new@example.com")])
    settle(store, Outcome.ACCEPTED, 1)
    assert claim(store, [make_candidate(B, email="old@example.com")]).batch


SAME_MATTER = {
    "sent": ({"state": SENT, "claimed_at": NOW - timedelta(days=29)}, False),
    "sent long ago, under a date close by": (
        {"state": SENT, "claimed_at": NOW - timedelta(days=99)},
        False,
    ),
    "held": ({"state": HELD, "in_doubt": True, "claimed_at": NOW}, False),
    "marked": ({"in_doubt": True, "claimed_at": NOW}, False),
    "dropped": ({"state": SKIPPED, "reason": Reason.DROPPED}, False),
    "dropped long after its claim": (
        {"state": SKIPPED, "reason": Reason.DROPPED, "claimed_at": NOW - timedelta(days=99)},
        False,
    ),
    "rejected": ({"state": DEAD, "claimed_at": NOW}, True),
    "skipped": ({"state": SKIPPED, "reason": Reason.OPTED_OUT}, True),
}


@pytest.mark.parametrize(("before", "goes"), SAME_MATTER.values(), ids=SAME_MATTER)
def test_corrected_date_is_no_new_closing(store: Store, before: dict[str, Any], goes: bool) -> None:
    """Within 30 days a matter is not handed over under another date, even with the window off
    and for another client."""
    put(store, make_closing(1, date(2026, 11, 2), contact_id=55, **before), A)
    off = make_policy(reask_days=0)
    taken = claim(
        store,
        [make_candidate(A)],
        judge=lambda c, asked: lifecycle.asked_before(c, asked, off, NOW),
    )
    assert bool(taken.batch) is goes


def test_same_matter_under_way_is_waited_for(store: Store) -> None:
    """Even where its client is another by now."""
    other = make_closing(1, date(2026, 11, 2), contact_id=55)
    put(store, other, A)
    claim(store, [make_candidate(other)])
    assert claim(store, [make_candidate(A)]).rest


# Released and recovered.


def test_release_gives_back_everything_under_way(store: Store) -> None:
    """And nothing else."""
    put(store, A, B)
    claim(store, [make_candidate(A)])
    released = release(store, Reason.UNAVAILABLE)
    assert [(c.key, c.state, c.reason) for c in released] == [(A.key, PENDING, Reason.UNAVAILABLE)]
    assert row(store, 2) == B._replace(number=2)


def test_release_leaves_alone_what_another_run_claimed(store: Store) -> None:
    """A dry run has it in its copy of the state: it is on its way, and was not given back."""
    put(store, A, B)
    claim(store, [make_candidate(A)])
    store.begin_run("sync", "beside", NOW)
    claim(store, [make_candidate(B)])
    released = release(store)
    assert [c.key for c in released] == [B.key]
    assert row(store, 1).state is State.SENDING


@pytest.mark.parametrize(("dedupes", "state"), [(True, PENDING), (False, HELD)])
def test_recover_after_a_kill(place: Place, dedupes: bool, state: State) -> None:
    """What a killed run left sending is of unknown outcome; a second recovery finds nothing."""
    with place.open() as killed:
        start(killed)
        put(killed, A, B)
        claim(killed, [make_candidate(A)])
    with place.open() as store:
        next_run(store)

        def recovered() -> list[Closing]:
            return recover(store, dedupes=dedupes)

        (left,) = recovered()
        assert (left.key, left.state, left.in_doubt) == (A.key, state, True)
        assert recovered() == []
        assert lined_up(store) == ([1, 2] if dedupes else [2])


def test_recovery_looks_at_what_is_in_doubt_only(store: Store) -> None:
    """At each once: rows found sending, and marked ones that wait."""
    marked = {"in_doubt": True, "claimed_at": NOW}
    put(
        store,
        make_closing(1, state=SENDING),
        make_closing(2, state=SENDING, **marked),
        make_closing(3, **marked),
        make_closing(4, state=HELD, **marked),
        make_closing(5, state=SENT, **marked),
        make_closing(6),
    )
    next_run(store)
    seen = []

    def look(closing: Closing) -> Closing:
        seen.append(closing.key.matter_id)
        return closing

    assert store.ledger.recover(look, NOW) == []
    assert sorted(seen) == [1, 2, 3]


def test_unknown_outcome_waits_for_another_run(store: Store) -> None:
    """Nothing that was tried in a run is due again in it; it is in the next."""
    put(store, A, B, C)
    claim(store, [make_candidate(A), make_candidate(B)])
    settle(store, Outcome.UNKNOWN, 1, dedupes=True)
    settle(store, Outcome.RETRY, 2)
    assert lined_up(store) == [3]
    assert (store.ledger.count_due(make_due()), store.ledger.count_pending(make_due())) == (1, 3)
    assert store.ledger.counts_of_surge(make_due(), NOW).unapproved == 1
    next_run(store)
    assert store.ledger.count_due(make_due()) == 3
    assert store.ledger.counts_of_surge(make_due(), NOW).unapproved == 3
    assert sorted(lined_up(store)) == [1, 2, 3]


# Due.

LATER = NOW + timedelta(hours=1)
DUE = {
    "noticed in time": (make_closing(), {}, True),
    "still settling": (make_closing(noticed_at=LATER), {}, False),
    "resent, whenever noticed": (make_closing(noticed_at=LATER, resent=True), {}, True),
    "of the other command": (make_closing(command=Command.BACKFILL), {}, False),
    "not pending": (make_closing(state=SENT), {}, False),
    "hidden, read long ago": (make_closing(reason=Reason.CONTACT_HIDDEN), {}, True),
    "hidden, read just now": (
        make_closing(reason=Reason.CONTACT_HIDDEN, read_at=LATER),
        {},
        False,
    ),
    "hidden, for a backfill": (
        make_closing(reason=Reason.CONTACT_HIDDEN, read_at=LATER),
        {"faults_until": None},
        True,
    ),
    "wants approval": (make_closing(approval=Approval.WANTED), {}, False),
    "approved": (make_closing(approval=Approval.GIVEN), {}, True),
    "unreadable, wants approval": (
        make_closing(reason=Reason.UNREADABLE_FIELD, approval=Approval.WANTED),
        {},
        True,
    ),
    "in the range": (make_closing(), {"first": CLOSED_ON, "last": CLOSED_ON}, True),
    "before the range": (make_closing(), {"first": CLOSED_ON + timedelta(days=1)}, False),
    "without a date, in any range": (
        make_closing(closed_on=None, reason=Reason.UNREADABLE_FIELD),
        {"first": CLOSED_ON, "last": CLOSED_ON},
        True,
    ),
    "no fault, read just now": (make_closing(read_at=LATER), {}, True),
    "after the range": (make_closing(), {"last": CLOSED_ON - timedelta(days=1)}, False),
}


@pytest.mark.parametrize(("closing", "due", "is_due"), DUE.values(), ids=DUE)
def test_due(store: Store, closing: Closing, due: dict[str, Any], is_due: bool) -> None:
    """What is due for a push, and what is not."""
    put(store, closing)
    next_run(store)
    assert lined_up(store, **due) == [77] * is_due


@pytest.mark.parametrize("reason", [None, Reason.UNAVAILABLE])
def test_what_never_reached_broadly_is_due_in_the_same_run(
    store: Store, reason: Reason | None
) -> None:
    """Given back, it was not tried."""
    put(store, A)
    claim(store, [make_candidate(A)])
    release(store, reason)
    assert lined_up(store) == [1]


def test_fault_found_in_a_run_is_not_looked_at_again_in_it(store: Store) -> None:
    """Not even by a backfill, which waits for no fault."""
    put(store, make_closing(reason=Reason.UNREADABLE_FIELD))
    assert lined_up(store, faults_until=None) == []


FIRMS = itertools.count(2)
"""Each example has a ledger of its own, and they share a file."""
noticings = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4)), min_size=1, max_size=30)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(noticings)
def test_order_of_sending(store: Store, noticed: list[tuple[int, int]]) -> None:
    """Clients in the order of their first closing, then by matter; a client's stand together, and
    those whose client is not known stand alone."""
    closings = [
        make_closing(
            number, contact_id=client or None, noticed_at=NOW - timedelta(minutes=9 - minute)
        )
        for number, (client, minute) in enumerate(noticed, start=1)
    ]
    own = firm(store, next(FIRMS))
    put(own, *reversed(closings))
    found = lined_up(own)

    def when(closing: Closing) -> tuple[datetime, int]:
        return closing.noticed_at, closing.key.matter_id

    def whose(closing: Closing) -> int:
        return closing.contact_id or -closing.key.matter_id

    first: dict[int, tuple[datetime, int]] = {}
    for closing in sorted(closings, key=when):
        first.setdefault(whose(closing), when(closing))
    expected = sorted(closings, key=lambda c: (first[whose(c)], when(c)))
    assert found == [closing.key.matter_id for closing in expected]


def test_lined_up_in_chunks(store: Store) -> None:
    """All of them are yielded once, though claims and skips go on meanwhile."""
    number = CHUNK + 10
    put(store, *(make_closing(n, contact_id=n) for n in range(1, number + 1)))
    store.ledger.line_up(make_due(), approved_only=False)
    seen = []
    for closing in store.ledger.lined_up():
        seen.append(closing.key.matter_id)
        if closing.key.matter_id % 100 == 50:
            claim(store, [make_candidate(closing)])
    assert seen == list(range(1, number + 1))


def test_lined_up_leaves_out_what_is_no_longer_pending(store: Store) -> None:
    """Settled since it was lined up: not yielded."""
    put(store, A, B)
    store.ledger.line_up(make_due(), approved_only=False)
    claim(store, [make_candidate(A)])
    assert [closing.key for closing in store.ledger.lined_up()] == [B.key]


def test_firms_do_not_see_each_other(store: Store) -> None:
    """The firm is part of every key and every condition."""
    other = firm(store)
    put(other, make_closing(1), make_closing(2, state=SENDING))
    assert lined_up(store) == []
    assert store.ledger.known([1]) == {}
    assert recover(store) == []
    assert (store.ledger.count_pending(make_due()), store.pins()) == (0, None)
    assert list(store.ledger.decided_in_run(Command.SYNC)) == []
    put(store, make_closing(1))
    assert lined_up(store) == [1]
    assert claim(store, [make_candidate(row(store, 1))]).batch


def test_what_another_firm_handed_over_counts_for_nothing(store: Store) -> None:
    """Not the same matter, nor the same person, nor at the same time."""
    other = firm(store)
    for each in (other, store):
        put(each, A)
        claim(each, [make_candidate(A)])
    settle(other, Outcome.ACCEPTED, 1)
    release(store)
    same_person, same_matter = B._replace(contact_id=101), A._replace(key=Key(1, NOW.date()))
    for closing in (same_person, same_matter):
        assert store.history.asked(make_candidate(closing)) == Asked()
        assert other.history.asked(make_candidate(closing)) != Asked()


def test_two_closings_of_one_matter_are_lined_up_once_each(store: Store) -> None:
    """By their close dates, where they were noticed at once."""
    late, early = make_closing(1, date(2026, 11, 9)), make_closing(1, date(2026, 11, 2))
    put(store, late, early)
    assert store.ledger.line_up(make_due(), approved_only=False) == 2
    assert [closing.key for closing in store.ledger.lined_up()] == [early.key, late.key]


# Surge.


def want(store: Store, due: Due | None = None) -> int:
    return store.ledger.set_approval(
        due or make_due(), Approval.WANTED, lifecycle.awaiting_approval, NOW
    )


def give(store: Store) -> int:
    return store.ledger.set_approval(
        make_due(), Approval.GIVEN, lambda c: lifecycle.approved(c, POLICY, NOW), NOW
    )


def test_unapproved_are_counted_without_faults(store: Store) -> None:
    """What waits as hidden or unreadable, or for later, does not count."""
    put(
        store,
        make_closing(1),
        make_closing(2, approval=Approval.WANTED),
        make_closing(3, approval=Approval.GIVEN),
        make_closing(4, reason=Reason.CONTACT_HIDDEN),
        make_closing(5, reason=Reason.UNREADABLE_FIELD),
        make_closing(6, noticed_at=LATER),
        make_closing(7, command=Command.BACKFILL),
    )
    next_run(store)
    assert store.ledger.counts_of_surge(make_due(), NOW) == (2, 1, 0)
    assert store.ledger.count_awaiting(make_due()) == 1


def test_handed_over_is_counted_within_the_window(store: Store) -> None:
    """Sent and held of sync, unapproved, claimed in the last 24 hours."""
    at = {"claimed_at": NOW}
    put(
        store,
        make_closing(1, state=SENT, **at),
        make_closing(2, state=HELD, in_doubt=True, **at),
        make_closing(3, state=SENT, approval=Approval.GIVEN, **at),
        make_closing(4, state=SENT, command=Command.BACKFILL, **at),
        make_closing(5, state=SENT, claimed_at=NOW - timedelta(hours=25)),
        make_closing(6, state=DEAD, **at),
        make_closing(7, **at),
        make_closing(8, state=SENT, claimed_at=NOW - timedelta(hours=24)),
        make_closing(9, state=SENT, claimed_at=NOW - timedelta(hours=23)),
    )
    since = NOW - timedelta(hours=24)
    assert store.ledger.counts_of_surge(make_due(), since).recent == 3


def test_surge_waits_until_a_person_approves(store: Store) -> None:
    """Wanted, nobody is lined up; given, all are; and what was approved is not asked about."""
    put(store, A, B)
    assert want(store) == 2
    next_run(store)
    assert lined_up(store) == []
    assert lined_up(store, approved_only=True) == []
    assert want(store) == 0
    assert give(store) == 2
    put(store, C)
    assert lined_up(store, approved_only=True) == [1, 2]
    assert want(store) == 1
    assert give(store) == 1
    assert lined_up(store, approved_only=True) == [1, 2, 3]


def test_surge_beyond_a_chunk(store: Store) -> None:
    """All of a surge is marked, however large."""
    number = 2 * CHUNK + 1
    put(store, *(make_closing(n, contact_id=n) for n in range(1, number + 1)))
    assert want(store) == number
    assert store.ledger.count_awaiting(make_due()) == number
    assert give(store) == number


def test_approval_meets_each_closing_once(store: Store) -> None:
    """Whatever becomes of it: a surge has an end."""
    number = CHUNK + 1
    put(store, *(make_closing(n) for n in range(1, number + 1)))
    met: set[Key] = set()

    def meet(closing: Closing) -> Closing:
        assert closing.key not in met
        met.add(closing.key)
        return closing

    assert store.ledger.set_approval(make_due(), Approval.WANTED, meet, NOW) == number
    assert len(met) == number


# Decided.


def decisions(store: Store) -> list[int]:
    return [closing.key.matter_id for closing in store.ledger.decided_in_run(Command.SYNC)]


def test_decided_in_the_order_of_deciding(store: Store) -> None:
    """One entry for each closing that the run touched, the last touch counts."""
    put(store, C, A, B)
    assert decisions(store) == [3, 1, 2]
    store.ledger.record([(row(store, 3), row(store, 3))], NOW)
    assert decisions(store) == [1, 2, 3]
    next_run(store)
    assert decisions(store) == []


def test_decided_ends_with_what_waits_for_approval(store: Store) -> None:
    """A surge of an earlier run is listed as it was noticed, after what this run decided."""
    late = A._replace(noticed_at=NOW - timedelta(minutes=1), approval=Approval.WANTED)
    put(store, C._replace(approval=Approval.WANTED), B._replace(approval=Approval.WANTED), late)
    next_run(store)
    put(store, make_closing(9))
    assert decisions(store) == [9, 1, 2, 3]


def test_decided_names_what_waits_for_approval_once(store: Store) -> None:
    """Where this run itself put it there; and not to the other command, which it is nothing to."""
    put(store, A, B)
    assert want(store) == 2
    assert decisions(store) == [1, 2]
    next_run(store)
    assert decisions(store) == [1, 2]
    assert list(store.ledger.decided_in_run(Command.BACKFILL)) == []


def test_decided_holds_what_was_found_in_doubt(store: Store) -> None:
    """Held by the recovery is a decision of the run; pending again is none yet."""
    put(store, make_closing(1, state=SENDING))
    next_run(store)
    recover(store, dedupes=True)
    assert decisions(store) == []
    recover(store)
    assert decisions(store) == [1]


def test_moments_are_whole_seconds(store: Store) -> None:
    """So that comparing in SQL is comparing in time."""
    put(store, make_closing(noticed_at=datetime(2026, 11, 20, 18, 0, 0, 999999, tzinfo=UTC)))
    assert row(store).noticed_at == NOW


# A run that was overtaken, because the lock did not lock.


@pytest.fixture
def overtaken(store: Store, place: Place) -> Store:
    """Return a store that has claimed a closing, while another run has begun since then."""
    store.pin(PINS, **START)
    put(store, A, B)
    claim(store, [make_candidate(A)])
    with place.open() as other:
        other.begin_run("sync", "overtakes", NOW)
    return store


WRITES: dict[str, Callable[[Store], object]] = {
    "record": lambda store: put(store, make_closing(9)),
    "claim": lambda store: claim(store, [make_candidate(B)]),
    "settle": lambda store: settle(store, Outcome.ACCEPTED, 1),
    "release": lambda store: release(store),
    "recover": lambda store: recover(store),
    "approve": lambda store: store.ledger.set_approval(
        make_due(), Approval.WANTED, lifecycle.awaiting_approval, NOW
    ),
    "drop": lambda store: store.outbox.change(Selection(), lifecycle.dropped, NOW),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_overtaken_run_writes_nothing_more(
    overtaken: Store, write: Callable[[Store], object]
) -> None:
    """What the other run makes of the ledger stands."""
    before = {c.key: c for several in overtaken.ledger.known(range(99)).values() for c in several}
    with pytest.raises(BusyError, match="Another run has begun"):
        write(overtaken)
    after = {c.key: c for several in overtaken.ledger.known(range(99)).values() for c in several}
    assert after == before


@ON_A_FILE
def test_receipt_waits_long_for_whoever_holds_the_database(store: Store) -> None:
    """It does not come a second time; nothing else waits so long."""
    put(store, A)
    claim(store, [make_candidate(A)])
    statements = connection_of(store).statements
    before = len(statements)
    settle(store, Outcome.ACCEPTED, 1)
    told = [sql for sql, _ in statements[before:]]
    patient = told.index("PRAGMA busy_timeout = 60000")
    assert "BEGIN IMMEDIATE" in told[patient:]
    assert told[-1] == "PRAGMA busy_timeout = 5000"


def test_closing_that_is_gone_is_not_passed_over(store: Store) -> None:
    """Whoever changes it must hear that nothing was changed, or a client is asked again."""
    gone = make_closing()._replace(number=9)
    with pytest.raises(StorageError, match="a closing is gone from it"):
        store.ledger.record([(gone, gone._replace(reason=Reason.SETTLING))], NOW)
