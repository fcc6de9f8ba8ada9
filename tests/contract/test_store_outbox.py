"""The outbox in the state: chosen, listed, changed all or none; the figures of a surge."""

import tracemalloc
from datetime import date, timedelta

import pytest
from factories import CLOSED_ON, NOW, make_candidate, make_closing, make_due, start
from ledgers import claim, firm, hand_over, next_run, put, recover, row, rows

from clio_broadly_sync.domain import lifecycle
from clio_broadly_sync.domain.model import Approval, Asked, Closing, Command, Key, Outcome
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.store import Place, Selection, Store, SurgeFigures
from clio_broadly_sync.store.queue import CHUNK

PENDING, HELD, DEAD = State.PENDING, State.HELD, State.DEAD
LATER = NOW + timedelta(hours=1)
SURGE = {"approval": Approval.WANTED, "reason": Reason.SURGE}


def chosen(store: Store, selection: Selection) -> list[int]:
    return [listed.closing.key.matter_id for listed in store.outbox.listed(selection)]


# Chosen.

ROWS = (
    make_closing(1, reason=Reason.SURGE),
    make_closing(2, state=HELD, in_doubt=True, reason=Reason.OPTED_OUT, claimed_in_run=3, batch=1),
    make_closing(3, state=DEAD, command=Command.BACKFILL, claimed_in_run=3, batch=2),
    make_closing(4, command=Command.BACKFILL, in_doubt=True, reason=Reason.UNKNOWN_OUTCOME),
    make_closing(5, state=State.SENT, in_doubt=True, claimed_in_run=3, batch=1),
    make_closing(6, state=State.SKIPPED, reason=Reason.OPTED_OUT),
    make_closing(7, state=State.SENDING),
)


@pytest.mark.parametrize(
    ("selection", "found"),
    [
        (Selection(), [1, 2, 3, 4]),
        (Selection(states=frozenset({PENDING})), [1, 4]),
        (Selection(states=frozenset({HELD})), [2]),
        (Selection(states=frozenset({DEAD, HELD})), [2, 3]),
        (Selection(states=frozenset()), []),
        (Selection(matters=(1, 3, 5, 99)), [1, 3]),
        (Selection(reason=Reason.OPTED_OUT), [2]),
        (Selection(batch=(3, 1)), [2]),
        (Selection(batch=(1, 3)), []),
        (Selection(command=Command.BACKFILL), [3, 4]),
        (Selection(command=Command.BACKFILL, states=frozenset({PENDING})), [4]),
    ],
)
def test_chosen(store: Store, selection: Selection, found: list[int]) -> None:
    """What is listed, counted and changed is the same; nothing but the outbox can be chosen."""
    put(store, *ROWS)
    assert chosen(store, selection) == found
    assert store.outbox.count(selection).total() == len(found)
    next_run(store)
    assert store.outbox.change(selection, lifecycle.dropped, NOW) == len(found)
    assert [key.matter_id for key in store.outbox.changed()] == found
    others = [made for made in ROWS if made.key.matter_id not in found]
    assert [closing._replace(number=0) for closing in rows(store, *others)] == others


def test_counted_by_state(store: Store) -> None:
    """Each of the three; what is under way is counted apart."""
    put(store, *ROWS)
    assert store.outbox.count(Selection()) == {PENDING: 2, HELD: 1, DEAD: 1}
    assert store.outbox.count_sending() == 1


def test_listed_as_it_was_noticed(store: Store) -> None:
    """A waiting one since it was noticed; what was rejected since then, with Broadly's code."""
    put(store, make_closing(9, noticed_at=NOW - timedelta(days=2)), make_closing(8))
    hand_over(store, make_closing(8), Outcome.REJECTED, "bad_email", LATER)
    waits, dead = store.outbox.listed(Selection())
    assert (waits.closing, waits.since, waits.code) == (
        row(store, 9),
        NOW - timedelta(days=2),
        None,
    )
    assert (dead.closing, dead.since, dead.code) == (row(store, 8), LATER, "bad_email")
    assert (dead.closing.claimed_in_run, dead.closing.batch) == (1, 1)


def test_listed_by_matter_and_date_where_noticed_at_once(store: Store) -> None:
    """The order is the same whatever was written first."""
    days = [date(2026, 11, 9), date(2026, 11, 2)]
    put(store, make_closing(2), *(make_closing(1, day) for day in days))
    found = [listed.closing.key for listed in store.outbox.listed(Selection())]
    assert found == [Key(1, days[1]), Key(1, days[0]), make_closing(2).key]


