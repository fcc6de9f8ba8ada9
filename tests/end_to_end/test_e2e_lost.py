"""Outcome unknown: the answer to a batch is lost, cut or not to be read."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from rig import faults
from rig.faults import Fault
from terminal import on_terminal
from world import NO_WAITS, World, customers, in_pairs

from clio_broadly_sync.sandbox import Response

HTML = "<html><body>It works!</body></html>"
NO_ANSWER: dict[str, Fault] = {
    "lost": faults.lose_answer(),
    "reset": faults.lose_answer(reset=True),
    "cut": faults.cut_body(),
    "cut chunked": faults.cut_body(framing="chunked"),
}
BAD_ANSWER: dict[str, Fault] = {
    "half a JSON": faults.cut_body(framing="close"),
    "garbled": faults.garble(),
    "HTML": faults.answer(200, HTML, process=True),
    "empty": faults.answer(200, process=True),
    "empty 201": faults.answer(201, process=True),
    "error inside": faults.answer(200, {"error": {"code": "oops"}}, process=True),
    "a list": faults.answer(200, [], process=True),
    "results no list": faults.answer(200, {"results": {"0": "accepted"}}, process=True),
    "202 in HTML": faults.answer(202, HTML, process=True),
    "500": faults.answer(500, HTML, process=True),
    "503 without a time": faults.answer(503, process=True),
    "408": faults.answer(408, process=True),
    "425": faults.answer(425, process=True),
}


def _first_post_of_each(world: World, all_faults: Iterable[Fault]) -> list[int]:
    """Close a matter for each fault, which plays at the first POST of its client."""
    matters = []
    for fault in all_faults:
        matter = world.closing().matter
        world.broadly.faults.add(fault, when=lambda r, m=matter: f":{m}:".encode() in r.body)
        matters.append(matter)
    return matters


def test_lost_answers_are_repeated_where_broadly_dedupes(world: World) -> None:
    """In the same run, under the same key and with the same bytes; nobody is asked twice."""
    world.dedupes()
    matters = _first_post_of_each(world, NO_ANSWER.values())
    ran = world.sync("--json", BROADLY_BATCH_SIZE="1")
    assert (ran.code, ran.delivery["sent"]) == (0, len(matters))
    for one, other in in_pairs(world.broadly.posts):
        assert one.headers["idempotency-key"] == other.headers["idempotency-key"]
        assert one.body == other.body
    assert world.posts == [[matter] for matter in matters for _ in range(2)]
    assert world.asked == matters


def test_unreadable_answers_are_repeated_under_a_new_key(world: World) -> None:
    """A server may replay a complete answer for a used key; the transactionId still counts."""
    world.dedupes()
    matters = _first_post_of_each(world, BAD_ANSWER.values())
    ran = world.sync("--json", BROADLY_BATCH_SIZE="1")
    assert (ran.code, ran.delivery) == (0, {"sent": len(matters), "duplicate": len(matters)})
    for one, other in in_pairs(world.broadly.posts):
        assert one.headers["idempotency-key"] != other.headers["idempotency-key"]
        assert one.body == other.body
    assert world.posts == [[matter] for matter in matters for _ in range(2)]
    assert world.asked == matters


@pytest.mark.parametrize("name", ["lost", "cut", "half a JSON", "HTML", "error inside", "500"])
def test_unknown_outcome_is_held_where_broadly_does_not(world: World, name: str) -> None:
    """The push ends there, so that it holds one batch."""
    matters = world.closings(4)
    world.broadly.faults.add((NO_ANSWER | BAD_ANSWER)[name])
    ran = world.sync("--json", BROADLY_BATCH_SIZE="2")
    assert (ran.code, ran.delivery) == (65, {"held": 2, "waiting": 2})
    assert (world.posts, world.asked) == ([matters[:2]], matters[:2])
    assert [row.state for row in world.rows()] == ["held"] * 2 + ["pending"] * 2


def test_held_ends_the_run_with_attention(world: World) -> None:
    """65 when it happens, 0 when nothing new happened; the held are never sent again."""
    matters = world.closings(4)
    world.broadly.faults.add(faults.lose_answer())
    assert world.sync("--json", BROADLY_BATCH_SIZE="2").code == 65
    world.later(minutes=61)
    assert world.sync("--json", BROADLY_BATCH_SIZE="2").delivery == {"sent": 2}
    for matter in matters:
        world.firm.edit(matter)
    world.dedupes()
    assert world.sync("--json", "--yes").delivery == {}
    span = world.day(3), world.day()
    assert world.backfill(*span, "--yes", "--json").delivery == {}
    assert world.posts == [matters[:2], matters[2:3], matters[3:]]


def test_outage_is_paid_for_once_an_hour_and_then_less_often(world: World) -> None:
    """One batch, and then one client after each pause; `status` and `check` say until when."""
    world.later(days=2)  # so that the program's own clock is the firm's
    matters = world.closings(8)
    batches = {"BROADLY_BATCH_SIZE": "3"}
    world.broadly.faults.add(faults.answer(503), times=None)
    codes = []
    for _ in range(16):
        codes.append(world.sync(**batches).code)
        world.later(minutes=15, seconds=1)
    assert codes == [65, 69, 69, 69, 65, *[69] * 7, 65, 69, 69, 69]
    assert world.posts == [matters[:3], [matters[3]], [matters[4]]]
    assert "Paused     until " in world.run("status").out
    assert "warning  pause: Broadly's last answer was lost, so nobody" in world.check().out
    dry = world.sync("--dry-run", "--json")
    assert (dry.code, dry.json["requests"]["broadly"]) == (69, 0)
    world.broadly.faults.clear()
    assert world.sync("--yes", "--json").code == 69  # nobody looks on
    ran = on_terminal(world, "sync", "--yes", **batches)
    assert ran.code == 0
    assert world.posts[3:] == [[matters[5]], matters[6:]]
    assert "Paused" not in world.run("status").out


@pytest.mark.parametrize("dedupes", [True, False])
def test_dropped_before_the_work(world: World, dedupes: bool) -> None:
    """A connection that ends without an answer looks the same, done or not."""
    world.dedupes(dedupes)
    matters = world.closings(2)
    world.broadly.faults.add(faults.drop())
    ran = world.sync("--json")
    assert ran.delivery == ({"sent": 2} if dedupes else {"held": 2})
    assert world.asked == (matters if dedupes else [])


def test_unknown_to_the_end_waits_for_the_next_run(world: World) -> None:
    """Where Broadly dedupes and stays out of order: pending, and then the same transactionIds."""
    world.dedupes()
    matters = world.closings(2)
    world.broadly.faults.add(faults.lose_answer())
    world.busy()
    ran = world.sync("--json", "-v")
    assert ran.code == 69
    assert ran.delivery == {"waiting": 2}
    assert ran.decisions == dict.fromkeys(matters, ("wait", "unknown_outcome"))
    ran = world.sync("--json")
    assert (ran.code, ran.delivery) == (0, {"sent": 2, "duplicate": 2})
    assert world.asked == matters


def test_marked_closing_that_may_not_go_any_more_is_held(world: World) -> None:
    """Opted out or reopened after an unknown outcome: never skipped, never sent."""
    world.dedupes()
    out, reopened, fine = world.closing(), world.closing(), world.closing()
    world.broadly.faults.add(faults.lose_answer())
    world.busy()
    assert world.sync().code == 69
    world.firm.set_opt_out(out.contact)
    world.firm.reopen(reopened.matter)
    world.forget()
    ran = world.sync("--json")
    assert (ran.code, ran.delivery) == (65, {"sent": 1, "duplicate": 1, "held": 2})
    assert world.posts == [[fine.matter]]
    assert {row.state for row in world.rows()} == {"sent", "held"}


def test_given_up_after_ten_runs(world: World) -> None:
    """`retry` becomes a dead letter, unknown becomes held; an outage counts against neither."""
    world.dedupes()
    again, unknown = world.closings(2)
    for matter, word in ((again, "retry"), (unknown, "perhaps")):
        world.broadly.rule(word, when=lambda item, m=matter: f":{m}:" in item["transactionId"])
    for _ in range(9):
        assert world.sync("--json").delivery == {"waiting": 2}
    assert world.posts.count([again, unknown]) == 9
    world.broadly.faults.add(faults.answer(401))
    assert world.sync("--json").delivery == {"waiting": 2}
    ran = world.sync("--json")
    assert (ran.code, ran.delivery) == (65, {"rejected": 1, "held": 1})
    assert {row.matter: row.state for row in world.rows()} == {again: "dead", unknown: "held"}


def test_later_refusal_does_not_settle_the_first_try(world: World) -> None:
    """Lost, then 422: what became of the first is still unknown."""
    world.dedupes()
    matters = world.closings(2)
    world.broadly.faults.add(faults.lose_answer())
    world.broadly.faults.add(faults.answer(422, {"errors": [{"index": 0, "code": "bad"}]}))
    ran = world.sync("--json", "-v")
    assert ran.decisions == dict.fromkeys(matters, ("wait", "unknown_outcome"))
    assert world.sync("--json").delivery == {"sent": 2, "duplicate": 2}
    assert world.asked == matters


def test_conflict_means_the_first_try_still_runs(world: World) -> None:
    """409: wait and ask again under the same key, also where Broadly does not dedupe."""
    matter = world.closing().matter
    world.broadly.faults.add(faults.answer(409))
    assert world.sync("--json").delivery == {"sent": 1}
    keys = {post.headers["idempotency-key"] for post in world.broadly.posts}
    assert (len(world.posts), len(keys), world.asked) == (2, 1, [matter])


def test_conflict_to_the_end_is_unknown(world: World) -> None:
    """Attempts or time spent: held where Broadly does not dedupe."""
    matter = world.closing().matter
    world.broadly.faults.add(faults.answer(409), times=None)
    ran = world.sync("--json", **NO_WAITS)
    assert ran.delivery == {"held": 1}
    assert world.ledger()[matter].state == "held"


def test_bare_202_is_all_accepted(world: World) -> None:
    """With an empty body, or an object without results."""
    for body in (b"", {"batchId": "b_1"}):
        world.broadly.faults.add(faults.answer(202, body, process=True))
        matter = world.closing().matter
        assert world.sync("--json").delivery == {"sent": 1}
        assert world.ledger()[matter].state == "sent"


def _results(edit: Any) -> Fault:
    def change(response: Response) -> Response:
        body = response.json()
        return Response.of_json(response.status, body | {"results": edit(body["results"])})

    return faults.change(change)


def test_missing_result_and_unknown_word_are_unknown(world: World) -> None:
    """Only the item without a readable result is in doubt."""
    matters = world.closings(3)
    world.broadly.faults.add(_results(lambda r: [r[0], r[2] | {"status": "perhaps"}]))
    ran = world.sync("--json", "-v")
    assert (ran.code, ran.delivery) == (65, {"sent": 1, "held": 2})
    assert [world.ledger()[m].state for m in matters] == ["sent", "held", "held"]


@pytest.mark.parametrize(
    "edit",
    [
        lambda r: [r[0] | {"externalId": r[1]["externalId"]}, r[1]],
        lambda r: [r[0], r[1] | {"index": 0}],
        lambda r: [r[0], r[1] | {"index": 9}],
        lambda r: [r[0] | {"index": "0"}, r[1]],
    ],
    ids=["another's id", "index twice", "index too high", "index no number"],
)
def test_results_that_disagree_leave_the_batch_in_doubt(world: World, edit: Any) -> None:
    """Matched by index; where that does not fit, nothing is believed."""
    world.closings(2)
    world.broadly.faults.add(_results(edit))
    assert world.sync("--json").delivery == {"held": 2}


def test_results_in_another_order(world: World) -> None:
    """The index counts, not the place."""
    one, other = world.closings(2)
    world.broadly.rule("rejected", when=lambda item: f":{one}:" in item["transactionId"])
    world.broadly.faults.add(_results(lambda r: r[::-1]))
    assert world.sync().code == 65
    assert (world.ledger()[one].state, world.ledger()[other].state) == ("dead", "sent")


def test_no_message_of_broadly_is_kept_or_printed(world: World) -> None:
    """Its texts may repeat the client's data; the fixture looks for them everywhere."""
    world.closing(email="secretive@example.com")
    world.broadly.rule(
        "rejected",
        error={"code": "Bad secretive@example.com", "message": "no mail for secretive@example.com"},
    )
    assert world.sync("-v").code == 65
    body = {"code": "x", "errors": [{"index": 0, "code": "secretive@example.com"}]}
    world.broadly.faults.add(faults.answer(422, json.dumps(body)))
    world.closing()
    assert world.sync("-v").code == 65
    assert len(customers(world.broadly.posts[-1].body)) == 1
