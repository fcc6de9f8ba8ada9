"""Who is handed over: the three rules over every state of both boxes, and every reason."""

from itertools import product
from typing import Any

import pytest
from world import World

from clio_broadly_sync.sandbox import Box

BOXES: dict[Any, bool | None] = {
    Box.UNTOUCHED: False,
    Box.ABSENT: False,
    Box.PLACEHOLDER: False,
    Box.EMPTY: False,
    "false": False,
    "": False,
    "0": False,
    "true": True,
    "1": True,
    Box.UNREADABLE: None,
    Box.UNREADABLE_BARE: None,
    "yes": None,
    2: None,
    ("a list",): None,
}
"""Each state of a box, and whether it is checked; None: it cannot be read."""
STATES = [*BOXES.items(), (False, False), (0, False), (True, True), (1, True)]
SEND, NOT_IN, OUT = ("send", None), ("skip", "not_opted_in"), ("skip", "opted_out")
UNREADABLE = ("wait", "unreadable_field")


def _expected(rule: str, opted_out: bool | None, opted_in: bool | None) -> tuple[str, str | None]:
    if rule != "opt-out" and not opted_in:
        return UNREADABLE if opted_in is None else NOT_IN
    if opted_out is None:
        return UNREADABLE
    return OUT if opted_out else SEND


@pytest.mark.parametrize("rule", ["opt-out", "opt-in", "both"])
def test_truth_table(fresh: World, rule: str) -> None:
    """Every state of one box meets every state of the other."""
    options = {"SYNC_RULE": rule, "SYNC_MAX_NEW": "1000"}
    assert fresh.sync(**options).code == 0
    fresh.later(minutes=1)
    expected = {}
    for (contact, opted_out), (matter, opted_in) in product(STATES, STATES):
        id_ = fresh.closing(opt_out=contact, thank_you=matter).matter
        expected[id_] = _expected(rule, opted_out, opted_in)
    ran = fresh.sync("--json", "-v", **options)
    assert ran.decisions == expected
    assert ran.code == 65
    assert fresh.asked == [id_ for id_, decision in expected.items() if decision == SEND]
    assert ran.order == fresh.asked


def test_opt_in_needs_no_opt_out_field(fresh: World) -> None:
    """The matter's box alone decides where the firm never made the other one."""
    fresh.firm.fields.purge("BroadlyOptOut")
    assert fresh.sync(SYNC_RULE="opt-in").code == 0
    fresh.later(minutes=1)
    yes, no = fresh.closing().matter, fresh.closing(thank_you=False).matter
    assert fresh.sync("--json", "-v", SYNC_RULE="opt-in").decisions == {yes: SEND, no: NOT_IN}


def test_opt_in_obeys_an_opt_out_field_made_later(fresh: World) -> None:
    """Where the field exists it counts, also when it was not there at the start."""
    fresh.firm.fields.purge("BroadlyOptOut")
    assert fresh.sync(SYNC_RULE="opt-in").code == 0
    fresh.firm.fields.add("BroadlyOptOut", "Contact")
    fresh.later(minutes=1)
    out, fine = fresh.closing(opt_out=True).matter, fresh.closing().matter
    assert fresh.sync("--json", "-v", SYNC_RULE="opt-in").decisions == {out: OUT, fine: SEND}
    fresh.firm.fields.delete("BroadlyOptOut")
    fresh.closing()
    assert fresh.sync(SYNC_RULE="opt-in").code == 78, "from now on it is pinned"


def test_fields_of_other_names(fresh: World) -> None:
    """The settings name the boxes; case and blanks count."""
    fresh.firm.fields.rename("BroadlyOptOut", "No reviews, please")
    fresh.firm.fields.rename("SendBroadlyThankYou", "thanks")
    names = {"SYNC_OPT_OUT_FIELD": "No reviews, please", "SYNC_OPT_IN_FIELD": "thanks"}
    assert fresh.sync(**names).code == 0
    fresh.later(minutes=1)
    one, other = (fresh.closing(thank_you=Box.UNTOUCHED).matter for _ in range(2))
    fresh.firm.set_box("matter", one, True, "thanks")
    assert fresh.sync("--json", "-v", **names).decisions == {one: SEND, other: NOT_IN}
    fresh.firm.set_box("matter", other, True, "thanks")
    assert fresh.sync(**names | {"SYNC_OPT_IN_FIELD": "Thanks"}).code == 78
    assert fresh.asked == [one]


