"""Golden transcripts of the commands that look at the state, and of those that put it right."""

import os
from pathlib import Path

from full_day import full_day
from golden_files import Golden
from planting import sql
from transcripts import Transcript
from world import World

from clio_broadly_sync.store import locked

LOOKING = (["status"], ["outbox", "list"], ["explain", "5001"], ["verify"])
CHANGING = (["outbox", "resend", "--all", "--yes"], ["outbox", "drop", "--all", "--yes"])


def test_nothing_there_yet(office: World, golden: Golden) -> None:
    """Before the first run, and with settings that cannot be used."""
    done = Transcript(office)
    for command in (*LOOKING, *CHANGING):
        done.run(*command)
        done.run(*command, "--json")
    done.note("Settings that cannot be used.")
    for command in (*LOOKING, *CHANGING, ["check"], ["login"], ["logout"]):
        done.run(*command, SYNC_RULE="neither")
    for command in (*LOOKING, *CHANGING, ["check"]):
        done.run(*command, "--json", SYNC_RULE="neither")
    golden("before_the_first_run", done.text)


def test_state_of_a_full_day(office: World, golden: Golden) -> None:
    """How it stands when everything has happened, and all of it in the outbox."""
    full_day(office, Transcript(office))
    office.later(minutes=15)
    done = Transcript(office)
    for command in (["status"], ["outbox", "list"], ["verify"], ["check"]):
        done.run(*command)
        done.run(*command, "--json")
    done.on_terminal("outbox", "list")
    golden("state_of_a_full_day", done.text)


def test_outbox(office: World, golden: Golden) -> None:
    """Sent again, or let go: asked first, foretold, counted; and what is not there."""
    closed = full_day(office, Transcript(office))
    rejected, lost = str(closed["rejected"]), str(closed["lost"])
    done = Transcript(office)
    done.run("outbox", "resend", rejected, str(closed["sent"]), "5443", "--yes")
    done.run("outbox", "resend", rejected, "--state", "held", "--yes")
    done.on_terminal("outbox", "resend", "--state", "held", answers={"again?": "n"})
    done.run("outbox", "resend", "--all", "--yes", "--json")
    done.run("outbox", "resend", "--all", "--yes")
    done.run("outbox", "list", rejected, lost)
    done.run("outbox", "drop", rejected, "--yes")
    done.note("Broadly dedupes by now, and says what cannot be read of those that it was sent.")
    office.dedupes()
    office.broadly.rule("perhaps")
    done.run("sync", "-v")
    done.run("outbox", "resend", "--state", "waiting", "--yes")
    done.on_terminal("outbox", "drop", "--all", answers={"for good?": "n"})
    done.run("outbox", "drop", "--all", "--yes", "--json")
    done.run("outbox", "list")
    done.run("outbox", "list", "--state", "held")
    with locked(office.state):
        done.run("outbox", "drop", "--all", "--yes", "--json")
    golden("outbox", done.text)


def test_run_that_was_killed(office: World, golden: Golden) -> None:
    """What it had on its way is told, and put right by whoever comes next."""
    assert office.sync().code == 0
    office.later(minutes=15)
    office.closings(2)
    child = office.start(["sync"], {})
    office.broadly.before = lambda *_: os.kill(child.pid, 9)
    office.finish(child)
    office.broadly.before = None
    done = Transcript(office)
    for command in (["status"], ["outbox", "list"], ["verify"], ["check"], ["explain", "5001"]):
        done.run(*command)
    done.run("status", "--json")
    done.run("outbox", "resend", "--all", "--yes")
    done.run("outbox", "resend", "--all", "--yes")
    done.run("verify")
    golden("run_that_was_killed", done.text)


def test_verify(office: World, golden: Golden) -> None:
    """Sound, with closings that slipped through, damaged, and read by others."""
    assert office.sync().code == 0
    office.later(days=5)
    office.closing()
    slipped = [
        office.closing(office.day(2)).matter,
        office.closing(office.day(1), thank_you=False).matter,
    ]
    assert office.sync("--yes").code == 0
    office.later(hours=2)
    assert office.sync().code == 0
    office.closing()
    done = Transcript(office)
    done.run("verify", "--against-clio", "60")
    office.lose(*slipped)
    done.note("The ledger has lost two closings.")
    done.run("verify", "--against-clio", "60")
    done.run("verify", "--against-clio", "60", "--json")
    sql(office.state, "UPDATE closings SET cause = 'a whim' WHERE state = 'sent'")
    Path(f"{office.state}.lock").chmod(0o644)
    office.state.parent.chmod(0o755)
    office.private = False
    done.note("A cause was written by hand, and others may read the lock and the folder.")
    done.run("verify", "--against-clio", "60", CLIO_ACCESS_TOKEN="withdrawn")
    office.state.write_text("Dear Sir or Madam,\n" * 500)
    done.note("The state is a letter.")
    for command in (*LOOKING, *CHANGING):
        done.run(*command)
        done.run(*command, "--json")
    golden("verify", done.text)
