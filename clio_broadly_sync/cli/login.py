"""`login` and `logout`: sign in to Clio, in the browser or by a pasted code, and out again.

The address to which the browser brings Clio's answer is in `cli/callback_server.py`.
"""

import secrets
import sys
import threading
import webbrowser
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Final, NoReturn
from urllib.parse import urlsplit

import click

from clio_broadly_sync.cli import app, logs, output
from clio_broadly_sync.cli.callback_server import (
    DECLINED,
    CallbackServer,
    Reply,
    is_loopback,
    reply_of,
)
from clio_broadly_sync.cli.options import Options, of_a_firm
from clio_broadly_sync.cli.output import say
from clio_broadly_sync.domain.account import Account
from clio_broadly_sync.domain.credentials import Grant
from clio_broadly_sync.domain.errors import (
    LOGIN,
    ConfigError,
    DeniedError,
    StoppedError,
    SyncError,
    shown,
)
from clio_broadly_sync.domain.model import Pins
from clio_broadly_sync.pipeline import pins
from clio_broadly_sync.settings import Settings
from clio_broadly_sync.transport.signals import Stop

if TYPE_CHECKING:
    from clio_broadly_sync.cli.clients import Clients

PATIENCE_SECONDS: Final = 20.0
"""At most so many seconds are spent on one wait for Clio."""
LOGOUT_PATIENCE_SECONDS: Final = 3.0
"""The same when signing out, which must not hang on a Clio that does not answer."""
WAIT_SECONDS = 300.0
"""The browser has so many seconds to bring Clio's answer."""
HINT_SECONDS = 60.0
"""After so many of them it is said what may be wrong."""
_PASTE: Final = "run `clio-broadly-sync login --paste`"
"""How a sentence ends that asks a person to sign in where there is no browser."""


@click.command()
@click.option(
    "--paste",
    is_flag=True,
    help="For a machine without a browser: use one anywhere, and paste what it ended on.",
)
@of_a_firm
def login(options: Options, paste: bool) -> None:
    """Sign in to Clio in the browser; the tokens are kept in the state, and nowhere else.

    Example: clio-broadly-sync login
    """
    _carry_out(options, partial(_log_in, paste=paste))


@click.command()
@of_a_firm
def logout(options: Options) -> None:
    """Sign out of Clio and erase the tokens here, also when Clio does not answer.

    Example: clio-broadly-sync logout
    """
    _carry_out(options, _log_out)


def _carry_out(options: Options, work: Callable[[Settings, Stop], None]) -> NoReturn:
    call = app.Call()
    with call.until_error():
        work(app.settings_of(options), call.stop)
    sys.exit(call.code)


def _log_in(settings: Settings, stop: Stop, *, paste: bool) -> None:
    try:
        _LogIn(settings, stop).carry_out(paste)
    except DeniedError as error:
        if not paste:
            raise
        # The machine has no browser, so the sentence must not ask for a sign-in in the browser.
        raise DeniedError(str(error).replace(LOGIN, _PASTE)) from None


