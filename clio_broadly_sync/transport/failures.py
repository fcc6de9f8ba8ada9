"""A status, or what requests raised, turned into the error that says what to do next.

What a status means for both sides is here. Most of those from 400 to 499 come back as
`RefusedError`, because only the module of that side knows what it means by them.

Every error about an exchange has a `cause`, which is decided here too.
"""

import email.utils
import http
import http.client
import math
import re
import ssl
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

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
    Cause,
    ConfigError,
    DeniedError,
    RefusedError,
    SyncError,
    UnavailableError,
    because,
)
from clio_broadly_sync.transport.session import (
    AtProxyError,
    CertificatesError,
    HandshakeError,
    UnusableProxyError,
    certificates_variable,
    proxy_variable,
)

_REFUSALS: Final = frozenset({400, 409, 410, 413, 422})
"""The statuses whose body may name what is wrong with the request."""
_NOT_HERE: Final = frozenset({404, 405})
_NETWORK_SIGN_IN: Final = 511
_TRANSIENT: Final = frozenset({408, 425})
_BUSY: Final = 429
_OUT_OF_ORDER: Final = 503
_PROXY_WANTS_A_USER: Final = 407
LONGEST_SECONDS: Final = 1e9
"""A wait that is asked for is cut down to this; no run waits so long."""
_SECONDS: Final = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(?:s|secs?|seconds?)?\s*", re.IGNORECASE)
_NO_URL: Final = (InvalidURL, InvalidSchema, MissingSchema, LocationParseError)
_TOO_SLOW: Final = (TimeoutError, Timeout, ReadTimeoutError)
_CUT_OFF: Final = (ConnectionError, http.client.IncompleteRead, ssl.SSLError, ProtocolError)


def unreadable(peer: str, what: str, cause: str) -> UnavailableError:
    """Return the error for a complete answer that cannot be read because of `what`."""
    error = UnavailableError(
        f"{peer} answered what cannot be read ({what}); the next run tries again.",
        outcome_unknown=True,
        answered=True,
    )
    return because(cause, error)


def is_decided_by(status: int) -> bool:
    """Tell whether the status alone decides: a redirect, or a refusal that is not of the request.

    Of every other answer the body counts, or at least whether it came to its end. The body of such
    a refusal may say more, but what becomes of that body changes nothing here.
    """
    counts = status < 300 or status >= 500 or status == _BUSY
    return not (counts or status in _REFUSALS or status in _TRANSIENT)


def of_status(
    peer: str, status: int, body: bytes, retry_after: str | None, date: datetime | None
) -> SyncError | None:
    """Return the error that a status means; None for one from 200 to 299.

    `peer` is the side's name in sentences, `retry_after` the header, and `date` the answer's `Date`
    in aware UTC.
    """
    error = _meaning(peer, status, body, retry_after, date)
    return error and because(f"http_{status}", error)


def _meaning(
    peer: str, status: int, body: bytes, retry_after: str | None, date: datetime | None
) -> SyncError | None:
    if status < 200:
        return unreadable(peer, f"status {status}", Cause.UNREADABLE)
    if status < 300:
        return None
    if status in (401, 403):
        return DeniedError(_denied(peer, status), status=status, body=body)
    if status == _BUSY or (status == _OUT_OF_ORDER and retry_after is not None):
        sentence = f"{peer} is busy (status {status}); the next run tries again."
        wait = seconds_of(retry_after, date)
        return UnavailableError(sentence, answered=True, retry_after=wait)
    if status >= 500 or status in _TRANSIENT:
        sentence = f"{peer} is out of order (status {status}); the next run tries again."
        if status == _NETWORK_SIGN_IN:
            sentence = _of_the_network(peer, status)
        return UnavailableError(sentence, outcome_unknown=True, answered=True)
    return _refused(peer, status, body)


def _refused(peer: str, status: int, body: bytes) -> AddressError | RefusedError:
    address = f"{peer}'s address is not in order: it answers with status {status}"
    check = f"Check {peer}'s address in the settings."
    if status < 400:
        redirect = f"{address} (a redirect, which is never followed). {check}"
        return AddressError(redirect, status=status)
    if status in _NOT_HERE:
        return AddressError(f"{address}. {check}", status=status)
    sentence = (
        f"{peer} refuses this with {_with_phrase(status)}: neither the address nor the key is "
        f"wrong; look whether the account there is in order, or ask {peer}."
    )
    if status in _REFUSALS:
        sentence = f"{peer} refuses the request itself (status {status})."
    elif status == _PROXY_WANTS_A_USER:
        sentence = _of_the_network(peer, status)
    return RefusedError(sentence, status=status, body=body)


