"""The automation: what it takes, what it refuses, and what it says of a signature."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from rig import Sandbox, Webhook

from clio_broadly_sync.cli import practice as command
from clio_broadly_sync.sandbox import Firm

SECRET = "a-secret-of-24-characters-or-more"
ITEM: dict[str, Any] = {
    "event": "matter_closed",
    "source": "clio",
    "externalId": "clio:contact:1",
    "transactionId": "clio:matter:1:2026-11-20",
    "transactionDate": "2026-11-20",
    "firstName": "Ada",
    "lastName": "Lovelace",
    "companyName": "",
    "email": "ada@example.com",
    "phone": "",
    "test": False,
}
WRONG: dict[str, Any] = {
    "a key too many": ITEM | {"note": "x"},
    "no event": {key: value for key, value in ITEM.items() if key != "event"},
    "no test": {key: value for key, value in ITEM.items() if key != "test"},
    "another event": ITEM | {"event": "opened"},
    "a test that is a text": ITEM | {"test": "false"},
    "null": ITEM | {"phone": None},
    "an empty id": ITEM | {"externalId": ""},
    "a phone number that is none": ITEM | {"phone": "555"},
    "a person and a company": ITEM | {"companyName": "Analytical Engines"},
    "another id than the header's": ITEM | {"transactionId": "clio:matter:2:2026-11-20"},
    "a list": [ITEM],
}


@pytest.fixture
def servers() -> Iterator[Sandbox]:
    firm = Firm(contacts=0, matters=0)
    with Sandbox(firm, profile="webhook", webhook_secret=SECRET) as running:
        yield running


@pytest.fixture
def hook(servers: Sandbox) -> Webhook:
    assert isinstance(servers.broadly, Webhook)
    return servers.broadly


def _posted(hook: Webhook, item: Any = ITEM, *, secret: str = SECRET) -> requests.Response:
    body = json.dumps(item).encode()
    signed = b".".join([ITEM["transactionId"].encode(), b"1763632800", body])
    key = base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()
    digest = hmac.digest(key, signed, hashlib.sha256)
    headers = {
        "Content-Type": "application/json",
        "webhook-id": ITEM["transactionId"],
        "webhook-timestamp": "1763632800",
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
    return requests.post(hook.endpoint, data=body, headers=headers, timeout=60)


def test_each_is_accepted_as_often_as_it_comes(hook: Webhook) -> None:
    """It knows no duplicate."""
    for _ in range(2):
        answer = _posted(hook)
        assert (answer.status_code, answer.json()) == (200, {"status": "success"})
    assert [accepted.item for accepted in hook.accepted] == [ITEM, ITEM]
    assert {accepted.key for accepted in hook.accepted} == {ITEM["transactionId"]}


def test_fields_may_be_left_out(hook: Webhook) -> None:
    """Those of BROADLY_FIELDS, and no other."""
    assert _posted(hook, {k: v for k, v in ITEM.items() if k != "phone"}).status_code == 200


@pytest.mark.parametrize("name", WRONG)
def test_what_the_contract_does_not_have_is_refused(hook: Webhook, name: str) -> None:
    """The body must have exactly its keys, and values that fit."""
    assert _posted(hook, WRONG[name]).status_code == 422
    assert hook.accepted == []


def test_other_requests(hook: Webhook) -> None:
    """A GET is an event; another path, method or type is refused."""
    assert requests.get(hook.endpoint, timeout=60).status_code == 200
    assert (hook.gets, hook.accepted) == (1, [])
    assert requests.get(hook.url, timeout=60).status_code == 404
    assert requests.put(hook.endpoint, timeout=60).status_code == 405
    assert requests.post(hook.endpoint, data="x", timeout=60).status_code == 415
    kind = {"Content-Type": "application/json"}
    assert requests.post(hook.endpoint, data="x", headers=kind, timeout=60).status_code == 400
    assert hook.gets == 1


@pytest.mark.parametrize("secret", [SECRET, f"whsec_{base64.b64encode(SECRET.encode()).decode()}"])
def test_it_tells_whether_a_signature_holds(hook: Webhook, secret: str) -> None:
    """It lets the POST in all the same."""
    hook.secret = secret
    for with_which in (secret, "another-secret-of-ours-for-certain"):
        assert _posted(hook, secret=with_which).status_code == 200
    hook.secret = None
    assert _posted(hook).status_code == 200
    first, second, third = (post.request for post in hook.posts)
    assert hook.holds(third) is None
    hook.secret = secret
    assert (hook.holds(first), hook.holds(second)) == (True, False)


def test_settings_are_those_of_a_webhook(servers: Sandbox) -> None:
    """With its address, and no key."""
    settings = servers.settings()
    assert settings["BROADLY_PROFILE"] == "webhook"
    assert settings["BROADLY_URL"].endswith(f"/hooks/{servers.broadly.key}")
    assert settings["BROADLY_WEBHOOK_SECRET"] == SECRET
    assert "BROADLY_API_KEY" not in settings
    assert "BROADLY_DEDUPES" not in settings


def test_command_prints_the_settings_and_what_arrives(
    servers: Sandbox, hook: Webhook, capsys: pytest.CaptureFixture[str]
) -> None:
    """Settings on stdout, and the rest on stderr."""
    servers.clio.practice = command._settings_of(servers)
    command._print_settings(servers, command.CLIO_PORT)
    printed = capsys.readouterr()
    assert "BROADLY_PROFILE=webhook\nBROADLY_URL=" in printed.out
    assert f"BROADLY_WEBHOOK_SECRET={SECRET}\n" in printed.out
    assert "BROADLY_API_KEY" not in printed.out
    hook.arrived = command._say_what_arrived
    _posted(hook)
    _posted(hook, secret="another-secret-of-ours-for-certain")
    said = " ".join(capsys.readouterr().err.split())
    assert '"transactionId": "clio:matter:1:2026-11-20"' in said
    assert "its signature holds." in said
    assert "its signature does not hold." in said
