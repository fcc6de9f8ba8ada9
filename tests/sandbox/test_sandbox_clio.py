"""Clio's lists and records: fields, filters, boxes, errors, permissions, limits."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import requests
from rig import Sandbox

from clio_broadly_sync.sandbox import MISSING, Box

Ask = Callable[..., requests.Response]
BOX = "id,custom_field_values{id,field_name,field_type,value,soft_deleted,custom_field}"


def data(answer: requests.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def box(ask: Ask, path: str, field: int) -> Any:
    """Return the entry of one field on a record, None without one."""
    values = data(ask(path, fields=BOX))["custom_field_values"]
    return next((v for v in values if v.get("custom_field") == {"id": field}), None)


def ids(answer: requests.Response) -> list[int]:
    return [row["id"] for row in data(answer)]


def test_fields_give_what_was_asked_and_nothing_else(ask: Ask) -> None:
    """A nested resource without braces gives its defaults, with braces what they hold."""
    row = data(ask("matters/5001.json", fields="id,status,client,practice_area{name}"))
    assert set(row) == {"id", "status", "client", "practice_area"}
    assert set(row["client"]) == {"id", "etag"}
    assert set(row["practice_area"]) == {"name"}


@pytest.mark.parametrize(
    "fields",
    [
        "id,nonsense", "client{nonsense}", "primary_email_address", "status{id}", "id,,etag",
        "custom_field_values{custom_field{id}}", "client{custom_field_values{value}}",
        "client{custom_field_values}", "closed_at", "client{id",
    ],
)  # fmt: skip
def test_unknown_names_and_deep_braces_are_refused(ask: Ask, fields: str) -> None:
    """One bad name fails the whole request."""
    answer = ask("matters.json", fields=fields)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "InvalidFields"
    assert answer.json()["error"]["message"].endswith("is not a valid field")


def test_unknown_parameters_are_ignored(ask: Ask) -> None:
    """A misspelt filter gives the unfiltered list."""
    assert ids(ask("matters.json", stauts="closed")) == ids(ask("matters.json"))


def test_status_is_lower_case_in_and_capitalised_out(sandbox: Sandbox, ask: Ask) -> None:
    """The filter says closed, the field says Closed."""
    sandbox.firm.suspend(5001)
    sandbox.firm.close(5002)
    rows = data(ask("matters.json", status="closed,pending", fields="id,status"))
    assert {row["status"] for row in rows} == {"Closed", "Pending"}
    assert {5001, 5002} <= {row["id"] for row in rows}
    assert ask("matters.json", status="Closed").status_code == 400


def test_close_dates_must_all_hold(empty: Sandbox, ask_empty: Ask) -> None:
    """Several bounds are combined; a matter without a date meets none."""
    client = empty.firm.add_contact()
    made = [empty.firm.add_matter(client) for _ in range(4)]
    for matter, day in zip(made[:3], (1, 15, 31), strict=True):
        empty.firm.close(matter, on=date(2026, 1, day))
    bounds = [">=2026-01-02", "<=2026-01-31"]
    assert ids(ask_empty("matters.json", close_date__=bounds)) == made[1:3]
    assert ids(ask_empty("matters.json", close_date="<2026-01-02")) == made[:1]
    assert ids(ask_empty("matters.json", close_date="=2026-01-15")) == made[1:2]
    assert ids(ask_empty("matters.json", close_date__=">2026-01-15")) == made[2:3]


def test_updated_since_means_after(empty: Sandbox, ask_empty: Ask) -> None:
    """A matter updated in the very second that was asked for is not in the list."""
    firm = empty.firm
    client = firm.add_contact()
    firm.clock.freeze(datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC))
    matter = firm.add_matter(client)
    assert ids(ask_empty("matters.json", updated_since="2026-05-01T12:00:00Z")) == []
    assert ids(ask_empty("matters.json", updated_since="2026-05-01T11:59:59Z")) == [matter]
    assert ids(ask_empty("matters.json", updated_since="2026-05-01T13:59:59+02:00")) == [matter]
    firm.clock.advance(timedelta(minutes=1))
    firm.edit(matter)
    assert ids(ask_empty("matters.json", updated_since="2026-05-01T12:00:59Z")) == [matter]
    assert ids(ask_empty("matters.json", created_since="2026-05-01T12:00:30Z")) == []


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"}, {"limit": "201"}, {"limit": "ten"}, {"order": "bogus"}, {"order": "id"},
        {"updated_since": "yesterday"}, {"updated_since": "2026-05-01"}, {"status": "closd"},
        {"close_date__": "2026-01-01"}, {"close_date__": ">=2026-02-30"}, {"ids__": "one"},
        {"page_token": "made-up"}, {"client_id": "x"}, {"custom_field_ids__": "BroadlyOptOut"},
    ],
)  # fmt: skip
def test_bad_values_are_refused(ask: Ask, query: dict[str, str]) -> None:
    """What can't be read is a 400 in the nested form."""
    answer = ask("matters.json", **query)
    assert answer.status_code == 400
    assert set(answer.json()["error"]) == {"type", "message"}


