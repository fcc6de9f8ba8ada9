"""Broadly stays away, answers each item in its own way, or closes connections."""

from rig.faults import Delivery, Fault, Turn
from world import NO_WAITS, World


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


def test_halved_to_singles_where_each_connection_is_closed_in_silence(world: World) -> None:
    """No POST meets a connection that the other side is about to close: nobody is held."""

    def play(turn: Turn) -> Delivery:
        response = turn.process(turn.request)
        return Delivery(response, [response.body], len(response.body), pause=0.02, cut=True)

    matters = world.closings(40)
    world.broadly.batch_limit = 1
    world.broadly.faults.add(Fault("close late", play), times=None)
    ran = world.sync("--json")
    assert (ran.code, ran.delivery) == (0, {"sent": 40})
    assert world.asked == matters
