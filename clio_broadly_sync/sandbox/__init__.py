"""A Clio and a Broadly that run on this machine, for the demo, for practice and for the tests.

They speak real HTTP on loopback, need nothing but the standard library, and know nothing of the
program that talks to them. `Sandbox` starts both.
"""

import base64
import secrets
from types import TracebackType
from typing import ClassVar, Self

from clio_broadly_sync.sandbox.broadly import Accepted, Broadly
from clio_broadly_sync.sandbox.clio import Clio
from clio_broadly_sync.sandbox.firm import Firm
from clio_broadly_sync.sandbox.records import MISSING, Box
from clio_broadly_sync.sandbox.server import Request, Response
from clio_broadly_sync.sandbox.webhook import Webhook

__all__ = [
    "MISSING",
    "Accepted",
    "Box",
    "Broadly",
    "Clio",
    "Firm",
    "Request",
    "Response",
    "Sandbox",
    "Webhook",
]


class Sandbox:
    """A Clio and a Broadly on loopback, as a context manager.

    Leaving it stops both servers, and nothing of them remains. If one of them failed by a mistake
    of its own, the client only got a 500; so a RuntimeError with the tracebacks is raised then,
    unless another error is being raised already.

    Where no `firm` is given, one is made up from `seed`, `contacts` and `matters`, and a token or a
    key that is not given is made up as well. `rule` is the SYNC_RULE of the settings, `rate_limit`
    how many requests Clio allows each token in a minute, and `dedupes` whether Broadly recognizes a
    transactionId that it has accepted. A port of 0 means any free one.

    With the `profile` "webhook" an automation stands in Broadly's place. The key is then the secret
    part of its address, and it knows the secret with which POSTs are signed.
    """

    clio_server: ClassVar[type[Clio]] = Clio
    """The class of the Clio that is started; a subclass may put its own here."""
    broadly_server: ClassVar[type[Broadly]] = Broadly
    """The class of the Broadly that is started."""
    webhook_server: ClassVar[type[Webhook]] = Webhook
    """The class of the automation that is started in its place."""

    def __init__(
        self,
        firm: Firm | None = None,
        *,
        seed: int = 1,
        contacts: int = 40,
        matters: int = 60,
        rule: str = "both",
        dedupes: bool = True,
        rate_limit: int = 100_000,
        access_token: str | None = None,
        api_key: str | None = None,
        auth_header: str = "Authorization: Bearer {key}",
        clio_port: int = 0,
        broadly_port: int = 0,
        profile: str = "batch",
        webhook_secret: str | None = None,
    ) -> None:
        self.firm = firm or Firm(seed, contacts, matters)
        self.rule = rule
        self.clio = self.clio_server(
            self.firm, port=clio_port, rate_limit=rate_limit, token=access_token
        )
        self.broadly: Broadly
        if profile == "webhook":
            self.broadly = self.webhook_server(
                self.firm.clock,
                port=broadly_port,
                key=api_key or f"hook-{secrets.token_hex(16)}",
                secret=webhook_secret or _signing_secret(),
            )
        else:
            self.broadly = self.broadly_server(
                self.firm.clock,
                port=broadly_port,
                key=api_key or f"broadly-key-{secrets.token_hex(16)}",
                auth_header=auth_header,
                dedupes=dedupes,
            )

    def start(self) -> Self:
        self.clio.start()
        self.broadly.start()
        return self

    def stop(self) -> None:
        self.clio.stop()
        self.broadly.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        errors = [*self.clio.errors, *self.broadly.errors]
        if errors and error is None:
            raise RuntimeError("the sandbox failed:\n" + "\n".join(errors))

    def settings(self, *, login: bool = False, **changes: str) -> dict[str, str]:
        """Return the environment for a program that is to run against the sandbox.

        With `login` it holds the app's id, secret and redirect URI instead of a token. `changes`
        are further settings, which win over those that the sandbox gives.
        """
        oauth = self.clio.oauth
        app = {
            "CLIO_CLIENT_ID": oauth.client_id,
            "CLIO_CLIENT_SECRET": oauth.client_secret,
            "CLIO_REDIRECT_URI": min(oauth.redirect_uris),
        }
        return {
            "CLIO_BASE_URL": self.clio.url,
            **(app if login else {"CLIO_ACCESS_TOKEN": self.clio.token}),
            "SYNC_RULE": self.rule,
            "BROADLY_URL": self.broadly.endpoint,
            **self._of_broadly(),
            **changes,
        }

    def _of_broadly(self) -> dict[str, str]:
        """Return the settings of the destination, but its address."""
        if isinstance(self.broadly, Webhook):
            secret = self.broadly.secret
            signed = {} if secret is None else {"BROADLY_WEBHOOK_SECRET": secret}
            return {"BROADLY_PROFILE": "webhook", **signed}
        return {
            "BROADLY_PROFILE": "batch",
            "BROADLY_API_KEY": self.broadly.key,
            "BROADLY_AUTH_HEADER": self.broadly.auth_header,
            "BROADLY_DEDUPES": "true" if self.broadly.dedupes else "false",
        }

    def people(self) -> set[str]:
        """Return every name, e-mail address and phone number that is or was in the firm."""
        return self.firm.people()


def _signing_secret() -> str:
    return f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}"
