"""A run of `sync` or `backfill`: its exit code, and what it says to whom.

The words of the report are in `cli/report_words.py`; when cron's mail is to say them is decided in
`cli/alerts.py`.
"""

import gc
import logging
import math
import sys
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from clio_broadly_sync import pipeline
from clio_broadly_sync.cli import app, exports, logs, output, progress, report_words
from clio_broadly_sync.cli.alerts import SURGE, Alert, AlertThrottle, Trouble
from clio_broadly_sync.cli.hearers import Hearers
from clio_broadly_sync.cli.options import Options
from clio_broadly_sync.cli.output import OutputError, say
from clio_broadly_sync.domain.errors import (
    ATTENTION,
    BUG,
    OK,
    ConfigError,
    HungError,
    StoppedError,
    StorageError,
    SyncError,
    outcome_of,
)
from clio_broadly_sync.domain.exports import BATCH
from clio_broadly_sync.domain.model import Command, Pins, Profile
from clio_broadly_sync.pipeline import pins
from clio_broadly_sync.pipeline.context import RunContext
from clio_broadly_sync.pipeline.report import Report
from clio_broadly_sync.settings import Salvaged, Settings
from clio_broadly_sync.store import Store, lock, look_beside
from clio_broadly_sync.transport.clock import Clock

if TYPE_CHECKING:
    from clio_broadly_sync.cli.clients import Clients


log = logging.getLogger(__name__)

BACKFILL_PATIENCE_SECONDS = 3600.0
"""A backfill, whose time has no limit, begins no longer wait than this for Clio or Broadly."""
MAIL_LINES = 20
"""What cron sends by mail has at most so many lines."""