def _of_the_network(peer: str, status: int) -> str:
    """Tell of a status that only what stands in between gives (RFC 9110, 407; RFC 6585, 511)."""
    between = f"Something between this machine and {_within(peer)}"
    return f"{between} wants a sign-in of its own (status {status}): ask whoever runs the network."


def _with_phrase(status: int) -> str:
    phrases = {one.value: f" ({one.phrase})" for one in http.HTTPStatus}
    return f"status {status}{phrases.get(status, '')}"


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
        return because(
            Cause.NO_URL, ConfigError(f"{peer}'s address is not a URL; check the settings.")
        )
    if any(isinstance(one, ConnectTimeout | ConnectTimeoutError) for one in wrapped):
        sentence = f"{peer} could not be reached; the next run tries again."
        return because(Cause.NOT_REACHED, UnavailableError(sentence))
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
    return because(Cause.TLS, ConfigError(f"No trusted TLS connection to {_within(peer)}: {why}."))


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
        return because(
            Cause.CERTIFICATES, ConfigError(f"{bundle}PEM file that is whole, or remove it.")
        )
    if isinstance(error, UnusableProxyError):
        sentence = f"{proxy} cannot be used: let it be http://HOST:PORT, or remove it."
        return because(Cause.PROXY, ConfigError(sentence))
    if error.status == _PROXY_WANTS_A_USER:
        wants = "wants a user and a password, or refuses these (407): let it be"
        sentence = f"{proxy} {wants} http://USER:PASSWORD@HOST:PORT."
        return because("proxy_407", ConfigError(sentence))
    if error.status is None:
        sentence = f"{proxy} could not be reached; the next run tries again."
        return because(Cause.PROXY, UnavailableError(sentence))
    refuses = f"does not connect to {_within(peer)} (status {error.status})"
    sentence = f"{proxy} {refuses}: ask whoever runs it. The next run tries again."
    return because(f"proxy_{error.status}", UnavailableError(sentence))


_DENIED: Final = {
    ("Clio", 401): "run `clio-broadly-sync login`",
    ("Clio", 403): "the sign-in lacks a permission; run `clio-broadly-sync check`, which says "
    "which",
    ("Broadly", 401): "put the right key into BROADLY_API_KEY",
    ("Broadly", 403): "ask Broadly to let the key in BROADLY_API_KEY send customers, or put "
    "another one there",
}


def _denied(peer: str, status: int) -> str:
    refuses = "forbids this" if status == 403 else "refuses the sign-in or key"
    return f"{peer} {refuses} ({status}): {_DENIED.get((peer, status), 'put a new one in')}."


def _broken(wrapped: Sequence[object]) -> str:
    """Return the cause of an exchange that broke after the request was sent."""
    if any(isinstance(one, _TOO_SLOW) for one in wrapped):
        return Cause.TIMEOUT
    return Cause.CUT if isinstance(wrapped[-1], _CUT_OFF) else Cause.UNREADABLE


def _wrapped(error: object) -> Iterator[object]:
    """Yield an exception and those which requests and urllib3 have wrapped in it, one another."""
    while isinstance(error, Exception):
        yield error
        inner = (getattr(error, "reason", None), getattr(error, "original_error", None))
        parts = (*inner, *error.args)
        error = next((part for part in parts if isinstance(part, Exception)), None)


def seconds_of(header: str | None, date: datetime | None) -> float | None:
    """Return the seconds that a `Retry-After` asks to wait; None where it cannot be read.

    It holds seconds or an HTTP date. Seconds are rounded up, and may be fractions or have their
    unit beside them; of several, the longest wait counts. A date is counted from the answer's own
    `Date` or, where that is None, from this machine's time.
    """
    until = http_date(header)
    if until is not None:
        return max(0.0, (until - (date or datetime.now(UTC))).total_seconds())
    found = [_SECONDS.fullmatch(part) for part in (header or "").split(",")]
    seconds = [min(float(one[1]), LONGEST_SECONDS) for one in found if one is not None]
    return float(math.ceil(max(seconds))) if seconds else None


def http_date(header: str | None) -> datetime | None:
    """Return an HTTP date in aware UTC; None where it cannot be read."""
    try:
        moment = email.utils.parsedate_to_datetime(header or "")
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
