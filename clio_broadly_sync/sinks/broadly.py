"""Broadly's side: every key name, header and meaning of a status of `broadly-batch/1`.

That is this project's own profile of "post customers in batches"; its source is
`docs/where-it-can-send.md`. A batch may take several POSTs: a refusal is narrowed down until what
is bad stands alone, whether or not it names items. Receipts are yielded POST by POST, and the next
POST begins only when the caller asks for more.
"""

import json
import re
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeGuard

from clio_broadly_sync.domain.errors import (
    Cause,
    RefusedError,
    SyncError,
    UnavailableError,
    because,
)
from clio_broadly_sync.domain.model import Key, Outcome, Receipt
from clio_broadly_sync.sinks.batches import Batch, Posted, SecondsLeft, StillRunningError, SubBatch
from clio_broadly_sync.sinks.customers import SOURCE, customer, external_id
from clio_broadly_sync.transport.client import Answer, Transport, read_json
from clio_broadly_sync.transport.failures import unreadable

_JSON: Final = {"Content-Type": "application/json"}
_ABOUT_ITEMS: Final = frozenset({400, 413, 422})
_STILL_RUNNING: Final = 409
_TOO_LARGE: Final = 413
_CODE: Final = re.compile(r"[a-z0-9_.-]{1,64}")
_OUTCOMES: Final = {
    "accepted": Outcome.ACCEPTED,
    "duplicate": Outcome.DUPLICATE,
    "suppressed": Outcome.SUPPRESSED,
    "rejected": Outcome.REJECTED,
    "retry": Outcome.RETRY,
}


class Broadly:
    """The receiver of a real run, which takes a `RefusalGuard` to be a `Sink`.

    `url` is the full address that takes batches, and `headers` are those that sign in. `dedupes`
    says that the receiver refuses for ever a transactionId that it has accepted, so that a POST
    whose outcome is unknown may be repeated.
    """

    def __init__(
        self, transport: Transport, url: str, headers: Mapping[str, str], *, dedupes: bool
    ) -> None:
        self._transport = transport
        self._url = url
        self._headers = dict(headers)
        self._dedupes = dedupes
        self._max_items: int | None = None

    def ready_in(self) -> float:
        """Return in how many seconds the next POST may begin."""
        return self._transport.ready_in()

    def send(self, batch: Batch, seconds_left: SecondsLeft) -> Iterator[Posted]:
        """Send a batch; yield what came of each POST, also receipts with an unknown outcome.

        May raise SyncError: the requests that have no receipt by then were not taken.
        """
        to_send = deque([SubBatch(batch)] if batch else [])
        while to_send:
            sub_batch = to_send.popleft()
            if self._max_items is not None and len(sub_batch.requests) > self._max_items:
                to_send.extendleft(reversed(_cut(sub_batch, self._max_items)))
                continue
            try:
                receipts, again = self._deliver(sub_batch, seconds_left)
            except SyncError:
                if sub_batch.in_doubt:
                    yield Posted(sub_batch.requests, sub_batch.unknown())
                raise
            to_send.extendleft(reversed(again))
            if receipts:
                yield Posted(sub_batch.requests, receipts)

    def _deliver(
        self, sub_batch: SubBatch, seconds_left: SecondsLeft
    ) -> tuple[list[Receipt], list[SubBatch]]:
        """Return the receipts of one POST and its repeats, and what is to go in further POSTs."""
        try:
            receipts = self._post(sub_batch, seconds_left)
        except RefusedError as refusal:
            if refusal.status not in _ABOUT_ITEMS:
                raise
            if sub_batch.in_doubt:
                return sub_batch.unknown(), []
            return self._narrow(sub_batch, refusal)
        except _NoResultError:
            return sub_batch.unknown(), []
        return self._sort(sub_batch, receipts) if self._dedupes else (receipts, [])

    def _post(self, sub_batch: SubBatch, seconds_left: SecondsLeft) -> list[Receipt]:
        """POST, again where that asks nobody twice, and return the receipts.

        An answer without a result for any item is worth one repeat, and no more.
        """
        body = _body(sub_batch.requests)
        once_more = iter((True,))

        def may_be_repeated(error: UnavailableError) -> bool:
            if isinstance(error, _NoResultError):
                return next(once_more, False)
            return self._dedupes or sub_batch.may_be_repeated(error)

        def call() -> list[Receipt]:
            headers = {**self._headers, **_JSON, "Idempotency-Key": sub_batch.key}
            try:
                answer = self._transport.request(
                    "POST", self._url, headers=headers, body=body, limit=seconds_left
                )
                return self._read(answer, sub_batch.requests)
            except SyncError as raised:
                error = _waiting(raised)
                sub_batch.note(error)
                raise error from None

        return self._transport.retry(call, repeat=may_be_repeated, limit=seconds_left)

    def _read(self, answer: Answer, requests: Batch) -> list[Receipt]:
        receipts = _read(answer, requests)
        if self._dedupes and all(receipt.outcome is Outcome.UNKNOWN for receipt in receipts):
            error = _NoResultError("no result", outcome_unknown=True, answered=True)
            raise because(Cause.NO_RESULT, error)
        return receipts

    def _sort(
        self, sub_batch: SubBatch, receipts: list[Receipt]
    ) -> tuple[list[Receipt], list[SubBatch]]:
        """Return the receipts that count, and the items without a result, to be asked about again.

        Where an earlier try is in doubt, `retry` is no result, because it is not about that try.
        """
        lost = {r.key for r in receipts if r.outcome is Outcome.UNKNOWN}
        again = [request for request in sub_batch.requests if request.key in lost]
        told = [receipt for receipt in receipts if receipt.key not in lost]
        if sub_batch.in_doubt:
            unknown = {receipt.key: receipt for receipt in sub_batch.unknown()}
            told = [unknown[r.key] if r.outcome is Outcome.RETRY else r for r in told]
        return told, [SubBatch(again, doubt=Cause.NO_RESULT)] if again else []

    def _narrow(
        self, sub_batch: SubBatch, refusal: RefusedError
    ) -> tuple[list[Receipt], list[SubBatch]]:
        """Return the receipts of the items that a refusal is about, and what goes again."""
        requests = sub_batch.requests
        half = (len(requests) + 1) // 2
        if refusal.status == _TOO_LARGE and len(requests) > 1:
            self._max_items = half
            return [], [SubBatch(requests)]
        named = _named(refusal.body, len(requests)) if refusal.status != _TOO_LARGE else {}
        if len(requests) == 1 and not named:
            named = {0: _code(_object(refusal.body).get("code"))}
        if not named:
            return [], _cut(sub_batch, half)
        receipts = [
            Receipt(requests[index].key, Outcome.REFUSED, code) for index, code in named.items()
        ]
        rest = [request for index, request in enumerate(requests) if index not in named]
        return receipts, [SubBatch(rest)] if rest else []


