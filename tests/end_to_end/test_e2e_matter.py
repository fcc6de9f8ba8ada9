"""`sync --matter`: one closing decided anew and sent, and what is said of it."""

from pathlib import Path
from typing import Any

import pytest
from terminal import on_terminal
from world import HURRY, World, customers

NOWHERE = {"BROADLY_URL": "http://127.0.0.1:9/"}


def alone(world: World, matter: int, *options: str, **settings: str | None) -> Any:
    return world.run("sync", "--matter", str(matter), *options, **settings)


def test_one_goes_and_no_other(world: World) -> None:
    """Whatever its date; the watermark stays, and nobody is pinged."""
    old, other = world.closing(world.day(400)), world.closing()
    ran = alone(world, old.matter, "--yes", "--json")
    assert (ran.code, ran.json["watermark"], ran.delivery) == (0, None, {"sent": 1})
    assert (ran.json["command"], ran.json["matter_id"]) == ("sync", old.matter)
    assert ran.json["says"][0].startswith("Sent to Broadly")
    assert (world.asked, other.matter in world.ledger()) == ([old.matter], False)
    assert world.sync().code == 0
    assert world.asked == [old.matter, other.matter]


def test_it_is_the_usual_request(world: World) -> None:
    """Only the run differs: the same item, under the same transactionId as by any command."""
    closing = world.closing(world.day(400))
    alone(world, closing.matter, "--yes")
    (item,) = customers(world.broadly.posts[0].body)
    assert item["transactionId"] == f"clio:matter:{closing.matter}:{world.day(400)}"


def test_person_is_asked(world: World) -> None:
    """With the name; after a no it waits, and both ways out are named."""
    old = world.closing(world.day(400), first_name="Ada", last_name="Weatherby")
    ran = on_terminal(world, "sync", "--matter", str(old.matter), answers={"[y/N]:": "n"})
    said = " ".join(ran.out.split())
    assert (ran.code, world.asked, "Ada Weatherby" in said) == (0, [], True)
    assert f"`clio-broadly-sync sync --matter {old.matter}`" in said
    assert f"`clio-broadly-sync outbox drop {old.matter}`" in said
    assert world.sync().code == 0
    ran = on_terminal(world, "sync", "--matter", str(old.matter), answers={"[y/N]:": "y"})
    assert (ran.code, world.asked) == (0, [old.matter])


def test_without_a_terminal_it_wants_a_yes(world: World) -> None:
    ran = alone(world, world.closing().matter)
    assert (ran.code, "add --yes" in ran.err, world.posts) == (2, True, [])


def test_dry_run_writes_nothing(world: World) -> None:
    """It says what would become of it, by a table or as JSON."""
    old = world.closing(world.day(400))
    files = world.files()
    ran = alone(world, old.matter, "--dry-run")
    assert (ran.code, " send" in ran.out) == (0, True)
    ran = alone(world, old.matter, "--dry-run", "--json")
    assert ran.decisions == {old.matter: ("send", None)}
    assert ran.json["says"] == []
    assert (world.files(), world.posts) == (files, [])


def test_what_speaks_against_it_is_said(world: World) -> None:
    """By JSON, and on a terminal."""
    ticked = world.closing(world.day(400), opt_out=True)
    ran = alone(world, ticked.matter, "--yes", "--json")
    assert (ran.code, ran.json["skipped"]) == (0, {"opted_out": 1})
    assert "BroadlyOptOut box was checked" in ran.json["says"][0]
    ran = on_terminal(world, "sync", "--matter", str(ticked.matter), answers={"[y/N]:": "y"})
    assert (ran.code, "BroadlyOptOut box was checked" in " ".join(ran.out.split())) == (0, True)


def test_it_need_not_be_sent_twice(world: World) -> None:
    """It was sent, so nobody is asked, and that is said."""
    closing = world.closing()
    world.sync()
    ran = on_terminal(world, "sync", "--matter", str(closing.matter))
    assert (ran.code, "Sent to Broadly on" in ran.out) == (0, True)
    assert world.asked == [closing.matter]


