"""Single records in Clio: a matter by id or by its exact display number, and names."""

from datetime import datetime
from typing import Any

import pytest
import responses
from parts import DATE, NOW, Tokens, transport
from rig import Sandbox

from clio_broadly_sync.clio.api import Api
from clio_broadly_sync.clio.source import Clio
from clio_broadly_sync.domain.grouping import By, Named
from clio_broadly_sync.domain.model import Box, FieldIds
from clio_broadly_sync.sandbox.firm import THANK_YOU

BASE = "https://app.clio.example"
API = f"{BASE}/api/v4"
NONE = FieldIds(None, None)


def _lookup(tokens: Tokens | None = None, base: str = BASE, now: datetime = NOW) -> Clio:
    api = Api(transport(), tokens or Tokens(), base, wall_clock=lambda: now)
    return Clio(api, region="us")


def _in(sandbox: Sandbox) -> Clio:
    return _lookup(Tokens(sandbox.clio.token), sandbox.clio.url, sandbox.firm.clock.now())


def _row(id_: int, number: Any) -> dict[str, Any]:
    return {
        "id": id_,
        "etag": '"e"',
        "status": "Open",
        "close_date": None,
        "updated_at": NOW.isoformat(),
        "client": None,
        "display_number": number,
    }


def _answers(path: str, *rows: Any) -> None:
    body = {"data": [*rows], "meta": {"paging": {}}}
    responses.get(f"{API}/{path}", json=body, headers=DATE)


def test_matter_by_id(sandbox: Sandbox) -> None:
    """Whatever its status, with its box and its number."""
    firm = sandbox.firm
    contact = firm.add_contact(last_name="Weatherby")
    matter = firm.add_matter(contact, thank_you=True)
    fields = FieldIds(None, firm.fields[THANK_YOU].id)
    found = _in(sandbox).find_matter(matter, fields)
    assert found is not None
    assert found.number == f"{matter:05d}-Weatherby"
    assert (found.matter.id, found.matter.client_id) == (matter, contact)
    assert (found.matter.closed, found.matter.opted_in) == (False, Box.CHECKED)
    firm.close(matter)
    again = _in(sandbox).find_matter(matter, NONE)
    assert again is not None
    assert again.matter.closed


def test_matter_that_is_not_there(sandbox: Sandbox) -> None:
    """None, and no other matter in its place."""
    sandbox.firm.add_matter(sandbox.firm.add_contact())
    assert _in(sandbox).find_matter(99, NONE) is None


def test_matter_by_its_number(sandbox: Sandbox) -> None:
    """The whole number, capitals or not: part of one is none."""
    firm = sandbox.firm
    contact = firm.add_contact(last_name="Weatherby")
    first, _ = firm.add_matter(contact), firm.add_matter(contact)
    for number in (f"{first:05d}-Weatherby", f"{first:05d}-weatherby"):
        assert [found.matter.id for found in _in(sandbox).find_by_number(number, NONE)] == [first]
    for number in ("Weatherby", f"{first:05d}", "no such number"):
        assert _in(sandbox).find_by_number(number, NONE) == []


@responses.activate
def test_filters_are_checked_on_our_side() -> None:
    """Clio ignores a parameter that it does not know, and then shows everything."""
    _answers("matters.json", _row(5, "00005-A"), _row(6, "00006-B"), _row(7, None), _row(8, 8))
    found = _lookup().find_matter(6, NONE)
    assert found is not None
    assert found.matter.id == 6
    assert _lookup().find_matter(9, NONE) is None
    assert [one.matter.id for one in _lookup().find_by_number("00006-b", NONE)] == [6]
    _answers("contacts.json", {"id": 1, "name": "Somebody Else"})
    assert _lookup().names_of([2]) == {}


def test_name(sandbox: Sandbox) -> None:
    """Of a person or a company; None where Clio hides the contact, or its name."""
    firm = sandbox.firm
    person = firm.add_contact(first_name="Ada", last_name="Weatherby")
    hidden, redacted = firm.add_contact(), firm.add_contact()
    company = firm.add_contact(type="Company", name="Weatherby Bakery LLC")
    firm.hide_contact(hidden)
    firm.redact_contact(redacted)
    lookup = _in(sandbox)
    found = lookup.names_of([person, company, hidden, redacted, 99])
    assert found.pop(redacted, None) is None
    assert found == {person: "Ada Weatherby", company: "Weatherby Bakery LLC"}


@pytest.mark.parametrize("name", [None, "", "  ", 5, {"a": 1}])
@responses.activate
def test_what_is_no_name(name: object) -> None:
    """Left out, never printed as it is."""
    _answers("contacts.json", {"id": 1, "name": name})
    assert _lookup().names_of([1]) == {1: None}


def test_display_numbers(sandbox: Sandbox) -> None:
    """Of those that there are, in one request."""
    firm = sandbox.firm
    client = firm.add_contact(first_name="Ada", last_name="Weatherby")
    first, second = firm.add_matter(client), firm.add_matter(client)
    found = _in(sandbox).numbers_of([first, second, 99])
    assert found == {first: f"{first:05d}-Weatherby", second: f"{second:05d}-Weatherby"}