class _LogIn:
    """One sign-in.

    It holds the state locked while a person signs in, so that no run can change the pins meanwhile.
    """

    def __init__(self, settings: Settings, stop: Stop) -> None:
        self._settings = settings
        self._stop = stop
        self._sign_in = app.place_of(settings).sign_in()
        self._clients = app.connect(settings, stop, lambda: PATIENCE_SECONDS)
        self._state = secrets.token_urlsafe(32)
        self._url = self._clients.oauth.authorize_url(self._state)

    def carry_out(self, paste: bool) -> None:
        """Sign in, check the account, store the tokens, and say whose account it is.

        Raise ConfigError where the host or the account is not the state's, or where the browser
        cannot bring Clio's answer here; and DeniedError where there is no code, or Clio refuses it.
        """
        if not paste and not is_loopback(self._settings.clio_redirect_uri):
            raise ConfigError(
                "CLIO_REDIRECT_URI is no http:// address of this machine, so the browser cannot "
                "bring Clio's answer here: use `login --paste`, or set it to one."
            )
        with app.locked(self._settings):
            known = self._pins()
            code = self._pasted() if paste else self._from_browser()
            grant = self._clients.oauth.exchange(code)
            account = self._account(grant, known)
            self._save(grant)
            app.place_of(self._settings).signed_in()
        self._say(grant, account)

    def _pins(self) -> Pins | None:
        """Return the state's pins; None where it has none yet.

        Raise ConfigError where the settings name another host.
        """
        with app.place_of(self._settings).snapshot() as store:
            known = store.pins()
        if known is not None:
            pins.check_host(known, app.wanted(self._settings))
        return known

    def _from_browser(self) -> str:
        """Listen, and only then open the browser; return the code that it brings.

        Raise DeniedError where it brings none in time.
        """
        redirect_uri = self._settings.clio_redirect_uri
        with CallbackServer(redirect_uri, self._state) as server:
            say("Opening Clio in the browser. If no page appears, open this address there:")
            click.echo(self._url)
            say("(Without a browser on this machine: Ctrl-C, then `login --paste`.)")
            threading.Thread(target=webbrowser.open, args=(self._url,), daemon=True).start()
            with self._stop.at_once():
                reply = self._reply(server)
        if reply is None:
            raise DeniedError(
                "Nobody finished the sign-in within 5 minutes. If Clio showed an error page of its "
                f"own: {redirect_uri} must be listed, letter for letter, among the redirect "
                f"addresses of the app in Clio's developer portal. To try again, {LOGIN}."
            )
        return _code(reply)

    def _reply(self, server: CallbackServer) -> Reply | None:
        """Wait for the answer; say after a while what may keep it."""
        strayed = partial(logs.error, _STRAY)
        soon = min(HINT_SECONDS, WAIT_SECONDS)
        reply = server.wait(soon, strayed=strayed)
        if reply is None and soon < WAIT_SECONDS:
            say(_HINT.format(self._settings.clio_redirect_uri), err=True)
            reply = server.wait(WAIT_SECONDS - soon, strayed=strayed)
        return reply

    def _pasted(self) -> str:
        """Ask for the code, or for the address that holds it; return the code.

        Raise DeniedError where there is none, or where the address belongs to another sign-in.
        """
        say("Open this address in any browser, and allow the app to read:")
        click.echo(self._url)
        say(
            "The browser then ends on a page that shows a code; or on one that cannot be opened, "
            "whose address holds it.",
        )
        try:
            with output.patience(self._stop):
                text = click.prompt("Paste the code, or that whole address", err=True).strip()
        except click.Abort:
            raise DeniedError(f"No code was pasted. To try again, {LOGIN}.") from None
        if "://" not in text:
            return str(text)
        reply = reply_of(urlsplit(text).query, self._state)
        if reply is None:
            raise DeniedError(_ANOTHER)
        return _code(reply)

    def _account(self, grant: Grant, known: Pins | None) -> Account:
        """Return the account that the new token opens; raise ConfigError for another account."""
        self._clients.use_token(grant.access_token)
        account = pins.read_account(self._clients.source())
        pins.check_account(known, account)
        return account

    def _save(self, grant: Grant) -> None:
        with ExitStack() as until_saved:
            with self._stop.at_once():
                until_saved.enter_context(self._sign_in.alone())
            self._sign_in.save(grant)

    def _say(self, grant: Grant, account: Account) -> None:
        user = f" as {shown(account.user)}" if account.user else ""
        firm = f" of {shown(account.firm)}" if account.firm else ""
        say(f"Signed in to Clio{user}{firm}.")
        if grant.refresh_token is None:
            ends = output.day(grant.expires_at.astimezone().date())
            say(f"Clio gave nothing to renew it with: it ends on {ends}; then sign in again.")
        if self._settings.clio_access_token is not None:
            say(
                "CLIO_ACCESS_TOKEN is set as well, and it wins: remove it from the settings, "
                "so that this sign-in is used."
            )
        say("Next: `clio-broadly-sync check`")


_HINT: Final = (
    "Still waiting for the browser. What may be wrong:\n"
    "  - Clio shows an error: {} must be listed in the app, in Clio's developer portal, letter for "
    "letter; and CLIO_CLIENT_ID must be that app's key.\n"
    "  - The page after “Allow” cannot be opened: the browser is on another machine. Ctrl-C, then "
    "`clio-broadly-sync login --paste`.\n"
    "  - No page has opened: open the address above in a browser on this machine."
)
_ANOTHER: Final = (
    "What came back does not belong to this sign-in (its `state` is another): it was not used. "
    f"It may come from an older page; to try again, {LOGIN}."
)
_STRAY: Final = (
    "An answer came that does not belong to this sign-in (its `state` is another; it may come from "
    "an older page): it was not used. Still waiting for the page that was opened now."
)


def _code(reply: Reply) -> str:
    """Return the code, or raise DeniedError with a sentence that says why there is none."""
    if reply.error == DECLINED:
        raise DeniedError(
            f"The sign-in was declined on Clio's page; nothing was shared. To try again, {LOGIN}, "
            "and choose to allow it."
        )
    if reply.code is None or reply.error is not None:
        raise DeniedError(
            f"Clio ended the sign-in without a code ({shown(reply.error or 'no reason given')}): "
            "check the app in Clio's developer portal, and try again."
        )
    return reply.code


def _log_out(settings: Settings, stop: Stop) -> None:
    sign_in = app.place_of(settings).sign_in()
    if sign_in.read() is None:
        say("Not signed in to Clio: there was nothing to forget.")
    else:
        with app.locked(settings):
            told = withdraw(settings, stop)
            with sign_in.alone():
                sign_in.erase()
        say("Signed out of Clio; the tokens are erased here." if told else NOT_TOLD)
    if settings.clio_access_token is not None:
        say("CLIO_ACCESS_TOKEN is set, and goes on working: remove it from the settings.")


NOT_TOLD: Final = (
    "The tokens are erased here, but Clio did not confirm it: to be sure, withdraw the app's "
    "access in Clio's own settings, where the connected apps are listed."
)


def withdraw(settings: Settings, stop: Stop) -> bool:
    """Withdraw the sign-in at Clio, and return whether that worked.

    A sign-in that has ended is renewed first. A signal raises StoppedError, and the person is then
    still signed in.
    """
    patience = LOGOUT_PATIENCE_SECONDS
    clients = app.connect(settings, stop, lambda: patience, makes_progress=False)
    try:
        _withdraw(clients)
    except StoppedError:
        raise
    except SyncError:
        return False
    return True


def _withdraw(clients: "Clients") -> None:
    tokens = clients.login_token
    token = tokens.access_token()
    try:
        clients.oauth.withdraw(token)
    except DeniedError:
        tokens.refresh()
        clients.oauth.withdraw(tokens.access_token())
