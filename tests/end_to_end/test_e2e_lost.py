"""Outcome unknown: how a run ends then, what it costs while it lasts, and that nothing is kept."""

import json

from rig import faults
from terminal import on_terminal
from world import World, customers


def test_held_ends_the_run_with_attention(world: World) -> None:
    """65 when it happens, 0 when nothing new happened; the held are never sent again."""
    matters = world.closings(4)
    world.broadly.faults.add(faults.lose_answer())
    assert world.sync("--json", BROADLY_BATCH_SIZE="2").code == 65
    world.later(minutes=61)
    assert world.sync("--json", BROADLY_BATCH_SIZE="2").delivery == {"sent": 2}
    for matter in matters:
        world.firm.edit(matter)
    world.dedupes()
    assert world.sync("--json", "--yes").delivery == {}
    span = world.day(3), world.day()
    assert world.backfill(*span, "--yes", "--json").delivery == {}
    assert world.posts == [matters[:2], matters[2:3], matters[3:]]


def test_outage_is_paid_for_once_an_hour_and_then_less_often(world: World) -> None:
    """One batch, and then one client after each pause; `status` and `check` say until when."""
    world.later(days=2)  # so that the program's own clock is the firm's
    matters = world.closings(8)
    batches = {"BROADLY_BATCH_SIZE": "3"}
    world.broadly.faults.add(faults.answer(503), times=None)
    codes = []
    for _ in range(16):
        codes.append(world.sync(**batches).code)
        world.later(minutes=15, seconds=1)
    assert codes == [65, 69, 69, 69, 65, *[69] * 7, 65, 69, 69, 69]
    assert world.posts == [matters[:3], [matters[3]], [matters[4]]]
    assert "Nobody is sent until " in world.run("status").out
    assert "warning  pause: Broadly's last answer was lost, so nobody" in world.check().out
    dry = world.sync("--dry-run", "--json")
    assert (dry.code, dry.json["requests"]["broadly"]) == (69, 0)
    world.broadly.faults.clear()
    assert world.sync("--yes", "--json").code == 69  # nobody looks on
    ran = on_terminal(world, "sync", "--yes", **batches)
    assert ran.code == 0
    assert world.posts[3:] == [[matters[5]], matters[6:]]
    assert "Nobody is sent until" not in world.run("status").out


def test_no_message_of_broadly_is_kept_or_printed(world: World) -> None:
    """Its texts may repeat the client's data; the fixture looks for them everywhere."""
    world.closing(email="secretive@example.com")
    world.broadly.rule(
        "rejected",
        error={"code": "Bad secretive@example.com", "message": "no mail for secretive@example.com"},
    )
    assert world.sync("-v").code == 65
    body = {"code": "x", "errors": [{"index": 0, "code": "secretive@example.com"}]}
    world.broadly.faults.add(faults.answer(422, json.dumps(body)))
    world.closing()
    assert world.sync("-v").code == 65
    assert len(customers(world.broadly.posts[-1].body)) == 1
