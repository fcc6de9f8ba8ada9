"""`backfill`: a range of close dates, asked for first, and nobody else's closings."""

from datetime import date, datetime, timedelta

import pytest
from terminal import on_terminal
from world import Ran, World

MARCH = date(2025, 3, 1), date(2025, 3, 31)


def _march(world: World, number: int = 3) -> list[int]:
    return [world.closing(on=date(2025, 3, 10 + n)).matter for n in range(number)]


def _on_terminal(world: World, answer: str, *options: str) -> Ran:
    """Run a backfill of March on a terminal and type the answer."""
    arguments = ["backfill", "--from", str(MARCH[0]), "--to", str(MARCH[1]), *options]
    return on_terminal(world, *arguments, answers={"?": answer})


def test_both_ends_are_included(world: World) -> None:
    """From the first day to the last, whatever the age; the day before and after stay."""
    days = [date(2025, 2, 28), *MARCH, date(2025, 4, 1)]
    matters = [world.closing(on=day).matter for day in days]
    ran = world.backfill(*MARCH, "--yes", "--json")
    assert (ran.code, ran.delivery) == (0, {"sent": 2})
    assert world.asked == matters[1:3]
    assert sorted(world.ledger()) == matters[1:3]
    dates = [a.item["transactionDate"] for a in world.broadly.accepted]
    assert dates == [day.isoformat() for day in MARCH]


def test_same_range_again_does_nothing(world: World) -> None:
    """Walking a range again is harmless, and so is a `sync` after it."""
    matters = _march(world)
    assert world.backfill(*MARCH, "--yes").code == 0
    assert world.backfill(*MARCH, "--yes", "--json").delivery == {}
    assert world.sync("--json", SYNC_MAX_AGE_DAYS="9999").delivery == {}
    assert world.asked == matters


def test_off_a_terminal_it_needs_yes(world: World) -> None:
    """Exit 2, and Clio is not even asked."""
    _march(world, 1)
    world.forget()
    ran = world.backfill(*MARCH, "--json")
    assert ran.code == 2
    assert (world.paths, world.posts, world.rows()) == ([], [], [])


def test_dates_the_wrong_way_round(world: World) -> None:
    """Exit 2; one day is a range."""
    assert world.backfill(MARCH[1], MARCH[0], "--yes", "--json").code == 2
    matter = world.closing(on=MARCH[0]).matter
    assert world.backfill(MARCH[0], MARCH[0], "--yes").code == 0
    assert world.asked == [matter]


@pytest.mark.parametrize(("answer", "sent"), [("y", 2), ("n", 0)])
def test_it_asks_on_a_terminal(world: World, answer: str, sent: int) -> None:
    """Declined is no error, and not forgotten."""
    _march(world, 2)
    assert _on_terminal(world, answer).code == 0
    assert len(world.asked) == sent
    if not sent:
        assert world.backfill(*MARCH, "--yes", "--json").delivery == {"sent": 2}


def test_interrupted_one_continues_with_the_same_command(world: World) -> None:
    """And with none other: `sync` never pushes a backfill's closings, nor does another range."""
    matters = _march(world, 4)
    ran = world.backfill(*MARCH, "--yes", "--json", "--limit", "1")
    assert ran.delivery == {"sent": 1, "waiting": 3}
    for matter in matters:
        world.firm.edit(matter)
    assert world.sync("--json", "--yes", SYNC_MAX_AGE_DAYS="9999").delivery == {}
    elsewhere = date(2025, 3, 1), date(2025, 3, 11)
    assert world.backfill(*elsewhere, "--yes", "--json").delivery == {"sent": 1}
    assert world.backfill(*MARCH, "--yes", "--json").delivery == {"sent": 2}
    assert world.asked == matters


def test_backfill_never_pushes_the_closings_of_sync(world: World) -> None:
    """What settles or waits for approval is not let through by another command."""
    mine = world.closing().matter
    assert world.sync("--json", SYNC_SETTLE_HOURS="2").delivery == {"waiting": 1}
    span = world.day(5), world.day()
    ran = world.backfill(*span, "--yes", "--json")
    assert (ran.code, ran.delivery) == (0, {})
    world.later(hours=3)
    assert world.sync("--json", SYNC_SETTLE_HOURS="2").delivery == {"sent": 1}
    assert world.asked == [mine]


def test_start_day_age_settle_and_surge_do_not_apply(world: World) -> None:
    """Everything else does."""
    matters = [*_march(world, 3), world.closing(on=MARCH[1], opt_out=True).matter]
    ran = world.backfill(
        *MARCH, "--yes", "--json", "-v", SYNC_MAX_NEW="1", SYNC_SETTLE_HOURS="24",
    )  # fmt: skip
    assert ran.delivery == {"sent": 3}
    assert ran.decisions[matters[-1]] == ("skip", "opted_out")
    world.closing()
    assert world.sync("--json", SYNC_MAX_NEW="1").delivery == {"sent": 1}, "it is no surge either"


def test_skipped_by_sync_is_decided_anew_by_backfill(world: World) -> None:
    """What was too old or before the start is the past, which backfill is for."""
    matters = _march(world, 2)
    assert world.sync("--json").json["skipped"] == {"closed_before_start": 2}
    assert world.backfill(*MARCH, "--yes", "--json").delivery == {"sent": 2}
    assert world.asked == matters


def test_one_person_once_across_commands(world: World) -> None:
    """Handed over by sync, the same client is skipped by a backfill of the past."""
    closing = world.closing()
    assert world.sync().code == 0
    old = world.matter(closing.contact, MARCH[0])
    ran = world.backfill(*MARCH, "--yes", "--json", "-v")
    assert ran.decisions == {old: ("skip", "asked_recently")}


def test_hidden_contact_is_read_by_each_backfill(world: World) -> None:
    """65 when new, 0 later; no 20 hours to wait."""
    closing = world.closing(on=MARCH[0])
    world.firm.hide_contact(closing.contact)
    codes = [world.backfill(*MARCH, "--yes", "--json").code for _ in range(2)]
    assert codes == [65, 0]
    world.firm.show_contact(closing.contact)
    assert world.backfill(*MARCH, "--yes", "--json").delivery == {"sent": 1}


def test_watermark_is_left_alone(world: World) -> None:
    """The next sync starts where the last one ended."""
    _march(world, 1)
    world.later(hours=1)
    assert world.backfill(*MARCH, "--yes").code == 0
    reached = datetime.fromisoformat(world.sync("--json").json["watermark"]["from"])
    assert world.firm.clock.now() - reached > timedelta(hours=1)


def test_clio_fails_on_the_way(world: World) -> None:
    """Nobody is asked before the whole range was read, and nobody is lost."""
    matters = _march(world, 2)
    world.clio.forbid("contacts")
    assert world.backfill(*MARCH, "--yes", "--json").code == 77
    world.clio.allow("contacts")
    assert world.posts == []
    assert world.backfill(*MARCH, "--yes", "--json").delivery == {"sent": 2}
    assert world.asked == matters
