"""How the runs of `sync` went, day by day: whoever reads a report then knows what it is worth."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, tzinfo
from itertools import groupby
from typing import Final

from clio_broadly_sync.domain.errors import is_failure
from clio_broadly_sync.report.calendar import DAY, day_of, days_of, each_day
from clio_broadly_sync.report.figures import CAUSES, Day, DayState, Failure, Period
from clio_broadly_sync.store import Store
from clio_broadly_sync.store.overview import PastRun

CUT_SHORT: Final = "The run was cut short."
"""What is told of a run that did not come to its end, and left no sentence."""


def by_day(
    store: Store, period: Period, zone: tzinfo | None, now: datetime, *, at_work: int | None
) -> Iterator[Day]:
    """Yield each day of a period, with the runs that began on it.

    `at_work` is the number of the run that goes on; None where none does.
    """
    is_silent = _silence(store, zone, now)
    found = store.periods.syncs(days_of(period, zone))
    grouped = groupby(found, key=lambda run: day_of(run.started_at, zone))
    following = next(grouped, None)
    for on in each_day(period):
        if following is not None and following[0] == on:
            yield _day(on, following[1], at_work)
            following = next(grouped, None)
        else:
            yield Day(on, DayState.SILENT if is_silent(on) else DayState.NOT_YET, 0, 0)


def _silence(store: Store, zone: tzinfo | None, now: datetime) -> Callable[[date], bool]:
    """Return what tells whether a day without a run was silent.

    None is before the first run; and today is only once the last run is a day ago.
    """
    first, last = store.first_run, store.overview.last_sync()
    if first is None or last is None:
        return lambda on: False
    begins, today = day_of(first, zone), day_of(now, zone)
    is_long_ago = now - last.started_at > DAY
    return lambda on: begins <= on and (on < today or is_long_ago)


def _day(on: date, runs: Iterable[PastRun], at_work: int | None) -> Day:
    number, failed, last = 0, Counter[str](), dict[str, datetime]()
    for run in runs:
        number += 1
        if run.run != at_work and (why := failure(run)) is not None:
            failed[why] += 1
            last[why] = run.started_at
    failures = [Failure(why, times, last[why]) for why, times in failed.most_common(CAUSES)]
    state = DayState.FAILED if failed else DayState.RAN
    return Day(on, state, number, failed.total(), failures)


def failure(run: PastRun) -> str | None:
    """Return why a run failed; None where it did not."""
    if run.exit_code is None:
        return CUT_SHORT
    if not is_failure(run.exit_code):
        return None
    return run.failure or f"It ended with exit code {run.exit_code}."