class Run:
    """One call of `sync` or `backfill`.

    It sends at most `limit` clients to Broadly, without a limit where that is None, or writes them
    into `file`. `close_dates` are the first and the last close date of a backfill, both included.
    Raise UsageError where the options do not fit together.
    """

    def __init__(
        self,
        command: Command,
        options: Options,
        *,
        dry_run: bool,
        as_json: bool,
        limit: int | None,
        file: Path | None = None,
        close_dates: tuple[date, date] = (date.min, date.max),
    ) -> None:
        exports.check_usage(file, as_json=as_json)
        self.command = command
        self.run_id = uuid.uuid4().hex
        self.dry_run = dry_run
        self.as_json = as_json
        self.report = Report()
        """What the run has counted so far."""
        self._options = options
        self._limit = limit
        self._file = exports.File(file)
        self._close_dates = close_dates
        self._stop = app.stop_on_signals()
        self._clock = Clock()
        self._seconds = math.inf
        """The run's time, in seconds from its start."""
        self._held: Path | None = None
        """The state that the run holds; None for a dry run, which holds none."""
        self._given = report_words.Given(command, dry_run=dry_run)
        self._clients: Clients | None = None
        """What speaks to both sides; None until the settings and the state are in order."""
        self._progress: progress.Progress = progress.Logged()
        self._is_real_sync = command is Command.SYNC and not dry_run
        asked = options.verbose or as_json or app.has_terminal()
        self._attended = asked or not self._is_real_sync
        """Whether a person or another program called the run, and not cron."""
        self._throttle = AlertThrottle(None, always=True)
        self._hearers = Hearers(None, options)
        self._said: Sequence[str] = ()
        """What there was to say of the run, printed or not; the monitor gets it."""
        self._hangs = False
        """Whether another run holds the state and seems to hang."""

    def ask(self, question: str) -> bool:
        """Ask a question on the terminal, and return whether the answer is yes.

        No answer is a no. A signal raises StoppedError at once.
        """
        self._progress.finish()
        with suppress(click.Abort), output.patience(self._stop):
            return output.agreed(question)
        return False

    def carry_out(self, walk: Callable[[RunContext], None]) -> NoReturn:
        """Do what `walk` does, say what came of it, and exit with the code of what happened.

        A bug is raised where it has to be shown, and UsageError where the settings do not fit the
        options.
        """
        try:
            code = self._run(walk)
        except click.UsageError:
            raise
        except Exception as bug:
            code = StorageError.exit_code if isinstance(bug, OutputError) else BUG
            if self._has_to_show(bug, code):
                raise
            sys.exit(code)
        self._hearers.ended(code, self._said, hangs=self._hangs)
        sys.exit(code)

    def _run(self, walk: Callable[[RunContext], None]) -> int:
        try:
            settings = self._settings()
            exports.check_settings(self._file.name, settings)
            self._hearers.started()
            if self.dry_run:
                look_beside(settings.sync_state)
            with app.opened(settings, writes=not self.dry_run) as store:
                return self._walk(settings, store, walk)
        except SyncError as error:
            code = self._code(error)
            self._tell(code, error)
            return code

    def _settings(self) -> Settings:
        """Read the settings, and set up whom to tell and how.

        Even settings that are not in order may say where that is to be reported.
        """
        try:
            settings = app.settings_of(self._options, attended=self._attended)
        except ConfigError:
            self._tell_by(app.salvaged(self._options))
            raise
        self._tell_by(settings)
        drawn = sys.stderr.isatty() and not self._options.verbose and settings.log_format == "text"
        label = "Deciding" if self.dry_run else "Sending"
        to_file, opt_in = settings.broadly_profile is Profile.CSV, settings.sync_opt_in_field
        self._given = self._given._replace(to_file=to_file, opt_in=opt_in)
        self._progress = progress.of_a_run(label, drawn=drawn)
        return settings

    def _tell_by(self, known: Settings | Salvaged) -> None:
        if self._is_real_sync:
            alert_log = app.alert_log_of(known.sync_state) if known.sync_state else None
            self._throttle = AlertThrottle(alert_log, always=self._attended)
            self._hearers = Hearers(known, self._options)

    def _walk(self, settings: Settings, store: Store, walk: Callable[[RunContext], None]) -> int:
        """Do the run on the open state and say what came of it; return the exit code.

        A StorageError is raised, and the end of the run is then not recorded.
        """
        self.report.watermark_from = self.report.watermark_to = store.watermark
        gc.freeze()  # what has been loaded by now stays, so looking through it would be in vain
        gc.enable()
        context = self._context(settings, store)
        store.begin_run(self.command, self.run_id, app.our_clock())
        failure: SyncError | None = None
        try:
            walk(context)
            self._stop.check()
        except StorageError:
            raise
        except SyncError as error:
            failure = error
        self.report.waiting = store.ledger.count_pending(pipeline.due(context))
        self.report.surge_says = report_words.surge_of(context)
        self.report.files = self._file.made
        self.report.kept_back_says = report_words.kept_back_of(context)
        code = self._code(failure)
        sentence = None if failure is None else " ".join(str(failure).splitlines())
        store.finish_run(code, app.our_clock(), sentence)
        self._hearers.look(settings, store)
        self._tell(code, failure, context)
        return code

    def _code(self, error: SyncError | None) -> int:
        """Return the exit code of what ended the run.

        Where a signal has come meanwhile, its code counts, and not that of the error.
        """
        if error is None:
            return ATTENTION if self.report.attention else OK
        try:
            self._stop.check()
        except StoppedError as stopped:
            return stopped.exit_code
        return error.exit_code

    def _context(self, settings: Settings, store: Store) -> RunContext:
        named, profile = self._file.name is not None, settings.broadly_profile
        into_file = named or (self.dry_run and profile is Profile.CSV)
        if self.command is Command.SYNC and not into_file:
            self._seconds = settings.sync_run_minutes * 60
        self._clients = app.connect(
            settings, self._stop, self._patience, self._waiting, clock=self._clock
        )
        self._held = None if self.dry_run else settings.sync_state
        source = self._clients.source(store.time_zone)
        return RunContext(
            source=source,
            sink=self._clients.sink(
                dry_run=self.dry_run, file=self._file.target(store, self._stop) if named else None
            ),
            store=store,
            policy=app.policy(settings, self.command, store),
            definitions=pins.Fields(source, app.wanted(settings)),
            token=self._clients.tokens.access_token,
            given_zone=settings.clio_time_zone,
            overlap=timedelta(minutes=settings.sync_overlap_minutes),
            batch_size=BATCH if into_file else settings.clients_at_once,
            read_at_once=settings.read_at_once,
            limit=self._limit,
            close_dates=self._close_dates,
            seconds_left=self._seconds_left,
            wait=self._wait,
            our_clock=app.our_clock,
            progress=self._progress,
            report=self.report,
            into_file=into_file,
            check_file=self._file.check_place,
            asks=self._agrees_to_surge,
            looks=not self.dry_run,
            another_at_work=store.at_work is not None,
            check_beginning=lambda begun: self._check_beginning(settings, begun),
        )

    def _check_beginning(self, settings: Settings, begun: Pins) -> None:
        """Raise ConfigError where this may be a second ledger of one firm, unless a person says
        that it is to be one."""
        other = app.another_state(self._options, settings)
        if other is None or not app.may_be_same(other, begun):
            return
        lies = f"Beside the settings file lies a state already, {other}"
        if not self.dry_run and sys.stdin is not None and sys.stdin.isatty():
            if self.ask(f"{lies}. Begin another one, which does not know who was asked?"):
                return
            self._stop.check()
        raise ConfigError(
            f"{lies}: set SYNC_STATE to it, or move it away if it is none of this firm, because a "
            "second one does not know who was asked."
        )

    def _agrees_to_surge(self, closings: int) -> bool:
        """Ask whether so many may go into a file that a person has named on a terminal."""
        asks = self._file.name is not None and not self.dry_run
        if not asks or sys.stdin is None or not sys.stdin.isatty():
            return False
        return self.ask(
            f"{output.count(closings, 'client')} would go at once: more than the limit of a day "
            "(SYNC_MAX_NEW), or after a long silence. Write them into the file?"
        )

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
        if self._held is not None:  # a backfill waits for hours in all, and does not hang
            lock.touch(self._held)
        self._progress.waiting(what, seconds)

    def _wait(self, seconds: float) -> None:
        """Sleep so many seconds because Broadly asked for it, and show that."""
        self._waiting("Broadly", seconds)
        if self._clients is not None:
            self._clients.broadly.wait(seconds)

    def _tell(self, code: int, error: SyncError | None, context: RunContext | None = None) -> None:
        """Say what went wrong, then what there is to do, and then what was done."""
        self._progress.finish()
        errors = report_words.error_lines(error, self.command)
        results = report_words.results(self.report, code, self._given)
        self._said = [*errors, *results]
        alert = self._hear(code, error)
        if alert.outage_since is not None:
            errors.insert(0, report_words.outage(alert.outage_since))
        if not self._attended:
            errors = report_words.cut(errors, MAIL_LINES - len(results))
        for line in errors:
            (logs.error if alert.aloud else log.info)(line)
        self._print(code, context, results, aloud=alert.aloud)

    def _hear(self, code: int, error: SyncError | None) -> Alert:
        """Decide whether what there is to say is printed.

        Off a terminal, a run that went well is at most worth log lines, but for the very first one
        and a dry run.
        """
        troubles = [SURGE] if self.report.surge else []
        if error is not None:
            self._hangs = isinstance(error, HungError)
            troubles.append(Trouble(code, str(error), hangs=self._hangs))
        success = code in (OK, ATTENTION)
        alert = self._throttle.hear(troubles, app.our_clock(), success=success)
        if code == OK:
            has_reader = (sys.stderr if self._file.is_stdout else sys.stdout).isatty()
            left = self.command is Command.BACKFILL and self.report.kept_back is not None
            told = self.dry_run or self.report.first_run or left
            return Alert(told or self.report.news or has_reader)
        return alert._replace(aloud=alert.aloud or self.report.news)

    def _has_to_show(self, bug: Exception, code: int) -> bool:
        """Tell the monitor of a bug, and return whether the bug is to be shown.

        That is decided as it is for any other trouble.
        """
        self._progress.finish()
        self._said = output.bug_lines(bug)
        trouble = Trouble(code, "\n".join(self._said))
        self._hearers.ended(code, self._said)
        return self._throttle.hear([trouble], app.our_clock(), success=False).aloud

    def _print(
        self, code: int, context: RunContext | None, results: Sequence[str], *, aloud: bool
    ) -> None:
        """Print the results on stdout, as one JSON object or as lines for a person.

        Where stdout gets the file, they go to stderr.

        Lines that are not to be printed (`aloud`) go to the log. The decisions are part of it in a
        dry run and with `-v`.
        """
        decided = pipeline.decided(context) if context and self._wants_decisions() else None
        if self.as_json:
            for line in report_words.beside(self.report):
                log.warning(line)
            counters = self._counters(code)
            if decided is not None:
                counters["decisions"] = map(report_words.entry, decided)
            output.print_json(counters.items())
        else:
            tell = partial(say, err=self._file.is_stdout) if aloud else log.info
            has_table = code in (OK, ATTENTION) and not self.report.first_run
            for line in (
                report_words.table(decided, self._given.opt_in) if decided and has_table else ()
            ):
                tell(line)
            for line in results:
                tell(line)

    def _counters(self, code: int) -> dict[str, Any]:
        clients, report = self._clients, self.report
        walked = {"from": report.watermark_from, "to": report.watermark_to}
        return {
            "run_id": self.run_id,
            "command": self.command,
            "dry_run": self.dry_run,
            "outcome": outcome_of(code),
            "watermark": walked if self.command is Command.SYNC else None,
            **report_words.as_object(report, dry_run=self.dry_run),
            **({} if self._file.name is None else {"files": report.files}),
            "requests": {
                "clio": clients.clio.requests if clients else 0,
                "broadly": clients.broadly.requests if clients else 0,
                "bytes": clients.clio.bytes + clients.broadly.bytes if clients else 0,
                "waited": round(clients.clio.waited + clients.broadly.waited, 3)
                if clients
                else 0.0,
            },
            "seconds": round(self._clock(), 3),
        }

    def _wants_decisions(self) -> bool:
        return self.dry_run or self._options.verbose
