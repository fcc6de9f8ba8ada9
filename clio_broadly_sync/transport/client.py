"""One HTTP request: its limits of time and size, and the rate limit.

No API of Clio or of Broadly is known here. What a status or an exception means is in
`transport/failures.py`, when a call is made again in `transport/retrying.py`.
"""

import json
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, TypeVar
from urllib.parse import quote_plus

import requests

from clio_broadly_sync.domain.errors import (
    Cause,
    StoppedError,
    SyncError,
    TooLateError,
    UnavailableError,
    because,
)
from clio_broadly_sync.transport import failures
from clio_broadly_sync.transport.addresses import host_of
from clio_broadly_sync.transport.clock import Clock
from clio_broadly_sync.transport.rate_limit import RateLimit
from clio_broadly_sync.transport.session import (
    Headers,
    ReachedError,
    beginning,
    open_connecting_session,
    open_session,
    trusted,
)
from clio_broadly_sync.transport.signals import Stop, time_limit

log = logging.getLogger("clio_broadly_sync.transport")
T = TypeVar("T")

CONNECT_SECONDS: Final = 10.0
READ_SECONDS: Final = 30.0
"""The time for each read of the socket, not for the whole answer."""
WHOLE_CALL_SECONDS: Final = 60.0
MAX_BODY_BYTES: Final = 4 * 1024 * 1024
"""The largest body that is read, which is forty times the largest answer that there is. What JSON
makes of a larger one could fill the memory of a small machine."""
CHUNK_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """A complete answer with a status below 300."""

    peer: str
    """Who answered, as a sentence names it."""
    status: int
    body: bytes
    date: datetime | None
    """Its `Date` header in aware UTC; None where it has none that can be read."""

    def json(self) -> Any:
        """Return what the JSON of the body says; raise UnavailableError where it is no JSON."""
        try:
            return read_json(self.body)
        except ValueError:
            raise failures.unreadable(self.peer, "no JSON", Cause.NOT_JSON) from None


