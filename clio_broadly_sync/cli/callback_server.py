"""The address on this machine to which the browser brings Clio's answer to a sign-in.

Anything else may come there too, from a page that guesses or a client that hangs. It does not know
the `state` of the sign-in (RFC 6749, section 10.12), so it is never taken for the answer and does
not end the wait.
"""

import base64
import errno
import hashlib
import hmac
import queue
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

from clio_broadly_sync.domain.errors import ConfigError

CLIENT_SECONDS = 10.0
"""The time for each read from a client's socket."""
POLL_SECONDS = 0.1
"""A listener looks so often whether it is to end."""
SLICE_SECONDS = 0.5
"""A wait for the answer is cut into pieces of at most this length."""

_STYLE = """
:root { color-scheme: light dark; --yes: #1a7f37; --no: #b3261e; --text: #1f2328; --page: #fff }
@media (prefers-color-scheme: dark) {
  :root { --yes: #4cc36a; --no: #ff8a80; --text: #e6e8eb; --page: #16181c }
}
body { margin: 0; min-height: 100vh; display: grid; place-items: center;
  font: 1.125rem/1.5 system-ui, sans-serif; color: var(--text); background: var(--page) }
main { max-width: 30rem; padding: 1.5rem; text-align: center }
h1 { margin: 1rem 0 .5rem; font-size: 1.75rem; line-height: 1.2 }
p { margin: 0 }
svg { width: 4rem; height: 4rem; fill: none; stroke-width: 2; stroke-linecap: round;
  stroke-linejoin: round }
.yes { stroke: var(--yes) }
.no { stroke: var(--no) }
"""
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title} – clio-broadly-sync</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style>
</head><body><main><svg class="{kind}" viewBox="0 0 24 24" aria-hidden="true">
<circle cx="12" cy="12" r="10"/><path d="{mark}"/></svg>
<h1>{title}</h1><p>{text}</p></main></body></html>
"""
_MARKS = {"yes": "M7.5 12.5l3 3 6-7", "no": "M8.5 8.5l7 7M15.5 8.5l-7 7"}
"""What is drawn in the circle: a tick, and a cross."""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Connection": "close",
}
ALMOST = "Almost done"
"""The title of the page for a code, which is not yet exchanged for the tokens."""
DECLINED = "access_denied"
"""Clio's word for a sign-in that a person declined (RFC 6749, section 4.1.2.1)."""
_GO_BACK = "Go back to the terminal; you can close this page."


class Reply(NamedTuple):
    """What Clio's page sent the browser back with."""

    code: str | None
    """The code to be exchanged for tokens; None where there is none."""
    error: str | None
    """Clio's word for why there is no code, such as “access_denied”."""


def reply_of(query: str, state: str) -> Reply | None:
    """Return the answer in the query of an address; None where it belongs to another sign-in.

    `state` is that of this sign-in.
    """
    given = {name: values[-1] for name, values in parse_qs(query).items()}
    if not hmac.compare_digest(given.get("state", "").encode(), state.encode()):
        return None
    return Reply(given.get("code"), given.get("error"))


