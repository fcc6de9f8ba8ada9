"""Clio's side: what is asked, what is read, and everything odd that may come back."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import responses
from parts import DATE, DAY, NOW, Clock, Tokens, transport
from rig import Sandbox, faults

from clio_broadly_sync.clio import api
from clio_broadly_sync.clio.api import MAX_PAGES_WITHOUT_PROGRESS, Api
from clio_broadly_sync.clio.contact_points import normal_email, normal_phone
from clio_broadly_sync.clio.source import Clio
from clio_broadly_sync.domain.account import Account
from clio_broadly_sync.domain.errors import (
    ConfigError,
    DeniedError,
    RefusedError,
    SyncError,
    UnavailableError,
)
from clio_broadly_sync.domain.model import Box, CustomField, FieldIds, Matter
from clio_broadly_sync.sandbox import Firm

BASE = "https://app.clio.example"
API = f"{BASE}/api/v4"
FIELDS = FieldIds(opt_out=301, opt_in=302)
NONE = FieldIds(None, None)
SINCE = NOW - timedelta(hours=1)
MISSING = object()
ODD = [5, 5.5, True, "odd", "\ud800", "x" * 100_000, [], [{}], {}, {"id": None}, {"id": "5"}, None]


def _clio(tokens: Tokens | None = None, base: str = BASE, **more: Any) -> Clio:
    region, clock = more.pop("region", "us"), more.pop("clock", None)
    given = {"wall_clock": lambda: NOW, **more}
    return Clio(Api(transport(clock=clock), tokens or Tokens(), base, **given), region=region)


def _entry(value: Any = True, field: int = 302, **changes: Any) -> dict[str, Any]:
    entry = {
        "id": f"checkbox-{field}7",
        "field_name": "A box",
        "field_type": "checkbox",
        "value": value,
        "soft_deleted": False,
        "custom_field": {"id": field},
    }
    return _changed(entry, changes)


def _changed(row: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in {**row, **changes}.items() if value is not MISSING}


def _matter(id_: int = 77, **changes: Any) -> dict[str, Any]:
    row = {
        "id": id_,
        "etag": '"e1"',
        "status": "Closed",
        "close_date": DAY.isoformat(),
        "updated_at": NOW.isoformat(),
        "client": {"id": 1201},
        "custom_field_values": [_entry()],
    }
    return _changed(row, changes)


def _contact(id_: int = 1201, **changes: Any) -> dict[str, Any]:
    row = {
        "id": id_,
        "type": "Person",
        "name": "Ada Lovelace",
        "first_name": "Ada",
        "last_name": "Lovelace",
        "primary_email_address": "ada@example.com",
        "primary_phone_number": "(415) 555-0123",
        "custom_field_values": [],
    }
    return _changed(row, changes)


def _answer(path: str, body: Any, status: int = 200, headers: dict[str, str] = DATE) -> None:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    responses.get(f"{API}/{path}", body=text, status=status, headers=headers)


def _list(path: str, *rows: Any, **meta: Any) -> None:
    _answer(path, {"data": [*rows], "meta": {"paging": {}, **meta}})


def _read_matters(*rows: Any, fields: FieldIds = FIELDS) -> list[Matter]:
    _list("matters.json", *rows)
    return [matter for page in _clio().closed_since(SINCE, fields) for matter in page.matters]


# Boxes


UNREADABLE, CHECKED, UNCHECKED = Box.UNREADABLE, Box.CHECKED, Box.UNCHECKED
UNTOUCHED = Box.UNTOUCHED
STATES = [
    ([], UNTOUCHED),
    ([_entry(None, id=None)], UNTOUCHED),
    ([_entry(None)], UNTOUCHED),
    ([_entry(False)], UNCHECKED),
    ([_entry("false")], UNCHECKED),
    ([_entry(0)], UNCHECKED),
    ([_entry("0")], UNCHECKED),
    ([_entry("")], UNCHECKED),
    ([_entry(True)], CHECKED),
    ([_entry("true")], CHECKED),
    ([_entry(1)], CHECKED),
    ([_entry("1")], CHECKED),
    ([_entry(True, field=999)], UNTOUCHED),
    ([_entry(True, field=999), _entry(False)], UNCHECKED),
    ([_entry(False, field=999), _entry(True)], CHECKED),
    ([_entry(True), _entry(True)], CHECKED),
    ([_entry(None), _entry(None)], UNTOUCHED),
    ([_entry(None), _entry(False)], UNCHECKED),
    ([_entry(None), _entry(True)], UNREADABLE),
    ([_entry(None, soft_deleted=True)], UNREADABLE),
    ([_entry(None, field_type="text_line")], UNREADABLE),
    ([_entry(True), _entry(False)], UNREADABLE),
    ([_entry(None, field_name=None, field_type=None)], UNREADABLE),
    ([_entry(False, field_name=None, field_type=None)], UNREADABLE),
    ([_entry(None, field_name=None, field_type=None, custom_field=None)], UNREADABLE),
    ([_entry(None, field_name=None, field_type=None, custom_field=MISSING)], UNREADABLE),
    ([_entry(None, id=None, field_name=None, field_type=None)], UNREADABLE),
    ([_entry(None, field_name=MISSING)], UNREADABLE),
    ([_entry(False, field_name=5)], UNREADABLE),
    ([_entry(False, field_type="text_line")], UNREADABLE),
    ([_entry(False, field_type=MISSING)], UNREADABLE),
    ([_entry(False, soft_deleted=True)], UNREADABLE),
    ([_entry(True, soft_deleted=None)], CHECKED),
    ([_entry(True, soft_deleted=MISSING)], CHECKED),
    ([_entry(MISSING)], UNREADABLE),
    ([_entry("True")], UNREADABLE),
    ([_entry("yes")], UNREADABLE),
    ([_entry(2)], UNREADABLE),
    ([_entry(-1)], UNREADABLE),
    ([_entry(0.0)], UNREADABLE),
    ([_entry(1.0)], UNREADABLE),
    ([_entry([])], UNREADABLE),
    ([_entry({})], UNREADABLE),
    ([_entry(False, custom_field={"id": "302"})], UNREADABLE),
    ([_entry(False, custom_field={"id": True})], UNREADABLE),
    ([_entry(False, custom_field={"id": 302.0})], UNREADABLE),
    ([_entry(False, custom_field={})], UNREADABLE),
    ([_entry(False, custom_field=302)], UNREADABLE),
    ([None], UNREADABLE),
    (["true"], UNREADABLE),
    (None, UNREADABLE),
    (MISSING, UNREADABLE),
    ("", UNREADABLE),
    ({}, UNREADABLE),
    (True, UNREADABLE),
]


@pytest.mark.parametrize(("entries", "box"), STATES)
@responses.activate
def test_every_wire_state_of_the_box_on_a_matter(entries: Any, box: Box) -> None:
    """Where in doubt it is unreadable: nobody is asked by a guess."""
    (matter,) = _read_matters(_matter(custom_field_values=entries))
    assert (matter.opted_in, matter.readable) == (box, True)


@pytest.mark.parametrize(("entries", "box"), STATES)
@responses.activate
def test_every_wire_state_of_the_box_on_a_contact(entries: Any, box: Box) -> None:
    """The same reading; what is unreadable is never "not opted out"."""
    _list("contacts.json", _contact(custom_field_values=entries))
    read = _clio().contacts([1201], FieldIds(opt_out=302, opt_in=None))
    assert read[1201].opted_out is box


@responses.activate
def test_box_that_nobody_reads() -> None:
    """Without a pin its values are neither asked for nor looked at."""
    (matter,) = _read_matters(_matter(custom_field_values=MISSING), fields=NONE)
    assert matter.opted_in is UNCHECKED
    assert "custom_field" not in str(responses.calls[0].request.url)


@responses.activate
def test_box_said_twice() -> None:
    """Two values under one key leave it in doubt."""
    row = json.dumps(_matter()).replace('"value": true', '"value": false, "value": true')
    _answer("matters.json", b'{"data": [%s], "meta": {}}' % row.encode())
    (page,) = _clio().closed_since(SINCE, FIELDS)
    assert page.matters[0].opted_in is UNREADABLE


# Records


@pytest.mark.parametrize("id_", [77, 2**53 + 1, 2**63 - 1])
@responses.activate
def test_matter_is_read(id_: int) -> None:
    """Each field has its place; an id is whole, also beyond what a float can hold."""
    assert _read_matters(_matter(id_)) == [
        Matter(id_, '"e1"', True, DAY, 1201, CHECKED, NOW, readable=True)
    ]


@pytest.mark.parametrize("value", [None, ""])
@responses.activate
def test_matter_without_a_close_date(value: Any) -> None:
    """It may be absent."""
    (matter,) = _read_matters(_matter(close_date=value))
    assert (matter.closed_on, matter.readable) == (None, True)


@responses.activate
def test_matter_without_a_client() -> None:
    """It may be absent."""
    (matter,) = _read_matters(_matter(client=None))
    assert (matter.client_id, matter.readable) == (None, True)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("status", [*ODD, MISSING, "closed", "CLOSED", "Archived", ""]),
        ("etag", [v for v in ODD if v != "odd"] + [MISSING, "", "a\nb"]),
        ("close_date", [v for v in ODD if v is not None] + [MISSING, "2026-02-30", "0000-01-01"]),
        ("close_date", ["2026-11-20T00:00:00Z", "20261120", "2026-W47-5", "20.11.2026", " "]),
        ("client", [v for v in ODD if v is not None] + [MISSING, {"id": True}, {"id": 0}]),
        ("client", [{"id": -5}, {"id": 2**63}, {"id": 5.0}, {"name": "Ada"}]),
        ("redacted", [v for v in ODD if v is not None]),
    ],
)
@responses.activate
def test_matter_that_cannot_be_read_waits(field: str, values: list[Any]) -> None:
    """The others of its page do not wait for it, and it is none that is left out as not closed."""
    odd = [_matter(100 + number, **{field: value}) for number, value in enumerate(values)]
    read = _read_matters(_matter(1), *odd, _matter(999))
    assert [m.id for m in read] == [1, *range(100, 100 + len(values)), 999]
    assert [m.readable for m in read] == [True, *[False] * len(values), True]
    assert all(matter.etag.isprintable() and len(matter.etag) < 256 for matter in read)


@pytest.mark.parametrize("value", [*ODD, MISSING, "0001-01-01T00:00:00+14:00", "never"])
@responses.activate
def test_matter_without_a_readable_update_is_kept(value: Any) -> None:
    """Whether it was asked for cannot be told, so it is not left out."""
    (matter,) = _read_matters(_matter(updated_at=value))
    assert (matter.updated_at, matter.readable) == (None, True)


@pytest.mark.parametrize("id_", [*ODD[1:], MISSING, 0, -1, 2**63])
@pytest.mark.parametrize("path", ["matters.json", "contacts.json"])
@responses.activate
def test_record_that_cannot_be_told(path: str, id_: Any) -> None:
    """Without an id nothing waits under it: the answer cannot be read."""
    row = _matter(id=id_) if path == "matters.json" else _contact(id=id_)
    _list(path, row)
    read = _clio().matters if path == "matters.json" else _clio().contacts
    with pytest.raises(UnavailableError, match="no id"):
        read([5], FIELDS)


@responses.activate
def test_contact_is_read() -> None:
    """E-mail and phone in normal form."""
    _list("contacts.json", _contact(primary_email_address=" Ada@EXAMPLE.com "))
    contact = _clio().contacts([1201], FIELDS)[1201]
    assert (contact.first_name, contact.last_name, contact.company_name) == (
        "Ada",
        "Lovelace",
        None,
    )
    assert (contact.email, contact.phone) == ("Ada@example.com", "+14155550123")
    assert (contact.is_company, contact.opted_out, contact.readable) == (False, UNTOUCHED, True)


@responses.activate
def test_both_boxes_of_a_contact_are_read_at_once() -> None:
    """Each by its own id, in one request; an entry of one says nothing about the other."""
    fields = FIELDS._replace(opt_out=301, text=303)
    answers = [
        ([], UNTOUCHED, UNTOUCHED),
        ([_entry(True, field=303)], UNTOUCHED, CHECKED),
        ([_entry(True, field=301)], CHECKED, UNTOUCHED),
        ([_entry(False, field=303), _entry(None, field=301)], UNTOUCHED, UNCHECKED),
        ([_entry(None, field=303, field_name=None, field_type=None)], UNTOUCHED, UNREADABLE),
        ([_entry(True, field=303), _entry(False, field=303)], UNTOUCHED, UNREADABLE),
        ([_entry(True, field=303, custom_field=None)], UNREADABLE, UNREADABLE),
    ]
    rows = [_contact(1201 + n, custom_field_values=e) for n, (e, _, _) in enumerate(answers)]
    _list("contacts.json", *rows)
    read = _clio().contacts([1201 + n for n in range(len(rows))], fields)
    found = [(contact.opted_out, contact.texts) for contact in read.values()]
    assert found == [(opt_out, texts) for _, opt_out, texts in answers]
    (call,) = responses.calls
    assert "custom_field_ids%5B%5D=301&custom_field_ids%5B%5D=303&" in str(call.request.url)


@responses.activate
def test_box_for_texts_that_nobody_reads() -> None:
    """It counts as unchecked, and is not asked for."""
    _list("contacts.json", _contact(custom_field_values=[_entry(True, field=303)]))
    assert _clio().contacts([1201], FIELDS)[1201].texts is UNCHECKED
    assert "303" not in str(responses.calls[0].request.url)


@responses.activate
def test_company_is_read() -> None:
    """It has a name and no other."""
    _list("contacts.json", _contact(type="Company", name="Analytical Engines", first_name=None))
    contact = _clio().contacts([1201], FIELDS)[1201]
    assert (contact.first_name, contact.last_name) == (None, None)
    assert (contact.is_company, contact.company_name) == (True, "Analytical Engines")


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("type", [*ODD, MISSING, "person"]),
        ("first_name", [5, True, [], {}]),
        ("last_name", [5.5, False, ["Lovelace"]]),
        ("name", [5, {}]),
        ("primary_email_address", [5, True, [], {"address": "ada@example.com"}, MISSING]),
        ("primary_phone_number", [14155550123, 5.5, {"number": "1"}, MISSING]),
    ],
)
@responses.activate
def test_contact_that_cannot_be_read_waits(field: str, values: list[Any]) -> None:
    """The others of its page do not wait for it."""
    odd = [_contact(100 + number, **{field: value}) for number, value in enumerate(values)]
    _list("contacts.json", _contact(1), *odd)
    read = _clio().contacts([1, *range(100, 100 + len(values))], FIELDS)
    assert [contact.readable for contact in read.values()] == [True, *[False] * len(values)]


@pytest.mark.parametrize("redacted", [True, "true", 1, {}, [0]])
@responses.activate
def test_redacted_contact_is_hidden(redacted: Any) -> None:
    """It comes as its id; whatever that flag holds, it is not "not opted out"."""
    _list("contacts.json", {"id": 1201, "redacted": redacted}, _contact(1202, redacted=False))
    assert set(_clio().contacts([1201, 1202], FIELDS)) == {1202}


@responses.activate
def test_record_that_comes_twice() -> None:
    """The same twice is once; two that differ are in doubt."""
    doubled = [_contact(1), _contact(1), _contact(2), _contact(2, custom_field_values=[_entry()])]
    _list("contacts.json", *doubled)
    read = _clio().contacts([1, 2], FieldIds(302, None))
    assert {id_: contact.readable for id_, contact in read.items()} == {1: True, 2: False}


@pytest.mark.parametrize(
    ("text", "email"),
    [
        ("ada@example.com", "ada@example.com"),
        ("  Ada.L+x@Example.COM\n", "Ada.L+x@example.com"),
        ("ada@bücher.example", "ada@bücher.example"),
        (None, None),
        ("", None),
        ("ada", None),
        ("ada@", None),
        ("@example.com", None),
        ("ada@@example.com", None),
        ("ada@example", None),
        ("ada@x.test", "ada@x.test"),
        ("ada example@example.com", None),
        ("Ada <ada@example.com>", "ada@example.com"),
        ("jane@example.com\u200b", "jane@example.com"),
        ("\u202ajane@example.com\u202c", "jane@example.com"),
        ("ja\u00adne@exam\u2060ple.com", "jane@example.com"),
        ("\ufeffjane@example.com\u00a0", "jane@example.com"),
        ("mailto:jane@example.com?subject=Hi", "jane@example.com"),
        ("E-mail: jane@example.com.", "jane@example.com"),
        ("<jane@example.com>;", "jane@example.com"),
        ("“jane@example.com”", "jane@example.com"),
        ("Ada <ada@example.com> <bob@example.com>", None),
        ("mail: ask ada", None),
        (".jane@example.com", None),
        ("ada@example.com, bob@example.com", None),
        ("a\ud800@example.com", None),
        ("ada@example.com\r\nBcc: bob@example.com", None),
        ("ada@example.com\x00", None),
        ("ada＠example.com", None),
        ("ada@example.com (office)", None),
        ("\u202emoc.elpmaxe@ada", None),
        ("ada@xn--0.com", None),
        ("a" * 64 + "@" + "b" * 63 + ".com", "a" * 64 + "@" + "b" * 63 + ".com"),
        ("ada@" + "b" * 64 + ".com", None),
        (
            "a@" + ".".join(["b" * 60] * 4) + ".examples",
            "a@" + ".".join(["b" * 60] * 4) + ".examples",
        ),
        ("ab@" + ".".join(["b" * 60] * 4) + ".examples", None),
        ("@" * 1_000_000, None),
    ],
)
def test_email_in_normal_form(text: str | None, email: str | None) -> None:
    """An address that is none is left out."""
    assert normal_email(text) == email


@pytest.mark.parametrize(
    ("text", "region", "phone"),
    [
        ("(415) 555-0123", "US", "+14155550123"),
        ("415.555.0123 ", "US", "+14155550123"),
        ("+44 20 7946 0958", "US", "+442079460958"),
        ("+44 20 7946 0958", None, "+442079460958"),
        ("(415) 555-0123", None, None),
        ("1-800-FLOWERS", "US", "+18003569377"),
        ("02 9374 4000", "AU", "+61293744000"),
        (None, "US", None),
        ("  ", "US", None),
        ("none", "US", None),
        ("555-0123", "US", None),
        ("212-555-0142 x101", "US", None),
        ("212-555-0142 ext. 102", "US", None),
        ("212-555-0142 extension 102", "US", None),
        ("212-555-0142 #102", "US", None),
        ("212-555-0142,102", "US", None),
        ("tel:+1-212-555-0142;ext=102", None, None),
        ("+1 212-555-0142 X 102", None, None),
        ("212-555-0142 - 102", "US", None),
        ("212-555-0142 (102)", "US", None),
        ("212-555-0142 p102", "US", None),
        ("212-555-0142 x", "US", "+12125550142"),
        ("\u202a+1 212-555-0142\u202c", None, "+12125550142"),
        ("212\u200b-555\u2060-0142", "US", "+12125550142"),
        ("415-555-0123 / 415-555-0124", "US", None),
        ("415-555-0123 or 0124", "US", None),
        ("415-555-0123\n415-555-0124", "US", None),
        ("415-555-0123 after five", "US", None),
        ("\x00\ud800", "US", None),
        ("9" * 1_000_000, "US", None),
        ("a " * 500_000, "US", None),
        ("tel:415-555-0123", "US", "+14155550123"),
        ("do not call 415-555-0123", "US", None),
        ("415-555-0123 do not call", "US", None),
        ("４１５－５５５－０１２３", "US", "+14155550123"),
    ],
)
def test_phone_in_normal_form(text: str | None, region: str | None, phone: str | None) -> None:
    """What is no number is left out; so is a switchboard's, with an extension in any notation."""
    assert normal_phone(text, region) == phone


