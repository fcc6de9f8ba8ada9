"""What one run works with: Clio and Broadly, the state, the settings that count, its limits."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo

from clio_broadly_sync.domain import rules
from clio_broadly_sync.domain.lifecycle import Moment
from clio_broadly_sync.domain.model import Closing, FieldIds, Pins, Policy
from clio_broadly_sync.pipeline.pins import Fields, Wanted
from clio_broadly_sync.pipeline.ports import Progress, Sink, Source
from clio_broadly_sync.pipeline.report import Report
from clio_broadly_sync.store import Store


@dataclass(slots=True)
class RunContext:
    """What one run works with from its beginning to its end, and what it has found out."""

    source: Source
    sink: Sink
    store: Store
    policy: Policy
    wanted: Wanted
    """What the settings name, to be compared with the pins."""
    token: Callable[[], str]
    """It returns the access token, which may have to be renewed first; it may raise SyncError."""
    zone: tzinfo | None
    """The firm's zone; None stands for this machine's."""
    overlap: timedelta
    """A walk begins so long before the watermark."""
    batch_size: int
    """A batch has at most so many closings."""
    limit: int | None
    """The run sends at most so many clients to Broadly; None where there is no limit."""
    close_dates: tuple[date, date]
    """The first and the last close date of a `backfill`, both included."""
    seconds_left: Callable[[], float]
    """It returns the seconds until the run's time is over."""
    wait: Callable[[float], None]
    """It sleeps for so many seconds, unless a signal ends the sleep."""
    our_clock: Callable[[], datetime]
    """It returns this machine's time in aware UTC."""
    progress: Progress
    report: Report
    check_beginning: Callable[[Pins], None] = lambda pins: None
    """It is called with what a state is to be pinned to, before it is; it may raise ConfigError."""
    another_at_work: bool = False
    """Whether another run was at work when the state was copied for this one, a dry run."""
    run: int = 0
    """The run's number in the state."""
    stale: bool = False
    """Whether the watermark was so old that all that is due now waits for a person."""
    progressed: int = 0
    """So many candidates were claimed or refused in the walk that is under way."""
    surge_allowance: float = math.inf
    """So many closings that have become readable may still go before that is a surge."""
    busy_since: datetime | None = None
    """Since when Broadly has been too busy to take anybody (aware UTC); None where it is not."""
    definitions: Fields = field(init=False)
    """The definitions of the checkboxes, as this run reads them."""

    def __post_init__(self) -> None:
        self.definitions = Fields(self.source, self.wanted)

    @property
    def fields(self) -> FieldIds:
        """The pinned ids of the two checkboxes; None for both where nothing is pinned yet."""
        pinned = self.store.pins()
        return pinned.fields if pinned is not None else FieldIds(None, None)

    @property
    def doubts(self) -> rules.Doubts | None:
        """The pushes in a row that ended in doubt; None where the receiver dedupes."""
        return None if self.policy.dedupes else self.store.doubts

    def at(self) -> Moment:
        """Return the moment for decisions on what was read last: when Clio was asked for it."""
        read_at = self.source.asked_at()
        return Moment(self.run, read_at, self.today(read_at), self.stale)

    def fresh_from(self) -> datetime:
        """Return since when a reading has to be, to be sent now (aware UTC)."""
        return rules.fresh_from(self.source.now(), self.source.unbroken_since())

    def fresh_for(self, read_at: datetime) -> timedelta:
        """Return for how long what was read then may still be sent (`rules.fresh_for`)."""
        return rules.fresh_for(read_at, self.source.now(), self.source.unbroken_since())

    def today(self, now: datetime) -> date:
        """Return the date in the firm's zone at the moment `now`."""
        return now.astimezone(self.zone).date()

    def record_decisions(self, pairs: Sequence[tuple[Closing | None, Closing]]) -> None:
        """Write decisions down in the ledger, and count them in the report.

        Each is a closing as it was (None: new) and as it is to be.
        """
        self.store.ledger.record(pairs, self.source.now())
        for old, new in pairs:
            self.report.count_decision(old, new)
