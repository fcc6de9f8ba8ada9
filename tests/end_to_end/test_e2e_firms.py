"""Firms of a fleet: added, changed, paused, and removed; and who gets to see what of them."""

import shutil
from pathlib import Path

import pytest
from databases import KEY, Database
from fleets import Fleet
from terminal import on_terminal
from world import World

from clio_broadly_sync.store.seal import new_key


@pytest.fixture
def fleet(fresh: World, database: Database) -> Fleet:
    return Fleet(fresh, database)


@pytest.fixture
def acme(fleet: Fleet) -> Fleet:
    """A fleet of one firm."""
    fleet.add("acme")
    return fleet


# Added.


def test_from_its_file_to_the_first_client(fleet: Fleet) -> None:
    """No file is made for it; its secrets, and the key of its hashes, are nowhere in clear."""
    ran = fleet.run("firms", "add", "acme", "--config", str(fleet.file("acme")))
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "Added: acme. Next: `clio-broadly-sync check --firm acme`.\n"
    assert fleet.run("check", "--firm", "acme").code == 0
    assert fleet.run("sync", "--firm", "acme").code == 0
    fleet.world.later(minutes=15)
    closed = fleet.world.closing().matter
    ran = fleet.run("sync", "--firm", "acme", "--json")
    assert (ran.code, ran.delivery, fleet.world.asked) == (0, {"sent": 1}, [closed])
    assert fleet.closings() == {closed: ("sent", None)}
    assert not (fleet.files / "state").exists()
    kept = fleet.secrets()
    assert kept.keys() == {"broadly_url", "broadly_api_key", "clio_access_token", "hash_key"}
    assert len(bytes.fromhex(kept["hash_key"])) == 32
    assert "acme" in fleet.dump
    kept.pop("broadly_url")  # of batches it is pinned; only a webhook's address is a key
    assert not any(text in fleet.dump for text in kept.values())


@pytest.mark.parametrize("name", ["Acme", "acme\udcff", "acme\n", "٣", ""])
def test_name_that_no_firm_can_have(acme: Fleet, name: str) -> None:
    """2 from whatever names a firm, be it in another character set than PostgreSQL takes."""
    for words in (
        ("status", "--firm", name),
        ("firms", "show", name),
        ("firms", "set", name, "SYNC_MAX_NEW=3"),
        ("firms", "pause", name),
        ("firms", "remove", name, "--erase", "--yes"),
    ):
        ran = acme.run(*words)
        assert (ran.code, ran.out) == (2, "")
        assert "There is no firm" in ran.err


def test_file_alone_is_read(fleet: Fleet) -> None:
    """What the fleet sets is a default, beneath the firm's own, as soon as it changes."""
    fleet.add("acme", SYNC_MAX_NEW=None)
    fleet.add("beta", SYNC_MAX_NEW="7")
    for most in ("3", "4"):
        shown = fleet.run("firms", "show", "acme", SYNC_MAX_NEW=most)
        assert f"SYNC_MAX_NEW            {most}" in shown.out.partition("Those of the fleet")[2]
        shown = fleet.run("firms", "show", "beta", SYNC_MAX_NEW=most)
        assert "SYNC_MAX_NEW            7" in shown.out
        assert "Those of the fleet" not in shown.out
    assert fleet.run("sync", "--firm", "acme", SYNC_MAX_NEW="many").code == 78
    assert fleet.run("sync", "--firm", "beta", SYNC_MAX_NEW="many").code == 0


def test_settings_that_are_refused(fleet: Fleet) -> None:
    """78, every problem at once, and nobody is added."""
    file = fleet.file(
        "acme", SYNC_RULE="neither", BROADLY_URL=None, FLEET_SLOTS="3", SYNC_SPEED="9"
    )
    ran = fleet.run("firms", "add", "acme", "--config", str(file))
    assert (ran.code, ran.out) == (78, "")
    for problem in ("SYNC_RULE must be", "BROADLY_URL is not set", "FLEET_SLOTS is the fleet's"):
        assert problem in ran.err
    assert "sets SYNC_SPEED, which is no setting" in ran.err
    assert fleet.row("name") is None
    ran = fleet.run("firms", "add", "acme", "--config", str(fleet.files / "nowhere.env"))
    assert (ran.code, "cannot be read" in ran.err) == (78, True)