@pytest.mark.parametrize(
    ("text", "country", "phone"),
    [
        ("0044 7911 123456", None, "+447911123456"),
        ("(0044) 7911 123456", "IE", "+447911123456"),
        ("00 1 (212) 555-0142", "GB", "+12125550142"),
        ("0011 44 7911 123456", "AU", "+447911123456"),
        ("02 9374 4000", "AU", "+61293744000"),
        ("07911 123456", "GB", "+447911123456"),
        ("07911 123456", None, None),
        ("000", "GB", None),
        ("00", "GB", None),
    ],
)
def test_two_zeros_are_a_plus(text: str, country: str | None, phone: str | None) -> None:
    """Outside North America, where 00 begins nothing."""
    assert normal_phone(text, country, zeros_are_plus=True) == phone


@pytest.mark.parametrize(
    ("email", "phone", "unusable"),
    [
        ("ada@example.com", "(415) 555-0123", set()),
        (None, None, set()),
        ("", "", set()),
        (" \t\r\n", "\xa0\u3000", set()),
        ("\u200b\u202a", "\x00\x7f", set()),
        ("ada at example", None, {"email"}),
        ("n/a", " ", {"email"}),
        (None, "212-555-0142 x101", {"phone"}),
        ("", "555-0123", {"phone"}),
        (None, "do not call", {"phone"}),
        (None, "-", {"phone"}),
        ("ada@example.com", "0", {"phone"}),
        ("one@example.com, two@example.com", "(415) 555-0123", {"email"}),
        ("ada@", "212-555-0142 or 0143", {"email", "phone"}),
        ('""', "+44", {"email", "phone"}),
    ],
)
@pytest.mark.parametrize("kind", ["Person", "Company"])
@responses.activate
def test_address_that_is_there_and_cannot_be_used(
    kind: str, email: str | None, phone: str | None, unusable: set[str]
) -> None:
    """It is told apart from none; what nobody can see is none."""
    row = _contact(type=kind, primary_email_address=email, primary_phone_number=phone)
    _list("contacts.json", row)
    contact = _clio().contacts([1201], FIELDS)[1201]
    assert contact.unusable == unusable


