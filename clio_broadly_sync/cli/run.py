"""A run of `sync` or `backfill`: its exit code, and what it says to whom.

The words of the report are in `cli/report_words.py`; when cron's mail is to say them is decided in
`cli/alerts.py`.
"""

import gc
import logging
import sys
from collections.abc import Callable, Sequence
from datetime import date
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from clio_broadly_sync import pipeline
from clio_broadly_sync.cli import app, exports, logs, output, progress, report_words
from clio_broadly_sync.cli.alerts import SURGE, Alert, AlertThrottle, Trouble
from clio_broadly_sync.cli.hearers import Hearers
from clio_broadly_sync.cli.options import Options
from clio_broadly_sync.cli.output import OutputError, say
from clio_broadly_sync.cli.runner import Order, Runner, code_of
from clio_broadly_sync.domain.errors import (
    ATTENTION,
    BUG,
    OK,
    ConfigError,
    HungError,
    StorageError,
    SyncError,
    outcome_of,
)
from clio_broadly_sync.domain.model import Command, Pins, Profile
from clio_broadly_sync.pipeline.context import Lot, RunContext
from clio_broadly_sync.pipeline.report import Report
from clio_broadly_sync.settings import Salvaged, Settings
from clio_broadly_sync.store import Store
from clio_broadly_sync.transport.clock import Clock

if TYPE_CHECKING:
    from clio_broadly_sync.cli.questions import Questions
    from clio_broadly_sync.clio.source import Clio


log = logging.getLogger(__name__)

MAIL_LINES = 20
"""What cron sends by mail has at most so many lines."""


class Run:
    """One call of `sync` or `backfill`.

    It sends at most `limit` clients to Broadly, without a limit where that is None, or writes them
    into `file`. `close_dates` are the first and the last close date of a backfill, both included.
    With `names`, a dry run shows names. Raise UsageError where the options do not fit together.
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
        matter_id: int | None = None,
        names: bool = False,
    ) -> None:
        exports.check_usage(file, as_json=as_json)
        self.command = command
        self.dry_run = dry_run
        self.as_json = as_json
        self.limit = limit
        self._file = exports.File(file)
        self._order = Order(command, dry_run, limit, self._file, close_dates, matter_id)
        self.report = Report()
        """What the run has counted so far."""
        self._options = options
        self._names = names
        self._stop = app.stop_on_signals()
        self._clock = Clock()
        self._runner: Runner | None = None
        """What does the run; None until the settings are in order."""
        self._given = report_words.Given(command, dry_run=dry_run)
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

    def ended(self, settings: Settings, context: RunContext, error: SyncError | None) -> None:
        """Take in that the run has ended, by this error where there was one."""

    def results(self, code: int) -> list[str]:
        """Return the lines that say what there is to do, and then what was done."""
        return report_words.results(self.report, code, self._given)

    @cached_property
    def questions(self) -> "Questions":
        """What asks on the terminal; the time until an answer is none of the run's."""
        from clio_broadly_sync.cli.questions import Questions

        return Questions(
            self._stop,
            self._clock,
            begins=lambda: self._progress.finish(),
            ends=self._prolong,
            clio=None if self.as_json else self._clio,
            into_file=self._file.name is not None,
        )

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
            if not self.dry_run:
                app.check_active(settings)
            self._hearers.started()
            if self.dry_run:
                app.place_of(settings).look_beside()
            with app.opened(settings, writes=not self.dry_run) as store:
                return self._walk(settings, store, walk)
        except SyncError as error:
            code = code_of(error, self.report, self._stop)
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
            place = app.place_of(known)
            alert_log = None if place is None else app.alert_log_of(place)
            self._throttle = AlertThrottle(alert_log, always=self._attended)
            self._hearers = Hearers(known, self._options)

    def _walk(self, settings: Settings, store: Store, walk: Callable[[RunContext], None]) -> int:
        """Do the run on the open state and say what came of it; return the exit code.

        A StorageError is raised, and the end of the run is then not recorded.
        """

        def collecting(context: RunContext) -> None:
            gc.freeze()  # what has been loaded by now stays, so looking through it would be in vain
            gc.enable()
            walk(context)

        code, failure, context = self._runner_for(settings).run(store, collecting)
        self._hearers.look(settings, store)
        self.ended(settings, context, failure)
        self._tell(code, failure, context)
        return code

    def _runner_for(self, settings: Settings) -> Runner:
        self._runner = runner = Runner(
            self._order,
            settings,
            self._stop,
            clock=self._clock,
            report=self.report,
            shows=self._progress,
        )
        runner.check_beginning = partial(self._check_beginning, settings)
        runner.agrees_to_surge = self._agrees_to_surge
        return runner

    def _check_beginning(self, settings: Settings, begun: Pins) -> None:
        from clio_broadly_sync.cli.second_state import check_beginning

        agree = None if self.dry_run else lambda question: self.questions.ask(question)
        check_beginning(self._options, settings, agree, begun)

    @property
    def _clio(self) -> "Clio | None":
        return None if self._runner is None else self._runner.clio

    def _agrees_to_surge(self, context: RunContext, lot: Lot) -> bool:
        """Ask on a terminal whether so many may go."""
        if self.dry_run or self.as_json or not app.can_ask():
            return False
        figures = context.store.outbox.surge_figures(pipeline.due(context))
        most, zone = context.policy.max_new, context.zone
        return self.questions.of_surge(lot, context.limit_left, figures, most, zone)

    def _prolong(self, seconds: float) -> None:
        if self._runner is not None:
            self._runner.prolong(seconds)

    def _tell(self, code: int, error: SyncError | None, context: RunContext | None = None) -> None:
        """Say what went wrong, then what there is to do, and then what was done."""
        self._progress.finish()
        errors = report_words.error_lines(error, self.command)
        results = self.results(code)
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

        Where stdout gets the file, they go to stderr. Lines that are not to be printed (`aloud`) go
        to the log. The decisions are part of it in a dry run and with `-v`.
        """
        wanted = context is not None and (self.dry_run or self._options.verbose)
        decided = pipeline.decided(context) if context and wanted else None
        if self.as_json:
            for line in report_words.beside(self.report):
                log.warning(line)
            counters = self.counters(code)
            if decided is not None:
                counters["decisions"] = map(report_words.entry, decided)
            output.print_json(counters.items())
        else:
            tell = partial(say, err=self._file.is_stdout) if aloud else log.info
            has_table = code in (OK, ATTENTION) and not self.report.first_run
            if decided and has_table:
                from clio_broadly_sync.cli import names

                clio = self._clio if self._names else None
                for line in names.table(decided, clio, self._given.opt_in):
                    tell(line)
            for line in results:
                tell(line)

    def counters(self, code: int) -> dict[str, Any]:
        """Return what `--json` prints, but for the decisions."""
        report = self.report
        clients = None if self._runner is None else self._runner.clients
        walked = {"from": report.watermark_from, "to": report.watermark_to}
        return {
            "run_id": self._order.run_id,
            "command": self.command,
            "dry_run": self.dry_run,
            "outcome": outcome_of(code),
            "watermark": walked if self.command is Command.SYNC else None,
            **report_words.as_object(report, dry_run=self.dry_run),
            **({} if self._file.name is None else {"files": report.files}),
            "requests": app.used(clients),
            "seconds": round(self._clock(), 3),
        }