def test_listed_with_the_last_answer_of_several(place: Place) -> None:
    """Of the last run, which counts its changes from the beginning."""
    with place.open() as store:
        start(store)
        put(store, *(make_closing(number) for number in range(1, 9)))
        hand_over(store, make_closing(8), Outcome.REJECTED, "bad_email")
    with place.open() as store:
        next_run(store)
        store.outbox.change(Selection(matters=(8,)), lifecycle.resent, LATER)
        hand_over(store, make_closing(8), Outcome.REJECTED, "bad_phone", LATER)
        (dead,) = store.outbox.listed(Selection(states=frozenset({DEAD})))
    assert (dead.code, dead.since) == ("bad_phone", LATER)


def test_listing_left_half_way(place: Place) -> None:
    """It ends without a word, before the state is closed and after it; the state goes on."""
    with place.open() as store:
        start(store)
        put(store, make_closing(1), make_closing(2))
        for _ in range(2):
            listed = store.outbox.listed(Selection())
            next(listed)
            listed.close()
        listed = store.outbox.listed(Selection())
        next(listed)
    listed.close()
    with place.open() as store:
        assert chosen(store, Selection()) == [1, 2]


# Changed.


def test_changed_in_the_order_of_changing(store: Store) -> None:
    """By matter, whatever was noticed first."""
    put(store, *(make_closing(number) for number in (3, 1, 2)))
    next_run(store)
    store.outbox.change(Selection(), lifecycle.dropped, NOW)
    assert [key.matter_id for key in store.outbox.changed()] == [1, 2, 3]


def test_change_of_many_is_all_or_none(store: Store) -> None:
    """More than a chunk: each is changed once; where one fails, all are left."""
    number = 2 * CHUNK + 1
    put(store, *(make_closing(n) for n in range(1, number + 1)))

    def fail_late(closing: Closing) -> Closing:
        if closing.key.matter_id == number:
            raise RuntimeError
        return lifecycle.dropped(closing)

    next_run(store)
    with pytest.raises(RuntimeError):
        store.outbox.change(Selection(), fail_late, NOW)
    assert store.outbox.count(Selection()) == {PENDING: number}
    assert store.outbox.change(Selection(), lifecycle.dropped, NOW) == number
    assert store.outbox.count(Selection()) == {}
    assert len({key.matter_id for key in store.outbox.changed()}) == number


@pytest.mark.parametrize(("dedupes", "left"), [(False, HELD), (True, PENDING)])
def test_change_is_noted_beside_the_recovery_of_the_same_run(
    store: Store, dedupes: bool, left: State
) -> None:
    """Recovered and then dropped: two changes of one run, and only the second was asked for."""
    put(store, make_closing(1, state=State.SENDING), make_closing(2, state=State.SENDING))
    next_run(store)
    recover(store, dedupes=dedupes)
    assert store.outbox.change(Selection(matters=(1,)), lifecycle.dropped, NOW) == 1
    assert [key.matter_id for key in store.outbox.changed()] == [1]
    assert row(store, 2).state is left
    steps = store.history.of_matter(1)[0].steps
    recovered = [(step.run, step.state) for step in steps if step.run == 2]
    assert recovered == [(2, left), (2, State.SKIPPED)]


def test_listing_holds_a_chunk_in_memory(store: Store) -> None:
    """Not the whole outbox, however large it is."""
    put(store, *(make_closing(n, state=DEAD) for n in range(1, 10 * CHUNK)))
    tracemalloc.start()
    number = sum(1 for _ in store.outbox.listed(Selection()))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert number == 10 * CHUNK - 1
    assert peak < 1_000_000


# What a dropped row protects.


def asked(store: Store, closing: Closing) -> Asked:
    """Return what the ledger knows of earlier hand-overs, seen from this closing."""
    return store.history.asked(make_candidate(closing))


def hold(store: Store, *, days_ago: int) -> None:
    """Let matter 1 be claimed then, and be held."""
    put(store, make_closing(1))
    claim(store, [make_candidate(make_closing(1))], at=NOW - timedelta(days=days_ago))
    recover(store)


