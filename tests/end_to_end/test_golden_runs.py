"""Golden transcripts of `sync` and `backfill`: what is printed, and the exit codes."""

import signal
from datetime import date

import pytest
import signing
from full_day import full_day
from golden_files import Golden
from rig import faults
from transcripts import Transcript
from world import World, on_post

from clio_broadly_sync.store import locked

FEW = {"SYNC_MAX_NEW": "5"}
MARCH = ("--from", "2099-03-01", "--to", "2099-03-31")
WITHDRAWN = {"CLIO_ACCESS_TOKEN": "withdrawn"}


@pytest.fixture
def begun(office: World) -> World:
    """A firm a quarter of an hour after its first sync."""
    assert office.sync().code == 0
    office.later(minutes=15)
    return office


def test_full_day(office: World, golden: Golden) -> None:
    """From the first run on: whatever may become of a client, as cron mails it."""
    done = Transcript(office)
    full_day(office, done)
    golden("sync_full_day", done.text)


def test_surge(begun: World, golden: Golden) -> None:
    """Told once, in one go or not; approved after a look, when one is open again."""
    done = Transcript(begun)
    done.note("Eleven matters are closed within minutes, and one two days later.")
    matters = begun.closings(8)
    begun.later(minutes=3)
    begun.closings(3)
    begun.later(days=2)
    begun.closing()
    done.run("sync", "--dry-run", **FEW)
    done.run("sync", **FEW)
    done.run("sync", **FEW)
    done.run("sync", "--json", **FEW)
    done.run("outbox", "list", "--reason", "surge")
    begun.firm.reopen(matters[0])
    done.note("One is reopened.")
    done.run("sync", "--yes", "--json", "-v", LOG_FORMAT="json", **FEW)
    golden("sync_surge", done.text)


def test_silence(begun: World, golden: Golden) -> None:
    """What closed meanwhile waits; weeks later a close date may be too old."""
    done = Transcript(begun)
    done.note("Cron was silent for three days.")
    begun.later(hours=73)
    begun.closings(2)
    done.run("sync")
    done.run("sync", "--dry-run")
    done.run("sync", "-v", "--yes")
    done.note("And for 42 days; one was closed two days after the first run.")
    begun.later(days=42)
    begun.closing()
    begun.closing(date(2099, 11, 22))
    done.run("sync")
    done.run("sync", "--dry-run", "--json", "--yes")
    golden("sync_after_a_silence", done.text)


def test_exit_codes(begun: World, golden: Golden) -> None:
    """Each way to fail, as cron mails it and as JSON; 0, 2 and 65 are elsewhere."""
    begun.closing()
    done = Transcript(begun)
    for more in ((), ("--json",)):
        done.note("Clio is busy.")
        begun.clio.faults.add(faults.answer(503, headers={"Retry-After": "7200"}))
        done.run("sync", *more)
        done.note("The state may be read by others.")
        begun.private = False
        begun.state.chmod(0o644)
        done.run("sync", *more)
        begun.state.chmod(0o600)
        done.note("Another run is at work.")
        with locked(begun.state):
            done.run("sync", *more)
        done.note("The sign-in is refused.")
        done.run("sync", *more, **WITHDRAWN)
        done.note("Settings are not in order, then a custom field.")
        done.run("sync", *more, SYNC_RULE="neither", BROADLY_URL=None)
        begun.firm.fields.delete("BroadlyOptOut")
        done.run("sync", *more)
        begun.firm.fields.restore("BroadlyOptOut")
        for number in (signal.SIGINT, signal.SIGTERM):
            done.note(f"It gets {number.name} when it asks Clio.")
            _interrupted(begun, done, number, *more)
    golden("sync_exit_codes", done.text)


def _interrupted(world: World, done: Transcript, number: signal.Signals, *more: str) -> None:
    child = world.start(["sync", *more], {})
    world.clio.before = on_post(lambda: child.send_signal(number))
    done.add(world.finish(child), "sync", *more)
    world.clio.before = None


def test_backfill(begun: World, golden: Golden) -> None:
    """Asked and declined, some left, nobody there, and then all of it."""
    for day in (10, 11, 12, 13):
        begun.closing(date(2099, 3, day))
    begun.closing(date(2099, 3, 31), opt_out=True)
    done = Transcript(begun)
    done.run("backfill", *MARCH)
    done.run("backfill", *MARCH, "--dry-run")
    done.on_terminal("backfill", *MARCH, answers={"now?": "n"})
    done.note("Broadly is busy, then Clio.")
    begun.busy()
    done.run("backfill", *MARCH, "--yes")
    begun.clio.faults.add(faults.answer(503, headers={"Retry-After": "7200"}))
    done.run("backfill", *MARCH, "--yes")
    done.note("Both are back.")
    done.run("backfill", *MARCH, "--yes", "--limit", "1")
    done.run("backfill", *MARCH, "--yes", "--json", "-v")
    done.on_terminal("backfill", *MARCH, answers={"now?": "y"})
    golden("backfill", done.text)


def test_mail(begun: World, golden: Golden) -> None:
    """An outage is told when it has lasted; a mail has twenty lines."""
    begun.closings(2)
    done = Transcript(begun)
    for hours in (0, 5, 2):
        done.note(f"{hours} hours later Broadly is away." if hours else "Broadly is away.")
        begun.later(hours=hours)
        begun.busy()
        done.run("sync")
    done.note("One is rejected, and then Broadly is away.")
    begun.broadly.rule("rejected", times=1)
    begun.broadly.faults.add(faults.answer(429, "", {"Retry-After": "9999"}), skip=1)
    done.run("sync", BROADLY_BATCH_SIZE="1")
    done.note("The settings file holds a letter.")
    (begun.folder / "config.env").write_text("Dear Sir or Madam,\n" * 40)
    done.run("sync")
    golden("sync_mail", done.text)


def test_log_lines(office: World, golden: Golden) -> None:
    """What `-v` adds, as text and as JSON: requests, pages, what is tried again, warnings."""
    signing.keep_sign_in(office)
    done = Transcript(office)
    done.note("Clio tells neither account nor zone.")
    office.clio.forbid("users")
    done.run("sync")
    office.clio.allow("users")
    office.later(minutes=15)
    office.closing()
    done.note("Clio is out of order once, and the token has ended.")
    office.clio.oauth.expire()
    office.clio.faults.add(faults.answer(500))
    done.run("-v", "sync")
    done.note("The monitor cannot be reached.")
    done.run("sync", "-v", LOG_FORMAT="json", PING_URL="http://127.0.0.1:1/ping")
    golden("log_lines", done.text)
