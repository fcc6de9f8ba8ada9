"""What waits (settling, an outage, a surge, a fault) is read and decided again before it goes."""

import pytest
from world import World

SEND = ("send", None)
SETTLE = {"SYNC_SETTLE_HOURS": "2"}


@pytest.mark.parametrize("why", ["settling", "unavailable", "surge"])
def test_what_waits_is_decided_anew(world: World, why: str) -> None:
    """Reopened, gone, opted out, the box unticked: skipped. Nothing changed: handed over."""
    fine, reopened, gone, out, unticked = (world.closing() for _ in range(5))
    settings = {"settling": SETTLE, "unavailable": {}, "surge": {"SYNC_MAX_NEW": "4"}}[why]
    if why == "unavailable":
        world.busy()
    first = world.sync("--json", "-v", **settings)
    assert first.code == {"settling": 0, "unavailable": 69, "surge": 65}[why]
    assert first.decisions == dict.fromkeys(
        (c.matter for c in (fine, reopened, gone, out, unticked)), ("wait", why)
    )
    world.forget()
    world.firm.reopen(reopened.matter)
    world.firm.delete_matter(gone.matter)
    world.firm.set_opt_out(out.contact)
    world.firm.set_thank_you(unticked.matter, False)
    world.later(hours=3)
    second = world.sync("--json", "-v", "--yes", **(SETTLE if why == "settling" else {}))
    assert second.decisions == {
        fine.matter: SEND,
        reopened.matter: ("skip", "not_closed"),
        gone.matter: ("skip", "not_closed"),
        out.matter: ("skip", "opted_out"),
        unticked.matter: ("skip", "not_opted_in"),
    }
    assert (world.asked, world.posts) == ([fine.matter], [[fine.matter]])


FEW = {"SYNC_MAX_NEW": "5"}


def test_both_ways_on(world: World) -> None:
    """Approved or dropped, the ways on of a surge that a person reads of: each of them is tried."""
    first, *_ = world.closings(12)
    assert world.sync(**FEW).code == 65
    listed = world.run("outbox", "list", "--reason", "surge", "--json")
    assert len(listed.json["rows"]) == 12
    assert world.sync("--json", "--dry-run", "--yes", **FEW).json["to_send"] == 12
    dropped = world.run("outbox", "drop", "--reason", "surge", str(first), "--yes", "--json")
    assert dropped.json["changed"] == 1
    assert world.sync("--json", "--yes", **FEW).delivery == {"sent": 11}


def test_approval_is_not_given_where_a_field_is_not_in_order(world: World) -> None:
    """78: nothing is recorded, so the surge waits for `--yes` again once the field is mended."""
    few = {"SYNC_MAX_NEW": "1"}
    for _ in range(2):
        world.closing()
    before = world.sync("--json", **few).json["watermark"]["to"]
    world.firm.fields.rename("BroadlyOptOut", "Broadly Opt Out")
    refused = world.sync("--yes", "--json", **few)
    assert (refused.code, refused.json["watermark"]) == (78, {"from": before, "to": before})
    world.firm.fields.rename("Broadly Opt Out", "BroadlyOptOut")
    assert (world.sync(**few).code, world.asked) == (65, [])
    assert (world.sync("--yes", **few).code, len(world.asked)) == (0, 2)
