"""Carry out a run: settings, state, context; then its exit code, and what it says and to whom."""

import gc
import logging
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NoReturn

import click

from clio_broadly_sync import pipeline
from clio_broadly_sync.cli import app, asking, bugs, logs, progress, surge_words
from clio_broadly_sync.cli import report_words as words
from clio_broadly_sync.cli.alerts import SURGE, Notebook, Teller, Telling, Trouble
from clio_broadly_sync.cli.options import Options
from clio_broadly_sync.cli.output import OutputError
from clio_broadly_sync.cli.terminal import say
from clio_broadly_sync.domain.errors import (
    ATTENTION,
    BUG,
    OK,
    ConfigError,
    StoppedError,
    StorageError,
    SyncError,
    outcome_of,
)
from clio_broadly_sync.domain.model import Command
from clio_broadly_sync.monitor import Monitor
from clio_broadly_sync.pipeline import pins
from clio_broadly_sync.pipeline.context import RunContext
from clio_broadly_sync.pipeline.report import Report
from clio_broadly_sync.settings import Settings
from clio_broadly_sync.store import Store

log = logging.getLogger(__name__)

BACKFILL_PATIENCE_SECONDS = 3600.0
MAIL_LINES = 20
"""So long may be what cron sends by mail."""


class Run:
    """One call of `sync` or `backfill`."""

    def __init__(
        self,
        command: Command,
        options: Options,
        *,
        dry_run: bool,
        as_json: bool,
        limit: int | None,
        close_dates: tuple[date, date] = (date.min, date.max),
    ) -> None:
        self.command = command
        self.run_id = uuid.uuid4().hex
        self.dry_run = dry_run
        self.as_json = as_json
        self.report = Report()
        self._options = options
        self._limit = limit
        self._close_dates = close_dates
        self._stop = app.stop_on_signals()
        self._started = time.monotonic()
        self._seconds = float("inf")
        self._ends: app.Ends | None = None
        self._progress: progress.Progress = progress.Logged()
        self._is_real_sync = command is Command.SYNC and not dry_run
        asked = options.verbose or as_json or _has_terminal()
        self._attended = asked or not self._is_real_sync
        self._teller = Teller(None, always=True)
        self._monitor = Monitor(None)
        self._said: Sequence[str] = ()

    def ask(self, question: str) -> bool:
        """Ask on the terminal; a signal ends the run there and then."""
        self._progress.finish()
        with suppress(click.Abort), asking.patience(self._stop):  # no answer is a no
            return click.confirm(question, err=True)
        return False

    def carry_out(self, walk: Callable[[RunContext], None]) -> NoReturn:
        """Run, say what came of it, and exit with the code of what happened."""
        try:
            code = self._run(walk)
        except Exception as bug:
            code = StorageError.exit_code if isinstance(bug, OutputError) else BUG
            if self._has_to_show(bug, code):
                raise
            sys.exit(code)
        self._monitor.ended(code, self._said)
        sys.exit(code)

    def _run(self, walk: Callable[[RunContext], None]) -> int:
        try:
            settings = self._settings()
            self._monitor.started()
            with app.opened(settings, writes=not self.dry_run) as store:
                return self._walk(settings, store, walk)
        except SyncError as error:
            code = self._code(error)
            self._tell(code, error)
            return code

    def _settings(self) -> Settings:
        """Read the settings; also those that are not in order may tell where to say so."""
        try:
            settings = app.settings_of(self._options)
        except ConfigError:
            salvaged = app.salvaged(self._options)
            self._tell_by(salvaged.sync_state, salvaged.ping_url)
            raise
        self._tell_by(settings.sync_state, settings.ping_url)
        drawn = sys.stderr.isatty() and not self._options.verbose and settings.log_format == "text"
        label = "Deciding" if self.dry_run else "Handing over"
        self._progress = progress.of_a_run(label, drawn=drawn)
        return settings

    def _tell_by(self, state: Path | None, ping_url: str | None) -> None:
        if self._is_real_sync:
            notebook = Notebook(Path(f"{state}.told")) if state is not None else None
            self._teller = Teller(notebook, always=self._attended)
            self._monitor = Monitor(ping_url)

    def _walk(self, settings: Settings, store: Store, walk: Callable[[RunContext], None]) -> int:
        self.report.watermark_from = self.report.watermark_to = store.watermark
        gc.freeze()  # what has been loaded by now stays
        gc.enable()
        context = self._context(settings, store)
        context.run = store.begin_run(self.command, self.run_id, app.now())
        failure: SyncError | None = None
        try:
            walk(context)
            self._stop.check()
        except StorageError:
            raise
        except SyncError as error:
            failure = error
        self.report.waiting = store.ledger.count_pending(pipeline.due(context))
        self.report.surge_says = surge_words.spoken(context)
        code = self._code(failure)
        store.finish_run(code, app.now())
        self._tell(code, failure, store)
        return code

    def _code(self, error: SyncError | None) -> int:
        """Return the exit code of what ended the run; a signal that came meanwhile has it."""
        if error is None:
            return ATTENTION if self.report.attention else OK
        try:
            self._stop.check()
        except StoppedError as stopped:
            return stopped.exit_code
        return error.exit_code

    def _context(self, settings: Settings, store: Store) -> RunContext:
        if self.command is Command.SYNC:
            self._seconds = settings.sync_run_minutes * 60
        self._ends = app.Ends(settings, self._stop, self._patience, self._progress.waiting)
        return RunContext(
            source=self._ends.source(),
            sink=self._ends.sink(dry_run=self.dry_run),
            store=store,
            policy=app.policy(settings, self.command, store),
            wanted=app.wanted(settings),
            token=self._ends.tokens.access_token,
            zone=settings.clio_time_zone or pins.zone_named(store.time_zone),
            overlap=timedelta(minutes=settings.sync_overlap_minutes),
            batch_size=settings.broadly_batch_size,
            limit=self._limit,
            close_dates=self._close_dates,
            seconds_left=self._seconds_left,
            wait=self._wait,
            our_clock=app.now,
            progress=self._progress,
            report=self.report,
        )

    def _seconds_left(self) -> float:
        return self._seconds - (time.monotonic() - self._started)

    def _patience(self) -> float:
        return min(self._seconds_left(), BACKFILL_PATIENCE_SECONDS)

    def _wait(self, seconds: float) -> None:
        """Wait for a Broadly that asked for it."""
        self._progress.waiting("Broadly", seconds)
        if self._ends is not None:
            self._ends.broadly.wait(seconds)

    def _tell(self, code: int, error: SyncError | None, store: Store | None = None) -> None:
        """Say what went wrong, then what there is to do, then what was done."""
        self._progress.finish()
        errors = str(error).splitlines() if error is not None else []
        results = words.results(self.report, code, self.command, dry_run=self.dry_run)
        self._said = [*errors, *results]
        telling = self._hear(code, error)
        if telling.outage_since is not None:
            errors.insert(0, words.outage(telling.outage_since))
        if not self._attended:
            errors = words.cut(errors, MAIL_LINES - len(results))
        for line in errors:
            (logs.error if telling.aloud else log.info)(line)
        self._print(code, store, results, aloud=telling.aloud)

    def _hear(self, code: int, error: SyncError | None) -> Telling:
        """Decide whether it is said; off a terminal, what went well is at most worth log lines."""
        troubles = [SURGE] if self.report.surge else []
        if error is not None:
            troubles.append(Trouble(code, str(error)))
        success = code in (OK, ATTENTION)
        telling = self._teller.hear(troubles, app.now(), success=success)
        if code == OK:
            return Telling(self.dry_run or self.report.first_run or sys.stdout.isatty())
        return replace(telling, aloud=telling.aloud or self.report.news)

    def _has_to_show(self, bug: Exception, code: int) -> bool:
        """Tell the monitor of a bug; return whether it is to be shown, as any trouble is."""
        self._progress.finish()
        self._said = bugs.lines(bug)
        trouble = Trouble(code, "\n".join(self._said))
        self._monitor.ended(code, self._said)
        return self._teller.hear([trouble], app.now(), success=False).aloud

    def _print(
        self, code: int, store: Store | None, results: Sequence[str], *, aloud: bool
    ) -> None:
        """Print the results on stdout, as one object or for a person."""
        decided = store.ledger.decided(self.command) if store and self._wants_decisions() else None
        if self.as_json:
            for piece in words.as_json(self._counters(code), decided):
                sys.stdout.write(piece)
        else:
            tell = say if aloud else log.info
            has_table = code in (OK, ATTENTION) and not self.report.first_run
            for line in words.table(decided) if decided and has_table else ():
                tell(line)
            for line in results:
                tell(line)
        sys.stdout.flush()

    def _counters(self, code: int) -> dict[str, Any]:
        ends = self._ends
        return {
            "run_id": self.run_id,
            "command": str(self.command),
            "dry_run": self.dry_run,
            "outcome": outcome_of(code),
            "watermark": words.watermark(self.report) if self.command is Command.SYNC else None,
            **words.as_object(self.report, dry_run=self.dry_run),
            "requests": {
                "clio": ends.clio.requests if ends else 0,
                "broadly": ends.broadly.requests if ends else 0,
                "bytes": ends.clio.bytes + ends.broadly.bytes if ends else 0,
                "waited": round(ends.clio.waited + ends.broadly.waited, 3) if ends else 0.0,
            },
            "seconds": round(time.monotonic() - self._started, 3),
        }

    def _wants_decisions(self) -> bool:
        return self.dry_run or self._options.verbose


def _has_terminal() -> bool:
    """Tell whether a person looks on: cron has no terminal at any end."""
    return any(end is not None and end.isatty() for end in (sys.stdin, sys.stdout, sys.stderr))
