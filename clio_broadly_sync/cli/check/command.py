"""`check`: all findings in their order, and the new pins that `--accept` takes over.

What is found here is in `cli/check/here.py`, at Clio in `cli/check/clio.py`, and at Broadly and the
monitor in `cli/check/addresses.py`.
"""

import sys
import time
import uuid
from collections.abc import Generator, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import click

from clio_broadly_sync.cli import app, findings, output, progress
from clio_broadly_sync.cli.check import addresses, clio, here, sample
from clio_broadly_sync.cli.check.here import Known
from clio_broadly_sync.cli.findings import Finding
from clio_broadly_sync.cli.options import Options, json_option, of_a_firm
from clio_broadly_sync.cli.output import PROGRAM
from clio_broadly_sync.cli.standing import Status
from clio_broadly_sync.domain import lifecycle, rules
from clio_broadly_sync.domain.errors import (
    OK,
    ConfigError,
    StorageError,
    SyncError,
    UnavailableError,
    is_failure,
)
from clio_broadly_sync.domain.model import Closing, Pins
from clio_broadly_sync.pipeline import pins
from clio_broadly_sync.settings import Settings
from clio_broadly_sync.store import Store
from clio_broadly_sync.transport.signals import Stop

if TYPE_CHECKING:
    from clio_broadly_sync.cli.clients import Clients


PATIENCE_SECONDS: Final = 60.0
"""A check waits for Clio and Broadly until so many seconds after its beginning, and then no longer
than the grace of `cli/clients.py` allows."""


@click.command()
@click.option(
    "--accept",
    is_flag=True,
    help="Take over a changed Broadly address, rule or custom field.",
)
@click.option(
    "--send-sample",
    is_flag=True,
    help="Do nothing but send Broadly one made-up client.",
)
@click.option("--yes", is_flag=True, help="Send it without asking.")
@json_option
@of_a_firm
def check(options: Options, accept: bool, send_sample: bool, yes: bool, as_json: bool) -> None:
    """Look whether everything is in order, from the settings to cron; send nobody.

    Ends with what to do next. Nothing is changed without --accept. The exit code is that of the
    worst that was found.

    Example: clio-broadly-sync check
    """
    if accept and send_sample:
        raise click.UsageError("--accept and --send-sample do not go together: first the one.")
    if yes and not send_sample:
        raise click.UsageError("--yes belongs to --send-sample: nothing else is asked.")

    def find(call: app.Call) -> Iterator[Finding | str]:
        looks = _Check(options, call.stop, accept=accept)
        found = findings.judged(looks.sample(yes=yes) if send_sample else looks.findings(), call)
        return found if as_json or send_sample else looks.told(found)

    app.carry_out(find, _text, _object, as_json=as_json)


def _text(what: Finding | str) -> str:
    return findings.line(what) if isinstance(what, Finding) else what


def _object(found: Iterator[Finding | str], call: app.Call) -> Iterator[tuple[str, Any]]:
    kept = [one for one in found if isinstance(one, Finding)]
    ended_by = () if call.error is None else findings.failures(app.called(), call.error)
    yield "verdict", click.unstyle(findings.verdict([*kept, *ended_by]))
    yield from findings.object_of(iter(kept), call)