class _NoResultError(UnavailableError):
    """The answer is complete and can be read, but holds no result that fits any item."""


def _cut(sub_batch: SubBatch, size: int) -> list[SubBatch]:
    starts = range(0, len(sub_batch.requests), size)
    return [SubBatch(sub_batch.requests[n : n + size], doubt=sub_batch.doubt) for n in starts]


def _waiting(error: SyncError) -> SyncError:
    if isinstance(error, RefusedError) and error.status == _STILL_RUNNING:
        still_running = StillRunningError(
            "Broadly is still at work on this batch; the next run goes on.", outcome_unknown=True
        )
        return because(f"http_{error.status}", still_running)
    return error


def _body(requests: Batch) -> bytes:
    customers = [
        {key: value for key, value in customer(request).items() if value} for request in requests
    ]
    return json.dumps({"source": SOURCE, "customers": customers}, ensure_ascii=False).encode()


def _read(answer: Answer, requests: Batch) -> list[Receipt]:
    """Return the receipts that a success holds: a result for each item, by its index.

    A 202 without results means that all items were accepted. Raise UnavailableError for any other
    answer without results.
    """
    if answer.status == 202 and (not answer.body.strip() or _is_bare(answer)):
        return [Receipt(request.key, Outcome.ACCEPTED) for request in requests]
    body = answer.json()
    results = body.get("results") if isinstance(body, dict) else None
    if not isinstance(results, list):
        raise unreadable("Broadly", "no results", Cause.NO_RESULTS)
    by_index = _by_index(results, requests)
    return [_receipt(request.key, by_index.get(index)) for index, request in enumerate(requests)]


def _is_bare(answer: Answer) -> bool:
    try:
        body = read_json(answer.body)
    except ValueError:
        return False
    return isinstance(body, dict) and "results" not in body


def _by_index(results: list[Any], requests: Batch) -> dict[int, Mapping[str, Any]]:
    """Return each result by the index of its item.

    Return none at all where one of them fits no item, or names the id of another item.
    """
    fitting: dict[int, Mapping[str, Any]] = {}
    for result in results:
        index = result.get("index") if isinstance(result, dict) else None
        if not _is_index(index, len(requests)) or index in fitting:
            return {}
        expected = external_id(requests[index])
        if result.get("externalId", expected) != expected:
            return {}
        fitting[index] = result
    return fitting


def _receipt(key: Key, result: Mapping[str, Any] | None) -> Receipt:
    status = result.get("status") if result is not None else None
    outcome = _OUTCOMES.get(status) if isinstance(status, str) else None
    if result is None or outcome is None:
        return Receipt(key, Outcome.UNKNOWN, cause=Cause.NO_RESULT)
    error = result.get("error")
    code = error.get("code") if isinstance(error, dict) else result.get("reason")
    return Receipt(key, outcome, _code(code))


def _named(body: bytes, items: int) -> dict[int, str | None]:
    """Return the code of each item that a refusal names, by the item's index.

    Return none at all where an index fits no item.
    """
    errors = _object(body).get("errors")
    named: dict[int, str | None] = {}
    for error in errors if isinstance(errors, list) else []:
        parts = error if isinstance(error, dict) else {}
        index = parts.get("index")
        if not _is_index(index, items):
            return {}
        named.setdefault(index, _code(parts.get("code")))
    return named


def _is_index(value: object, items: int) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < items


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        value = read_json(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _code(value: object) -> str | None:
    """Return a code of Broadly's; None for all else, for it may repeat the client's data."""
    return value if isinstance(value, str) and _CODE.fullmatch(value) else None
