"""Every command that has to do with a state, for one firm of a fleet: by `--firm`."""

import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
import signing
from databases import Database
from fleets import Fleet
from rig import faults
from world import Ran, World

OF_A_FIRM = (
    ["sync"], ["backfill", "--from", "2026-01-01", "--to", "2026-01-02", "--yes"], ["login"],
    ["logout"], ["check"], ["explain", "77"], ["status"], ["outbox", "list"],
    ["outbox", "resend", "--all", "--yes"], ["outbox", "drop", "--all", "--yes"], ["verify"],
    ["report"],
)  # fmt: skip


@pytest.fixture
def fleet(fresh: World, database: Database) -> Fleet:
    """A fleet whose firms' clock is that of the program."""
    behind = datetime.now(UTC) - fresh.firm.clock.now()
    fresh.later(seconds=max(0.0, behind.total_seconds()) + 60)
    return Fleet(fresh, database)


@pytest.fixture
def acme(fleet: Fleet) -> Fleet:
    """A fleet of one firm, a quarter of an hour after its first sync."""
    fleet.add("acme")
    assert of_acme(fleet, "sync").code == 0
    fleet.world.later(minutes=15)
    return fleet


@pytest.fixture
def unsigned(fleet: Fleet) -> Fleet:
    """A fleet of one firm, whose settings hold the app, and no token."""
    fleet.by_login()
    fleet.add("acme")
    return fleet


def of_acme(fleet: Fleet, *words: str, **settings: str | None) -> Ran:
    return fleet.run(*words, "--firm", "acme", **settings)


# Whose it is.


@pytest.mark.parametrize("words", OF_A_FIRM, ids=" ".join)
def test_firm_must_be_named_and_known(fleet: Fleet, words: list[str]) -> None:
    """2; a removed one counts as unknown."""
    fleet.add("gone")
    assert fleet.run("firms", "remove", "gone", "--yes").code == 0
    for named, says in (
        ([], "name the firm with --firm NAME"),
        (["--firm", "nobody"], "There is no firm “nobody”"),
        (["--firm", "gone"], "The firm “gone” was removed"),
    ):
        ran = fleet.run(*words, *named)
        assert (ran.code, ran.out, says in ran.err) == (2, "", True)
    without: Mapping[str, str | None] = {"FLEET_DATABASE": None, "FLEET_KEYS": None}
    ran = fleet.run(*words, "--firm", "acme", **without)
    assert (ran.code, "set FLEET_DATABASE" in ran.err) == (2, True)


def test_account_of_two_firms(acme: Fleet) -> None:
    """78, in a dry run as well: its clients would be asked twice. One may follow the other."""
    acme.add("twin")
    for words in (["sync", "--dry-run"], ["sync"]):
        ran = acme.run(*words, "--firm", "twin")
        assert (ran.code, "is the firm acme's" in ran.err) == (78, True)
    assert acme.closings(2) == {}
    assert acme.run("firms", "pause", "acme").code == 0
    assert acme.run("sync", "--firm", "twin").code == 78
    assert acme.run("firms", "remove", "acme", "--yes").code == 0
    assert acme.run("sync", "--firm", "twin").code == 0
    ran = acme.run("firms", "add", "acme", "--config", str(acme.file("acme")))
    assert (ran.code, "is the firm twin's" in ran.err) == (78, True)


def test_two_accounts_of_two_firms(acme: Fleet) -> None:
    """Neither sees whom the other has sent."""
    closed = acme.world.closing().matter
    assert of_acme(acme, "sync", "--json").delivery == {"sent": 1}
    acme.add("beta")
    acme.world.firm.account.id += 1
    assert acme.run("sync", "--firm", "beta").code == 0
    assert acme.run("outbox", "list", "--firm", "beta").out == "The outbox is empty.\n"
    assert "sent" in of_acme(acme, "explain", str(closed), "--offline").out.lower()
    ran = acme.run("explain", str(closed), "--offline", "--firm", "beta")
    assert "Nothing is recorded of it" in ran.out


