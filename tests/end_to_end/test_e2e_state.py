"""The state file: damaged, or with a watermark that no run has set."""

import os
from collections.abc import Callable
from datetime import timedelta

import pytest
from planting import sql
from world import World


def _cut(share: float) -> Callable[[World], None]:
    return lambda world: os.truncate(world.state, int(world.state.stat().st_size * share))


def _overwritten(first: int, length: int) -> Callable[[World], None]:
    def spoil(world: World) -> None:
        whole = bytearray(world.state.read_bytes())
        whole[first : first + length] = b"\xff" * length
        world.state.write_bytes(whole)

    return spoil


def _after(statement: str) -> Callable[[World], None]:
    return lambda world: sql(world.state, statement)


DAMAGED: dict[str, Callable[[World], None]] = {
    "cut to 100 bytes": lambda world: os.truncate(world.state, 100),
    "cut to a page": lambda world: os.truncate(world.state, 4096),
    "cut to a third": _cut(1 / 3),
    "cut to half and a bit": _cut(0.51),
    "its first bytes": _overwritten(0, 16),
    "its first page": _overwritten(100, 2000),
    "all but its first page": _overwritten(4096, 1 << 20),
    "version 0": _after("UPDATE schema_version SET version = 0"),
    "version -5": _after("UPDATE schema_version SET version = -5"),
    "version 1, and it is not": _after("UPDATE schema_version SET version = 1"),
    "no version": _after("DELETE FROM schema_version"),
    "no table of runs": _after("DROP TABLE runs"),
    "no column": _after("ALTER TABLE facts RENAME COLUMN value TO worth"),
    "no text": _after("UPDATE facts SET value = CAST(x'ff' AS TEXT) WHERE name = 'start_day'"),
}
LOOKS = (["sync"], ["sync", "--dry-run"], ["status"], ["verify"], ["check"])


@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged_state_wants_a_copy(world: World, damage: str) -> None:
    """74 from all of them, and to restore it; permissions and room have nothing to do with it."""
    DAMAGED[damage](world)
    world.private = False
    for asked in LOOKS:
        ran = world.run(*asked)
        said = "\n".join(line for line in (ran.out + ran.err).splitlines() if "state" in line)
        assert ran.code == 74, (asked, ran)
        assert "estore a" in said or "put the last good copy" in said, (asked, said)
        assert "permissions and" not in said, (asked, said)
    assert (world.posts, world.asked) == ([], [])


@pytest.mark.parametrize(
    ("ahead", "code"),
    [(timedelta(days=27_000), 74), (timedelta(days=30), 74), (timedelta(hours=24), 0)],
)
def test_watermark_in_the_future(world: World, ahead: timedelta, code: int) -> None:
    """No run has set it; whatever closes until then would be passed over in silence."""
    mark = (world.firm.clock.now() + ahead).isoformat()
    sql(world.state, f"UPDATE facts SET value = '{mark}' WHERE name = 'watermark'")  # noqa: S608
    world.closing()
    for command in ("status", "check", "sync"):
        ran = world.run(command)
        assert ran.code == code, command
        assert ("in the future" in " ".join((ran.out + ran.err).split())) is (code == 74)
    assert world.posts == []
