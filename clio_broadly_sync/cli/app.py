"""Settings turned into the parts that a run is made of."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from clio_broadly_sync.cli import logs
from clio_broadly_sync.cli.options import Options
from clio_broadly_sync.clio.api import AccessTokens, Api
from clio_broadly_sync.clio.auth import App, GivenToken, LoginToken, OAuth
from clio_broadly_sync.clio.source import Clio
from clio_broadly_sync.domain.errors import ConfigError, SyncError
from clio_broadly_sync.domain.model import Command, Pins, Policy
from clio_broadly_sync.pipeline import pins
from clio_broadly_sync.pipeline.ports import Sink
from clio_broadly_sync.settings import Salvaged, Settings, load_settings, salvage_settings
from clio_broadly_sync.sinks.broadly import Broadly
from clio_broadly_sync.sinks.dry_run import DryRun
from clio_broadly_sync.store import Store, TokenStore, locked
from clio_broadly_sync.transport.client import Transport
from clio_broadly_sync.transport.signals import Stop

GRACE_SECONDS = 90.0


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


def now() -> datetime:
    """Return this machine's time."""
    return datetime.now(UTC)


class Ends:
    """The two ends of a run, Clio and Broadly, and the transports that lead to them."""

    def __init__(
        self,
        settings: Settings,
        stop: Stop,
        patience: Callable[[], float],
        waiting: Callable[[str, float], object] = lambda what, seconds: None,
        *,
        grace: float = GRACE_SECONDS,
    ) -> None:
        self._settings = settings
        # A walk through Clio that makes progress goes on, its waits for the rate limit with it.
        self.clio = Transport("Clio", patience=patience, stop=stop, grace=grace, waiting=waiting)
        self.broadly = Transport("Broadly", patience=patience, stop=stop, waiting=waiting)
        self.oauth = OAuth(self.clio, _app(settings), settings.clio_base_url, now=now)
        sign_in = TokenStore(settings.sync_state)
        self.saved_token = LoginToken(sign_in, self.oauth, stop, now=now)
        given = settings.clio_access_token
        self.tokens: AccessTokens = GivenToken(given) if given is not None else self.saved_token

    def source(self) -> Clio:
        api = Api(self.clio, self.tokens, self._settings.clio_base_url, wall_clock=now)
        return Clio(api, region=self._settings.clio_region)

    def sink(self, *, dry_run: bool) -> Sink:
        if dry_run:
            return DryRun()
        return Broadly(
            self.broadly,
            self._settings.broadly_url,
            self._settings.broadly_headers(),
            dedupes=self._settings.broadly_dedupes,
        )


def _app(settings: Settings) -> App:
    return App(settings.clio_client_id, settings.clio_client_secret, settings.clio_redirect_uri)


def wanted(settings: Settings) -> pins.Wanted:
    """Return what is held against the pins."""
    return pins.Wanted(
        host=settings.clio_base_url,
        broadly_url=settings.broadly_url,
        rule=settings.sync_rule,
        opt_out_name=settings.sync_opt_out_field,
        opt_in_name=settings.sync_opt_in_field,
    )


def check_account(known: Pins, store: Store, tokens: AccessTokens, source: Clio) -> None:
    """Raise ConfigError where the sign-in opens another account than the state's."""
    if not store.has_seen(tokens.access_token()):
        pins.check_account(known, pins.read_account(source, told=True))


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
