"""What one run works with, and what it needs of the outside: two Protocols."""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo
from typing import Protocol

from clio_broadly_sync.domain.lifecycle import Moment
from clio_broadly_sync.domain.model import (
    Closing,
    Contact,
    FieldIds,
    Key,
    Matter,
    Page,
    Policy,
    Receipt,
    ReviewRequest,
)
from clio_broadly_sync.pipeline import pins
from clio_broadly_sync.pipeline.report import Report
from clio_broadly_sync.store import Store


class MatterSource(pins.Definitions, Protocol):
    """Where matters and contacts come from. Every method may raise SyncError."""

    def closed_since(self, since: datetime, fields: FieldIds) -> Iterator[Page]:
        """Yield the closed matters that were updated after `since`, page by page."""
        ...

    def closed_between(self, first: date, last: date, fields: FieldIds) -> Iterator[Page]:
        """Yield the matters closed from `first` to `last`, both included, page by page."""
        ...

    def matters(self, ids: Iterable[int], fields: FieldIds) -> dict[int, Matter]:
        """Return those of at most 100 matters that there are, in whatever status."""
        ...

    def contacts(self, ids: Iterable[int], fields: FieldIds) -> dict[int, Contact]:
        """Return those of at most 100 contacts that are not hidden."""
        ...

    def asked_at(self) -> datetime:
        """Return when the last request began, by the same clock as `now`."""
        ...


class ReviewSink(Protocol):
    """Where review requests go."""

    def send(
        self, batch: Sequence[ReviewRequest], seconds_left: Callable[[], float]
    ) -> Iterator[list[Receipt]]:
        """Hand over; yield receipts POST by POST. What has none when it raises was not taken.

        No POST begins once `seconds_left()` is not above zero.
        """
        ...

    def kept_back(self) -> Collection[Key]:
        """Return what was answered, but will be told only at the end of the push."""
        ...

    def finish(self) -> list[Receipt]:
        """Return the receipts that were kept back until the end of the push."""
        ...


class Progress(Protocol):
    """Told how far a run has come."""

    def read(self, matters: int) -> None: ...

    def sending(self, closings: int) -> None: ...

    def settled(self, closings: int) -> None: ...


@dataclass(slots=True)
class Job:
    """One run: its ends, its state, its limits.

    `zone` None is the machine's. `limit`: hand over at most so many. `close_dates`: a backfill's
    first and last. `seconds_left`: until the run's time is over. `wait`: a sleep that a signal
    ends. `our_clock`: this machine's, UTC. `judged`: candidates that were claimed or refused.
    `spare`: how many closings that are readable again may go before that is a surge.
    `busy_since`: since when Broadly has been too busy to take anybody. `token`: the access token,
    which may have to be renewed first.
    """

    source: MatterSource
    sink: ReviewSink
    store: Store
    policy: Policy
    wanted: pins.Wanted
    token: Callable[[], str]
    zone: tzinfo | None
    overlap: timedelta
    batch_size: int
    limit: int | None
    close_dates: tuple[date, date]
    seconds_left: Callable[[], float]
    wait: Callable[[float], None]
    our_clock: Callable[[], datetime]
    progress: Progress
    report: Report
    run: int = 0
    stale: bool = False
    judged: int = 0
    spare: float = math.inf
    busy_since: datetime | None = None
    definitions: pins.Fields = field(init=False)

    def __post_init__(self) -> None:
        self.definitions = pins.Fields(self.source, self.wanted)

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

    def record(self, pairs: Sequence[tuple[Closing | None, Closing]]) -> None:
        """Write decisions down and count them."""
        self.store.ledger.record(pairs, self.source.now())
        for old, new in pairs:
            self.report.decided(old, new)