@responses.activate
def test_number_without_its_country_cannot_be_used() -> None:
    """It is somebody's number, and nobody can tell whose."""
    _list("contacts.json", _contact())
    assert _clio(region="eu").contacts([1201], FIELDS)[1201].unusable == {"phone"}


@pytest.mark.parametrize(
    ("region", "phone"),
    [("us", "+14155550123"), ("ca", "+14155550123"), ("au", None), ("eu", None)],
)
@responses.activate
def test_region_is_the_country_of_a_phone(region: str, phone: str | None) -> None:
    """In `eu` only a number with a plus is one."""
    _list("contacts.json", _contact())
    assert _clio(region=region).contacts([1201], FIELDS)[1201].phone == phone


@pytest.mark.parametrize(
    ("zone", "text", "phone"),
    [
        ("Europe/London", "07911 123456", "+447911123456"),
        ("London", "0207 946 0958", "+442079460958"),
        ("Edinburgh", "07911 123456", "+447911123456"),
        ("Europe/Belfast", "07911 123456", "+447911123456"),
        ("Dublin", "01 234 5678", "+35312345678"),
        ("Europe/Berlin", "030 901820", "+4930901820"),
        ("Europe/London", "0049 30 901820", "+4930901820"),
        ("CET", "07911 123456", None),
        ("Atlantis", "07911 123456", None),
        (None, "07911 123456", None),
        (None, "0044 7911 123456", "+447911123456"),
    ],
)
@responses.activate
def test_country_of_a_phone_in_europe(zone: str | None, text: str, phone: str | None) -> None:
    """That of the firm's zone, where the zone is one country's; Clio tells it with the account."""
    data = {"id": 1, "time_zone": zone, "account": {"id": 901}}
    _answer("users/who_am_i.json", {"data": data})
    _list("contacts.json", _contact(primary_phone_number=text))
    clio = _clio(region="eu")
    clio.account()
    assert clio.contacts([1201], FIELDS)[1201].phone == phone


