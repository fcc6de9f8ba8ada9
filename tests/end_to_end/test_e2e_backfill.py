"""`backfill`: a range of close dates, walked twice, and a `sync` after it."""

from datetime import date

from world import World

MARCH = date(2025, 3, 1), date(2025, 3, 31)


def _march(world: World, number: int = 3) -> list[int]:
    return [world.closing(on=date(2025, 3, 10 + n)).matter for n in range(number)]


def test_same_range_again_does_nothing(world: World) -> None:
    """Walking a range again is harmless, and so is a `sync` after it."""
    matters = _march(world)
    assert world.backfill(*MARCH, "--yes").code == 0
    assert world.backfill(*MARCH, "--yes", "--json").delivery == {}
    assert world.sync("--json", SYNC_MAX_AGE_DAYS="9999").delivery == {}
    assert world.asked == matters
