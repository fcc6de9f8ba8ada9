"""One HTTP request: time limits, status to error, the one retry policy, pacing.

Knows neither Clio nor Broadly. What a status means for both is here (`_error`); what only one
of them means by it (400, 409, 413, 422) comes back as `RefusedError`.
"""

import email.utils
import json
import logging
import math
import signal
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from types import FrameType
from typing import Any, Final, TypeVar

import requests
import tenacity
import urllib3

from clio_broadly_sync.errors import (
    ConfigError,
    DeniedError,
    RefusedError,
    StoppedError,
    SyncError,
    UnavailableError,
)

log = logging.getLogger(__name__)
T = TypeVar("T")

ATTEMPTS: Final = 5
BACKOFF_SECONDS: Final = 0.5
BACKOFF_MAX_SECONDS: Final = 30.0
CONNECT_SECONDS: Final = 10.0
READ_SECONDS: Final = 30.0
WHOLE_CALL_SECONDS: Final = 60.0
MAX_BODY_BYTES: Final = 32 * 1024 * 1024
CHUNK_BYTES: Final = 64 * 1024

_REFUSALS: Final = frozenset({400, 409, 410, 413, 422})
_TRANSIENT: Final = frozenset({408, 425})
_HANDSHAKE: Final = ("HANDSHAKE", "PROTOCOL", "WRONG_VERSION", "HTTP_REQUEST", "HTTPS_PROXY")


