"""`sync` where all goes well: twice, in order, within its requests, in what it says."""

import json
import math
import re
import uuid
from typing import Any

from world import NOBODY, World, customers


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


def test_requests_stay_within_the_budget(world: World) -> None:
    """N closings of C clients cost at most ⌈N/200⌉ + ⌈C/100⌉ + 2."""
    clients = [world.firm.add_contact() for _ in range(230)]
    for number in range(420):
        world.matter(clients[number % 230])
    world.forget()
    ran = world.sync("--json", SYNC_MAX_NEW="1000", SYNC_REASK_DAYS="0").json
    assert (ran["matters_read"], ran["delivery"]["sent"]) == (420, 420)
    assert ran["requests"]["clio"] <= math.ceil(420 / 200) + math.ceil(230 / 100) + 2
    assert ran["requests"]["clio"] == len(world.clio.history)
    assert ran["requests"]["broadly"] == len(world.broadly.history)
    assert all(len(post) <= 50 for post in world.posts)
    asked = [query for e in world.clio.history for query in e.query.get("ids[]", [])]
    assert len(asked) == len(set(asked)) == 230


def test_idle_run_reads_a_page_for_each_200_within_the_overlap(world: World) -> None:
    """What was touched lately is read again, and decided on once."""
    world.closings(250)
    assert world.sync(SYNC_MAX_NEW="1000").code == 0
    world.forget()
    ran = world.sync("--json").json
    assert (ran["matters_read"], ran["to_send"], ran["requests"]["clio"]) == (250, 0, 2)


def test_idle_run_loads_nothing_that_it_does_not_need(world: World) -> None:
    """What it costs to find nothing to do is for the most part what it loads."""
    told = {"PYTHONPROFILEIMPORTTIME": "1"}
    world.sync()
    idle = world.finish(world.start(["sync"], told))
    assert idle.code == 0
    loaded = set(re.findall(r"\| +(\w+)$", idle.err, re.MULTILINE))
    assert {"requests", "sqlite3"} <= loaded
    assert not loaded & {"tenacity", "difflib", "phonenumbers", "email_validator"}


def test_closings_read_a_second_time_cost_a_request_for_each_100(world: World) -> None:
    """After settling, M matters are read again in ⌈M/100⌉ requests."""
    world.closings(120)
    options = {"SYNC_MAX_NEW": "1000", "SYNC_SETTLE_HOURS": "2"}
    assert world.sync(**options).code == 0
    world.later(hours=3)
    ran = world.sync("--json", **options).json
    assert ran["delivery"]["sent"] == 120
    assert ran["requests"]["clio"] <= 1 + 2 + 2 + 2


def test_the_post_is_what_the_contract_says(world: World) -> None:
    """A person and a company, with no more than the contract's keys and with a key of its own."""
    person = world.closing(
        first_name=" Zoe\u0308\t", last_name="Lovelace", email=" Zoe@EXAMPLE.com ",
        phone="(415) 555-0123",
    )  # fmt: skip
    company = world.closing(type="Company", name="Harbor Bakery LLC", email=None)
    assert world.sync().code == 0
    (post,) = world.broadly.posts
    assert post.headers["authorization"] == f"Bearer {world.broadly.key}"
    assert post.headers["content-type"] == "application/json"
    assert str(uuid.UUID(post.headers["idempotency-key"])) == post.headers["idempotency-key"]
    document = json.loads(post.body)
    assert document.keys() == {"source", "customers"}
    assert document["source"] == "clio"
    one, other = document["customers"]
    day = world.day().isoformat()
    assert one == {
        "externalId": f"clio:contact:{person.contact}",
        "transactionId": f"clio:matter:{person.matter}:{day}",
        "transactionDate": day,
        "firstName": "Zoë",
        "lastName": "Lovelace",
        "email": "Zoe@example.com",
        "phone": "+14155550123",
    }
    assert other.keys() <= {
        "externalId", "transactionId", "transactionDate", "companyName", "phone",
    }  # fmt: skip
    assert (other["externalId"], other["companyName"]) == (
        f"clio:contact:{company.contact}",
        "Harbor Bakery LLC",
    )