@pytest.mark.parametrize("name", ["Acme", "acme_law", "-acme", "é", "a" * 64, "a b"])
def test_name_that_is_none(fleet: Fleet, name: str) -> None:
    ran = fleet.run("firms", "add", "--config", str(fleet.file("acme")), "--", name)
    assert (ran.code, "small letters, digits and hyphens" in ran.err) == (2, True)


def test_name_that_is_taken(acme: Fleet) -> None:
    """By one that is paused, too; nothing of it has changed."""
    before = acme.dump
    file = str(acme.file("other", SYNC_RULE="opt-in"))
    ran = acme.run("firms", "add", "acme", "--config", file)
    assert (ran.code, "There is a firm “acme” already" in ran.err) == (2, True)
    assert acme.dump == before
    assert acme.run("firms", "pause", "acme").code == 0
    assert acme.run("firms", "add", "acme", "--config", file).code == 2


@pytest.mark.parametrize(
    "words",
    [["acme"], ["--config", "f"], ["acme", "--folder", "."], ["--folder", ".", "--config", "f"]],
)
def test_firm_without_a_file(fleet: Fleet, words: list[str]) -> None:
    ran = fleet.run("firms", "add", *words)
    assert (ran.code, "NAME --config FILE; or --folder DIR" in ran.err) == (2, True)


@pytest.mark.parametrize("command", ["add", "set"])
def test_file_that_is_read_as_the_fleets(fleet: Fleet, command: str) -> None:
    """As `init` names it, in the folder where one stands: each `--firm` there would be refused."""
    shutil.move(fleet.file("acme"), fleet.world.folder / "config.env")
    ran = fleet.run("firms", command, "acme", "--config", "config.env")
    assert (ran.code, "give the firm's file another name" in ran.err) == (2, True)
    assert fleet.row("name") is None


def test_state_of_a_file_is_not_used(fleet: Fleet) -> None:
    """That is said, because a ledger may be there, by which nobody would be asked again."""
    file = fleet.file("acme", SYNC_STATE="/var/lib/acme/state.db")
    ran = fleet.run("firms", "add", "acme", "--config", str(file))
    assert (ran.code, ran.out.splitlines()[0]) == (
        0,
        "SYNC_STATE is not used: the state of a firm is in the database. A ledger that has asked "
        "clients already must come along (--state FILE, or NAME.db in the folder), or they may be "
        "asked again.",
    )
    assert "SYNC_STATE" not in fleet.run("firms", "show", "acme").out
    assert fleet.run("check", "--firm", "acme").code == 0


def test_folder_of_firms(fleet: Fleet) -> None:
    """What is wrong with some does not hinder the others; all of it is told, and the worst ends."""
    fleet.add("taken")
    for name in ("acme", "beta", "Gamma"):
        fleet.file(name)
    fleet.file("delta", SYNC_RULE="neither", SYNC_MAX_NEW="many")
    (fleet.files / "lonely.db").write_bytes(b"a ledger")
    ran = fleet.run("firms", "add", "--folder", str(fleet.files), "--every", "30")
    assert ran.code == 78
    assert ran.out.splitlines() == ["Added: acme.", "Added: beta.", "Added 2 of 6 firms."]
    said = [line.removeprefix("clio-broadly-sync: ") for line in ran.err.splitlines()]
    assert [line.partition(":")[0] for line in said] == [
        "Gamma",
        "delta",
        "delta",
        "lonely",
        "taken",
    ]
    assert fleet.row("period", "beta").total_seconds() == 1800
    (fleet.files / "delta.env").unlink()
    (fleet.files / "lonely.db").unlink()
    assert fleet.run("firms", "add", "--folder", str(fleet.files)).code == 2
    (fleet.world.folder / "empty").mkdir()
    ran = fleet.run("firms", "add", "--folder", str(fleet.world.folder / "empty"))
    assert (ran.code, "no file NAME.env" in ran.err) == (2, True)


