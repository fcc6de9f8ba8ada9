"""A monitor for the tests, which notes its pings and goes wrong as the other servers do (rig)."""

from rig import Rigged

from clio_broadly_sync.sandbox import Response
from clio_broadly_sync.sandbox.server import Clock, Request

PATH, QUERY = "/ping/0b1c-2d3e", "create=1&key=a%2Fb"


class Pinged(Rigged):
    """A monitor that answers every ping with 200; it serves as long as its context lasts."""

    def __init__(self) -> None:
        super().__init__(Clock())

    @property
    def address(self) -> str:
        """Return the address for PING_URL, which has a path and a query of its own."""
        return f"{self.url}{PATH}?{QUERY}"

    @property
    def told(self) -> list[tuple[str, str]]:
        """Return, for each ping, what it added to the path, and its text.

        Fail where one is no POST, or does not keep the query.
        """
        for exchange in self.history:
            assert exchange.method == "POST"
            assert exchange.request.raw_query == QUERY
        return [(e.path.removeprefix(PATH), e.request.body.decode()) for e in self.history]

    def handle(self, request: Request) -> Response:
        return Response(200, b"OK")
