"""What every command begins with: settings, state, signals and policy; how it fails; its shell."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, tzinfo
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, overload

import click

from clio_broadly_sync.cli import logs, output
from clio_broadly_sync.cli.alerts import AlertLog, is_news
from clio_broadly_sync.cli.options import Options
from clio_broadly_sync.cli.output import PROGRAM
from clio_broadly_sync.domain.errors import (
    OK,
    ConfigError,
    SyncError,
    outcome_of,
    without_next_run,
)
from clio_broadly_sync.domain.model import Command, Destination, Policy, Profile
from clio_broadly_sync.pipeline import pins
from clio_broadly_sync.settings import (
    Given,
    Salvaged,
    Settings,
    checked,
    near_names,
    read_given,
    salvage_settings,
)
from clio_broadly_sync.store import FilePlace, Place, Store
from clio_broadly_sync.transport.clock import Clock
from clio_broadly_sync.transport.signals import Stop

if TYPE_CHECKING:
    from clio_broadly_sync.cli.clients import Clients

T = TypeVar("T")
log = logging.getLogger("clio_broadly_sync.cli.app")


def settings_of(options: Options, *, attended: bool = False) -> Settings:
    """Read the settings and set up the log; point out names that are nearly those of settings.

    That is done once a day, and each time where a person looks on or the call is `attended`. Raise
    ConfigError with every problem at once.
    """
    attended = attended or options.verbose or has_terminal()
    try:
        settings = read_settings(options)
    except ConfigError:
        _point_out(place_of(salvaged(options)), attended)
        raise
    _point_out(place_of(settings), attended)
    return settings


def read_settings(options: Options) -> Settings:
    """Read the settings and set up the log; raise ConfigError with every problem at once."""
    try:
        given = read_given(options.config_file, os.environ, Path.cwd())
        settings = _of_firm(given, options) if _is_of_firm(given, options) else checked(given)
    except ConfigError:
        logs.set_up(salvaged(options).log_format, verbose=options.verbose)
        raise
    logs.set_up(settings.log_format, verbose=options.verbose)
    return settings


def _is_of_firm(given: Given, options: Options) -> bool:
    """Tell whether the state is a firm's in a fleet; raise UsageError where that is not plain.

    A command of a fleet that was taken for a firm's alone would begin a state in which nobody was
    asked yet.
    """
    if given.names_fleet and options.firm is None:
        raise click.UsageError(
            "FLEET_DATABASE is set, so name the firm with --firm NAME; `firms list` has the names."
        )
    if options.firm is not None and not given.names_fleet:
        raise click.UsageError("--firm is for many firms in one database: set FLEET_DATABASE.")
    return given.names_fleet


def _of_firm(given: Given, options: Options) -> Settings:
    from clio_broadly_sync.cli.one_firm import Fleet

    fleet = Fleet(given)
    return fleet.settings_of(fleet.named(options.firm or ""))


def _point_out(place: Place | None, attended: bool) -> None:
    alert_log = None if place is None or attended else alert_log_of(place)
    for note in near_names(os.environ):
        if is_news(alert_log, note, our_clock()):
            log.warning("%s", note)


def alert_log_of(place: Place) -> AlertLog:
    """Return where it is remembered what cron's reader was told: beside the state."""
    return AlertLog(place.notes("told"))


def has_terminal() -> bool:
    """Tell whether a person looks on; under cron, none of the three streams is a terminal."""
    return any(end is not None and end.isatty() for end in (sys.stdin, sys.stdout, sys.stderr))


def can_ask() -> bool:
    """Tell whether somebody can read a question, which is asked on stderr, and answer it."""
    return all(end is not None and end.isatty() for end in (sys.stdin, sys.stderr))


def salvaged(options: Options) -> Salvaged:
    """Return what can be used of settings that `settings_of` refuses; never raise ConfigError.

    Of a firm in a fleet these are the fleet's, and there is no file beside them.
    """
    found = salvage_settings(options.config_file, os.environ, Path.cwd())
    return found if options.firm is None else found._replace(sync_state=None)


