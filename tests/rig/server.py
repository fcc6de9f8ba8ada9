"""Servers of the sandbox that remember what they were asked, and go wrong when they are told to.

A fault may answer anything, cut a connection anywhere, or never end; so this writes to the raw
socket.
"""

import socket
import struct
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from clio_broadly_sync import sandbox
from clio_broadly_sync.sandbox import Request, Response
from clio_broadly_sync.sandbox.server import Handler, Listener, Server
from rig.faults import Delivery, FaultScript, Turn


@dataclass(frozen=True)
class Exchange:
    """One request and what the server did: `status` and `answer` are None where none was sent.

    `processed` says whether the server did its work, whatever the client got to see; `answer` is
    kept only by servers whose answers are small, and is `whole` unless it was cut on its way.
    """

    request: Request
    status: int | None
    answer: bytes | None
    processed: Response | None
    fault: str | None
    whole: bool

    @property
    def number(self) -> int:
        return self.request.number

    @property
    def at(self) -> datetime:
        return self.request.at

    @property
    def method(self) -> str:
        return self.request.method

    @property
    def path(self) -> str:
        return self.request.path

    @property
    def query(self) -> Mapping[str, list[str]]:
        return self.request.query

    @property
    def headers(self) -> Mapping[str, str]:
        return self.request.headers

    @property
    def body(self) -> bytes:
        return self.request.body


class RiggedHandler(Handler):
    """Writes what `Rigged.serve` hands out, whole or in pieces, or nothing at all."""

    def reply(self, request: Request) -> None:
        site = self.server.site
        assert isinstance(site, Rigged)
        delivery, processed = site.serve(request)
        if site.is_stopping:
            self.close_connection = True
            return
        self._deliver(delivery)
        if site.sent is not None and processed is not None:
            site.sent(request, processed)

    def _deliver(self, delivery: Delivery) -> None:
        if delivery.response is None:
            self._cut(delivery.reset)
        elif delivery.chunks is None:
            self.send_whole(delivery.response)
        else:
            self._send_parts(delivery, delivery.response)

    def _send_parts(self, delivery: Delivery, response: Response) -> None:
        self.wfile.write(self.head(response, self._framing(delivery)))
        for part in delivery.chunks or ():
            if delivery.chunked:
                part = b"%x\r\n%s\r\n" % (len(part), part) if part else b""
            self.wfile.write(part)
            if delivery.pause:
                self.server.site.stopping.wait(delivery.pause)
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

    def _cut(self, reset: bool) -> None:
        self.close_connection = True
        if reset:
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


class RiggedListener(Listener):
    def shutdown_request(self, request: Any) -> None:
        if request.fileno() >= 0 and request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER):
            self.forget(request)
            self.close_request(request)  # an orderly end would precede the reset
        else:
            super().shutdown_request(request)


class Rigged(Server):
    """A server with a history, hooks and a script of faults.

    Hooks, each called in the thread of the request: `before(request)` when it has arrived,
    `after(request, response)` when the work is done and nothing has been sent, and
    `sent(request, response)` when all has been sent. What a hook raises is an error of the server.
    """

    handler = RiggedHandler
    listener = RiggedListener
    keep_answers = False

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.faults = FaultScript()
        self.history: list[Exchange] = []
        self.before: Callable[[Request], object] | None = None
        self.after: Callable[[Request, Response], object] | None = None
        self.sent: Callable[[Request, Response], object] | None = None

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
            turn = Turn(request, process, self.stopping.wait, self.url)
            delivery = fault.play(turn) if fault else Delivery(process(request))
        except Exception:  # noqa: BLE001  (a hook may raise anything)
            self.errors.append(traceback.format_exc())
            delivery = Delivery(Response(500, b"the sandbox failed"))
        processed = done[-1] if done else None
        if processed is None and delivery.response is not None:
            delivery = replace(delivery, response=self.stamped(delivery.response))
        self._record(request, delivery, processed, fault.name if fault else None)
        return delivery, processed

    def _process(self, request: Request) -> Response:
        response = self.stamped(self.handle(request))
        if self.after is not None:
            self.after(request, response)
        return response

    def _record(
        self, request: Request, delivery: Delivery, processed: Response | None, fault: str | None
    ) -> None:
        sent = None if self.is_stopping else delivery.response
        status = sent.status if sent else None
        answer = sent.body if sent and self.keep_answers else None
        kept = processed
        if processed is not None and not self.keep_answers:
            kept = replace(processed, body=b"")
        self.history.append(Exchange(request, status, answer, kept, fault, not delivery.cut))


class Clio(Rigged, sandbox.Clio):
    """The practice Clio on the rig."""


class Broadly(Rigged, sandbox.Broadly):
    """The practice Broadly on the rig.

    `working(request)` is called while a key is at work and nothing has been accepted yet.
    """

    keep_answers = True

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.working: Callable[[Request], object] | None = None

    @property
    def posts(self) -> list[Exchange]:
        """Return every POST with headers, bytes and the answer that was sent."""
        return [exchange for exchange in self.history if exchange.method == "POST"]

    def begin_work(self, request: Request) -> None:
        if self.working is not None:
            self.working(request)


class Sandbox(sandbox.Sandbox):
    """Both servers on the rig. An error of a hook is raised at the end as well."""

    clio_server = Clio
    broadly_server = Broadly
    clio: Clio
    broadly: Broadly
