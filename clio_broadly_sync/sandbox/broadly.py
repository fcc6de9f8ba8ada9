"""The sandbox's Broadly: a receiver of `broadly-batch/1`, as strict as the contract allows."""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from clio_broadly_sync.sandbox.clock import Clock
from clio_broadly_sync.sandbox.profile import Problem, parse, problems
from clio_broadly_sync.sandbox.server import Server
from clio_broadly_sync.sandbox.wire import Exchange, Request, Response

Item: TypeAlias = Mapping[str, Any]
ItemTest: TypeAlias = Callable[[Item], bool]
PATH = "/v1/customers/batch"
PROBLEM = {"Content-Type": "application/problem+json"}
# `Rule.status` of an item that makes the whole batch be refused.
REFUSE, REFUSE_UNNAMED = "refuse", "refuse_unnamed"


@dataclass(frozen=True)
class Accepted:
    """One item that Broadly took: from here on this client gets a review request."""

    at: datetime
    item: Item
    batch_id: str
    customer_id: str
    key: str

    @property
    def transaction_id(self) -> str:
        return str(self.item["transactionId"])


@dataclass
class Rule:
    """What becomes of items that fit; `times` says how often, None without end."""

    fits: ItemTest
    status: str
    more: Mapping[str, Any]
    times: int | None = None

    def claims(self, item: Item) -> bool:
        if self.times == 0 or not self.fits(item):
            return False
        if self.times is not None:
            self.times -= 1
        return True


@dataclass
class _Used:
    """An Idempotency-Key that was seen; no response while the first request is at work."""

    body: bytes
    response: Response | None = None


class Broadly(Server):
    """Accepts batches; `accepted` holds every accepted item in order.

    `dedupes`: a transactionId that was accepted is a `duplicate` for ever after; otherwise it is
    accepted again, and the client asked twice. `working(request)` is called while a key is at work
    and nothing has been accepted yet.
    """

    keep_answers = True

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
        self.accepted: list[Accepted] = []
        self.working: Callable[[Request], object] | None = None
        self._rules: list[Rule] = []
        self._used: dict[str, _Used] = {}
        self._taken: set[str] = set()
        self._lock = threading.RLock()
        self._batches = 0

    @property
    def endpoint(self) -> str:
        return self.url + self.path

    @property
    def posts(self) -> list[Exchange]:
        """Return every POST with headers, bytes and the answer that was sent."""
        return [exchange for exchange in self.history if exchange.method == "POST"]

    def rule(
        self, status: str, *, when: ItemTest | None = None, times: int | None = None, **more: Any
    ) -> Rule:
        """Answer `status` for items that fit, before everything else but a duplicate.

        `more`: strings under a field's name (externalId, email, …) must equal the item's; `reason`
        and `error` go into the result. Status REFUSE answers 422 for the whole batch and names the
        item's index, REFUSE_UNNAMED doesn't name it.
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

    def _once(self, request: Request, key: str) -> Response:
        """Replay what was answered to this key; do the work if it is new."""
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
            if self.working is not None:
                self.working(request)
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
        self._batches += 1
        batch_id = f"b_{self._batches}"
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


def _refusal(status: int, code: str, found: Iterable[Problem] = ()) -> Response:
    errors = [
        ({} if problem.at is None else {"index": problem.at})
        | {"field": problem.field, "code": problem.code}
        | {"message": f"{problem.field or 'item'}: {problem.code}"}
        for problem in found
    ]
    body = {"type": "about:blank", "title": code.replace("_", " "), "status": status, "code": code}
    return Response.of_json(status, body | ({"errors": errors} if errors else {}), PROBLEM)
