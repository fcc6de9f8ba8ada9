"""The addresses of NOTIFY_URLS: told once of what begins and what ends, and never of a client."""

import json
import socket
from collections.abc import Iterator

import leaks
import pytest
from notified import Notified
from rig import faults
from surroundings import at_once
from world import World

from clio_broadly_sync.cli.hearers import GREETING

HELLO = list(GREETING)
HELD = "1 closed matter: held, because Broadly's answer was lost (held)"
DENIED = "`sync` ended with denied (77)"
CALM = "Nothing needs a person now."


@pytest.fixture
def notified(punctual: World) -> Iterator[Notified]:
    """A receiver that the settings name, which was greeted by a run with nothing else to tell; no
    message to it may name anybody or hold a key."""
    with Notified() as running:
        punctual.settings["NOTIFY_URLS"] = running.address
        assert punctual.sync().code == 0
        yield running
        assert not running.errors
        said = {"a message": b"".join(exchange.request.body for exchange in running.history)}
        keys = leaks.keys_in(punctual.settings)
        assert not leaks.found(said, leaks.of(punctual.sandbox, keys))


def test_greeting_comes_first_and_once(punctual: World, notified: Notified) -> None:
    """So that whoever has set it sees whether it arrives; another way of telling is another."""
    assert notified.told == [("you are told here", HELLO)]
    assert punctual.sync().code == 0
    assert len(notified.history) == 1
    two = {"NOTIFY_URLS": f"{notified.address} jsons://127.0.0.1:1"}
    assert punctual.sync(**two).code == 0
    assert notified.told[1:] == [("you are told here", HELLO)]


def test_what_begins_and_what_ends(punctual: World, notified: Notified) -> None:
    """Each once; what lasts is not told again, and what is over is told with what is left."""
    world = punctual
    world.closing()
    world.broadly.faults.add(faults.lose_answer())
    assert world.sync().code == 65
    assert world.sync().code == 0
    assert notified.told[1:] == [("something needs a person", [HELD])]
    assert [world.sync(CLIO_ACCESS_TOKEN="withdrawn").code for _ in range(2)] == [77, 77]
    assert notified.told[2:] == [
        ("something needs a person", [DENIED, f"Still: {HELD}"]),
    ]
    world.later(days=2)
    assert world.sync().code == 0
    over = f"No longer: {DENIED}"
    assert notified.told[3:] == [("less needs a person", [over, f"Still: {HELD}"])]
    assert world.run("outbox", "drop", "--state", "held", "--yes").code == 0
    assert world.sync().code == 0
    gone = "No longer: held, because Broadly's answer was lost (held)"
    assert notified.told[4:] == [("nothing needs a person any more", [gone, CALM])]


def test_settings_that_are_not_in_order(punctual: World, notified: Notified) -> None:
    """Told all the same, and where more is to be seen."""
    assert punctual.sync(SYNC_RULE="perhaps").code == 78
    assert notified.told[1:] == [("something needs a person", ["`sync` ended with config (78)"])]
    message = json.loads(notified.history[-1].request.body)["message"]
    assert message.endswith(": clio-broadly-sync status")


def test_surge_and_hidden_client(punctual: World, notified: Notified) -> None:
    """Both are told as they wait, by number and word."""
    world = punctual
    world.firm.hide_contact(world.closing().contact)
    assert world.sync().code == 65
    world.closings(3)
    assert world.sync(SYNC_MAX_NEW="2").code == 65
    assert [lines[0] for _, lines in notified.told[1:]] == [
        "1 closed matter: Clio hides the contact from this sign-in (contact_hidden)",
        "3 closed matters: too many at once, or after a long silence: look first, then say yes "
        "(surge)",
    ]


def test_outage_is_told_after_hours(punctual: World, notified: Notified) -> None:
    """It may be over by itself before."""
    world = punctual
    with world.clio.outage():
        for hours in (0, 5, 2, 1):
            world.later(hours=hours)
            assert world.sync(NO_WAITS="yes").code == 69
    assert world.sync().code == 0
    assert [(title, lines[0].partition(":")[0]) for title, lines in notified.told[1:]] == [
        ("something needs a person",
         "Clio or Broadly is out of reach, for six hours and more (unavailable, 69)"),
        ("nothing needs a person any more", "No longer"),
    ]  # fmt: skip


def test_week(punctual: World, notified: Notified) -> None:
    """In the first run of its day, in the firm's zone, and in no other of that day."""
    world = punctual
    world.closings(2)
    assert world.sync().code == 0
    before = len(notified.told)
    mondays = 0
    for _ in range(8):
        world.later(days=1)
        mondays += world.firm.today().weekday() == 0
        for _ in range(2):
            assert world.sync(NOTIFY_WEEKLY="mon").code == 0
        assert len(notified.told) == before + mondays
    (title, lines), *_ = notified.told[before:]
    assert title == "the week"
    assert lines[0].endswith(": 2 clients sent to Broadly.")
    assert lines[1].startswith("Up to date until ")
    assert lines[-1] == "Nothing needs a person."


def test_receiver_that_takes_nothing(punctual: World, notified: Notified) -> None:
    """The run ends as it would; a warning says so once a day without the address, and it is told
    as soon as the receiver takes it."""
    world = punctual
    notified.faults.add(faults.answer(500), times=2)
    denied = {"CLIO_ACCESS_TOKEN": "withdrawn"}
    runs = [world.sync(**denied) for _ in range(3)]
    assert [ran.code for ran in runs] == [77] * 3
    assert ["NOTIFY_URLS could not be told (json)" in ran.err for ran in runs] == [
        True, False, False,
    ]  # fmt: skip
    assert notified.told[1:] == [("something needs a person", [DENIED])]


def test_one_of_two_that_takes_it_is_enough(punctual: World, notified: Notified) -> None:
    """Or the one that works would be told in every run."""
    both = {"NOTIFY_URLS": f"json://127.0.0.1:1/gone, {notified.address}"}
    ran = punctual.sync(SYNC_RULE="perhaps", **both)
    assert (ran.code, "could not be told (json)" in ran.err) == (78, True)
    assert punctual.sync(SYNC_RULE="perhaps", **both).code == 78
    assert len(notified.told) == 2


def test_receiver_that_hangs(punctual: World) -> None:
    """Its own limit ends it, after the state is free."""
    with socket.create_server(("127.0.0.1", 0)) as silent, at_once():
        address = f"json://127.0.0.1:{silent.getsockname()[1]}/"
        ran = punctual.sync(NOTIFY_URLS=address)
    assert (ran.code, "could not be told (json)" in ran.err) == (0, True)


def test_nobody_is_told_of_what_a_person_does(punctual: World, notified: Notified) -> None:
    """Of a dry run and of a backfill; the next `sync` tells what they left."""
    world = punctual
    world.closing()
    world.broadly.faults.add(faults.lose_answer())
    assert world.sync("--dry-run").code == 0
    assert world.backfill(world.day(), world.day(), "--yes").code == 65
    assert len(notified.told) == 1
    assert world.sync().code == 0
    assert notified.told[1:] == [("something needs a person", [HELD])]


def test_check_sends_nothing(punctual: World, notified: Notified) -> None:
    """It says that it is set up, and which address apprise cannot use."""
    ran = punctual.check()
    assert (ran.code, "NOTIFY_URLS is set (json)" in ran.out) == (0, True)
    ran = punctual.check(NOTIFY_URLS=f"{notified.address} nonsense://s3cret-of-mine")
    assert (ran.code, "address 2 of NOTIFY_URLS (nonsense)" in ran.out) == (78, True)
    assert len(notified.told) == 1
