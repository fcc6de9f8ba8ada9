"""An HTTP/1.1 server on loopback, its requests and responses, and the sandbox's clock.

A subclass says what it answers. This module knows neither Clio nor Broadly.
"""

import json
import socket
import socketserver
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import cached_property
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any, ClassVar, Self
from urllib.parse import parse_qsl

JSON_TYPE = "application/json; charset=utf-8"
_BODILESS = (204, 304)


@dataclass(frozen=True)
class Request:
    """A request as it arrived."""

    at: datetime
    """When it arrived, by the clock of the server; aware UTC."""
    method: str
    path: str
    raw_query: str
    """What stands after the question mark, still encoded."""
    headers: Mapping[str, str]
    """The headers, with their names in lower case."""
    body: bytes
    number: int = field(default_factory=count().__next__, compare=False)
    """The place among all requests that any server got, whatever their clocks say."""

    @cached_property
    def pairs(self) -> list[tuple[str, str]]:
        """Return the names and values of the query, decoded, in their order."""
        return parse_qsl(self.raw_query, keep_blank_values=True)

    @cached_property
    def query(self) -> dict[str, list[str]]:
        """Return the values of each name in the query."""
        found: dict[str, list[str]] = {}
        for name, value in self.pairs:
            found.setdefault(name, []).append(value)
        return found

    @cached_property
    def form(self) -> dict[str, str]:
        """Return the body of a form, decoded."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    @property
    def target(self) -> str:
        """Return the path with its query, as the request line has it."""
        return f"{self.path}?{self.raw_query}" if self.raw_query else self.path

    def first(self, name: str) -> str | None:
        """Return the first value of a name in the query; None where it does not occur."""
        return self.query.get(name, [None])[0]

    def header(self, name: str) -> str | None:
        """Return a header, whose name may be in any case; None where it was not sent."""
        return self.headers.get(name.lower())

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Response:
    """An answer, without the headers that say its length."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_json(
        cls, status: int, value: Any, headers: Mapping[str, str] | None = None
    ) -> "Response":
        """Return an answer with this value as its JSON body."""
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
        return cls(status, text.encode(), {"Content-Type": JSON_TYPE, **(headers or {})})

    def json(self) -> Any:
        return json.loads(self.body)


class Clock:
    """The clock of a firm, which may be set, and may stand still; all moments are aware UTC."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._offset = timedelta(0)
        self._frozen: datetime | None = None

    def now(self) -> datetime:
        with self._lock:
            return self._now()

    def seconds(self) -> int:
        """Return the moment in whole seconds since 1970, as Clio's records keep it."""
        return int(self.now().timestamp())

    def advance(self, delta: timedelta) -> None:
        """Move the clock forward, or back where the delta is negative."""
        with self._lock:
            self._offset += delta
            if self._frozen is not None:
                self._frozen += delta

    def set(self, moment: datetime) -> None:
        """Set the clock to an aware moment; time goes on from there unless it stands still."""
        self.advance(moment - self.now())

    def freeze(self, moment: datetime | None = None) -> None:
        """Let the clock stand still at `moment`, or now, until `thaw`; `advance` still moves it."""
        with self._lock:
            self._frozen = moment or self._now()

    def thaw(self) -> None:
        """Let time go on from where the clock stands still."""
        with self._lock:
            if self._frozen is not None:
                self._offset = self._frozen - datetime.now(UTC)
                self._frozen = None

    def _now(self) -> datetime:
        return self._frozen or datetime.now(UTC) + self._offset