# Listed and shown.


def test_list(acme: Fleet) -> None:
    """With one object for programs."""
    acme.fails()
    acme.add("beta")
    acme.run("firms", "pause", "beta")
    listed = acme.run("firms", "list", "--json").json
    first, second = listed["firms"]
    assert (first["name"], first["state"], first["failures"]) == ("acme", "active", 3)
    assert (first["every_seconds"], first["last_exit_code"]) == (900, None)
    assert (second["name"], second["state"], second["next_at"]) == ("beta", "paused", None)


def test_show_says_no_secret(acme: Fleet) -> None:
    """Only that it is set; of those that the fleet gives as well."""
    secret = "of-all-firms"
    acme.world.secret(secret)
    for words in ([], ["--json"]):
        ran = acme.run(
            "firms", "show", "acme", *words, CLIO_CLIENT_SECRET=secret, CLIO_CLIENT_ID="id"
        )
        assert ran.code == 0
        assert "SYNC_RULE" in ran.out
        assert all(n in ran.out for n in ("BROADLY_API_KEY", "CLIO_CLIENT_SECRET", "BROADLY_URL"))
        assert not any(text in ran.out for text in acme.secrets().values())
    assert ran.json["secrets"] == ["BROADLY_URL", "BROADLY_API_KEY", "CLIO_ACCESS_TOKEN"]
    assert ran.json["of_the_fleet"] == ["CLIO_CLIENT_ID", "CLIO_CLIENT_SECRET"]


# Changed.


def test_set(acme: Fleet) -> None:
    """What is not named stays; an empty value takes a setting back; it is due at once."""
    acme.fails()
    ran = acme.run(
        "firms", "set", "acme", "SYNC_MAX_NEW=3", "SYNC_COMPANIES=false", "--every", "60"
    )
    assert (ran.code, ran.out) == (
        0, "acme: set SYNC_COMPANIES, SYNC_MAX_NEW; run every 60 minutes.\n",
    )  # fmt: skip
    assert (acme.row("failures"), acme.row("failing_since")) == (0, None)
    assert acme.row("period").total_seconds() == 3600
    ran = acme.run("firms", "set", "acme", "SYNC_COMPANIES=")
    assert (ran.code, ran.out) == (0, "acme: taken back SYNC_COMPANIES.\n")
    settings = acme.row("settings")
    assert (settings["sync_max_new"], settings["sync_rule"]) == ("3", "both")
    assert "sync_companies" not in settings
    assert acme.run("sync", "--firm", "acme").code == 0


def test_set_is_checked_as_a_whole(acme: Fleet) -> None:
    """78 with every problem, and nothing has changed."""
    before = acme.dump
    ran = acme.run("firms", "set", "acme", "SYNC_RULE=", "SYNC_MAX_NEW=many", "BROADLY_API_KEY=")
    assert ran.code == 78
    for name in ("SYNC_RULE is not set", "SYNC_MAX_NEW must be", "BROADLY_API_KEY is not set"):
        assert name in ran.err
    assert acme.dump == before


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("BROADLY_API_KEY=swordfish", "BROADLY_API_KEY is secret"),
        ("NOTIFY_URLS=json://swordfish", "NOTIFY_URLS is secret"),
        ("swordfish", "Write settings as NAME=value"),
        ("swordfish=1", "A name is no setting"),
        ("SYNC_STATE=swordfish", "SYNC_STATE is not used"),
        ("FLEET_KEYS=swordfish", "FLEET_KEYS is the fleet's"),
        ("SYNC_SPEED=swordfish", "SYNC_SPEED is no setting"),
    ],
)
def test_argument_that_is_refused(acme: Fleet, word: str, says: str) -> None:
    """2, and no value is repeated: it may be a key."""
    ran = acme.run("firms", "set", "acme", "SYNC_MAX_NEW=3", word)
    assert (ran.code, says in ran.err) == (2, True)
    assert "swordfish" not in ran.err
    assert "sync_max_new" not in acme.row("settings")


