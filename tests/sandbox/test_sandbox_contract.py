"""The sandbox's Clio against the trimmed OpenAPI document, where that lies beside the checkout."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from rig import Sandbox

CONTRACT = Path(__file__).parents[3] / "shared" / "clio-contract.json"
pytestmark = pytest.mark.skipif(not CONTRACT.exists(), reason="no clio-contract.json beside us")
VALUES = "custom_field_values{id,field_name,field_type,value,soft_deleted,custom_field}"
CONTACT = (
    "id,etag,name,first_name,last_name,type,primary_email_address,primary_phone_number,created_at,"
    f"updated_at,is_client,initials,email_addresses{{address,primary}},{VALUES}"
)
MATTER = (
    "id,etag,number,display_number,description,status,open_date,close_date,pending_date,billable,"
    "created_at,updated_at,client_id,client{id,etag,name,type,primary_email_address},"
    f"practice_area,matter_stage{{id,name,order}},responsible_attorney{{id,name}},{VALUES}"
)
FIELD = "id,etag,name,parent_type,field_type,displayed,required,deleted,display_order,created_at"
WHO = "id,name,email,enabled,time_zone,account{id,name,state}"
CASES: list[tuple[str, dict[str, Any], int]] = [
    ("matters.json", {"fields": MATTER, "limit": "50"}, 200),
    ("matters.json", {"status": "closed", "order": "id(asc)", "close_date[]": ">=2020-01-01"}, 200),
    ("matters.json", {"updated_since": "2020-01-01T00:00:00Z", "fields": "id,status"}, 200),
    ("matters.json", {"fields": "id,nonsense"}, 400),
    ("matters/5001.json", {"fields": MATTER}, 200),
    ("matters/77.json", {}, 404),
    ("contacts.json", {"fields": CONTACT, "ids[]": "1001", "custom_field_ids[]": "302"}, 200),
    ("contacts.json", {"fields": CONTACT}, 200),
    ("contacts/1003.json", {"fields": CONTACT}, 200),
    ("custom_fields.json", {"fields": FIELD, "field_type": "checkbox", "deleted": "false"}, 200),
    ("users/who_am_i.json", {"fields": WHO}, 200),
]


@pytest.fixture(scope="module")
def document() -> Any:
    return json.loads(CONTRACT.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def check(document: Any) -> Callable[[requests.Response], None]:
    """Return what holds a request and its answer against the document."""
    openapi_core = pytest.importorskip("openapi_core")
    contrib = pytest.importorskip("openapi_core.contrib.requests")
    document["servers"] = [{"url": "/"}]
    api = openapi_core.OpenAPI.from_dict(document)

    def hold(answer: requests.Response) -> None:
        request = contrib.RequestsOpenAPIRequest(answer.request)
        api.validate_response(request, contrib.RequestsOpenAPIResponse(answer))

    return hold


def test_answers_fit_the_contract(
    sandbox: Sandbox,
    session: requests.Session,
    check: Callable[[requests.Response], None],
) -> None:
    """Lists, records and errors have the shapes that the document gives them."""
    sandbox.firm.redact_contact(1002)
    bearer = {"Authorization": f"Bearer {sandbox.clio.token}"}
    for path, query, status in CASES:
        url = f"{sandbox.clio.url}/api/v4/{path}"
        answer = session.get(url, params=query, headers=bearer, timeout=60)
        assert answer.status_code == status, answer.text
        check(answer)


def test_refusals_fit_the_contract(
    sandbox: Sandbox,
    session: requests.Session,
    check: Callable[[requests.Response], None],
) -> None:
    """401, 403 and 429 too."""
    url = f"{sandbox.clio.url}/api/v4/custom_fields.json"
    bearer = {"Authorization": f"Bearer {sandbox.clio.token}"}
    answers = [session.get(url, timeout=60)]
    sandbox.clio.forbid("custom_fields")
    answers.append(session.get(url, headers=bearer, timeout=60))
    sandbox.clio.rate.allowed = 0
    answers.append(session.get(url, headers=bearer, timeout=60))
    assert [answer.status_code for answer in answers] == [401, 403, 429]
    for answer in answers:
        check(answer)


def test_parameters_and_orders_are_those_of_the_contract(document: Any) -> None:
    """Every filter the sandbox honours is documented, and so is every order."""
    from clio_broadly_sync.sandbox.queries import FILTERS, ORDERS

    for kind, path in (
        ("matter", "matters"),
        ("contact", "contacts"),
        ("custom_field", "custom_fields"),
    ):
        given = document["paths"][f"/api/v4/{path}.json"]["get"]["parameters"]
        known = {parameter["name"]: parameter["schema"] for parameter in given}
        plain = {name if name in known else f"{name}[]" for name in FILTERS[kind]}
        assert plain <= set(known)
        orders = {order.partition("(")[0] for order in known["order"]["enum"]}
        assert set(ORDERS[kind].split()) == orders


def test_fields_are_those_of_the_contract(document: Any) -> None:
    """The sandbox's own tables know the names that the document knows, and no others."""
    from clio_broadly_sync.sandbox.render import SHAPES

    schemas = document["components"]["schemas"]
    pairs = {
        "matter": "Matter", "contact": "Contact", "custom_field": "CustomField",
        "value": "CustomFieldValue", "who": "User", "client": "Contact_base",
    }  # fmt: skip
    for shape, schema in pairs.items():
        parts = schemas[schema].get("allOf", [schemas[schema]])
        names: set[str] = set()
        for part in parts:
            target = schemas[part["$ref"].rpartition("/")[2]] if "$ref" in part else part
            names |= set(target.get("properties", {}))
        known = set(SHAPES[shape].plain) | set(SHAPES[shape].nested)
        assert (shape, known - names, names - known) == (shape, set(), set())
