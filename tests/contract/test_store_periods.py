"""The days of a period, to the second: what the store counts, lists, and tells of runs."""

from datetime import date, timedelta

import pytest
from factories import NOW, make_closing
from ledgers import put

from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.store import Store
from clio_broadly_sync.store.periods import Days

SECOND = timedelta(seconds=1)
DAYS = Days(date(2026, 11, 18), date(2026, 11, 19), NOW - timedelta(days=2), NOW)
ENDS = [DAYS.begins - SECOND, DAYS.begins, DAYS.ends - SECOND, DAYS.ends]
"""The moments at both ends; the first and the last lie outside."""


def listed(store: Store) -> list[int]:
    return [told.closing.key.matter_id for told in store.periods.closings(DAYS)]


def counted(store: Store) -> int:
    return sum(alike.closings for alike in store.periods.counted(DAYS, NOW))


def test_close_dates_include_both_ends(store: Store) -> None:
    """Whenever it was noticed."""
    days = [DAYS.first + timedelta(days=number) for number in range(-1, 3)]
    put(store, *(make_closing(n, on, noticed_at=NOW) for n, on in enumerate(days)))
    assert (listed(store), counted(store)) == ([1, 2], 2)


def test_moments_include_the_first_one(store: Store) -> None:
    """Of what has no close date."""
    reason = Reason.NO_CLOSE_DATE
    of = enumerate(ENDS)
    put(store, *(make_closing(n, None, reason=reason, noticed_at=at) for n, at in of))
    assert (listed(store), counted(store)) == ([1, 2], 2)


def test_runs_that_began_in_these_days(store: Store) -> None:
    numbers = [store.begin_run("sync", "r", at) for at in ENDS]
    assert [run.run for run in store.periods.syncs(DAYS)] == numbers[1:3]


def test_closings_that_are_alike_are_counted_together(store: Store) -> None:
    """Those without a close date by the quarter of an hour in which they were noticed."""
    at = DAYS.begins
    same = [make_closing(n, None, noticed_at=at + n * timedelta(minutes=7)) for n in range(4)]
    put(store, *same, *(make_closing(n, DAYS.first) for n in range(10, 13)))
    found = {
        (alike.closed_on, alike.noticed_at): alike.closings
        for alike in store.periods.counted(DAYS, NOW)
    }
    later = at + timedelta(minutes=15)
    assert found == {(None, at): 3, (None, later): 1, (DAYS.first, None): 3}


@pytest.mark.parametrize(("seconds", "settling"), [(0, False), (1, True)])
def test_what_rests(store: Store, seconds: int, settling: bool) -> None:
    """What was noticed after the moment, waits for `sync`, and was not sent again by a person."""
    noticed = NOW + seconds * SECOND
    put(store, make_closing(1, DAYS.first, noticed_at=noticed))
    (alike,) = store.periods.counted(DAYS, NOW)
    assert alike.settling == settling
    put(store, make_closing(2, DAYS.first, noticed_at=noticed, resent=True))
    put(store, make_closing(3, DAYS.first, noticed_at=noticed, state=State.SENT))
    assert sum(a.closings for a in store.periods.counted(DAYS, NOW) if a.settling) == settling
