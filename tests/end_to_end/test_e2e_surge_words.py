"""The surge stop speaks: what a person reads, by mail or on a terminal, before saying yes or no."""

from world import World

FEW = {"SYNC_MAX_NEW": "5"}


def test_many_closed_in_one_go(world: World) -> None:
    """How many, how far back, that it was one go; and both ways on, each of which is tried."""
    world.closings(8)
    world.later(minutes=3)
    first, *_ = world.closings(3)
    world.later(days=2)
    world.closing()
    said = world.sync(**FEW).out
    assert said.startswith("12 closings wait for a person's yes.")
    assert "11 of them were last edited in Clio within 3 minutes" in said
    assert "in one go" in said
    assert "silence" not in said
    oldest, newest = (f"{day.day} {day:%b %Y}" for day in (world.day(2), world.day()))
    assert f"Their close dates reach from {oldest} to {newest}." in said
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


def test_after_a_long_silence(world: World) -> None:
    """It is the silence that is told, in that run and in those after it; not a crowd."""
    world.later(hours=73)
    world.closings(2)
    for _ in range(2):
        said = world.sync("-v").out
        assert "2 closings wait for a person's yes." in said
        assert "noticed after a silence of more than three days" in said
        assert "SYNC_MAX_NEW" not in said


def test_dry_run_says_the_same(world: World) -> None:
    """Before anything is written."""
    world.closings(6)
    dry = world.sync("--dry-run", **FEW).out
    real = world.sync(**FEW).out
    of_surge = [line for line in real.splitlines() if "wait for" in line or "Their close" in line]
    assert len(of_surge) == 2
    assert all(line in dry for line in of_surge)
