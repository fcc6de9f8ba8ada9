"""A state that has moved into a fleet: each command says so of the file, and does nothing else."""

from typing import Final

import pytest
import signing
from world import World

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
