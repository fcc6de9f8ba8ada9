"""Broadly refuses: the batch, an item of it, the key, the address, or everything for a while."""

from datetime import timedelta
from email.utils import format_datetime

import pytest
from rig import faults
from world import NO_WAITS, World

NAMED, UNNAMED = "refuse", "refuse_unnamed"
PENDING = {"pending"}


def _states(world: World) -> set[str]:
    return {row.state for row in world.rows()}


def _poison(world: World, matters: list[int], word: str) -> None:
    for matter in matters:
        world.broadly.rule(word, when=lambda item, m=matter: f":{m}:" in item["transactionId"])


@pytest.mark.parametrize("word", [NAMED, UNNAMED])
def test_poison_item_is_isolated(world: World, word: str) -> None:
    """The bad item becomes a dead letter, all the others are handed over."""
    matters = world.closings(7)
    _poison(world, [matters[3]], word)
    ran = world.sync("--json", "-v")
    assert (ran.code, ran.delivery) == (65, {"sent": 6, "rejected": 1})
    assert world.asked == [m for m in matters if m != matters[3]]
    assert world.ledger()[matters[3]].state == "dead"
    keys = [post.headers["idempotency-key"] for post in world.broadly.posts]
    assert len(keys) == len(set(keys)), "each POST is a batch of its own"


@pytest.mark.parametrize("word", [NAMED, UNNAMED])
def test_everybody_refused_is_the_contract(world: World, word: str) -> None:
    """Three refused and none accepted: 78, and all are pending, the refused too."""
    matters = world.closings(5)
    rule = world.broadly.rule(word)
    ran = world.sync("--json")
    assert (ran.code, ran.delivery) == (78, {"waiting": 5})
    assert _states(world) == PENDING
    rule.times = 0
    assert world.sync("--json").delivery == {"sent": 5}
    assert world.asked == matters


def test_two_refused_are_the_items(world: World) -> None:
    """Too few to blame the contract: dead letters at the end of the push, news only once."""
    world.closings(2)
    world.broadly.rule(UNNAMED)
    ran = world.sync("--json")
    assert (ran.code, ran.delivery) == (65, {"rejected": 2})
    assert world.sync("--json").code == 0


def test_three_refused_after_an_acceptance_are_the_items(world: World) -> None:
    """Where anybody was accepted in this run, the contract fits."""
    matters = world.closings(5)
    _poison(world, matters[2:], UNNAMED)
    ran = world.sync("--json")
    assert (ran.code, ran.delivery) == (65, {"sent": 2, "rejected": 3})


def test_index_that_fits_no_item_names_nobody(world: World) -> None:
    """It is narrowed down as if nothing had been named."""
    matters = world.closings(2)
    world.broadly.faults.add(faults.answer(422, {"errors": [{"index": 7, "code": "bad"}]}))
    assert world.sync("--json").delivery == {"sent": 2}
    assert world.posts == [matters, matters[:1], matters[1:]]


def test_too_large_is_halved_and_remembered(world: World) -> None:
    """413: smaller batches for the rest of the run."""
    matters = world.closings(10)
    world.broadly.batch_limit = 3
    ran = world.sync("--json", BROADLY_BATCH_SIZE="5")
    assert (ran.code, ran.delivery) == (0, {"sent": 10})
    assert world.asked == matters
    assert [len(post) for post in world.posts].count(5) == 1


def test_many_posts_in_a_row_lose_nothing(world: World) -> None:
    """Each goes over a connection of its own: one that the other side closes a moment after its
    answer would swallow the next POST, and clients would be held for nothing."""
    matters = world.closings(8)
    world.broadly.batch_limit = 1
    world.broadly.sent = lambda request, response: world.broadly.stopping.wait(0.05)
    ran = world.sync("--json")
    assert (ran.code, ran.delivery) == (0, {"sent": 8})
    assert world.asked == matters


def test_single_item_too_large_is_refused_alone(world: World) -> None:
    """Nothing to halve: a dead letter."""
    matter = world.closing().matter
    world.broadly.faults.add(faults.answer(413))
    assert world.sync("--json").delivery == {"rejected": 1}
    assert world.ledger()[matter].state == "dead"


def test_refused_key_or_address_stops_at_once(world: World) -> None:
    """One POST, nothing counts as an attempt, and all go after the mending."""
    matters = world.closings(3)
    codes = {403: 77, 404: 78, 405: 78, 307: 78, 402: 78}
    for number, (status, code) in enumerate(codes.items(), 1):
        location = {"Location": world.clio.url + "/elsewhere"} if status < 400 else {}
        world.broadly.faults.add(faults.answer(status, headers=location))
        world.later(minutes=1)
        ran = world.sync("--json", BROADLY_BATCH_SIZE="1")
        assert (ran.code, ran.delivery) == (code, {"waiting": 3}), status
        assert len(world.posts) == number
        assert _states(world) == PENDING
        assert ran.json["watermark"]["from"] < ran.json["watermark"]["to"]
    assert all("elsewhere" not in path for path in world.paths)
    assert world.sync("--json").delivery == {"sent": 3}
    assert world.asked == matters


