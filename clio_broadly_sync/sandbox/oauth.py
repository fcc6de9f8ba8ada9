"""The sandbox's sign-in to Clio: the consent page, the token endpoint, and the valid tokens."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from html import escape
from urllib.parse import parse_qsl, urlencode, urlsplit

from clio_broadly_sync.sandbox.server import Clock, Request, Response

CODE_LIFE = timedelta(minutes=10)
"""How long a code may be exchanged for tokens."""
HTML = {"Content-Type": "text/html; charset=utf-8"}
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>
:root{{color-scheme:light dark}}body{{font:16px system-ui;max-width:32rem;margin:4rem auto;
padding:0 1.5rem}}button{{font:inherit;
padding:.5rem 1.2rem;margin-right:.5rem}}form{{display:inline}}</style></head>
<body><h1>{title}</h1>{body}</body></html>"""
FORM = """<form method="post" action="/oauth/authorize">{inputs}<input type="hidden" name="decision"
value="{decision}"><button type="submit">{label}</button></form>"""


@dataclass
class Grant:
    """What one answer of the token endpoint gave: an access token and a refresh token."""

    access: str
    refresh: str
    expires: datetime
    """When the access token ends; aware UTC."""
    sign_in: str = field(default_factory=lambda: secrets.token_hex(8))
    """The same for all grants that came of one authorization, which is withdrawn as a whole."""


@dataclass
class _Code:
    redirect_uri: str
    expires: datetime


