"""What every command begins with: settings, state, signals, the policy, and how it fails."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

from clio_broadly_sync.cli import logs
from clio_broadly_sync.cli.options import Options
from clio_broadly_sync.domain.errors import ConfigError, SyncError
from clio_broadly_sync.domain.model import Command, Policy
from clio_broadly_sync.pipeline import pins
from clio_broadly_sync.settings import Salvaged, Settings, load_settings, salvage_settings
from clio_broadly_sync.store import Store, locked
from clio_broadly_sync.transport.clock import Clock
from clio_broadly_sync.transport.signals import Stop

if TYPE_CHECKING:
    from clio_broadly_sync.cli.clients import Clients


def settings_of(options: Options) -> Settings:
    """Read the settings and set up the log; raise ConfigError with every problem at once."""
    try:
        settings = load_settings(options.config_file, os.environ, Path.cwd())
    except ConfigError:
        logs.set_up(salvaged(options).log_format, verbose=options.verbose)
        raise
    logs.set_up(settings.log_format, verbose=options.verbose)
    return settings


def salvaged(options: Options) -> Salvaged:
    """Return what can be used of settings that `settings_of` refuses."""
    return salvage_settings(options.config_file, os.environ, Path.cwd())


@contextmanager
def opened(settings: Settings, *, writes: bool) -> Iterator[Store]:
    """Open the state, locked, to write to it; or a copy of it, which is all that looking needs."""
    if writes:
        with locked(settings.sync_state), Store.open(settings.sync_state) as store:
            yield store
    else:
        with Store.snapshot(settings.sync_state) as store:
            yield store


def stop_on_signals() -> Stop:
    """Return what SIGINT and SIGTERM from now on ask to stop."""
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
    """Return what speaks to Clio and to Broadly. It is loaded only here: the libraries for HTTP
    take longer than all the rest, and `--help` does without."""
    from clio_broadly_sync.cli.clients import Clients

    clock = clock or Clock()
    return Clients(
        settings, stop, patience, waiting, our_clock, clock, makes_progress=makes_progress
    )


def our_clock() -> datetime:
    """Return this machine's time, in aware UTC."""
    return datetime.now(UTC)


def firm_zone(settings: Settings, store: Store) -> tzinfo | None:
    """Return the firm's zone; None is this machine's."""
    return settings.clio_time_zone or pins.zone_named(store.time_zone)


def wanted(settings: Settings) -> pins.Wanted:
    """Return what is held against the pins."""
    return pins.Wanted(
        host=settings.clio_base_url,
        broadly_url=settings.broadly_url,
        rule=settings.sync_rule,
        opt_out_name=settings.sync_opt_out_field,
        opt_in_name=settings.sync_opt_in_field,
    )


def policy(settings: Settings, command: Command, store: Store) -> Policy:
    """Return what the rules may see; a backfill knows no start day, no age, no settle time."""
    is_sync = command is Command.SYNC
    return Policy(
        command=command,
        rule=settings.sync_rule,
        start_day=store.start_day if is_sync else None,
        max_age_days=settings.sync_max_age_days if is_sync else None,
        reask_days=settings.sync_reask_days,
        settle_hours=settings.sync_settle_hours if is_sync else 0.0,
        max_new=settings.sync_max_new,
        companies=settings.sync_companies,
        fields=frozenset(settings.broadly_fields),
        dedupes=settings.broadly_dedupes,
    )


def fail(error: SyncError) -> int:
    """Say what is wrong and what to do, a line each; return the exit code."""
    for line in str(error).splitlines():
        logs.error(line)
    return error.exit_code
