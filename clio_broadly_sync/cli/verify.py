"""`verify`: whether the state is sound, what slipped through, what would go now. It only reads.

The checks of the state are in `store/integrity.py`.
"""

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import click

from clio_broadly_sync.cli import app, findings, output, progress
from clio_broadly_sync.cli.findings import Finding, Level
from clio_broadly_sync.cli.missed_closings import (
    Count,
    MissedClosing,
    Scan,
    WouldGo,
    object_of,
    sentence_of,
    sentence_of_skipped,
)
from clio_broadly_sync.cli.options import Options, json_option, of_a_firm
from clio_broadly_sync.domain import daily_look
from clio_broadly_sync.domain.daily_look import Part
from clio_broadly_sync.domain.errors import (
    ATTENTION,
    BUG,
    OK,
    ConfigError,
    DeniedError,
    StorageError,
    UnavailableError,
)
from clio_broadly_sync.domain.model import (
    FieldIds,
    Pins,
)
from clio_broadly_sync.monitor import Monitor
from clio_broadly_sync.pipeline import pins
from clio_broadly_sync.pipeline.ports import Source
from clio_broadly_sync.settings import Settings
from clio_broadly_sync.store import Store
from clio_broadly_sync.store.integrity import Flaw
from clio_broadly_sync.transport.signals import Stop

if TYPE_CHECKING:
    from clio_broadly_sync.cli.clients import Clients

PATIENCE_SECONDS: Final = 60.0
"""At most so many seconds are spent on one wait for Clio."""
_STATE, _CLIO, _SKIPPED = "state", "Clio", "skipped"


@click.command()
@click.option(
    "--against-clio",
    "days",
    type=click.IntRange(1, 3650),
    metavar="DAYS",
    help="Read what closed or was edited in the last DAYS days from Clio once more; name what was "
    "never noticed, and what was left out and would go now.",
)
@json_option
@of_a_firm
def verify(options: Options, days: int | None, as_json: bool) -> None:
    """Look whether the state is whole, private and free of contradictions. Nothing is changed.

    Ends with 74 where the state is damaged, and with 65 where a closing slipped through, or would
    go now and no daily look has come to its end for days. With --against-clio, the monitor of
    PING_URL_VERIFY is told.

    Example: clio-broadly-sync verify --against-clio 14
    """
    look = _Verification(options, days)
    with look.monitored():
        app.carry_out(look.find, look.text, look.object_of, as_json=as_json)


