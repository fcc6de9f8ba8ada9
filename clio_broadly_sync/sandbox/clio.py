"""The sandbox's Clio: its paths, permissions, versions, rate limit and error answers."""

import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

from clio_broadly_sync.sandbox.firm import Firm
from clio_broadly_sync.sandbox.oauth import OAuth
from clio_broadly_sync.sandbox.queries import ApiError, Pager, integers
from clio_broadly_sync.sandbox.records import Named, Row, Sight, etag
from clio_broadly_sync.sandbox.render import Draw, InvalidFieldError, Renderer, parse_fields
from clio_broadly_sync.sandbox.server import Request, Response, Server

API = "/api/v4/"
PRACTICE = "/practice"
"""Where a program that practises is told its settings; there is no such page in Clio."""
VERSIONS = ("4.0.9", "4.0.10", "4.0.11", "4.0.12", "4.0.13")
RESOURCES = {"matters": "matter", "contacts": "contact", "custom_fields": "custom_field"}
WINDOW = 60
"""How many seconds the rate limit counts together (Clio's rate limit guide)."""
UNKNOWN_TOKEN = {
    "error": "invalid_token",
    "error_description": "The access token provided is expired, revoked, malformed or invalid "
    "for other reasons.",
}


class RateLimit:
    """Counts the requests of each token in each minute of the firm's clock.

    `allowed` is how many of them a minute may have.
    """

    def __init__(self, allowed: int) -> None:
        self.allowed = allowed
        self._lock = threading.Lock()
        self._counts: dict[str, tuple[int, int]] = {}

    def take(self, token: str, now: float) -> tuple[int, int]:
        """Count one request, and return how many remain and when the next window begins.

        The number is negative where the request is refused. `now` and the second value are in
        seconds since 1970.
        """
        with self._lock:
            window = int(now // WINDOW)
            begun, count = self._counts.get(token, (window, 0))
            count = count + 1 if begun == window else 1
            self._counts[token] = (window, min(count, self.allowed + 1))
            return self.allowed - count, (window + 1) * WINDOW


class Clio(Server):
    """Clio Manage for one firm and one developer app.

    `rate_limit` is how many requests a token may make in a minute. `token` is the access token that
    is valid from the beginning; where none is given, it is made up.
    """

    def __init__(
        self, firm: Firm, *, port: int = 0, rate_limit: int = 100_000, token: str | None = None
    ) -> None:
        super().__init__(firm.clock, port)
        self.firm = firm
        self.oauth = OAuth(firm.clock)
        self.token = self.oauth.issue(token).access
        """The access token that was issued here, at the start or by `rotate`."""
        self.rate = RateLimit(rate_limit)
        self.forbidden: set[str] = set()
        """The resources that answer 403: matters, contacts, custom_fields, users."""
        self.strip_values = False
        """Whether all custom field values are null, as for a token that may not read them."""
        self.skew = timedelta(0)
        """By how much the Date header is ahead of the firm's clock."""
        self.practice: Mapping[str, str] = {}
        """The settings that are told there; without any, there is no such page here, either."""
        self.send_date = True
        """Whether answers carry a Date header at all."""
        self.retry_after_date = False
        """Whether Retry-After is a date instead of a number of seconds."""
        self._pagers = {kind: Pager(firm, kind) for kind in RESOURCES.values()}

    def forbid(self, *names: str) -> None:
        """Take permissions away; without the one for custom fields, their values are null, too."""
        self.forbidden.update(names)
        self.strip_values = self.strip_values or "custom_fields" in names

    def allow(self, *names: str) -> None:
        """Give permissions back."""
        self.forbidden.difference_update(names)
        self.strip_values = self.strip_values and "custom_fields" not in names

    def cap_pages(self, kind: str, rows: int) -> None:
        """Put at most so many rows on a page of this kind, however many are asked for.

        `kind` is matter, contact or custom_field.
        """
        self._pagers[kind].cap = rows

    def rotate(self) -> str:
        """Withdraw every token, and return a new access token."""
        self.oauth.revoke()
        self.token = self.oauth.issue().access
        return self.token

    def date(self) -> str | None:
        if not self.send_date:
            return None
        return format_datetime((self.clock.now() + self.skew).astimezone(UTC), usegmt=True)

    def handle(self, request: Request) -> Response:
        with self.firm.lock:
            if request.path.startswith("/oauth/"):
                return self._sign_in(request)
            if self.practice and request.path == PRACTICE:
                return Response.of_json(200, dict(self.practice))
            if not request.path.startswith(API):
                return _failure(ApiError(404, "NotFound", "Not found"))
            return self._api(request)

    def _sign_in(self, request: Request) -> Response:
        known: dict[tuple[str, str], Callable[[Request], Response]] = {
            ("GET", "authorize"): self.oauth.authorize,
            ("POST", "authorize"): self.oauth.authorize,
            ("GET", "approval"): self.oauth.approval,
            ("POST", "token"): self.oauth.token,
            ("POST", "deauthorize"): self._deauthorize,
        }
        name = request.path.removeprefix("/oauth/")
        answer = known.get((request.method, name))
        return answer(request) if answer else _failure(ApiError(404, "NotFound", "Not found"))

    def _deauthorize(self, request: Request) -> Response:
        token = _bearer(request)
        if not self.oauth.valid(token):
            return Response.of_json(401, UNKNOWN_TOKEN)
        return self.oauth.deauthorize(request, token)

    def _api(self, request: Request) -> Response:
        token, now = _bearer(request), self.clock.now().timestamp()
        remaining, reset = self.rate.take(token, now)
        limits = {
            "X-RateLimit-Limit": str(self.rate.allowed),
            "X-RateLimit-Remaining": str(max(0, remaining)),
            "X-RateLimit-Reset": str(reset),
        }
        if not self.oauth.valid(token):
            return Response.of_json(401, UNKNOWN_TOKEN, limits)
        if remaining < 0:
            limits["Retry-After"] = self._retry_after(reset, now)
            return _failure(ApiError(429, "RateLimited", "Too many requests"), limits)
        version = request.header("x-api-version") or VERSIONS[-1]
        try:
            response = self._versioned(request, version)
        except InvalidFieldError as error:
            response = _failure(ApiError(400, "InvalidFields", str(error)))
        except ApiError as error:
            response = _failure(error)
        return replace(response, headers={**limits, **response.headers, "X-API-VERSION": version})

    def _versioned(self, request: Request, version: str) -> Response:
        if version not in VERSIONS:
            raise ApiError(410, "Gone", f"API version {version!r} is not available")
        name, _, rest = request.path.removeprefix(API).removesuffix(".json").partition("/")
        if request.method != "GET" or name not in (*RESOURCES, "users"):
            raise ApiError(404, "NotFound", "Not found")
        if name in self.forbidden:
            message = "User is forbidden from taking that action"
            raise ApiError(403, "ForbiddenError", message)
        if name == "users":
            return self._who_am_i(request, rest)
        return self._one(request, name, rest) if rest else self._list(request, name)

    def _list(self, request: Request, name: str) -> Response:
        kind = RESOURCES[name]
        draw = self._plan(request, kind)
        page = self._pagers[kind].page(request, self.url)
        meta = {"paging": page.paging, "records": page.records}
        return Response.of_json(200, {"data": [draw(row) for row in page.rows], "meta": meta})

    def _one(self, request: Request, name: str, row_id: str) -> Response:
        draw = self._plan(request, RESOURCES[name])
        table: Any = self._pagers[RESOURCES[name]].table
        row: Row | None = table.get(int(row_id)) if row_id.isdecimal() else None
        if row is None or getattr(row, "sight", None) in (Sight.HIDDEN, Sight.HIDDEN_REDACTED):
            raise ApiError(404, "RecordNotFound", "The record could not be found")
        changed = datetime.fromtimestamp(row.updated, UTC)
        marks = {"ETag": etag(row), "Last-Modified": format_datetime(changed, usegmt=True)}
        if _unchanged(request, marks["ETag"], changed):
            return Response(304, b"", marks)
        return Response.of_json(200, {"data": draw(row)}, marks)

    def _who_am_i(self, request: Request, rest: str) -> Response:
        if rest != "who_am_i":
            raise ApiError(404, "NotFound", "Not found")
        draw = Renderer(self.firm, field_ids=None, stripped=False).plan(
            "who", parse_fields(request.first("fields"))
        )
        who = self.firm.account
        first, _, last = who.user_name.partition(" ")
        account = Named(who.id, who.name, {"state": who.state})
        more = {
            "email": who.user_email, "enabled": who.enabled, "time_zone": who.time_zone,
            "first_name": first, "last_name": last, "account": account, "account_owner": True,
            "subscription_type": "Attorney", "roles": [],
        }  # fmt: skip
        return Response.of_json(200, {"data": draw(Named(who.user_id, who.user_name, more))})

    def _plan(self, request: Request, kind: str) -> Draw:
        ids = request.query.get("custom_field_ids[]")
        only = None if ids is None else integers("custom_field_ids[]", ids)
        renderer = Renderer(self.firm, field_ids=only, stripped=self.strip_values)
        return renderer.plan(kind, parse_fields(request.first("fields")))

    def _retry_after(self, reset: int, now: float) -> str:
        if self.retry_after_date:
            return format_datetime(datetime.fromtimestamp(reset, UTC), usegmt=True)
        return str(max(1, math.ceil(reset - now)))


def _bearer(request: Request) -> str:
    kind, _, token = (request.header("authorization") or "").partition(" ")
    return token if kind == "Bearer" else ""


def _unchanged(request: Request, mark: str, changed: datetime) -> bool:
    known, since = request.header("if-none-match"), request.header("if-modified-since")
    if known is not None:
        return known == mark
    try:
        return since is not None and changed <= parsedate_to_datetime(since)
    except (ValueError, TypeError):
        return False


def _failure(error: ApiError, headers: Mapping[str, str] | None = None) -> Response:
    body = {"error": {"type": error.kind, "message": str(error)}}
    return Response.of_json(error.status, body, headers)