def test_every_reason_of_the_matter(world: World) -> None:
    """One closing for each; the first rule decides, and the matter's come before the contact's."""
    day = world.day
    matters = {
        world.matter(None): "no_client",
        world.closing(on=day(1)).matter: "closed_before_start",
        world.closing(on=day(31)).matter: "closed_before_start",
        world.closing(thank_you=False).matter: "not_opted_in",
        world.closing(thank_you=False, opt_out=True, email=None, phone=None).matter: "not_opted_in",
    }
    world.forget()
    ran = world.sync("--json", "-v")
    assert "contacts" not in world.paths, "no contact is read for what its matter has settled"
    assert ran.decisions == {id_: ("skip", reason) for id_, reason in matters.items()}
    assert ran.json["skipped"] == {
        "no_client": 1, "closed_before_start": 2, "not_opted_in": 2,
    }  # fmt: skip
    assert (ran.code, ran.json["to_send"], world.posts) == (0, 0, [])
    assert {id_: row[2:] for id_, row in world.ledger().items()} == {
        id_: ("skipped", reason) for id_, reason in matters.items()
    }


def test_closed_too_long_ago(world: World) -> None:
    """Back-dated further than `SYNC_MAX_AGE_DAYS`; the last day still counts."""
    world.later(days=10)
    assert world.sync(SYNC_MAX_AGE_DAYS="5").code == 0
    old, last = world.closing(on=world.day(6)).matter, world.closing(on=world.day(5)).matter
    ran = world.sync("--json", "-v", SYNC_MAX_AGE_DAYS="5")
    assert ran.decisions == {old: ("skip", "closed_too_long_ago"), last: SEND}


def test_every_reason_of_the_contact(world: World) -> None:
    """One client for each reason, in one run."""
    matters = {
        world.closing(opt_out=True).matter: "opted_out",
        world.closing(type="Company").matter: "company",
        world.closing(email=None, phone=None).matter: "no_channel",
        world.closing(email="nobody at example", phone="555-0100").matter: "no_channel",
        world.closing(email="two@ats@example.com", phone="+1 415 555 01234567").matter: (
            "no_channel"
        ),
    }
    ran = world.sync("--json", "-v", SYNC_COMPANIES="false")
    assert ran.decisions == {id_: ("skip", reason) for id_, reason in matters.items()}
    assert ran.json["skipped"] == {"opted_out": 1, "company": 1, "no_channel": 3}
    assert (ran.code, world.posts) == (0, [])


def test_no_on_another_card(world: World) -> None:
    """It is the person's no: whoever has the address of a card with the box checked is not asked,
    and `explain` and `status` name that card."""
    no = world.closing(opt_out=True, email="pat@example.com").contact
    others = [world.closing(email="Pat@example.com").matter for _ in range(5)]
    world.closing(email="somebody@example.com")
    assert world.sync("--json").json["skipped"] == {"opted_out": 6}
    said = world.run("explain", str(others[0])).out
    assert f"contact {no} in Clio, which has the same e-mail address" in " ".join(said.split())
    ran = world.run("status", "--json")
    assert ran.json["stopped_by_another_contact"] == [{"contact_id": no, "closings": 5}]
    assert f"5  by contact {no}" in world.run("status").out


def test_no_channel_counts_what_the_settings_let_through(world: World) -> None:
    """A phone number that may not be sent reaches nobody."""
    only_phone, both = world.closing(email=None).matter, world.closing().matter
    ran = world.sync("--json", "-v", BROADLY_FIELDS="first_name,email")
    assert ran.decisions == {only_phone: ("skip", "no_channel"), both: SEND}


