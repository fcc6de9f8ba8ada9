"""A run on an open state, by its settings alone: it needs no terminal and no options.

What `sync` and `backfill` say, ask and print is in `cli/run.py`; a worker of a fleet does its runs
by this.
"""

import math
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from clio_broadly_sync.cli import app, exports, progress, report_words
from clio_broadly_sync.domain.errors import ATTENTION, OK, StoppedError, StorageError, SyncError
from clio_broadly_sync.domain.exports import BATCH
from clio_broadly_sync.domain.model import Command, Pins, Profile
from clio_broadly_sync.pipeline import pins
from clio_broadly_sync.pipeline.context import Lot, RunContext
from clio_broadly_sync.pipeline.report import Report
from clio_broadly_sync.settings import Settings
from clio_broadly_sync.store import Store
from clio_broadly_sync.transport.clock import Clock
from clio_broadly_sync.transport.signals import Stop

if TYPE_CHECKING:
    from clio_broadly_sync.cli.clients import Clients
    from clio_broadly_sync.clio.source import Clio

BACKFILL_PATIENCE_SECONDS: Final = 3600.0
"""A backfill, whose time has no limit, begins no longer wait than this for Clio or Broadly."""


@dataclass(frozen=True)
class Order:
    """What is asked of a run."""

    command: Command
    dry_run: bool = False
    limit: int | None = None
    """At most so many clients are sent; None: without a limit."""
    file: exports.File = field(default_factory=lambda: exports.File(None))
    """The file that the clients are written into."""
    close_dates: tuple[date, date] = (date.min, date.max)
    """The first and the last close date of a backfill, both included."""
    matter_id: int | None = None
    """The one matter that the run is for; None for any other run."""
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def name(self) -> str:
        """What the list of runs calls it."""
        return self.command if self.matter_id is None else "sync --matter"


def code_of(error: SyncError | None, report: Report, stop: Stop) -> int:
    """Return the exit code of what ended a run.

    Where a signal has come meanwhile, its code counts, and not that of the error.
    """
    if error is None:
        return ATTENTION if report.attention else OK
    try:
        stop.check()
    except StoppedError as stopped:
        return stopped.exit_code
    return error.exit_code


class Runner:
    """Does one run, whose `clock` counts its time, and counts in `report` what it does.

    Whoever wants to be asked sets `agrees_to_surge` and `check_beginning`.
    """

    def __init__(
        self,
        order: Order,
        settings: Settings,
        stop: Stop,
        *,
        clock: Clock,
        report: Report,
        shows: progress.Progress,
    ) -> None:
        self.clients: Clients | None = None
        """What speaks to both sides; None until the run begins."""
        self.clio: Clio | None = None
        """What reads in Clio; None until then, too."""
        self.agrees_to_surge: Callable[[RunContext, Lot], bool] = lambda context, lot: False
        self.check_beginning: Callable[[Pins], None] = lambda pins: None
        self._order = order
        self._settings = settings
        self._stop = stop
        self._clock = clock
        self._report = report
        self._shows = shows
        self._place = app.place_of(settings)
        self._into_file = self._goes_into_file()
        limited = order.command is Command.SYNC and not self._into_file
        self._seconds = settings.sync_run_minutes * 60 if limited else math.inf
        """The run's time, in seconds from its start; questions to a person prolong it."""

    def run(
        self, store: Store, walk: Callable[[RunContext], None]
    ) -> tuple[int, SyncError | None, RunContext]:
        """Do what `walk` does; return the exit code, the error that ended it, and what it had.

        A StorageError is raised, and the end of the run is then not recorded.
        """
        self._report.watermark_from = self._report.watermark_to = store.watermark
        context = self._context(store)
        store.begin_run(self._order.name, self._order.run_id, app.our_clock())
        failure: SyncError | None = None
        try:
            walk(context)
            self._stop.check()
        except StorageError:
            raise
        except SyncError as error:
            failure = error
        report_words.complete(context)
        self._report.files = self._order.file.made
        code = code_of(failure, self._report, self._stop)
        sentence = None if failure is None else " ".join(str(failure).splitlines())
        store.finish_run(code, app.our_clock(), sentence)
        return code, failure, context

    def close(self) -> None:
        """Close the connections to both sides."""
        if self.clients is not None:
            self.clients.close()

    def prolong(self, seconds: float) -> None:
        """Give the run so much more time, which a person took."""
        self._seconds += seconds

    def _goes_into_file(self) -> bool:
        is_csv = self._settings.broadly_profile is Profile.CSV
        return self._order.file.name is not None or (self._order.dry_run and is_csv)

    def _context(self, store: Store) -> RunContext:
        order, settings = self._order, self._settings
        self.clients = app.connect(
            settings, self._stop, self._patience, self._waiting, clock=self._clock
        )
        self.clio = self.clients.source(store.time_zone)
        target = None if order.file.name is None else order.file.target(store, self._stop)
        context = RunContext(
            source=self.clio,
            sink=self.clients.sink(dry_run=order.dry_run, file=target),
            store=store,
            policy=app.policy(settings, order.command, store),
            definitions=pins.Fields(self.clio, app.wanted(settings)),
            token=self.clients.tokens.access_token,
            given_zone=settings.clio_time_zone,
            overlap=timedelta(minutes=settings.sync_overlap_minutes),
            batch_size=BATCH if self._into_file else settings.clients_at_once,
            read_at_once=settings.read_at_once,
            limit=order.limit,
            close_dates=order.close_dates,
            matter_id=order.matter_id,
            seconds_left=self._seconds_left,
            wait=self._wait,
            our_clock=app.our_clock,
            progress=self._shows,
            report=self._report,
            into_file=self._into_file,
            check_file=order.file.check_place,
            asks=lambda lot: self.agrees_to_surge(context, lot),
            looks=not order.dry_run,
            another_at_work=store.at_work is not None,
            check_beginning=self._check_beginning,
        )
        return context

    def _check_beginning(self, begun: Pins) -> None:
        self.check_beginning(begun)
        self._place.begin(begun, only_looks=self._order.dry_run)

    def _seconds_left(self) -> float:
        """Return what is left of the run's time; none of a limited one, once time passed unseen.

        Then the machine was suspended, and the next run begins afresh.
        """
        left = self._seconds - self._clock()
        was_suspended = self._clock.jumped_at > 0
        return 0.0 if was_suspended and self._seconds < math.inf else left

    def _patience(self) -> float:
        return min(self._seconds_left(), BACKFILL_PATIENCE_SECONDS)

    def _waiting(self, what: str, seconds: float) -> None:
        if not self._order.dry_run:  # a backfill waits for hours in all, and does not hang
            self._place.touch()
        self._shows.waiting(what, seconds)

    def _wait(self, seconds: float) -> None:
        """Sleep so many seconds because Broadly asked for it, and show that."""
        self._waiting("Broadly", seconds)
        if self.clients is not None:
            self.clients.broadly.wait(seconds)
