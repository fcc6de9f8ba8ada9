"""The JSON object: every field and its type, and that there is one whatever happens."""

import re
from datetime import date
from typing import Any

from rig import faults
from world import NOBODY, World

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def _is(value: Any, kind: type) -> bool:
    return type(value) is kind


def test_every_field_and_its_type(world: World) -> None:
    """As the design's example has them."""
    sent, waits = world.closing(), world.closing()
    skipped = world.closing(opt_out=True)
    world.firm.hide_contact(waits.contact)
    ran = world.sync("--json", "-v")
    found = ran.json
    assert _is(found["run_id"], str)
    assert found["run_id"]
    assert (found["command"], found["dry_run"], found["outcome"]) == ("sync", False, "attention")
    assert found["watermark"].keys() == {"from", "to"}
    assert all(MOMENT.fullmatch(moment) for moment in found["watermark"].values())
    assert (found["matters_read"], found["to_send"]) == (3, 1)
    assert found["skipped"] == {"opted_out": 1}
    assert found["delivery"] == NOBODY | {"sent": 1, "waiting": 1}
    requests = found["requests"]
    assert requests.keys() == {"clio", "broadly", "bytes", "waited"}
    assert (requests["clio"], requests["broadly"], requests["waited"]) == (3, 1, 0)
    assert _is(requests["bytes"], int)
    assert requests["bytes"] > 0
    assert type(found["seconds"]) in (int, float)
    assert 0 < found["seconds"] < 60
    day = world.day().isoformat()
    entries = {entry["matter_id"]: entry for entry in found["decisions"]}
    assert entries == {
        closing.matter: {
            "matter_id": closing.matter,
            "contact_id": closing.contact,
            "closed_on": day,
            "decision": decision,
            "reason": reason,
        }
        for closing, decision, reason in (
            (sent, "send", None),
            (waits, "wait", "contact_hidden"),
            (skipped, "skip", "opted_out"),
        )
    }


def test_decisions_are_left_out_of_an_ordinary_run(world: World) -> None:
    """They come with -v and in a dry run only; ids of two runs differ."""
    world.closing()
    dry, real = world.sync("--json", "--dry-run").json, world.sync("--json").json
    assert "decisions" in dry
    assert "decisions" not in real
    assert dry["run_id"] != real["run_id"]


def test_a_closing_without_client_or_date(world: World) -> None:
    """What is not there is null."""
    nobody, undated = world.matter(None), world.closing(on=None)
    entries = {e["matter_id"]: e for e in world.sync("--json", "-v").json["decisions"]}
    assert entries[nobody]["contact_id"] is None
    assert entries[undated.matter]["closed_on"] is None


def test_backfill_has_no_watermark(world: World) -> None:
    """It leaves the watermark alone; the close date is that of the matter."""
    matter = world.closing(on=date(2025, 3, 4)).matter
    found = world.backfill(date(2025, 3, 1), date(2025, 3, 31), "--yes", "--json", "-v").json
    assert (found["command"], found["watermark"]) == ("backfill", None)
    (entry,) = found["decisions"]
    assert (entry["matter_id"], entry["closed_on"]) == (matter, "2025-03-04")


def test_delivery_counts_each_answer(world: World) -> None:
    """`sent` includes `duplicate`; suppressed, rejected and waiting each apart."""
    words = ["accepted", "duplicate", "suppressed", "rejected", "retry", "accepted"]
    for number, word in enumerate(words):
        email = f"client{number}@example.com"
        world.closing(email=email)
        world.broadly.rule(word, email=email)
    ran = world.sync("--json", "-v")
    assert ran.delivery == {
        "sent": 3, "duplicate": 1, "suppressed": 1, "rejected": 1, "waiting": 1,
    }  # fmt: skip
    assert (ran.code, ran.json["to_send"]) == (65, 6)


def test_one_object_for_every_failing_outcome(world: World) -> None:
    """The fixture holds each against its exit code; the figures of work undone are zero."""
    world.closing()
    codes = {}
    codes[78] = world.sync("--json", SYNC_RULE="neither")
    codes[77] = world.sync("--json", CLIO_ACCESS_TOKEN="withdrawn")
    world.clio.faults.add(faults.answer(503, headers={"Retry-After": "7200"}))
    codes[69] = world.sync("--json")
    world.broadly.working = lambda request: codes.setdefault(75, world.sync("--json"))
    world.sync("--json")
    world.private = False
    world.state.chmod(0o644)
    codes[74] = world.sync("--json")
    assert {code: ran.code for code, ran in codes.items()} == {code: code for code in codes}
    assert len(codes) == 5
    for ran in codes.values():
        assert (ran.json["to_send"], ran.json["delivery"]["sent"]) == (0, 0)
        assert ran.err.strip(), "a sentence for the person"


def test_none_for_wrong_usage(world: World) -> None:
    """Exit 2: nothing on stdout."""
    wrong = (
        ["sync", "--json", "--limit", "many"],
        ["sync", "--json", "--limit", "-1"],
        ["sync", "--json", "--nonsense"],
        ["backfill", "--json", "--from", "2026-13-01", "--to", "2026-12-31", "--yes"],
        ["backfill", "--json", "--from", "2026-01-01", "--yes"],
        ["nonsense", "--json"],
    )
    for arguments in wrong:
        ran = world.run(*arguments)
        assert (ran.code, ran.out) == (2, ""), arguments
        assert ran.err