class _Check:
    """One call of `check`."""

    def __init__(self, options: Options, stop: Stop, *, accept: bool) -> None:
        self._options = options
        self._accept = accept
        self._stop = stop
        self._began = time.monotonic()
        self._known: Known | None = None
        """What the state says; None where it cannot be used, or was not looked at yet."""
        self._progress: progress.Progress = progress.Logged()

    def told(self, found: Iterator[Finding]) -> Iterator[Finding | str]:
        """Yield the verdict first, then what was found, and in the end what to do next.

        Where an error ends the check, what was found before it is told without a verdict.
        """
        self._progress = progress.of_a_run("Checking", drawn=sys.stderr.isatty())
        kept: list[Finding] = []
        error: SyncError | None = None
        try:
            kept.extend(found)
        except SyncError as ended_by:
            error = ended_by
        self._progress.finish()
        if error is None:
            yield findings.verdict(kept) + "\n"
        yield from kept
        if error is not None:
            raise error
        status = None if self._known is None else self._known.status
        yield output.folded(f"\nNext: {_what_next(findings.worst(kept), status)}")

    def findings(self) -> Iterator[Finding]:
        """Yield everything that was looked at, causes before what may follow from them.

        Raise SyncError where `--accept` refuses to take something over, and at a signal.
        """
        try:
            settings = app.read_settings(self._options)
        except ConfigError as error:
            yield from findings.failures("settings", error)
            yield from here.settings_file(self._options)
            yield findings.untested("all the rest", "the settings come first.")
            return
        yield here.where_settings_are(self._options)
        yield from here.settings_file(self._options)
        if self._accept:
            yield from self._taken_over(settings)
        known = self._known = yield from _state(self._options, settings)
        yield from self._clio(settings, known)
        yield from addresses.broadly(settings, self._connected(settings).broadly)
        yield from addresses.pings(settings, self._stop)
        yield from addresses.notices(settings)
        if known is not None:
            yield from here.runs(known.status)
            yield from here.daily_look(known.status)
            yield from here.pause(known.status)
            yield from here.hours(settings, known.status)
            yield here.outbox(known.status)
        else:
            yield findings.untested("last run", "the state comes first.")

    def sample(self, *, yes: bool) -> Iterator[Finding]:
        """Send Broadly a made-up client, and return what comes of it; record nothing.

        Raise UsageError at once where that cannot be, so that no half of a JSON object is printed.
        """
        try:
            settings = app.read_settings(self._options)
        except ConfigError as error:
            return findings.failures("settings", error)
        sample.check_usage(settings, yes=yes)
        return sample.findings_of(settings, self._connected(settings), self._stop, yes=yes)

    def _clio(self, settings: Settings, known: Known | None) -> Iterator[Finding]:
        clients = self._connected(settings)
        answers = clio.ask(settings, clients, known)
        yield from clio.clock(answers)
        yield from clio.sign_in(settings, answers, known, _end_of_token(settings, known))
        yield from clio.readings(answers)
        yield from clio.custom_fields(settings, answers, known)
        yield from clio.boxes(settings, answers)
        yield from clio.pinned(settings, answers, known, partial(here.is_seen, settings, clients))

    def _taken_over(self, settings: Settings) -> Iterator[Finding]:
        with self._stop.to_the_end(), app.opened(settings, writes=True) as store:
            lines = list(take_over(settings, store, self._connected(settings)))
        yield from (findings.ok("accept", line) for line in lines)

    def _connected(self, settings: Settings) -> "Clients":
        return app.connect(settings, self._stop, self._patience, self._progress.waiting)

    def _patience(self) -> float:
        return PATIENCE_SECONDS - (time.monotonic() - self._began)


def _what_next(code: int, status: Status | None) -> str:
    """Return what to do after a check that ends with this code; None: the state cannot be used."""
    if code == UnavailableError.exit_code:
        return f"wait a few minutes; then `{PROGRAM} check` again."
    if code != OK or status is None:
        return f"fix what failed, the first one first; then `{PROGRAM} check` again."
    if status.is_paused:
        return f"`{PROGRAM} firms resume {status.firm}`, once it may be run again."
    if status.firm is not None and status.last_sync is None:
        return f"`{PROGRAM} fleet worker` runs it; the first `sync` sends nobody."
    if status.last_sync is None:
        return (
            f"run `{PROGRAM} sync` once by hand (the first one sends nobody), then schedule it: "
            f"`{PROGRAM} schedule cron` prints the line."
        )
    if (failed := status.last_sync.exit_code) is not None and is_failure(failed):
        return f"the last `sync` failed, so run it once by hand: `{PROGRAM} sync`."
    if status.cron_seems_to_run is False and status.firm is not None:
        return f"see whether workers run: `{PROGRAM} fleet status`."
    if status.cron_seems_to_run is False:
        return f"let cron run it again: `{PROGRAM} schedule cron` prints the line."
    if status.for_a_person:
        return f"see what needs a person: `{PROGRAM} status`."
    return f"nothing. How far it has come, at any time: `{PROGRAM} status`."


