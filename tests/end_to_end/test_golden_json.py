"""The golden file of what `--json` prints: keys, in their order, and the types of their values."""

import json
import re

from golden_files import Golden
from rig import faults
from transcripts import shape, spread
from world import Ran, World

from clio_broadly_sync.store import locked

REST = (
    "status", "check", "verify --against-clio 9", "explain 5002", "outbox list",
    "report", "report --by attorney --by practice-area", "report --list", "report --person 1002",
    "outbox resend --state dead --yes", "outbox drop --all --yes",
)  # fmt: skip


def test_keys_and_types(office: World, golden: Golden) -> None:
    """Of every command, where it has something to say of everything."""
    assert office.sync().code == 0
    office.later(days=2)
    said = {"sync": _synced(office), "backfill": _backfilled(office)}
    office.lose(5001)
    for command in REST:
        office.broadly.faults.add(faults.answer(401))
        said[command] = office.run(*command.split(), "--json")
    shapes = {command: shape(ran.json) for command, ran in said.items()}
    with locked(office.state, "login"):
        held = office.run("status", "--json").json["running"]
    shapes["`running` of status, where somebody holds the state"] = shape(held)
    log = office.run("status", SYNC_RULE="perhaps", LOG_FORMAT="json").err
    shapes["a line of the log"] = shape(json.loads(log))
    text = "\n\n".join(f"# {command}\n{spread(keys)}" for command, keys in shapes.items())
    golden("json_keys_and_types", re.sub(r': "([a-z ]+)"', r": \1", text))


def _synced(world: World) -> Ran:
    """Run a sync with a closing for each way that one may go."""
    world.closing()
    world.broadly.rule("rejected", email=None, error={"code": "bad_phone"})
    world.closing(email=None)
    world.firm.hide_contact(world.closing().contact)
    world.closing(opt_out=True)
    world.matter(None)
    world.closing(None)
    return world.sync("--json", "-v")


def _backfilled(world: World) -> Ran:
    """Run a backfill whose answer is lost, with one more than it may hand over."""
    world.closing(world.day(9))
    world.closing(world.day(9))
    world.closing(world.day(9), opt_out=True)
    world.broadly.faults.add(faults.lose_answer())
    days = world.day(9), world.day(9)
    ran = world.backfill(*days, "--yes", "--json", "-v", "--limit", "1")
    world.later(hours=2)
    assert world.sync().code == 0
    return ran
