"""An automation stands in Broadly's place: one POST a client, at an address that is a secret."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from forkserver import ForkServer
from ground import Ground
from rig import Webhook, faults
from rig.faults import Fault
from terminal import on_terminal
from world import HURRY, NO_WAITS, World, matter_of

HTML = "<html><body>It works!</body></html>"
LATER = {"Retry-After": "7200"}
LOST: dict[str, Fault] = {
    "no answer": faults.lose_answer(),
    "reset": faults.lose_answer(reset=True),
    "cut": faults.cut_body(),
    "cut chunked": faults.cut_body(framing="chunked"),
    "500": faults.answer(500, HTML, process=True),
    "503 without a time": faults.answer(503, process=True),
    "408": faults.answer(408, process=True),
    "425": faults.answer(425, process=True),
}
"""After these nobody knows whether the client arrived."""
TAKEN: dict[str, Fault] = {
    "HTML": faults.answer(200, HTML, process=True),
    "empty": faults.answer(200, process=True),
    "half a JSON": faults.garble(),
    "an error inside": faults.answer(200, {"error": "oops"}, process=True),
    "201": faults.answer(201, process=True),
    "202": faults.answer(202, HTML, process=True),
    "204": faults.answer(204, process=True),
}
"""Any whole success is one, whatever it says."""


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return Ground(tmp_path_factory.mktemp("bytecode"))


@pytest.fixture
def world(ground: Ground, forks: ForkServer, tmp_path: Path) -> Iterator[World]:
    """Yield a world with an automation, after the first sync; no GET has reached it in the end."""
    world = World(ground.sandbox("webhook"), tmp_path, ground.bytecode, forks)
    world.settings |= {"BROADLY_PER_MINUTE": "6000"}
    with world.sandbox:
        assert world.sync().code == 0
        world.later(minutes=1)
        yield world
        world.check_end()
        assert {exchange.method for exchange in world.broadly.history} <= {"POST"}
        assert _hook(world).gets == 0


def _hook(world: World) -> Webhook:
    assert isinstance(world.broadly, Webhook)
    return world.broadly


def _items(world: World) -> list[dict[str, Any]]:
    return [json.loads(post.body) for post in world.broadly.posts]


def _posted(world: World) -> list[int]:
    """Return the matter of each POST, in order."""
    return [matter_of(item) for item in _items(world)]


def _states(world: World) -> list[str]:
    return sorted(row.state for row in world.rows())


def test_each_client_goes_in_a_post_of_its_own(world: World) -> None:
    """Signed, with a transactionId of its own, and once; the second run has nothing to do."""
    matters = world.closings(60)
    ran = world.sync("--json", SYNC_MAX_NEW="100")
    assert (ran.code, ran.delivery) == (0, {"sent": 60})
    assert _posted(world) == world.asked == matters
    assert all(_hook(world).holds(post.request) for post in world.broadly.posts)
    assert len({post.headers["webhook-id"] for post in world.broadly.posts}) == 60
    assert not any(item["test"] for item in _items(world))
    assert world.sync("--json").delivery == {}
    assert len(world.broadly.posts) == 60


def test_what_the_fields_leave_out_has_no_key(world: World) -> None:
    """All others are always there, and empty where there is nothing to say."""
    world.closing(phone=None)
    world.closing(type="Company")
    world.sync(BROADLY_FIELDS="first_name,company_name,email,phone")
    person, company = _items(world)
    assert person.keys() == company.keys()
    assert "lastName" not in person
    assert (person["phone"], person["companyName"], company["firstName"]) == ("", "", "")


@pytest.mark.parametrize("name", LOST)
def test_lost_answer_holds_one_client(world: World, name: str) -> None:
    """The push ends there with 65, and the pause begins: 69; the one is not sent again."""
    matters = world.closings(4)
    world.broadly.faults.add(LOST[name], skip=1)
    ran = world.sync("--json")
    assert (ran.code, ran.delivery) == (65, {"sent": 1, "held": 1, "waiting": 2})
    assert world.sync("--json").code == 69
    assert _posted(world) == matters[:2]
    world.later(hours=2)
    assert world.sync("--json").delivery["sent"] == 2
    assert _posted(world) == matters
    assert _states(world) == ["held", "sent", "sent", "sent"]


@pytest.mark.parametrize("name", TAKEN)
def test_any_whole_success_is_sent(world: World, name: str) -> None:
    """What an automation answers says nothing of what it does."""
    matters = world.closings(3)
    world.broadly.faults.add(TAKEN[name], times=None)
    ran = world.sync("--json")
    assert (ran.code, ran.delivery) == (0, {"sent": 3})
    assert world.asked == matters


@pytest.mark.parametrize(
    ("status", "code"), [(401, 77), (403, 77), (404, 78), (405, 78), (410, 78), (302, 78)]
)
def test_hook_that_is_gone_or_shut_stops_at_once(world: World, status: int, code: int) -> None:
    """One POST, and nothing counts as an attempt; after the mending all go."""
    matters = world.closings(3)
    world.broadly.faults.add(faults.answer(status, headers={"Location": world.clio.url}))
    ran = world.sync("--json")
    assert (ran.code, ran.delivery) == (code, {"waiting": 3})
    assert len(world.broadly.posts) == 1
    assert world.sync("--json").delivery == {"sent": 3}
    assert world.asked == matters


@pytest.mark.parametrize("status", [429, 503])
def test_busy_for_longer_than_the_run(world: World, status: int) -> None:
    """Refused, so nobody is in doubt: 69, and all wait for the next run."""
    matters = world.closings(3)
    world.broadly.faults.add(faults.answer(status, headers=LATER), skip=1)
    ran = world.sync("--json")
    assert (ran.code, ran.delivery) == (69, {"sent": 1, "waiting": 2})
    assert len(world.broadly.posts) == 2
    assert world.sync("--json").delivery == {"sent": 2}
    assert world.asked == matters


def test_nobody_there(world: World) -> None:
    """No POST can have arrived: 69, all wait, and go once each with the next run."""
    matters = world.closings(3)
    with world.broadly.outage():
        ran = world.sync("--json", **NO_WAITS)
    assert (ran.code, ran.delivery) == (69, {"waiting": 3})
    assert world.sync("--json").delivery == {"sent": 3}
    assert world.asked == matters


def test_refused_client_is_a_dead_letter(world: World) -> None:
    """The others are sent: 65."""
    matters = world.closings(4)
    world.broadly.rule("refuse", when=lambda item: matter_of(item) == matters[1])
    ran = world.sync("--json")
    assert (ran.code, ran.delivery) == (65, {"sent": 3, "rejected": 1})
    assert world.ledger()[matters[1]].state == "dead"


def test_three_refused_and_none_accepted_is_the_contract(world: World) -> None:
    """78, and all are back, the refused too."""
    matters = world.closings(5)
    rule = world.broadly.rule("refuse")
    ran = world.sync("--json")
    assert (ran.code, ran.delivery) == (78, {"waiting": 5})
    assert len(world.broadly.posts) == 3
    rule.times = 0
    assert world.sync("--json").delivery == {"sent": 5}
    assert world.asked == matters


@pytest.mark.parametrize("hook", ["before", "after"])
def test_kill_at_a_post_leaves_one_client_in_doubt(world: World, hook: str) -> None:
    """Claimed one at a time; it is held, and the others go at once."""
    matters = world.closings(5)
    child = world.start(["sync"], {})
    seen: list[object] = []

    def kill(*about: object) -> None:
        seen.append(about)
        if len(seen) == 3:
            child.kill()
            child.wait()

    setattr(world.broadly, hook, kill)
    world.finish(child)
    setattr(world.broadly, hook, None)
    assert _states(world) == ["pending", "pending", "sending", "sent", "sent"]
    assert world.sync("--json").delivery == {"sent": 2, "held": 1}
    assert _posted(world) == matters


def test_check_sends_nothing(world: World) -> None:
    """To many such addresses any request is an event; so it only connects."""
    assert f"{world.broadly.url} can be reached; nothing was sent there" in " ".join(
        world.check().out.split()
    )
    world.check("--json", "-v")
    world.check("--accept")
    assert world.broadly.history == []


def test_check_finds_that_nobody_is_there(world: World) -> None:
    with world.broadly.outage():
        ran = world.check("--json")
    (found,) = [f for f in ran.json["findings"] if f["about"] == "Broadly"]
    assert (ran.code, found["level"], found["exit_code"]) == (69, "failed", 69)


def test_address_is_shown_nowhere(world: World) -> None:
    """Each run is searched for it, and the files with it; here in trouble of each kind."""
    matter = world.closing().matter
    secret = world.broadly.key
    said = _all_said(world, matter)
    for fault in (faults.answer(410), faults.answer(403), faults.redirect("/elsewhere")):
        world.broadly.faults.add(fault)
        said += [(ran := world.sync("-v", "--json")).out, ran.err]
    with world.broadly.outage():
        said += [(ran := world.sync("-v", LOG_FORMAT="json", **HURRY)).out, ran.err]
    world.broadly.faults.add(faults.lose_answer())
    said += [(ran := world.sync("-v")).out, ran.err]
    said += _all_said(world, matter)
    assert not any(secret in text for text in said)
    files = [file for file in world.folder.rglob("*") if file.is_file()]
    assert not any(secret.encode() in file.read_bytes() for file in files)


def _all_said(world: World, matter: int) -> list[str]:
    """Return what the commands print that only look."""
    said = []
    for command in (["status"], ["check"], ["explain", str(matter)], ["outbox", "list"]):
        for more in ([], ["-v"], ["--json"]):
            ran = world.run(*command, *more)
            said += [ran.out, ran.err]
    return said


def test_another_address_stops_and_is_shown_nowhere(world: World) -> None:
    """The state knows only its hash."""
    world.closing()
    other = f"{world.broadly.url}/hooks/another-secret-hook"
    world.secret("another-secret-hook")
    ran = world.sync("-v", BROADLY_URL=other)
    assert ran.code == 78
    assert world.broadly.posts == []
    assert world.check("--accept", BROADLY_URL=other).code in (0, 65, 69)


# A made-up client.


def test_sample_is_marked_and_leaves_the_state_as_it_was(world: World) -> None:
    """From it the automation learns the fields, so all are there."""
    world.closing()
    before, rows = world.files(), world.rows()
    ran = world.check("--send-sample", "--yes", "--json")
    assert ran.code == 0
    assert (world.files(), world.rows()) == (before, rows)
    (item,) = _items(world)
    assert (item["test"], item["firstName"], item["companyName"]) == (True, "Sample", "")
    assert _hook(world).holds(world.broadly.posts[0].request)
    world.check("--send-sample", "--yes")
    first, second = _items(world)
    assert first["transactionId"] != second["transactionId"]
    world.sync()
    assert [item["test"] for item in _items(world)] == [True, True, False]


def test_sample_is_asked_about(world: World) -> None:
    """Without a yes nothing is sent, and without a terminal there is nobody to ask."""
    ran = world.check("--send-sample")
    assert (ran.code, ran.out) == (2, "")
    assert on_terminal(world, "check", "--send-sample", answers={"Send": "n"}).code == 0
    assert world.broadly.posts == []
    assert on_terminal(world, "check", "--send-sample", answers={"Send": "y"}).code == 0
    assert len(world.broadly.posts) == 1


def test_no_sample_where_nothing_is_sent(world: World) -> None:
    """With csv there is no receiver."""
    for more in ([], ["--json"]):
        ran = world.check("--send-sample", "--yes", *more, BROADLY_PROFILE="csv", BROADLY_URL=None)
        assert (ran.code, ran.out) == (2, "")
        assert "BROADLY_PROFILE=csv" in ran.err
    assert world.broadly.posts == []


@pytest.mark.parametrize("options", [["--yes"], ["--send-sample", "--accept", "--yes"]])
def test_options_that_do_not_go_together(world: World, options: list[str]) -> None:
    assert world.check(*options).code == 2
    assert world.broadly.history == []


SAMPLE_ENDS = {
    "refused": (faults.answer(422), 65, "refuses the made-up client (http_422)"),
    "lost": (faults.lose_answer(), 65, "it may have arrived"),
    "no key": (faults.answer(401), 77, "wants a key"),
    "gone": (faults.answer(410), 78, "address is gone"),
    "busy": (faults.answer(429, headers=LATER), 69, "is busy"),
}


@pytest.mark.parametrize("name", SAMPLE_ENDS)
def test_sample_ends_as_a_run_would(world: World, name: str) -> None:
    """One POST and no repeat, and nothing is recorded."""
    fault, code, says = SAMPLE_ENDS[name]
    before = world.files()
    world.broadly.faults.add(fault)
    ran = world.check("--send-sample", "--yes")
    assert ran.code == code
    assert says in " ".join(ran.out.split())
    assert (len(world.broadly.posts), world.files()) == (1, before)


def test_sample_needs_no_state(world: World) -> None:
    """It may be the first thing that is tried."""
    ran = world.check("--send-sample", "--yes", SYNC_STATE=str(world.folder / "new" / "state.db"))
    assert ran.code == 0
    assert not (world.folder / "new").exists()