def test_open_and_pending_matters_are_no_closings(world: World) -> None:
    """Only the status closed counts, whatever the dates say."""
    opened = world.firm.add_matter(world.firm.add_contact(), close_date="today", thank_you=True)
    world.firm.suspend(opened)
    reopened = world.closing().matter
    world.firm.reopen(reopened, keep_close_date=True)
    ran = world.sync("--json", "-v")
    assert (ran.decisions, world.rows()) == ({}, [])


def test_skipped_is_decided_anew_when_the_matter_was_edited(world: World) -> None:
    """A box ticked later counts; without an edit of the matter nothing is read again."""
    late = world.closing(thank_you=False)
    out = world.closing(opt_out=True)
    assert world.sync().code == 0
    world.firm.set_thank_you(late.matter)
    world.firm.set_opt_out(out.contact, False)
    assert world.sync("--json", "-v").decisions == {late.matter: SEND}
    world.firm.edit(out.matter)
    assert world.sync("--json", "-v").decisions == {out.matter: SEND}


def test_future_close_date_is_taken_as_today(world: World) -> None:
    """The closing keeps its date in its id; the transaction is today's."""
    future = world.day(-20)
    matter = world.closing(on=future).matter
    assert world.sync().code == 0
    item = world.broadly.accepted[0].item
    assert item["transactionId"] == f"clio:matter:{matter}:{future}"
    assert item["transactionDate"] == world.day().isoformat()


def test_missing_close_date_typed_later(world: World) -> None:
    """A closing without a date waits for it, and is told of once; then it goes."""
    matter = world.closing(on=None).matter
    foretold, ran = world.sync("--dry-run", "--json"), world.sync()
    assert (foretold.code, foretold.decisions) == (65, {matter: ("wait", "no_close_date")})
    assert ran.code == 65
    assert "1 closing waits because the matter was closed without a close date" in ran.out + ran.err
    assert (world.sync().code, world.run("status").code) == (0, 65)
    world.firm.set_close_date(matter, world.day())
    assert world.sync().code == 0
    assert (world.asked, world.run("status").code) == ([matter], 0)


def test_missing_close_date_that_is_let_go(world: World) -> None:
    """`outbox` lists and drops what waits for a date, and nothing else."""
    undated, other = world.closing(on=None).matter, world.closing(opt_out="perhaps").matter
    assert world.sync().code == 65
    listed = world.run("outbox", "list", "--reason", "no_close_date", "--json").json["rows"]
    assert [(row["matter_id"], row["closed_on"]) for row in listed] == [(undated, None)]
    assert world.run("outbox", "drop", "--reason", "no_close_date", "--yes").code == 0
    assert {id_: row[2:] for id_, row in world.ledger().items()} == {
        undated: ("skipped", "dropped"), other: ("pending", "unreadable_field"),
    }  # fmt: skip
    world.firm.set_close_date(undated, world.day())
    assert world.sync().code == 0
    assert world.posts == []


def test_odd_records_wait_and_the_others_go(world: World) -> None:
    """A value of another JSON type makes its own record wait, nobody else's."""
    fine = world.closing().matter
    raw: list[tuple[Any, dict[str, Any]]] = [
        ("matter", {"close_date": 20261120}),
        ("matter", {"close_date": "20/11/2026"}),
        ("matter", {"client": "Ada"}),
        ("matter", {"client": {"id": "12"}}),
        ("matter", {"status": 3}),
        ("matter", {"custom_field_values": None}),
        ("contact", {"primary_email_address": {"address": 1}}),
        ("contact", {"primary_phone_number": 4155550123}),
        ("contact", {"first_name": ["A"]}),
        ("contact", {"type": None}),
        ("contact", {"custom_field_values": {"id": 1}}),
    ]
    odd = []
    for kind, values in raw:
        closing = world.closing()
        world.firm.set_raw(kind, getattr(closing, kind), **values)
        odd.append(closing.matter)
    ran = world.sync("--json", "-v")
    assert ran.code == 65
    assert ran.decisions == dict.fromkeys(odd, UNREADABLE) | {fine: SEND}
    assert world.asked == [fine]
    assert world.sync().code == 0, "it is new only once"
