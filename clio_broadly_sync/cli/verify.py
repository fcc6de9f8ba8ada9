"""What `verify` does: the state looked through, and what closed in Clio held against its ledger."""

import json
import shlex
import sys
from collections.abc import Iterator
from typing import Any, Final, NoReturn

import click

from clio_broadly_sync.cli import app, findings, progress, times
from clio_broadly_sync.cli import report_words as words
from clio_broadly_sync.cli import verify_slips as slips
from clio_broadly_sync.cli.findings import Finding
from clio_broadly_sync.cli.options import Options
from clio_broadly_sync.cli.terminal import say
from clio_broadly_sync.cli.verify_slips import Count, Slip
from clio_broadly_sync.clio.api import AccessTokens
from clio_broadly_sync.clio.source import Clio
from clio_broadly_sync.domain.errors import (
    ATTENTION,
    ConfigError,
    DeniedError,
    StorageError,
    SyncError,
    UnavailableError,
)
from clio_broadly_sync.domain.model import FieldIds, Pins
from clio_broadly_sync.pipeline import pins
from clio_broadly_sync.settings import Settings
from clio_broadly_sync.store import Store, at_work, integrity
from clio_broadly_sync.store.integrity import Flaw

PATIENCE_SECONDS: Final = 60.0
_STATE, _CLIO = "state", "Clio"


def carry_out(options: Options, days: int | None, *, as_json: bool) -> NoReturn:
    """Say what is found, line by line; exit with the code of the worst."""
    verification = _Verification(options, days)
    said = _Json() if as_json else _Text()
    found: list[Finding] = []
    try:
        for what in verification.results():
            said.say(what)
            if isinstance(what, Finding):
                found.append(what)
        code = findings.worst(found)
    except SyncError as error:
        code = app.fail(error)
        found += findings.failures("verify", error)
    said.end(found, code, verification.count)
    sys.exit(code)


class _Verification:
    """One call of `verify`. Settings that cannot be used, or a signal, end it with a SyncError."""

    def __init__(self, options: Options, days: int | None) -> None:
        self.count: Count | None = None
        self._options = options
        self._days = days
        self._stop = app.stop_on_signals()

    def results(self) -> Iterator[Finding | Slip]:
        """Yield what is wrong with the state, or that nothing is; then what slipped through."""
        settings = app.settings_of(self._options)
        try:
            flaws = integrity.files(settings.sync_state)
            yield from map(_finding, flaws)
            with app.opened(settings, writes=False) as store:
                within = store.integrity.flaws(app.now())
                self._stop.check()
                yield from map(_finding, within)
                if not any(flaw.grave for flaw in flaws + within):
                    yield from _all_well(settings, store)
                if self._days is not None:
                    yield from self._of_clio(settings, store, within, self._days)
        except StorageError as error:
            yield from findings.failures(_STATE, error)

    def _of_clio(
        self, settings: Settings, store: Store, flaws: list[Flaw], days: int
    ) -> Iterator[Finding | Slip]:
        known, first_run, watermark = store.pins(), store.first_run, store.watermark
        if any(flaw.name == "database" for flaw in flaws):
            yield findings.untested(_CLIO, "the state must be whole first.")
        elif known is None or first_run is None or watermark is None:
            yield findings.untested(_CLIO, "no `sync` has run yet.")
        else:
            line = progress.of_a_run("Reading what closed", drawn=sys.stderr.isatty())
            ends = app.Ends(settings, self._stop, lambda: PATIENCE_SECONDS, line.waiting)
            source = ends.source()
            try:
                fields = _fields(settings, store, known, source, ends.tokens)
                walk = slips.Walk(settings, store, source, line, (first_run, watermark))
                self.count = walk.begin(days)
                for slip in walk.slips(self.count, fields):
                    line.finish()
                    yield slip
                line.finish()
                yield from _of_count(self.count, self._options)
            except (ConfigError, DeniedError, UnavailableError) as error:
                line.finish()
                yield from findings.failures(_CLIO, error)