@responses.activate
def test_zone_of_the_settings_is_the_country_of_a_phone() -> None:
    """It is known before Clio was asked, and wins."""
    _list("contacts.json", _contact(primary_phone_number="01 234 5678"))
    clio = Clio(
        Api(transport(), Tokens(), BASE, wall_clock=lambda: NOW), region="eu", zone="Europe/Dublin"
    )
    assert clio.contacts([1201], FIELDS)[1201].phone == "+35312345678"


# Definitions and the account


DEFINITION = {
    "id": 302,
    "name": "SendBroadlyThankYou",
    "parent_type": "Matter",
    "field_type": "checkbox",
    "deleted": False,
}


@responses.activate
def test_definitions_are_filtered_on_our_side_too() -> None:
    """Clio ignores a filter that it does not know."""
    others = [{**DEFINITION, "id": 303, "deleted": True}]
    others += [{**DEFINITION, "id": 304, "field_type": "text_line"}]
    _list("custom_fields.json", DEFINITION, *others)
    kept = CustomField(302, "SendBroadlyThankYou", "Matter", "checkbox", False)
    assert _clio().custom_fields() == [kept]
    assert [field.id for field in _clio().custom_fields(all_of_them=True)] == [302, 303, 304]


@pytest.mark.parametrize(
    ("value", "read"), [(True, True), (False, False), (None, None), ("true", None), (MISSING, None)]
)
@responses.activate
def test_how_a_field_is_shown_is_no_matter_of_life_and_death(value: Any, read: Any) -> None:
    """Where Clio does not say whether a field is displayed or required, nobody knows."""
    _list("custom_fields.json", _changed(DEFINITION, {"displayed": value, "required": value}))
    (field,) = _clio().custom_fields()
    assert (field.displayed, field.required) == (read, read)


@pytest.mark.parametrize("field", ["id", "name", "parent_type", "field_type", "deleted"])
@pytest.mark.parametrize("value", [None, 5.5, [], {}, MISSING])
@responses.activate
def test_definition_that_cannot_be_read(field: str, value: Any) -> None:
    """It may be ours, so nobody takes it for missing."""
    _list("custom_fields.json", _changed(DEFINITION, {field: value}))
    with pytest.raises(UnavailableError):
        _clio().custom_fields()


@pytest.mark.parametrize(
    ("named", "zone"),
    [
        ("America/Los_Angeles", "America/Los_Angeles"),
        ("Pacific Time (US & Canada)", "America/Los_Angeles"),
        ("Sydney", "Australia/Sydney"),
        ("Mars/Olympus", None),
        ("../etc/passwd", None),
        ("\0", None),
        (None, None),
        (5, None),
    ],
)
@responses.activate
def test_account_is_read(named: Any, zone: str | None) -> None:
    """Its time zone by the name that this machine knows, and as Clio spells it."""
    _answer("users/who_am_i.json", {"data": {"id": 1, "time_zone": named, "account": {"id": 901}}})
    spelt = named if isinstance(named, str) else None
    assert _clio().account() == Account(901, zone, named_zone=spelt)


@pytest.mark.parametrize(
    ("user", "firm", "read"),
    [("A User", "A Firm", ("A User", "A Firm")), (None, " ", (None, None)), (5, [], (None, None))],
)
@responses.activate
def test_account_s_names_are_read(user: Any, firm: Any, read: tuple[str | None, ...]) -> None:
    """Whom Clio names, and None where it names nobody."""
    data = {"id": 1, "name": user, "account": {"id": 901, "name": firm}}
    _answer("users/who_am_i.json", {"data": data})
    assert _clio().account() == Account(901, None, *read)


