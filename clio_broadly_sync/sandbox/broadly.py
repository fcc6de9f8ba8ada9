"""The sandbox's Broadly: a receiver of `broadly-batch/1`, as strict as the contract allows."""

import json
import re
import threading
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from clio_broadly_sync.sandbox.server import Clock, Request, Response, Server

Item: TypeAlias = Mapping[str, Any]
ItemTest: TypeAlias = Callable[[Item], bool]
PATH = "/v1/customers/batch"
PROBLEM = {"Content-Type": "application/problem+json"}
REFUSE, REFUSE_UNNAMED = "refuse", "refuse_unnamed"
"""The `Rule.status` of an item because of which the whole batch is refused."""


@dataclass(frozen=True)
class Accepted:
    """One item that Broadly has accepted: this client is now asked for a review."""

    at: datetime
    """When it was accepted, by the firm's clock; aware UTC."""
    item: Item
    """The item as it was sent."""
    batch_id: str
    customer_id: str
    """Broadly's own id of the client, as its answer says it."""
    key: str
    """The idempotency key of the POST that brought the item."""

    @property
    def transaction_id(self) -> str:
        return str(self.item["transactionId"])


@dataclass
class Rule:
    """What Broadly answers for the items that fit, instead of accepting them."""

    fits: ItemTest
    """Tells whether an item fits."""
    status: str
    """The status of the item's result, or REFUSE or REFUSE_UNNAMED."""
    more: Mapping[str, Any]
    """What else the item's result holds."""
    times: int | None = None
    """To how many items the rule still applies; None means to all that come."""

    def claims(self, item: Item) -> bool:
        """Tell whether the rule applies to this item; if so, count it against `times`."""
        if self.times == 0 or not self.fits(item):
            return False
        if self.times is not None:
            self.times -= 1
        return True


@dataclass
class _Used:
    """What is known of an Idempotency-Key that was seen."""

    body: bytes
    response: Response | None = None
    """What was answered; None while the first request with the key is still at work."""


