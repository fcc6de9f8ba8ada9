"""Signing in to Clio: OAuth's authorization code, and the tokens that come of it.

Secrets go only to the host of the settings, and only in a POST; the address to which the browser is
sent holds none. Where the tokens are kept is in `store/tokens.py`. Source: Clio's authorization
guide.
"""

import logging
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import urlencode

from clio_broadly_sync.clio import refusals
from clio_broadly_sync.domain.credentials import Grant, Secret
from clio_broadly_sync.domain.errors import (
    LOGIN,
    NOT_SIGNED_IN,
    Cause,
    ConfigError,
    DeniedError,
    RefusedError,
    SyncError,
    UnavailableError,
    because,
)
from clio_broadly_sync.transport.client import Answer, Transport
from clio_broadly_sync.transport.signals import Stop

log = logging.getLogger("clio_broadly_sync.clio_auth")

MARGIN: Final = timedelta(minutes=1)
"""A token is renewed so long before its end, because it must not end during a request."""
USUAL_SECONDS: Final = 3600.0
"""The life of a token whose `expires_in` cannot be read: the shortest that was ever seen of one. If
that is too short, it costs a refresh. If it is too long, it costs nothing, because the token is
renewed when Clio refuses it."""
LONGEST_SECONDS: Final = 10 * 365 * 86400.0
"""Ten years; a longer life is cut down to this."""

_FORM: Final = {
    "Content-Type": "application/x-www-form-urlencoded",
    "Accept": "application/json",
}
_WORD: Final = re.compile("[!-~]+")


class App(NamedTuple):
    """The firm's app in Clio's developer portal, as the settings name it (None: not set)."""

    client_id: str | None
    client_secret: Secret | None
    redirect_uri: str

    def secrets(self) -> dict[str, str]:
        """Return what proves that the app is asking; raise ConfigError where it is not set.

        It is the part of the form that every request for tokens carries.
        """
        if self.client_id is None or self.client_secret is None:
            names = ("CLIO_CLIENT_ID", self.client_id), ("CLIO_CLIENT_SECRET", self.client_secret)
            missing = [name for name, value in names if value is None]
            raise ConfigError(
                f"{' and '.join(missing)} must be set to sign in to Clio: copy them from the "
                "app's page in Clio's developer portal into the settings."
            )
        return {
            "client_id": self.client_id,
            "client_secret": self.client_secret.reveal(),
        }


class InvalidGrantError(DeniedError):
    """Clio no longer takes this code or this refresh token (RFC 6749, 5.2: `invalid_grant`)."""


class TokenKeeper(Protocol):
    """Where the tokens are kept. Every method may raise StorageError."""

    def read(self) -> Grant | None:
        """Return what is kept now, whichever process saved it; None where nobody has signed in."""

    def save(self, grant: Grant) -> None:
        """Keep this grant instead of what was kept before, in one commit."""

    def alone(self) -> AbstractContextManager[None]:
        """Keep other processes from changing the grant; raise BusyError if one stays too long."""