class Transport:
    """Requests to one side, over one session.

    `peer` is how a sentence names that side. `patience` returns the seconds that may still be spent
    on waiting; as long as answers come, a wait may in any case last until `grace` seconds after the
    last answer. Once `stop` has noted a signal, waits end and no request begins. One request may
    take at most `whole_call` seconds, and at most `per_minute` begin in a minute. `waiting` is
    called before each wait, with what is waited for and how many seconds. `sleep` and `clock` are
    arguments so that tests wait for nothing.
    """

    def __init__(
        self,
        peer: str,
        *,
        patience: Callable[[], float],
        stop: Stop,
        grace: float = 0.0,
        whole_call: float = WHOLE_CALL_SECONDS,
        per_minute: int | None = None,
        waiting: Callable[[str, float], object] = lambda what, seconds: None,
        sleep: Callable[[float], None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.peer = peer
        self.requests = 0
        """How many requests were begun."""
        self.bytes = 0
        """How many bytes of answers were read."""
        self.waited = 0.0
        """How many seconds were spent on waiting."""
        self._patience = patience
        self._stop = stop
        self._sleep = sleep or stop.sleep
        self._grace = grace
        self._whole_call = whole_call
        self._waiting = waiting
        self._answered = -math.inf
        self.clock = clock or Clock()
        """By which all ages and waits are counted."""
        self.began = self.clock()
        """When the last request began, by `clock`."""
        self._session = open_session()
        self._ways: dict[str, tuple[Mapping[str, str], str | bool]] = {}
        self._rate_limit = RateLimit(self.clock, per_minute)

    def close(self) -> None:
        """Close the connections that were kept open."""
        self._session.close()

    def ready_in(self) -> float:
        """Return in how many seconds the next request may begin by the pace."""
        return max(0.0, self._rate_limit.pace_seconds())

    def wait(self, seconds: float) -> None:
        """Sleep as long as the other side wants it, and count the seconds as waited."""
        self._sleep(seconds)
        self.waited += seconds

    def retry(
        self,
        call: Callable[[], T],
        *,
        repeat: Callable[[UnavailableError], bool],
        limit: Callable[[], float] = lambda: math.inf,
    ) -> T:
        """Call until it succeeds, at most `retrying.ATTEMPTS` times; return what it returned.

        Between two calls, wait with exponential backoff and full jitter, or as long as the other
        side asks, whichever is longer. `repeat` says which failures are safe to repeat. No wait is
        begun that is longer than `patience()` (or the grace) or than `limit()` allows, in seconds.
        Raise what the last call raised.
        """
        try:
            return call()
        except UnavailableError as error:
            failed = error
        from clio_broadly_sync.transport import retrying

        return retrying.again(
            call,
            failed,
            repeat=repeat,
            may_wait=lambda: min(self._may_wait(), limit()),
            before_wait=self._say_wait,
            sleep=self.wait,
        )

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        params: list[tuple[str, str]] | None = None,
        body: bytes | None = None,
        limit: Callable[[], float] = lambda: math.inf,
    ) -> Answer:
        """Send one request and return its complete answer, which has a status below 300.

        `headers` carry the credentials: they go to this URL only, no redirect is followed, and
        `~/.netrc` does not replace them. The request does not begin once `limit()` is not above
        zero. Raise UnavailableError (of which TooLateError is one), DeniedError, RefusedError or
        ConfigError; and StoppedError where a signal came before, or in the middle of a GET.
        """
        auth = Headers(self.peer, headers)
        self._await_turn(limit)
        self.requests += 1
        request = requests.Request(method, url, data=body, auth=auth)
        try:
            answer = self._answered_by(request, query_of(params or []))
        except SyncError as error:
            self._log_end(method, error.cause or error.outcome)
            raise
        self._log_end(method, f"http_{answer.status}")
        return answer

    def reach(self, url: str) -> None:
        """Connect to the host of an address, as a request to it would, and send nothing.

        Raise ConfigError or UnavailableError where that cannot be, StoppedError at a signal.
        """
        host = host_of(url)
        proxies, certificates = self._way_to(host)
        asked = requests.Request("GET", f"{host}/", auth=Headers(self.peer, {}))
        with open_connecting_session() as session, self._stop.at_once():
            try:
                with time_limit(self._whole_call):
                    session.get_adapter(host).send(
                        session.prepare_request(asked),
                        timeout=CONNECT_SECONDS,
                        verify=certificates,
                        proxies=proxies,
                    )
            except ReachedError:
                log.info("%s: reached, and sent nothing", self.peer)
            except StoppedError:
                raise
            except Exception as error:  # noqa: BLE001  (as of a request)
                raise failures.of_exception(self.peer, error) from None

    def _answered_by(self, request: requests.Request, query: str) -> Answer:
        try:
            prepared = self._session.prepare_request(request)
            if query:  # requests would go through each of its bytes once more
                prepared.url = f"{prepared.url}?{query}"
            with self._interruptible(request.method or ""), time_limit(self._whole_call):
                return self._exchange(prepared)
        except SyncError:
            raise
        except Exception as error:  # noqa: BLE001  (a chunk's size below zero is a ValueError)
            raise failures.of_exception(self.peer, error) from None

    def _log_end(self, method: str, what: str) -> None:
        """Log what became of a request, and after how many seconds; its address may be a secret."""
        seconds = self.clock() - self.began
        line = "%s %s request %d: %s after %.1f s"
        log.info(line, self.peer, method, self.requests, what, seconds)

    def _await_turn(self, limit: Callable[[], float]) -> None:
        """Wait for the rate limit and the pace; raise where they or `limit` leave no time, or a
        signal came."""
        self._await_pace(limit)
        wait = self._rate_limit.seconds()
        if wait > 0 and wait > min(self._may_wait(), limit()):
            error = UnavailableError(
                f"{self.peer}'s rate limit is used up for longer than this run may wait; "
                "the next run goes on.",
                retry_after=wait,
            )
            raise because(Cause.RATE_LIMIT, error)
        if wait > 0:
            log.info("%s rate limit used up: waiting %.0f s", self.peer, wait)
            self._waiting(f"{self.peer}'s rate limit", wait)
            self.wait(wait)
        self._stop.check()
        if limit() <= 0:
            raise self._too_late()
        self._rate_limit.count_request()
        self.began = self.clock()

    def _await_pace(self, limit: Callable[[], float]) -> None:
        """Wait for the turn that the pace gives; raise TooLateError where there is no time for it.

        The other side is not to blame for that, and the request is one of a later run.
        """
        wait = self.ready_in()
        if wait > 0 and wait > min(self._may_wait(), limit()):
            raise self._too_late()
        if wait > 0:
            self._waiting(f"the turn at {self.peer}", wait)
            self.wait(wait)

    def _too_late(self) -> TooLateError:
        return TooLateError(
            f"What was to be sent to {self.peer} has grown old; the next run reads it again."
        )

    def _may_wait(self) -> float:
        return max(self._patience(), self._answered + self._grace - self.clock())

    def _exchange(self, prepared: requests.PreparedRequest) -> Answer:
        url = prepared.url or ""
        if prepared.method != "GET":
            # On a kept connection that the other side has just closed, the answer seems lost.
            self._session.close()
        proxies, certificates = self._way_to(host_of(url))
        # Not by the session, which would read the whole body of a redirect to prepare the next.
        with self._session.get_adapter(url).send(
            prepared,
            stream=True,
            timeout=(min(CONNECT_SECONDS, self._whole_call), min(READ_SECONDS, self._whole_call)),
            verify=certificates,
            proxies=proxies,
        ) as response:
            return self._answer(response)

    def _way_to(self, host: str) -> tuple[Mapping[str, str], str | bool]:
        """Return the proxies to use for a host (with its scheme), and whom to trust there.

        The environment is asked once for each host.
        """
        if host not in self._ways:
            settings = self._session.merge_environment_settings(host, {}, True, None, None)
            # Plain http is for loopback only, and a proxy of the environment is a foreign host.
            proxies = settings["proxies"] if host.startswith("https://") else {}
            self._ways[host] = proxies, trusted(settings["verify"])
        return self._ways[host]

    def _answer(self, response: requests.Response) -> Answer:
        status, date = response.status_code, failures.http_date(response.headers.get("Date"))
        self._rate_limit.note_answer(response.headers, date)
        body = beginning(response) if failures.is_decided_by(status) else self._read(response)
        retry_after = response.headers.get("Retry-After")
        error = failures.of_status(self.peer, status, body, retry_after, date)
        if error is not None:
            raise error
        self._answered = self.clock()
        return Answer(self.peer, status, body, date)

    def _read(self, response: requests.Response) -> bytes:
        body = bytearray()
        for chunk in response.iter_content(CHUNK_BYTES):
            body += chunk
            self.bytes += len(chunk)
            if len(body) > MAX_BODY_BYTES:
                error = UnavailableError(
                    f"{self.peer} answered with more than {MAX_BODY_BYTES} bytes; "
                    "the next run tries again.",
                    outcome_unknown=True,
                )
                raise because(Cause.TOO_LARGE, error)
        return bytes(body)

    @contextmanager
    def _interruptible(self, method: str) -> Iterator[None]:
        """Let a signal end a GET at once; a POST that is under way comes to its end."""
        if method == "GET":
            with self._stop.at_once():
                yield
        else:
            yield

    def _say_wait(self, seconds: float) -> None:
        log.info("%s: trying again in %.1f s", self.peer, seconds)
        self._waiting(self.peer, seconds)


def query_of(params: Iterable[tuple[str, str]]) -> str:
    """Return the parameters as a URL has them after the question mark."""
    return "&".join([f"{_quoted(name)}={_quoted(value)}" for name, value in params])


def _quoted(text: str) -> str:
    return text if text.isdecimal() and text.isascii() else _quote(text)


_quote = lru_cache(quote_plus)


def read_json(body: bytes) -> Any:
    """Return what the JSON says; raise ValueError where it is no JSON.

    A key that an object has twice, with two values, gets a value of no JSON type, so that nobody
    can take it for one that may be used.
    """
    try:
        return json.loads(body, parse_constant=_no_constant, object_pairs_hook=_unambiguous)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        for key, value in pairs:
            if found[key] != value:
                found[key] = _AMBIGUOUS
    return found


_AMBIGUOUS: Final = object()