def _finding(flaw: Flaw) -> Finding:
    which = ", ".join(map(str, flaw.matters))
    says = flaw.sentence + (f" The first matters: {which}." if which else "")
    if not flaw.grave:
        return findings.warning(flaw.name, says)
    return findings.failed(flaw.name, says, StorageError.exit_code)


def _all_well(settings: Settings, store: Store) -> Iterator[Finding]:
    closings, changes, runs = store.integrity.sizes()
    sizes = ((closings, "closing"), (changes, "change"), (runs, "run"))
    says = f"It is whole and consistent: {', '.join(words.count(*size) for size in sizes)}."
    yield findings.ok(_STATE, says)
    yield from _of_sending(settings, store.outbox.count_sending())


def _of_sending(settings: Settings, closings: int) -> Iterator[Finding]:
    if closings and at_work(settings.sync_state):
        says = words.count(closings, "closing is", "closings are")
        yield findings.ok("sending", f"{says} being handed over at this moment.")
    elif closings:
        yield findings.warning(
            "sending",
            f"{words.count(closings, 'closing was', 'closings were')} being handed over when a run "
            "was cut short; the next run puts that in order.",
        )


def _fields(
    settings: Settings, store: Store, known: Pins, source: Clio, tokens: AccessTokens
) -> FieldIds:
    """Return the ids of the boxes; raise ConfigError where a run would end with a pin or field."""
    wanted = app.wanted(settings)
    pins.check_settings(known, wanted)
    app.check_account(known, store, tokens, source)
    return pins.Fields(source, wanted).read(known.fields)


def _of_count(count: Count, options: Options) -> Iterator[Finding]:
    """Say how many slipped through and what to run; or that none did."""
    read = f"Read {words.count(count.read, 'matter')} that closed since {times.day(count.since)}"
    if count.dates is not None:
        first, last = count.dates
        file = f"--config {shlex.quote(str(options.config_file))} " if options.config_file else ""
        yield findings.failed(
            _CLIO,
            f"{read}; never noticed before: {count.slipped}. Look at what would become of them "
            f"with `clio-broadly-sync {file}backfill --from {first} --to {last} --dry-run`; if it "
            "is right, run that without --dry-run.",
            ATTENTION,
        )
    else:
        yield findings.ok(_CLIO, f"{read}; none slipped through.")
    if left_out := list(_left_out(count)):
        yield findings.ok("not in the ledger", f"Rightly so: {', '.join(left_out)}.")


def _left_out(count: Count) -> Iterator[str]:
    if count.coming:
        yield f"{words.count(count.coming, 'is', 'are')} so new that only the next `sync` notices"
    if count.before_start:
        yield f"{count.before_start} closed before the start day"
    if count.too_old:
        yield f"{count.too_old} had closed too long ago when last edited"


class _Text:
    """Says everything at once, a line each."""

    def say(self, what: Finding | Slip) -> None:
        if isinstance(what, Slip):
            what = findings.failed("slipped through", slips.sentence(what), ATTENTION)
        say(findings.line(what))

    def end(self, found: list[Finding], code: int, count: Count | None) -> None:
        pass


class _Json:
    """Writes one object in pieces: what slipped through may be much."""

    def __init__(self) -> None:
        self._slips = 0
        click.echo('{"command": "verify", "slipped": [', nl=False)

    def say(self, what: Finding | Slip) -> None:
        if isinstance(what, Slip):
            click.echo((", " if self._slips else "") + json.dumps(slips.as_object(what)), nl=False)
            self._slips += 1

    def end(self, found: list[Finding], code: int, count: Count | None) -> None:
        rest = findings.as_object(found, code)
        del rest["command"]
        rest["against_clio"] = _counted(count) if count is not None else None
        click.echo("], " + json.dumps(rest).removeprefix("{"))


def _counted(count: Count) -> dict[str, Any]:
    return {
        "since": count.since.isoformat(),
        "matters_read": count.read,
        "slipped": count.slipped,
        "coming": count.coming,
        "closed_before_start": count.before_start,
        "closed_too_long_ago": count.too_old,
        "from": count.dates and count.dates[0].isoformat(),
        "to": count.dates and count.dates[1].isoformat(),
    }
