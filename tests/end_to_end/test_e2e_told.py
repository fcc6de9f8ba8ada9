"""What cron sends by mail: nothing that went well, and no trouble more than once a day."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from world import Ran, World

BACKFILL = ["backfill", "--from", "2025-03-01", "--to", "2025-03-31", "--yes"]


def _withdrawn(world: World, *options: str) -> Ran:
    return world.sync(*options, CLIO_ACCESS_TOKEN="withdrawn")


def _told(world: World) -> bytes | None:
    file = world.state.with_name("state.db.told")
    return file.read_bytes() if file.exists() else None


def test_once_a_day_and_again_after_a_success(punctual: World) -> None:
    """The code stays true in each run; one that is mended and breaks again is told at once."""
    world = punctual
    runs = [_withdrawn(world) for _ in range(3)]
    assert [(ran.code, ran.out, bool(ran.err)) for ran in runs] == [
        (77, "", True), (77, "", False), (77, "", False),
    ]  # fmt: skip
    world.later(hours=24)
    assert [bool(_withdrawn(world).err) for _ in range(2)] == [True, False]
    assert world.sync().code == 0
    assert _told(world) is None
    assert _withdrawn(world).err == runs[0].err


def test_settings_that_are_not_in_order(world: World) -> None:
    """Beside the state, where that can be told; another problem is another trouble."""
    runs = [world.sync(SYNC_RULE="perhaps") for _ in range(2)]
    assert [(ran.code, bool(ran.err)) for ran in runs] == [(78, True), (78, False)]
    assert "SYNC_REASK_DAYS" in world.sync(SYNC_RULE="perhaps", SYNC_REASK_DAYS="few").err
    assert world.sync().code == 0
    assert "SYNC_RULE" in world.sync(SYNC_RULE="perhaps").err


def test_settings_that_do_not_tell_where_the_state_is(world: World) -> None:
    """Then beside the settings file; without one there is no place, and each run says so."""
    file = world.folder / "office.env"
    file.write_text("what is this\n")
    runs = [world.sync("--config", str(file), SYNC_STATE="/") for _ in range(2)]
    assert [(ran.code, bool(ran.err)) for ran in runs] == [(78, True), (78, False)]
    assert world.state.with_name("state.db.told").exists()
    file.unlink()
    runs = [world.sync(SYNC_STATE="/") for _ in range(2)]
    assert [(ran.code, bool(ran.err)) for ran in runs] == [(78, True)] * 2


def test_state_that_cannot_be_opened(world: World) -> None:
    """What was told is not remembered in it."""
    world.state.write_text("Dear Sir or Madam,\n" * 500)
    runs = [world.sync() for _ in range(2)]
    assert [(ran.code, bool(ran.err)) for ran in runs] == [(74, True), (74, False)]


def test_mail_has_20_lines_at_most(world: World) -> None:
    """As JSON, too: an object in each, and the last says where the others are."""
    file = world.folder / "broken.env"
    file.write_text("what is this\n" * 40)
    ran = world.sync("--config", str(file), LOG_FORMAT="json")
    lines = [_message(line) for line in ran.err.splitlines()]
    assert (ran.code, len(lines)) == (78, 20)
    assert lines[-1].startswith("… and 21 more: ")


@pytest.mark.parametrize(
    "fail",
    [
        lambda world: world.sync("--json", LOG_FORMAT="json", CLIO_ACCESS_TOKEN="withdrawn"),
        lambda world: world.run("status", LOG_FORMAT="json", SYNC_RULE="perhaps"),
        lambda world: world.run(*BACKFILL, LOG_FORMAT="json", SYNC_RULE="perhaps", SYNC_STATE="/"),
        lambda world: world.sync("-v", LOG_FORMAT="JSON", SYNC_STATE="/", SYNC_MAX_NEW="few"),
    ],
)
def test_log_format_json_holds_for_errors(world: World, fail: Callable[[World], Ran]) -> None:
    """Every line on stderr is one object, whatever went wrong and wherever."""
    ran = fail(world)
    assert ran.code in (77, 78)
    assert all(_message(line) for line in ran.err.splitlines())
    assert any(json.loads(line)["level"] == "error" for line in ran.err.splitlines())


def _message(line: str) -> str:
    entry: dict[str, Any] = json.loads(line)
    assert entry.keys() == {"time", "level", "logger", "message"}
    return str(entry["message"])
