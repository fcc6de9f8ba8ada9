"""Broadly: what it accepts, refuses, remembers and replays."""

import json
import threading
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
import requests
from rig import Sandbox
from surroundings import BUSY_SECONDS

from clio_broadly_sync.sandbox import Broadly, Request
from clio_broadly_sync.sandbox.broadly import REFUSE, REFUSE_UNNAMED

Post = Callable[..., requests.Response]


def item(number: int = 1, **changes: Any) -> dict[str, Any]:
    made = {
        "externalId": f"clio:contact:{number}",
        "transactionId": f"clio:matter:{number}:2026-11-20",
        "transactionDate": "2026-11-20",
        "firstName": "Ada",
        "lastName": "Lovelace",
        "email": f"ada{number}@example.com",
        "phone": "+14155550123",
    }
    return {key: value for key, value in (made | changes).items() if value != "leave out"}


@pytest.fixture
def broadly(empty: Sandbox) -> Broadly:
    return empty.broadly


@pytest.fixture
def post(broadly: Broadly, session: requests.Session) -> Post:
    def send(*items: Any, key: str | None = None, **headers: str) -> requests.Response:
        body = json.dumps({"source": "clio", "customers": items})
        return raw(body, key=key, **headers)

    def raw(body: str, key: str | None = None, **headers: str) -> requests.Response:
        sent = {
            "Authorization": f"Bearer {broadly.key}",
            "Content-Type": "application/json",
            "Idempotency-Key": key or str(uuid4()),
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        return session.post(broadly.endpoint, data=body.encode(), headers=sent, timeout=60)

    send.raw = raw  # type: ignore[attr-defined]
    return send


def statuses(answer: requests.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [result["status"] for result in answer.json()["results"]]


def test_items_are_accepted_in_order(post: Post, broadly: Broadly) -> None:
    """Each item has a result at its index, and the receiver keeps the items."""
    answer = post(item(1), item(2)).json()
    assert [(r["index"], r["externalId"], r["status"]) for r in answer["results"]] == [
        (0, "clio:contact:1", "accepted"), (1, "clio:contact:2", "accepted")
    ]  # fmt: skip
    assert [taken.item for taken in broadly.accepted] == [item(1), item(2)]
    assert broadly.accepted[0].transaction_id == "clio:matter:1:2026-11-20"
    assert broadly.accepted[0].at <= broadly.accepted[1].at


def test_accepted_transaction_is_a_duplicate_for_ever(post: Post, broadly: Broadly) -> None:
    """In whatever batch it comes again, it is not asked again."""
    post(item(1))
    assert statuses(post(item(2), item(1))) == ["accepted", "duplicate"]
    assert len(broadly.accepted) == 2


def test_without_dedupes_a_client_is_asked_twice(post: Post, broadly: Broadly) -> None:
    """A receiver that doesn't dedupe shows what a repeated batch does."""
    broadly.dedupes = False
    post(item(1))
    assert statuses(post(item(1))) == ["accepted"]
    assert len(broadly.accepted) == 2


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"externalId": "leave out"}, "missing"), ({"transactionDate": "leave out"}, "missing"),
        ({"transactionId": "leave out"}, "missing"), ({"description": "x"}, "unknown_field"),
        ({"firstName": None}, "empty"), ({"email": ""}, "empty"),
        ({"phone": 4155550123}, "not_a_string"),
        ({"firstName": "A" * 256}, "too_long"), ({"firstName": " Ada"}, "not_clean"),
        ({"lastName": "Love\nlace"}, "not_clean"), ({"firstName": "Zoe\u0308"}, "not_clean"),
        ({"transactionDate": "20.11.2026"}, "invalid_date"),
        ({"transactionDate": "2026-02-30"}, "invalid_date"),
        ({"phone": "(415) 555-0123"}, "invalid_phone"), ({"email": "ada"}, "invalid_email"),
        ({"email": "ada@EXAMPLE.com"}, "invalid_email"),
        ({"companyName": "Mill"}, "company_and_person"),
    ],
)  # fmt: skip
def test_bad_item_is_refused_by_its_index(
    post: Post, broadly: Broadly, changes: dict[str, Any], code: str
) -> None:
    """The whole batch is refused, the bad item named, nothing accepted."""
    answer = post(item(1), item(2, **changes))
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert [(e["index"], e["code"]) for e in answer.json()["errors"]] == [(1, code)]
    assert broadly.accepted == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ("{", 400, "invalid_json"), ('{"source":"a","source":"b"}', 400, "invalid_json"),
        ("[]", 422, "invalid_batch"), ('{"source":"clio","customers":[]}', 422, "invalid_batch"),
        ('{"customers":[{}]}', 422, "invalid_batch"),
        ('{"source":"clio","customers":[3],"more":1}', 422, "invalid_batch"),
    ],
)  # fmt: skip
def test_bad_batch_is_refused(post: Any, body: str, status: int, code: str) -> None:
    """What is no batch is refused as a whole."""
    answer = post.raw(body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_one_person_twice_in_a_batch_is_refused(post: Post) -> None:
    """At most one item per person."""
    answer = post(item(1), item(1, transactionId="clio:matter:9:2026-11-20"))
    assert answer.json()["errors"][0]["code"] == "twice_in_batch"


def test_key_header_type_and_size_are_checked(post: Post, broadly: Broadly) -> None:
    """Each wrong thing has its status."""
    assert post(item(), Authorization="Bearer wrong").status_code == 401
    assert post(item(), key="not-a-uuid").status_code == 400
    assert post(item(), Content_Type="text/plain").status_code == 415
    broadly.batch_limit = 1
    assert post(item(1), item(2)).status_code == 413
    broadly.auth_header = "X-API-Key: {key}"
    assert post(item()).status_code == 401
    assert post(item(), X_API_Key=broadly.key).status_code == 200


def test_other_paths_and_methods(broadly: Broadly, session: requests.Session) -> None:
    """There is one path and one method."""
    assert session.get(broadly.endpoint, timeout=60).status_code == 405
    assert session.post(broadly.url + "/v2", timeout=60).status_code == 404


def test_poison_item_refuses_its_batch(post: Post, broadly: Broadly) -> None:
    """Named by its index, or not named at all."""
    broadly.rule(REFUSE, externalId="clio:contact:2")
    assert [e["index"] for e in post(item(1), item(2)).json()["errors"]] == [1]
    broadly.clear_rules()
    broadly.rule(REFUSE_UNNAMED, externalId="clio:contact:2")
    refused = post(item(1), item(2))
    assert (refused.status_code, "errors" in refused.json()) == (422, False)
    assert statuses(post(item(1))) == ["accepted"]


def test_same_key_and_bytes_replay_the_answer(post: Post, broadly: Broadly) -> None:
    """Accepted once, answered twice; a refusal is replayed too."""
    key = str(uuid4())
    first, second = post(item(1), key=key), post(item(1), key=key)
    assert (first.content, second.headers["Idempotency-Replayed"]) == (second.content, "true")
    assert len(broadly.accepted) == 1
    broadly.rule(REFUSE_UNNAMED, times=1)
    key = str(uuid4())
    assert [post(item(2), key=key).status_code for _ in range(2)] == [422, 422]
    assert statuses(post(item(2))) == ["accepted"]


def test_same_key_with_other_bytes_is_refused(post: Post) -> None:
    """A key belongs to the bytes it came with."""
    key = str(uuid4())
    post(item(1), key=key)
    answer = post(item(2), key=key)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")


def test_key_at_work_is_a_conflict(post: Post, broadly: Broadly) -> None:
    """While the first try runs, the second is told to wait."""
    working, go_on, answers = threading.Event(), threading.Event(), []

    def work(request: Request) -> None:
        working.set()
        assert go_on.wait(BUSY_SECONDS)

    broadly.working = work
    key = str(uuid4())
    first = threading.Thread(target=lambda: answers.append(post(item(1), key=key)))
    first.start()
    assert working.wait(BUSY_SECONDS)
    with requests.Session() as other:
        headers = {**broadly_headers(broadly), "Idempotency-Key": key}
        body = json.dumps({"source": "clio", "customers": [item(1)]})
        conflict = other.post(broadly.endpoint, data=body, headers=headers, timeout=60)
    go_on.set()
    first.join()
    assert conflict.status_code == 409
    assert statuses(answers[0]) == ["accepted"]


def broadly_headers(broadly: Broadly) -> dict[str, str]:
    return {"Authorization": f"Bearer {broadly.key}", "Content-Type": "application/json"}
