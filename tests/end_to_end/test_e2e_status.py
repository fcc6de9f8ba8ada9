"""`status`: how far it has come, what waits, what needs a person; 65 as long as something does."""

import os
import signal
from datetime import UTC, datetime, timedelta
from typing import Any

from planting import opened
from world import World


def status(world: World, code: int = 0, **settings: str | None) -> dict[str, Any]:
    ran = world.run("status", "--json", **settings)
    assert (ran.code, ran.err) == (code, "")
    return ran.json


def _failure(printed: str) -> str | None:
    """Return the line with a run's own sentence, which is as long as it is."""
    _, found, after = printed.partition("Why:\n")
    return after.split("\n")[0] if found else None


def lines(world: World, code: int = 0) -> str:
    ran = world.run("status")
    assert (ran.code, ran.err) == (code, "")
    ours = [line for line in ran.out.splitlines() if line != _failure(ran.out)]
    assert max(map(len, ours)) <= 80
    return ran.out


def groups(found: list[dict[str, Any]]) -> dict[tuple[str, str | None], int]:
    return {(group["command"], group["reason"]): group["closings"] for group in found}


def test_before_the_first_run(fresh: World) -> None:
    """It makes no state."""
    lines(fresh)
    assert fresh.files() == {}


def test_backfill_before_the_first_sync(fresh: World) -> None:
    fresh.backfill(fresh.day(9), fresh.day(), "--yes")
    assert "none yet: no `sync` has run" in lines(fresh)


def test_asks_nobody_and_changes_nothing(world: World) -> None:
    world.closing()
    world.sync()
    before = world.files()
    world.forget()
    lines(world)
    assert (world.files(), world.paths, world.posts) == (before, [], [])


def test_what_waits_by_itself_is_no_reason_for_65(world: World) -> None:
    world.closings(2)
    world.sync(SYNC_SETTLE_HOURS="24")
    found = status(world)
    assert groups(found["waiting"]) == {("sync", "settling"): 2}
    assert found["for_a_person"] == 0


def test_surge_waits_for_a_person(world: World) -> None:
    """Until it is approved, then no more."""
    world.closings(3)
    world.sync(SYNC_MAX_NEW="1")
    assert groups(status(world, 65)["waiting"]) == {("sync", "surge"): 3}
    world.sync("--yes", SYNC_MAX_NEW="1")
    assert status(world)["for_a_person"] == 0


def test_backfill_that_did_not_end(world: World) -> None:
    """What it left waits for a person, who runs the same command again."""
    world.closing(on=world.day(60))
    world.busy()
    world.backfill(world.day(90), world.day(), "--yes", "--limit", "0")
    assert groups(status(world, 65)["waiting"]) == {("backfill", None): 1}


def test_run_that_is_at_work_and_one_that_was_killed(world: World) -> None:
    """Both have no end; the lock tells one from the other."""
    world.closing()
    seen: list[dict[str, Any]] = []
    child = world.start(["sync"], {})

    def working(*_: object) -> None:
        seen.append(status(world))
        os.kill(child.pid, signal.SIGKILL)

    world.broadly.working = working
    world.finish(child)
    world.broadly.working = None
    assert seen[0]["at_work"] is True
    assert groups(seen[0]["sending"]) == {("sync", None): 1}
    found = status(world)
    assert (found["at_work"], found["runs"][0]["exit_code"]) == (False, None)


def test_last_failure_is_told_in_its_own_words(world: World) -> None:
    """Nobody is sent from `status` to `check` and back for what the run has said already."""
    world.firm.fields.rename("BroadlyOptOut", "gone")
    world.closing()
    said = world.sync().err.removeprefix("clio-broadly-sync: ").strip()
    assert "“BroadlyOptOut”" in said
    assert "failed: config (78). Why:" in lines(world)
    assert _failure(lines(world)) == said
    assert status(world)["runs"][0]["failure"] == said
    world.firm.fields.rename("gone", "BroadlyOptOut")
    world.later(minutes=15)
    assert world.sync().code == 0
    assert status(world)["runs"][0]["failure"] is None


def test_hand_overs_by_day(world: World) -> None:
    """Fourteen days of the firm's zone, the latest first."""
    world.closings(2)
    world.sync()
    world.later(days=2)
    world.closing()
    world.sync()
    days = status(world)["handed_over"]
    assert len(days) == 14
    assert [entry["day"] for entry in days] == sorted((e["day"] for e in days), reverse=True)
    found = {entry["day"]: entry["closings"] for entry in days if entry["closings"]}
    assert found == {world.day(2).isoformat(): 2, world.day().isoformat(): 1}


def test_cron_that_does_not_run(world: World) -> None:
    """A last `sync` of more than two hours ago; a failing one runs all the same."""
    world.later(days=2)
    assert status(world)["cron_seems_to_run"] is False
    world.sync(CLIO_ACCESS_TOKEN="withdrawn")
    found = status(world)
    assert found["cron_seems_to_run"] is True
    age = timedelta(seconds=found["watermark_age_seconds"])
    assert timedelta(hours=47) < age < timedelta(hours=80)


def test_last_sync_that_failed(world: World) -> None:
    """It is said until one comes through."""
    failed = "The last `sync` failed"
    world.sync(CLIO_ACCESS_TOKEN="withdrawn")
    assert failed in lines(world)
    world.closings(2)
    assert world.sync(SYNC_MAX_NEW="0").code == 65
    assert failed not in world.run("status").out
    world.sync("--yes")
    assert failed not in lines(world)


def test_time_is_that_of_the_firm(world: World) -> None:
    """Clio's zone, or the one of the settings."""
    assert ", 12:00 P" in lines(world)
    assert ", 12:00 P" not in world.run("status", CLIO_TIME_ZONE="UTC").out


def test_large_ledger(world: World) -> None:
    """Counted, never listed: a hundred thousand closings are told like one."""
    now = int(datetime.now(UTC).timestamp())
    with opened(world.state) as database:
        database.execute(
            "INSERT INTO closings (firm, matter_id, closed_on, contact_id, state, command, rule,"
            " etag, noticed_at, read_at, read_in_run, changed_in_run, position, in_doubt, resent,"
            " approval, tries, claimed_at, claimed_in_run, changed_at)"
            " WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)"
            " SELECT 1, i, '2026-01-01', i, iif(i % 10, 'sent', 'dead'), 'sync', 'both',"
            " '', ?, ?, 1, 1, i, 0, 0, 0, 0, ? - i * 600, 1, ? FROM n",
            (now, now, now, now),
        )
    found = status(world, 65)
    assert groups(found["dead"]) == {("sync", None): 10_000}
    assert sum(entry["closings"] for entry in found["handed_over"]) < 14 * 144