def test_contacts_by_a_part_of_their_name(sandbox: Sandbox) -> None:
    """At most so many, and those that Clio redacts are left out."""
    firm = sandbox.firm
    people = [firm.add_contact(first_name="Ada", last_name=f"Weatherby{n}") for n in "abc"]
    firm.add_contact(first_name="Bea", last_name="Quillfeather")
    firm.redact_contact(people[0])
    found = _in(sandbox).find_contacts("weatherby", 50)
    assert found == {people[1]: "Ada Weatherbyb", people[2]: "Ada Weatherbyc"}
    assert len(_in(sandbox).find_contacts("ada", 2)) <= 2


def test_matters_of_a_contact(sandbox: Sandbox) -> None:
    """Open or closed, and nobody else's."""
    firm = sandbox.firm
    own, other = firm.add_contact(), firm.add_contact()
    matters = [firm.add_matter(own), firm.add_matter(own)]
    firm.add_matter(other)
    firm.close(matters[1])
    found = _in(sandbox).matters_of(own)
    assert [(one.matter.id, one.matter.closed) for one in found] == [
        (matters[0], False),
        (matters[1], True),
    ]


@responses.activate
def test_matters_of_others_are_left_out() -> None:
    """Should Clio ignore whose matters were asked for."""
    _answers("matters.json", _row(5, "00005-A"), _row(6, "00006-B"))
    assert _lookup().matters_of(99) == []


# How many matters are closed.


def test_closed_matters_are_counted(sandbox: Sandbox) -> None:
    """In one request, which shows no more than one id."""
    firm = sandbox.firm
    contact = firm.add_contact()
    for closed in (True, True, False):
        matter = firm.add_matter(contact)
        if closed:
            firm.close(matter)
    assert _in(sandbox).count_closed() == 2
    assert len(sandbox.clio.history) == 1


@responses.activate
@pytest.mark.parametrize(
    ("meta", "number"),
    [
        ({"records": 12_345}, 12_345),
        ({"records": 0}, 0),
        ({"records": None}, None),
        ({"records": -1}, None),
        ({"records": True}, None),
        ({"records": "7"}, None),
        ({"records": 1.5}, None),
        ({"paging": {}}, None),
        ({}, None),
        ([], None),
        (None, None),
    ],
)
def test_number_that_clio_does_not_tell(meta: Any, number: int | None) -> None:
    """No guide of Clio's promises it, so whatever is no number says nothing."""
    responses.get(f"{API}/matters.json", json={"data": [], "meta": meta}, headers=DATE)
    assert _lookup().count_closed() == number


def test_whom_and_what_a_matter_belongs_to(sandbox: Sandbox) -> None:
    """Attorney and practice area, one of them, or none; and nothing of a matter that is gone."""
    firm = sandbox.firm
    one, nobodys, gone = (firm.add_matter(None) for _ in range(3))
    firm.assign(one, attorney="Grace Chen", area="Family")
    firm.assign(nobodys, attorney=None, area=None)
    firm.delete_matter(gone)
    found = _in(sandbox).belonging([one, nobodys, gone], list(By))
    assert found == {
        one: {By.ATTORNEY: Named(954, "Grace Chen"), By.PRACTICE_AREA: Named(41, "Family")},
        nobodys: {By.ATTORNEY: None, By.PRACTICE_AREA: None},
    }
    only = _in(sandbox).belonging([one], [By.PRACTICE_AREA])
    assert only == {one: {By.PRACTICE_AREA: Named(41, "Family")}}


@responses.activate
def test_nothing_but_the_groups_asked_for_is_asked() -> None:
    """Attorneys' names are not asked for where only practice areas are."""
    _answers("matters.json", {"id": 7, "practice_area": None})
    assert _lookup().belonging([7], [By.PRACTICE_AREA]) == {7: {By.PRACTICE_AREA: None}}
    asked = responses.calls[0].request.params["fields"]
    assert asked == "id,practice_area{id,name}"


@responses.activate
@pytest.mark.parametrize(
    "attorney",
    [7, "Chen", [], True, {}, {"id": 9}, {"id": 9, "name": None}, {"id": 9, "name": " "},
     {"id": "9", "name": "Chen"}, {"id": 0, "name": "Chen"}, {"name": "Chen"}],
)  # fmt: skip
def test_what_cannot_be_read_belongs_to_nobody_known(attorney: Any) -> None:
    """It is left out, and never taken for “no attorney”; the practice area beside it is read."""
    area = {"id": 3, "name": "Family"}
    _answers("matters.json", {"id": 7, "responsible_attorney": attorney, "practice_area": area})
    assert _lookup().belonging([7], list(By)) == {7: {By.PRACTICE_AREA: Named(3, "Family")}}


@responses.activate
@pytest.mark.parametrize("more", [{}, {"redacted": True, "responsible_attorney": None}])
def test_what_is_withheld_belongs_to_nobody_known(more: dict[str, Any]) -> None:
    """Neither a key that is missing nor a withheld record says “no attorney”."""
    _answers("matters.json", {"id": 7, **more})
    assert _lookup().belonging([7], [By.ATTORNEY]) == {7: {}}