@pytest.mark.parametrize("data", [None, [], "x", {}, {"account": None}, {"account": {"id": "9"}}])
@responses.activate
def test_account_that_is_none(data: Any) -> None:
    """Nobody is taken for the firm."""
    _answer("users/who_am_i.json", {"data": data})
    with pytest.raises(UnavailableError):
        _clio().account()


# Filters and pages


@responses.activate
def test_filters_of_closed_since_are_checked() -> None:
    """Open, pending and older matters are left out; all rows are counted."""
    rows = [
        _matter(1),
        _matter(2, status="Open"),
        _matter(3, status="Pending"),
        _matter(4, updated_at=(SINCE - timedelta(seconds=1)).isoformat()),
        _matter(5, updated_at=SINCE.isoformat()),
        _matter(6, updated_at="2026-11-22T01:30:00-08:00"),
    ]
    _list("matters.json", *rows)
    (page,) = _clio().closed_since(SINCE, FIELDS)
    assert ([m.id for m in page.matters], page.received) == ([1, 5, 6], 6)


@responses.activate
def test_since_is_asked_and_checked_by_the_second() -> None:
    """What Clio counts as after it is not lost to our fraction of a second."""
    _list("matters.json", _matter(updated_at=SINCE.isoformat()))
    (page,) = _clio().closed_since(SINCE.replace(microsecond=900_000), FIELDS)
    assert len(page.matters) == 1
    assert "updated_since=2026-11-22T09%3A00%3A00Z" in str(responses.calls[0].request.url)


@responses.activate
def test_filters_of_closed_between_are_checked() -> None:
    """Both ends are included; a date that cannot be read may be one of them, so it waits."""
    days = ["2026-11-09", "2026-11-10", "2026-11-15", "2026-11-20", "2026-11-21", None, "soon"]
    rows = [_matter(number, close_date=day) for number, day in enumerate(days, 1)]
    _list("matters.json", *rows, _matter(8, status="Open"), _matter(9, client="?"))
    (page,) = _clio().closed_between(date(2026, 11, 10), DAY, FIELDS)
    assert [(m.id, m.readable) for m in page.matters] == [
        *[(2, True), (3, True), (4, True)],
        *[(7, False), (9, False)],
    ]


@responses.activate
def test_only_the_ids_that_were_asked_for() -> None:
    """Rows that nobody asked for are left out; what is not there is not invented."""
    _list("matters.json", _matter(5), _matter(6, status="Open"), _matter(7))
    read = _clio().matters([5, 6, 8], FIELDS)
    assert {id_: matter.closed for id_, matter in read.items()} == {5: True, 6: False}


@responses.activate
def test_nobody_asked_for_is_no_request() -> None:
    """A list without ids would be everybody."""
    assert _clio().contacts([], FIELDS) == {}
    assert _clio().matters(iter(()), FIELDS) == {}
    assert len(responses.calls) == 0


@pytest.fixture
def firm() -> Iterator[tuple[Sandbox, Clio]]:
    """A sandbox with 450 closed matters, and Clio's side of the program on it."""
    made = Firm(contacts=0, matters=0)
    client = made.add_contact()
    for _ in range(450):
        made.close(made.add_matter(client))
    with Sandbox(made) as sandbox:
        tokens = Tokens(sandbox.clio.token)
        yield sandbox, _clio(tokens, sandbox.clio.url, wall_clock=lambda: datetime.now(UTC))


def _all_closed(clio: Clio) -> list[int]:
    pages = clio.closed_since(datetime(2020, 1, 1, tzinfo=UTC), NONE)
    return [matter.id for page in pages for matter in page.matters]


def test_all_pages_are_read(firm: tuple[Sandbox, Clio]) -> None:
    """By id, 200 at a time, `next` as it is given."""
    sandbox, clio = firm
    assert _all_closed(clio) == sandbox.firm.matter_ids("Closed")
    assert [(e.status, e.query["limit"]) for e in sandbox.clio.history] == [(200, ["200"])] * 3
    assert {tuple(e.query["order"]) for e in sandbox.clio.history} == {("id(asc)",)}


@pytest.mark.parametrize(
    ("link", "error"),
    [
        ("https://elsewhere.example/api/v4/matters.json?page_token=x", ConfigError),
        ("http://app.clio.example/api/v4/matters.json", ConfigError),
        ("https://app.clio.example:8443/api/v4/matters.json", ConfigError),
        ("https://app.clio.example.elsewhere.example/", ConfigError),
        ("https://app.clio.example@elsewhere.example/", ConfigError),
        ("https://elsewhere.example\\@app.clio.example/", ConfigError),
        ("https://app.clio.example\\@elsewhere.example/", ConfigError),
        ("https://app.clio.example%2eelsewhere.example/", ConfigError),
        ("//elsewhere.example/api/v4/matters.json", ConfigError),
        ("ftp://app.clio.example/", ConfigError),
        ("/api/v4/matters.json?page_token=x", UnavailableError),
        ("matters.json", UnavailableError),
        ("", UnavailableError),
        ("https://", UnavailableError),
        ("http://[::1", UnavailableError),
        ("https://app.clio.example:99999/", UnavailableError),
        ("https://app.clio.example\t/", UnavailableError),
        (5, UnavailableError),
        (True, UnavailableError),
        (False, UnavailableError),
        ({}, UnavailableError),
        ([], UnavailableError),
    ],
)
@responses.activate
def test_token_goes_nowhere_else(link: Any, error: type[SyncError]) -> None:
    """A next page on another host is not asked for, however its address is spelled."""
    _list("matters.json", _matter(), paging={"next": link})
    with pytest.raises(error) as caught:
        list(_clio().closed_since(SINCE, FIELDS))
    assert type(caught.value) is error
    assert len(responses.calls) == 1


@pytest.mark.parametrize("origin", [BASE, f"{BASE}:443", "HTTPS://APP.CLIO.EXAMPLE"])
@responses.activate
def test_same_origin_in_another_spelling(origin: str) -> None:
    """The usual port and the case of a host make no other host."""
    link = f"{origin}/api/v4/matters.json?page_token=x"
    _list("matters.json", _matter(1), paging={"next": link})
    second = f"{link[: len(origin)].lower()}{link[len(origin) :]}"
    body = {"data": [_matter(2)], "meta": {"paging": {}}}
    responses.get(second, json=body, headers=DATE, match_querystring=None)
    pages = list(_clio().closed_since(SINCE, FIELDS))
    assert [matter.id for page in pages for matter in page.matters] == [1, 2]


@pytest.mark.parametrize(
    "meta",
    [
        *[5, "x", True, False, [], ["next"], {"paging": 5}, {"paging": "x"}, {"paging": []}],
        {"paging": False},
    ],
)
@responses.activate
def test_list_that_does_not_tell_whether_there_is_more(meta: Any) -> None:
    """It is not taken for the last page: the watermark would pass the rest."""
    _answer("matters.json", {"data": [_matter()], "meta": meta})
    with pytest.raises(UnavailableError):
        list(_clio().closed_since(SINCE, FIELDS))


