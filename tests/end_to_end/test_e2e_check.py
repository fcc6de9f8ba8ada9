"""`check`: whatever may be wrong is provoked, and the sentence and the exit code are read."""

import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from rig import faults
from terminal import on_terminal
from world import Ran, World, on_post

from clio_broadly_sync.domain.model import Grant
from clio_broadly_sync.sandbox.firm import Definitions
from clio_broadly_sync.store import TokenStore, locked

OUT, IN = "BroadlyOptOut", "SendBroadlyThankYou"
CLOSED_PORT = "127.0.0.1:1"
ORDER = [
    "settings", "state", "clock", "sign-in", "matters", "contacts", "custom fields",
    "custom field", "custom field", "box", "box", "pins", "Broadly", "ping address", "last run",
    "outbox",
]  # fmt: skip


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


# The whole


def test_all_is_well(today: World) -> None:
    """Before the first sync and after it: 0, and every line is ok, in the order of causes."""
    for _ in range(2):
        ran = today.check("--json")
        assert (ran.code, ran.json["outcome"]) == (0, "ok")
        assert [f["about"] for f in ran.json["findings"]] == ORDER
        assert {f["level"] for f in ran.json["findings"]} == {"ok"}
        assert today.sync().code == 0


def test_lines_and_json_say_the_same(today: World) -> None:
    """Off a terminal each finding is one line, so that it can be searched for."""
    today.firm.fields.purge(OUT)
    ran, plain = today.check("--json"), today.check()
    lines = [
        f"{f['level']:<9}{f['about']}: {f['says']}" for f in ran.json["findings"]
    ]  # fmt: skip
    assert plain.out.splitlines() == lines
    assert (plain.code, plain.err) == (78, "")


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


# 1. Settings


def test_settings_that_are_not_in_order(today: World) -> None:
    """All of them at once, and nothing else is tried."""
    ran = today.check("--json", SYNC_RULE="perhaps", BROADLY_URL=None)
    assert ran.code == 78
    assert failed(ran) == {"settings": 78}
    says = [found.says for found in said(ran, "settings")]
    assert {"SYNC_RULE", "BROADLY_URL"} <= {words.split()[0] for words in says}
    assert one(ran, "all the rest") == ("warning", "Not tested: the settings come first.", None)
    assert today.clio.history == []


@pytest.mark.parametrize("settings", [{}, {"SYNC_RULE": "perhaps"}], ids=["fine", "wrong"])
def test_settings_file_that_others_may_read(today: World, settings: dict[str, str]) -> None:
    """A warning, also where the settings themselves are wrong."""
    file = today.folder / "config.env"
    file.write_text("LOG_FORMAT=text\n")
    file.chmod(0o640)
    ran = today.check("--json", **settings)
    (warned,) = [found for found in said(ran, "settings") if found.level == "warning"]
    assert "Others may read" in warned.says
    assert "chmod 600" in warned.says
    file.chmod(0o600)
    assert "warning" not in {found.level for found in said(today.check("--json"), "settings")}


def test_settings_file_that_cannot_even_be_looked_for(today: World) -> None:
    """Its folder is closed to this user, or its name is none: said once, and no bug."""
    ran = today.run("--config", "n" * 5000, "check", "--json")
    assert (ran.code, failed(ran)) == (78, {"settings": 78})


# 2. State


def _loose(state: Path) -> None:
    state.chmod(0o644)


def _loose_folder(state: Path) -> None:
    state.parent.chmod(0o777)


def _damaged(state: Path) -> None:
    with state.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)


def _cut_off(state: Path) -> None:
    state.write_bytes(b"")


def _newer(state: Path) -> None:
    with closing(sqlite3.connect(state)) as database, database:
        database.execute("UPDATE schema_version SET version = 999")


def _foreign(state: Path) -> None:
    with closing(sqlite3.connect(state)) as database, database:
        database.execute("DROP TABLE schema_version")


