"""The session over which requests go, and whom it trusts.

It tells a connection that was never made from one that broke. requests raises the same classes for
both, but what failed while connecting was never sent.

It also keeps each call within the limit of its thread (`signals.time_limit`), where no signal can:
before each handshake, write and read, the socket's own time-out is cut down to what is left, and
once nothing is left, no address of a host is tried any more. So a call lasts longer only by the
time-out of one address that was begun in time, and by the look-up of the host's name: nothing can
cut that short, and only the time-outs of the system's resolver end it. The connections of another
kind of proxy (SOCKS, by PySocks) are not ours, and have no such limit.
"""

import http
import io
import math
import os
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from http.client import HTTPException, HTTPResponse
from typing import Any, ClassVar, Final, NoReturn

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import select_proxy
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from clio_broadly_sync import __version__
from clio_broadly_sync.domain.errors import ConfigError
from clio_broadly_sync.transport.signals import time_left

REFUSAL_BYTES: Final = 4 * 1024
"""At most so many bytes are read of a refusal whose status decides."""
CERTIFICATES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""The variables that name whom to trust; the first one that is set counts (requests' own rule)."""
_NO_TUNNEL: Final = re.compile(r"Tunnel connection failed: (\d{3})\b")
"""How `http.client` says with which status a proxy refused."""
_BROKEN_OFF: Final = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)


class HandshakeError(ssl.SSLError):
    """TLS was refused, by the other side or by this one, before anything was sent."""

    def __init__(self, error: ssl.SSLError) -> None:
        super().__init__("no trusted TLS connection")
        self.certificate: int | None = getattr(error, "verify_code", None)
        """What OpenSSL holds against the certificate (its `X509_V_ERR_` number); None where the
        handshake failed without looking at one."""


class CertificatesError(OSError):
    """What this machine trusts cannot be read, so nothing was sent."""


class UnusableProxyError(OSError):
    """The proxy that the environment names is none that can be used, so nothing was sent."""


class AtProxyError(NewConnectionError):
    """There is no way through the proxy, so nothing was sent."""

    def __init__(self, connection: HTTPSConnection, error: Exception) -> None:
        super().__init__(connection, "no way through the proxy")
        said = _NO_TUNNEL.match(str(error))
        self.status = int(said[1]) if said is not None else None
        """What the proxy answered; None where it was not reached or said nothing."""


def _keep_within_limit(sock: socket.socket) -> None:
    """Let the next step of a socket end in time; raise TimeoutError where no time is left."""
    left = time_left()
    if left < (sock.gettimeout() or math.inf):
        sock.settimeout(left)


class _Reads(io.RawIOBase):
    """What a socket receives, read within the limit."""

    def __init__(self, sock: socket.socket, file: io.RawIOBase) -> None:
        self._sock, self._file = sock, file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        _keep_within_limit(self._sock)
        read: int | None = self._file.readinto(buffer)
        return read

    def close(self) -> None:
        self._file.close()
        super().close()


class _Response(HTTPResponse):
    """An answer. What may come before it (103, say) is passed over (RFC 9110, 15.2)."""

    def _read_status(self) -> tuple[str, int, str]:
        version, status, reason = super()._read_status()  # type: ignore[misc]
        is_foretold = 100 <= status < 200 and status != http.HTTPStatus.SWITCHING_PROTOCOLS
        # `http.client` passes over CONTINUE alone, and takes 103 for the answer.
        return version, http.HTTPStatus.CONTINUE if is_foretold else status, reason


def _response(sock: socket.socket, **named: Any) -> HTTPResponse:
    """Begin an answer. All that is read of it goes through its `fp`, by TLS or not."""
    left = time_left()  # first, as the answer would keep the socket open if this were to raise
    response = _Response(sock, **named)
    if left < math.inf:
        response.fp = io.BufferedReader(_Reads(sock, response.fp.detach()))
    return response


class _OptionsOfEach:
    """The options of a socket, for which urllib3 asks before it tries each address of a host."""

    def __init__(self, options: Any) -> None:
        self._options = options or ()

    def __iter__(self) -> Iterator[Any]:
        time_left()
        return iter(self._options)


class _PlainConnection(HTTPConnection):
    """A connection of which each step stays within the limit."""

    response_class = staticmethod(_response)  # type: ignore[assignment]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.socket_options: Any = _OptionsOfEach(self.socket_options)

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        try:
            _keep_within_limit(sock)
        except TimeoutError as error:
            sock.close()
            raise ConnectTimeoutError(self, "out of time once connected") from error
        return sock

    def send(self, data: Any) -> None:
        if self.sock is not None:
            _keep_within_limit(self.sock)
        super().send(data)


