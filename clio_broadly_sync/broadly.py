"""Broadly's side, after `broadly-batch/1`: this project's own profile of "post customers in
batches". All of its key names, headers and meanings of a status are here.

A batch may take several POSTs: a refusal that names items, or none, is narrowed down until
what is bad stands alone. Receipts are yielded POST by POST, and the next POST begins only when
the caller asks for more.
"""

import json
import re
import unicodedata
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeGuard

from clio_broadly_sync.errors import (
    ConfigError,
    RefusedError,
    SyncError,
    UnavailableError,
)
from clio_broadly_sync.model import Outcome, Receipt, ReviewRequest
from clio_broadly_sync.transport import Answer, Transport

SOURCE: Final = "clio"
MAX_NAME: Final = 255
MAX_REFUSED: Final = 3
"""So many items refused and none accepted: it is not the items, it is the contract."""

_HEADERS: Final = {
    "Content-Type": "application/json",
    # A kept connection that the other side has just closed looks like a lost answer.
    "Connection": "close",
}
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

_category = unicodedata.category
_UNPRINTABLE: Final = ("Cc", "Cs")

Batch = Sequence[ReviewRequest]


class Broadly:
    """A review sink: `send` for each batch, `finish` once at the end of the push.

    `dedupes`: the receiver refuses for ever a transactionId that it accepted, so that a POST
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
        self._accepted = False
        self._refused: list[Receipt] = []

    def send(self, batch: Batch, seconds_left: Callable[[], float]) -> Iterator[list[Receipt]]:
        """Hand a batch over; yield the receipts of each POST, also of those in doubt.

        `seconds_left`: how long what the batch carries may still be sent. Raises SyncError;
        the requests without a receipt were then not taken. A refusal that comes before the
        first acceptance is kept back: it may be the contract, and not the item.
        """
        pieces = deque(self._split(batch))
        while pieces:
            piece = pieces.popleft()
            attempt = _Attempt()
            try:
                receipts = self._post(piece, attempt, seconds_left)
            except RefusedError as refusal:
                if refusal.status not in _ABOUT_ITEMS:
                    raise
                if attempt.in_doubt:
                    yield _unknown(piece)
                    continue
                receipts, again = self._narrow(piece, refusal)
                pieces.extendleft(reversed(again))
            except SyncError as error:
                if attempt.in_doubt or _is_unknown(error):
                    yield _unknown(piece)
                raise
            settled = self._settle(receipts)
            if settled:
                yield settled

    def finish(self) -> list[Receipt]:
        """Return the refusals that were kept back; nothing more will be sent."""
        kept, self._refused = self._refused, []
        return kept

    def _post(
        self, piece: Batch, attempt: "_Attempt", seconds_left: Callable[[], float]
    ) -> list[Receipt]:
        body = _body(piece)

        def call() -> list[Receipt]:
            if seconds_left() <= 0:
                raise UnavailableError("What was read has grown old; the next run reads it again.")
            headers = {**self._headers, **_HEADERS, "Idempotency-Key": attempt.key}
            try:
                answer = self._transport.request("POST", self._url, headers=headers, body=body)
                return _read(answer, piece)
            except SyncError as error:
                attempt.note(error)
                raise _waiting(error) from None

        return self._transport.retry(call, repeat=self._may_repeat, limit=seconds_left)

    def _may_repeat(self, error: UnavailableError) -> bool:
        return self._dedupes or not error.outcome_unknown or isinstance(error, _StillRunningError)

    def _split(self, batch: Batch) -> list[Batch]:
        size = self._max_items or len(batch)
        return [batch[start : start + size] for start in range(0, len(batch), size)]

    def _narrow(self, piece: Batch, refusal: RefusedError) -> tuple[list[Receipt], list[Batch]]:
        """Tell which items a refusal is about, and what goes again as new batches."""
        if refusal.status == _TOO_LARGE and len(piece) > 1:
            self._max_items = (len(piece) + 1) // 2
            return [], self._split(piece)
        named = _named(refusal.body, len(piece)) if refusal.status in (400, 422) else {}
        if len(piece) == 1 and not named:
            named = {0: _code(_object(refusal.body).get("code"))}
        if not named:
            middle = (len(piece) + 1) // 2
            return [], [piece[:middle], piece[middle:]]
        receipts = [
            Receipt(piece[index].key, Outcome.REFUSED, code) for index, code in named.items()
        ]
        rest = [request for index, request in enumerate(piece) if index not in named]
        if not rest:
            self._suspect(len(receipts))
        return receipts, [rest] if rest else []

    def _suspect(self, just_refused: int) -> None:
        """Stop where nothing was accepted and a whole POST was refused, item by item or alone."""
        if self._accepted or len(self._refused) + just_refused < MAX_REFUSED:
            return
        self._refused = []
        raise ConfigError(
            "Broadly refuses every client: its contract and this program's do not fit "
            "(see broadly-batch/1 in the README). Nobody was handed over; all of them wait."
        )

    def _settle(self, receipts: list[Receipt]) -> list[Receipt]:
        if any(receipt.outcome in (Outcome.ACCEPTED, Outcome.DUPLICATE) for receipt in receipts):
            self._accepted = True
        if self._accepted:
            return self.finish() + receipts
        self._refused += [r for r in receipts if r.outcome is Outcome.REFUSED]
        return [r for r in receipts if r.outcome is not Outcome.REFUSED]


class _StillRunningError(UnavailableError):
    """409: the first try of this key is still running."""


class _Attempt:
    """The idempotency key of one POST and its repeats, and whether one of them may have worked."""

    def __init__(self) -> None:
        self.key = str(uuid.uuid4())
        self.in_doubt = False

    def note(self, error: SyncError) -> None:
        """Keep the key where no complete answer came or the first try still runs: only then
        does a repeat under it mean the same. A server may replay a stored refusal."""
        running = isinstance(error, RefusedError) and error.status == _STILL_RUNNING
        unanswered = isinstance(error, UnavailableError) and not error.answered
        if not running and not unanswered:
            self.key = str(uuid.uuid4())
        if running or _is_unknown(error):
            self.in_doubt = True


def _waiting(error: SyncError) -> SyncError:
    if isinstance(error, RefusedError) and error.status == _STILL_RUNNING:
        return _StillRunningError(
            "Broadly is still at work on this batch; the next run goes on.", outcome_unknown=True
        )
    return error


def _is_unknown(error: SyncError) -> bool:
    return isinstance(error, UnavailableError) and error.outcome_unknown


def _unknown(piece: Batch) -> list[Receipt]:
    return [Receipt(request.key, Outcome.UNKNOWN) for request in piece]


def _body(piece: Batch) -> bytes:
    customers = [_customer(request) for request in piece]
    return json.dumps({"source": SOURCE, "customers": customers}, ensure_ascii=False).encode()


def _customer(request: ReviewRequest) -> dict[str, str]:
    item = {
        "externalId": _external_id(request),
        "transactionId": request.transaction_id,
        "transactionDate": request.transaction_date.isoformat(),
        "firstName": _name(request.first_name),
        "lastName": _name(request.last_name),
        "companyName": _name(request.company_name),
        "email": request.email,
        "phone": request.phone,
    }
    return {key: value for key, value in item.items() if value}


def _external_id(request: ReviewRequest) -> str:
    return f"clio:contact:{request.contact_id}"


def _name(text: str | None) -> str:
    """Return it in normal form C, without control characters or halves of a surrogate pair."""
    kept = (c for c in unicodedata.normalize("NFC", text or "") if _category(c) not in _UNPRINTABLE)
    return "".join(kept).strip()[:MAX_NAME].strip()


def _read(answer: Answer, piece: Batch) -> list[Receipt]:
    """Read a success: a result for each item, by index; or 202 without any: all accepted."""
    if answer.status == 202 and (not answer.body.strip() or _is_bare(answer)):
        return [Receipt(request.key, Outcome.ACCEPTED) for request in piece]
    results = _object(answer.body).get("results")
    if not isinstance(results, list):
        raise UnavailableError(
            "Broadly answered what cannot be read: no results.", outcome_unknown=True, answered=True
        )
    by_index = _by_index(results, piece)
    return [
        Receipt(request.key, *_outcome(by_index.get(index))) for index, request in enumerate(piece)
    ]


def _is_bare(answer: Answer) -> bool:
    try:
        body = json.loads(answer.body)
    except (ValueError, RecursionError):
        return False
    return isinstance(body, dict) and "results" not in body


def _by_index(results: list[Any], piece: Batch) -> dict[int, Mapping[str, Any]]:
    """Return the results that fit an item; none where one of them names another item's id."""
    fitting: dict[int, Mapping[str, Any]] = {}
    for result in results:
        index = result.get("index") if isinstance(result, dict) else None
        if not _is_index(index, len(piece)) or index in fitting:
            return {}
        if result.get("externalId", _external_id(piece[index])) != _external_id(piece[index]):
            return {}
        fitting[index] = result
    return fitting


def _outcome(result: Mapping[str, Any] | None) -> tuple[Outcome, str | None]:
    status = result.get("status") if result is not None else None
    outcome = _OUTCOMES.get(status) if isinstance(status, str) else None
    if result is None or outcome is None:
        return Outcome.UNKNOWN, None
    error = result.get("error")
    code = error.get("code") if isinstance(error, dict) else result.get("reason")
    return outcome, _code(code)


def _named(body: bytes, items: int) -> dict[int, str | None]:
    """Return index and code of the items that a refusal names; none where an index fits no item."""
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
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _code(value: object) -> str | None:
    """Keep Broadly's codes only: its messages may repeat the client's data."""
    return value if isinstance(value, str) and _CODE.fullmatch(value) else None
