"""Clio refuses, stays away, or answers what cannot be read: then nobody is handed over."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rig import Sandbox, faults
from rig.faults import Fault
from world import HURRY, NO_WAITS, World

from clio_broadly_sync.sandbox import Firm

MATTERS, CONTACTS, FIELDS = (
    faults.on(name) for name in ("/matters", "/contacts", "/custom_fields")
)


def _edit(**changes: Any) -> Fault:
    return faults.change_json(lambda body: body | changes)


UNREADABLE: dict[str, Fault] = {
    "HTML": faults.answer(200, "<html>Sign in</html>"),
    "half a JSON": faults.cut_body(framing="close"),
    "data null": _edit(data=None),
    "next no text": _edit(meta={"paging": {"next": 7}}),
    "deep": faults.answer(200, "[" * 100_000),
}
BUSY = faults.answer(429, headers={"Retry-After": "7200"})
REFUSED = {400: 78, 401: 77, 404: 78, 302: 78}


@pytest.mark.parametrize("name", UNREADABLE)
def test_unreadable_answers(world: World, name: str) -> None:
    """69: nothing recorded, the watermark unmoved, and afterwards nobody is lost."""
    matter = world.closing().matter
    rule = world.clio.faults.add(UNREADABLE[name], when=MATTERS, times=None)
    failed = world.sync("--json", **NO_WAITS)
    assert (failed.code, world.rows(), world.posts) == (69, [], [])
    rule.times = 0
    world.later(hours=2)
    ran = world.sync("--json")
    assert ran.json["watermark"]["from"] == failed.json["watermark"]["from"]
    assert world.asked == [matter]


def test_refusals(world: World) -> None:
    """77 or 78 by the status; no redirect is followed, and the next run loses nobody."""
    matter = world.closing().matter
    for status, code in REFUSED.items():
        target = {"Location": world.broadly.url + "/elsewhere"} if status < 400 else {}
        body = {"error": {"type": "SomeError", "message": "for pat@example.com"}}
        world.clio.faults.add(faults.answer(status, body, headers=target), when=MATTERS)
        ran = world.sync("--json")
        assert (ran.code, world.rows()) == (code, []), status
        assert "pat@example.com" not in ran.err
    assert (world.posts, world.broadly.history) == ([], [])
    assert world.sync().code == 0
    assert world.asked == [matter]


def test_token_withdrawn_or_without_a_permission(world: World) -> None:
    """401 and 403 as Clio spells them: 77, and nobody is sent."""
    world.closing()
    old = world.clio.token
    new = world.clio.rotate()
    world.secret(new, old)
    refused = world.sync("--json")
    assert (refused.code, refused.json["requests"]["clio"]) == (77, 1)
    for name in ("matters", "contacts", "custom_fields"):
        world.clio.forbid(name)
        assert world.sync("--json", CLIO_ACCESS_TOKEN=new).code == 77
        world.clio.allow(name)
    assert world.posts == []
    assert world.sync("--json", CLIO_ACCESS_TOKEN=new).delivery == {"sent": 1}


def test_token_of_the_settings_that_is_refused(world: World) -> None:
    """It wins over a sign-in, so it is named, and `login` alone is not what is advised."""
    ran = world.sync("--json", CLIO_ACCESS_TOKEN="withdrawn")
    assert ran.code == 77
    assert "CLIO_ACCESS_TOKEN (401): put a new one there; or remove it" in ran.err


@pytest.mark.parametrize("status", [403, 402, 423, 451])
def test_firewall_before_clio(world: World, status: int) -> None:
    """69, and no word of a permission, of the address or of `login`; afterwards all goes on."""
    matter = world.closing().matter
    page = faults.answer(status, "<html>Blocked by the firewall</html>")
    rule = world.clio.faults.add(page, times=None)
    ran = world.sync("--json", **HURRY)
    assert (ran.code, ran.json["requests"]["clio"], world.posts) == (69, 1, [])
    assert (
        f"Something between this machine and Clio answers in its place (status {status})" in ran.err
    )
    assert not any(word in ran.err for word in ("permission", "login", "address"))
    rule.times = 0
    assert world.sync().code == 0
    assert world.asked == [matter]


def test_no_token_at_all(world: World) -> None:
    """77 before anybody is asked anything."""
    world.forget()
    ran = world.sync("--json", CLIO_ACCESS_TOKEN=None)
    assert (ran.code, world.paths) == (77, [])
    assert ran.err.strip()


def test_clio_down_while_closings_wait(world: World) -> None:
    """The opt-outs cannot be read, so nobody is sent, whichever request fails."""
    matters = world.closings(2)
    world.busy()
    assert world.sync().code == 69
    world.forget()
    with world.clio.outage():
        ran = world.sync("--json", **NO_WAITS)
    assert (ran.code, ran.delivery) == (69, {"waiting": 2})
    world.clio.faults.add(BUSY, when=CONTACTS)
    assert world.sync("--json").code == 69
    assert world.posts == []
    assert world.sync("--json").delivery == {"sent": 2}
    assert world.asked == matters


def test_passing_trouble_is_repeated_in_the_run(world: World) -> None:
    """500, 503, 429 with and without a time, a cut answer, each once: the run succeeds."""
    matter = world.closing().matter
    script = world.clio.faults
    script.add(faults.answer(500), when=MATTERS)
    script.add(faults.answer(429, headers={"Retry-After": "1"}), when=MATTERS)
    script.add(faults.drop(), when=FIELDS)
    script.add(faults.answer(429), when=CONTACTS)
    script.add(faults.answer(503, headers={"Retry-After": "0"}), when=CONTACTS)
    script.add(faults.drip(), when=CONTACTS)
    ran = world.sync("--json")
    assert (ran.code, ran.delivery, world.asked) == (0, {"sent": 1}, [matter])
    assert ran.json["requests"]["clio"] == len(world.clio.history)


def test_busy_for_longer_than_the_run(world: World) -> None:
    """69 at once instead of a wait that leads nowhere."""
    world.closing()
    world.forget()
    world.clio.faults.add(BUSY)
    ran = world.sync("--json")
    assert (ran.code, ran.json["requests"]["clio"]) == (69, 1)


def test_second_page_fails(world: World) -> None:
    """The watermark stays, however long ago it was; nobody is lost and nobody sent twice."""
    matters = world.closings(210)
    options = {"SYNC_MAX_NEW": "1000", "SYNC_OVERLAP_MINUTES": "5"}
    world.later(hours=2)
    world.clio.faults.add(BUSY, when=lambda r: "page_token" in r.query)
    failed = world.sync("--json", **options)
    assert failed.code == 69
    ran = world.sync("--json", **options)
    assert ran.json["watermark"]["from"] == failed.json["watermark"]["from"]
    assert sorted(world.asked) == matters


def test_foreign_next_link_is_refused(world: World) -> None:
    """78, and the other host hears nothing, least of all the token."""
    world.closing()
    with Sandbox(Firm(contacts=0, matters=0)) as other:
        for link in (other.clio.url + "/api/v4/matters.json", other.broadly.url):
            world.clio.faults.add(faults.next_link(link), when=MATTERS)
            assert world.sync("--json").code == 78
        assert other.clio.history == other.broadly.history == []
    assert (world.posts, world.rows()) == ([], [])


def test_pages_that_never_end(world: World) -> None:
    """A page that leads to itself, and new links for ever: 69, not a run without end."""
    world.closings(3)
    for fault in (faults.page_to_itself(), faults.endless_pages()):
        rule = world.clio.faults.add(fault, when=MATTERS, times=None)
        assert world.sync("--json").code == 69
        rule.times = 0
    assert world.posts == []


def test_netrc_does_not_replace_the_token(world: World) -> None:
    """Clio and Broadly lie on the host that ~/.netrc has a password for."""
    netrc = world.folder / "home" / ".netrc"
    netrc.write_text("machine 127.0.0.1 login pat password netrc-password\n")
    netrc.chmod(0o600)
    matter = world.closing().matter
    assert world.sync(NETRC=None).code == 0
    assert world.asked == [matter]
    for exchange in [*world.clio.history, *world.broadly.history]:
        assert exchange.headers["authorization"].startswith("Bearer ")


def test_a_proxy_of_the_environment_sees_nothing_of_loopback(world: World) -> None:
    """Plain http never leaves this machine."""
    world.closing()
    with Sandbox(Firm(contacts=0, matters=0)) as other:
        proxy = other.clio.url
        assert world.sync(http_proxy=proxy, HTTP_PROXY=proxy, ALL_PROXY=proxy).code == 0
        assert other.clio.history == []
    assert len(world.asked) == 1


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "ALL_PROXY", "https_proxy"])
@pytest.mark.parametrize(
    ("proxy", "code"),
    [("socks5://127.0.0.1:9", 78), ("http://:8080", 78), ("http://127.0.0.1:1", 69)],
)
def test_a_proxy_that_leads_nowhere(fresh: World, name: str, proxy: str, code: int) -> None:
    """It is named, and neither Clio's address nor Clio."""
    ran = fresh.sync("--json", CLIO_BASE_URL="https://clio.example", **{name: proxy}, **HURRY)
    assert (ran.code, fresh.rows()) == (code, [])
    assert f"The proxy that {name} names" in ran.err
    assert "address is not" not in ran.err


