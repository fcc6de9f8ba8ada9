"""A state that moves into a fleet, and what each command says then of the file that it left."""

import shutil
from pathlib import Path
from typing import Final

import pytest
import signing
from databases import Database
from fleets import Fleet
from world import Ran, World

from clio_broadly_sync.store import moved, tokens

DAYS: Final = ("--from", "2099-11-01", "--to", "2099-11-20")
COMMANDS: Final[dict[str, list[str]]] = {
    "sync": ["sync"],
    "sync for a program": ["sync", "--json"],
    "one matter": ["sync", "--matter", "1", "--yes"],
    "dry run": ["sync", "--dry-run"],
    "backfill": ["backfill", *DAYS, "--yes"],
    "dry run of a backfill": ["backfill", *DAYS, "--dry-run"],
    "status": ["status"],
    "status for a program": ["status", "--json"],
    "explain": ["explain", "1"],
    "outbox": ["outbox", "list"],
    "resend": ["outbox", "resend", "--all", "--yes"],
    "drop": ["outbox", "drop", "--all", "--yes"],
    "verify": ["verify"],
    "weekly verify": ["verify", "--against-clio", "7"],
    "report": ["report"],
    "person": ["report", "--person", "1"],
    "login": ["login", "--paste"],
    "logout": ["logout"],
    "check": ["check"],
    "accept": ["check", "--accept"],
}
GONE: Final = (
    "clio-broadly-sync: This state has moved to the firm smith of a fleet, and nobody is sent from "
    "here: {}`--firm smith`"
)
ENDS: Final = {
    "done": "set FLEET_DATABASE, and name it with ",
    "cut short": "name it with ",
}
"""How the sentence goes on, by how far the move has come."""


@pytest.mark.parametrize("how", ENDS)
def test_every_command_says_where_it_went(world: World, how: str) -> None:
    """78 and one sentence; nothing is sent, Clio is not asked, and no byte of the state changes."""
    signing.keep_sign_in(world)
    with tokens.opened(world.state) as connection:
        moved.begin(connection, "smith", "1-2")
        if how == "done":
            moved.end(connection, "smith")
    world.forget()
    before = world.state.read_bytes()
    for name, arguments in COMMANDS.items():
        ran = world.run(*arguments)
        assert (name, ran.code) == (name, 78)
        assert " ".join(ran.err.split()).startswith(GONE.format(ENDS[how])), name
        assert world.state.read_bytes() == before, name
    assert (world.posts, world.paths) == ([], [])


# `firms add --state`.


@pytest.fixture
def fleet(world: World, database: Database) -> Fleet:
    """A fleet without firms, beside a state in a file, from which one client was sent."""
    world.closings(1)
    assert world.sync().code == 0
    assert len(world.asked) == 1
    return Fleet(world, database)


def add(fleet: Fleet, name: str = "acme") -> Ran:
    """Add a firm whose state is the file."""
    state = ("--state", str(fleet.world.state))
    return fleet.run("firms", "add", name, "--config", str(fleet.file(name)), *state)


def by_file(fleet: Fleet, *arguments: str) -> Ran:
    """Run a command as before, on the file."""
    of_fleet = dict.fromkeys(("FLEET_DATABASE", "FLEET_KEYS"))
    state = {"SYNC_STATE": str(fleet.world.state)}
    return fleet.run(*arguments, **fleet.of_firm, **state, **of_fleet)


def test_firm_goes_on_from_its_file(fleet: Fleet) -> None:
    """Nobody is asked again, by the fleet or from the file; and it is added once."""
    (sent,) = fleet.world.asked
    matter = fleet.world.firm.matters.get(sent)
    assert matter is not None
    ran = add(fleet)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "Added: acme. Next: `clio-broadly-sync check --firm acme`.\n"
    fleet.world.later(minutes=15)
    again, new = fleet.world.matter(matter.client_id), fleet.world.closing().matter
    old = by_file(fleet, "sync")
    assert (old.code, "has moved to the firm acme of a fleet" in old.err) == (78, True)
    ran = fleet.run("sync", "--firm", "acme", "--json", "-v")
    assert (ran.code, ran.decisions[again]) == (0, ("skip", "asked_recently"))
    assert fleet.world.asked == [sent, new]
    assert fleet.run("verify", "--firm", "acme").code == 0
    ran = add(fleet)
    assert (ran.code, "There is a firm “acme” already" in ran.err) == (2, True)


def test_other_name_for_what_has_moved(fleet: Fleet) -> None:
    """78, and no firm is added."""
    assert add(fleet).code == 0
    ran = add(fleet, "beta")
    assert (ran.code, "has moved to the firm acme of a fleet" in ran.err) == (78, True)
    assert fleet.row("firm", "beta") is None


def test_damaged_file(fleet: Fleet) -> None:
    """74, no firm is added, and the file is as it was."""
    state = Path(fleet.world.state)
    state.write_bytes(state.read_bytes()[:-5000])
    before = state.read_bytes()
    assert add(fleet).code == 74
    assert (fleet.row("firm"), state.read_bytes()) == (None, before)


def test_folder_of_firms_with_their_files(fleet: Fleet) -> None:
    """One that is damaged hinders no other, and its firm is not added without it."""
    for name in ("acme", "beta", "gamma"):
        fleet.file(name)
    shutil.copy(fleet.world.state, fleet.files / "acme.db")
    damaged = fleet.files / "beta.db"
    damaged.write_bytes(b"Dear Sir or Madam,\n" * 500)
    damaged.chmod(0o600)
    ran = fleet.run("firms", "add", "--folder", str(fleet.files))
    said = ["Added: acme.", "Added: gamma.", "Added 2 of 3 firms."]
    assert (ran.code, ran.out.splitlines()) == (74, said)
    assert ran.err.startswith("clio-broadly-sync: beta: ")
    assert fleet.row("firm", "beta") is None
    assert fleet.closings() == dict.fromkeys(fleet.world.asked, ("sent", None))
