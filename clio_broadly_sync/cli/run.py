"""Carry out a run: its state, its job, and then what it says and its exit code."""

import json
import logging
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date, timedelta
from typing import NoReturn

import click

from clio_broadly_sync import pins, pipeline
from clio_broadly_sync.cli import wiring, words
from clio_broadly_sync.cli.options import Options
from clio_broadly_sync.cli.progress import Quiet, Terminal
from clio_broadly_sync.config import Config
from clio_broadly_sync.errors import StoppedError, StorageError, SyncError
from clio_broadly_sync.job import Job
from clio_broadly_sync.model import Command
from clio_broadly_sync.report import Report
from clio_broadly_sync.store import Store
from clio_broadly_sync.transport import Stop

log = logging.getLogger(__name__)

BACKFILL_PATIENCE_SECONDS = 3600.0


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
        self._stop = Stop()
        self._started = time.monotonic()
        self._seconds = float("inf")
        self._ends: wiring.Ends | None = None
        on_terminal = command is Command.BACKFILL and sys.stderr.isatty()
        self._progress = Terminal() if on_terminal else Quiet()

    def ask(self, question: str) -> bool:
        """Ask on the terminal; a signal ends the run there and then."""
        self._progress.finish()
        with self._stop.at_once(), suppress(click.Abort):  # the end of the input is a no
            return click.confirm(question, err=True)
        return False

    def carry_out(self, walk: Callable[[Job], None]) -> NoReturn:
        """Run, report, and exit with the code of what happened."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop.ask)
        try:
            settings = wiring.load_settings(self._options)
            with wiring.opened(settings, writes=not self.dry_run) as store:
                code = self._walk(settings, store, walk)
        except SyncError as error:
            code = wiring.fail(error)
            self._print(code, None)
        sys.exit(code)

    def _walk(self, settings: Config, store: Store, walk: Callable[[Job], None]) -> int:
        self.report.watermark_from = self.report.watermark_to = store.watermark
        job = self._job(settings, store)
        job.run = store.begin_run(self.command, self.run_id, wiring.now())
        try:
            walk(job)
            self._stop.check()
            code = words.ATTENTION if self.report.attention else words.OK
        except StorageError:
            raise
        except SyncError as error:
            code = self._fail(error)
        self._progress.finish()
        self.report.waiting = store.ledger.count_pending(pipeline.due(job))
        store.finish_run(code, wiring.now())
        self._print(code, store)
        return code

    def _fail(self, error: SyncError) -> int:
        """Say what ended the run; a signal that came meanwhile has the exit code."""
        self._progress.finish()
        code = wiring.fail(error)
        try:
            self._stop.check()
        except StoppedError as stopped:
            code = words.exit_code(stopped)
        return code

    def _job(self, settings: Config, store: Store) -> Job:
        if self.command is Command.SYNC:
            self._seconds = settings.sync_run_minutes * 60
        self._ends = wiring.Ends(settings, self._stop, self._patience)
        return Job(
            source=self._ends.source(),
            sink=self._ends.sink(dry_run=self.dry_run),
            store=store,
            policy=wiring.policy(settings, self.command, store),
            wanted=wiring.wanted(settings),
            token=self._ends.tokens.access_token(),
            zone=settings.clio_time_zone or pins.zone_named(store.time_zone),
            overlap=timedelta(minutes=settings.sync_overlap_minutes),
            batch_size=settings.broadly_batch_size,
            limit=self._limit,
            close_dates=self._close_dates,
            seconds_left=self._seconds_left,
            wait=self._stop.sleep,
            our_clock=wiring.now,
            progress=self._progress,
            report=self.report,
        )

    def _seconds_left(self) -> float:
        return self._seconds - (time.monotonic() - self._started)

    def _patience(self) -> float:
        return min(self._seconds_left(), BACKFILL_PATIENCE_SECONDS)

    def _print(self, code: int, store: Store | None) -> None:
        if self.as_json:
            for piece in self._json(code, store):
                sys.stdout.write(piece)
            sys.stdout.write("\n")
        elif store is not None:
            self._say(code, store)
        sys.stdout.flush()

    def _json(self, code: int, store: Store | None) -> Iterator[str]:
        """Yield the object in pieces: the decisions may be many."""
        ends = self._ends
        counters = {
            "run_id": self.run_id,
            "command": str(self.command),
            "dry_run": self.dry_run,
            "outcome": words.outcome(code),
            "watermark": words.watermark(self.report) if self.command is Command.SYNC else None,
            **words.as_object(self.report, dry_run=self.dry_run),
            "requests": {
                "clio": ends.clio.requests if ends else 0,
                "broadly": ends.broadly.requests if ends else 0,
            },
            "seconds": round(time.monotonic() - self._started, 3),
        }
        if store is None or not self._wants_decisions():
            yield json.dumps(counters)
            return
        yield json.dumps(counters).removesuffix("}") + ', "decisions": ['
        for number, closing in enumerate(store.ledger.decided(self.command)):
            yield (", " if number else "") + json.dumps(words.entry(closing))
        yield "]}"

    def _say(self, code: int, store: Store) -> None:
        """Print for a person; off a terminal, what went well is at most worth log lines."""
        calm = code == words.OK and not (self.dry_run or self.report.first_run)
        if code not in (words.OK, words.ATTENTION):
            for line in words.needs(self.report):
                click.echo(line)
            return
        say = log.info if calm and not sys.stdout.isatty() else click.echo
        if self._wants_decisions() and not self.report.first_run:
            for line in words.table(store.ledger.decided(self.command)):
                say(line)
        for line in words.lines(self.report, dry_run=self.dry_run):
            say(line)

    def _wants_decisions(self) -> bool:
        return self.dry_run or self._options.verbose