class Handler(BaseHTTPRequestHandler):
    """Reads the requests of one connection, and writes the server's answer to each."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "Listener"

    def serve(self) -> None:
        """Answer one request; end the connection instead where the server is stopping."""
        site = self.server.site
        if site.is_stopping:
            self.close_connection = True
            return
        self.reply(self.read_request())

    def reply(self, request: Request) -> None:
        """Answer a request that has been read to its end."""
        response = self.server.site.answer(request)
        if self.server.site.is_stopping:
            self.close_connection = True
        else:
            self.send_whole(response)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def read_request(self) -> Request:
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        at = self.server.site.clock.now()
        return Request(at, self.command, path, query, headers, self._body(headers))

    def send_whole(self, response: Response) -> None:
        """Send an answer with its length, and without a body where HTTP allows none."""
        if response.status in _BODILESS:
            self.wfile.write(self.head(response, None))
            return
        body = b"" if self.command == "HEAD" else response.body
        self.wfile.write(self.head(response, f"Content-Length: {len(response.body)}") + body)

    def head(self, response: Response, framing: str | None) -> bytes:
        """Return the status line and the headers, to their end.

        `framing` is the header that says where the body ends; None adds no such header.
        """
        phrase = responses.get(response.status, "Unknown")
        lines = [f"HTTP/1.1 {response.status} {phrase}"]
        lines += [f"{name}: {value}" for name, value in response.headers.items()]
        lines += [framing] if framing else []
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")

    def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return b"".join(self._chunks())
        return self._read(int(headers.get("content-length") or 0))

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self._line().split(b";")[0], 16):
            yield self._read(size)
            self._line()
        while self._line().strip():
            pass

    def _read(self, size: int) -> bytes:
        data = self.rfile.read(size)
        return self._unless_cut(data, len(data) == size)

    def _line(self) -> bytes:
        line = self.rfile.readline()
        return self._unless_cut(line, line.endswith(b"\n"))

    def _unless_cut(self, data: bytes, is_whole: bool) -> bytes:
        if not is_whole:
            raise ConnectionError("the client ended the connection within its request")
        return data


for _method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"):
    setattr(Handler, f"do_{_method}", lambda self: self.serve())


class Listener(ThreadingHTTPServer):
    """Accepts connections, each in a thread of its own, and can end them all."""

    request_queue_size = 128

    def __init__(self, site: "Server", port: int) -> None:
        self.site = site
        self._connections: dict[threading.Thread, Any] = {}
        super().__init__(("127.0.0.1", port), site.handler)

    def server_bind(self) -> None:
        # HTTPServer's own method would ask the DNS for the host's name.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        args = (request, client_address)
        thread = threading.Thread(target=self.process_request_thread, args=args, daemon=True)
        alive = {one: open_ for one, open_ in self._connections.items() if one.is_alive()}
        self._connections = {**alive, thread: request}
        thread.start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        # It is no error of the server that a client was killed or gave up.
        if not isinstance(sys.exception(), OSError):
            self.site.errors.append(traceback.format_exc())

    def close_all(self) -> None:
        """Stop listening, end every connection, and wait for its thread to end.

        Nothing accepts connections any more when this is called.
        """
        self.server_close()
        for thread, request in self._connections.items():
            if thread is threading.current_thread():
                continue  # this thread stops its own server, and `Handler` then ends its connection
            with suppress(OSError):  # it may have been closed, by a thread that is about to end
                request.shutdown(socket.SHUT_RDWR)
            thread.join()


class Server:
    """Serves on 127.0.0.1 from `start` to `stop`; a `port` of 0 means any free one."""

    handler: ClassVar[type[Handler]] = Handler
    """The class that deals with a connection; a subclass may put its own here."""
    listener: ClassVar[type[Listener]] = Listener
    """The class that accepts connections."""

    def __init__(self, clock: Clock, port: int = 0) -> None:
        self.clock = clock
        self.errors: list[str] = []
        """The tracebacks of what went wrong in the server itself; the client then got a 500."""
        self.stopping = threading.Event()
        """Set while the server stops, so that whoever waits in it need not wait any longer."""
        self._port = port
        self._listener: Listener | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Return scheme, host and port; the port is known after `start`, and kept after `stop`."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def is_stopping(self) -> bool:
        return self.stopping.is_set()

    def handle(self, request: Request) -> Response:
        """Do what the request asks for, and return the answer; a subclass says how."""
        raise NotImplementedError

    def date(self) -> str | None:
        """Return the Date header of an answer; None where it shall have none."""
        return format_datetime(self.clock.now(), usegmt=True)

    def answer(self, request: Request) -> Response:
        """Return the answer with its Date header, a 500 where the server itself fails."""
        try:
            return self.stamped(self.handle(request))
        except Exception:  # noqa: BLE001  (whatever it is, `errors` keeps it)
            self.errors.append(traceback.format_exc())
            return self.stamped(Response(500, b"the sandbox failed"))

    def stamped(self, response: Response) -> Response:
        """Return the answer with a Date header, unless it has one or none shall be sent."""
        date = self.date()
        stamp = {} if date is None else {"Date": date}
        return replace(response, headers={**stamp, **response.headers})

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> Self:
        """Begin to listen; after a `stop`, on the same port as before."""
        self.stopping.clear()
        self._listener = self.listener(self, self._port)
        self._port = self._listener.server_address[1]
        self._thread = threading.Thread(target=self._listen, args=(self._listener,), daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """End every connection and every thread; connections are refused from then on."""
        if self._listener is None or self._thread is None:
            return
        self.stopping.set()
        with suppress(OSError):
            # The thread that accepts sleeps until somebody connects.
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

    def _listen(self, listener: Listener) -> None:
        while not self.is_stopping:
            listener.handle_request()