STATES: dict[str, tuple[Callable[[Path], None], str]] = {
    "others may read it": (_loose, "chmod 600"),
    "others may write to its folder": (_loose_folder, "chmod 700"),
    "damaged": (_damaged, "state"),
    "cut off": (_cut_off, "empty"),
    "newer": (_newer, "newer version"),
    "another program's": (_foreign, "another program"),
}


@pytest.mark.parametrize("spoil", STATES)
def test_state_that_cannot_be_used(today: World, spoil: str) -> None:
    """74 and the mend; Clio and Broadly are looked at all the same."""
    do, words = STATES[spoil]
    today.sync()
    do(today.state)
    today.private = False
    ran = today.check("--json")
    assert ran.code == 74
    assert failed(ran) == {"state": 74}
    assert words in one(ran, "state").says
    assert one(ran, "sign-in").level == one(ran, "Broadly").level == "ok"
    for about in ("pins", "last run"):
        assert one(ran, about).says == "Not tested: the state comes first."


def test_sign_in_that_lies_in_a_state_that_cannot_be_used(today: World) -> None:
    """The cause is said once."""
    TokenStore(today.state).save(_grant(today))
    _loose(today.state)
    today.private = False
    today.settings |= today.sandbox.settings(login=True)
    ran = today.check("--json", CLIO_ACCESS_TOKEN=None)
    assert (ran.code, failed(ran)) == (74, {"state": 74})
    assert one(ran, "sign-in").says == "Not tested: the state, which holds it, comes first."


def test_sign_in_that_cannot_be_renewed_beside_a_sound_state(today: World) -> None:
    """What can be read and not written is a failure of its own, and nothing is asked of Clio."""
    TokenStore(today.state).save(replace(_grant(today), expires_at=datetime.now(UTC)))
    today.settings |= today.sandbox.settings(login=True)
    today.state.with_name("state.db.sign-in.lock").mkdir(0o700)
    ran = today.check("--json", CLIO_ACCESS_TOKEN=None)
    assert (ran.code, failed(ran)) == (74, {"sign-in": 74})
    assert today.clio.history == []


def test_state_behind_a_file(today: World) -> None:
    """A folder that is none: no run could make a state there."""
    (today.folder / "file").write_text("")
    ran = today.check("--json", SYNC_STATE=str(today.folder / "file" / "state.db"))
    assert (ran.code, failed(ran)) == (74, {"state": 74})


# 3. Clock


@pytest.mark.parametrize(("minutes", "side"), [(10, "behind"), (-10, "ahead of")])
def test_clock_that_is_wrong(today: World, minutes: int, side: str) -> None:
    """Ten minutes are a warning."""
    today.clio.skew = timedelta(minutes=minutes)
    ran = today.check("--json")
    level, says, _ = one(ran, "clock")
    assert (ran.code, level) == (0, "warning")
    assert f"minutes {side} Clio's" in says


def test_clock_that_is_days_off(today: World) -> None:
    """Three days: 69, and Clio is not asked further."""
    today.clio.skew = timedelta(days=3)
    ran = today.check("--json")
    assert (ran.code, failed(ran)) == (69, {"clock": 69})
    assert "set this machine's clock right" in one(ran, "clock").says
    assert one(ran, "sign-in").says == "Not tested: the clocks come first."
    assert today.paths == ["users/who_am_i"]


# 4. Sign-in


def test_who_is_signed_in(today: World) -> None:
    """Clio's user and firm, by their names there; what is no plain text of them is left away."""
    today.firm.account.name = "Harbor\x1b[31m & Vale\u202e"
    says = one(today.check("--json"), "sign-in").says
    assert says == (
        "Signed in to Clio with CLIO_ACCESS_TOKEN, as Practice Manager of Harbor & Vale."
    )


def test_signed_in_by_login(today: World) -> None:
    """By `login`, it is said when the access token ends."""
    TokenStore(today.state).save(_grant(today))
    today.settings |= today.sandbox.settings(login=True)
    zone = {"CLIO_TIME_ZONE": "America/Los_Angeles"}
    ran = today.check("--json", CLIO_ACCESS_TOKEN=None, **zone)
    assert ran.code == 0
    assert "by `login`, as" in one(ran, "sign-in").says
    assert "the access token ends on 20 Nov 2099, 14:05." in one(ran, "sign-in").says