def test_dropped_held_row_counts_as_asked_when_it_was_handed_over(store: Store) -> None:
    """For the person since then; for its matter since it was dropped, for another it does not."""
    hold(store, days_ago=40)
    store.outbox.change(Selection(), lifecycle.dropped, NOW)
    then = NOW - timedelta(days=40)
    assert asked(store, make_closing(2)) == Asked(person_at=then, matter_at=None)
    assert asked(store, make_closing(3, contact_id=1300)) == Asked()
    moved = asked(store, make_closing(1, date(2026, 11, 19), contact_id=1300))
    assert moved == Asked(matter_at=NOW, matter_dates=frozenset({CLOSED_ON}))


def test_dropped_pending_row_protects_its_matter(store: Store) -> None:
    """It asked nobody, so the person may be asked for another matter."""
    put(store, make_closing(1))
    store.outbox.change(Selection(), lifecycle.dropped, NOW)
    assert asked(store, make_closing(2)) == Asked()
    assert asked(store, make_closing(1, date(2026, 11, 19))) == Asked(
        matter_at=NOW, matter_dates=frozenset({CLOSED_ON})
    )


# A surge in figures.


def test_crowd(store: Store) -> None:
    """Only what is due and waits for approval; close dates, and the densest ten minutes."""
    minutes = (0, 30, 31, 33, 40, 41, 90)
    put(
        store,
        *(
            make_closing(n, date(2026, 11, n), updated_at=NOW + timedelta(minutes=minute), **SURGE)
            for n, minute in enumerate(minutes, 1)
        ),
        make_closing(20, date(2026, 1, 1)),
        make_closing(21, date(2026, 1, 1), noticed_at=NOW + timedelta(hours=1), **SURGE),
        make_closing(22, date(2026, 1, 1), command=Command.BACKFILL, **SURGE),
        make_closing(23, date(2026, 1, 1), state=DEAD, approval=Approval.WANTED),
        make_closing(24, date(2026, 1, 1), approval=Approval.WANTED, reason=Reason.CONTACT_HIDDEN),
    )
    next_run(store)
    crowd = store.outbox.surge_figures(make_due())
    assert (crowd.waiting, crowd.oldest, crowd.newest) == (7, date(2026, 11, 1), date(2026, 11, 7))
    assert crowd.together == 4
    assert crowd.first_edit == NOW + timedelta(minutes=30)
    assert crowd.last_edit == NOW + timedelta(minutes=40)


def test_crowd_with_a_closing_without_a_date(store: Store) -> None:
    """It is counted, and is neither the oldest nor the newest."""
    put(store, make_closing(1, None, **SURGE), make_closing(2, **SURGE))
    crowd = store.outbox.surge_figures(make_due())
    assert (crowd.waiting, crowd.oldest, crowd.newest) == (2, CLOSED_ON, CLOSED_ON)


def test_firms_do_not_see_each_other(store: Store) -> None:
    """Whatever is listed, counted or changed is one firm's."""
    other = firm(store)
    put(other, make_closing(1, updated_at=NOW, **SURGE), make_closing(2, state=State.SENDING))
    assert chosen(store, Selection()) == []
    assert (store.outbox.count(Selection()).total(), store.outbox.count_sending()) == (0, 0)
    assert store.outbox.surge_figures(make_due()) == SurgeFigures(0)
    assert store.outbox.change(Selection(), lifecycle.dropped, NOW) == 0
    assert list(store.outbox.changed()) == []
    assert other.outbox.surge_figures(make_due()).waiting == 1


def test_crowd_after_a_silence(store: Store) -> None:
    """Noticed by a stale run, as opposed to those that became too many."""
    put(store, make_closing(1, **SURGE), make_closing(2), make_closing(3))
    store.ledger.set_approval(make_due(), Approval.WANTED, lifecycle.awaiting_approval, NOW)
    crowd = store.outbox.surge_figures(make_due())
    assert (crowd.waiting, crowd.after_silence) == (3, 1)


def test_crowd_without_times(store: Store) -> None:
    """Rows of an older version do not say when their matters were edited; none, nothing."""
    put(store, make_closing(1, **SURGE))
    crowd = store.outbox.surge_figures(make_due())
    assert (crowd.waiting, crowd.together, crowd.first_edit) == (1, 0, None)
    store.outbox.change(Selection(), lifecycle.dropped, NOW)
    assert store.outbox.surge_figures(make_due()).waiting == 0


def test_closing_of_an_older_version_has_no_batch(store: Store) -> None:
    """Claimed before batches were noted, it is in none, and is found by the rest."""
    put(store, make_closing(1, state=DEAD, claimed_in_run=4))
    assert chosen(store, Selection(batch=(4, 0))) == []
    assert row(store, 1).key == Key(1, make_closing().key.closed_on)
