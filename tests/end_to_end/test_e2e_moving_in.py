"""A firm that comes into a fleet with its ledger: nobody is asked again, and the file is done."""

import shutil

import pytest
from databases import Database
from fleets import Fleet
from world import Closing, World


@pytest.fixture
def closed(world: World) -> Closing:
    """Somebody whom the firm has asked by the state in its file."""
    closed = world.closing()
    assert world.sync().code == 0
    assert world.asked == [closed.matter]
    world.later(minutes=15)
    return closed


@pytest.fixture
def fleet(world: World, closed: Closing, database: Database) -> Fleet:
    return Fleet(world, database)


def test_firm_with_its_ledger(fleet: Fleet, closed: Closing) -> None:
    """It goes on where the file ended; the file sends nobody any more."""
    world = fleet.world
    file = str(fleet.file("acme", SYNC_STATE=str(world.state)))
    ran = fleet.run("firms", "add", "acme", "--config", file, "--state", str(world.state))
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "Added: acme. Next: `clio-broadly-sync check --firm acme`.\n"
    again, new = world.matter(closed.contact), world.closing().matter
    ran = fleet.run("sync", "--firm", "acme", "--json", "-v")
    assert ran.decisions == {again: ("skip", "asked_recently"), new: ("send", None)}
    assert world.asked == [closed.matter, new]
    assert fleet.run("verify", "--firm", "acme").code == 0
    alone = {**fleet.of_firm, "FLEET_DATABASE": None, "FLEET_KEYS": None}
    ran = fleet.run("sync", SYNC_STATE=str(world.state), **alone)
    assert (ran.code, "--firm acme" in ran.err) == (78, True)
    ran = fleet.run("firms", "add", "twin", "--config", file, "--state", str(world.state))
    assert (ran.code, fleet.row("name", "twin")) == (78, None)
    assert world.asked == [closed.matter, new]


def test_folder_of_firms_with_their_ledgers(fleet: Fleet, closed: Closing) -> None:
    """One that is damaged hinders no other, and its firm is not added without it."""
    fleet.file("acme")
    shutil.copy(fleet.world.state, fleet.files / "acme.db")
    fleet.file("beta")
    (fleet.files / "beta.db").write_bytes(b"Dear Sir or Madam,\n" * 500)
    fleet.file("gamma")
    for file in fleet.files.glob("*.db"):
        file.chmod(0o600)
    ran = fleet.run("firms", "add", "--folder", str(fleet.files))
    assert (ran.code, ran.out.splitlines()) == (
        74, ["Added: acme.", "Added: gamma.", "Added 2 of 3 firms."],
    )  # fmt: skip
    assert ran.err.startswith("clio-broadly-sync: beta: ")
    assert fleet.row("name", "beta") is None
    assert fleet.closings() == {closed.matter: ("sent", None)}


def test_ledger_that_is_not_there(fleet: Fleet) -> None:
    """No firm is added that would begin anew."""
    words = ["firms", "add", "acme", "--config", str(fleet.file("acme")), "--state"]
    assert fleet.run(*words, str(fleet.files / "nowhere.db")).code == 2
    assert fleet.row("name") is None
