"""Golden transcripts of the firms of a fleet, and of what is said to one of them."""

import re
from contextlib import closing
from datetime import timedelta

from databases import Database
from fleets import Fleet
from golden_files import Golden
from transcripts import Transcript, shape, spread
from world import World

from clio_broadly_sync.store.firms import Firms
from clio_broadly_sync.store.postgresql import Session, connect

OF_THE_SERVER = re.compile(r"\b\d{1,2} [A-Z][a-z]{2} (?!2099)\d{4}, \d\d:\d\d UTC(?:(  ) *)?")
"""A moment by the clock of the database, which does not stand still."""


def _settled(done: Transcript) -> str:
    return OF_THE_SERVER.sub(lambda found: f"MOMENT{found[1] or ''}", done.text)


def _session(fleet: Fleet) -> Session:
    address, name = fleet.database.address, "clio-broadly-sync fleet"
    return connect(address, name, idle=timedelta(hours=1))


def _ended(fleet: Fleet, firm: int, code: int, *said: str) -> None:
    """Note how a run of a firm ended, as a worker does."""
    with closing(_session(fleet)) as session:
        Firms(session).end(firm, code, said)


def test_firms(office: World, database: Database, golden: Golden) -> None:
    """Added, shown, listed, changed, paused and removed; and what is refused."""
    fleet, done = Fleet(office, database), Transcript(office)
    acme = str(fleet.file("acme", SYNC_STATE="state/state.db"))
    done.run("firms", "list")
    done.run("firms", "add", "acme", "--config", acme)
    done.run("firms", "add", "acme", "--config", acme)
    done.run("firms", "add", "Acme Law", "--config", acme)
    fleet.file("beta", CLIO_ACCESS_TOKEN=None)
    fleet.file("gamma", SYNC_RULE="neither", BROADLY_URL=None, FLEET_SLOTS="4")
    done.run("firms", "add", "--folder", str(fleet.files), "--every", "60")
    done.run("firms", "show", "acme", CLIO_CLIENT_ID="of-all", SYNC_MAX_NEW="20")
    done.note("Runs of workers ended.")
    _ended(fleet, 1, 0)
    _ended(fleet, 1, 77, "Clio no longer accepts the sign-in: run `clio-broadly-sync login`.")
    _ended(fleet, 2, 65, "1 held: Broadly's answer was lost.")
    done.run("firms", "show", "acme")
    done.run("firms", "set", "acme", "SYNC_MAX_NEW=20", "--every", "120")
    done.run("firms", "set", "acme", "SYNC_MAX_NEW=")
    done.run("firms", "set", "acme", "SYNC_MAX_NEW=many", "SYNC_RULE=")
    done.run("firms", "set", "acme", "BROADLY_API_KEY=a-key")
    done.run("firms", "set", "acme")
    done.run("firms", "pause", "beta")
    done.run("firms", "list")
    done.on_terminal("firms", "list")
    done.run("sync", "--firm", "beta")
    done.run("firms", "resume", "--all")
    done.on_terminal("firms", "resume", "--all", answers={"[y/N]": "y"})
    done.on_terminal("firms", "remove", "acme", answers={"[y/N]": "n"})
    done.on_terminal("firms", "remove", "acme", "--erase", answers={"[y/N]": "y"})
    done.run("firms", "remove", "beta", "--yes")
    done.run("firms", "show", "beta")
    done.run("firms", "show", "acme")
    done.run("firms", "add", "beta", "--config", str(fleet.file("beta")))
    golden("firms", _settled(done))


def test_one_firm(office: World, database: Database, golden: Golden) -> None:
    """What its commands say is about a database and workers, and names the firm."""
    fleet, done = Fleet(office, database), Transcript(office)
    fleet.add("acme")
    done.run("status")
    done.run("status", "--firm", "nobody")
    for words in (["check"], ["status"], ["sync"], ["check"]):
        done.run(*words, "--firm", "acme")
    office.later(hours=7)
    done.note("Seven hours later; then it is paused.")
    for words in (["check"], ["status"]):
        done.run(*words, "--firm", "acme")
    assert fleet.run("firms", "pause", "acme").code == 0
    for words in (["check"], ["status"]):
        done.run(*words, "--firm", "acme")
    golden("one_firm", _settled(done))


def test_keys_and_types(office: World, database: Database, golden: Golden) -> None:
    """Of a firm whose runs have failed, and of one that was never run."""
    fleet = Fleet(office, database)
    for name in ("acme", "beta"):
        fleet.add(name)
    assert fleet.run("sync", "--firm", "acme").code == 0
    _ended(fleet, 1, 0)
    _ended(fleet, 1, 77, "Clio no longer accepts the sign-in.")
    with closing(_session(fleet)) as session:
        Firms(session).begin(1, "host 7")
    listed = fleet.run("firms", "list", "--json").json
    of_all = {"CLIO_CLIENT_ID": "of-all"}
    shown = [fleet.run("firms", "show", n, "--json", **of_all).json for n in ("acme", "beta")]
    shapes = {"firms list": shape(listed), "firms show": shape(*shown)}
    text = "\n\n".join(f"# {command}\n{spread(keys)}" for command, keys in shapes.items())
    golden("json_of_firms", re.sub(r': "([a-z ]+)"', r": \1", text))