class CallbackServer:
    """A server on the address of CLIO_REDIRECT_URI, and on no other, as a context manager.

    It begins to listen when it is made. Raise ConfigError where this machine cannot listen there.
    `state` is that of the sign-in whose answer is waited for.
    """

    def __init__(self, redirect_uri: str, state: str) -> None:
        self._state = state
        self._came: queue.SimpleQueue[Reply | None] = queue.SimpleQueue()
        self._strayed = threading.Event()
        self._listeners: list[_Listener] = []
        parts = urlsplit(redirect_uri)
        self.path = parts.path or "/"
        """The path to which the browser brings the answer; on any other one there is nothing."""
        try:
            for family, address in _addresses(parts.hostname or "", parts.port or 80):
                self._listen(family, address)
            if not self._listeners:
                raise OSError(errno.EADDRNOTAVAIL, "it has no such address")
        except OSError as error:
            self.close()
            raise _cannot_listen(parts.netloc, error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the listening on all addresses."""
        for listener in self._listeners:
            listener.shutdown()
            listener.server_close()

    def wait(self, seconds: float, *, strayed: Callable[[], object]) -> Reply | None:
        """Return the answer; None where none came within so many seconds.

        Call `strayed` when an answer to another sign-in has come, for the first of them only.
        """
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            # The wait is cut into slices, because a signal that comes just as the queue begins to
            # wait does not wake it.
            with suppress(queue.Empty):
                if (reply := self._came.get(timeout=min(left, SLICE_SECONDS))) is not None:
                    return reply
                strayed()
        return None

    def take(self, query: str, show: Callable[[int, str, str], None]) -> None:
        """Show a page for what the browser brought, then pass that on to `wait`.

        `show` takes the HTTP status, the title and the text of the page. It is called from the
        thread of a listener.
        """
        reply = reply_of(query, self._state)
        try:
            if reply is None:
                show(400, "Not the sign-in that is waited for", _ANOTHER)
            elif reply.code is not None and reply.error is None:
                show(200, ALMOST, _GO_BACK)
            elif reply.error == DECLINED:
                show(200, "Not signed in", f"You declined, so nothing was shared. {_GO_BACK}")
            else:
                show(200, "Not signed in", f"Clio gave no sign-in. {_GO_BACK}")
        finally:
            if reply is not None or not self._strayed.is_set():
                self._came.put(reply)
            if reply is None:
                self._strayed.set()

    def _listen(self, family: socket.AddressFamily, address: tuple[str, int]) -> None:
        try:
            listener = _Listener(self, family, address)
        except OSError as error:
            if family is socket.AF_INET6 and error.errno in _MISSING:
                return  # a machine without IPv6 still has IPv4
            raise
        self._listeners.append(listener)
        serve = threading.Thread(target=listener.serve_forever, args=(POLL_SECONDS,), daemon=True)
        serve.start()


_MISSING = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_ANOTHER = (
    "This page may be an older one: close it, and use the one that was opened last, or the address "
    "in the terminal."
)


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_port = False

    def __init__(
        self, server: CallbackServer, family: socket.AddressFamily, address: tuple[str, int]
    ) -> None:
        self.site = server
        self.address_family = family
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # HTTPServer.server_bind is left out, because it would ask the DNS for the host's name.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing.

        A client that hangs or breaks off is no error of ours, and its request may hold a code.
        """


class _Handler(BaseHTTPRequestHandler):
    timeout = CLIENT_SECONDS
    server: _Listener

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path == self.server.site.path:
            self.server.site.take(query, self._show)
        else:
            self._show(404, "Nothing is here", _ANOTHER)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def version_string(self) -> str:
        return "clio-broadly-sync"

    def _show(self, status: int, title: str, text: str) -> None:
        kind = "yes" if title == ALMOST else "no"
        page = _PAGE.format(title=title, text=text, style=_STYLE, kind=kind, mark=_MARKS[kind])
        body = page.encode()
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def is_loopback(redirect_uri: str) -> bool:
    """Tell whether the address is an http:// one of this machine, where its browser can go."""
    parts = urlsplit(redirect_uri)
    host = parts.hostname or ""
    try:
        return parts.scheme == "http" and (host == "localhost" or ip_address(host).is_loopback)
    except ValueError:  # a name other than localhost
        return False


def _addresses(host: str, port: int) -> set[tuple[socket.AddressFamily, tuple[str, int]]]:
    """Return all loopback addresses of the name.

    The server listens on each of them, because another program on one could take the code.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return {
        (family, (str(address[0]), port))
        for family, _, _, _, address in found
        if ip_address(address[0]).is_loopback
    }


def _cannot_listen(place: str, error: OSError) -> ConfigError:
    if error.errno == errno.EADDRINUSE:
        return ConfigError(
            f"Another program listens on {place}, the address of CLIO_REDIRECT_URI: end it; or set "
            "another port there, in the settings and in the app's redirect addresses in Clio."
        )
    return ConfigError(
        f"This machine cannot listen on {place} ({error.strerror}): "
        "set another port in CLIO_REDIRECT_URI, or use `login --paste`."
    )
