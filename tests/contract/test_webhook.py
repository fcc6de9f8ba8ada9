"""A webhook's side: what it is sent, and what becomes of a client after each of its answers."""

import base64
import json
import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
import responses
from parts import Clock, review_request, transport
from standardwebhooks import Webhook as Verifier
from urllib3.exceptions import MaxRetryError, NewConnectionError

from clio_broadly_sync.domain.credentials import Secret
from clio_broadly_sync.domain.errors import (
    AddressError,
    ConfigError,
    DeniedError,
    RefusedError,
    SyncError,
    TooLateError,
    UnavailableError,
)
from clio_broadly_sync.domain.model import Outcome, Receipt
from clio_broadly_sync.sinks.batches import RefusalGuard
from clio_broadly_sync.sinks.webhook import Webhook

DOCUMENT = Path(__file__).parents[2] / "docs" / "where-it-can-send.md"
URL = "https://automations.example/hooks/s3cret-of-the-hook"
ALL = frozenset({"first_name", "last_name", "company_name", "email", "phone"})
WHOLE = "whsec_" + base64.b64encode(b"a key of two dozen bytes").decode()
CLOSED_PORT = requests.ConnectionError(
    MaxRetryError(None, "/", NewConnectionError(None, "refused"))  # type: ignore[arg-type]
)
CUT = requests.exceptions.ChunkedEncodingError("cut")
ACCEPTED, REFUSED, UNKNOWN = Outcome.ACCEPTED, Outcome.REFUSED, Outcome.UNKNOWN


class Hook:
    """A webhook that answers what the script says, POST by POST, and then takes everybody."""

    def __init__(
        self,
        *script: Any,
        secret: str | None = None,
        fields: frozenset[str] = ALL,
        headers: Mapping[str, str] | None = None,
        per_minute: int | None = None,
    ) -> None:
        self.clock = Clock()
        self.posts: list[requests.PreparedRequest] = []
        self._script = [*script]
        self.receipts: list[Receipt] = []
        self.sink = RefusalGuard(
            Webhook(
                transport("Broadly", clock=self.clock, per_minute=per_minute),
                URL,
                headers or {},
                secret=None if secret is None else Secret(secret),
                fields=fields,
                now=lambda: datetime.now(UTC),
            )
        )
        responses.add_callback("POST", URL, self._answer)

    def _answer(self, request: requests.PreparedRequest) -> Any:
        self.posts.append(request)
        answer = self._script.pop(0) if self._script else 200
        if isinstance(answer, Exception):
            return answer
        status, body, *more = answer if isinstance(answer, tuple) else (answer, "")
        return status, *(more or [{}]), body

    def send(self, *numbers: int, **changes: Any) -> "Hook":
        """Send these one at a time, as a push does."""
        deadline = self.clock.now() + 900
        for number in numbers:
            batch = [review_request(number, **changes)]
            for receipts in self.sink.send(batch, lambda: deadline - self.clock.now()):
                self.receipts += [r for r in receipts if r.outcome is not Outcome.WITHHELD]
        return self

    def fails(self, error: type[SyncError], *numbers: int) -> SyncError:
        with pytest.raises(error) as caught:
            self.send(*numbers)
        assert "s3cret" not in str(caught.value)
        return caught.value

    @property
    def outcomes(self) -> dict[int, Outcome]:
        return {receipt.key.matter_id: receipt.outcome for receipt in self.receipts}

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(post.body or b"") for post in self.posts]


@pytest.fixture(autouse=True)
def _no_network() -> Iterator[None]:
    with responses.mock:
        yield


# What is sent


def test_one_client_in_each_post_always_with_the_same_keys() -> None:
    """Such a receiver learns its fields from the first that comes; what is absent is empty."""
    hook = Hook().send(7, 8)
    first, second = hook.bodies
    assert first == {
        "event": "matter_closed",
        "source": "clio",
        "externalId": "clio:contact:1207",
        "transactionId": "clio:matter:7:2026-11-20",
        "transactionDate": "2026-11-20",
        "firstName": "Ada",
        "lastName": "Lovelace",
        "companyName": "",
        "email": "ada7@example.com",
        "phone": "",
        "test": False,
    }
    assert list(second) == list(first)