def test_contacts_by_id_kind_and_name(empty: Sandbox, ask_empty: Ask) -> None:
    """Ids, type, e-mail and words narrow the list of contacts."""
    firm = empty.firm
    ada = firm.add_contact(first_name="Ada", last_name="Lovelace", email=None)
    mill = firm.add_contact(type="Company", name="Analytical Mill")
    assert ids(ask_empty("contacts.json", ids__=[mill, ada, 7])) == [ada, mill]
    assert ids(ask_empty("contacts.json", exclude_ids__=[mill])) == [ada]
    assert ids(ask_empty("contacts.json", type="Company")) == [mill]
    assert ids(ask_empty("contacts.json", email_only="true")) == [mill]
    assert ids(ask_empty("contacts.json", query="lovel")) == [ada]
    assert ids(ask_empty("contacts.json", order="name(desc)")) == [mill, ada]
    company = data(ask_empty(f"contacts/{mill}.json", fields="type,name,first_name"))
    assert company == {"type": "Company", "name": "Analytical Mill", "first_name": None}


def test_matters_of_a_client_and_by_words(empty: Sandbox, ask_empty: Ask) -> None:
    """The display number holds the surname, and the search finds it."""
    client = empty.firm.add_contact(first_name="Ada", last_name="Lovelace")
    matter = empty.firm.add_matter(client)
    other = empty.firm.add_matter(empty.firm.add_contact(last_name="Babbage"))
    assert ids(ask_empty("matters.json", client_id=client)) == [matter]
    assert ids(ask_empty("matters.json", query="LOVELACE")) == [matter]
    row = data(ask_empty(f"matters/{other}.json", fields="display_number"))
    assert row == {"display_number": f"{other:05d}-Babbage"}


def test_definitions_are_filtered(ask: Ask, sandbox: Sandbox) -> None:
    """Lower case in the filter, capitals in the answer, deleted ones on demand."""
    fields = "name,parent_type,field_type,displayed,required,deleted"
    rows = data(ask("custom_fields.json", field_type="checkbox", deleted="false", fields=fields))
    assert [row["name"] for row in rows] == [
        "BroadlyOptOut", "SendBroadlyThankYou", "Fee Agreement Signed", "MayBeTexted"
    ]  # fmt: skip
    assert {row["parent_type"] for row in rows} == {"Contact", "Matter"}
    sandbox.firm.fields.delete("BroadlyOptOut")
    rows = data(ask("custom_fields.json", deleted="true", parent_type="contact", fields="name"))
    assert rows == [{"name": "BroadlyOptOut"}]


def test_untouched_box_of_a_field_that_is_not_displayed_is_absent(
    ask: Ask, sandbox: Sandbox
) -> None:
    """Only a displayed field has a placeholder."""
    sandbox.firm.set_opt_out(1001, Box.UNTOUCHED)
    sandbox.firm.fields.change("BroadlyOptOut", displayed=False)
    assert box(ask, "contacts/1001.json", 302) is None


def test_deleted_field_keeps_its_answers(ask: Ask, sandbox: Sandbox) -> None:
    """What was answered stays, marked soft_deleted."""
    sandbox.firm.set_opt_out(1001, True)
    sandbox.firm.fields.delete("BroadlyOptOut")
    entry = box(ask, "contacts/1001.json", 302)
    assert (entry["value"], entry["soft_deleted"]) == (True, True)


def test_custom_field_ids_trim_the_values(ask: Ask, sandbox: Sandbox) -> None:
    """Only the asked definitions come along; the list is not filtered by it."""
    rows = data(ask("contacts.json", custom_field_ids__=[302], fields=BOX))
    assert len(rows) == 40
    names = {value["field_name"] for row in rows for value in row["custom_field_values"]}
    assert names == {"BroadlyOptOut"}


def test_box_filter_matches_answers_only(ask: Ask, sandbox: Sandbox) -> None:
    """A box that nobody answered matches neither true nor false."""
    for matter, state in ((5001, True), (5002, False), (5003, Box.UNTOUCHED)):
        sandbox.firm.set_thank_you(matter, state)
    ticked = ids(ask("matters.json", **{"custom_field_values[305]": "true"}))
    unticked = ids(ask("matters.json", **{"custom_field_values[305]": "false"}))
    assert [5001 in ticked, 5002 in unticked, 5003 in ticked + unticked] == [True, True, False]


def test_hidden_contact_is_missing_and_redacted_one_is_bare(ask: Ask, sandbox: Sandbox) -> None:
    """Hidden: not in lists, 404 by id. Redacted: its id and a mark, on its matters too."""
    firm = sandbox.firm
    firm.set_client(5001, 1001)
    firm.set_client(5002, 1002)
    firm.hide_contact(1001)
    firm.redact_contact(1002)
    assert ids(ask("contacts.json", ids__=[1001, 1002])) == [1002]
    assert ask("contacts/1001.json").status_code == 404
    bare = {"id": 1002, "redacted": True}
    assert data(ask("contacts.json", ids__=1002, fields="id,name"))[0] == bare
    rows = data(ask("matters.json", ids__=[5001, 5002], fields="client{id,name}"))
    assert set(rows[0]["client"]) == {"id", "name"}
    assert rows[1]["client"] == bare
    firm.hide_contact(1001, redact_on_matters=True)
    row = data(ask("matters/5001.json", fields="client{id,name}"))
    assert row["client"] == {"id": 1001, "redacted": True}
    firm.show_contact(1001)
    assert ids(ask("contacts.json", ids__=[1001])) == [1001]


