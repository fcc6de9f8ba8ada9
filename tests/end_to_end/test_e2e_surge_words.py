"""The surge stop: both ways on that a person reads of, and what is no crowd.

The lines themselves are held by golden files: sync_surge, sync_after_a_silence, surge_lines.
"""

from world import World

FEW = {"SYNC_MAX_NEW": "5"}


def test_both_ways_on(world: World) -> None:
    """Each of them is tried."""
    first, *_ = world.closings(12)
    assert world.sync(**FEW).code == 65
    listed = world.run("outbox", "list", "--reason", "surge", "--json")
    assert len(listed.json["rows"]) == 12
    assert world.sync("--json", "--dry-run", "--yes", **FEW).json["to_send"] == 12
    dropped = world.run("outbox", "drop", "--reason", "surge", str(first), "--yes", "--json")
    assert dropped.json["changed"] == 1
    assert world.sync("--json", "--yes", **FEW).delivery == {"sent": 11}


def test_closed_one_by_one(world: World) -> None:
    """A busy week is nobody's one go."""
    for _ in range(12):
        world.closing()
        world.later(hours=1)
    said = world.sync(**FEW).out
    assert said.startswith("12 closings wait")
    assert "in one go" not in said
