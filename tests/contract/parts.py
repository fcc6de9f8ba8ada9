"""Parts for the tests of Clio's and Broadly's side: a clock, tokens, a transport, clients."""

import io
from collections.abc import Callable
from datetime import UTC, date, datetime
from email.utils import format_datetime
from typing import Any

import requests
import urllib3

from clio_broadly_sync.domain.errors import DeniedError
from clio_broadly_sync.domain.model import Key, ReviewRequest
from clio_broadly_sync.transport.client import Transport
from clio_broadly_sync.transport.clock import Clock as SteadyClock
from clio_broadly_sync.transport.signals import Stop

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
DAY = date(2026, 11, 20)
DATE = {"Date": format_datetime(NOW, usegmt=True)}
BEARER = {"Authorization": "Bearer secret"}


class Clock:
    """A monotonic clock, in seconds, which only a sleep moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.waits: list[float] = []
        """How many seconds each sleep lasted."""
        self.at_sleep: Callable[[], object] = lambda: None
        """What happens at the end of each sleep."""
        self.steady = SteadyClock(self.now, ())

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.seconds += seconds
        self.at_sleep()


class Tokens:
    """A stand-in for the sign-in, which gives its first token, and after a refresh the next."""

    def __init__(self, *tokens: str) -> None:
        self.token, *self.fresh = tokens or ("first",)
        self.refreshes = 0

    def access_token(self) -> str:
        return self.token

    def refresh(self) -> None:
        self.refreshes += 1
        if not self.fresh:
            raise DeniedError("No other token is to be had.")
        self.token = self.fresh.pop(0)


def transport(
    peer: str = "Clio",
    *,
    clock: Clock | None = None,
    patience: float = 1000.0,
    stop: Stop | None = None,
    whole_call: float = 60.0,
    per_minute: int | None = None,
) -> Transport:
    """Return a transport whose waits take no time."""
    clock = clock or Clock()
    return Transport(
        peer,
        patience=lambda: patience,
        stop=stop or Stop(),
        whole_call=whole_call,
        per_minute=per_minute,
        sleep=clock.sleep,
        clock=clock.steady,
    )


def review_request(number: int, **changes: Any) -> ReviewRequest:
    """Return the review request for the matter `number`, whose client has the id 1200 + number."""
    given = {"first_name": "Ada", "last_name": "Lovelace", "email": f"ada{number}@example.com"}
    return ReviewRequest(Key(number, DAY), 1200 + number, DAY, **{**given, **changes})


def served(
    handler: Callable[[requests.PreparedRequest], tuple[int, dict[str, str], bytes]],
) -> Callable[..., requests.Response]:
    """Return a function in place of `HTTPAdapter.send`, which answers quickly and without network.

    `handler` returns status, headers and body of the answer to a request.
    """

    def send(
        self: Any, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> requests.Response:
        status, headers, body = handler(request)
        raw = urllib3.HTTPResponse(
            io.BytesIO(body), headers, status, preload_content=False, decode_content=False
        )
        response: requests.Response = self.build_response(request, raw)
        return response

    return send
