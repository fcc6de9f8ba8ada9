"""`sync` where all goes well: twice, lightly, and by the settings."""

import re

from world import NOBODY, World, customers

from clio_broadly_sync.sandbox import Box

OF_A_FILE = {
    "daily_look", "database", "exports", "facts", "half_restored", "history", "integrity",
    "ledger", "leftovers", "lock", "noes", "notebook", "objections", "outbox", "overview",
    "people", "queue", "rows", "schema", "state", "tables", "tokens", "writer",
}  # fmt: skip
"""The modules of the store that a state in a file needs; those of many firms are none of them."""


def test_sync_twice_sends_once(world: World) -> None:
    """The second run asks Clio one thing, posts nothing, and prints nothing off a terminal."""
    matters = world.closings(3)
    first = world.sync()
    assert (first.code, first.out, first.err) == (0, "", "")
    assert world.asked == matters
    world.forget()
    second = world.sync()
    assert (second.code, second.out, second.err) == (0, "", "")
    assert (world.paths, world.posts) == (["matters"], [])
    world.later(minutes=15)
    third = world.sync("--json").json
    asked = third["requests"]
    assert (asked["clio"], asked["broadly"], asked["waited"]) == (1, 0, 0)
    assert (third["to_send"], third["skipped"], third["delivery"]) == (0, {}, NOBODY)
    assert third["watermark"]["from"] < third["watermark"]["to"]
    assert third["run_id"] != world.sync("--json").json["run_id"]


def test_idle_run_loads_nothing_that_it_does_not_need(world: World) -> None:
    """What it costs to find nothing to do is for the most part what it loads."""
    told = {"PYTHONPROFILEIMPORTTIME": "1"}
    world.sync()
    idle = world.finish(world.start(["sync"], told))
    assert idle.code == 0
    loaded = set(re.findall(r"\| +([\w.]+)$", idle.err, re.MULTILINE))
    assert {"requests", "sqlite3"} <= loaded
    assert not loaded & {"tenacity", "difflib", "phonenumbers", "email_validator", "psycopg"}
    assert "click.shell_completion" not in loaded
    store = "clio_broadly_sync.store."
    assert {name.removeprefix(store) for name in loaded if name.startswith(store)} == OF_A_FILE


def test_settings_reach_the_run(world: World) -> None:
    """Who is left out, which box counts, what leaves the firm, in which header the key goes, and
    how far back is looked."""
    world.later(days=10)
    world.firm.fields.rename("SendBroadlyThankYou", "thanks")
    world.broadly.auth_header = "X-API-Key: {key}"
    settings = {
        "SYNC_MAX_AGE_DAYS": "5",
        "SYNC_COMPANIES": "false",
        "SYNC_OPT_IN_FIELD": "thanks",
        "SYNC_OVERLAP_MINUTES": "5",
        "BROADLY_FIELDS": "first_name,email",
        "BROADLY_AUTH_HEADER": "X-API-Key: {key}",
    }
    expected = {
        world.closing(thank_you=Box.UNTOUCHED).matter: ("send", None),
        world.closing(on=world.day(6), thank_you=Box.UNTOUCHED).matter: (
            "skip",
            "closed_too_long_ago",
        ),
        world.closing(type="Company", thank_you=Box.UNTOUCHED).matter: ("skip", "company"),
        world.closing(email=None, thank_you=Box.UNTOUCHED).matter: ("skip", "no_channel"),
    }
    for matter in expected:
        world.firm.set_box("matter", matter, True, "thanks")
    assert world.sync("--json", "-v", "--yes", **settings).decisions == expected
    (item,) = customers(world.broadly.posts[0].body)
    named = {"externalId", "transactionId", "transactionDate", "firstName", "email"}
    assert item.keys() == named
    world.later(minutes=30)
    assert [world.sync("--json", **settings).json["matters_read"] for _ in range(2)] == [4, 0]
