"""A laptop that is closed, or a virtual machine that is suspended, between two POSTs."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import pytest
from world import Ran, World, on_post

OUT = "BroadlyOptOut"
ASLEEP = pytest.mark.parametrize("hours", [0.05, 0.5, 8, 100])


def _run(world: World, arguments: list[str], slept: Path, meanwhile: Callable[[], None]) -> Ran:
    """Run with a batch for each client; `meanwhile` happens at the first POST."""
    settings = {"BROADLY_BATCH_SIZE": "1", "SLEPT": str(slept)}
    world.broadly.working = on_post(meanwhile)
    try:
        return world.finish(world.start(arguments, settings))
    finally:
        world.broadly.working = None


def _sleeps(world: World, slept: Path, hours: float, contacts: list[int]) -> Callable[[], None]:
    """Return what lets the machine sleep while these clients opt out."""

    def sleep() -> None:
        slept.write_text(str(hours * 3600))
        for contact in contacts:
            world.firm.set_box("contact", contact, True, OUT)

    return sleep


@ASLEEP
def test_sync_ends_there(world: World, tmp_path: Path, hours: float) -> None:
    """Nobody is sent on what was read before the sleep, and the next run goes on."""
    first, *others = (world.closing() for _ in range(4))
    slept = tmp_path / "slept"
    sleep = _sleeps(world, slept, hours, [other.contact for other in others])
    ran = _run(world, ["sync", "--json"], slept, sleep)
    assert (ran.code, ran.delivery) == (0, {"sent": 1, "waiting": 3})
    assert world.asked == [first.matter]
    slept.unlink()
    world.later(minutes=15)
    ran = world.sync("--json")
    assert (ran.code, ran.json["skipped"]) == (0, {"opted_out": 3})
    assert world.asked == [first.matter]


@ASLEEP
def test_backfill_reads_again_and_goes_on(world: World, tmp_path: Path, hours: float) -> None:
    """Nobody has to start it a second time."""
    day = date(2025, 3, 10)
    first, no, yes = (world.closing(day) for _ in range(3))
    slept = tmp_path / "slept"
    sleep = _sleeps(world, slept, hours, [no.contact])
    dates = ["--from", str(day), "--to", str(day + timedelta(days=1))]
    ran = _run(world, ["backfill", *dates, "--yes", "--json"], slept, sleep)
    assert (ran.code, ran.json["skipped"]) == (0, {"opted_out": 1})
    assert world.asked == [first.matter, yes.matter]


@ASLEEP
@pytest.mark.parametrize("number", [1, 2])
def test_sleep_while_an_answer_is_on_its_way(
    world: World, tmp_path: Path, hours: float, number: int
) -> None:
    """What Clio dated before the sleep is no sign that a clock is wrong."""
    world.closings(2)
    slept = tmp_path / "slept"
    world.clio.after = on_post(lambda: slept.write_text(f"{hours * 3600} set"), number=number)
    ran = world.finish(world.start(["sync", "--json"], {"SLEPT": str(slept)}))
    assert (ran.code, ran.delivery, ran.err) == (0, {"waiting": 2}, "")
    assert world.asked == []


@ASLEEP
@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("hook", ["before", "after"])
def test_the_time_is_right_after_a_sleep(
    world: World, tmp_path: Path, hours: float, number: int, hook: str
) -> None:
    """Whichever answer was on its way, the moment of sending is that of Clio's clock.

    Otherwise the days until a client may be asked again would be over too soon.
    """
    day = date(2025, 3, 10)
    world.closing(day)
    slept = tmp_path / "slept"

    def sleep() -> None:
        slept.write_text(f"{hours * 3600} set")
        world.later(hours=hours)

    setattr(world.clio, hook, on_post(sleep, number=number))
    arguments = ["backfill", "--from", str(day), "--to", str(day), "--yes"]
    assert world.finish(world.start(arguments, {"SLEPT": str(slept)})).code == 0
    with closing(sqlite3.connect(world.state)) as database:
        ((claimed_at,),) = database.execute("SELECT claimed_at FROM closings")
    assert abs(claimed_at - world.firm.clock.now().timestamp()) < 60