class OAuth:
    """The four requests of a sign-in to the Clio at `base_url`, which is scheme and host.

    `now` returns this machine's time in aware UTC. Every method may raise SyncError; where the app
    has to be set and is not, that is ConfigError.
    """

    def __init__(
        self, transport: Transport, app: App, base_url: str, *, now: Callable[[], datetime]
    ) -> None:
        self.host = base_url
        self._transport = transport
        self._app = app
        self._now = now

    def authorize_url(self, state: str) -> str:
        """Return the address where a person allows the app to read; it holds no secret.

        Clio sends `state` back with its answer, so that an answer to another sign-in shows.
        """
        query = {
            "response_type": "code",
            "client_id": self._app.secrets()["client_id"],
            "redirect_uri": self._app.redirect_uri,
            "state": state,
            "redirect_on_decline": "true",
        }
        return f"{self.host}/oauth/authorize?{urlencode(query)}"

    def exchange(self, code: str) -> Grant:
        """Return the grant that the code, which works only once, is good for.

        So the request is repeated only where the one before never arrived. Raise DeniedError where
        Clio does not take the code.
        """
        form = {"code": code, "redirect_uri": self._app.redirect_uri}
        try:
            return self._tokens("authorization_code", form, repeat=_never_arrived)
        except InvalidGrantError:
            raise DeniedError(
                "Clio did not take the code: it is not whole, was used before, is older than ten "
                "minutes, or CLIO_REDIRECT_URI is not the address that it was made for. "
                f"To try again, {LOGIN}."
            ) from None

    def refresh(self, old: Grant) -> Grant:
        """Return a new access token, and the refresh token that counts from now on.

        The request is repeated even where Clio may have acted on it. That gives another token or,
        where the refresh token is spent, InvalidGrantError; without the repeat it would end in that
        error as well.
        """
        form = {"refresh_token": old.refresh_token or ""}
        new = self._tokens("refresh_token", form, repeat=lambda error: True)
        # Clio's FAQ: a refresh token can be used again and again, so an answer need not hold one.
        return replace(new, refresh_token=new.refresh_token or old.refresh_token)

    def withdraw(self, token: str) -> None:
        """Make Clio forget the authorization to which this access token belongs."""
        headers = {**_FORM, "Authorization": f"Bearer {token}"}

        def call() -> Answer:
            return self._post("deauthorize", {"token": token}, headers)

        self._transport.retry(call, repeat=lambda error: True)

    def _tokens(
        self,
        grant_type: str,
        form: Mapping[str, str],
        *,
        repeat: Callable[[UnavailableError], bool],
    ) -> Grant:
        whole = {**self._app.secrets(), "grant_type": grant_type, **form}

        def call() -> Grant:
            asked_at = self._now()
            return _grant(self._post("token", whole, _FORM).json(), self.host, asked_at)

        try:
            return self._transport.retry(call, repeat=repeat)
        except (RefusedError, DeniedError) as error:
            raise _refusal(error) from None

    def _post(self, path: str, form: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        body = urlencode(form).encode()
        url = f"{self.host}/oauth/{path}"
        return self._transport.request("POST", url, headers=headers, body=body)


TOKEN_REFUSED: Final = (
    "Clio refuses the token in CLIO_ACCESS_TOKEN (401): put a new one there; or remove it from the "
    f"settings, because it wins over a sign-in, and {LOGIN}."
)


class GivenToken:
    """A token that cannot be renewed: `CLIO_ACCESS_TOKEN`, or the one of a sign-in just made.

    `refused` is what a person reads where Clio does not take it.
    """

    def __init__(self, token: Secret, refused: str = TOKEN_REFUSED) -> None:
        self._token = token
        self._refused = refused

    def access_token(self) -> str:
        return self._token.reveal()

    def refresh(self) -> None:
        raise DeniedError(self._refused)


class LoginToken:
    """The access token of `login`, renewed before it ends or when Clio refuses it.

    A new token is committed before it is used. Processes renew it one at a time, so the second one
    finds what the first one got. `now` returns this machine's time in aware UTC.
    """

    def __init__(
        self, sign_in: TokenKeeper, oauth: OAuth, stop: Stop, *, now: Callable[[], datetime]
    ) -> None:
        self._sign_in = sign_in
        self._oauth = oauth
        self._stop = stop
        self._now = now
        self._grant: Grant | None = None

    def access_token(self) -> str:
        """Return a token that lasts longer than `MARGIN`, renewed where needed.

        Raise DeniedError where a person has to sign in, and ConfigError where the sign-in belongs
        to another host than the settings name.
        """
        grant = self._grant or self._read()
        self._grant = self._renewed(grant) if self._ends(grant) else grant
        return self._grant.access_token

    def refresh(self) -> None:
        self._grant = self._renewed(self._grant or self._read())

    def _read(self) -> Grant:
        grant = self._sign_in.read()
        if grant is None:
            raise DeniedError(NOT_SIGNED_IN)
        if grant.host != self._oauth.host:
            raise ConfigError(
                "The sign-in that is kept belongs to another Clio host than CLIO_BASE_URL or "
                f"CLIO_REGION now name: put the setting back; or, before the first run, {LOGIN}."
            )
        return grant

    def _ends(self, grant: Grant) -> bool:
        return grant.expires_at - self._now() <= MARGIN

    def _renewed(self, old: Grant) -> Grant:
        """Return another grant than the old one: one that another process got, or a new one."""
        with ExitStack() as until_saved:
            with self._stop.at_once():  # a signal may end the wait, but not what comes after it
                until_saved.enter_context(self._sign_in.alone())
            found = self._read()
            if found.access_token != old.access_token and not self._ends(found):
                return found
            with self._stop.to_the_end():  # Clio's only answer must be kept
                return self._refreshed(found)

    def _refreshed(self, old: Grant) -> Grant:
        if old.refresh_token is None:
            raise DeniedError(f"The sign-in to Clio has ended: {LOGIN}.")
        # A state that cannot be written must show now, not when Clio's only answer is to be kept.
        self._sign_in.save(old)
        log.info("Clio: renewing the sign-in")
        try:
            new = self._oauth.refresh(old)
        except InvalidGrantError:
            found = self._read()
            if found.access_token != old.access_token:
                return found
            raise
        self._sign_in.save(new)
        return new


def _never_arrived(error: UnavailableError) -> bool:
    return not error.outcome_unknown


def _grant(body: Any, host: str, asked_at: datetime) -> Grant:
    """Read the answer of the token endpoint; raise UnavailableError where it cannot be read."""
    if not isinstance(body, dict) or str(body.get("token_type", "bearer")).lower() != "bearer":
        raise _unreadable()
    refresh = body.get("refresh_token")
    return Grant(
        host=host,
        access_token=_word(body.get("access_token")),
        refresh_token=_word(refresh) if refresh not in (None, "") else None,
        expires_at=asked_at + _life(body.get("expires_in")),
    )


def _word(value: object) -> str:
    if isinstance(value, str) and _WORD.fullmatch(value):
        return value
    raise _unreadable()


def _life(seconds: object) -> timedelta:
    """Return a token's life: `seconds` where that is a number above zero, else the usual life.

    Anything else is no reason to throw the tokens away, for the old refresh token may be spent by
    now.
    """
    if isinstance(seconds, int | float) and not isinstance(seconds, bool) and seconds > 0:
        return timedelta(seconds=min(seconds, LONGEST_SECONDS))
    return timedelta(seconds=USUAL_SECONDS)


def _unreadable() -> UnavailableError:
    error = UnavailableError(
        "Clio answered the sign-in with what cannot be read; the next run tries again.",
        outcome_unknown=True,
        answered=True,
    )
    return because(Cause.UNREADABLE, error)


def _refusal(error: RefusedError | DeniedError) -> SyncError:
    """Return what a refusal by the token endpoint means, by its word for it (RFC 6749, 5.2)."""
    if (in_between := refusals.in_place_of_clio(error)) is not None:
        return in_between
    word = refusals.word_in(error.body)
    if word == "invalid_grant":
        return InvalidGrantError(
            f"Clio no longer accepts the sign-in (it was withdrawn, or has ended): {LOGIN}."
        )
    if word == "invalid_client":
        return DeniedError(
            "Clio does not know CLIO_CLIENT_ID, or CLIO_CLIENT_SECRET is not its secret: "
            "copy both anew from the app's page in Clio's developer portal."
        )
    if isinstance(error, RefusedError):
        return ConfigError(
            f"Clio refuses to sign in (status {error.status}): this program and Clio's sign-in "
            "no longer fit, or CLIO_REGION is another than the app's."
        )
    return error