@pytest.mark.parametrize("token", [None, "revoked-token"], ids=["none", "revoked"])
def test_not_signed_in(today: World, token: str | None) -> None:
    """77; what needs a sign-in is said to be untested, and Broadly is looked at."""
    ran = today.check("--json", CLIO_ACCESS_TOKEN=token)
    assert (ran.code, failed(ran)) == (77, {"sign-in": 77})
    assert one(ran, "Clio").says.startswith("Not tested: what this sign-in may read")
    assert one(ran, "clock").says == "Not tested: Clio told no time."
    assert one(ran, "Broadly").level == "ok"


def test_clio_cannot_be_reached(today: World) -> None:
    """69, said once."""
    ran = today.check("--json", CLIO_BASE_URL=f"http://{CLOSED_PORT}")
    assert (ran.code, failed(ran)) == (69, {"sign-in": 69})
    assert "could not be reached" in one(ran, "sign-in").says
    assert len(said(ran, "Clio")) == 1


def test_clio_does_not_say_who_is_signed_in(today: World) -> None:
    """A warning with the permission; the rest is tested."""
    today.clio.forbid("users")
    ran = today.check("--json")
    assert ran.code == 0
    level, says, _ = one(ran, "sign-in")
    assert level == "warning"
    assert "tick Users" in says
    assert "new sign-in" in says
    assert one(ran, "time zone").says.endswith("Set CLIO_TIME_ZONE if that is another.")
    assert one(ran, "matters").level == "ok"


# 5. Reading


@pytest.mark.parametrize(
    ("resource", "about", "permission"),
    [
        ("matters", "matters", "Matters"),
        ("contacts", "contacts", "Contacts"),
        ("custom_fields", "custom fields", "Custom fields"),
    ],
)
def test_permission_that_is_missing(
    today: World, resource: str, about: str, permission: str
) -> None:
    """77 with the box to tick, and that it needs a new sign-in."""
    today.clio.forbid(resource)
    ran = today.check("--json")
    assert (ran.code, failed(ran)) == (77, {about: 77})
    says = one(ran, about).says
    assert f"tick {permission} (Read)" in says
    assert "needs a new sign-in" in says
    assert any(found.says.startswith("Not tested") for found in said(ran, "box"))


def test_clients_that_are_hidden(today: World) -> None:
    """Left out or shown without anything: a warning, for they would wait."""
    today.firm.hide_contact(today.closing().contact)
    today.firm.redact_contact(today.closing().contact)
    ran = today.check("--json")
    assert ran.code == 0
    assert "Of 4 clients looked at, Clio hides 2 from" in said(ran, "contacts")[-1].says


# 6. Custom fields

Act = Callable[[Definitions], object]
FIELDS: dict[str, tuple[Act, str, str]] = {
    "purged": (lambda f: f.purge(OUT), "failed", "create it, or put the name that it has"),
    "other case": (lambda f: f.rename(OUT, OUT.lower()), "failed", f"mean “{OUT.lower()}”?"),
    "a blank more": (lambda f: f.rename(IN, f"{IN} "), "failed", f"mean “{IN} ”?"),
    "wrong parent": (lambda f: f.move(OUT, "Matter"), "failed", "but on the matter"),
    "other type": (lambda f: f.retype(IN, "text_line"), "failed", "is a text_line, not a"),
    "deleted": (lambda f: f.delete(OUT), "failed", "was deleted. Restore it"),
    "doubled": (lambda f: f.duplicate(OUT), "failed", "2 checkboxes named"),
    "required": (lambda f: f.change(IN, required=True), "warning", "untick Required"),
    "not shown": (lambda f: f.change(OUT, displayed=False), "warning", "tick Default"),
}