@pytest.mark.parametrize(
    "body", [{}, {"meta": None}, {"meta": {}}, {"meta": {"paging": {"next": None}}}]
)
@responses.activate
def test_no_key_is_no_page(body: dict[str, Any]) -> None:
    """After the last one there is none."""
    _answer("matters.json", {"data": [_matter()], **body})
    assert len(list(_clio().closed_since(SINCE, FIELDS))) == 1


@responses.activate
def test_full_page_without_paging() -> None:
    """A page of 200 that says nothing of others cannot be the whole of it for sure."""
    _answer("matters.json", {"data": [_matter(number) for number in range(1, 201)]})
    with pytest.raises(UnavailableError, match="another"):
        list(_clio().closed_since(SINCE, FIELDS))


def test_page_that_leads_to_itself(firm: tuple[Sandbox, Clio]) -> None:
    """The circle is seen at once."""
    sandbox, clio = firm
    sandbox.clio.faults.add(faults.page_to_itself(), skip=1)
    with pytest.raises(UnavailableError, match="circle"):
        _all_closed(clio)
    assert len(sandbox.clio.history) == 2


def test_pages_without_end(firm: tuple[Sandbox, Clio]) -> None:
    """Pages that bring nothing new are left after a few."""
    sandbox, clio = firm
    sandbox.clio.faults.add(faults.endless_pages(), times=None)
    with pytest.raises(UnavailableError, match="circle"):
        _all_closed(clio)
    assert len(sandbox.clio.history) == MAX_PAGES_WITHOUT_PROGRESS + 1


