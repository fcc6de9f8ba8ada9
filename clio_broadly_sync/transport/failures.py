"""A status, or what requests raised, turned into the error that says what to do next.

What a status means for both sides is here. Five of them (400, 409, 410, 413, 422) come back as
`RefusedError`, because only the module of that side knows what it means by them.

Every error about an exchange has a `cause`, which is decided here too: `http_` and the status, or
one of the words below.
"""

import email.utils
import http.client
import ssl
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final, TypeVar

from requests.exceptions import (
    ConnectTimeout,
    InvalidSchema,
    InvalidURL,
    MissingSchema,
    Timeout,
)
from urllib3.exceptions import (
    ConnectTimeoutError,
    LocationParseError,
    ProtocolError,
    ReadTimeoutError,
)

from clio_broadly_sync.domain.errors import (
    AddressError,
    ConfigError,
    DeniedError,
    RefusedError,
    SyncError,
    UnavailableError,
)
from clio_broadly_sync.transport.session import (
    AtProxyError,
    CertificatesError,
    HandshakeError,
    UnusableProxyError,
    certificates_variable,
    proxy_variable,
)

E = TypeVar("E", bound=SyncError)

NOT_REACHED: Final = "not_reached"
"""No connection was made, so nothing was sent."""
TLS: Final = "tls"
"""No trusted TLS connection was made, so nothing was sent."""
CERTIFICATES: Final = "certificates"
"""The certificates that this machine trusts cannot be read, so nothing was sent."""
PROXY: Final = "proxy"
"""The proxy cannot be used, so nothing was sent; `proxy_` and a status is what it answered."""
NO_URL: Final = "no_url"
"""The address in the settings is none."""
TIMEOUT: Final = "timeout"
"""The request was sent, and no complete answer came in time."""
CUT: Final = "cut"
"""The request was sent, and the connection ended before the answer did."""
TOO_LARGE: Final = "too_large"
"""The answer was larger than what is read of one."""
UNREADABLE: Final = "unreadable"
"""An answer came whose bytes, or whose values, are not what they should be."""
NOT_JSON: Final = "not_json"
"""A complete answer came, and is no JSON."""
NO_RESULTS: Final = "no_results"
"""A complete answer came, without results."""
NO_RESULT: Final = "no_result"
"""A complete answer came, with results, but none that fits this item."""
RATE_LIMIT: Final = "rate_limit"
"""The request was not begun, because the rate limit was used up."""

_REFUSALS: Final = frozenset({400, 409, 410, 413, 422})
_TRANSIENT: Final = frozenset({408, 425})
_BUSY: Final = 429
_PROXY_WANTS_A_USER: Final = 407
_NO_URL: Final = (InvalidURL, InvalidSchema, MissingSchema, LocationParseError)
_TOO_SLOW: Final = (TimeoutError, Timeout, ReadTimeoutError)
_CUT_OFF: Final = (ConnectionError, http.client.IncompleteRead, ssl.SSLError, ProtocolError)


def because(cause: str, error: E) -> E:
    """Return the error with its cause: one of the words above, or `http_` and the status."""
    error.cause = cause
    return error


def unreadable(peer: str, what: str, cause: str) -> UnavailableError:
    """Return the error for a complete answer that cannot be read because of `what`."""
    error = UnavailableError(
        f"{peer} answered what cannot be read ({what}); the next run tries again.",
        outcome_unknown=True,
        answered=True,
    )
    return because(cause, error)


def is_decided_by(status: int) -> bool:
    """Tell whether the status alone decides: a redirect, or a refusal of the key or address.

    Of every other answer the body counts, or at least whether it came to its end. The body of a
    refused key may say more, but what becomes of that body changes nothing.
    """
    counts = status < 300 or status >= 500 or status == _BUSY
    return not (counts or status in _REFUSALS or status in _TRANSIENT)


def of_status(
    peer: str, status: int, body: bytes, retry_after: str | None, date: datetime | None
) -> SyncError | None:
    """Return the error that a status means; None for a status below 300.

    `peer` is the side's name in sentences, `retry_after` the header, and `date` the answer's `Date`
    in aware UTC.
    """
    error = _meaning(peer, status, body, retry_after, date)
    return error and because(f"http_{status}", error)


def _meaning(
    peer: str, status: int, body: bytes, retry_after: str | None, date: datetime | None
) -> SyncError | None:
    if status < 300:
        return None
    if status in (401, 403):
        return DeniedError(_denied(peer, status), status=status, body=body)
    if status in _REFUSALS:
        sentence = f"{peer} refuses the request itself (status {status})."
        return RefusedError(sentence, status=status, body=body)
    seconds = seconds_of(retry_after, date)
    if status == _BUSY or (status == 503 and seconds is not None):
        return UnavailableError(
            f"{peer} is busy (status {status}); the next run tries again.",
            answered=True,
            retry_after=seconds,
        )
    if status >= 500 or status in _TRANSIENT:
        return UnavailableError(
            f"{peer} is out of order (status {status}); the next run tries again.",
            outcome_unknown=True,
            answered=True,
        )
    return AddressError(
        f"{peer}'s address is not in order: it answers with status {status}"
        + (" (a redirect, which is never followed)." if status < 400 else ".")
        + f" Check {peer}'s address in the settings.",
        status=status,
    )