@pytest.mark.parametrize("what", FIELDS)
def test_custom_field(today: World, what: str) -> None:
    """78 and what became of it; a mere warning where the program can go on."""
    act, level, words = FIELDS[what]
    act(today.firm.fields)
    ran = today.check("--json")
    (found,) = [found for found in said(ran, "custom field") if found.level != "ok"]
    code = 78 if level == "failed" else None
    assert (ran.code, found.level, found.code) == (code or 0, level, code)
    assert words in found.says
    untested = [f for f in said(ran, "box") if f.says.endswith("because of its custom field.")]
    assert len(untested) == (level == "failed")


def test_custom_field_renamed_since(today: World) -> None:
    """Once it is pinned, it is known by its id."""
    today.sync()
    today.firm.fields.rename(OUT, "No reviews please")
    ran = today.check("--json")
    assert (ran.code, failed(ran)) == (78, {"custom field": 78})
    says = said(ran, "custom field")[0].says
    assert "is called “No reviews please”. Put that into SYNC_OPT_OUT_FIELD, or rename it" in says


def test_custom_field_made_anew(today: World) -> None:
    """Its boxes are blank: 78 until a person has looked."""
    today.sync()
    today.firm.fields.purge(IN)
    today.firm.fields.add(IN, "Matter")
    ran = today.check("--json")
    assert (ran.code, failed(ran)) == (78, {"custom field": 78})
    assert "check --accept" in said(ran, "custom field")[-1].says
    accepted = today.check("--accept", "--json")
    assert (accepted.code, failed(accepted)) == (0, {})
    assert one(accepted, "accept").says == "Taken over: the custom fields as they now are in Clio."


def test_optional_custom_field(today: World) -> None:
    """Under `opt-in` the contact's may be missing; one of nearly the same name is asked about."""
    today.settings["SYNC_RULE"] = "opt-in"
    today.firm.fields.rename(OUT, "broadly opt out")
    level, says, _ = said(today.check("--json"), "custom field")[0]
    assert (level, "Did you mean “broadly opt out”?" in says) == ("warning", True)
    today.firm.fields.purge("broadly opt out")
    ran = today.check("--json")
    level, says, _ = said(ran, "custom field")[0]
    assert (level, "can do without" in says) == ("ok", True)
    assert [f.level for f in said(ran, "box")] == ["ok"]
    assert IN in one(ran, "box").says


# 7. Boxes


def test_boxes_that_are_withheld(today: World) -> None:
    """Clio sends them without names and values: 77 and the permission to tick."""
    today.closing(opt_out=False)
    today.clio.strip_values = True
    ran = today.check("--json")
    assert ran.code == 77
    assert [f.code for f in said(ran, "box")] == [77, 77]
    assert all("tick Custom fields" in f.says for f in said(ran, "box"))


def test_box_that_cannot_be_read(today: World) -> None:
    """65, and which record it is."""
    odd = today.closing(thank_you="perhaps").matter
    ran = today.check("--json")
    assert (ran.code, failed(ran)) == (65, {"box": 65})
    assert f"open matter {odd} in" in said(ran, "box")[1].says


def test_no_record_to_test_a_box_on(fresh: World) -> None:
    """Said plainly, and no failure."""
    ran = fresh.check("--json")
    assert ran.code == 0
    assert [f.level for f in said(ran, "box")] == ["warning", "warning"]
    assert "there is no contact to try it on" in said(ran, "box")[0].says
    assert "there is no matter to try it on" in said(ran, "box")[1].says


def test_boxes_are_tried_on_open_matters_where_none_is_closed(fresh: World) -> None:
    """Any record is better than none; a contact without a matter is one as well."""
    contact = fresh.firm.add_contact(opt_out="perhaps")
    ran = fresh.check("--json")
    assert f"open contact {contact} in" in said(ran, "box")[0].says
    matter = fresh.firm.add_matter(None, thank_you="perhaps")
    assert f"open matter {matter} in" in said(fresh.check("--json"), "box")[1].says


# 8. Pins