class Broadly(Server):
    """Broadly's server: it accepts batches and keeps what it has accepted.

    `key` and `auth_header` are what a request must authorize itself with, and `batch_limit` is how
    many items a batch may hold. With `dedupes` a transactionId that was accepted is a `duplicate`
    for ever after; without it, it is accepted again, and the client is asked twice.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        port: int = 0,
        key: str,
        auth_header: str = "Authorization: Bearer {key}",
        path: str = PATH,
        batch_limit: int = 500,
        dedupes: bool = True,
    ) -> None:
        super().__init__(clock, port)
        self.key = key
        self.auth_header = auth_header
        self.path = path
        self.batch_limit = batch_limit
        self.dedupes = dedupes
        self.success_status = 200
        """The status of an answer with results."""
        self.accepted: list[Accepted] = []
        """Every item that was accepted, in the order in which they came."""
        self._rules: list[Rule] = []
        self._used: dict[str, _Used] = {}
        self._taken: set[str] = set()
        """Every transactionId that was accepted."""
        self._lock = threading.RLock()
        self.batches = 0
        """How many batches were answered with results."""

    @property
    def endpoint(self) -> str:
        """Return the whole address for batches, as BROADLY_URL names it."""
        return self.url + self.path

    def rule(
        self, status: str, *, when: ItemTest | None = None, times: int | None = None, **more: Any
    ) -> Rule:
        """Answer `status` from now on for the items that fit, and return the rule that says so.

        An item fits where `when` accepts it and every value in `more` that stands under a field's
        name (externalId, email, …) equals the item's. `reason` and `error` in `more` go into the
        result instead. Only a duplicate comes before the rules, and of several rules the first that
        fits applies, to `times` items at most (None: without end). The status REFUSE answers 422
        for the whole batch and names the item's index; REFUSE_UNNAMED does not name it.
        """
        result: dict[str, Any] = {
            name: more.pop(name) for name in ("reason", "error") if name in more
        }

        def fits(item: Item) -> bool:
            same = all(item.get(name) == value for name, value in more.items())
            return same and (when is None or when(item))

        rule = Rule(fits, status, result, times)
        with self._lock:
            self._rules.append(rule)
        return rule

    def clear_rules(self) -> None:
        with self._lock:
            self._rules.clear()

    def handle(self, request: Request) -> Response:
        if request.path != self.path:
            return _refusal(404, "not_found")
        if request.method != "POST":
            return _refusal(405, "method_not_allowed")
        name, _, value = self.auth_header.format(key=self.key).partition(":")
        if request.header(name) != value.strip():
            return _refusal(401, "unauthorized")
        key = request.header("idempotency-key") or ""
        if not _is_uuid(key):
            return _refusal(400, "idempotency_key_invalid")
        return self._once(request, key)

    def begin_work(self, request: Request) -> None:
        """Do nothing; a subclass may act here, while the key is at work and nothing is accepted."""

    def _once(self, request: Request, key: str) -> Response:
        """Answer as this key was answered before; if the key is new, do the work."""
        with self._lock:
            used = self._used.get(key)
            if used is None:
                self._used[key] = mine = _Used(request.body)
            elif used.body != request.body:
                return _refusal(422, "idempotency_key_reused")
            elif used.response is None:
                return _refusal(409, "idempotency_key_in_progress")
            else:
                return _replayed(used.response)
        try:
            self.begin_work(request)
            with self._lock:
                mine.response = self._batch(request, key)
            return mine.response
        finally:
            if mine.response is None:
                del self._used[key]

    def _batch(self, request: Request, key: str) -> Response:
        kind = (request.header("content-type") or "").partition(";")[0].strip()
        if kind != "application/json":
            return _refusal(415, "unsupported_media_type")
        try:
            document = parse(request.body)
        except ValueError:
            return _refusal(400, "invalid_json")
        found = list(problems(document))
        customers = document.get("customers") if isinstance(document, dict) else None
        if isinstance(customers, list) and len(customers) > self.batch_limit:
            return _refusal(413, "batch_too_large")
        if found:
            return _refusal(422, "invalid_batch", found)
        return self._answer(customers or [], key)

    def _answer(self, customers: list[Item], key: str) -> Response:
        verdicts = [self._verdict(item) for item in customers]
        refused = [index for index, rule in enumerate(verdicts) if rule and _refuses(rule)]
        if refused:
            named = [i for i in refused if (rule := verdicts[i]) and rule.status == REFUSE]
            return _refusal(422, "invalid_batch", [Problem(i, "", "refused") for i in named])
        self.batches += 1
        batch_id = f"b_{self.batches}"
        results = [
            {
                "index": index,
                "externalId": item["externalId"],
                **self._take(item, rule, batch_id, key),
            }
            for index, (item, rule) in enumerate(zip(customers, verdicts, strict=True))
        ]
        return Response.of_json(self.success_status, {"batchId": batch_id, "results": results})

    def _verdict(self, item: Item) -> Rule | None:
        if self.dedupes and item["transactionId"] in self._taken:
            return None
        return next((rule for rule in self._rules if rule.claims(item)), None)

    def _take(self, item: Item, rule: Rule | None, batch_id: str, key: str) -> dict[str, Any]:
        if rule is not None and rule.status != "accepted":
            return {"status": rule.status, **rule.more}
        if self.dedupes and item["transactionId"] in self._taken:
            return {"status": "duplicate"}
        self._taken.add(item["transactionId"])
        customer_id = f"cus_{len(self.accepted) + 1}"
        self.accepted.append(Accepted(self.clock.now(), item, batch_id, customer_id, key))
        return {"status": "accepted", "customerId": customer_id}


def _refuses(rule: Rule) -> bool:
    return rule.status in (REFUSE, REFUSE_UNNAMED)


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def _replayed(response: Response) -> Response:
    return Response(
        response.status, response.body, {**response.headers, "Idempotency-Replayed": "true"}
    )


def _refusal(status: int, code: str, found: "Iterable[Problem]" = ()) -> Response:
    errors = [
        ({} if problem.at is None else {"index": problem.at})
        | {"field": problem.field, "code": problem.code}
        | {"message": f"{problem.field or 'item'}: {problem.code}"}
        for problem in found
    ]
    body = {"type": "about:blank", "title": code.replace("_", " "), "status": status, "code": code}
    return Response.of_json(status, body | ({"errors": errors} if errors else {}), PROBLEM)


# What is accepted: the rules of `broadly-batch/1`, item by item.

REQUIRED = ("externalId", "transactionId", "transactionDate")
LENGTHS = {"firstName": 255, "lastName": 255, "companyName": 255, "email": 254}
"""How many characters these fields may have at most; every other field may have 255."""
KNOWN = (*REQUIRED, *LENGTHS, "phone")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_PHONE = re.compile(r"\+[1-9]\d{6,14}")
_EMAIL = re.compile(r"[^@\s]+@(?:[^@\s.A-Z]+\.)+[^@\s.A-Z]{2,}")


class Problem(NamedTuple):
    """One thing that is wrong with a batch."""

    at: int | None
    """The index of the item; None where the batch as a whole is wrong."""
    field: str
    """The name of the field; empty where no single field is wrong."""
    code: str


def parse(body: bytes) -> Any:
    """Return the JSON value; raise ValueError where it is no JSON, or an object repeats a key."""
    return json.loads(body, object_pairs_hook=_unique)


def problems(document: Any) -> Iterator[Problem]:
    """Yield everything that is wrong with a batch: first with the whole, then with each item."""
    if not isinstance(document, dict):
        yield Problem(None, "", "not_an_object")
        return
    for key in document.keys() - {"source", "customers"}:
        yield Problem(None, key, "unknown_field")
    if not isinstance(document.get("source"), str) or not document["source"]:
        yield Problem(None, "source", "missing")
    customers = document.get("customers")
    if not isinstance(customers, list) or not customers:
        yield Problem(None, "customers", "missing")
        return
    seen: set[Any] = set()
    for index, item in enumerate(customers):
        for field, code in _item(item):
            yield Problem(index, field, code)
        external = item.get("externalId") if isinstance(item, dict) else None
        if isinstance(external, str) and external in seen:
            yield Problem(index, "externalId", "twice_in_batch")
        seen.add(external if isinstance(external, str) else None)


def _item(item: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(item, dict):
        yield "", "not_an_object"
        return
    yield from ((key, "missing") for key in REQUIRED if key not in item)
    for key, value in item.items():
        code = _flaw(key, value)
        if code is not None:
            yield key, code
    if "companyName" in item and ("firstName" in item or "lastName" in item):
        yield "companyName", "company_and_person"


def _flaw(key: str, value: Any) -> str | None:
    if key not in KNOWN:
        return "unknown_field"
    if value is None or value == "":
        return "empty"
    if not isinstance(value, str):
        return "not_a_string"
    if len(value) > LENGTHS.get(key, 255):
        return "too_long"
    if not _clean(value):
        return "not_clean"
    return _malformed(key, value)


def _malformed(key: str, value: str) -> str | None:
    if key == "transactionDate" and not _is_date(value):
        return "invalid_date"
    if key == "phone" and not _PHONE.fullmatch(value):
        return "invalid_phone"
    if key == "email" and not _EMAIL.fullmatch(value):
        return "invalid_email"
    return None


def _clean(value: str) -> bool:
    """Tell whether the text is trimmed, in NFC, and free of control characters."""
    control = any(unicodedata.category(char) == "Cc" for char in value)
    return value == value.strip() and not control and unicodedata.is_normalized("NFC", value)


def _is_date(value: str) -> bool:
    try:
        return _DATE.fullmatch(value) is not None and bool(date.fromisoformat(value))
    except ValueError:
        return False


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice")
    return found
