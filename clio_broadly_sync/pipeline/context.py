"""What one run works with: Clio and Broadly, the state, the settings that count, its limits."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta, tzinfo
from typing import NamedTuple

from clio_broadly_sync.domain import rules
from clio_broadly_sync.domain.lifecycle import Moment
from clio_broadly_sync.domain.model import Closing, FieldIds, Pins, Policy
from clio_broadly_sync.pipeline.pins import Fields, zone_named
from clio_broadly_sync.pipeline.ports import Progress, Sink, Source
from clio_broadly_sync.pipeline.report import Report
from clio_broadly_sync.store import Store


class Lot(NamedTuple):
    """Closings that would be sent together, about which a person is asked."""

    closings: int
    """How many there are."""
    clients: int
    """How many clients they have."""
    in_order: Iterator[Closing]
    """The closings themselves, as the ledger has them at this moment."""


class RunContext(NamedTuple):
    """What one run works with, from its beginning to its end."""

    source: Source
    sink: Sink
    store: Store
    policy: Policy
    definitions: Fields
    """The definitions of the checkboxes, as this run reads them."""
    token: Callable[[], str]
    """It returns the access token, which may have to be renewed first; it may raise SyncError."""
    given_zone: tzinfo | None
    """The firm's zone as the settings name it; None where they leave that to Clio."""
    overlap: timedelta
    """A walk begins so long before the watermark."""
    batch_size: int
    """A batch has at most so many closings."""
    read_at_once: int
    """At most so many matters or contacts are read at once, so that all of them can go in time."""
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
    matter_id: int | None = None
    """The matter that a person named to be sent by itself; None where none was named."""
    check_beginning: Callable[[Pins], None] = lambda pins: None
    """It is called with what a state is to be pinned to, before it is; it may raise ConfigError."""
    into_file: bool = False
    """Whether the push goes into a file that a person named, or would, in a dry run."""
    check_file: Callable[[], None] = lambda: None
    """It is called before anything is read; it may raise ExportError where no such file can be."""
    asks: Callable[[Lot], bool] = lambda lot: False
    """It is called where there is a surge; it asks a person, and returns whether they may go."""
    looks: bool = True
    """Whether the run does the daily look where it is due; a dry run does not."""
    another_at_work: bool = False
    """Whether another run was at work when the state was copied for this one, a dry run."""

    @property
    def run(self) -> int:
        """The run's number in the state."""
        return self.store.ledger.run

    @property
    def zone(self) -> tzinfo | None:
        """The firm's zone; None stands for this machine's."""
        return self.given_zone or zone_named(self.store.time_zone)

    @property
    def fields(self) -> FieldIds:
        """The pinned ids of the checkboxes; None for all where nothing is pinned yet."""
        pinned = self.store.pins()
        return pinned.fields if pinned is not None else FieldIds(None, None)

    @property
    def doubts(self) -> rules.Doubts | None:
        """The pushes in a row that ended in doubt; None where the receiver dedupes.

        A file leaves nobody in doubt.
        """
        return None if self.policy.dedupes or self.into_file else self.store.doubts

    @property
    def limit_left(self) -> int | None:
        """How many more the run may send; None where there is no limit."""
        return None if self.limit is None else self.limit - self.report.to_send

    def is_kept_back(self) -> bool:
        """Tell whether nobody may be claimed at this moment; the report takes down why.

        It is asked at each claim, for the sending hours may begin and end in the middle of a run.
        """
        reason = rules.kept_back(self.policy, self.source.now(), self.zone)
        self.report.kept_back = None if self.into_file else reason
        return self.report.kept_back is not None

    def most_at_once(self) -> int:
        """Return how many may be claimed together at this moment."""
        if self.is_kept_back():
            return 0
        return rules.most_at_once(self.doubts, self.batch_size)

    def as_told(self, closing: Closing) -> Closing:
        """Return the closing with the reason with which it is told at this moment."""
        return rules.as_told(closing, self.policy, self.source.now(), self.zone)

    def at(self, *, stale: bool = False) -> Moment:
        """Return the moment for decisions on what was read last: when Clio was asked for it.

        With `stale`, what is noticed now waits for a person (`rules.is_stale`).
        """
        read_at = self.source.asked_at()
        return Moment(self.run, read_at, read_at.astimezone(self.zone).date(), stale, self.zone)

    def fresh_for(self, read_at: datetime) -> timedelta:
        """Return for how long what was read then may still be sent (`rules.fresh_for`)."""
        return rules.fresh_for(read_at, self.source.now(), self.source.unbroken_since())

    def fresh_since(self) -> datetime:
        """Return since when that which was read may still be sent (`rules.fresh_since`)."""
        return rules.fresh_since(self.source.now(), self.source.unbroken_since())

    def check_fields(self, age: timedelta) -> None:
        """Compare the checkboxes in Clio with the pins, unless that was done within this `age`.

        Raise ConfigError where they do not fit. Pin a checkbox that counts from now on.
        """
        known = self.store.pins()
        if known is None or not self.definitions.older_than(age):
            return
        found = self.definitions.read(known.fields)
        if found != known.fields:
            self.store.pin(known._replace(fields=found))

    def record_decisions(self, pairs: Sequence[tuple[Closing | None, Closing]]) -> None:
        """Write decisions down in the ledger, and count them in the report.

        Each is a closing as it was (None: new) and as it is to be.
        """
        self.store.ledger.record(pairs, self.source.now())
        for old, new in pairs:
            self.report.count_decision(old, new)
