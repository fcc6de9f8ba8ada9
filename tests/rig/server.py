"""The sandbox's servers, which here remember what they were asked, and go wrong when told to.

A fault may answer anything, cut a connection anywhere, or never end. So this module writes to the
raw socket.
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
    """One request, and what the server did about it."""

    request: Request
    status: int | None
    """The status that was sent; None where no answer was sent."""
    answer: bytes | None
    """The body that was sent; None where none was, or where the server keeps no answers."""
    processed: Response | None
    """What the server's work gave, whatever the client got to see; None where it did not work.

    Its body is empty where the server keeps no answers.
    """
    fault: str | None
    """The name of the fault that was played, if any."""
    whole: bool
    """Whether the answer was not cut on its way."""

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


def at_request(number: int, act: Callable[[], object], path: str = "/") -> Callable[..., None]:
    """Return a hook that acts at the request with this number, from 1, for the path."""
    seen: list[Request] = []

    def hook(request: Request, *response: object) -> None:
        if path in request.path:
            seen.append(request)
            if len(seen) == number:
                act()

    return hook


class RiggedHandler(Handler):
    """Writes the delivery that `Rigged.serve` returns: whole, in pieces, or nothing at all."""

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
    """Accepts connections, and ends some of them by a TCP reset."""

    def shutdown_request(self, request: Any) -> None:
        if request.fileno() >= 0 and request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER):
            self.close_request(request)  # after an orderly end there would be no reset
        else:
            super().shutdown_request(request)


class Rigged(Server):
    """A server with a history, hooks and a script of faults.

    A hook is called in the thread of its request. What it raises is an error of the server.
    """

    handler = RiggedHandler
    listener = RiggedListener
    keep_answers = False
    """Whether the history keeps the bodies of answers; only for servers whose answers are small."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.faults = FaultScript()
        self.history: list[Exchange] = []
        """Every request so far, in the order in which the server was done with them."""
        self.received: Callable[[Request], object] | None = None
        """The hook that is called when a request has arrived, before anything else happens."""
        self.before: Callable[[Request], object] | None = None
        """The hook that is called next."""
        self.after: Callable[[Request, Response], object] | None = None
        """The hook that is called when the work is done, and nothing has been sent."""
        self.sent: Callable[[Request, Response], object] | None = None
        """The hook that is called when all has been sent, if the server did its work."""

    def serve(self, request: Request) -> tuple[Delivery, Response | None]:
        """Do what the request and the script of faults say, and write it into the history.

        Return what is to be sent, and what the server's work gave (None where it did not work).
        """
        done: list[Response] = []

        def process(asked: Request) -> Response:
            done.append(self._process(asked))
            return done[-1]

        fault = None
        try:
            if self.received is not None:
                self.received(request)
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
        whole = self.is_whole(delivery)
        self.history.append(Exchange(request, status, answer, kept, fault, whole))

    def is_whole(self, delivery: Delivery) -> bool:
        """Tell whether an answer comes to its end, as far as it matters to whoever reads it."""
        return not delivery.cut


class Clio(Rigged, sandbox.Clio):
    """The sandbox's Clio, with all that `Rigged` adds."""


class Broadly(Rigged, sandbox.Broadly):
    """The sandbox's Broadly, with all that `Rigged` adds."""

    keep_answers = True

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.working: Callable[[Request], object] | None = None
        """The hook that is called while a key is at work and nothing has been accepted yet."""

    @property
    def posts(self) -> list[Exchange]:
        """Return the part of the history that is about POSTs."""
        return [exchange for exchange in self.history if exchange.method == "POST"]

    def begin_work(self, request: Request) -> None:
        if self.working is not None:
            self.working(request)


class Webhook(Broadly, sandbox.Webhook):
    """The sandbox's automation, with all that `Rigged` adds."""

    def is_whole(self, delivery: Delivery) -> bool:
        """Tell whether an answer comes to its end.

        Nobody reads what it says, so where nothing promises more, an end is an end.
        """
        promised = delivery.chunked or delivery.length is not None
        return not delivery.cut or (delivery.response is not None and not promised)


class Sandbox(sandbox.Sandbox):
    """Both servers with all that `Rigged` adds; an error of a hook is raised at the end, too."""

    clio_server = Clio
    broadly_server = Broadly
    webhook_server = Webhook
    clio: Clio
    broadly: Broadly
