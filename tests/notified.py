"""Whoever apprise tells by json:// for the tests; it goes wrong as the other servers do (rig)."""

import json

from rig import Rigged

from clio_broadly_sync.sandbox import Response
from clio_broadly_sync.sandbox.server import Clock, Request

PATH = "/n0tified"


class Notified(Rigged):
    """A receiver that takes every message; it serves as long as its context lasts."""

    def __init__(self) -> None:
        super().__init__(Clock())

    @property
    def address(self) -> str:
        """Return the address for NOTIFY_URLS."""
        return self.url.replace("http://", "json://me:p4ssword@") + PATH

    @property
    def told(self) -> list[tuple[str, list[str]]]:
        """Return title and lines of each message that was taken, without those that are always
        there: the name of the program, and where there is more."""
        return [_message(exchange.request) for exchange in self.history if exchange.status == 200]

    def handle(self, request: Request) -> Response:
        return Response(200, b"OK")


def _message(request: Request) -> tuple[str, list[str]]:
    said = json.loads(request.body)
    *lines, where = said["message"].split("\n")
    assert where.startswith("More on ")
    return said["title"].removeprefix("clio-broadly-sync: "), lines
