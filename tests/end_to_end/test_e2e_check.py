"""`check`: what it asks, what it leaves alone, and how it ends.

What it finds of all that may be wrong is held by golden files, of `test_golden_check.py`.
"""

import signal
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from rig import faults
from terminal import on_terminal
from world import Ran, World, on_post

from clio_broadly_sync.domain.account import Grant
from clio_broadly_sync.store import TokenStore, locked


class Said(NamedTuple):
    level: str
    says: str
    code: int | None


def said(ran: Ran, about: str) -> list[Said]:
    """Return what was found about one thing."""
    found = [f for f in ran.json["findings"] if f["about"] == about]
    assert all(f.keys() == {"about", "level", "says", "exit_code"} for f in found)
    return [Said(f["level"], f["says"], f["exit_code"]) for f in found]


def one(ran: Ran, about: str) -> Said:
    (found,) = said(ran, about)
    return found


def failed(ran: Ran) -> dict[str, int | None]:
    """Return what failed, with its code."""
    return {f["about"]: f["exit_code"] for f in ran.json["findings"] if f["level"] == "failed"}


@pytest.fixture
def today(fresh: World) -> World:
    """A firm whose clock is right, with clients and matters, and no state yet."""
    fresh.firm.clock.set(datetime.now(UTC) - timedelta(minutes=1))
    fresh.closing(opt_out=True)
    fresh.closing()
    fresh.firm.clock.set(datetime.now(UTC))
    return fresh


def change_state(world: World, statement: str) -> None:
    """Write to the state behind the program's back."""
    with closing(sqlite3.connect(world.state)) as database, database:
        database.execute(statement)