def test_wrong_key(world: World) -> None:
    """77 from Broadly itself; the key is not printed."""
    world.closing()
    world.secret("another-key-of-ours")
    assert world.sync(BROADLY_API_KEY="another-key-of-ours").code == 77
    assert world.sync("--json").delivery == {"sent": 1}


def test_busy_is_obeyed_and_repeated(world: World) -> None:
    """429 and 503 with `Retry-After` were refused, so they may be repeated in the same run."""
    matter = world.closing().matter
    world.broadly.faults.add(faults.answer(429, headers={"Retry-After": "1"}))
    world.broadly.faults.add(faults.answer(503, headers={"Retry-After": "0"}))
    world.broadly.faults.add(faults.answer(429))
    ran = world.sync("--json")
    assert (ran.code, ran.delivery, world.asked) == (0, {"sent": 1}, [matter])
    first, second = world.broadly.posts[:2]
    assert second.at - first.at >= timedelta(seconds=0.95)
    assert first.body == second.body


def test_retry_after_may_be_a_date(world: World) -> None:
    """Counted from the answer's own `Date`."""
    matter = world.closing().matter
    until = world.firm.clock.now() + timedelta(seconds=2)
    world.broadly.faults.add(
        faults.answer(429, headers={"Retry-After": format_datetime(until, usegmt=True)})
    )
    assert world.sync("--json").delivery == {"sent": 1}
    assert world.asked == [matter]


def test_busy_for_longer_than_the_run(world: World) -> None:
    """The run ends cleanly with 69; the closings wait and go with the next."""
    matters = world.closings(2)
    world.broadly.faults.add(faults.answer(503, headers={"Retry-After": "7200"}))
    ran = world.sync("--json", "-v")
    assert (ran.code, ran.delivery) == (69, {"waiting": 2})
    assert ran.decisions == dict.fromkeys(matters, ("wait", "unavailable"))
    assert len(world.posts) == 1
    assert world.sync("--json").delivery == {"sent": 2}


def test_busy_until_the_time_is_over(world: World) -> None:
    """The last answer comes when the run's time is up: 69 all the same, for nobody was served."""
    world.closing()
    busy = faults.answer(503, headers={"Retry-After": "1"})
    world.broadly.before = lambda request: world.broadly.stopping.wait(3.5)
    world.broadly.faults.add(busy, times=None)
    ran = world.sync("--json", SYNC_RUN_MINUTES="0.05")
    assert (ran.code, ran.delivery) == (69, {"waiting": 1})
    assert len(world.posts) == 1


def test_broadly_down(world: World) -> None:
    """69; the watermark moves all the same, the closings wait and go later, each read again."""
    out, fine = world.closing(), world.closing()
    with world.broadly.outage():
        ran = world.sync("--json", "-v", **NO_WAITS)
    assert (ran.code, ran.delivery) == (69, {"waiting": 2})
    assert ran.decisions == dict.fromkeys((out.matter, fine.matter), ("wait", "unavailable"))
    assert ran.json["watermark"]["from"] < ran.json["watermark"]["to"]
    assert ran.json["requests"]["broadly"] >= 1
    world.firm.set_opt_out(out.contact)
    ran = world.sync("--json", "-v")
    assert ran.decisions == {out.matter: ("skip", "opted_out"), fine.matter: ("send", None)}
    assert world.asked == [fine.matter]


def test_items_answered_each_in_its_way(world: World) -> None:
    """Suppressed is final, rejected is dead, retry waits; the others are sent."""
    kinds = {word: world.closing() for word in ("suppressed", "rejected", "retry", "accepted")}
    for word, closing in kinds.items():
        world.broadly.rule(word, externalId=f"clio:contact:{closing.contact}", reason="x", times=1)
    assert world.sync().code == 65
    rows = {word: world.ledger()[closing.matter] for word, closing in kinds.items()}
    assert (rows["suppressed"].state, rows["suppressed"].reason) == ("skipped", "suppressed")
    assert rows["rejected"].state == "dead"
    assert (rows["retry"].state, rows["retry"].reason) == ("pending", "retry")
    assert rows["accepted"].state == "sent"
    world.forget()
    for closing in kinds.values():
        world.firm.edit(closing.matter)
    ran = world.sync("--json")
    assert (ran.code, ran.delivery) == (0, {"sent": 1})
    assert world.posts == [[kinds["retry"].matter]]
    span = world.day(5), world.day()
    assert world.backfill(*span, "--yes", "--json").delivery == {}, "suppressed is final"
