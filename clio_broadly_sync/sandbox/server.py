"""An HTTP/1.1 server on loopback with threads, a history, hooks and a script of faults.

What it answers is the business of a subclass; this module knows neither Clio nor Broadly.
"""

import socket
import socketserver
import struct
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from email.utils import format_datetime
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from clio_broadly_sync.sandbox.clock import Clock
from clio_broadly_sync.sandbox.faults import FaultScript, Turn
from clio_broadly_sync.sandbox.wire import Delivery, Exchange, Request, Response

_BODILESS = (204, 304)


class Server:
    """Serve on 127.0.0.1 from `start` to `stop`.

    Hooks, each called in the thread of the request: `before(request)` when it has arrived,
    `after(request, response)` when the work is done and nothing has been sent, and
    `sent(request, response)` when all has been sent. `errors` collects the tracebacks of hooks and
    of the server itself; the client then gets a 500.
    """

    keep_answers = False

    def __init__(self, clock: Clock, port: int = 0) -> None:
        self.clock = clock
        self.faults = FaultScript()
        self.history: list[Exchange] = []
        self.errors: list[str] = []
        self.before: Callable[[Request], object] | None = None
        self.after: Callable[[Request, Response], object] | None = None
        self.sent: Callable[[Request, Response], object] | None = None
        self._stopping = threading.Event()
        self._port = port
        self._listener: _Listener | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Scheme, host and port; the port is known from `start` on, and kept after `stop`."""
        return f"http://127.0.0.1:{self._port}"

    def handle(self, request: Request) -> Response:
        raise NotImplementedError

    def date(self) -> str | None:
        """Return the Date header of an answer, None for none."""
        return format_datetime(self.clock.now(), usegmt=True)

    def start(self) -> Self:
        """Listen; after a `stop`, on the same port as before."""
        self._stopping.clear()
        self._listener = _Listener(self, self._port)
        self._port = self._listener.server_address[1]
        self._thread = threading.Thread(target=self._listen, args=(self._listener,), daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """End every connection and every thread; refuse what comes."""
        if self._listener is None or self._thread is None:
            return
        self._stopping.set()
        with suppress(OSError):
            # The accepting thread sleeps until somebody comes.
            socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
        self._thread.join()
        self._listener.close_all()
        self._listener = self._thread = None

    @contextmanager
    def outage(self) -> Iterator[None]:
        """Refuse connections for a while, then listen on the same port again."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def serve(self, request: Request) -> tuple[Delivery, Response | None]:
        """Do what the request and the script of faults say, and write it into the history."""
        done: list[Response] = []

        def process(asked: Request) -> Response:
            done.append(self._process(asked))
            return done[-1]

        fault = None
        try:
            if self.before is not None:
                self.before(request)
            fault = self.faults.claim(request)
            turn = Turn(request, process, self._nap, self.url)
            delivery = fault.play(turn) if fault else Delivery(process(request))
        except Exception:  # noqa: BLE001  (a hook may raise anything)
            self.errors.append(traceback.format_exc())
            delivery = Delivery(Response(500, b"the sandbox failed"))
        processed = done[-1] if done else None
        if processed is None and delivery.response is not None:
            delivery = replace(delivery, response=self._stamped(delivery.response))
        self._record(request, delivery, processed, fault.name if fault else None)
        return delivery, processed

    def _process(self, request: Request) -> Response:
        response = self._stamped(self.handle(request))
        if self.after is not None:
            self.after(request, response)
        return response

    def _stamped(self, response: Response) -> Response:
        date = self.date()
        stamp = {} if date is None else {"Date": date}
        return replace(response, headers={**stamp, **response.headers})

    def _record(
        self, request: Request, delivery: Delivery, processed: Response | None, fault: str | None
    ) -> None:
        sent = None if self._stopping.is_set() else delivery.response
        status = sent.status if sent else None
        answer = sent.body if sent and self.keep_answers else None
        kept = processed
        if processed is not None and not self.keep_answers:
            kept = replace(processed, body=b"")
        self.history.append(Exchange(request, status, answer, kept, fault, not delivery.cut))

    def _nap(self, seconds: float) -> None:
        self._stopping.wait(seconds)

    def _listen(self, listener: "_Listener") -> None:
        while not self._stopping.is_set():
            listener.handle_request()