def test_the_documents_show_what_is_sent() -> None:
    """The example in the document on receivers has the very keys, in their order."""
    shown = re.search(r'```json\n(\{"event".*?)```', DOCUMENT.read_text("utf-8"), re.DOTALL)
    assert shown is not None
    (body,) = Hook().send(7).bodies
    assert list(json.loads(shown[1])) == list(body)


def test_what_the_settings_leave_out_has_no_key() -> None:
    (body,) = Hook(fields=frozenset({"last_name", "email"})).send(7).bodies
    assert {"firstName", "companyName", "phone"}.isdisjoint(body)
    assert {"lastName", "email"} <= body.keys()


def test_a_sample_says_so() -> None:
    (body,) = Hook().send(0, sample="-1f").bodies
    assert (body["test"], body["transactionId"]) == (True, "clio:matter:0:2026-11-20-1f")


@pytest.mark.parametrize("secret", [WHOLE, "any text of 24 characters"])
def test_signature_is_one_that_standard_webhooks_verify(secret: str) -> None:
    """By an implementation that is not ours; a body that was touched does not verify."""
    hook = Hook(secret=secret)
    (post,) = hook.send(7, first_name="Amélie").posts
    key = secret if secret == WHOLE else base64.b64encode(secret.encode()).decode()
    body, headers = bytes(post.body or b""), dict(post.headers)  # type: ignore[arg-type]
    assert Verifier(key).verify(body, headers)["firstName"] == "Amélie"
    with pytest.raises(Exception, match="signature"):
        Verifier(key).verify(body.replace(b"Am", b"Im"), headers)


def test_every_repeat_bears_the_same_id_and_a_time_of_its_own() -> None:
    """Without a secret there is no signature; without a key, no header that signs in."""
    hook = Hook(429, CLOSED_PORT, (503, "", {"Retry-After": "1"})).send(7)
    assert {post.headers["webhook-id"] for post in hook.posts} == {"clio:matter:7:2026-11-20"}
    assert len(hook.posts) == 4
    now = datetime.now(UTC).timestamp()
    assert all(abs(int(p.headers["webhook-timestamp"]) - now) < 60 for p in hook.posts)
    assert {"webhook-signature", "Authorization"}.isdisjoint(hook.posts[0].headers)


def test_key_goes_in_its_header() -> None:
    (post,) = Hook(headers={"x-make-apikey": "k3y"}).send(7).posts
    assert post.headers["x-make-apikey"] == "k3y"


# What becomes of a client


@pytest.mark.parametrize("status", [200, 201, 202, 207, 299])
@pytest.mark.parametrize("body", ["", "Accepted", '{"status": "success"}', "<html>", '{"err'])
def test_any_whole_success_is_sent(status: int, body: str) -> None:
    """Whatever it says: no receiver of this kind says more."""
    assert Hook((status, body), 204).send(7, 8).outcomes == {7: ACCEPTED, 8: ACCEPTED}


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_refused_client(status: int) -> None:
    """It is told once another one was taken, for before that the contract may be at fault."""
    hook = Hook(status, 200).send(7)
    assert hook.outcomes == {}
    assert hook.send(8).outcomes == {7: REFUSED, 8: ACCEPTED}
    assert hook.receipts[0].code == f"http_{status}"


def test_three_refused_and_none_taken_is_the_contract() -> None:
    """Then the push stops, and all of them wait."""
    hook = Hook(422, 400, 415)
    hook.fails(ConfigError, 7, 8, 9)
    assert (hook.outcomes, hook.sink.close()) == ({}, [])


@pytest.mark.parametrize("status", [404, 405, 410, 301, 302, 308])
def test_hook_that_is_gone_or_wrong(status: int) -> None:
    """Nobody is lost, no redirect is followed, and the address is not told."""
    hook = Hook((status, "", {"Location": "https://elsewhere.test/"}))
    error = hook.fails(AddressError, 7)
    assert (error.exit_code, len(hook.posts), hook.outcomes) == (78, 1, {})