def test_commands_of_no_firm(acme: Fleet) -> None:
    """A schedule is for one firm alone; the practice servers do not mind a fleet."""
    ran = acme.run("schedule", "cron")
    assert (ran.code, "workers run the firms" in ran.err) == (2, True)
    assert acme.run("demo").code == 0


# Runs.


def test_dry_run_writes_nothing(acme: Fleet) -> None:
    closed = acme.world.closing().matter
    before = acme.dump
    ran = of_acme(acme, "sync", "--dry-run", "--json")
    assert (ran.code, ran.order, acme.world.asked) == (0, [closed], [])
    assert acme.dump == before


def test_backfill_and_one_matter(acme: Fleet) -> None:
    """Each reads and writes the firm's own ledger."""
    days = [acme.world.day(ago) for ago in (40, 20, 10)]
    old, older, alone = (acme.world.closing(on).matter for on in days)
    ran = acme.run(
        "backfill", "--from", str(days[0]), "--to", str(days[1]), "--yes", "--firm", "acme"
    )
    assert (ran.code, sorted(acme.world.asked)) == (0, sorted([old, older]))
    ran = of_acme(acme, "sync", "--matter", str(alone), "--yes")
    assert (ran.code, acme.world.asked[-1]) == (0, alone)
    assert set(acme.closings()) == {old, older, alone}


def test_outbox(acme: Fleet) -> None:
    """What is held is listed, sent again, or left out."""
    acme.world.broadly.faults.add(faults.lose_answer())
    closed = acme.world.closing().matter
    assert of_acme(acme, "sync").code == 65
    assert acme.closings() == {closed: ("held", "unknown_outcome")}
    listed = of_acme(acme, "outbox", "list", "--json").json["rows"]
    assert [row["matter_id"] for row in listed] == [closed]
    ran = of_acme(acme, "status")
    assert (ran.code, "`clio-broadly-sync outbox list --state held --firm acme`" in ran.out) == (
        65, True,
    )  # fmt: skip
    assert of_acme(acme, "outbox", "resend", str(closed), "--yes").code == 0
    assert acme.closings() == {closed: ("pending", "unknown_outcome")}
    assert of_acme(acme, "outbox", "drop", str(closed), "--yes").code == 0
    assert acme.closings() == {closed: ("skipped", "dropped")}
    assert of_acme(acme, "verify").code == 0
    assert of_acme(acme, "report", "--list").code == 0


def test_run_that_holds_the_firm(acme: Fleet) -> None:
    """75 for whatever writes; what only looks sees it at work."""
    with acme.place().locked("sync"):
        for words in (["sync"], ["outbox", "drop", "--all", "--yes"], ["check", "--accept"]):
            assert of_acme(acme, *words).code == 75, words
        assert "At work     sync since" in of_acme(acme, "status").out
    assert of_acme(acme, "sync").code == 0


# What is said.


def test_check_speaks_of_database_and_workers(acme: Fleet) -> None:
    """Nothing of cron, of files, or of SYNC_STATE; nor does status."""
    acme.world.later(hours=7)
    checked, stands = of_acme(acme, "check"), of_acme(acme, "status")
    assert (checked.code, stands.code) == (0, 0)
    assert "state: It is in the database. It is sound, and of this version." in checked.out
    assert "worker: The last `sync` began 7 hours ago" in checked.out
    assert "Next: see whether workers run: `clio-broadly-sync fleet status`." in checked.out
    assert "No worker seems to run the firm: see `clio-broadly-sync fleet status`." in stands.out
    for said in (checked.out, stands.out, of_acme(acme, "check", "--json").out):
        assert not any(word in said for word in ("cron", "SYNC_STATE", "/dev/null", "schedule"))