@responses.activate
def test_pages_without_end_that_bring_something_new(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even ids that always grow lead on for ever."""
    monkeypatch.setattr(api, "MAX_PAGES", 25)
    for number in range(1, 30):
        link = f"{BASE}/api/v4/matters.json?page_token={number}"
        _list("matters.json", _matter(number), paging={"next": link})
    with pytest.raises(UnavailableError, match="circle"):
        list(_clio().closed_since(SINCE, FIELDS))
    assert len(responses.calls) == 25


# Whole answers that are odd


@pytest.mark.parametrize(
    "body",
    [
        *[b"", b"<html>", b"[]", b"5", b"null", b'"x"', b"{}", b'{"data": null}', b'{"data": {}}'],
        *[b'{"data": "x"}', b'{"data": [5]}', b'{"data": [null]}', b'{"data": [[]]}'],
        *[b'{"data": [NaN]}', b'{"data": [], "data": [{}]}', b'{"data": [{"id": 5'],
        *[b'{"data": [{"id": 5, "id": 6}]}', b'{"data":' + b"[" * 50_000],
        b'{"data": [], "meta": {"paging": {"next": "x", "next": "y"}}}',
    ],
)
@responses.activate
def test_answer_that_cannot_be_read(body: bytes) -> None:
    """The next run tries again; it is neither a crash nor an empty list."""
    _answer("matters.json", body)
    with pytest.raises(UnavailableError):
        list(_clio().closed_since(SINCE, FIELDS))


@responses.activate
def test_byte_order_mark() -> None:
    """It does no harm."""
    _answer("matters.json", b"\xef\xbb\xbf" + json.dumps({"data": [_matter()]}).encode())
    assert len(list(_clio().closed_since(SINCE, FIELDS))) == 1


def test_bad_answer_is_asked_for_again(firm: tuple[Sandbox, Clio]) -> None:
    """A cut or garbled page changes nothing, so it is simply read again."""
    sandbox, clio = firm
    for fault in (
        faults.garble(),
        faults.lose_answer(),
        faults.cut_body(framing="close"),
        faults.answer(502, "<h1>Bad gateway</h1>"),
    ):
        sandbox.clio.faults.add(fault, skip=1)
    assert _all_closed(clio) == sandbox.firm.matter_ids("Closed")


# Refusals


FLAT = {"error": "invalid_token", "error_description": "The access token is expired"}
NESTED = {"error": {"type": "InvalidFields", "message": "Ada Lovelace is not a valid field"}}


@pytest.mark.parametrize("status", [400, 409, 410, 413, 422])
@pytest.mark.parametrize(
    ("body", "word"),
    [
        (NESTED, ", InvalidFields"),
        (FLAT, ", invalid_token"),
        ({"error": {"type": "Ada Lovelace", "message": 5}}, ""),
        ({"error": None}, ""),
        ({"error": []}, ""),
        ({"error": {"type": ["x"]}}, ""),
        ([], ""),
        (b"<html>", ""),
        (b"[" * 50_000, ""),
    ],
)
@responses.activate
def test_refusal_names_clios_word(status: int, body: Any, word: str) -> None:
    """Both of Clio's error shapes are read; its sentence, which may name a client, is not shown."""
    _answer("matters.json", body, status)
    with pytest.raises(ConfigError) as caught:
        list(_clio().closed_since(SINCE, FIELDS))
    assert f"(status {status}{word})" in str(caught.value)
    assert not isinstance(caught.value, RefusedError)
    assert "Ada" not in str(caught.value)


@responses.activate
def test_forbidden() -> None:
    """403 is a permission to tick; another token would not help."""
    tokens = Tokens("first", "second")
    _answer("custom_fields.json", {"error": {"type": "ForbiddenError"}}, 403)
    with pytest.raises(DeniedError) as caught:
        _clio(tokens).custom_fields()
    assert (caught.value.status, tokens.refreshes, len(responses.calls)) == (403, 0, 1)


PAGES = [
    b"", b"<html>Blocked</html>", b'{"error": ', b"[]", b"null", b'"no"', b'{"blocked": true}',
    b'{"error": null}', b'{"error": {"reason": "policy"}}', b"\xff\xfe", b"x" * 100_000,
]  # fmt: skip
IN_BETWEEN = "Something between this machine and Clio answers in its place"


@pytest.mark.parametrize("status", [402, 403, 418, 423, 451, 499])
@pytest.mark.parametrize("page", PAGES, ids=range(len(PAGES)))
@responses.activate
def test_firewall_in_clios_place(status: int, page: bytes) -> None:
    """Neither a permission nor the address is at fault; once is enough to know it."""
    _answer("custom_fields.json", page, status)
    tokens = Tokens("first", "second")
    with pytest.raises(UnavailableError, match=IN_BETWEEN) as caught:
        _clio(tokens).custom_fields()
    assert (caught.value.cause, tokens.refreshes) == (f"http_{status}", 0)
    assert len(responses.calls) == 1


@pytest.mark.parametrize("body", [NESTED, FLAT])
@pytest.mark.parametrize("status", [402, 418, 423, 451])
@responses.activate
def test_status_that_is_clios_own(status: int, body: Any) -> None:
    """Clio refuses, whatever that means; its address is not blamed."""
    _answer("custom_fields.json", body, status)
    with pytest.raises(RefusedError, match=f"Clio refuses this with status {status}") as caught:
        _clio().custom_fields()
    assert "neither the address nor the key" in str(caught.value)


@responses.activate
def test_network_that_wants_a_password() -> None:
    """407 is never Clio's."""
    _answer("custom_fields.json", b"<html>", 407)
    with pytest.raises(ConfigError, match="between this machine and Clio wants a sign-in"):
        _clio().custom_fields()


SAID = [
    ("soft_deleted is not a valid field", ", soft_deleted"),
    ("custom_field_values{soft_deleted} is not valid", ", custom_field_values, soft_deleted"),
    ("Invalid fields: 'etag', etag", ", etag"),
    ("account{id,name} is not a valid field", ", account, id, name"),
    ("Ada_Lovelace and ada@example.com are not valid fields", ""),
    (5, ""),
    (None, ""),
    (["etag"], ""),
]


@pytest.mark.parametrize(("sentence", "named"), SAID)
@responses.activate
def test_field_that_clio_does_not_know_is_named(sentence: Any, named: str) -> None:
    """Only a field that is asked for: Clio's sentence may hold anything."""
    _answer("matters.json", {"error": {"type": "InvalidFields", "message": sentence}}, 400)
    with pytest.raises(ConfigError) as caught:
        list(_clio().closed_since(SINCE, FIELDS))
    assert f"(status 400, InvalidFields{named})" in str(caught.value)
    assert caught.value.cause == "http_400"


NO_ACCOUNT = {"error": {"type": "InvalidFields", "message": "account is not a valid field"}}


@pytest.mark.parametrize("status", [400, 422])
@responses.activate
def test_account_that_cannot_be_asked_for(status: int) -> None:
    """The rest of `who_am_i` is asked for without it, and the account is not known."""
    _answer("users/who_am_i.json", NO_ACCOUNT, status)
    _answer("users/who_am_i.json", {"data": {"id": 1, "name": "Pat", "time_zone": "Etc/UTC"}})
    assert _clio().account() == Account(None, "Etc/UTC", "Pat", named_zone="Etc/UTC")
    asked = [call.request.params["fields"] for call in responses.calls]  # type: ignore[attr-defined]
    assert asked == ["id,name,time_zone,account{id,name}", "id,name,time_zone"]


@responses.activate
def test_field_of_the_user_that_clio_does_not_know() -> None:
    """Without the account it is refused again: then the field is named."""
    zone = {"error": {"type": "InvalidFields", "message": "time_zone is not a valid field"}}
    _answer("users/who_am_i.json", zone, 400)
    with pytest.raises(ConfigError, match="InvalidFields, time_zone"):
        _clio().account()
    assert len(responses.calls) == 2


@pytest.mark.parametrize("status", [400, 403, 404, 500])
@responses.activate
def test_account_is_asked_for_once_where_that_is_not_why(status: int) -> None:
    """Only an unknown field is a reason to leave it away."""
    _answer("users/who_am_i.json", {"error": {"type": "ForbiddenError"}}, status)
    with pytest.raises(SyncError):
        _clio().account()
    asked = {call.request.params["fields"] for call in responses.calls}  # type: ignore[attr-defined]
    assert asked == {"id,name,time_zone,account{id,name}"}


# Answers that are too large


@pytest.fixture
def _small_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no more than 20,000 bytes be read of an answer."""
    monkeypatch.setattr("clio_broadly_sync.transport.client.MAX_BODY_BYTES", 20_000)


def _serve(path: str, rows: dict[int, dict[str, Any]]) -> list[int]:
    """Answer as Clio does, with `ids[]`, `limit` and pages; return how many were asked for."""
    sizes: list[int] = []

    def answer(request: Any) -> tuple[int, dict[str, str], str]:
        query = parse_qs(urlsplit(request.url).query)
        ids = [int(id_) for id_ in query.get("ids[]", [])] or sorted(rows)
        limit, after = int(query["limit"][0]), int(query.get("after", ["0"])[0])
        left = [id_ for id_ in ids if id_ > after and id_ in rows]
        sizes.append(min(len(ids), limit))
        paging = {}
        if len(left) > limit:
            paging["next"] = f"{API}/{path}?limit={limit}&after={left[limit - 1]}"
        body = {"data": [rows[id_] for id_ in left[:limit]], "meta": {"paging": paging}}
        return 200, DATE, json.dumps(body)

    responses.add_callback("GET", f"{API}/{path}", answer)
    return sizes


def _contact_of(id_: int, characters: int) -> dict[str, Any]:
    other = _entry("x" * characters, field=999, field_type="text_area")
    return _contact(id_, custom_field_values=[_entry(False, field=301), other])


@pytest.mark.usefixtures("_small_answers")
@responses.activate
def test_fewer_contacts_are_asked_for() -> None:
    """Where the answer is too large it is so again, so it is asked for by halves."""
    rows = {id_: _contact_of(id_, 2000) for id_ in range(1, 33)}
    sizes = _serve("contacts.json", rows)
    contacts = _clio().contacts(rows, FIELDS)
    assert sorted(contacts) == sorted(rows)
    assert all(contact.opted_out is UNCHECKED for contact in contacts.values())
    assert sizes == [32, 16, 8, 8, 16, 8, 8]


@pytest.mark.usefixtures("_small_answers")
@responses.activate
def test_contact_that_alone_is_too_large() -> None:
    """It waits as one that cannot be read, and keeps nobody else from being read."""
    rows = {id_: _contact_of(id_, 100) for id_ in range(1, 9)}
    rows[5] = _contact_of(5, 30_000)
    _serve("contacts.json", rows)
    contacts = _clio().contacts(rows, FIELDS)
    assert sorted(contacts) == sorted(rows)
    assert [id_ for id_, contact in contacts.items() if not contact.readable] == [5]


@pytest.mark.usefixtures("_small_answers")
@responses.activate
def test_matters_too_large_by_id() -> None:
    """The second look at matters is the same."""
    rows = {id_: _matter(id_, custom_field_values=[_entry("x" * 9000)]) for id_ in range(1, 5)}
    sizes = _serve("matters.json", rows)
    assert sorted(_clio().matters(rows, FIELDS)) == sorted(rows)
    assert sizes == [4, 2, 2]


@pytest.mark.usefixtures("_small_answers")
@responses.activate
def test_pages_that_are_too_large() -> None:
    """A list is begun anew with smaller pages, and nothing of it is lost."""
    rows = {id_: _matter(id_, etag="x" * 1000) for id_ in range(1, 61)}
    sizes = _serve("matters.json", rows)
    pages = list(_clio().closed_since(SINCE, FIELDS))
    assert {matter.id for page in pages for matter in page.matters} == set(rows)
    assert sizes == [60, 60, 50, 25, 12, 12, 12, 12, 12]


@pytest.mark.usefixtures("_small_answers")
@responses.activate
def test_page_that_is_too_large_later() -> None:
    """What came before then comes again, which does no harm."""
    rows = {id_: _matter(id_) for id_ in range(1, 51)}
    rows |= {id_: _matter(id_, etag="x" * 1000) for id_ in range(51, 81)}
    _serve("matters.json", rows)
    pages = list(_clio().closed_since(SINCE, FIELDS))
    assert {matter.id for page in pages for matter in page.matters} == set(rows)


@pytest.mark.usefixtures("_small_answers")
@responses.activate
def test_definition_that_comes_again_is_one() -> None:
    """Else a field would seem to be there twice."""
    rows = {id_: _changed(DEFINITION, {"id": id_}) for id_ in range(1, 60)}
    rows |= {id_: _changed(DEFINITION, {"id": id_, "name": "x" * 3000}) for id_ in range(60, 70)}
    _serve("custom_fields.json", rows)
    found = [field.id for field in _clio().custom_fields(all_of_them=True)]
    assert sorted(found) == sorted(rows)


@pytest.mark.usefixtures("_small_answers")
@responses.activate
def test_record_of_a_list_that_alone_is_too_large() -> None:
    """Then the list cannot be read, and that is said."""
    _serve("matters.json", {1: _matter(1, etag="x" * 30_000)})
    with pytest.raises(UnavailableError, match="more than 20000 bytes"):
        list(_clio().closed_since(SINCE, FIELDS))


def test_refused_token_is_refreshed_once(firm: tuple[Sandbox, Clio]) -> None:
    """In the middle of a walk, too; the request is then made once more."""
    sandbox, _ = firm
    first, second = sandbox.clio.token, sandbox.clio.oauth.issue().access
    tokens = Tokens(first, second)
    clio = _clio(tokens, sandbox.clio.url, wall_clock=lambda: datetime.now(UTC))
    rejected = faults.answer(401, FLAT)
    sandbox.clio.faults.add(rejected, skip=1)
    assert len(_all_closed(clio)) == 450
    assert tokens.refreshes == 1
    used = [e.headers["authorization"].split()[1] for e in sandbox.clio.history]
    assert used == [first, first, second, second]


@pytest.mark.parametrize(("fresh", "requests"), [((), 1), (("second",), 2), (("2nd", "3rd"), 2)])
@responses.activate
def test_token_that_stays_refused(fresh: tuple[str, ...], requests: int) -> None:
    """One refresh, where there is a way to; once more; then a person signs in again."""
    _answer("matters.json", FLAT, 401)
    tokens = Tokens("first", *fresh)
    with pytest.raises(DeniedError) as caught:
        list(_clio(tokens).closed_since(SINCE, FIELDS))
    assert (caught.value.status, tokens.refreshes) == (401, 1)
    assert len(responses.calls) == requests
    assert "first" not in str(caught.value)


@responses.activate
def test_wrong_address() -> None:
    """404 on a list is a setting to mend."""
    _answer("matters.json", {"error": {"type": "NotFound"}}, 404)
    with pytest.raises(ConfigError, match="404"):
        list(_clio().closed_since(SINCE, FIELDS))


# Clio's time


@responses.activate
def test_now_is_clios() -> None:
    """The date of the first answer, and the time passed since; ours before there is one."""
    clock = Clock()
    clio = _clio(clock=clock, wall_clock=lambda: NOW + timedelta(hours=3))
    assert clio.now() == NOW + timedelta(hours=3)
    _list("custom_fields.json")
    clio.custom_fields()
    clock.sleep(90)
    assert clio.now() == NOW + timedelta(seconds=90)
    _dated(NOW + timedelta(seconds=149))  # the two clocks are not read at the same moment
    clio.custom_fields()
    assert clio.now() == NOW + timedelta(seconds=90)
    assert clio.unbroken_since() is None


@pytest.mark.parametrize("unseen", [timedelta(minutes=2), timedelta(hours=9), timedelta(hours=44)])
@responses.activate
def test_time_that_only_clio_saw(unseen: timedelta) -> None:
    """A virtual machine was suspended, and none of its clocks knows: from then on Clio's time is
    what Clio says, and what was read before that is old."""
    clio = _clio(clock=(clock := Clock()))
    _list("custom_fields.json")
    clio.custom_fields()
    clock.sleep(30)
    asked_before = clio.asked_at()
    _dated(NOW + timedelta(seconds=30) + unseen)
    clio.custom_fields()
    assert clio.now() == NOW + timedelta(seconds=30) + unseen
    assert clio.unbroken_since() == clio.now()
    assert asked_before < clio.now() - unseen
    clock.sleep(5)
    clio.custom_fields()
    assert clio.asked_at() > clio.unbroken_since()


@responses.activate
def test_time_that_passed_unseen_is_checked_as_the_first_answer_is() -> None:
    """The clocks of Clio and of this machine may be no further apart than 48 hours."""
    clio = _clio()
    _list("custom_fields.json")
    clio.custom_fields()
    _dated(NOW + timedelta(hours=100))
    with pytest.raises(UnavailableError, match="48 hours"):
        clio.custom_fields()
    assert clio.now() == NOW, "what the run still writes down bears no date of years to come"


def _dated(date: datetime) -> None:
    """Let Clio answer with this `Date` from now on."""
    headers = {"Date": format_datetime(date, usegmt=True)}
    responses.replace("GET", f"{API}/custom_fields.json", json={"data": []}, headers=headers)


@pytest.mark.parametrize("headers", [{}, {"Date": ""}, {"Date": "today"}])
@responses.activate
def test_first_answer_without_a_date(headers: dict[str, str]) -> None:
    """Nothing is decided without a clock."""
    _answer("custom_fields.json", {"data": []}, headers=headers)
    with pytest.raises(UnavailableError, match="Date"):
        _clio().custom_fields()


@responses.activate
def test_page_without_a_date() -> None:
    """Where the watermark would go cannot be told."""
    clio = _clio()
    _list("custom_fields.json")
    clio.custom_fields()
    _answer("matters.json", {"data": []}, headers={})
    with pytest.raises(UnavailableError, match="Date"):
        list(clio.closed_since(SINCE, FIELDS))


@pytest.mark.parametrize(
    ("skew", "fine"),
    [
        (timedelta(hours=48), True),
        (timedelta(hours=-48), True),
        (timedelta(hours=48, seconds=1), False),
        (timedelta(hours=-48, seconds=-1), False),
        (timedelta(days=-20_000), False),
    ],
)
@responses.activate
def test_clocks_that_are_far_apart(skew: timedelta, fine: bool) -> None:
    """More than 48 hours, either way: nothing moves."""
    clio = _clio(wall_clock=lambda: NOW + skew)
    _list("custom_fields.json")
    if fine:
        assert clio.custom_fields() == []
        return
    with pytest.raises(UnavailableError, match="48 hours"):
        clio.custom_fields()


@responses.activate
def test_page_carries_the_date_of_its_answer() -> None:
    """The first page's becomes the watermark."""
    _list("matters.json")
    (page,) = _clio().closed_since(SINCE, FIELDS)
    assert page.answered_at == NOW
