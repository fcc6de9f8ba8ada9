"""The session over which requests go, and whom it trusts.

It tells a connection that was never made from one that broke. requests raises the same classes for
both, but what failed while connecting was never sent.
"""

import os
import ssl
from collections.abc import Mapping
from typing import Any, Final

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPSConnection
from urllib3.exceptions import NewConnectionError

from clio_broadly_sync import __version__
from clio_broadly_sync.domain.errors import ConfigError

REFUSAL_BYTES: Final = 4 * 1024
"""At most so many bytes of a refused sign-in are read."""
_BROKEN_OFF: Final = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)


class HandshakeError(ssl.SSLError):
    """TLS was refused, by the other side or by this one, before anything was sent."""


class _Connection(HTTPSConnection):
    def connect(self) -> None:
        """Connect, by a proxy or not, and shake hands.

        Every failure here is raised as HandshakeError or NewConnectionError, so that it can be told
        from a later one.
        """
        try:
            super().connect()
        except _BROKEN_OFF as error:
            raise NewConnectionError(self, "broken off in the TLS handshake") from error
        except (ssl.SSLError, urllib3.exceptions.SSLError) as error:
            if isinstance(error.__cause__, TimeoutError):  # while certificates were read
                raise NewConnectionError(self, "out of time while connecting") from error
            raise HandshakeError("no trusted TLS connection") from error
        except OSError as error:
            raise NewConnectionError(self, "broken off while connecting") from error


class _Pool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Connection


class _Adapter(HTTPAdapter):
    """Connects to https by `_Connection`.

    Over plain http it need not, because a failure to connect has a class of its own there.
    """

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        _use_pool(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        if isinstance(manager, urllib3.ProxyManager):
            _use_pool(manager)
        return manager


def _use_pool(manager: urllib3.PoolManager) -> None:
    manager.pool_classes_by_scheme = {**manager.pool_classes_by_scheme, "https": _Pool}


def open_session() -> requests.Session:
    """Return a session that names this program and its version to the other side."""
    session = requests.Session()
    session.headers["User-Agent"] = f"clio-broadly-sync/{__version__}"
    session.mount("https://", _Adapter())
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
            "REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names certificates that are not there."
        )
    return certificates or True


def beginning(response: requests.Response) -> bytes:
    """Return how the body of a refused sign-in (401) begins, which holds the word for it.

    Return nothing for any other status, or where the body cannot be read.
    """
    if response.status_code != 401:
        return b""
    try:
        return next(response.iter_content(REFUSAL_BYTES), b"")
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError):
        return b""