def test_clio_s_clock_is_wrong(world: World) -> None:
    """No `Date`, or one more than 48 hours off: 69, nothing moves."""
    matter = world.closing().matter
    watermark = set()
    world.firm.clock.set(datetime.now(UTC))
    for skew in (49, -49, None):
        world.clio.skew, world.clio.send_date = timedelta(hours=skew or 0), skew is not None
        ran = world.sync("--json", **NO_WAITS)
        assert (ran.code, world.rows()) == (69, []), skew
        watermark |= set(ran.json["watermark"].values())
    world.clio.skew, world.clio.send_date = timedelta(0), True
    ran = world.sync("--json")
    assert watermark == {ran.json["watermark"]["from"]}
    assert world.asked == [matter]


def test_watermark_is_not_ahead_of_our_own_clock(world: World) -> None:
    """Clio's clock ran ahead for a while: what closes afterwards is still found."""
    world.firm.clock.set(datetime.now(UTC))
    world.clio.skew = timedelta(hours=40)
    assert world.sync("--json").code == 0
    world.clio.skew = timedelta(0)
    matter = world.closing().matter
    assert world.sync("--json").code == 0
    assert world.asked == [matter]


def test_who_am_i_forbidden(fresh: World) -> None:
    """The account stays unpinned, with a warning; the rest works."""
    fresh.clio.forbid("users")
    ran = fresh.sync("--json")
    assert ran.code == 0
    assert ran.err.strip()
    fresh.later(minutes=1)
    matter = fresh.closing().matter
    assert fresh.sync().code == 0
    assert fresh.asked == [matter]


