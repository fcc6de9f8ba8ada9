"""A receiver that only takes a POST: every key name, header and status of `broadly-webhook/1`.

Such are the automations that start when a webhook is received; its source is
`docs/where-it-can-send.md`. One client goes in each POST, always with the same keys, because such a
receiver learns them from the first one that it gets. Whoever knows the address can post to it, so
it is a secret.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Final

from clio_broadly_sync.domain.credentials import Secret
from clio_broadly_sync.domain.errors import (
    AddressError,
    DeniedError,
    RefusedError,
    SyncError,
    UnavailableError,
    because,
)
from clio_broadly_sync.domain.model import Outcome, Receipt, ReviewRequest
from clio_broadly_sync.sinks.batches import Batch, Posted, SecondsLeft
from clio_broadly_sync.sinks.customers import SOURCE, customer
from clio_broadly_sync.transport.client import Transport

_JSON: Final = {"Content-Type": "application/json"}
_OF_FIELDS: Final = {
    "firstName": "first_name",
    "lastName": "last_name",
    "companyName": "company_name",
    "email": "email",
    "phone": "phone",
}
"""The keys that BROADLY_FIELDS may leave out, with the names that it has for them."""
_ABOUT_THE_CLIENT: Final = frozenset({400, 413, 415, 422})
_GONE: Final = 410


class Webhook:
    """The receiver of a run for one webhook, which takes a `RefusalGuard` to be a `Sink`.

    `url` is the full address, and `headers` are those that sign in, where there are any. With a
    `secret`, each POST is signed (source: Standard Webhooks). `fields` are the names of what may be
    sent, and `now` returns this machine's time in aware UTC.
    """

    def __init__(
        self,
        transport: Transport,
        url: str,
        headers: Mapping[str, str],
        *,
        secret: Secret | None,
        fields: frozenset[str],
        now: Callable[[], datetime],
    ) -> None:
        self._transport = transport
        self._url = url
        self._headers = dict(headers)
        self._key = None if secret is None else _key_of(secret)
        self._fields = fields
        self._now = now

    def ready_in(self) -> float:
        """Return in how many seconds the next POST may begin."""
        return self._transport.ready_in()

    def send(self, batch: Batch, seconds_left: SecondsLeft) -> Iterator[Posted]:
        """Send each client of a batch; yield what came of it, also an outcome that is unknown.

        May raise SyncError: the requests that have no receipt by then were not taken.
        """
        for request in batch:
            try:
                receipt = self._deliver(request, seconds_left)
            except UnavailableError as error:
                if error.outcome_unknown:
                    yield Posted([request], [_unknown(request, error)])
                raise
            yield Posted([request], [receipt])

    def _deliver(self, request: ReviewRequest, seconds_left: SecondsLeft) -> Receipt:
        """Return the receipt of a POST, which is repeated only where none of them can have arrived.

        Raise SyncError where the answer is not about this client.
        """
        try:
            self._transport.retry(
                lambda: self._post(request, seconds_left),
                repeat=lambda error: not error.outcome_unknown,
                limit=seconds_left,
            )
        except RefusedError as refusal:
            if refusal.status in _ABOUT_THE_CLIENT:
                return Receipt(request.key, Outcome.REFUSED, f"http_{refusal.status}")
            raise _about_the_hook(refusal) from None
        except DeniedError as denied:
            raise self._without_a_key(denied) from None
        return Receipt(request.key, Outcome.ACCEPTED)

    def _post(self, request: ReviewRequest, seconds_left: SecondsLeft) -> None:
        body = json.dumps(self._payload(request), ensure_ascii=False).encode()
        headers = {**self._headers, **_JSON, **self._signed(request.transaction_id, body)}
        self._transport.request("POST", self._url, headers=headers, body=body, limit=seconds_left)

    def _payload(self, request: ReviewRequest) -> dict[str, str | bool]:
        told = {
            key: value
            for key, value in customer(request).items()
            if key not in _OF_FIELDS or _OF_FIELDS[key] in self._fields
        }
        return {"event": "matter_closed", "source": SOURCE, **told, "test": request.is_sample}

    def _signed(self, id_: str, body: bytes) -> dict[str, str]:
        """Return the headers that tell a repeat, and that the POST comes from this firm."""
        timestamp = str(int(self._now().timestamp()))
        headers = {"webhook-id": id_, "webhook-timestamp": timestamp}
        if self._key is not None:
            signed = b".".join([id_.encode(), timestamp.encode(), body])
            digest = hmac.digest(self._key, signed, hashlib.sha256)
            headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
        return headers

    def _without_a_key(self, denied: DeniedError) -> DeniedError:
        """Return the error as it is told where no key is set, which then cannot be a wrong one."""
        if self._headers:
            return denied
        also = ""
        if self._key is not None:
            also = " Where it looks at signatures, BROADLY_WEBHOOK_SECRET must be the secret there."
        sentence = (
            f"Broadly wants a key for this address (status {denied.status}): set BROADLY_API_KEY, "
            "and BROADLY_AUTH_HEADER to the header that it reads; or put the right address into "
            f"BROADLY_URL.{also}"
        )
        return DeniedError(sentence, status=denied.status)


def _key_of(secret: Secret) -> bytes:
    text = secret.reveal()
    encoded = text.removeprefix("whsec_")
    return text.encode() if encoded == text else binascii.a2b_base64(encoded)


def _unknown(request: ReviewRequest, error: UnavailableError) -> Receipt:
    return Receipt(request.key, Outcome.UNKNOWN, cause=error.cause or "unknown")


def _about_the_hook(refusal: RefusedError) -> SyncError:
    """Return what a refusal means that is not about the client."""
    if refusal.status != _GONE:
        return refusal
    sentence = (
        "Broadly's address is gone (status 410): look whether the automation is still there, and "
        "put its address into BROADLY_URL."
    )
    return because(f"http_{refusal.status}", AddressError(sentence, status=refusal.status))
