"""`report --person`: all that is stored about one client, in three forms, and nothing of others."""

import csv
import io
from typing import Any

import pytest
from terminal import on_terminal
from world import World

from clio_broadly_sync import __version__
from clio_broadly_sync.cli.report.person import NOT_LOOKED_AT, NOT_STORED


def told(world: World, contact: int) -> dict[str, Any]:
    ran = world.run("report", "--person", str(contact), "--json")
    assert (ran.code, ran.err) == (0, "")
    return ran.json


def lines(world: World, contact: int, **settings: str | None) -> list[str]:
    ran = world.run("report", "--person", str(contact), **settings)
    assert (ran.code, ran.err) == (0, "")
    return ran.out.splitlines()


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def opted_out_after_sending(world: World) -> tuple[int, int]:
    """Return a client who was sent, opted out a day later and was seen to; and the matter."""
    closing = world.closing()
    assert world.sync().code == 0
    world.later(hours=21)
    world.firm.set_opt_out(closing.contact)
    assert world.sync().code == 65
    return closing.contact, closing.matter


def test_what_was_decided_by_which_rule_and_version(world: World) -> None:
    """For a complaint: each change, its run, and by what that decided; and the opt-out after it."""
    contact, matter = opted_out_after_sending(world)
    found = told(world, contact)
    assert (found["contact_id"], found["in_ledger"]) == (contact, True)
    (closing,) = found["closings"]
    assert (closing["matter_id"], closing["state"], closing["hashes"]) == (matter, "sent", 3)
    assert closing["channels"] == ["email", "phone"]
    assert [(one["from"], one["to"], one["run"]) for one in closing["changes"]] == [
        (None, "pending", 2),
        ("pending", "sending", 2),
        ("sending", "sent", 2),
    ]
    assert closing["opted_out_at"] > closing["claimed_at"]
    assert closing["told_in_run"] == 3
    assert found["opt_out_read"] == {"read_at": closing["opted_out_at"], "hashes": 2}
    (run,) = found["runs"]
    fields = world.firm.fields
    assert (run["run"], run["version"], run["rule"]) == (2, __version__, "both")
    assert run["opt_out_field"] == fields["BroadlyOptOut"].id
    assert run["opt_in_field"] == fields["SendBroadlyThankYou"].id
    assert found["destination"] == {"profile": "batch", "host": world.broadly.url}


def test_in_sentences(world: World) -> None:
    contact, matter = opted_out_after_sending(world)
    said = "\n".join(lines(world, contact))
    assert said.startswith(f"All that is stored about contact {contact} (")
    assert f"\nMatter {matter}, close date " in said
    assert "; sent: e-mail and phone\n" in said
    assert "Opted out after it was sent: noticed " in said
    assert "BroadlyOptOut was checked when it was last read, " in said
    assert f"run 2 (sync): version {__version__}, rule both, fields BroadlyOptOut (302), " in said
    assert f"Sent to: batch, {world.broadly.url}\n" in said
    assert said.endswith(f"{NOT_STORED}\n{NOT_LOOKED_AT}")


def test_as_rows(world: World) -> None:
    """On standard output, or in a new file for its owner alone."""
    contact, matter = opted_out_after_sending(world)
    printed = world.run("report", "--person", str(contact), "--csv", "-")
    found = table(printed.out)
    assert [row["what"] for row in found] == [
        "closing", "change", "change", "change", "opted_out_after_sending", "opt_out_read",
    ]  # fmt: skip
    assert {row["matter_id"] for row in found[:5]} == {str(matter)}
    assert {row["contact_id"] for row in found} == {str(contact)}
    assert {row["version"] for row in found[1:4]} == {__version__}
    assert (found[0]["channels"], found[0]["destination"]) == ("email,phone", world.broadly.url)
    assert (found[0]["in_doubt"], found[0]["approval"], found[0]["tries"]) == ("no", "none", "0")
    ran = world.run("report", "--person", str(contact), "--csv", "client.csv")
    assert (ran.code, ran.out) == (0, "")
    file = world.folder / "client.csv"
    assert table(file.read_text(encoding="utf-8")) == found
    assert file.stat().st_mode & 0o777 == 0o600
    again = on_terminal(world, "report", "--person", str(contact), "--csv", "other.csv")
    assert again.out.strip() == "other.csv: 6 rows."
    taken = world.run("report", "--person", str(contact), "--csv", "client.csv")
    assert taken.code == 74
    beside = world.run("report", "--person", str(contact), "--csv", "state/x.csv", "--json")
    assert (beside.code, beside.json.keys()) == (74, {"command", "outcome"})


