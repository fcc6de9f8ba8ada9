"""The daily look as cron meets it: over real HTTP, with what is printed and how it ends."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from rig import faults
from world import World

from clio_broadly_sync.sandbox.firm import OPT_OUT, THANK_YOU

CRON = Path(__file__).parents[2] / "cron"


def a_day(world: World) -> None:
    world.later(hours=21)
    world.forget()


def untold(world: World, kind: str, row: int, box: bool, field: str) -> None:
    """Put a box into this state, and let neither `updated_at` nor `etag` show it."""
    world.firm.set_box(kind, row, box, field, touch=False)  # type: ignore[arg-type]


def _tick(world: World) -> int:
    matter = world.closing(thank_you=False).matter
    assert world.sync().code == 0
    untold(world, "matter", matter, True, THANK_YOU)
    return matter


def _untick(world: World) -> int:
    matter, contact = world.closing(opt_out=True)
    assert world.sync().code == 0
    untold(world, "contact", contact, False, OPT_OUT)
    return matter


def _untick_another_card(world: World) -> int:
    no = world.closing(opt_out=True, email="pat@example.com")
    matter = world.closing(email="pat@example.com").matter
    assert world.sync().code == 0
    world.firm.delete_matter(no.matter)
    untold(world, "contact", no.contact, False, OPT_OUT)
    return matter


@pytest.mark.parametrize("put_right", [_tick, _untick, _untick_another_card])
def test_what_was_put_right_is_sent_after_a_day(
    world: World, put_right: Callable[[World], int]
) -> None:
    """Clio says nothing of it, and nobody runs a backfill."""
    matter = put_right(world)
    world.later(hours=2)
    assert world.sync().code == 0
    assert matter not in world.asked
    a_day(world)
    ran = world.sync()
    assert (ran.code, ran.out) == (0, "")
    assert matter in world.asked


def test_client_who_opts_out_after_being_sent(world: World) -> None:
    """65 once, in words; then `status` and `explain` tell it, and nobody is asked again."""
    matter, contact = world.closing()
    assert world.sync().code == 0
    untold(world, "contact", contact, True, OPT_OUT)
    a_day(world)
    ran = world.sync()
    assert ran.code == 65
    assert ran.out.startswith("1 client has opted out after being sent to Broadly: tell Broadly")
    status = world.run("status")
    assert status.code == 0
    assert f"matter {matter}, client {contact}" in status.out
    (listed,) = world.run("status", "--json").json["objections"]
    assert (listed["matter_id"], listed["contact_id"]) == (matter, contact)
    assert "tell Broadly" in world.run("explain", str(matter), "--offline").out
    told = world.run("explain", str(matter), "--offline", "--json").json
    assert any("opted out since" in text for text in told["closings"][0]["more"])
    a_day(world)
    again = world.sync("--json")
    assert (again.code, again.json["objections"]) == (0, 0)
    assert world.posts == []


def test_look_that_fails_is_made_up_for(world: World) -> None:
    """69, and the next run looks; status and check say so where it is not done for days."""
    matter = _tick(world)
    a_day(world)
    away = faults.answer(502)
    world.clio.faults.add(away, when=lambda r: "ids%5B%5D" in r.target, times=None)
    assert world.sync(NO_WAITS="yes").code == 69
    world.later(days=3, hours=1)
    assert world.sync(NO_WAITS="yes").code == 69
    assert "No daily look for" in world.run("status").out
    found = {f["about"]: f["level"] for f in world.check("--json").json["findings"]}
    assert found["daily look"] == "warning"
    world.clio.faults.clear()
    assert world.sync("--yes").code == 0
    assert matter in world.asked
    assert "daily look" not in world.run("status").out


def test_dry_run_does_not_look(world: World) -> None:
    _tick(world)
    a_day(world)
    assert world.sync("--dry-run").code == 0
    assert world.paths == ["matters"]


def test_first_sync_says_how_many_it_leaves(fresh: World) -> None:
    fresh.closings(3)
    fresh.later(minutes=1)
    ran = fresh.sync()
    assert "what closed before (3 matters in Clio) is left to `backfill`." in ran.out


@pytest.mark.parametrize("records", ["", b'"many"', b"true", b"-1", b"null", b"1.5"])
def test_first_sync_where_clio_does_not_tell(fresh: World, records: bytes | str) -> None:
    told = b', "records": ' + records if isinstance(records, bytes) else b""
    body = b'{"data": [], "meta": {"paging": {}' + told + b"}}"
    answer = faults.answer(200, body, headers={"Content-Type": "application/json"})
    fresh.clio.faults.add(answer, when=faults.on("/matters.json"))
    ran = fresh.sync()
    assert (ran.code, "what closed before is left to" in ran.out) == (0, True)


def verified(world: World, *days: str) -> tuple[int, list[int]]:
    ran = world.run("verify", "--json", "--against-clio", *days)
    return ran.code, [one["matter_id"] for one in ran.json["would_go"]]


@pytest.mark.parametrize("put_right", [_tick, _untick, _untick_another_card])
def test_verify_lists_what_would_go_now(world: World, put_right: Callable[[World], int]) -> None:
    """It sends nobody, and the next daily look does; then it lists nothing."""
    matter = put_right(world)
    world.later(hours=1)
    before = world.files()
    assert verified(world, "7") == (0, [matter])
    told = world.run("verify", "--against-clio", "7")
    assert f"Matter {matter}" in told.out
    assert "`sync` sends them within a day" in told.out
    assert (world.files(), matter in world.asked) == (before, False)
    a_day(world)
    assert world.sync().code == 0
    assert verified(world, "7") == (0, [])


def test_verify_where_no_look_is_done(world: World) -> None:
    """65: cron has stopped, or each look fails."""
    matter = _tick(world)
    world.later(days=4)
    assert verified(world, "7") == (65, [matter])
    assert "no daily look" in world.run("verify", "--against-clio", "7").out


def test_verify_leaves_out_what_is_not_so(world: World) -> None:
    """A box that is unchecked still, a reopened matter, one of another rule, one too old by now."""
    world.closing(thank_you=False)
    world.closing(opt_out=True)
    reopened = world.closing(thank_you=False).matter
    assert world.sync().code == 0
    world.firm.reopen(reopened)
    assert verified(world, "7") == (0, [])
    matter = _tick(world)
    world.later(days=40)
    assert world.sync("--yes").code == 0
    assert verified(world, "60") == (0, [])
    assert matter not in world.asked


def test_verify_finds_what_was_edited(world: World) -> None:
    """Its date was typed back, or there is none: no walk over the last close dates shows it."""
    world.later(days=20)
    assert world.sync("--yes").code == 0
    back, none = world.closing(on=world.day(12)).matter, world.closing(on=None).matter
    world.later(hours=2)
    assert world.sync().code in (0, 65)
    world.lose(back, none)
    ran = world.run("verify", "--json", "--against-clio", "3")
    assert (ran.code, [slip["matter_id"] for slip in ran.json["slipped"]]) == (65, [back, none])
    told = world.run("verify", "--against-clio", "3").out
    assert f"Matter {none}, closed without a close date: type the date" in told
    assert f"--from {world.day(12)} --to {world.day(12)}" in told


# The weekly line of cron.


@pytest.mark.parametrize(("code", "mailed"), [(0, ""), (65, "what it found\n")])
def test_weekly_line_mails_only_what_is_wrong(tmp_path: Path, code: int, mailed: str) -> None:
    """Cron reads a `%` as the end of a line, and runs the rest by `sh`."""
    lines = (CRON / "crontab.example").read_text().splitlines()
    (weekly,) = [line for line in lines if "verify" in line and not line.startswith("#")]
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho what it found >&2\nexit {code}\n")
    program.chmod(0o700)
    command = re.sub(r"/opt/\S+", str(program), weekly.split(maxsplit=5)[5])
    ran = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)
    assert ("%" in weekly, ran.stdout, ran.stderr) == (False, mailed, "")