def test_firm_that_is_run_seldom_is_no_silent_one(acme: Fleet) -> None:
    """A worker that comes once a day is not missed after seven hours."""
    assert acme.run("firms", "set", "acme", "--every", "1440").code == 0
    acme.world.later(hours=7)
    assert "No worker" not in of_acme(acme, "status").out
    acme.world.later(hours=42)
    assert "No worker" in of_acme(acme, "status").out


def test_check_accepts_a_change(acme: Fleet) -> None:
    """By the command that the run names, with the firm in it."""
    assert acme.run("firms", "set", "acme", "SYNC_RULE=opt-out").code == 0
    ran = of_acme(acme, "sync")
    assert (ran.code, "`clio-broadly-sync check --accept --firm acme`" in ran.err) == (78, True)
    assert of_acme(acme, "check", "--accept").code == 0
    assert of_acme(acme, "sync").code == 0


@pytest.mark.parametrize("words", [["sync"], ["status"], ["check"], ["check", "--json"]])
def test_commands_that_are_printed_name_the_firm(unsigned: Fleet, words: list[str]) -> None:
    """Those that are there to be copied; in JSON, in a log line, and after a problem as well."""
    for log_format in ("text", "json"):
        ran = of_acme(unsigned, *words, LOG_FORMAT=log_format)
        assert ran.code == (0 if words == ["status"] else 77)
        said = ran.out + ran.err
        assert "--firm acme`" in said or words == ["sync"]
        whole = [part for part in said.split("`")[1::2] if part.startswith("clio-broadly-sync ")]
        known = ("clio-broadly-sync fleet", "clio-broadly-sync firms")
        assert all(part.endswith("--firm acme") or part.startswith(known) for part in whole)


# The sign-in.


def test_login_in_the_browser_and_logout(unsigned: Fleet) -> None:
    """It is sealed in the firm's row; the firm is due at once, as if it had not failed."""
    assert of_acme(unsigned, "sync").code == 77
    unsigned.fails()
    child = unsigned.world.start(["login", "--firm", "acme"], signing.NO_BROWSER)
    signing.go(signing.allow(signing.opened(child)))
    ran = unsigned.world.finish(child)
    assert (ran.code, ran.err) == (0, "")
    assert "Next: `clio-broadly-sync check --firm acme`" in ran.out
    assert (unsigned.row("failures"), unsigned.row("failing_since")) == (0, None)
    assert of_acme(unsigned, "sync").code == 0
    assert not any(token in unsigned.dump for token in unsigned.world.clio.oauth.tokens)
    ran = of_acme(unsigned, "logout")
    assert (ran.code, "erased here." in ran.out, unsigned.row("sign_in")) == (0, True, None)
    assert of_acme(unsigned, "sync").code == 77


def test_login_by_paste(unsigned: Fleet) -> None:
    """As for a firm that is far away; a paused firm can sign in as well."""
    assert unsigned.run("firms", "pause", "acme").code == 0
    words = ["login", "--paste", "--firm", "acme"]
    child = unsigned.world.start(words, {}, stdin=subprocess.PIPE)
    code = signing.allow(signing.opened(child))
    ran = unsigned.world.finish(child, typed=f"{code}\n")
    assert (ran.code, "Signed in to Clio" in ran.out) == (0, True)
    assert unsigned.row("sign_in") is not None
    assert of_acme(unsigned, "sync", "--dry-run").code == 0


def test_sign_in_that_ends_is_renewed(unsigned: Fleet) -> None:
    """And the new one is kept, so that the next run needs no other."""
    unsigned.keep_sign_in()
    assert of_acme(unsigned, "sync").code == 0
    unsigned.world.clio.oauth.expire()
    before = bytes(unsigned.row("sign_in"))
    assert of_acme(unsigned, "sync").code == 0
    after = bytes(unsigned.row("sign_in"))
    assert after != before
    assert of_acme(unsigned, "sync").code == 0
    assert bytes(unsigned.row("sign_in")) == after
