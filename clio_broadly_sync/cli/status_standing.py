"""How the state of a firm stands, counted for `status`. Only reads, and only the state."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Final

from clio_broadly_sync.cli import times
from clio_broadly_sync.domain.model import Command, SyncRule
from clio_broadly_sync.domain.reasons import FAULTS, Reason
from clio_broadly_sync.settings import Settings
from clio_broadly_sync.store import Store, at_work
from clio_broadly_sync.store.overview import Group, PastRun

RUNS: Final = 5
DAYS: Final = 14
SILENCE: Final = timedelta(hours=2)
"""After so long without a `sync`, cron does not seem to run it."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What `status` says, as of `now`. `runs`, `days`: the latest first. `at_work`: the last run,
    which has not come to its end, is under way."""

    now: datetime
    zone: tzinfo | None
    rule: SyncRule
    first_run: datetime | None
    start_day: date | None
    watermark: datetime | None
    last_sync: PastRun | None
    runs: list[PastRun]
    at_work: bool
    waiting: list[Group]
    sending: list[Group]
    held: list[Group]
    dead: list[Group]
    days: list[tuple[date, int]]

    @property
    def is_silent(self) -> bool:
        """Cron does not seem to run `sync`."""
        return self.last_sync is not None and self.now - self.last_sync.started_at > SILENCE

    @property
    def for_a_person(self) -> int:
        """How many closings go no further until a person has done something."""
        waiting = [group for group in self.waiting if self._needs_a_person(group)]
        return count([*self.held, *self.dead, *waiting])

    def _needs_a_person(self, group: Group) -> bool:
        """What a backfill left goes no further by itself; one that is at work may still take it."""
        backfills = self.at_work and self.runs[0].command == Command.BACKFILL
        left = group.command is Command.BACKFILL and not backfills
        return left or group.reason is Reason.SURGE or group.reason in FAULTS


def read(settings: Settings, store: Store, now: datetime) -> Standing:
    """Return how the state stands."""
    overview, known = store.overview, store.pins()
    zone = times.firm_zone(settings, store)
    last_runs = overview.last_runs(RUNS)
    unfinished = bool(last_runs) and last_runs[0].finished_at is None
    return Standing(
        now=now,
        zone=zone,
        rule=settings.sync_rule if known is None else known.rule,
        first_run=store.first_run,
        start_day=store.start_day,
        watermark=store.watermark,
        last_sync=overview.last_sync(),
        runs=last_runs,
        at_work=unfinished and at_work(settings.sync_state),
        waiting=overview.waiting(),
        sending=overview.sending(),
        held=overview.held(),
        dead=overview.dead(),
        days=by_day(store, now, zone),
    )


def count(groups: Iterable[Group]) -> int:
    return sum(group.closings for group in groups)


def by_day(store: Store, now: datetime, zone: tzinfo | None) -> list[tuple[date, int]]:
    """Count the hand-overs of the last days in the firm's zone, where a day may have 23 hours."""
    today = now.astimezone(zone).date()
    days = [today - timedelta(days=ago) for ago in range(DAYS - 1, -1, -1)]
    bounds = [_midnight(day, zone) for day in [*days, today + timedelta(days=1)]]
    return list(zip(days, store.overview.handed_over(bounds), strict=True))[::-1]


def _midnight(day: date, zone: tzinfo | None) -> datetime:
    """Return when the day begins; without a zone by this machine's."""
    begins = datetime(day.year, day.month, day.day, tzinfo=zone)
    return begins.astimezone(zone)