def test_changed_settings(today: World) -> None:
    """Both are named, with the way to take them over."""
    today.sync()
    today.broadly.path = "/v2/batch"
    settings = {"SYNC_RULE": "opt-in", "BROADLY_URL": today.broadly.endpoint}
    ran = today.check("--json", **settings)
    assert (ran.code, failed(ran)) == (78, {"pins": 78})
    url, rule = said(ran, "pins")
    assert "BROADLY_URL changed" in url.says
    assert "SYNC_RULE changed from both to opt-in" in rule.says
    assert all("check --accept" in found.says for found in (url, rule))


def test_another_host(today: World) -> None:
    """Never to be taken over."""
    today.sync()
    ran = today.check("--json", CLIO_BASE_URL=today.clio.url.replace("127.0.0.1", "localhost"))
    assert (ran.code, failed(ran)) == (78, {"pins": 78})
    assert "needs a SYNC_STATE of its own" in one(ran, "pins").says


def test_another_account(today: World) -> None:
    """Never to be taken over."""
    today.sync()
    today.firm.account.id = 902
    ran = today.check("--json")
    assert (ran.code, failed(ran)) == (78, {"pins": 78})
    assert "another account" in one(ran, "pins").says


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
    ran = today.check("--json")
    warned, compared = said(ran, "pins")
    assert (ran.code, today.sync().code, warned.level, compared.level) == (0, 0, "warning", "ok")
    assert "give the app the Users permission" in warned.says
    assert "account" not in compared.says
    new = today.clio.rotate()
    refused = today.check("--json", CLIO_ACCESS_TOKEN=new)
    assert (refused.code, today.sync(CLIO_ACCESS_TOKEN=new).code) == (78, 78)
    assert "new sign-in" in one(refused, "pins").says


# 9. Broadly

BROADLY: dict[str, tuple[faults.Fault, str, int | None, str]] = {
    "key": (faults.answer(401), "failed", 77, "BROADLY_API_KEY"),
    "forbidden": (faults.answer(403), "failed", 77, "BROADLY_API_KEY"),
    "redirect": (faults.redirect("https://elsewhere.example/"), "failed", 78, "a redirect"),
    "out of order": (faults.answer(503), "failed", 69, "out of order"),
    "busy": (faults.answer(429), "failed", 69, "busy"),
    "cut": (faults.drop(), "failed", 69, "did not answer"),
    "not found": (faults.answer(404), "warning", None, "Compare BROADLY_URL"),
    "gone": (faults.answer(410), "warning", None, "Compare BROADLY_URL"),
    "no GET": (faults.answer(405), "ok", None, "cannot be tested without handing somebody over"),
    "refused": (faults.answer(400), "ok", None, "cannot be tested without handing somebody over"),
    "page": (faults.answer(200, b"hello"), "ok", None, "cannot be tested without handing"),
}


@pytest.mark.parametrize("what", BROADLY)
def test_broadly(today: World, what: str) -> None:
    """A GET with the key tells what can be told without sending anybody."""
    fault, level, code, words = BROADLY[what]
    today.broadly.faults.add(fault, times=None)
    ran = today.check("--json")
    found = one(ran, "Broadly")
    assert (ran.code, found.level, found.code) == (code or 0, level, code)
    assert words in found.says
    (asked,) = today.broadly.history
    assert (asked.method, asked.path) == ("GET", today.broadly.path)
    assert today.broadly.key in str(asked.headers)


@pytest.mark.parametrize(
    ("place", "code", "words"),
    [
        (f"http://{CLOSED_PORT}/batch", 69, "could not be reached"),
        ("https://{host}/batch", 78, "no trusted TLS connection"),
    ],
    ids=["nobody there", "no TLS"],
)
def test_broadly_without_a_connection(today: World, place: str, code: int, words: str) -> None:
    """69 where nobody listens, 78 where whoever it is cannot be trusted."""
    host = today.broadly.url.removeprefix("http://")
    ran = today.check("--json", BROADLY_URL=place.format(host=host))
    assert (ran.code, failed(ran)) == (code, {"Broadly": code})
    assert words in one(ran, "Broadly").says