@contextmanager
def opened(settings: Settings, *, writes: bool) -> Iterator[Store]:
    """Open the state for a command; where the command only reads, open a copy of it instead.

    To write (`writes`), the state is locked first. Raise BusyError where another process holds the
    lock, and StorageError where the state cannot be opened.
    """
    if writes:
        place = place_of(settings)
        with place.locked(called()), place.open() as store:
            yield store
    else:
        with place_of(settings).snapshot() as store:
            yield store


@overload
def place_of(settings: Settings) -> Place: ...


@overload
def place_of(settings: Salvaged) -> Place | None: ...


def place_of(settings: Settings | Salvaged) -> Place | None:
    """Return where the state is that the settings name; None where they name none."""
    of_firm: Place | None = getattr(settings, "place", None)  # `cli/one_firm.py`
    if of_firm is not None or settings.sync_state is None:
        return of_firm
    return FilePlace(settings.sync_state)


def firm_of(settings: Settings) -> str | None:
    """Return the name of the firm in a fleet whose settings these are; None outside of one."""
    return getattr(settings, "firm", None)  # `cli/one_firm.py`


def is_paused(settings: Settings) -> bool:
    """Tell whether these are the settings of a firm that is paused, and so is not run."""
    return getattr(settings, "is_paused", False)


def check_active(settings: Settings) -> None:
    """Raise ConfigError where the settings are a firm's that is paused."""
    if is_paused(settings):
        name = firm_of(settings)
        raise ConfigError(f"The firm {name} is paused: `{PROGRAM} firms resume {name}`.")


def locked(settings: Settings) -> AbstractContextManager[None]:
    """Hold the state for the command that was called, whose name the lock then bears."""
    return place_of(settings).locked(called())


def called() -> str:
    """Return the name of the command that was called, such as `outbox resend`."""
    return click.get_current_context().command_path.removeprefix(f"{PROGRAM} ")


def stop_on_signals() -> Stop:
    """Return a Stop that from now on notes SIGINT and SIGTERM."""
    stop = Stop()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop.ask)
    return stop


def connect(
    settings: Settings,
    stop: Stop,
    patience: Callable[[], float],
    waiting: Callable[[str, float], object] = lambda what, seconds: None,
    *,
    clock: Clock | None = None,
    makes_progress: bool = True,
) -> "Clients":
    """Return what speaks to Clio and to Broadly.

    `patience` returns the seconds that may still be spent on waiting. `waiting` is called before
    each wait, with what is waited for and how many seconds. With `makes_progress`, waits for Clio
    get the grace of `cli/clients.py`.

    The HTTP libraries take longer to load than all the rest, so they are loaded only here: `--help`
    does without them.
    """
    from clio_broadly_sync.cli.clients import Clients

    return Clients(
        settings,
        stop,
        patience,
        waiting,
        our_clock,
        clock or Clock(),
        place_of(settings).sign_in(),
        makes_progress=makes_progress,
    )


def used(clients: "Clients | None") -> dict[str, Any]:
    """Return what was asked of both sides and how long that took, as `--json` has it."""
    if clients is None:
        return {"clio": 0, "broadly": 0, "bytes": 0, "waited": 0.0}
    clio, broadly = clients.clio, clients.broadly
    return {
        "clio": clio.requests,
        "broadly": broadly.requests,
        "bytes": clio.bytes + broadly.bytes,
        "waited": round(clio.waited + broadly.waited, 3),
    }


def our_clock() -> datetime:
    """Return this machine's time in aware UTC."""
    return datetime.now(UTC)


def firm_zone(settings: Settings, store: Store) -> tzinfo | None:
    """Return the firm's zone, from the settings or as Clio named it; None: this machine's."""
    return settings.clio_time_zone or pins.zone_named(store.time_zone)


