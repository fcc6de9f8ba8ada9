"""What one run works with: both ends, the state, the settings that count, and its limits."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo

from clio_broadly_sync.domain.lifecycle import Moment
from clio_broadly_sync.domain.model import Closing, FieldIds, Policy
from clio_broadly_sync.pipeline.pins import Fields, Wanted
from clio_broadly_sync.pipeline.ports import Progress, Sink, Source
from clio_broadly_sync.pipeline.report import Report
from clio_broadly_sync.store import Store


@dataclass(slots=True)
class RunContext:
    """One run, from its beginning to its end."""

    source: Source
    sink: Sink
    store: Store
    policy: Policy
    wanted: Wanted
    token: Callable[[], str]
    """Returns the access token, which may have to be renewed first."""
    zone: tzinfo | None
    """The firm's; None is this machine's."""
    overlap: timedelta
    batch_size: int
    limit: int | None
    """At most so many clients are sent to Broadly."""
    close_dates: tuple[date, date]
    """The first and the last of a backfill."""
    seconds_left: Callable[[], float]
    """Until the run's time is over."""
    wait: Callable[[float], None]
    """A sleep that a signal ends."""
    our_clock: Callable[[], datetime]
    """This machine's, in aware UTC."""
    progress: Progress
    report: Report
    run: int = 0
    """The run's number in the state."""
    stale: bool = False
    """The watermark was so old that all that is due now waits for a person."""
    progressed: int = 0
    """So many candidates were claimed or refused in the walk that is under way."""
    surge_allowance: float = math.inf
    """So many closings that have become readable may go before that is a surge."""
    busy_since: datetime | None = None
    """Since then Broadly has been too busy to take anybody."""
    definitions: Fields = field(init=False)

    def __post_init__(self) -> None:
        self.definitions = Fields(self.source, self.wanted)

    @property
    def fields(self) -> FieldIds:
        """The pinned ids of the two checkboxes."""
        pinned = self.store.pins()
        return pinned.fields if pinned is not None else FieldIds(None, None)

    def at(self) -> Moment:
        """Return the moment of what was read last."""
        read_at = self.source.asked_at()
        return Moment(self.run, read_at, self.today(read_at), self.stale)

    def today(self, now: datetime) -> date:
        """Return the firm's date at that moment."""
        return now.astimezone(self.zone).date()

    def record_decisions(self, pairs: Sequence[tuple[Closing | None, Closing]]) -> None:
        """Write decisions down and count them."""
        self.store.ledger.record(pairs, self.source.now())
        for old, new in pairs:
            self.report.count_decision(old, new)
