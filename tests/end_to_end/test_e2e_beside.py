"""A look beside a run at work: what is under way is not taken for what was cut short."""

from collections.abc import Callable

import pytest
from surroundings import BUSY_SECONDS
from world import Ran, World

COMMANDS = ("sync", "backfill")
ON_THEIR_WAY = "Another run is at work: 2 clients are on the way to Broadly"


def _beside(
    world: World, *looks: list[str], command: str = "sync", server: str = "broadly"
) -> list[Ran]:
    """Look while a run is in its first request to this server; let it then come to its end."""
    seen: list[Ran] = []
    peer = world.broadly if server == "broadly" else world.clio

    def look(*_: object) -> None:
        peer.before = None
        before = world.files()
        seen.extend(world.run(*asked) for asked in looks)
        assert world.files() == before

    peer.before = look
    live = world.run(*_run(world, command), "--json", BROADLY_BATCH_SIZE="2")
    assert live.code == 0, live.err
    return seen


def _run(world: World, command: str, *options: str) -> list[str]:
    if command == "sync":
        return ["sync", *options]
    return ["backfill", "--from", str(world.day(9)), "--to", str(world.day()), "--yes", *options]


@pytest.mark.parametrize("dedupes", [False, True])
@pytest.mark.parametrize("dry", COMMANDS)
@pytest.mark.parametrize("live", COMMANDS)
def test_dry_run_leaves_alone_what_is_on_its_way(
    world: World, live: str, dry: str, dedupes: bool
) -> None:
    """It says how many those are; nothing would become held, and nobody is foretold twice."""
    world.dedupes(dedupes)
    matters = world.closings(3)
    looks = _run(world, dry, "--dry-run"), _run(world, dry, "--dry-run", "--json")
    told, counted = _beside(world, *looks, command=live)
    assert (told.code, counted.code) == (0, 0)
    assert told.out.splitlines()[-2].startswith(ON_THEIR_WAY)
    assert "held" not in told.out
    assert ON_THEIR_WAY in counted.err
    assert set(counted.decisions) <= set(matters[2:])
    assert world.asked == matters


def test_dry_run_beside_a_run_that_has_sent_nothing_yet(world: World) -> None:
    """It reads in Clio still: what waits would be sent, and that another run is at work is said."""
    world.closing()
    (told,) = _beside(world, ["sync", "--dry-run"], server="clio")
    assert told.code == 0
    assert "Another run is at work: 0 clients are on the way" in told.out
    assert "1 client would be sent" in told.out


def test_same_client_waits_for_what_is_on_its_way(world: World) -> None:
    """As in the real run: another closing of theirs is not sent beside it."""
    first = world.closing()
    second = world.matter(first.contact)
    (told,) = _beside(world, ["sync", "--dry-run", "--json"])
    assert (told.code, told.decisions, told.json["to_send"]) == (0, {second: ("wait", None)}, 0)
    assert world.ledger()[second].reason == "asked_recently"


def test_what_is_on_its_way_counts_for_a_surge(world: World) -> None:
    """So a dry run promises no more than the next run will do."""
    world.closings(2)
    late: list[int] = []

    def close_more() -> None:
        late.extend(world.closings(2))

    seen: list[Ran] = []

    def look(*_: object) -> None:
        world.broadly.working = None
        close_more()
        seen.append(world.sync("--dry-run", SYNC_MAX_NEW="3"))

    world.broadly.working = look
    assert world.sync(SYNC_MAX_NEW="3").code == 0
    assert seen[0].code == 65
    assert "2 closed matters would go at once" in seen[0].out
    assert world.sync(SYNC_MAX_NEW="3").code == 65


LOOKS: dict[str, tuple[Callable[[World], list[str]], str, str]] = {
    "status": (
        lambda world: ["status"],
        "2  on the way to Broadly\n",
        "2  were on the way when a run was cut short; the next one finds out",
    ),
    "outbox": (
        lambda world: ["outbox", "list"],
        "2 more are being sent at this moment.",
        "2 more were being sent when a run was cut short",
    ),
    "verify": (
        lambda world: ["verify"],
        "2 clients are being sent at this moment.",
        "2 clients were being sent when a run was cut short",
    ),
    "explain": (
        lambda world: ["explain", str(world.rows()[0].matter)],
        "a run is at work on it.",
        "when a run was cut short; the next run finds out.",
    ),
    "check": (
        lambda world: ["check"],
        "is at work.",
        "did not come to its end",
    ),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("look", LOOKS)
def test_look_knows_under_way_from_cut_short(world: World, look: str, command: str) -> None:
    """While the run is at work, and once it was killed."""
    world.closings(3)
    asked, under_way, cut_short = LOOKS[look]
    seen: list[Ran] = []

    def see(*_: object) -> None:
        world.broadly.before = None
        seen.append(world.run(*asked(world)))
        child.kill()
        child.wait(BUSY_SECONDS)

    world.broadly.before = see
    child = world.start(_run(world, command), {"BROADLY_BATCH_SIZE": "2"})
    world.finish(child)
    assert under_way in seen[0].out, seen[0].out
    assert cut_short not in seen[0].out
    after = world.run(*asked(world))
    assert cut_short in after.out, after.out
    assert under_way not in after.out