class _Verification:
    """One call of `verify`, which asks Clio only where `days` says how far back."""

    def __init__(self, options: Options, days: int | None) -> None:
        self.count: Count | None = None
        """What was counted in Clio; None until the walk through it has begun."""
        self._options = options
        self._days = days
        self._opt_in = ""
        """The name of the matter's checkbox; empty until the settings are read."""
        self._monitor = Monitor(None)
        self._said: list[str] = []
        """What failed; the monitor gets it."""

    @contextmanager
    def monitored(self) -> Iterator[None]:
        """Tell the monitor with which exit code ends what is inside."""
        try:
            yield
        except SystemExit as end:
            self._monitor.ended(int(end.code or OK), self._said)
            raise
        except Exception as bug:
            code = StorageError.exit_code if isinstance(bug, output.OutputError) else BUG
            self._monitor.ended(code, output.bug_lines(bug))
            raise

    def find(self, call: app.Call) -> Iterator[Finding | MissedClosing | WouldGo]:
        """Yield what is wrong with the state, or that nothing is; then what slipped through.

        Raise SyncError where the settings cannot be used, and at a signal.
        """
        return findings.judged(map(self._heard, self._find(call.stop)), call)

    def _heard(self, what: Finding | MissedClosing | WouldGo) -> Finding | MissedClosing | WouldGo:
        if isinstance(what, Finding) and what.level is Level.FAILED:
            self._said.append(what.says)
        return what

    def _settings(self) -> Settings:
        """Read the settings, of which even some that are not in order may name the monitor."""
        try:
            settings = app.settings_of(self._options)
        except ConfigError as error:
            self._said += str(error).splitlines()
            self._monitor = self._monitor_of(app.salvaged(self._options).ping_url_verify)
            raise
        self._monitor = self._monitor_of(settings.ping_url_verify)
        self._monitor.started()
        return settings

    def _monitor_of(self, url: str | None) -> Monitor:
        """Return the monitor of the weekly look at Clio, which a look at the state alone is not."""
        return Monitor(url if self._days is not None else None)

    def text(self, what: Finding | MissedClosing | WouldGo) -> str:
        """Return what a person reads of one thing that was found."""
        if isinstance(what, WouldGo):
            what = findings.warning(_SKIPPED, sentence_of_skipped(what, self._opt_in))
        if isinstance(what, MissedClosing):
            says = sentence_of(what, self._opt_in)
            what = findings.failed("slipped through", says, ATTENTION)
        return findings.line(what)

    def object_of(
        self, found: Iterator[Finding | MissedClosing | WouldGo], call: app.Call
    ) -> Iterator[tuple[str, Any]]:
        """Yield what slipped through first, item by item because it may be much."""
        kept: list[Finding] = []
        would_go: list[WouldGo] = []
        yield "slipped", _slipped(found, kept, would_go)
        yield "would_go", map(WouldGo._asdict, would_go)
        yield from findings.object_of(iter(kept), call)
        yield "against_clio", self.count and _counted(self.count)

    def _find(self, stop: Stop) -> Iterator[Finding | MissedClosing | WouldGo]:
        settings = self._settings()
        self._opt_in = settings.sync_opt_in_field
        try:
            flaws = app.place_of(settings).flaws()
            yield from map(findings.of_flaw, flaws)
            with app.opened(settings, writes=False) as store:
                within = store.flaws(app.our_clock())
                yield from map(findings.of_flaw, within)
                if not any(flaw.grave for flaw in flaws + within):
                    yield from _all_well(store)
                if self._days is not None:
                    yield from self._of_clio(settings, store, within, self._days, stop)
        except StorageError as error:
            yield from findings.failures(_STATE, error)

    def _of_clio(
        self, settings: Settings, store: Store, flaws: list[Flaw], days: int, stop: Stop
    ) -> Iterator[Finding | MissedClosing | WouldGo]:
        known, first_run, watermark = store.pins(), store.first_run, store.watermark
        if any(flaw.name == "database" for flaw in flaws):
            yield findings.untested(_CLIO, "the state must be whole first.")
        elif known is None or first_run is None or watermark is None:
            yield findings.untested(_CLIO, "no `sync` has run yet.")
        else:
            line = progress.of_a_run("Reading what closed", drawn=sys.stderr.isatty())
            clients = app.connect(settings, stop, lambda: PATIENCE_SECONDS, line.waiting)
            source = clients.source(store.time_zone)
            try:
                fields = _fields(settings, store, known, source, clients)
                scan = Scan(settings, store, source, line, (first_run, watermark))
                self.count = scan.begin(days)
                for difference in scan.differences(self.count, fields):
                    line.finish()
                    yield difference
                line.finish()
                yield from _of_count(self.count, self._options)
                yield from _of_would_go(self.count, store, source.now())
            except (ConfigError, DeniedError, UnavailableError) as error:
                line.finish()
                yield from findings.failures(_CLIO, error)


def _all_well(store: Store) -> Iterator[Finding]:
    closings, changes, runs = store.integrity.sizes()
    sizes = ((closings, "closed matter"), (changes, "change"), (runs, "run"))
    says = f"It is whole and consistent: {', '.join(output.count(*size) for size in sizes)}."
    yield findings.ok(_STATE, says)
    yield from _of_sending(store)


def _of_sending(store: Store) -> Iterator[Finding]:
    closings = store.outbox.count_sending()
    if closings and store.at_work is not None:
        says = output.count(closings, "client is", "clients are")
        yield findings.ok("sending", f"{says} being sent at this moment.")
    elif closings:
        says = output.count(closings, "client was", "clients were")
        yield findings.warning(
            "sending",
            f"{says} being sent when a run was cut short; the next run puts that in order.",
        )


