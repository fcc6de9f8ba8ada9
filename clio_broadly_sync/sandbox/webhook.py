"""The sandbox plays an automation that starts when a webhook is received (`broadly-webhook/1`)."""

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterator
from typing import Any

from clio_broadly_sync.sandbox import broadly
from clio_broadly_sync.sandbox.broadly import Accepted, Broadly, Item, Problem, parse
from clio_broadly_sync.sandbox.server import Clock, Request, Response

ALWAYS = frozenset({"event", "source", "externalId", "transactionId", "transactionDate", "test"})
"""The keys that are in every POST."""
OF_FIELDS = frozenset({"firstName", "lastName", "companyName", "email", "phone"})
"""The keys that are missing where BROADLY_FIELDS leaves them out."""
OF_THE_POST = frozenset({"event", "source", "test"})
"""The keys that say nothing of the client."""


class Webhook(Broadly):
    """A receiver of one client a POST, which accepts each of them as often as it comes.

    `key` is the secret part of its address: whoever knows it can post. With a `secret` it tells
    whether the signature of a POST holds, and lets it in all the same. As with many such receivers,
    a GET is an event, too.
    """

    def __init__(self, clock: Clock, *, port: int = 0, key: str, secret: str | None = None) -> None:
        super().__init__(clock, port=port, key=key, path=f"/hooks/{key}", dedupes=False)
        self.secret = secret
        self.gets = 0
        """How many GETs have reached the address, each of which starts the automation."""
        self.arrived: Callable[[Item, bool | None], object] | None = None
        """It is called with each client that is accepted, and what `holds` says of the POST."""

    def handle(self, request: Request) -> Response:
        if request.path != self.path:
            return _answer(404, "not_found")
        if request.method == "GET":
            self.gets += 1
            return _answer(200, "success")
        if request.method != "POST":
            return _answer(405, "method_not_allowed")
        if (request.header("content-type") or "").partition(";")[0].strip() != "application/json":
            return _answer(415, "unsupported_media_type")
        return self._event(request)

    def holds(self, request: Request) -> bool | None:
        """Tell whether the signature of a POST is right; None where there is no secret to tell."""
        if self.secret is None:
            return None
        id_, at = (request.header(f"webhook-{name}") or "" for name in ("id", "timestamp"))
        right = self.signature_of(id_, at, request.body)
        return right in (request.header("webhook-signature") or "").split()

    def signature_of(self, id_: str, at: str, body: bytes) -> str:
        """Return the signature of a POST with this id, timestamp and body."""
        signed = b".".join([id_.encode(), at.encode(), body])
        digest = hmac.digest(_key_of(self.secret or ""), signed, hashlib.sha256)
        return f"v1,{base64.b64encode(digest).decode()}"

    def _event(self, request: Request) -> Response:
        try:
            item = parse(request.body)
        except ValueError:
            return _answer(400, "invalid_json")
        self.begin_work(request)
        if any(flaws(item)) or request.header("webhook-id") != item["transactionId"]:
            return _answer(422, "invalid_event")
        with self._lock:
            if self._verdict(item) is not None:
                return _answer(422, "refused")
            self.batches += 1
            key, number = item["transactionId"], f"{self.batches}"
            self.accepted.append(Accepted(self.clock.now(), item, number, number, key))
        if self.arrived is not None:
            self.arrived(item, self.holds(request))
        return _answer(200, "success")


def flaws(item: Any) -> Iterator[Problem]:
    """Yield everything that is wrong with the body of a POST."""
    if not isinstance(item, dict):
        yield Problem(None, "", "not_an_object")
        return
    yield from (Problem(None, key, "missing") for key in ALWAYS - item.keys())
    if (item.get("event"), item.get("source")) != ("matter_closed", "clio"):
        yield Problem(None, "event", "unknown")
    if not isinstance(item.get("test"), bool):
        yield Problem(None, "test", "not_a_boolean")
    client = {
        key: value
        for key, value in item.items()
        if key not in OF_THE_POST and not (key in OF_FIELDS and value == "")
    }
    yield from broadly.problems({"source": "clio", "customers": [client]})


def _key_of(secret: str) -> bytes:
    encoded = secret.removeprefix("whsec_")
    return secret.encode() if encoded == secret else base64.b64decode(encoded)


def _answer(status: int, word: str) -> Response:
    return Response.of_json(status, {"status": word})
