"""What speaks to both sides, Clio and Broadly, made from the settings.

The HTTP libraries are loaded with this module, so `app.connect` loads it only when it is needed.
"""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Final

from clio_broadly_sync.clio.api import AccessTokens, Api
from clio_broadly_sync.clio.auth import App, GivenToken, LoginToken, OAuth
from clio_broadly_sync.clio.source import Clio
from clio_broadly_sync.domain.credentials import Secret
from clio_broadly_sync.domain.errors import LOGIN
from clio_broadly_sync.domain.model import Pins, Profile
from clio_broadly_sync.pipeline import pins
from clio_broadly_sync.pipeline.ports import Sink, Source
from clio_broadly_sync.settings import Settings
from clio_broadly_sync.sinks.batches import Receiver, RefusalGuard
from clio_broadly_sync.sinks.broadly import Broadly
from clio_broadly_sync.sinks.dry_run import DryRun
from clio_broadly_sync.store import SignIn, Store
from clio_broadly_sync.transport.client import Transport
from clio_broadly_sync.transport.clock import Clock
from clio_broadly_sync.transport.signals import Stop

if TYPE_CHECKING:
    from clio_broadly_sync.sinks.csv_file import Target

GRACE_SECONDS: Final = 90.0
"""As long as Clio answers, a walk through it goes on, even when the run's time is over: a wait, for
the rate limit for example, may last until so many seconds after the last answer."""


class Clients:
    """What speaks to Clio and to Broadly; `app.connect` makes it and says what goes in."""

    def __init__(
        self,
        settings: Settings,
        stop: Stop,
        patience: Callable[[], float],
        waiting: Callable[[str, float], object],
        our_clock: Callable[[], datetime],
        clock: Clock,
        sign_in: SignIn,
        *,
        makes_progress: bool,
    ) -> None:
        self._settings = settings
        self._our_clock = our_clock
        grace = GRACE_SECONDS if makes_progress else 0.0
        self.clio = Transport(
            "Clio", patience=patience, stop=stop, grace=grace, waiting=waiting, clock=clock
        )
        """The requests to Clio, those of the sign-in included."""
        self.broadly = Transport(
            "Broadly",
            patience=patience,
            stop=stop,
            per_minute=settings.posts_per_minute,
            waiting=waiting,
            clock=clock,
        )
        """The requests to Broadly."""
        self.oauth = OAuth(self.clio, _app(settings), settings.clio_base_url, now=our_clock)
        self.login_token = LoginToken(sign_in, self.oauth, stop, now=our_clock)
        """The token that `login` stored, whether or not it is the one that is used."""
        given = settings.clio_access_token
        self.tokens: AccessTokens = self.login_token if given is None else GivenToken(given)
        """The tokens with which Clio is asked: CLIO_ACCESS_TOKEN where it is set, otherwise those
        of `login`."""

    def close(self) -> None:
        """Close the connections to both sides."""
        self.clio.close()
        self.broadly.close()

    def source(self, known_zone: str | None = None) -> Clio:
        """Return a new source, which asks Clio with the tokens of this moment.

        `known_zone` is the IANA name of the zone that the state has of the firm, if any.
        """
        api = Api(self.clio, self.tokens, self._settings.clio_base_url, wall_clock=self._our_clock)
        settings = self._settings
        zone = settings.clio_time_zone
        return Clio(
            api,
            region=settings.clio_region,
            zone=known_zone if zone is None else zone.key,
            names=(settings.sync_opt_out_field, settings.sync_opt_in_field),
        )

    def sink(self, *, dry_run: bool, file: "Target | None" = None) -> Sink:
        """Return where review requests go: into this file, to Broadly or, in a dry run, nowhere.

        Where they go into files and there is none, nobody may be sent.
        """
        if file is not None and not dry_run:
            from clio_broadly_sync.sinks.csv_file import CsvFile

            return CsvFile(file)
        is_csv = self._settings.broadly_profile is Profile.CSV
        return DryRun() if dry_run or is_csv else RefusalGuard(self._receiver())

    def _receiver(self) -> Receiver:
        settings = self._settings
        address, headers = settings.broadly_url, settings.broadly_headers()
        if settings.broadly_profile is not Profile.WEBHOOK:
            return Broadly(self.broadly, address, headers, dedupes=settings.broadly_dedupes)
        from clio_broadly_sync.sinks.webhook import Webhook

        return Webhook(
            self.broadly,
            address,
            headers,
            secret=settings.broadly_webhook_secret,
            fields=frozenset(settings.broadly_fields),
            now=self._our_clock,
        )

    def use_token(self, token: str) -> None:
        """Let every source that is made from now on ask Clio with this token, just given by it."""
        refused = f"Clio refuses the token that it has just given (401). To try again, {LOGIN}."
        self.tokens = GivenToken(Secret(token), refused)

    def check_account(self, known: Pins, store: Store, source: Source) -> None:
        """Raise ConfigError where the sign-in opens another account than the state's.

        Clio is asked only where the state has not seen this token before. Other failures to get
        a token or to ask raise other SyncErrors.
        """
        if not store.has_seen(self.tokens.access_token()):
            pins.check_account(known, pins.read_account(source, told=True))


def _app(settings: Settings) -> App:
    return App(settings.clio_client_id, settings.clio_client_secret, settings.clio_redirect_uri)