def _fields(
    settings: Settings, store: Store, known: Pins, source: Source, clients: "Clients"
) -> FieldIds:
    """Return the ids of the checkboxes, as a run would read them.

    Raise ConfigError where a run would end because of a pin or a custom field.
    """
    wanted = app.wanted(settings)
    pins.check_settings(known, wanted)
    clients.check_account(known, store, source)
    return pins.Fields(source, wanted).read(known.fields)


def _of_count(count: Count, options: Options) -> Iterator[Finding]:
    """Yield how many slipped through and what to run; that none did; or that it cannot be told."""
    matters = output.count(count.matters_read, "matter")
    read = f"Read {matters} closed or edited since {output.day(count.since)}"
    if count.known and not count.shown:
        yield findings.failed(
            _CLIO,
            f"{read}; of the {count.known} that are recorded here, Clio shows none, so nobody can "
            "tell whether any slipped through: see that the Clio user of this sign-in may see all "
            "matters, and whether those were reopened or deleted.",
            ATTENTION,
        )
    elif count.dates is not None:
        first, last = count.dates
        file = f"--config {shlex.quote(str(options.config_file))} " if options.config_file else ""
        yield findings.failed(
            _CLIO,
            f"{read}; never noticed before: {count.slipped}. Look at what would become of them "
            f"with `clio-broadly-sync {file}backfill --from {first} --to {last} --dry-run`; if it "
            "is right, run that without --dry-run.",
            ATTENTION,
        )
    elif count.slipped:
        yield findings.failed(
            _CLIO, f"{read}; never noticed, without a close date: {count.slipped}.", ATTENTION
        )
    else:
        yield findings.ok(_CLIO, f"{read}; none slipped through.")
    if 0 < count.shown < count.known:
        hidden = output.count(count.known - count.shown, "matter is", "matters are")
        yield findings.ok(
            "not in Clio", f"{hidden} recorded here only: reopened, deleted, or hidden since then."
        )
    if left_out := list(_left_out(count)):
        yield findings.ok("not in the ledger", f"Rightly so: {', '.join(left_out)}.")


def _of_would_go(count: Count, store: Store, now: datetime) -> Iterator[Finding]:
    """Yield how many were skipped and would go now, and when they do."""
    if not count.would_go:
        return
    go = output.count(count.would_go, "closed matter was", "closed matters were")
    looks = {part: store.looked(part) for part in Part}
    if daily_look.overdue_since(looks, store.first_run, now) is None:
        says = f"{go} left out and would go now: `sync` sends them within a day (daily look)."
        yield findings.warning(_SKIPPED, says)
    else:
        yield findings.failed(
            _SKIPPED,
            f"{go} left out and would go now, and no daily look has come to its end for days: see "
            "with `clio-broadly-sync status` how the last runs ended, and let cron run `sync`.",
            ATTENTION,
        )


def _left_out(count: Count) -> Iterator[str]:
    if count.coming:
        yield f"{output.count(count.coming, 'is', 'are')} so new that only the next `sync` notices"
    if count.closed_before_start:
        yield f"{count.closed_before_start} closed before the start day"
    if count.closed_too_long_ago:
        yield f"{count.closed_too_long_ago} had closed too long ago when last edited"


# What is printed.


def _slipped(
    found: Iterator[Finding | MissedClosing | WouldGo],
    kept: list[Finding],
    would_go: list[WouldGo],
) -> Iterator[dict[str, Any]]:
    """Yield the objects of what slipped through, and keep the rest."""
    for what in found:
        if isinstance(what, Finding):
            kept.append(what)
        elif isinstance(what, WouldGo):
            would_go.append(what)
        else:
            yield object_of(what)


def _counted(count: Count) -> dict[str, Any]:
    counted = asdict(count)
    first, last = counted.pop("dates") or (None, None)
    return counted | {"from": first, "to": last}
