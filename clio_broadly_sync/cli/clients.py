"""Both sides of a run, Clio and Broadly, made from the settings."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from clio_broadly_sync.clio.api import AccessTokens, Api
from clio_broadly_sync.clio.auth import App, GivenToken, LoginToken, OAuth
from clio_broadly_sync.clio.source import Clio
from clio_broadly_sync.domain.model import Pins, Secret
from clio_broadly_sync.pipeline import pins
from clio_broadly_sync.pipeline.ports import Sink, Source
from clio_broadly_sync.settings import Settings
from clio_broadly_sync.sinks.broadly import Broadly
from clio_broadly_sync.sinks.dry_run import DryRun
from clio_broadly_sync.store import Store, TokenStore
from clio_broadly_sync.transport.client import Transport
from clio_broadly_sync.transport.clock import Clock
from clio_broadly_sync.transport.signals import Stop

GRACE_SECONDS: Final = 90.0
"""A walk through Clio that makes progress goes on, its waits for the rate limit with it."""


class Clients:
    """What speaks to Clio and to Broadly; made by `app.connect`."""

    def __init__(
        self,
        settings: Settings,
        stop: Stop,
        patience: Callable[[], float],
        waiting: Callable[[str, float], object],
        our_clock: Callable[[], datetime],
        clock: Clock,
        *,
        makes_progress: bool,
    ) -> None:
        self._settings = settings
        self._our_clock = our_clock
        grace = GRACE_SECONDS if makes_progress else 0.0
        self.clio = Transport(
            "Clio", patience=patience, stop=stop, grace=grace, waiting=waiting, clock=clock
        )
        self.broadly = Transport(
            "Broadly", patience=patience, stop=stop, waiting=waiting, clock=clock
        )
        self.oauth = OAuth(self.clio, _app(settings), settings.clio_base_url, now=our_clock)
        token_store = TokenStore(settings.sync_state)
        self.login_token = LoginToken(token_store, self.oauth, stop, now=our_clock)
        given = settings.clio_access_token
        self.tokens: AccessTokens = self.login_token if given is None else GivenToken(given)

    def source(self, known_zone: str | None = None) -> Clio:
        """Return the firm's Clio; `known_zone` is the zone that the state has of it, if any."""
        api = Api(self.clio, self.tokens, self._settings.clio_base_url, wall_clock=self._our_clock)
        settings = self._settings
        zone = settings.clio_time_zone
        return Clio(
            api,
            region=settings.clio_region,
            zone=known_zone if zone is None else zone.key,
            names=(settings.sync_opt_out_field, settings.sync_opt_in_field),
        )

    def sink(self, *, dry_run: bool) -> Sink:
        if dry_run:
            return DryRun()
        return Broadly(
            self.broadly,
            self._settings.broadly_url,
            self._settings.broadly_headers(),
            dedupes=self._settings.broadly_dedupes,
        )

    def use_token(self, token: str) -> None:
        """Ask Clio with this token from now on."""
        self.tokens = GivenToken(Secret(token))

    def check_account(self, known: Pins, store: Store, source: Source) -> None:
        """Raise ConfigError where the sign-in opens another account than the state's."""
        if not store.has_seen(self.tokens.access_token()):
            pins.check_account(known, pins.read_account(source, told=True))


def _app(settings: Settings) -> App:
    return App(settings.clio_client_id, settings.clio_client_secret, settings.clio_redirect_uri)
