"""Output that nobody takes: cut off by its reader, or on a disk that is full."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from pinged import Pinged
from world import PACKAGE, Ran, World

FULL = Path("/dev/full")
UNWRITTEN = "clio-broadly-sync: The output could not be written (No space left on device).\n"
on_full_disk = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")


def _writing_to(out: int, world: World, arguments: Sequence[str]) -> Ran:
    """Run with this as stdout, which is closed here."""
    child = subprocess.run(
        [sys.executable, "-m", "clio_broadly_sync", *arguments],
        env={**os.environ, **world.settings, "PYTHONPATH": str(PACKAGE)},
        cwd=world.folder,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(out)
    return Ran(child.returncode, "", child.stderr)


def _cut_off(world: World, *arguments: str) -> Ran:
    """Run with a reader that has gone by the first line."""
    read, write = os.pipe()
    os.close(read)
    return _writing_to(write, world, arguments)


def _full(world: World, *arguments: str) -> Ran:
    return _writing_to(os.open(FULL, os.O_WRONLY), world, arguments)


def _waiting(world: World) -> list[int]:
    matters = world.closings(3)
    assert world.sync("--limit", "0").code == 0
    return matters


def _backfill(world: World) -> list[str]:
    return ["backfill", "--from", str(world.day(9)), "--to", str(world.day()), "--dry-run"]


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_reader_that_goes_hears_nothing(world: World, more: list[str]) -> None:
    """As `head` does; what was being read from the state is closed without a word."""
    _waiting(world)
    world.closings(3, on=world.day(5))
    for arguments in (["outbox", "list"], _backfill(world), ["status"], ["verify"]):
        assert _cut_off(world, *arguments, *more).err == "", arguments


@on_full_disk
def test_full_disk_is_told_in_one_sentence(world: World) -> None:
    """It is no bug: 74, whatever was to be printed."""
    matter, *_ = _waiting(world)
    for arguments in (
        ["status"],
        ["status", "--json"],
        ["outbox", "list"],
        ["explain", str(matter)],
        ["check"],
        _backfill(world),
        [*_backfill(world), "--json"],
        ["--version"],
        ["--help"],
    ):
        ran = _full(world, *arguments)
        assert (ran.code, ran.err) == (74, UNWRITTEN), arguments


@on_full_disk
def test_run_whose_report_cannot_be_written(world: World) -> None:
    """What it handed over is handed over, and the state says so; the next run does nothing."""
    matters = world.closings(3)
    with Pinged() as monitor:
        world.settings["PING_URL"] = monitor.address
        ran = _full(world, "sync", "--json")
    assert (ran.code, ran.err) == (74, UNWRITTEN)
    assert f"clio-broadly-sync: {monitor.told[-1][1]}\n" == UNWRITTEN
    del world.settings["PING_URL"]
    assert world.asked == matters
    assert {row.state for row in world.rows()} == {"sent"}
    assert world.run("status", "--json").json["runs"][0]["exit_code"] == 0
    assert world.sync("--json").delivery == {}


def test_closed_output_is_no_failure(fresh: World) -> None:
    """What would be printed is lost and nothing else, also in the first run, which always talks."""
    closed = f'exec "{sys.executable}" -m clio_broadly_sync sync >&-'
    environment = {**os.environ, **fresh.settings, "PYTHONPATH": str(PACKAGE)}
    ran = subprocess.run(
        ["bash", "-c", closed],
        env=environment,
        cwd=fresh.folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    fresh.later(minutes=1)
    matter = fresh.closing().matter
    assert fresh.sync().code == 0
    assert fresh.asked == [matter]