def test_secrets_come_by_file_or_by_standard_input(acme: Fleet) -> None:
    """The rest of what is sealed stays, the key of the hashes as well."""
    hash_key = acme.secrets()["hash_key"]
    acme.world.secret("typed-key", "filed-key")
    ran = acme.typed("BROADLY_API_KEY=typed-key\n", "firms", "set", "acme", "--config", "-")
    assert (ran.code, ran.out) == (0, "acme: set BROADLY_API_KEY.\n")
    assert acme.secrets()["broadly_api_key"] == "typed-key"
    file = acme.files / "more.env"
    file.write_bytes("SYNC_OPT_OUT_FIELD=Bewertung für Broadly\n".encode("latin-1"))
    with file.open() as other:
        child = acme.world.start(
            ("firms", "set", "acme", "--config", "-"), {}, stdin=other.fileno()
        )
    ran = acme.world.finish(child)
    assert (ran.code, ran.out, "UTF-8" in ran.err) == (78, "", True)
    assert "sync_opt_out_field" not in acme.row("settings")
    file.write_text("BROADLY_API_KEY=filed-key\nSYNC_STATE=state.db\n")
    ran = acme.run("firms", "set", "acme", "--config", str(file), "SYNC_MAX_NEW=3")
    assert (ran.code, ran.out.splitlines()) == (
        0,
        [
            "SYNC_STATE is not used: the state of a firm is in the database.",
            "acme: set BROADLY_API_KEY, SYNC_MAX_NEW.",
        ],
    )
    kept = acme.secrets()
    assert (kept["broadly_api_key"], kept["hash_key"]) == ("filed-key", hash_key)
    assert "clio_access_token" in kept
    assert acme.run("firms", "set", "acme", "CLIO_ACCESS_TOKEN=").code == 0
    assert acme.secrets().keys() == {"broadly_url", "broadly_api_key", "hash_key"}


def test_nothing_to_change(acme: Fleet) -> None:
    assert acme.run("firms", "set", "acme").code == 2
    assert acme.run("firms", "set", "acme", "SYNC_RULE=both").out == "acme: nothing has changed.\n"


# Paused.


def test_paused_firm_is_not_run(acme: Fleet) -> None:
    """All that only looks goes on, and so does what a person does for later."""
    assert acme.run("sync", "--firm", "acme").code == 0
    acme.world.later(minutes=15)
    held = acme.world.closing().matter
    ran = acme.run("firms", "pause", "acme")
    assert (ran.code, ran.out.startswith("Paused: 1 firm.")) == (0, True)
    first, last = str(acme.world.day(30)), str(acme.world.day())
    for words in (
        ["sync", "-v"], ["sync", "-v", "--yes"], ["sync", "--matter", str(held), "--yes"],
        ["backfill", "--from", first, "--to", last, "--yes"],
    ):  # fmt: skip
        ran = acme.run(*words, "--firm", "acme")
        assert (ran.code, "`clio-broadly-sync firms resume acme`" in ran.err) == (78, True)
    assert acme.world.asked == []
    for words in (
        ["sync", "--dry-run"], ["status"], ["check"], ["explain", str(held)], ["verify"],
        ["report"], ["outbox", "list"], ["outbox", "drop", "--all", "--yes"],
    ):  # fmt: skip
        assert acme.run(*words, "--firm", "acme").code == 0, words
    assert "The firm is paused" in acme.run("status", "--firm", "acme").out
    assert acme.run("firms", "resume", "acme").code == 0
    assert acme.run("sync", "--firm", "acme").code == 0
    assert acme.world.asked == [held]


