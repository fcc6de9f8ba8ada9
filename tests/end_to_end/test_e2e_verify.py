"""`verify`: what is sound, what is damaged, what slipped through; and nothing is touched."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from rig import Sandbox, faults
from world import World


def _findings(said: dict[str, Any]) -> dict[str, str]:
    return {finding["about"]: finding["level"] for finding in said["findings"]}


def test_sound_state_in_use(world: World) -> None:
    """Neither a byte of the state nor anything at Clio or Broadly is touched."""
    world.closing()
    assert world.sync().code == 0
    world.forget()
    before = world.files()
    assert world.run("verify").code == 0
    assert (world.files(), world.paths, world.posts) == (before, [], [])


def test_what_slipped_through_is_named_and_backfill_takes_it(world: World) -> None:
    """65, also weeks later; what `backfill` would do, and the line to run does exactly that."""
    world.later(days=5)
    first, last = world.day(2), world.day(1)
    kept, lost = world.closing().matter, world.closing(on=first).matter
    refused = world.closing(on=last, thank_you=False).matter
    unreadable = world.closing(on=last).matter
    assert world.sync("--yes").code == 0
    world.later(days=40)
    assert world.sync().code == 0
    world.lose(lost, refused, unreadable)
    world.firm.set_raw("matter", unreadable, client={"id": "12"})
    world.broadly.accepted.clear()
    ran = world.run("verify", "--json", "--against-clio", "60")
    assert (ran.code, ran.json["outcome"]) == (65, "attention")
    assert {s["matter_id"]: (s["backfill"], s["reason"]) for s in ran.json["slipped"]} == {
        lost: ("send", None),
        refused: ("skip", "not_opted_in"),
        unreadable: ("wait", "unreadable_field"),
    }
    told = world.run("verify", "--against-clio", "60")
    line = told.out.partition("`clio-broadly-sync backfill ")[2].partition("`")[0]
    assert line == f"--from {first} --to {last} --dry-run"
    assert world.run("backfill", *line.removesuffix("--dry-run").split(), "--yes").code == 65
    assert world.asked == [lost]
    assert kept in world.ledger()
    assert world.run("verify", "--against-clio", "60").code == 0


def test_what_is_rightly_not_in_the_ledger_is_no_alarm(fresh: World) -> None:
    """Closed before the start day, too old when it was edited, or new since the last run."""
    before = fresh.closing().matter
    fresh.later(minutes=1)
    assert fresh.sync().code == 0
    fresh.later(days=60)
    old, early = fresh.closing(on=fresh.day(40)).matter, fresh.closing(on=fresh.day(70)).matter
    fresh.later(hours=2)
    assert fresh.sync("--yes").code == 0
    assert set(fresh.ledger()) == {old, early}
    fresh.lose(old, early)
    new = fresh.closing(on=fresh.day() + timedelta(days=400)).matter
    ran = fresh.run("verify", "--json", "--against-clio", "90")
    assert (ran.code, ran.json["slipped"]) == (0, [])
    counted = ran.json["against_clio"]
    assert (counted["matters_read"], counted["coming"]) == (4, 1)
    assert (counted["closed_before_start"], counted["closed_too_long_ago"]) == (2, 1)
    assert fresh.sync().code == 0
    assert (before in fresh.ledger(), fresh.asked) == (False, [new])


def _all_deleted(world: World, matters: list[int]) -> None:
    for matter in matters:
        world.firm.delete_matter(matter)


def _all_reopened(world: World, matters: list[int]) -> None:
    for matter in matters:
        world.firm.reopen(matter)


def _no_page_holds_any(world: World, matters: list[int]) -> None:
    """As for a user who may see no matters: Clio leaves them out without a word."""
    empty = {"data": [], "meta": {"paging": {}, "records": 0}}
    world.clio.faults.add(
        faults.answer(200, json.dumps(empty).encode()), when=faults.on("/matters.json"), times=None
    )


def _others_instead(world: World, matters: list[int]) -> None:
    """As in another account: what is shown seems to have slipped through, and must not be sent."""
    _all_deleted(world, matters)
    others = world.closings(2)
    world.later(hours=3)
    assert world.sync().code == 0
    world.lose(*others)


@pytest.mark.parametrize(
    "blind", [_all_deleted, _all_reopened, _no_page_holds_any, _others_instead]
)
def test_clio_shows_none_of_what_the_ledger_knows(
    world: World, blind: Callable[[World, list[int]], None]
) -> None:
    """65: whether anything slipped through cannot be told then, and nothing else is advised."""
    matters = [*world.closings(2), world.closing(opt_out=True).matter]
    assert world.sync().code == 0
    blind(world, matters)
    ran = world.run("verify", "--against-clio", "7")
    assert ran.code == 65
    assert "of the 3 that are recorded here, Clio shows none" in ran.out
    assert "none slipped through" not in ran.out
    assert "backfill --from" not in ran.out
    assert ran.out.count("slipped through: Matter") == 2 * (blind is _others_instead)
    said = world.run("verify", "--against-clio", "7", "--json").json
    assert (said["outcome"], _findings(said)["Clio"]) == ("attention", "failed")
    assert (said["against_clio"]["known"], said["against_clio"]["shown"]) == (3, 0)


def test_clio_shows_some_of_what_the_ledger_knows(world: World) -> None:
    """A matter that was reopened or deleted since then is told, and is no alarm."""
    matters = world.closings(3)
    assert world.sync().code == 0
    _all_deleted(world, matters[:1])
    _all_reopened(world, matters[1:2])
    ran = world.run("verify", "--against-clio", "7")
    assert (ran.code, ran.err) == (0, "")
    assert "Read 1 matter closed or edited since" in ran.out
    assert "none slipped through" in ran.out
    assert "2 matters are recorded here only" in ran.out


def test_nothing_to_hold_against_clio_before_the_first_sync(fresh: World) -> None:
    """A backfill pins, but sets no watermark: there is nothing that should have been noticed."""
    fresh.closing()
    assert fresh.backfill(fresh.day(), fresh.day(), "--yes").code == 0
    fresh.forget()
    ran = fresh.run("verify", "--json", "--against-clio", "7")
    assert (ran.code, _findings(ran.json)) == (0, {"state": "ok", "Clio": "warning"})
    assert fresh.paths == []


@pytest.mark.parametrize("why", ["denied", "down", "rule", "field", "other account"])
def test_clio_does_not_answer_as_it_must(world: World, why: str) -> None:
    """77, 69, 78 as in a run; the state was looked through all the same."""
    settings: dict[str, str | None] = {}
    code = {"denied": 77, "down": 69}.get(why, 78)
    if why == "denied":
        world.clio.forbid("matters")
    elif why == "down":
        world.clio.faults.add(faults.answer(429, headers={"Retry-After": "7200"}), times=None)
    elif why == "rule":
        settings["SYNC_RULE"] = "opt-out"
    elif why == "field":
        world.firm.fields.rename("BroadlyOptOut", "Broadly Opt Out")
    else:
        world.firm.account.id += 1
        settings["CLIO_ACCESS_TOKEN"] = world.clio.rotate()
        world.secret(settings["CLIO_ACCESS_TOKEN"] or "")
    ran = world.run("verify", "--json", "--against-clio", "7", **settings)
    assert (ran.code, _findings(ran.json)) == (code, {"state": "ok", "Clio": "failed"})


def test_other_host_gets_no_token(world: World) -> None:
    """A state and settings that do not belong together: 78, and nobody is asked anything."""
    with Sandbox(world.firm, access_token="other") as other:
        ran = world.run("verify", "--against-clio", "7", CLIO_BASE_URL=other.clio.url)
        assert (ran.code, other.clio.history) == (78, [])
    assert "CLIO_BASE_URL" in ran.out
