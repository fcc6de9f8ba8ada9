"""A dry run is the real run minus the POST and minus every write."""

from typing import Any

import pytest
from world import NOBODY, World

from clio_broadly_sync.sandbox import Box


def _mixed_firm(world: World) -> None:
    """Close matters of every kind, some of one person."""
    regular = world.firm.add_contact()
    for _ in range(3):
        world.closings(3)
        world.closing(opt_out=True)
        world.closing(thank_you=False)
        world.closing(email=None, phone=None)
        world.matter(regular)
    world.matter(None)
    world.closing(on=world.day(40))
    world.closing(opt_out=Box.UNREADABLE)
    world.firm.hide_contact(world.closing().contact)


def _batches(world: World, ran: Any, size: int) -> list[list[int]]:
    return [ran.order[start : start + size] for start in range(0, len(ran.order), size)]


@pytest.mark.parametrize("limit", [None, 5])
def test_dry_run_then_the_real_run(world: World, limit: int | None) -> None:
    """The same people, order, batches, reasons and exit code."""
    _mixed_firm(world)
    options = ["--json", "-v"] + (["--limit", str(limit)] if limit is not None else [])
    dry = world.sync(*options, "--dry-run", BROADLY_BATCH_SIZE="4")
    assert world.posts == []
    real = world.sync(*options, BROADLY_BATCH_SIZE="4")
    assert real.json["decisions"] == dry.json["decisions"]
    assert (real.code, dry.code) == (65, 65)
    for name in ("matters_read", "to_send", "skipped", "outcome", "command"):
        assert real.json[name] == dry.json[name], name
    assert dry.json["delivery"] == NOBODY
    assert real.json["delivery"]["sent"] == dry.json["to_send"] == (limit or 10)
    assert dry.json["watermark"]["from"] == real.json["watermark"]["from"]
    assert (dry.json["dry_run"], real.json["dry_run"]) == (True, False)
    assert world.posts == _batches(world, dry, 4)
    assert [matter for post in world.posts for matter in post] == world.asked


def test_dry_run_writes_nothing_and_posts_nothing(world: World) -> None:
    """The state's folder holds the same files with the same bytes."""
    _mixed_firm(world)
    before = world.files()
    for options in (["--dry-run"], ["--dry-run", "--yes", "--json"]):
        assert world.sync(*options).code == 65
        assert world.files() == before
    world.backfill(world.day(9), world.day(), "--dry-run")
    assert world.files() == before
    assert world.posts == []


def test_dry_run_of_what_waits_writes_nothing(world: World) -> None:
    """Nor where an earlier run left something to recover or to send."""
    world.closings(2)
    world.busy()
    assert world.sync().code == 69
    before, rows = world.files(), world.rows()
    dry = world.sync("--dry-run", "--json")
    assert (dry.code, dry.json["to_send"]) == (0, 2)
    assert (world.rows(), world.files()) == (rows, before)


def test_dry_run_fails_as_the_real_run_does(world: World) -> None:
    """A field that is gone, a refused token: the same exit code and the same object."""
    world.closing()
    world.firm.fields.delete("BroadlyOptOut")
    dry, real = world.sync("--dry-run", "--json"), world.sync("--json")
    assert (dry.code, real.code, dry.err) == (78, 78, real.err)
    world.firm.fields.restore("BroadlyOptOut")
    dry = world.sync("--dry-run", "--json", CLIO_ACCESS_TOKEN="withdrawn")
    assert dry.code == 77


def test_dry_backfill_then_the_real_one(world: World) -> None:
    """The same holds for a range of the past, without a question."""
    for days_ago in (1, 2, 40):
        world.closing(on=world.day(days_ago))
        world.closing(on=world.day(days_ago), opt_out=True)
    span = world.day(60), world.day(1)
    dry = world.backfill(*span, "--dry-run", "--json")
    real = world.backfill(*span, "--yes", "--json", "-v")
    assert real.json["decisions"] == dry.json["decisions"]
    assert (dry.code, real.code, real.delivery) == (0, 0, {"sent": 3})
    assert world.posts == [dry.order]