class _Listener(ThreadingHTTPServer):
    """Accepts connections, and remembers them so that they can be ended."""

    request_queue_size = 128

    def __init__(self, site: Server, port: int) -> None:
        self.site = site
        self._open: dict[Any, threading.Thread] = {}
        self._open_lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)

    def server_bind(self) -> None:
        # HTTPServer would ask the DNS for the host's name.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        args = (request, client_address)
        thread = threading.Thread(target=self.process_request_thread, args=args, daemon=True)
        with self._open_lock:
            self._open[request] = thread
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.pop(request, None)
        if request.fileno() >= 0 and request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER):
            self.close_request(request)  # an orderly end would precede the reset
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that was killed or gave up is no error of ours.
        if not isinstance(sys.exception(), OSError):
            self.site.errors.append(traceback.format_exc())

    def close_all(self) -> None:
        self.server_close()
        with self._open_lock:
            remaining = list(self._open.items())
        for request, thread in remaining:
            if thread is threading.current_thread():
                continue  # a hook stops its own server; `_serve` ends that connection
            with suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    """Reads requests and writes what `Server.serve` hands out, over and over on one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def _serve(self) -> None:
        site = self.server.site
        if site._stopping.is_set():
            self.close_connection = True
            return
        request = self._request()
        delivery, processed = site.serve(request)
        if site._stopping.is_set():
            self.close_connection = True
            return
        self._deliver(delivery)
        if site.sent is not None and processed is not None:
            site.sent(request, processed)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _request(self) -> Request:
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        at = self.server.site.clock.now()
        return Request(at, self.command, path, query, headers, self._body(headers))

    def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return b"".join(self._chunks())
        return self.rfile.read(int(headers.get("content-length") or 0))

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass

    def _deliver(self, delivery: Delivery) -> None:
        if delivery.response is None:
            self._cut(delivery.reset)
        elif delivery.chunks is None:
            self._send_whole(delivery.response)
        else:
            self._send_parts(delivery, delivery.response)

    def _send_whole(self, response: Response) -> None:
        if response.status in _BODILESS:
            self.wfile.write(self._head(response, None))
            return
        body = b"" if self.command == "HEAD" else response.body
        self.wfile.write(self._head(response, f"Content-Length: {len(response.body)}") + body)

    def _send_parts(self, delivery: Delivery, response: Response) -> None:
        self.wfile.write(self._head(response, self._framing(delivery)))
        for part in delivery.chunks or ():
            if delivery.chunked:
                part = b"%x\r\n%s\r\n" % (len(part), part) if part else b""
            self.wfile.write(part)
            if delivery.pause:
                self.server.site._nap(delivery.pause)
        if delivery.chunked and not delivery.cut:
            self.wfile.write(b"0\r\n\r\n")
        if delivery.cut:
            self._cut(delivery.reset)

    def _framing(self, delivery: Delivery) -> str:
        if delivery.chunked:
            return "Transfer-Encoding: chunked"
        if delivery.length is not None:
            return f"Content-Length: {delivery.length}"
        self.close_connection = True
        return "Connection: close"

    def _head(self, response: Response, framing: str | None) -> bytes:
        phrase = responses.get(response.status, "Unknown")
        lines = [f"HTTP/1.1 {response.status} {phrase}"]
        lines += [f"{name}: {value}" for name, value in response.headers.items()]
        lines += [framing] if framing else []
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")

    def _cut(self, reset: bool) -> None:
        self.close_connection = True
        if reset:
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


for _method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"):
    setattr(_Handler, f"do_{_method}", _Handler._serve)
