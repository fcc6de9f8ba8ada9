"""A first sync beside a state that is there already: no second ledger by mistake."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from planting import sql
from terminal import on_terminal
from world import Ran, World

SAYS = "Beside the settings file lies a state already"
QUESTION = "[y/N]:"


@pytest.fixture
def beside(world: World) -> World:
    """A settings file, the state of a first sync beside it, and a client who waits."""
    (world.folder / "config.env").write_text("LOG_FORMAT=text\n")
    world.closing()
    return world


def elsewhere(world: World) -> Path:
    return world.folder / "elsewhere" / "state.db"


def sync(world: World, *options: str, **settings: str | None) -> Ran:
    return world.sync(*options, SYNC_STATE=str(elsewhere(world)), **settings)


def stopped(world: World, ran: Ran) -> None:
    """Nobody was sent, and it is not begun: the next one is the first again."""
    assert (ran.code, ran.err.count(SAYS)) == (78, 1), ran
    assert world.posts == []
    with closing(sqlite3.connect(elsewhere(world))) as database:
        names = {name for (name,) in database.execute("SELECT name FROM facts")}
    assert names <= {"hash_key", "run"}


def change(statement: str) -> Callable[[World], object]:
    return lambda world: sql(world.state, statement)


def folder(world: World) -> None:
    world.state.unlink()
    world.state.mkdir()


ITS_OWN: dict[str, Callable[[World], object]] = {
    "of the same account": lambda world: None,
    "of the same host, without an account": change(
        "UPDATE facts SET value = '' WHERE name = 'clio_account'"
    ),
    "without pins": change("DELETE FROM facts WHERE name NOT IN ('hash_key', 'run')"),
    "of a newer version": change("UPDATE schema_version SET version = 999"),
    "of another program": change("DROP TABLE schema_version"),
    "damaged": lambda world: world.state.write_text("Dear Sir or Madam,\n" * 500),
    "empty": lambda world: world.state.write_bytes(b""),
    "not private": lambda world: world.state.chmod(0o644),
    "a folder": folder,
    "the sign-in is not told its account": lambda world: world.clio.forbid("users"),
}


@pytest.mark.parametrize("which", ITS_OWN)
def test_state_that_may_be_of_the_same_firm_stops_it(beside: World, which: str) -> None:
    """78, in each run; the sentence names that state, and what to do."""
    beside.private = False
    ITS_OWN[which](beside)
    for _ in range(2):
        ran = sync(beside, "-v")
        stopped(beside, ran)
        assert str(beside.state) in ran.err
        assert "SYNC_STATE" in ran.err


OTHERS: dict[str, Callable[[World], object]] = {
    "of another host": change(
        "UPDATE facts SET value = 'https://eu.app.clio.com' WHERE name = 'clio_host'"
    ),
    "of another account": change("UPDATE facts SET value = '9' WHERE name = 'clio_account'"),
    "no settings file": lambda world: (world.folder / "config.env").unlink(),
    "under another name": lambda world: world.state.rename(world.state.with_name("old.db")),
    "gone": lambda world: world.state.unlink(),
}


@pytest.mark.parametrize("which", OTHERS)
def test_state_of_another_firm_does_not(beside: World, which: str) -> None:
    """A second office, or practice, may have its settings beside those of the first."""
    OTHERS[which](beside)
    ran = sync(beside)
    assert (ran.code, "first" in ran.out.lower()) == (0, True)
    assert sync(beside).code == 0


@pytest.mark.parametrize("spelled", ["link", "dots", "hard link", "relative", "link itself"])
def test_the_very_state_by_another_path(beside: World, spelled: str) -> None:
    """It is the usual one, and no first run at all, or the first of that one."""
    for table in ("facts", "runs"):
        change(f"DELETE FROM {table}")(beside)  # noqa: S608
    place = beside.folder / "elsewhere"
    given = str(place / "state.db")
    if spelled == "link":
        place.symlink_to(beside.state.parent)
    elif spelled == "link itself":
        beside.private = False
        beside.state.parent.rename(place)
        beside.state.parent.mkdir(mode=0o700)
        beside.state.symlink_to(given)
    elif spelled == "hard link":
        place.mkdir(mode=0o700)
        os.link(beside.state, given)
    else:
        given = "state/state.db"
        given = f"{beside.folder}/./state/../{given}" if spelled == "dots" else given
    assert beside.sync(SYNC_STATE=given).code == 0


def test_settings_file_wherever_it_is_named(beside: World) -> None:
    """By the option, by the variable, or by a link to it: the state lies beside the file itself."""
    away = beside.folder / "away"
    away.mkdir()
    (away / "link.env").symlink_to(beside.folder / "config.env")
    (beside.folder / "config.env").rename(beside.folder / "office.env")
    (away / "link.env").unlink()
    (away / "link.env").symlink_to(beside.folder / "office.env")
    for named in ("office.env", str(away / "link.env")):
        stopped(beside, sync(beside, "-v", "--config", named))
        stopped(beside, sync(beside, "-v", CLIO_BROADLY_SYNC_CONFIG=named))


def test_state_that_the_settings_file_names(beside: World) -> None:
    """It is no matter where SYNC_STATE is written."""
    (beside.folder / "config.env").write_text("SYNC_STATE=elsewhere/state.db\n")
    stopped(beside, beside.sync("-v", SYNC_STATE=None))


def test_first_backfill_stops_as_well(beside: World) -> None:
    """It would ask everybody again who was asked from the other one."""
    day = beside.day()
    ran = beside.backfill(day, day, "--yes", SYNC_STATE=str(elsewhere(beside)))
    stopped(beside, ran)


def test_yes_and_json_do_not_answer_it(beside: World) -> None:
    """`--yes` approves clients, not ledgers."""
    stopped(beside, sync(beside, "--yes", "-v"))
    ran = sync(beside, "--json")
    stopped(beside, ran)
    assert ran.json["outcome"] == "config"


def test_dry_run_ends_as_the_run_would(beside: World) -> None:
    """And asks nothing, on a terminal either."""
    ran = sync(beside, "--dry-run")
    assert (ran.code, SAYS in ran.err) == (78, True)
    settings = {"SYNC_STATE": str(elsewhere(beside))}
    shown = on_terminal(beside, "sync", "--dry-run", **settings)
    assert (shown.code, QUESTION in shown.out) == (78, False)
    assert not elsewhere(beside).parent.exists()


@pytest.mark.parametrize("answer", ["", "n"])
def test_on_a_terminal_it_asks_and_no_is_a_no(beside: World, answer: str) -> None:
    settings = {"SYNC_STATE": str(elsewhere(beside))}
    asked = {QUESTION: answer}
    ran = on_terminal(beside, "sync", answers=asked, **settings)
    assert (ran.code, SAYS in ran.out) == (78, True)
    stopped(beside, sync(beside, "-v"))


def test_on_a_terminal_a_yes_begins_it(beside: World) -> None:
    """Once: from then on it is a state like any other."""
    beside.later(minutes=1)
    settings = {"SYNC_STATE": str(elsewhere(beside))}
    ran = on_terminal(beside, "sync", answers={QUESTION: "y"}, **settings)
    assert ran.code == 0
    assert sync(beside).code == 0
    assert beside.posts == []


def test_check_says_that_the_first_sync_will_stop(beside: World) -> None:
    """Before it does; not for the state that the settings name."""
    ran = beside.check("--json", SYNC_STATE=str(elsewhere(beside)))
    (found,) = (one for one in ran.json["findings"] if SAYS in one["says"])
    assert (found["about"], found["level"]) == ("state", "warning")
    assert SAYS not in beside.check().out