def test_all_are_paused_and_resumed(acme: Fleet) -> None:
    """After a restore: whoever resumes all is asked first."""
    for name in ("beta", "gone"):
        acme.add(name)
    assert acme.run("firms", "remove", "gone", "--yes").code == 0
    acme.fails()
    assert acme.run("firms", "pause", "--all").out.startswith("Paused: 2 firms.")
    ran = acme.run("firms", "resume", "--all")
    assert (ran.code, "add --yes" in ran.err) == (2, True)
    ran = on_terminal(acme.world, "firms", "resume", "--all", answers={"[y/N]": "n"})
    assert (ran.code, acme.row("state"), "Nothing was changed" in ran.out) == (0, "paused", True)
    ran = on_terminal(acme.world, "firms", "resume", "--all", answers={"[y/N]": "y"})
    assert (ran.code, acme.row("state"), acme.row("state", "beta")) == (0, "active", "active")
    assert (acme.row("failures"), acme.row("state", "gone")) == (0, "removed")
    assert acme.run("firms", "pause", "--all").code == 0
    assert acme.run("firms", "resume", "--all", "--yes").out == "Due at once: 2 firms.\n"


def test_resumed_after_a_restore_that_no_worker_has_found_yet(acme: Fleet) -> None:
    """None of them is paused again by the first worker that looks."""
    acme.database.read().execute("UPDATE fleet SET mark = 'another'")
    assert acme.run("firms", "resume", "--all", "--yes").out == "Due at once: 1 firm.\n"
    assert (
        acme.row("state"),
        acme.run("fleet", "status", "--json").json["paused_after_restore"],
    ) == (
        "active",
        {"firms": 0, "since": None},
    )
    assert acme.run("sync", "--firm", "acme").code == 0


def test_firms_are_named_or_all_are_meant(acme: Fleet) -> None:
    """One unknown among them, and none is changed."""
    for command in ("pause", "resume"):
        for words in ([], ["acme", "--all"], ["acme", "nobody"]):
            assert acme.run("firms", command, *words).code == 2
    assert acme.row("state") == "active"


# Removed.


def test_removed_firm_leaves_its_ledger(acme: Fleet) -> None:
    """And the key of its hashes: added again, it asks nobody whom it has asked."""
    assert acme.run("sync", "--firm", "acme").code == 0
    acme.world.later(minutes=15)
    first = acme.world.closing()
    assert acme.run("sync", "--firm", "acme").code == 0
    hash_key = acme.secrets()["hash_key"]
    ran = acme.run("firms", "remove", "acme", "--yes")
    assert (ran.code, ran.out) == (0, "Removed: acme. Its ledger is kept.\n")
    assert acme.secrets() == {"hash_key": hash_key}
    assert (acme.row("settings"), acme.row("sign_in"), acme.row("state")) == ({}, None, "removed")
    assert acme.run("sync", "--firm", "acme").code == 2
    assert acme.run("firms", "remove", "acme", "--yes").code == 2
    ran = acme.run("firms", "add", "acme", "--config", str(acme.file("acme")))
    assert (ran.code, ran.out.startswith("Taken up again, with its ledger: acme.")) == (0, True)
    assert acme.secrets()["hash_key"] == hash_key
    acme.world.later(minutes=15)
    again = acme.world.matter(first.contact)
    ran = acme.run("sync", "--firm", "acme", "--json", "-v")
    assert ran.decisions[again] == ("skip", "asked_recently")
    assert acme.world.asked == [first.matter]


@pytest.mark.parametrize("trouble", ["none", "away", "settings"])
def test_sign_in_is_withdrawn(fleet: Fleet, trouble: str) -> None:
    """It is erased here in any case; where Clio did not confirm that, it is said."""
    fleet.by_login()
    fleet.add("acme")
    fleet.keep_sign_in()
    if trouble == "away":
        with fleet.world.clio.outage():
            ran = fleet.run("firms", "remove", "acme", "--yes")
    else:
        wrong = {"SYNC_MAX_NEW": "many"} if trouble == "settings" else {}
        ran = fleet.run("firms", "remove", "acme", "--yes", **wrong)
    assert (ran.code, "did not confirm" in ran.out) == (0, trouble != "none")
    assert (fleet.row("sign_in"), fleet.row("state")) == (None, "removed")
    of_acme = [g for g in fleet.world.clio.oauth.grants if g.access != fleet.world.clio.token]
    assert bool(of_acme) == (trouble != "none")