def of_exception(peer: str, error: Exception) -> SyncError:
    """Return the error that an exception means.

    The exception's own message is left out, because it may hold a URL or more.
    """
    wrapped = list(_wrapped(error))
    for one in wrapped:
        if isinstance(one, HandshakeError | ssl.SSLCertVerificationError):
            return _of_handshake(peer, one)
        if isinstance(one, CertificatesError | UnusableProxyError | AtProxyError):
            return _of_this_machine(peer, one)
    if isinstance(error, _NO_URL):
        return because(NO_URL, ConfigError(f"{peer}'s address is not a URL; check the settings."))
    if any(isinstance(one, ConnectTimeout | ConnectTimeoutError) for one in wrapped):
        sentence = f"{peer} could not be reached; the next run tries again."
        return because(NOT_REACHED, UnavailableError(sentence))
    sentence = f"{peer} did not answer completely; the next run tries again."
    return because(_broken(wrapped), UnavailableError(sentence, outcome_unknown=True))


_CERTIFICATE: Final = {
    9: "its certificate is not valid yet, or this machine's clock is wrong",
    10: "its certificate has expired, or this machine's clock is wrong",
    62: "its certificate is for another host; check the address in the settings",
    64: "its certificate is for another host; check the address in the settings",
}
"""What is wrong, by the number that OpenSSL has for it (source: its `x509_vfy.h`)."""
_STRANGER: Final = (
    "this machine does not know who signed its certificate; if the network here reads TLS, let "
    "REQUESTS_CA_BUNDLE name a file with its certificates"
)


def _of_handshake(peer: str, error: HandshakeError | ssl.SSLCertVerificationError) -> ConfigError:
    number = error.certificate if isinstance(error, HandshakeError) else error.verify_code
    why = "the address in the settings may be wrong"
    if number is not None:
        why = _CERTIFICATE.get(number, _STRANGER)
    return because(TLS, ConfigError(f"No trusted TLS connection to {_within(peer)}: {why}."))


def _within(peer: str) -> str:
    """Return the name of a side as it stands within a sentence."""
    return peer.replace("The ", "the ")


def _of_this_machine(
    peer: str, error: CertificatesError | UnusableProxyError | AtProxyError
) -> SyncError:
    """Return the error for what stands between this machine and the other side, and names it."""
    proxy = f"The proxy that {proxy_variable()} names"
    if isinstance(error, CertificatesError):
        bundle = f"{certificates_variable()} names certificates that cannot be read: let it name a "
        return because(CERTIFICATES, ConfigError(f"{bundle}PEM file that is whole, or remove it."))
    if isinstance(error, UnusableProxyError):
        sentence = f"{proxy} cannot be used: let it be http://HOST:PORT, or remove it."
        return because(PROXY, ConfigError(sentence))
    if error.status == _PROXY_WANTS_A_USER:
        wants = "wants a user and a password, or refuses these (407): let it be"
        sentence = f"{proxy} {wants} http://USER:PASSWORD@HOST:PORT."
        return because("proxy_407", ConfigError(sentence))
    if error.status is None:
        sentence = f"{proxy} could not be reached; the next run tries again."
        return because(PROXY, UnavailableError(sentence))
    refuses = f"does not connect to {_within(peer)} (status {error.status})"
    sentence = f"{proxy} {refuses}: ask whoever runs it. The next run tries again."
    return because(f"proxy_{error.status}", UnavailableError(sentence))


_DENIED: Final = {
    ("Clio", 401): "run `clio-broadly-sync login`, or put a new token into CLIO_ACCESS_TOKEN",
    ("Clio", 403): "the sign-in lacks a permission; run `clio-broadly-sync check`, which says "
    "which",
    ("Broadly", 401): "put the right key into BROADLY_API_KEY",
    ("Broadly", 403): "ask Broadly to let the key in BROADLY_API_KEY hand over customers, or put "
    "another one there",
}


def _denied(peer: str, status: int) -> str:
    refuses = "forbids this" if status == 403 else "refuses the sign-in or key"
    return f"{peer} {refuses} ({status}): {_DENIED.get((peer, status), 'put a new one in')}."


def _broken(wrapped: Sequence[object]) -> str:
    """Return the cause of an exchange that broke after the request was sent."""
    if any(isinstance(one, _TOO_SLOW) for one in wrapped):
        return TIMEOUT
    return CUT if isinstance(wrapped[-1], _CUT_OFF) else UNREADABLE


def _wrapped(error: object) -> Iterator[object]:
    """Yield an exception and those which requests and urllib3 have wrapped in it, one another."""
    while isinstance(error, Exception):
        yield error
        inner = (getattr(error, "reason", None), getattr(error, "original_error", None))
        parts = (*inner, *error.args)
        error = next((part for part in parts if isinstance(part, Exception)), None)


def seconds_of(header: str | None, date: datetime | None) -> float | None:
    """Return the seconds that a `Retry-After` asks to wait; None where it cannot be read.

    It holds seconds or an HTTP date. A date is counted from the answer's own `Date` or, where that
    is None, from this machine's time.
    """
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    until = http_date(header)
    if until is None:
        return None
    return max(0.0, (until - (date or datetime.now(UTC))).total_seconds())


def http_date(header: str | None) -> datetime | None:
    """Return an HTTP date in aware UTC; None where it cannot be read."""
    try:
        moment = email.utils.parsedate_to_datetime(header or "")
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