# 10. Ping address


def test_ping_address(today: World) -> None:
    """Its host is tried, and it never: that would be a sign of life."""
    ping = f"{today.broadly.url}/ping/4f2a9c"
    level, says, _ = one(today.check("--json", PING_URL=ping), "ping address")
    assert level == "ok"
    assert "is not tested" in says
    assert "4f2a9c" not in says
    assert not any("ping" in exchange.path for exchange in today.broadly.history)


def test_ping_address_that_cannot_be_reached(today: World) -> None:
    """A warning: no run would fail for it."""
    ran = today.check("--json", PING_URL=f"http://{CLOSED_PORT}/4f2a9c")
    level, says, _ = one(ran, "ping address")
    assert (ran.code, level) == (0, "warning")
    assert "Check PING_URL" in says


def test_no_ping_address(today: World) -> None:
    assert "nobody is told" in one(today.check("--json"), "ping address").says


# 11. Runs


def test_last_sync_that_failed(today: World) -> None:
    """A warning with its code; the cause has its own line."""
    today.sync()
    today.later(minutes=1)
    today.closing()
    today.firm.fields.rename(OUT, "gone")
    assert today.sync().code == 78
    today.firm.fields.rename("gone", OUT)
    ran = today.check("--json")
    level, says, _ = one(ran, "last run")
    assert (ran.code, level) == (0, "warning")
    assert "ended with exit code 78 (config)" in says


def test_last_sync_that_found_something_for_a_person(today: World) -> None:
    """It came through: `attention` is no failure, and not all is well either."""
    today.sync()
    today.later(minutes=1)
    today.closing()
    today.broadly.rule("rejected")
    assert today.sync().code == 65
    level, says, _ = one(today.check("--json"), "last run")
    assert level == "ok"
    assert says.endswith(" came through; something waited for a person (65).")


def test_run_that_was_cut_short(today: World) -> None:
    """Killed, it is said to be; while it is at work it is not."""
    today.sync()
    change_state(today, "UPDATE runs SET finished_at = NULL, exit_code = NULL")
    level, says, _ = one(today.check("--json"), "last run")
    assert (level, "did not come to its end" in says) == ("warning", True)
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


def test_cron_that_does_not_run(today: World) -> None:
    """No `sync` for two hours, though there was one."""
    assert said(today.check("--json"), "cron") == []
    today.sync()
    assert said(today.check("--json"), "cron") == []
    change_state(today, "UPDATE runs SET started_at = started_at - 3 * 3600")
    ran = today.check("--json")
    assert ran.code == 0
    assert one(ran, "cron").level == "warning"
    assert "began 3 hours ago: cron does not seem to run it" in one(ran, "cron").says


# 12. Outbox


def test_closings_that_wait_for_a_person(today: World) -> None:
    """How many, and where to read on."""
    today.sync()
    today.later(minutes=1)
    today.closing()
    today.closing(thank_you="perhaps")
    today.broadly.rule("perhaps")
    today.sync()
    ran = today.check("--json")
    level, says, _ = one(ran, "outbox")
    assert level == "warning"
    assert "2 closings wait for a person" in says
    assert "clio-broadly-sync status" in says


# --accept


def test_accept_says_what_it_took_over_and_then_how_all_is(today: World) -> None:
    """Its lines come first; the code is that of what is found after it."""
    today.sync()
    today.broadly.path = "/v2/batch"
    today.settings["BROADLY_URL"] = today.broadly.endpoint
    today.broadly.faults.add(faults.answer(401), times=None)
    ran = today.check("--accept", "--json")
    assert one(ran, "accept") == ("ok", "Taken over: the new BROADLY_URL.", None)
    assert one(ran, "pins").level == "ok"
    assert (ran.code, failed(ran)) == (77, {"Broadly": 77})


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
    today.firm.fields.purge(OUT)
    assert today.check().code == 78
    (today.folder / "file").write_text("")
    assert today.check(SYNC_STATE=str(today.folder / "file" / "state.db")).code == 74