def test_matter_that_is_open(world: World) -> None:
    """0: nothing is noted, and it is said what will happen."""
    matter = world.firm.add_matter(world.firm.add_contact())
    ran = on_terminal(world, "sync", "--matter", str(matter))
    assert (ran.code, f"matter {matter} is not closed in Clio" in ran.out) == (0, True)
    assert world.ledger() == {}


@pytest.mark.parametrize("matter", ["999", "0", "-5", "two", "9" * 30])
def test_no_such_matter(world: World, matter: str) -> None:
    """2, also for what can be no id; the state is free again, and nothing was cut short."""
    ran = world.run("sync", "--matter", matter, "--yes")
    assert (ran.code, ran.out) == (2, "")
    status = world.run("status", "--json").json
    assert all(run["outcome"] == "ok" for run in status["runs"])


def test_what_an_outage_left_goes_by_the_same_command(world: World) -> None:
    """69, and how to go on; `sync` does not take it."""
    old = world.closing(world.day(400))
    world.busy()
    ran = alone(world, old.matter, "--yes", NO_WAITS="yes", **HURRY)
    assert (ran.code, f"sync --matter {old.matter}" in ran.out) == (69, True)
    assert world.sync().code == 0
    assert world.asked == []
    assert alone(world, old.matter, "--yes").code == 0
    assert world.asked == [old.matter]


def test_outside_of_the_hours_it_waits(world: World) -> None:
    """Nobody is asked, and no other command is named than that which goes on with it."""
    old = world.closing(world.day(400))
    hours = world.firm.clock.now().hour
    closed = {"SYNC_SEND_HOURS": f"{(hours + 5) % 24}-{(hours + 6) % 24}", "CLIO_TIME_ZONE": "UTC"}
    ran = on_terminal(world, "sync", "--matter", str(old.matter), **closed)
    said = " ".join(ran.out.split())
    assert (ran.code, "outside of the sending hours" in said) == (0, True)
    assert "backfill" not in said
    assert f"sync --matter {old.matter}" in said


def test_into_a_file(world: World, tmp_path: Path) -> None:
    """Where files are written, it goes into one; without, the command with one is named."""
    world.settings |= {"BROADLY_PROFILE": "csv", "BROADLY_URL": "", "BROADLY_API_KEY": ""}
    assert world.check("--accept").code in (0, 65)
    old = world.closing(world.day(400))
    ran = alone(world, old.matter, "--yes", "--json")
    assert ran.code == 0
    assert f"sync --matter {old.matter} --csv FILE`" in " ".join(ran.json["says"])
    folder = world.folder / "exports"
    folder.mkdir()
    ran = alone(world, old.matter, "--yes", "--csv", str(folder / "one.csv"))
    assert (ran.code, (folder / "one.csv").exists()) == (0, True)
    assert world.ledger()[old.matter].state == "sent"


def test_it_is_named_among_the_runs(world: World) -> None:
    """So that nobody takes it for one of cron's."""
    matter = world.closing().matter
    alone(world, matter, "--yes")
    assert world.run("status", "--json").json["runs"][0]["command"] == "sync --matter"
    assert "(sync --matter): noticed" in world.run("explain", str(matter)).out


def test_where_clio_is_out_of_reach(world: World) -> None:
    """69, with what is known of it; and nobody is sent to a `backfill` that was none."""
    sent = world.closing()
    world.sync()
    new = world.closing(world.day(400))
    with world.clio.outage():
        ran = alone(world, sent.matter, "--yes", NO_WAITS="yes")
        assert (ran.code, ran.out.startswith("Sent to Broadly on")) == (69, True)
        ran = alone(world, new.matter, "--yes", NO_WAITS="yes")
        assert (ran.code, ran.out) == (69, "")
        assert "could not be reached" in ran.err