@pytest.mark.parametrize("status", [402, 406, 409, 418, 451])
def test_another_refusal_is_of_the_account(status: int) -> None:
    assert Hook(status).fails(RefusedError, 7).exit_code == 78


@pytest.mark.parametrize("status", [401, 403])
def test_refused_key(status: int) -> None:
    """Where no key is set, it is not called a wrong one."""
    told = str(Hook(status, headers={"X-Key": "k3y"}).fails(DeniedError, 7))
    assert "BROADLY_API_KEY" in told
    assert "wants a key" in str(Hook(status).fails(DeniedError, 7))


def test_refused_signature_is_thought_of() -> None:
    """Only where there is one."""
    assert "BROADLY_WEBHOOK_SECRET" in str(Hook(401, secret=WHOLE).fails(DeniedError, 7))
    assert "BROADLY_WEBHOOK_SECRET" not in str(Hook(401).fails(DeniedError, 7))


@pytest.mark.parametrize("answer", [(429, "", {"Retry-After": "7"}), CLOSED_PORT])
def test_what_cannot_have_arrived_is_sent_again(answer: Any) -> None:
    hook = Hook(answer).send(7)
    assert (hook.outcomes, len(hook.posts)) == ({7: ACCEPTED}, 2)


def test_busy_for_longer_than_the_run_lasts() -> None:
    hook = Hook((429, "", {"Retry-After": "7200"}))
    hook.fails(UnavailableError, 7)
    assert (len(hook.posts), hook.outcomes) == (1, {})


@pytest.mark.parametrize("answer", [408, 425, 500, 502, 503, 504, CUT, requests.ReadTimeout()])
def test_unknown_outcome_is_not_tried_again(answer: Any) -> None:
    """Nothing behind a webhook dedupes, so a repeat might ask the client twice."""
    hook = Hook(answer)
    hook.fails(UnavailableError, 7, 8)
    assert (len(hook.posts), hook.outcomes) == (1, {7: UNKNOWN})
    assert hook.receipts[0].cause


def test_body_that_does_not_end_is_an_unknown_outcome() -> None:
    hook = Hook((200, "x" * 5_000_000))
    hook.fails(UnavailableError, 7)
    assert hook.outcomes == {7: UNKNOWN}


def test_nobody_is_sent_on_what_is_old() -> None:
    hook = Hook()
    with pytest.raises(TooLateError):
        list(hook.sink.send([review_request(7)], lambda: 0.0))
    assert hook.posts == []


# The pace


def test_posts_begin_evenly() -> None:
    """60 a minute: a second lies between two, less what the answer took."""
    hook = Hook(per_minute=60)
    assert hook.sink.ready_in() == 0
    hook.send(7)
    assert hook.sink.ready_in() == 1
    hook.clock.seconds += 0.25
    assert hook.sink.ready_in() == 0.75
    hook.send(8, 9)
    assert hook.clock.waits == [0.75, 1.0]


def test_repeats_keep_the_pace() -> None:
    hook = Hook(CLOSED_PORT, CLOSED_PORT, per_minute=1).send(7)
    assert hook.clock.seconds >= 1000 + 120
    assert len(hook.posts) == 3


def test_turn_that_comes_too_late_is_nobodys_fault() -> None:
    """The request is one of a later run; it is not tried over and over meanwhile."""
    hook = Hook(CLOSED_PORT, per_minute=1)
    with pytest.raises(TooLateError):
        list(hook.sink.send([review_request(7)], lambda: 1030 - hook.clock.now()))
    assert (len(hook.posts), hook.outcomes) == (1, {})


def test_rate_limit_of_its_own_is_another_thing() -> None:
    """It is waited for, or makes the receiver busy, as with every other one."""
    later = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()) + 7200)}
    hook = Hook((200, "", later), per_minute=6000).send(7)
    assert hook.sink.ready_in() <= 0.01
    assert hook.fails(UnavailableError, 8).cause == "rate_limit"