def everything(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return every file with its bytes and its age."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def _grant(world: World) -> Grant:
    """Sign in; by what Clio says, the token lasts for long."""
    tokens, ends = world.clio.oauth.issue(), datetime(2099, 11, 20, 22, 5, tzinfo=UTC)
    return Grant(world.clio.url, tokens.access, tokens.refresh, ends)


def test_it_fits_a_terminal(today: World) -> None:
    """Long findings are folded, under their own beginning."""
    printed = on_terminal(today, "check", columns=60).out.replace("\r\n", "\n")
    assert all(len(line) <= 60 or "state.db" in line for line in printed.splitlines())
    assert printed.count("\n         ") > 3


def test_nothing_is_changed_and_nobody_is_sent(today: World) -> None:
    """Not a byte beside the state, no request but GETs; also where there is no state yet."""
    today.check()
    assert not today.state.parent.exists()
    today.sync()
    today.later(minutes=1)
    today.closing()
    before = everything(today.folder)
    today.forget()
    assert today.check(PING_URL=f"{today.broadly.url}/ping/4f2a").code == 0
    assert everything(today.folder) == before
    methods = {e.method for server in (today.clio, today.broadly) for e in server.history}
    assert methods == {"GET"}
    assert today.asked == []


@pytest.mark.parametrize("server", ["clio", "broadly"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted(today: World, number: signal.Signals, code: int, server: str) -> None:
    """Ctrl-C ends it at once, with its own code."""
    child = today.start(["check", "--json"], {})
    getattr(today, server).before = on_post(lambda: child.send_signal(number))
    ran = today.finish(child)
    assert (ran.code, ran.json["outcome"]) == (code, "interrupted")
    assert failed(ran) == {"check": code}
    assert said(ran, "outbox") == []


def test_settings_that_are_not_in_order(today: World) -> None:
    """Nothing else is tried."""
    assert today.check(SYNC_RULE="perhaps").code == 78
    assert today.clio.history == today.broadly.history == []


def test_settings_file_that_cannot_even_be_looked_for(today: World) -> None:
    """Its folder is closed to this user, or its name is none: said once, and no bug."""
    ran = today.run("--config", "n" * 5000, "check", "--json")
    assert (ran.code, failed(ran)) == (78, {"settings": 78})


def test_sign_in_that_cannot_be_renewed_beside_a_sound_state(today: World) -> None:
    """What can be read and not written is a failure of its own, and nothing is asked of Clio."""
    TokenStore(today.state).save(replace(_grant(today), expires_at=datetime.now(UTC)))
    today.settings |= today.sandbox.settings(login=True)
    today.state.with_name("state.db.sign-in.lock").mkdir(0o700)
    ran = today.check("--json", CLIO_ACCESS_TOKEN=None)
    assert (ran.code, failed(ran)) == (74, {"sign-in": 74})
    assert today.clio.history == []


def test_clock_that_is_days_off(today: World) -> None:
    """Three days: 69, and Clio is not asked further."""
    today.clio.skew = timedelta(days=3)
    ran = today.check("--json")
    assert (ran.code, failed(ran)) == (69, {"clock": 69})
    assert today.paths == ["users/who_am_i"]


def test_who_is_signed_in(today: World) -> None:
    """Clio's user and firm, by their names there; what is no plain text of them is left away."""
    today.firm.account.name = "Harbor\x1b[31m & Vale\u202e"
    says = one(today.check("--json"), "sign-in").says
    assert says == (
        "Signed in to Clio with CLIO_ACCESS_TOKEN, as Practice Manager of Harbor & Vale."
    )


def test_when_the_sign_in_ends_is_in_the_zone_of_the_settings(today: World) -> None:
    TokenStore(today.state).save(_grant(today))
    today.settings |= today.sandbox.settings(login=True)
    zone = {"CLIO_TIME_ZONE": "America/Los_Angeles"}
    ran = today.check("--json", CLIO_ACCESS_TOKEN=None, **zone)
    assert "the access token ends on 20 Nov 2099, 14:05 PST." in one(ran, "sign-in").says


def test_boxes_are_tried_on_open_matters_where_none_is_closed(fresh: World) -> None:
    """Any record is better than none; a contact without a matter is one as well."""
    contact = fresh.firm.add_contact(opt_out="perhaps")
    ran = fresh.check("--json")
    assert f"open contact {contact} in" in said(ran, "box")[0].says
    matter = fresh.firm.add_matter(None, thank_you="perhaps")
    assert f"open matter {matter} in" in said(fresh.check("--json"), "box")[1].says


def test_account_is_no_pin_where_clio_never_told_it(today: World) -> None:
    """What was not compared is not said to be the same; and nothing is pinned by looking."""
    today.clio.forbid("users")
    today.sync()
    today.clio.allow("users")
    for _ in range(2):
        says = one(today.check("--json"), "pins").says
        assert says == "Clio's host, BROADLY_URL and SYNC_RULE are those of this state."


def test_account_that_clio_no_longer_tells(today: World) -> None:
    """A sign-in that was checked before goes on, as `sync` does: a warning. A new one is refused,
    by both."""
    today.sync()
    today.clio.forbid("users")
    assert (today.check().code, today.sync().code) == (0, 0)
    new = {"CLIO_ACCESS_TOKEN": today.clio.rotate()}
    assert (today.check(**new).code, today.sync(**new).code) == (78, 78)


def test_broadly_is_asked_once_with_the_key(today: World) -> None:
    """A GET tells what can be told without sending anybody."""
    assert today.check().code == 0
    (asked,) = today.broadly.history
    assert (asked.method, asked.path) == ("GET", today.broadly.path)
    assert today.broadly.key in str(asked.headers)


def test_ping_address(today: World) -> None:
    """Its host is tried, and it never: that would be a sign of life."""
    assert today.check(PING_URL=f"{today.broadly.url}/ping/4f2a9c").code == 0
    assert not any("ping" in exchange.path for exchange in today.broadly.history)


def test_ping_address_behind_a_proxy(today: World) -> None:
    """Where a proxy of this machine is at fault, PING_URL is not."""
    ran = today.check(
        "--json", PING_URL="https://ping.example/4f2a9c", ALL_PROXY="socks5://[::1]:9"
    )
    level, says, _ = one(ran, "ping address")
    assert (ran.code, level) == (0, "warning")
    assert "The proxy that ALL_PROXY names cannot be used" in says
    assert "Check PING_URL" not in says


def test_run_that_is_at_work(today: World) -> None:
    """It has no end either, and was not cut short."""
    today.sync()
    change_state(today, "UPDATE runs SET finished_at = NULL, exit_code = NULL")
    with locked(today.state):
        level, says, _ = one(today.check("--json"), "last run")
    assert (level, says.endswith("is at work.")) == ("ok", True)


def test_looking_is_no_run_and_holds_up_none(today: World) -> None:
    """`check` leaves no run behind, and `--accept` for a new address one that came to its end."""
    today.sync()
    before = one(today.check("--json"), "last run")
    today.broadly.path = "/v2/batch"
    today.settings["BROADLY_URL"] = today.broadly.endpoint
    ran = today.check("--accept", "--json")
    assert (ran.code, one(ran, "last run")) == (0, before)


def test_accept_that_is_refused(today: World) -> None:
    """What must not be taken over ends it there, on stderr and in the object."""
    today.sync()
    today.firm.account.id = 902
    ran = today.check("--accept", "--json")
    assert (ran.code, failed(ran)) == (78, {"check": 78})
    assert "another account" in ran.err
    assert "another account" in one(ran, "check").says


def test_accept_while_a_run_is_at_work(today: World) -> None:
    """75, and nothing is taken over."""
    today.sync()
    with locked(today.state):
        ran = today.check("--accept", "--json")
    assert (ran.code, ran.json["outcome"]) == (75, "busy")


def test_worst_code(today: World) -> None:
    """Of several failures the exit code is that of the worst, by the order of the design."""
    today.broadly.faults.add(faults.answer(503), times=None)
    today.clio.forbid("contacts")
    assert today.check().code == 77
    today.firm.fields.purge("BroadlyOptOut")
    assert today.check().code == 78
    (today.folder / "file").write_text("")
    assert today.check(SYNC_STATE=str(today.folder / "file" / "state.db")).code == 74
