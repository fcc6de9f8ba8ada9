"""`check`: what it asks, what it leaves alone, and how it ends.

What it finds of all that may be wrong is held by golden files, of `test_golden_check.py`.
"""

import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from world import Ran, World, on_post

from clio_broadly_sync.domain.credentials import Grant
from clio_broadly_sync.store import TokenStore


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


def everything(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return every file with its bytes and its age."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def _grant(world: World) -> Grant:
    """Sign in; by what Clio says, the token lasts for long."""
    tokens, ends = world.clio.oauth.issue(), datetime(2099, 11, 20, 22, 5, tzinfo=UTC)
    return Grant(world.clio.url, tokens.access, tokens.refresh, ends)


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
    assert [exchange.path for exchange in today.broadly.history] == [today.broadly.path, "/"]
    assert today.broadly.key in str(today.broadly.history[0].headers)


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


def test_settings_file_that_cannot_even_be_looked_for(today: World) -> None:
    """Its folder is closed to this user, or its name is none: said once, and no bug."""
    ran = today.run("--config", "n" * 5000, "check", "--json")
    assert (ran.code, failed(ran)) == (78, {"settings": 78})


def test_state_that_cannot_even_be_looked_for(today: World) -> None:
    """The same of its folder: found by `check` as by the run, and no bug."""
    place = {"SYNC_STATE": str(today.folder / ("n" * 300) / "state.db")}
    assert failed(today.check("--json", **place)) == {"state": 74}
    assert today.sync(**place).code == today.run("status", **place).code == 74


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
        assert says == "The same Clio host, address, rule and fields as last time."


def test_ping_address_behind_a_proxy(today: World) -> None:
    """Where a proxy of this machine is at fault, PING_URL is not."""
    ran = today.check(
        "--json", PING_URL="https://ping.example/4f2a9c", ALL_PROXY="socks5://[::1]:9"
    )
    level, says, _ = one(ran, "ping address")
    assert (ran.code, level) == (0, "warning")
    assert "The proxy that ALL_PROXY names cannot be used" in says
    assert "Check PING_URL" not in says


def test_looking_is_no_run_and_holds_up_none(today: World) -> None:
    """`check` leaves no run behind, and `--accept` for a new address one that came to its end."""
    today.sync()
    before = one(today.check("--json"), "last run")
    today.broadly.path = "/v2/batch"
    today.settings["BROADLY_URL"] = today.broadly.endpoint
    ran = today.check("--accept", "--json")
    assert (ran.code, one(ran, "last run")) == (0, before)


def test_after_a_failed_run_it_is_run_once_by_hand(today: World) -> None:
    """A check cannot try Broadly's key, so the last `sync` says whether it is refused."""
    assert today.sync().code == 0
    today.later(minutes=1)
    today.closing()
    assert today.sync(BROADLY_API_KEY="wrong").code == 77
    checked = today.check().out
    assert "refused). It said: Broadly refuses the sign-in or key (401): put the right" in checked
    assert checked.endswith("so run it once by hand: `clio-broadly-sync sync`.\n")
    assert today.sync().code == 0
    assert "once by hand" not in today.check().out