def _state(options: Options, settings: Settings) -> Generator[Finding, None, Known | None]:
    """Yield what is found about the state; return what it says, None where it cannot be used."""
    try:
        flaws, known = here.read_state(settings)
    except StorageError as error:
        yield from findings.failures("state", error)
        return None
    yield from map(findings.of_flaw, flaws)
    if known is not None:
        yield from here.state(options, settings, known.status)
    return known


def _end_of_token(settings: Settings, known: Known | None) -> str | None:
    """Return when the access token of `login` ends, for a person; None where that is not known.

    Of a token from the settings nobody says when it ends.
    """
    if settings.clio_access_token is not None or known is None:
        return None
    grant = app.place_of(settings).sign_in().read()
    return output.moment(grant.expires_at, known.status.zone) if grant is not None else None


def take_over(settings: Settings, store: Store, clients: "Clients") -> Iterator[str]:
    """Pin what the settings and Clio now say; yield sentences that say what has changed.

    Raise ConfigError where the host or the account is another, which is never taken over, or where
    a custom field is not in order. A new rule, or what is like one (`pins.decides_otherwise`), sets
    a new start day, today in the firm's zone. After a new destination, the rows in doubt become
    held, and a pause after a lost answer is over.
    """
    wanted, known, source = app.wanted(settings), store.pins(), clients.source()
    if known is not None:
        pins.check_host(known, wanted)
    account = pins.read_account(source)
    pins.check_account(known, account)
    ids = pins.Fields(source, wanted).read(None)
    if known is None:
        yield "Nothing is noted before the first `sync`: there was nothing to take over."
        return
    found = pins.current_pins(wanted, known, ids)
    facts = pins.seen(store.hash_of(clients.tokens.access_token()), account)
    if pins.decides_otherwise(known, found) and store.start_day is not None:
        zone = app.firm_zone(settings, store) or pins.zone_of(account)
        facts["start_day"] = rules.start_day(source.now(), zone).isoformat()
        facts["since_run"] = str(store.next_run())
    if found.destination != known.destination:
        _hold_what_is_in_doubt(store)
        facts["doubts"] = ""
    store.pin(pins.with_account(found, account), **facts)
    yield from _changes(known, found)


def _hold_what_is_in_doubt(store: Store) -> None:
    """Hold the rows in doubt, those that a person resent included.

    The new receiver knows nothing of what the one before may have accepted. And a person who sent
    a row again meant the receiver of then.
    """
    at = app.our_clock()
    store.begin_run("check", uuid.uuid4().hex, at)
    store.recover(_held, at)
    store.finish_run(OK, at)


def _held(closing: Closing) -> Closing:
    return lifecycle.recovered(closing._replace(resent=False), dedupes=False)


def _changes(before: Pins, now: Pins) -> Iterator[str]:
    if before.destination.profile is not now.destination.profile:
        yield f"Taken over: BROADLY_PROFILE {now.destination.profile}, with its address."
    elif before.destination != now.destination:
        yield "Taken over: the new BROADLY_URL."
    left = "what closed before today is left to `backfill`."
    if before.rule is not now.rule:
        yield f"Taken over: SYNC_RULE {now.rule}; {left}"
    if before.untouched is not now.untouched:
        yield f"Taken over: SYNC_OPT_IN_UNTOUCHED {now.untouched}; {left}"
    if before.fields.text != now.fields.text:
        which = "without one" if now.fields.text is None else "as it now is in Clio"
        yield f"Taken over: SYNC_TEXT_FIELD, {which}; {left}"
    if before.fields[:2] != now.fields[:2]:
        yield "Taken over: the custom fields as they now are in Clio."
    if before == now._replace(account=before.account):
        yield "Nothing has changed: there was nothing to take over."