def test_raw_values_replace_what_is_shown(ask: Ask, sandbox: Sandbox) -> None:
    """Any key may show any JSON, or be left out; keys nobody asked for stay away."""
    sandbox.firm.set_client(5001, 1001)
    sandbox.firm.set_raw("matter", 5001, id="5001", close_date=7, status=MISSING, other=1)
    sandbox.firm.set_raw("contact", 1001, primary_email_address=["a"])
    fields = "id,close_date,status,client{primary_email_address}"
    shown = data(ask("matters/5001.json", fields=fields))
    assert shown == {"id": "5001", "close_date": 7, "client": {"primary_email_address": ["a"]}}
    sandbox.firm.set_raw("matter", 5001)
    assert data(ask("matters/5001.json", fields="id,status"))["id"] == 5001


def test_unknown_token_is_a_flat_401(ask: Ask, sandbox: Sandbox) -> None:
    """Revoked, expired and missing tokens get the same flat body."""
    old = sandbox.clio.token
    sandbox.clio.rotate()
    assert ask("matters.json").status_code == 200
    answer = ask("matters.json", headers={"Authorization": f"Bearer {old}"})
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")
    assert answer.headers["X-RateLimit-Limit"]
    sandbox.firm.clock.advance(timedelta(days=31))
    assert ask("matters.json").status_code == 401


def test_forbidden_resources_and_stripped_values(ask: Ask, sandbox: Sandbox) -> None:
    """Without the custom fields permission: 403 on definitions, nulls on values."""
    sandbox.clio.forbid("custom_fields")
    answer = ask("custom_fields.json")
    assert (answer.status_code, answer.json()["error"]["type"]) == (403, "ForbiddenError")
    for value in data(ask("contacts/1001.json", fields=BOX))["custom_field_values"]:
        assert value["id"]
        assert [value[k] for k in ("field_name", "field_type", "value")] == [None, None, None]
    sandbox.clio.allow("custom_fields")
    assert ask("custom_fields.json").status_code == 200
    sandbox.clio.forbid("users", "contacts")
    assert [ask(p).status_code for p in ("users/who_am_i", "contacts", "matters")] == [
        403,
        403,
        200,
    ]


def test_versions_are_echoed_or_gone(ask: Ask) -> None:
    """A known version comes back, another one is 410."""
    assert ask("matters").headers["X-API-VERSION"] == "4.0.13"
    assert ask("matters", headers={"X-API-VERSION": "4.0.9"}).headers["X-API-VERSION"] == "4.0.9"
    assert ask("matters", headers={"X-API-VERSION": "3"}).status_code == 410


def test_rate_limit_counts_each_minute(ask: Ask, sandbox: Sandbox) -> None:
    """The allowance shrinks, is refused with Retry-After, and is whole again a minute later."""
    sandbox.firm.clock.freeze(datetime(2027, 1, 1, 0, 0, 20, tzinfo=UTC))
    sandbox.clio.rotate()
    sandbox.clio.rate.allowed = 2
    left = [ask("matters").headers["X-RateLimit-Remaining"] for _ in range(2)]
    refused = ask("matters")
    assert left == ["1", "0"]
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "40")
    sandbox.clio.retry_after_date = True
    assert ask("matters").headers["Retry-After"] == "Fri, 01 Jan 2027 00:01:00 GMT"
    sandbox.firm.clock.advance(timedelta(seconds=40))
    assert ask("matters").status_code == 200


def test_single_records_can_be_asked_conditionally(ask: Ask, sandbox: Sandbox) -> None:
    """An unchanged record is 304, a changed one comes whole."""
    mark = ask("matters/5001.json").headers["ETag"]
    assert ask("matters/5001.json", headers={"If-None-Match": mark}).status_code == 304
    sandbox.firm.edit(5001)
    assert ask("matters/5001.json", headers={"If-None-Match": mark}).status_code == 200


def test_other_methods_and_paths_are_404(
    sandbox: Sandbox, session: requests.Session, ask: Ask
) -> None:
    """OPTIONS is not supported, nor is anything that this program has no use for."""
    url = f"{sandbox.clio.url}/api/v4/matters.json"
    bearer = {"Authorization": f"Bearer {sandbox.clio.token}"}
    assert session.options(url, headers=bearer, timeout=60).status_code == 404
    assert session.post(url, headers=bearer, json={}, timeout=60).status_code == 404
    assert session.head(f"{sandbox.clio.url}/nothing", timeout=60).status_code == 404
    assert [ask("bills").status_code, ask("users/5").status_code] == [404, 404]
