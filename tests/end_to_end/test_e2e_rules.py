"""Who is handed over: the three rules over every state of both boxes, and a no on another card."""

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


def test_missing_close_date_typed_later(world: World) -> None:
    """A closing without a date waits for it, and is told of once; then it goes."""
    matter = world.closing(on=None).matter
    foretold, ran = world.sync("--dry-run", "--json"), world.sync()
    assert (foretold.code, foretold.decisions) == (65, {matter: ("wait", "no_close_date")})
    assert ran.code == 65
    assert (
        "1 closed matter waits because the matter was closed without a close date"
        in ran.out + ran.err
    )
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