def test_erased_firm_is_gone(acme: Fleet) -> None:
    """A removed one, too; and where its key is lost, for then nothing else is left to do."""
    assert acme.run("sync", "--firm", "acme").code == 0
    acme.add("beta")
    ran = acme.run("firms", "remove", "acme", "--yes", "--erase")
    assert (ran.code, ran.out) == (0, "Removed: acme. Its ledger is erased, too.\n")
    assert "acme" not in acme.dump
    assert not any(acme.database.rows().values())
    assert acme.run("firms", "remove", "beta", "--yes").code == 0
    assert acme.run("firms", "remove", "beta", "--yes", "--erase").code == 0
    acme.add("gamma")
    lost = {"FLEET_KEYS": new_key()}
    assert acme.run("firms", "remove", "gamma", "--yes", **lost).code == 78
    assert acme.run("firms", "remove", "gamma", "--yes", "--erase", **lost).code == 0
    assert acme.run("firms", "list").out.startswith("There is no firm yet")


def test_firm_that_is_at_work_is_not_removed(acme: Fleet) -> None:
    """75: what it sends at this moment would be noted nowhere."""
    with acme.place().locked("sync"):
        for words in ([], ["--erase"]):
            ran = acme.run("firms", "remove", "acme", "--yes", *words)
            assert (ran.code, "at work" in ran.err) == (75, True)
    assert acme.row("state") == "active"


def test_removal_is_asked_for(acme: Fleet) -> None:
    ran = acme.run("firms", "remove", "acme")
    assert (ran.code, "add --yes" in ran.err) == (2, True)
    ran = on_terminal(acme.world, "firms", "remove", "acme", answers={"[y/N]": "n"})
    assert (ran.code, acme.row("state")) == (0, "active")
    ran = on_terminal(acme.world, "firms", "remove", "acme", answers={"[y/N]": "y"})
    assert (ran.code, acme.row("state")) == (0, "removed")


# The keys.


def test_missing_key_stops_its_firms_alone(acme: Fleet) -> None:
    """78; with `fleet rekey` the old key may go."""
    new = new_key()
    acme.world.secret(new)
    acme.world.settings["FLEET_KEYS"] = new
    acme.add("beta")
    ran = acme.run("sync", "--firm", "acme")
    assert (ran.code, "None of FLEET_KEYS opens" in ran.err) == (78, True)
    assert acme.run("sync", "--dry-run", "--firm", "beta").code == 0
    assert acme.run("fleet", "rekey").code == 78
    ran = acme.run("fleet", "rekey", FLEET_KEYS=f"{new},{KEY}")
    assert (ran.code, ran.out) == (0, "Sealed anew: 2 firms.\n")
    assert acme.run("sync", "--firm", "acme").code == 0


def test_no_file_is_made(fleet: Fleet, tmp_path: Path) -> None:
    """Whatever is asked, and however wrongly."""
    fleet.add("acme")
    file = tmp_path / "fleet.env"
    file.write_text("".join(f"{n}={t}\n" for n, t in fleet.world.settings.items()))
    file.chmod(0o600)
    before = {path for path in tmp_path.rglob("*") if "home" not in path.parts}
    for words in (["sync"], ["status"], ["sync", "--firm", "nobody"], ["sync", "--firm", "acme"],
                  ["check", "--firm", "acme"], ["login", "--firm", "nobody"]):  # fmt: skip
        fleet.run("--config", str(file), *words)
    fleet.run("--config", str(file), "sync", "--firm", "acme", SYNC_MAX_NEW="many")
    after = {path for path in tmp_path.rglob("*") if "home" not in path.parts}
    assert after == before