def test_nothing_of_anybody_else(world: World) -> None:
    contact, _ = opted_out_after_sending(world)
    other = world.closing()
    world.sync()
    assert str(other.matter) not in "\n".join(lines(world, contact))
    assert [one["matter_id"] for one in told(world, other.contact)["closings"]] == [other.matter]


def test_whom_its_no_has_stopped(world: World) -> None:
    """Another card with the same address was not asked because of this one."""
    no = world.closing(opt_out=True, email="shared@example.com")
    stopped = world.closing(email="shared@example.com")
    world.sync()
    assert [one["matter_id"] for one in told(world, no.contact)["stopped"]] == [stopped.matter]
    said = lines(world, no.contact)
    after = said.index("It has kept others with the same address from being asked")
    assert said[after + 1].startswith(f"  matter {stopped.matter}, close date ")
    found = table(world.run("report", "--person", str(no.contact), "--csv", "-").out)
    assert found[-1]["what"] == "stopped_by_this_contact"
    assert found[-1]["matter_id"] == str(stopped.matter)


def test_matter_that_has_another_client_by_now(world: World) -> None:
    """It was tried for the first one and sent for the second: it is told of both."""
    closing = world.closing()
    world.broadly.rule("rejected", times=1, error={"code": "bad_phone"})
    assert world.sync().code == 65
    other = world.firm.add_contact()
    world.firm.set_client(closing.matter, other)
    assert world.run("outbox", "resend", str(closing.matter), "--yes").code == 0
    assert world.sync().code == 0
    for contact in (closing.contact, other):
        (kept,) = told(world, contact)["closings"]
        assert (kept["matter_id"], kept["contact_id"], kept["state"]) == (
            closing.matter, other, "sent",
        )  # fmt: skip
    said = "\n".join(lines(world, closing.contact))
    assert f"It was tried for this contact; the matter's client is {other} by now." in said
    assert "Broadly's answer: bad_phone" in said
    assert "by now" not in "\n".join(lines(world, other))


def test_contact_of_whom_nothing_is_stored(world: World) -> None:
    """As `explain` does, it says so and ends with 0."""
    world.closing()
    world.sync()
    said = lines(world, 77)
    assert said[0].startswith("Nothing is stored about contact 77 (")
    assert said[1:] == ["", NOT_STORED, NOT_LOOKED_AT]
    found = told(world, 77)
    assert (found["in_ledger"], found["closings"], found["runs"]) == (False, [], [])
    assert table(world.run("report", "--person", "77", "--csv", "-").out) == []


def test_nobody_is_asked_and_nothing_changed(world: World) -> None:
    contact, _ = opted_out_after_sending(world)
    before = world.files()
    world.forget()
    lines(world, contact, CLIO_BASE_URL="http://127.0.0.1:9", CLIO_ACCESS_TOKEN=None)
    told(world, contact)
    assert (world.paths, world.files()) == ([], before)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--person", "x"], "'--person': a contact's id is a number, the one in its address"),
        (["--person", "1", "--list"], "name no days or list"),
        (["--person", "1", "--from", "2026-01-01"], "name no days or list"),
        (["--person", "1", "--by", "attorney"], "name no days or list"),
        (["--person", "1", "--json", "--csv", "-"], "both want standard output"),
    ],
)
def test_wrong_usage(world: World, words: list[str], says: str) -> None:
    ran = world.run("report", *words)
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err


def test_settings_that_cannot_be_used(world: World) -> None:
    ran = world.run("report", "--person", "1", "--json", SYNC_RULE="perhaps")
    assert (ran.code, ran.json["outcome"]) == (78, "config")
    assert "closings" not in ran.json
