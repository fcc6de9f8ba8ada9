"""`status`: how far it has come, what waits, what needs a person; 65 as long as something does."""

import sqlite3
from contextlib import closing
from typing import Any

import pytest
import signing
from terminal import left, on_terminal
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


def test_asks_nobody_and_changes_nothing(world: World) -> None:
    world.closing()
    world.sync()
    before = world.files()
    world.forget()
    lines(world)
    assert (world.files(), world.paths, world.posts) == (before, [], [])


def test_surge_waits_for_a_person(world: World) -> None:
    """Until it is approved, then no more."""
    world.closings(3)
    world.sync(SYNC_MAX_NEW="1")
    assert groups(status(world, 65)["waiting"]) == {("sync", "surge"): 3}
    world.sync("--yes", SYNC_MAX_NEW="1")
    assert status(world)["for_a_person"] == 0


def test_a_sign_in_that_is_missing_is_told_before_a_run_fails_for_it(fresh: World) -> None:
    """Before the first run, and after a `logout`; once a run has said it, it is not said twice."""
    says, given = "Not signed in to Clio: run `clio-broadly-sync login`", fresh.settings
    token = given.pop("CLIO_ACCESS_TOKEN")
    assert status(fresh)["verdict"].startswith(says)
    assert status(fresh, CLIO_ACCESS_TOKEN=token)["verdict"].startswith("No run yet.")
    assert fresh.sync(CLIO_ACCESS_TOKEN=token).code == 0
    assert lines(fresh).startswith(says)
    assert fresh.sync().code == 77
    verdict = status(fresh)["verdict"]
    assert verdict.startswith("The last `sync` failed")
    assert verdict.count(says) == 1


def test_a_damaged_sign_in_is_told_and_hides_nothing(world: World) -> None:
    signing.keep_sign_in(world)
    with closing(sqlite3.connect(world.state)) as state, state:
        state.execute("DELETE FROM facts WHERE name = 'sign_in_expires_at'")
    found = status(world)
    assert found["verdict"].startswith("The sign-in in the state is damaged")
    assert found["runs"] != []


def test_last_failure_is_told_in_its_own_words(world: World) -> None:
    """Nobody is sent from `status` to `check` and back for what the run has said already."""
    world.firm.fields.rename("BroadlyOptOut", "gone")
    world.closing()
    said = world.sync().err.removeprefix("clio-broadly-sync: ").strip()
    assert "“BroadlyOptOut”" in said
    assert "failed (settings or field wrong, 78). Why:" in lines(world)
    assert _failure(lines(world)) == said
    assert status(world)["runs"][0]["failure"] == said
    world.firm.fields.rename("gone", "BroadlyOptOut")
    world.later(minutes=15)
    assert world.sync().code == 0
    assert status(world)["runs"][0]["failure"] is None


def test_time_is_that_of_the_firm(world: World) -> None:
    """Clio's zone, or the one of the settings."""
    assert " 12:00 P" in lines(world)
    assert " 12:00 P" not in world.run("status", CLIO_TIME_ZONE="UTC").out


@pytest.mark.parametrize(
    ("command", "says"), [("status", "\x1b[32mAll well"), ("check", "\x1b[33mNothing failed")]
)
def test_verdict_has_a_colour_on_a_terminal_alone(world: World, command: str, says: str) -> None:
    """Unless NO_COLOR is set; the practice Clio's clock is not this machine's, so check warns."""
    world.closing()
    assert world.sync().code == 0
    coloured = on_terminal(world, command, TERM="xterm", NO_COLOR=None).out
    assert left(coloured)[0].startswith(says)
    plain = on_terminal(world, command, TERM="xterm", NO_COLOR="1").out
    assert left(plain)[0].startswith(says[5:])
    assert "\x1b" not in plain + world.run(command, TERM="xterm", NO_COLOR=None).out