def test_who_am_i_without_the_account(fresh: World) -> None:
    """Clio knows no such field: the rest is asked for without it, with a warning."""
    refused = {"error": {"type": "InvalidFields", "message": "account is not a valid field"}}
    fresh.clio.faults.add(
        faults.answer(400, refused),
        when=lambda request: "account{" in str(dict(request.pairs).get("fields")),
        times=None,
    )
    ran = fresh.sync("--json")
    assert ran.code == 0
    assert "does not tell whose account" in ran.err
    fresh.later(minutes=1)
    matter = fresh.closing().matter
    assert fresh.sync().code == 0
    assert fresh.asked == [matter]
    checked = fresh.check()
    assert checked.code == 0
    assert "Clio does not name the account, so it is not checked." in checked.out


def test_field_that_clio_does_not_know(world: World) -> None:
    """78, and the field is named, so that it can be reported."""
    refused = {"error": {"type": "InvalidFields", "message": "soft_deleted is not a valid field"}}
    world.clio.faults.add(faults.answer(400, refused), when=MATTERS)
    ran = world.sync("--json")
    assert ran.code == 78
    assert "(status 400, InvalidFields, soft_deleted)" in ran.err


def test_filters_are_checked_on_our_side(world: World) -> None:
    """Clio ignores a parameter it does not know: open matters and other contacts stay out."""
    wanted = world.closing()
    opened = world.firm.add_matter(world.firm.add_contact(), thank_you=True)

    def everything(request: Any) -> None:
        world.firm.set_raw("matter", opened, status="Open")
        world.firm.matters.get(opened).status = "Closed"

    world.clio.before = everything
    assert world.sync("--json").code == 0
    world.clio.before = None
    assert world.asked == [wanted.matter]
    assert list(world.ledger()) == [wanted.matter]