class _Connection(_PlainConnection, HTTPSConnection):
    _at_proxy = False
    """Whether the way to the other side is not open yet, because a proxy stands before it."""

    def connect(self) -> None:
        """Connect, by a proxy or not, and shake hands.

        Every failure here is raised as HandshakeError, NewConnectionError or one of the errors
        above, so that it can be told from a later one.
        """
        self._at_proxy = self.proxy is not None
        try:
            super().connect()
            time_left()
        except urllib3.exceptions.SSLError as error:  # raised for what it could not load
            if isinstance(error.__cause__, TimeoutError):
                raise NewConnectionError(self, "out of time before the handshake") from error
            raise CertificatesError from error
        except (OSError, HTTPException, ValueError, ConnectTimeoutError) as error:
            told = self._at_the_proxy(error) if self._at_proxy else self._at_the_other_side(error)
            raise told from error

    def _tunnel(self) -> None:
        super()._tunnel()
        self._at_proxy = False
        _keep_within_limit(self.sock)

    def _connect_tls_proxy(self, hostname: str, sock: socket.socket) -> ssl.SSLSocket:
        secured = super()._connect_tls_proxy(hostname, sock)

        def receive(size: int) -> bytes:
            _keep_within_limit(secured)
            return ssl.SSLSocket.recv(secured, size)

        # A handshake, or one read, of TLS within TLS receives as many pieces as there come.
        secured.recv = receive  # type: ignore[method-assign, assignment]
        return secured

    def _at_the_proxy(self, error: Exception) -> Exception:
        is_tls = isinstance(error, ssl.SSLError) and not isinstance(error, _BROKEN_OFF)
        if is_tls or (isinstance(error, ValueError) and not isinstance(error, OSError)):
            return UnusableProxyError()
        return AtProxyError(self, error)

    def _at_the_other_side(self, error: Exception) -> Exception:
        if isinstance(error, ssl.SSLError) and not isinstance(error, _BROKEN_OFF):
            return HandshakeError(error)
        if isinstance(error, ValueError):
            return urllib3.exceptions.LocationParseError("no name of a host")
        return NewConnectionError(self, "broken off while connecting")


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _Pool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Connection


class ReachedError(Exception):
    """A connection to the other side was made, and nothing was sent over it."""


class _OnlyConnecting(_PlainConnection):
    """A connection over which nothing goes, because to some addresses any request is an event."""

    def request(self, *arguments: Any, **named: Any) -> NoReturn:
        """Connect where that was not done yet; raise ReachedError."""
        if self.is_closed:
            self.connect()
        raise ReachedError


class _OnlyConnectingByTls(_OnlyConnecting, _Connection):
    pass


class _OnlyConnectingPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _OnlyConnecting


class _OnlyConnectingPoolByTls(urllib3.HTTPSConnectionPool):
    ConnectionCls = _OnlyConnectingByTls


class _Adapter(HTTPAdapter):
    """Connects by the classes above.

    Over plain http, a failure to connect has a class of its own already.
    """

    pools: ClassVar[Mapping[str, Any]] = {"http": _PlainPool, "https": _Pool}

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self._use_pools(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        if isinstance(manager, urllib3.ProxyManager):
            self._use_pools(manager)
        return manager

    def _use_pools(self, manager: urllib3.PoolManager) -> None:
        manager.pool_classes_by_scheme = {**manager.pool_classes_by_scheme, **self.pools}

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        """Return the pool for the request; raise UnusableProxyError where a proxy allows none."""
        try:
            return super().get_connection_with_tls_context(request, verify, proxies, cert)
        except (requests.RequestException, ValueError) as error:
            if select_proxy(request.url or "", proxies) is None:
                raise
            raise UnusableProxyError from error


class _OnlyConnectingAdapter(_Adapter):
    pools: ClassVar[Mapping[str, Any]] = {
        "http": _OnlyConnectingPool,
        "https": _OnlyConnectingPoolByTls,
    }


def open_session() -> requests.Session:
    """Return a session that names this program and its version to the other side."""
    session = requests.Session()
    session.headers["User-Agent"] = f"clio-broadly-sync/{__version__}"
    adapter = _Adapter()
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def open_connecting_session() -> requests.Session:
    """Return a session that sends nothing: ReachedError is raised once a connection is made."""
    session = open_session()
    session.mount("https://", _OnlyConnectingAdapter())
    session.mount("http://", _OnlyConnectingAdapter())
    return session


class Headers(requests.auth.AuthBase):
    """Sets headers as an `auth` object, because without one requests reads `~/.netrc`.

    Raise ConfigError for a value that no header can carry.
    """

    def __init__(self, peer: str, headers: Mapping[str, str]) -> None:
        if not all(value.isascii() and value.isprintable() for value in headers.values()):
            raise ConfigError(f"{peer}'s token or key holds a character that no header can carry.")
        self._headers = headers

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.update(self._headers)
        return request


def trusted(certificates: str | bool | None) -> str | bool:
    """Return whom to trust: the certificates that the environment names, or the usual ones.

    `certificates` is what requests has read in the environment. Raise ConfigError where it names
    certificates that are not there.
    """
    if isinstance(certificates, str) and not os.path.exists(certificates):
        raise ConfigError(
            f"{certificates_variable()} names certificates that are not there: put them there, or "
            "remove it."
        )
    return certificates or True


def certificates_variable() -> str:
    """Return the variable of the environment that names whom to trust."""
    return next((name for name in CERTIFICATES if os.environ.get(name)), CERTIFICATES[0])


def proxy_variable() -> str:
    """Return the variable of the environment that names the proxy for https.

    One for https counts before one for everything, and small letters before capital ones.
    """
    for wanted in ("https_proxy", "all_proxy"):
        names = [name for name in os.environ if name.lower() == wanted]
        if os.environ.get(wanted, "set") and any(os.environ[name] for name in names):
            return wanted if wanted in names else names[0]
    return "the system"


def beginning(response: requests.Response) -> bytes:
    """Return how the body of a refusal (400 and above) begins, which may hold the word for it.

    Return nothing for any other status, or where the body cannot be read.
    """
    if response.status_code < 400:
        return b""
    try:
        return next(response.iter_content(REFUSAL_BYTES), b"")
    except Exception:  # noqa: BLE001  (whatever a library makes of it, the status has decided)
        return b""