def wanted(settings: Settings) -> pins.Wanted:
    """Return what the settings name, to be compared with the pins."""
    return pins.Wanted(
        host=settings.clio_base_url,
        destination=destination(settings),
        rule=settings.sync_rule,
        opt_out_name=settings.sync_opt_out_field,
        opt_in_name=settings.sync_opt_in_field,
        text_name=settings.sync_text_field,
        untouched=settings.sync_opt_in_untouched,
    )


def destination(settings: Settings) -> Destination:
    """Return where the settings send review requests; a file has no address."""
    has_address = settings.broadly_profile is not Profile.CSV
    return Destination(settings.broadly_profile, settings.broadly_url if has_address else "")


def policy(settings: Settings, command: Command, store: Store) -> Policy:
    """Return what the rules may see of the settings and the state.

    For a backfill there is no start day, no age and no settle time.
    """
    is_sync = command is Command.SYNC
    return Policy(
        command=command,
        rule=settings.sync_rule,
        start_day=store.start_day if is_sync else None,
        max_age_days=settings.sync_max_age_days if is_sync else None,
        reask_days=settings.sync_reask_days,
        settle_hours=settings.sync_settle_hours if is_sync else 0.0,
        hours=settings.sending_hours(),
        max_new=settings.sync_max_new,
        companies=settings.sync_companies,
        fields=frozenset(settings.broadly_fields),
        dedupes=dedupes(settings),
        profile=settings.broadly_profile,
        untouched=settings.sync_opt_in_untouched,
        text_box=settings.sync_text_field is not None,
        since_run=store.since_run,
    )


def dedupes(settings: Settings) -> bool:
    """Tell whether the receiver refuses for ever a transactionId that it accepted; no file does."""
    return settings.broadly_dedupes and settings.broadly_profile is not Profile.CSV


def fail(error: SyncError) -> int:
    """Print what is wrong and what to do on stderr, a line each; return the exit code."""
    for line in str(error).splitlines():
        logs.error(without_next_run(line))
    return error.exit_code


class Call:
    """One call of a command: what stops it, and how it ends."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        """Whether one JSON object is to be printed, and no lines for a person."""
        self.stop = stop_on_signals()
        self.code = OK
        """The exit code."""
        self.error: SyncError | None = None
        """The error that has ended it; None where none has."""

    @property
    def outcome(self) -> str:
        return outcome_of(self.code)

    @contextmanager
    def until_error(self) -> Iterator[None]:
        """Let an error end what is inside; print it, and keep it and its exit code."""
        try:
            yield
        except SyncError as error:
            self.code, self.error = fail(error), error

    def each(self, things: Iterator[T]) -> Iterator[T]:
        """Yield the things until there are no more, or an error ends them."""
        with self.until_error():
            yield from things


def carry_out(
    find: Callable[[Call], Iterator[T]],
    text: Callable[[T], str],
    object_of: Callable[[Iterator[T], Call], Iterator[tuple[str, Any]]],
    *,
    as_json: bool,
) -> NoReturn:
    """Print what a command finds, each thing as soon as it is found, and exit.

    `text` returns what a person reads of one thing. `object_of` yields what the JSON object holds
    beside the command's name; the outcome is known once all things are taken. A signal ends at once
    the search, and what is printed for a person, but no JSON object.
    """
    call = Call(as_json=as_json)
    found = call.stop.each(find(call))
    if as_json:
        begun = _begun(call.each(found))
        output.print_json(chain([("command", called())], object_of(begun, call)))
    else:
        with call.until_error(), call.stop.at_once():
            for thing in found:
                click.echo(text(thing))
    sys.exit(call.code)


def _begun(things: Iterator[T]) -> Iterator[T]:
    """Return the things, the first of which is found at once: wrong usage shows in finding it, and
    must show before anything is printed."""
    return chain([*islice(things, 1)], things)
