"""The two checkboxes and the other pins: what changed ends the run until a person has looked."""

from rig import faults
from world import World

OUT, IN = "BroadlyOptOut", "SendBroadlyThankYou"


def test_another_rule(world: World) -> None:
    """78 until accepted; then a new start day, and what the old rule left out stays out."""
    left_out = world.closing(thank_you=False).matter
    assert world.sync("--json").json["skipped"] == {"not_opted_in": 1}
    world.later(days=2)
    world.settings["SYNC_RULE"] = "opt-out"
    assert world.sync().code == 78
    assert world.check("--accept").code == 0
    world.firm.edit(left_out)
    yesterday = world.closing(on=world.day(1), thank_you=False).matter
    new = world.closing(thank_you=False).matter
    ran = world.sync("--json", "-v")
    assert ran.decisions == {yesterday: ("skip", "closed_before_start"), new: ("send", None)}
    span = world.day(9), world.day()
    again = world.backfill(*span, "--yes", "--json", "-v").decisions
    assert again[left_out] == ("send", None), "only backfill decides it anew"


def test_what_is_in_doubt_is_held_at_a_new_address(world: World) -> None:
    """Another receiver knows nothing of what the one before may have accepted."""
    world.dedupes()
    world.closing()
    world.broadly.rule("perhaps")
    assert world.sync("--json").delivery == {"waiting": 1}
    world.broadly.clear_rules()
    world.broadly.path = "/v2/batch"
    world.settings["BROADLY_URL"] = world.broadly.endpoint
    assert world.check("--accept").code == 0
    world.forget()
    assert world.sync("--json").delivery == {}
    assert world.posts == []
    assert {row.state for row in world.rows()} == {"held"}


def test_pause_is_over_at_a_new_address(world: World) -> None:
    """Another receiver has lost no answer, so it gets whole batches at once."""
    world.closings(3)
    world.broadly.faults.add(faults.drop())
    assert world.sync("--json", BROADLY_BATCH_SIZE="1").delivery == {"held": 1, "waiting": 2}
    assert world.sync().code == 69
    world.broadly.path = "/v2/batch"
    world.settings["BROADLY_URL"] = world.broadly.endpoint
    assert world.check("--accept").code == 0
    world.forget()
    assert world.sync("--json").delivery == {"sent": 2}
    assert len(world.posts) == 1


def test_opt_in_may_unpin_the_opt_out_field(fresh: World) -> None:
    """Under `opt-in` the field may go for good, once a person says so."""
    fresh.settings["SYNC_RULE"] = "opt-in"
    assert fresh.sync().code == 0
    fresh.later(minutes=1)
    matter = fresh.closing().matter
    fresh.firm.fields.delete(OUT)
    assert fresh.sync("--json").code == 78
    fresh.firm.fields.rename(OUT, "Not used any more")
    assert fresh.check("--accept").code == 0
    assert fresh.sync().code == 0
    assert fresh.asked == [matter]