class Stop:
    """Whether a signal has asked the run to end, and the sleep that it cuts short."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._signal: int | None = None
        self._at_once = False

    def ask(self, signal_number: int, frame: FrameType | None = None) -> None:
        """Note the signal (a handler for `signal.signal`); raise where nothing is in flight."""
        self._signal = signal_number
        self._asked.set()
        if self._at_once:
            raise StoppedError(signal_number)

    def check(self) -> None:
        """Raise StoppedError once a signal has come."""
        if self._signal is not None:
            raise StoppedError(self._signal)

    def sleep(self, seconds: float) -> None:
        self._asked.wait(seconds)
        self.check()

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Let a signal end what is inside, which changes nothing anywhere."""
        self.check()
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """A complete answer with a status below 300; `date` is its `Date` header, aware UTC."""

    peer: str
    status: int
    body: bytes
    date: datetime | None

    def json(self) -> Any:
        """Return the body's JSON; raise UnavailableError where it is none."""
        try:
            return json.loads(self.body, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            raise UnavailableError(
                f"{self.peer} answered what cannot be read (no JSON); the next run tries again.",
                outcome_unknown=True,
                answered=True,
            ) from None


class Transport:
    """Requests to one side, over one session.

    `patience` returns the seconds that may still be spent waiting. `sleep` and `monotonic` are
    arguments so that tests wait for nothing.
    """

    def __init__(
        self,
        peer: str,
        *,
        patience: Callable[[], float],
        stop: Stop,
        sleep: Callable[[float], None] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.peer = peer
        self.requests = 0
        self._patience = patience
        self._stop = stop
        self._sleep = sleep or stop.sleep
        self._monotonic = monotonic
        self._session = requests.Session()
        self._not_before = -math.inf

    def close(self) -> None:
        self._session.close()

    def retry(
        self,
        call: Callable[[], T],
        *,
        repeat: Callable[[UnavailableError], bool],
        limit: Callable[[], float] = lambda: math.inf,
    ) -> T:
        """Call until it succeeds: at most `ATTEMPTS` times, with exponential backoff and full
        jitter or the wait that the other side asks for, whichever is longer.

        `repeat` says which failures are safe to repeat; nothing is waited for beyond
        `patience()` and `limit()` seconds. Raises what the last call raised.
        """

        def spent(state: tenacity.RetryCallState) -> bool:
            left = min(self._patience(), limit())
            return state.attempt_number >= ATTEMPTS or state.upcoming_sleep > left

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(
                lambda error: isinstance(error, UnavailableError) and repeat(error)
            ),
            wait=_wait,
            stop=spent,
            sleep=self._sleep,
            before_sleep=self._log_wait,
            reraise=True,
        )
        return retrying(call)

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        params: list[tuple[str, str]] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Send one request and return its complete answer, of a status below 300.

        `headers` carry the credentials: they go to this URL only, no redirect is followed and
        `~/.netrc` does not replace them. Raises UnavailableError, DeniedError, RefusedError,
        ConfigError, or StoppedError where a signal came before.
        """
        self._pace()
        self._stop.check()
        self.requests += 1
        log.info("%s %s request %d", self.peer, method, self.requests)
        prepared = self._session.prepare_request(
            requests.Request(method, url, params=params, data=body, auth=_Headers(headers))
        )
        try:
            with self._interruptible(method), _wall_clock(WHOLE_CALL_SECONDS):
                return self._exchange(prepared)
        except (requests.RequestException, urllib3.exceptions.HTTPError, TimeoutError) as error:
            raise _failure(self.peer, error) from None

    def _exchange(self, prepared: requests.PreparedRequest) -> Answer:
        url = prepared.url or ""
        # Over plain http (loopback only) a proxy of the environment would be a foreign host.
        secure = url.startswith("https://")
        settings = self._session.merge_environment_settings(url, {}, True, None, None)
        # The adapter itself: a session would read a redirect's whole body to prepare the next.
        with self._session.get_adapter(url).send(
            prepared,
            stream=True,
            timeout=(CONNECT_SECONDS, READ_SECONDS),
            verify=settings["verify"] or True,
            proxies=settings["proxies"] if secure else {},
        ) as response:
            body = self._read(response)
        date = _http_date(response.headers.get("Date"))
        self._note_rate(response.headers, date)
        error = _error(self.peer, response, body, date)
        if error is not None:
            raise error
        return Answer(self.peer, response.status_code, body, date)

    def _read(self, response: requests.Response) -> bytes:
        body = bytearray()
        for chunk in response.iter_content(CHUNK_BYTES):
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise UnavailableError(
                    f"{self.peer} answered with more than {MAX_BODY_BYTES} bytes; "
                    "the next run tries again.",
                    outcome_unknown=True,
                )
        return bytes(body)

    @contextmanager
    def _interruptible(self, method: str) -> Iterator[None]:
        """Let a signal cut a GET short; a POST in flight is waited for."""
        if method == "GET":
            with self._stop.at_once():
                yield
        else:
            yield

    def _note_rate(self, headers: Mapping[str, str], date: datetime | None) -> None:
        """Remember until when nothing more may be asked (Clio rate limit guide)."""
        remaining = headers.get("X-RateLimit-Remaining", "")
        reset = headers.get("X-RateLimit-Reset", "")
        if remaining.strip() != "0" or not reset.strip().isdecimal() or len(reset) > 12:
            return
        now = date.timestamp() if date is not None else time.time()
        # A second more: `Date` and `Reset` are whole seconds.
        self._not_before = self._monotonic() + max(0.0, int(reset) - now + 1)

    def _pace(self) -> None:
        wait = self._not_before - self._monotonic()
        if wait <= 0:
            return
        if wait > self._patience():
            raise UnavailableError(
                f"{self.peer}'s rate limit is used up for longer than this run may last; "
                "the next run goes on.",
                retry_after=wait,
            )
        log.info("%s rate limit used up: waiting %.0f s", self.peer, wait)
        self._sleep(wait)

    def _log_wait(self, state: tenacity.RetryCallState) -> None:
        log.info("%s: trying again in %.1f s", self.peer, state.upcoming_sleep)


class _Headers(requests.auth.AuthBase):
    """Sets headers as an `auth` object, because requests consults `~/.netrc` without one."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.update(self._headers)
        return request


@contextmanager
def _wall_clock(seconds: float) -> Iterator[None]:
    """Raise TimeoutError inside after `seconds`.

    A time-out of requests bounds each read of the socket, not the whole: a server that drips
    a byte a second would hold the run for ever.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def expire(signal_number: int, frame: FrameType | None) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _wait(state: tenacity.RetryCallState) -> float:
    """The wait that was asked for, or full jitter, whichever is longer."""
    jitter = tenacity.wait_random_exponential(BACKOFF_SECONDS, BACKOFF_MAX_SECONDS)(state)
    error = state.outcome.exception() if state.outcome is not None else None
    asked = error.retry_after if isinstance(error, UnavailableError) else None
    return max(jitter, asked or 0.0)


def _error(
    peer: str, response: requests.Response, body: bytes, date: datetime | None
) -> SyncError | None:
    """Turn a status into the error that says what to do next; None below 300."""
    status = response.status_code
    if status < 300:
        return None
    if status in (401, 403):
        return DeniedError(_denied(peer, status), status=status)
    if status in _REFUSALS:
        sentence = f"{peer} refuses the request itself (status {status})."
        return RefusedError(sentence, status=status, body=body)
    retry_after = _seconds(response.headers.get("Retry-After"), date)
    if status == 429 or (status == 503 and retry_after is not None):
        return UnavailableError(
            f"{peer} is busy (status {status}); the next run tries again.",
            answered=True,
            retry_after=retry_after,
        )
    if status >= 500 or status in _TRANSIENT:
        return UnavailableError(
            f"{peer} is out of order (status {status}); the next run tries again.",
            outcome_unknown=True,
            answered=True,
        )
    return ConfigError(
        f"{peer}'s address is not in order: it answers with status {status}"
        + (" (a redirect, which is never followed)." if status < 400 else ".")
        + f" Check {peer.upper()}'s address in the settings."
    )


def _denied(peer: str, status: int) -> str:
    if status == 403:
        return f"{peer} forbids this (403): the sign-in or key lacks a permission."
    return f"{peer} refuses the sign-in or key (401): sign in again, or put a new key in."


def _failure(peer: str, error: Exception) -> SyncError:
    """Turn what requests raised into an error; the message of `error` may hold a URL or more."""
    if _is_tls(error):
        return ConfigError(
            f"{peer}'s address is not in order: no trusted TLS connection "
            "(wrong host, or a certificate that is not valid)."
        )
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.MissingSchema):
        return ConfigError(f"{peer}'s address is not a URL; check the settings.")
    if _never_arrived(error):
        return UnavailableError(f"{peer} could not be reached; the next run tries again.")
    return UnavailableError(
        f"{peer} did not answer completely; the next run tries again.", outcome_unknown=True
    )


def _is_tls(error: Exception) -> bool:
    """Tell a refused handshake from a TLS connection that broke later: the same class in requests.

    Only what can be nothing but the handshake counts; after that a POST may have been acted on.
    """
    reason = _reason(error)
    cause = reason.args[0] if isinstance(reason, urllib3.exceptions.SSLError) else None
    if isinstance(cause, ssl.SSLCertVerificationError):
        return True
    words = (cause.reason or "") if isinstance(cause, ssl.SSLError) else ""
    return any(word in words for word in _HANDSHAKE)


def _never_arrived(error: Exception) -> bool:
    """Tell a connection that never stood from one that was cut: the same class in requests."""
    never = requests.exceptions.ConnectTimeout | requests.exceptions.ProxyError
    return isinstance(error, never) or isinstance(
        _reason(error),
        urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError,
    )


def _reason(error: Exception) -> object:
    return getattr(error.args[0], "reason", None) if error.args else None


def _seconds(header: str | None, date: datetime | None) -> float | None:
    """Read `Retry-After`, seconds or HTTP date; None where it is neither."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    until = _http_date(header)
    if until is None:
        return None
    return max(0.0, (until - (date or datetime.now(UTC))).total_seconds())


def _http_date(header: str | None) -> datetime | None:
    try:
        moment = email.utils.parsedate_to_datetime(header or "")
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