@dataclass
class OAuth:
    """One developer app and the tokens that it was given."""

    clock: Clock
    client_id: str = "sandbox-app"
    client_secret: str = field(default_factory=lambda: secrets.token_hex(20))
    redirect_uris: set[str] = field(default_factory=lambda: {"http://127.0.0.1:8765/callback"})
    """The addresses to which a browser may be sent back."""
    token_life: timedelta = timedelta(days=30)
    """How long a new access token is valid."""
    rotating: bool = False
    """Whether a refresh also gives a new refresh token, so that the old one is spent."""
    auto_consent: bool | None = None
    """True allows and False declines without showing the page; None shows it."""
    grants: list[Grant] = field(default_factory=list)
    """What was issued and has not been withdrawn."""
    tokens: set[str] = field(default_factory=set)
    """Every token that was ever given, for those who search for leaks."""
    codes: set[str] = field(default_factory=set)
    """Every code that was ever given, for the same purpose."""
    _codes: dict[str, _Code] = field(default_factory=dict)
    """The codes that have not been exchanged yet."""

    def issue(self, access: str | None = None) -> Grant:
        """Authorize the app without a browser; the access token is made up unless one is given."""
        access = access or f"clio-access-{secrets.token_hex(16)}"
        refresh = f"clio-refresh-{secrets.token_hex(16)}"
        grant = Grant(access, refresh, self.clock.now() + self.token_life)
        self.grants.append(grant)
        self.tokens |= {access, refresh}
        return grant

    def valid(self, access: str) -> bool:
        """Tell whether this access token was issued, not withdrawn, and has not ended."""
        now = self.clock.now()
        return any(grant.access == access and now < grant.expires for grant in self.grants)

    def expire(self) -> None:
        """Let every access token end now; the refresh tokens remain valid."""
        for grant in self.grants:
            grant.expires = self.clock.now()

    def revoke(self, token: str | None = None) -> None:
        """Withdraw the authorization that this access or refresh token belongs to.

        Without a token, withdraw them all.
        """
        gone = {g.sign_in for g in self.grants if token in (None, g.access, g.refresh)}
        self.grants[:] = [g for g in self.grants if g.sign_in not in gone]

    def authorize(self, request: Request) -> Response:
        """Answer with the consent page, or do what was chosen there."""
        asked = request.form if request.method == "POST" else dict(request.pairs)
        refused = self._unfit(asked)
        if refused is not None:
            return refused
        if request.method == "POST":
            return self._decide(asked, asked.get("decision") == "allow")
        if self.auto_consent is not None:
            return self._decide(asked, self.auto_consent)
        return Response(200, self._page(asked), HTML)

    def approval(self, request: Request) -> Response:
        """Show the code on a page, for programs that cannot listen on a port."""
        code = escape(request.first("code") or "")
        return _page(f"Success code={code}", f"<p>Your code: <code>{code}</code></p>")

    def token(self, request: Request) -> Response:
        """Give tokens for a code or for a refresh token (RFC 6749, 4.1.3 and 6)."""
        asked = request.form
        known = asked.get("client_id") == self.client_id
        if not known or asked.get("client_secret") != self.client_secret:
            return _error(401, "invalid_client", "Client authentication failed.")
        kind = asked.get("grant_type")
        if kind == "authorization_code":
            return self._exchange(asked)
        if kind == "refresh_token":
            return self._refresh(asked)
        return _error(400, "unsupported_grant_type", "The grant type is not supported.")

    def deauthorize(self, request: Request, bearer: str) -> Response:
        """Withdraw the authorization of the token in the form, which must be the one in use."""
        token = request.form.get("token", "")
        if token != bearer:
            return _error(400, "invalid_request", "token is missing or not the one in use.")
        self.revoke(token)
        return Response(200)

    def _unfit(self, asked: Mapping[str, str]) -> Response | None:
        if asked.get("client_id") != self.client_id:
            return _error(401, "invalid_client", "Unknown client.")
        if not self._listed(asked.get("redirect_uri", "")):
            return _error(400, "invalid_redirect_uri", "The redirect URI is not on the list.")
        if asked.get("response_type") != "code":
            return _error(400, "unsupported_response_type", "response_type must be code.")
        return None

    def _listed(self, uri: str) -> bool:
        """Tell whether an address is on the list, with further query parameters or without.

        The approval page is allowed although it is not on it.
        """
        if urlsplit(uri).path == "/oauth/approval":
            return True
        return any(_fits(uri, listed) for listed in self.redirect_uris)

    def _decide(self, asked: Mapping[str, str], allowed: bool) -> Response:
        state = {"state": asked["state"]} if "state" in asked else {}
        if allowed:
            code = secrets.token_urlsafe(24)
            self.codes.add(code)
            self._codes[code] = _Code(asked["redirect_uri"], self.clock.now() + CODE_LIFE)
            return _redirect(asked["redirect_uri"], {"code": code, **state})
        if asked.get("redirect_on_decline") == "true":
            return _redirect(asked["redirect_uri"], {"error": "access_denied", **state})
        return _page("Declined", "<p>Nothing was shared. You may close this page.</p>")

    def _exchange(self, asked: Mapping[str, str]) -> Response:
        code = self._codes.pop(asked.get("code", ""), None)
        fits = code is not None and asked.get("redirect_uri") == code.redirect_uri
        if code is None or not fits or self.clock.now() >= code.expires:
            return _invalid_grant()
        grant = self.issue()
        return self._tokens(grant.access, grant.refresh)

    def _refresh(self, asked: Mapping[str, str]) -> Response:
        old = next((g for g in self.grants if g.refresh == asked.get("refresh_token")), None)
        if old is None:
            return _invalid_grant()
        new = self.issue()
        new.sign_in = old.sign_in
        if self.rotating:
            old.refresh = f"spent-{secrets.token_hex(16)}"
            return self._tokens(new.access, new.refresh)
        new.refresh = old.refresh
        return self._tokens(new.access, None)

    def _tokens(self, access: str, refresh: str | None) -> Response:
        life = int(self.token_life.total_seconds())
        tokens = {"token_type": "bearer", "access_token": access, "expires_in": life}
        return Response.of_json(200, tokens | ({"refresh_token": refresh} if refresh else {}))

    def _page(self, asked: Mapping[str, str]) -> bytes:
        inputs = "".join(
            f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
            for name, value in asked.items()
        )
        forms = "".join(
            FORM.format(inputs=inputs, decision=decision, label=label)
            for decision, label in (("allow", "Allow"), ("decline", "Decline"))
        )
        body = f"<p>An application asks to read matters, contacts and custom fields.</p>{forms}"
        return PAGE.format(title="Sandbox of Clio", body=body).encode()


def _fits(uri: str, listed: str) -> bool:
    if uri == listed:
        return True
    asked, known = urlsplit(uri), urlsplit(listed)
    same = asked[:3] == known[:3] and not asked.fragment
    return same and set(parse_qsl(known.query)) <= set(parse_qsl(asked.query))


def _page(title: str, body: str) -> Response:
    return Response(200, PAGE.format(title=title, body=body).encode(), HTML)


def _redirect(uri: str, values: Mapping[str, str]) -> Response:
    joint = "&" if urlsplit(uri).query else "?"
    return Response(302, b"", {"Location": f"{uri}{joint}{urlencode(values)}"})


def _error(status: int, code: str, description: str) -> Response:
    return Response.of_json(status, {"error": code, "error_description": description})


def _invalid_grant() -> Response:
    return _error(400, "invalid_grant", "The grant or token is invalid, expired or revoked.")