def test_what_leaves_the_firm_may_be_narrowed(world: World) -> None:
    """`BROADLY_FIELDS` says what, `BROADLY_AUTH_HEADER` in which header the key goes."""
    world.broadly.auth_header = "X-API-Key: {key}"
    matter = world.closing().matter
    options = {"BROADLY_FIELDS": "first_name,phone", "BROADLY_AUTH_HEADER": "X-API-Key: {key}"}
    assert world.sync(**options).code == 0
    assert world.asked == [matter]
    (post,) = world.broadly.posts
    assert "authorization" not in post.headers
    named = {"externalId", "transactionId", "transactionDate", "firstName", "phone"}
    assert customers(post.body)[0].keys() == named


def test_order_is_that_of_noticing(world: World) -> None:
    """First who was noticed first, then by matter; all closings of a client together."""
    one, other = world.closings(2)
    regular = world.firm.add_contact()
    first = world.matter(regular)
    world.busy()
    assert world.sync().code == 69
    world.later(minutes=5)
    newer = world.closing().matter
    second = world.matter(regular)
    ran = world.sync("--json", "-v", SYNC_REASK_DAYS="0", BROADLY_BATCH_SIZE="1")
    assert ran.code == 0
    assert world.asked == [one, other, first, second, newer]
    assert ran.order == world.asked


def test_limit_hands_over_so_many_and_keeps_the_rest(world: World) -> None:
    """In whole: the first N in order now, the others in the next run."""
    matters = world.closings(5)
    ran = world.sync("--json", "--limit", "2", BROADLY_BATCH_SIZE="50")
    assert (ran.code, ran.delivery) == (0, {"sent": 2, "waiting": 3})
    assert world.asked == matters[:2]
    assert world.sync("--limit", "9").code == 0
    assert world.asked == matters


def test_time_over_ends_cleanly(world: World) -> None:
    """No POST begins after the run's time; what waits goes with the next run."""
    matters = world.closings(3)
    world.broadly.before = lambda request: world.broadly.stopping.wait(0.7)
    ran = world.sync("--json", BROADLY_BATCH_SIZE="1", SYNC_RUN_MINUTES="0.01")
    assert ran.code == 0
    assert len(world.asked) < 3
    assert ran.delivery.get("sent", 0) == len(world.asked)
    assert ran.delivery["waiting"] == 3 - len(world.asked)
    world.broadly.before = None
    assert world.sync().code == 0
    assert world.asked == matters


def test_verbose_says_more_on_stderr_only(world: World) -> None:
    """-v may stand before the command; each line of the log may be an object."""
    matter = world.closing().matter
    ran = world.run("-v", "sync", LOG_FORMAT="json")
    assert ran.code == 0
    assert ran.out == ""
    assert any(str(matter) in json.loads(line)["message"] for line in ran.err.splitlines())
    assert all(isinstance(json.loads(line), dict) for line in ran.err.splitlines())
    assert ran.err


def test_settings_may_come_from_a_file(world: World) -> None:
    """--config, $CLIO_BROADLY_SYNC_CONFIG or ./config.env; the environment wins."""
    given: dict[str, Any] = dict(world.settings)
    text = "".join(f"{name}={value}\n" for name, value in given.items())
    (world.folder / "mine.env").write_text(text.replace("RULE=both", "RULE=opt-out"))
    away = dict.fromkeys(given)
    config = str(world.folder / "mine.env")
    assert world.sync("--config", config, **away).code == 78
    assert world.sync("--config", config, **away | {"SYNC_RULE": "both"}).code == 0
    (world.folder / "config.env").write_text(text)
    assert world.sync(**away).code == 0
