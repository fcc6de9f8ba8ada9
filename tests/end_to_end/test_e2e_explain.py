"""`explain`: why a client was handed over or not, from the ledger or from Clio as it is now."""

import re
from typing import Any

import pytest
from rig import faults
from terminal import on_terminal
from world import HURRY, Closing, World

NAMED = {"first_name": "Ada", "last_name": "Weatherby"}


def explain(world: World, *arguments: object, **settings: str | None) -> list[str]:
    """Return the lines that are printed, with exit code 0."""
    ran = world.run("explain", *map(str, arguments), **settings)
    assert (ran.code, ran.err) == (0, "")
    return ran.out.splitlines()


def first(world: World, matter: int, **settings: str | None) -> str:
    return explain(world, matter, **settings)[0]


# What the ledger knows


def test_handed_over(world: World) -> None:
    """The sentence, the matter and its client, and how it came to that: run, batch, time."""
    closing = world.closing()
    assert world.sync().code == 0
    sentence, about, *trail = explain(world, closing.matter)
    assert sentence.startswith("Handed over to Broadly on ")
    assert f"matter {closing.matter}, client {closing.contact}, close date " in about
    assert len(trail) == 3
    assert all("run 2 (sync): " in line for line in trail)
    assert [line.partition("(sync): ")[2] for line in trail] == [
        "noticed → waiting",
        "waiting → on its way to Broadly, batch 2.1",
        "on its way to Broadly → handed over",
    ]


CASES: dict[str, tuple[dict[str, Any], str]] = {
    "opted out": ({"opt_out": True}, "Not handed over: the contact's BroadlyOptOut box was"),
    "not opted in": ({"thank_you": False}, "Not handed over: the matter's SendBroadlyThankYou box"),
    "no channel": ({"email": None, "phone": None}, "Not handed over: the contact had no e-mail"),
    "no date": ({"on": None}, "Not handed over: the matter was closed without a close date"),
}


@pytest.mark.parametrize("case", CASES)
def test_not_handed_over(world: World, case: str) -> None:
    """The reason first, with the time at which it was read."""
    how, sentence = CASES[case]
    closing = world.closing(**how)
    assert world.sync().code == 0
    said = first(world, closing.matter)
    assert said.startswith(sentence)
    assert "when read on " in said


ZONES = (None, "America/Los_Angeles", "UTC")


def test_time_is_that_of_the_firm(world: World) -> None:
    """Clio's zone for it, or the one of the settings."""
    closing = world.closing(opt_out=True)
    assert world.sync().code == 0
    said = {zone: first(world, closing.matter, CLIO_TIME_ZONE=zone)[-6:] for zone in ZONES}
    assert said[None] == said["America/Los_Angeles"] == "12:01."
    assert said["UTC"] in ("20:01.", "19:01.")


def test_names_of_the_fields_are_those_of_the_settings(world: World) -> None:
    world.firm.fields.rename("BroadlyOptOut", "Please no review")
    closing = world.closing()
    world.firm.set_box("contact", closing.contact, True, "Please no review")
    assert world.sync(SYNC_OPT_OUT_FIELD="Please no review").code == 0
    said = first(world, closing.matter, SYNC_OPT_OUT_FIELD="Please no review")
    assert "the contact's Please no review box was checked" in said


def test_person_asked_before(world: World) -> None:
    """The other matter is named, and whether it was the same contact, or one with its address."""
    one = world.closing(email="pat@example.com")
    assert world.sync().code == 0
    same, other = world.matter(one.contact), world.closing(email="pat@example.com")
    assert world.sync().code == 0
    lines = explain(world, same)
    assert lines[0].startswith("Not handed over: the same person had already been handed over")
    assert lines[1].startswith(f"The same contact was handed over for matter {one.matter} on ")
    assert explain(world, other.matter)[1].startswith(
        "Another contact in Clio, with the same e-mail address or phone number, was handed over "
        f"for matter {one.matter} on "
    )


def test_address_of_the_person_asked_before(world: World) -> None:
    """Clio alone has it: where it is not asked, is away or has another by now, no matter is named,
    and the answer stands."""
    world.closing(email="pat@example.com")
    world.sync()
    other = world.closing(email="pat@example.com")
    unknown = "It was another contact in Clio, with the same e-mail address or phone number."
    _, foreseen, before, _ = explain(world, other.matter)
    assert foreseen.startswith("The ledger does not know it")
    assert "was handed over for matter" in before
    world.sync()
    assert explain(world, other.matter, "--offline")[1] == unknown
    assert explain(world, other.matter, CLIO_ACCESS_TOKEN="withdrawn")[1] == unknown
    world.firm.edit_contact(other.contact, email="new@example.com")
    assert explain(world, other.matter)[1] == unknown
    world.firm.hide_contact(other.contact)
    assert explain(world, other.matter)[1] == unknown


def test_waiting(world: World) -> None:
    """Until when, or for whom."""
    hidden, rests = world.closing(), world.closing()
    world.firm.hide_contact(hidden.contact)
    world.sync()
    world.sync(SYNC_SETTLE_HOURS="24")
    assert "hid the contact from this sign-in" in first(world, hidden.matter)
    assert first(world, rests.matter).startswith("Handed over")
    later = world.closing()
    world.sync(SYNC_SETTLE_HOURS="24")
    said = first(world, later.matter, SYNC_SETTLE_HOURS="24")
    assert said.startswith("Not handed over yet: it rests until ")
    surge = world.closings(3)
    world.sync(SYNC_MAX_NEW="1")
    said = first(world, surge[0], SYNC_MAX_NEW="1")
    assert "waits for a person's yes, because more matters closed than SYNC_MAX_NEW (1)" in said


def test_what_broadly_answered(world: World) -> None:
    """Rejected with its code, suppressed, known already, or lost."""
    words = ["rejected", "suppressed", "duplicate"]
    closings = {word: world.closing(email=f"{word}@example.com") for word in words}
    for word in words:
        error = {"code": "not_wanted"}
        world.broadly.rule(word, email=f"{word}@example.com", error=error)
    world.sync()
    rejected = first(world, closings["rejected"].matter)
    assert rejected.startswith("Not handed over: Broadly rejected it on ")
    assert rejected.endswith(" (its code: not_wanted).")
    assert first(world, closings["suppressed"].matter).startswith("Not asked: Broadly said")
    assert "had this closing already" in first(world, closings["duplicate"].matter)
    assert explain(world, closings["duplicate"].matter)[-1].endswith("answer: duplicate")
    lost = world.closing()
    world.broadly.faults.add(faults.lose_answer())
    world.sync()
    assert first(world, lost.matter).startswith("Perhaps handed over: Broadly's answer was lost")


def test_several_closings_of_one_matter(world: World) -> None:
    """Reopened and closed anew: the latest first, a sentence each."""
    closing = world.closing()
    world.sync()
    world.later(days=1)
    world.firm.reopen(closing.matter)
    world.firm.close(closing.matter)
    world.sync()
    lines = explain(world, closing.matter)
    blank = lines.index("")
    assert lines[0].startswith("Handed over to Broadly on ")
    assert (
        f"under the close date {_written(world, 1)}; under the new one, {_written(world)}, it "
        in (lines[0])
    )
    assert lines[1].startswith("Another close date within 30 days is taken as a correction")
    assert lines[blank + 1].startswith("Handed over to Broadly")


def test_close_date_corrected_after_a_lost_answer_or_a_drop(world: World) -> None:
    """It says what became of the matter under its former date; in JSON as well."""
    lost, dropped = world.closing(), world.closing(email="nobody@example.com")
    world.broadly.rule("rejected", email="nobody@example.com")
    world.broadly.faults.add(faults.lose_answer())
    world.sync("--limit", "1")
    world.sync()
    assert world.run("outbox", "drop", str(dropped.matter), "--yes").code == 0
    world.later(days=1)
    for closing in (lost, dropped):
        world.firm.set_close_date(closing.matter, world.day())
    world.sync()
    said = first(world, lost.matter)
    assert said.startswith("Perhaps handed over on ")
    assert f"under the new one, {_written(world)}, it is not asked." in said
    found = world.run("explain", "--json", str(dropped.matter)).json
    assert found["says"].startswith("Not handed over: a person took it out of the outbox on ")
    assert f"under the close date {_written(world, 1)}" in found["says"]


def test_matter_closed_anew_long_after(world: World) -> None:
    """That is no corrected date: the same person was asked, for this very matter."""
    closing = world.closing()
    world.sync()
    world.later(days=40)
    world.sync()
    world.firm.reopen(closing.matter)
    world.firm.close(closing.matter)
    world.sync("--yes")
    said, before, *_ = explain(world, closing.matter)
    assert said.startswith("Not handed over: the same person had already been handed over")
    assert before.startswith(f"The same contact was handed over for matter {closing.matter} on ")


def test_only_what_was_handed_over_came_before(world: World) -> None:
    """A request to the same contact that Broadly rejected is not why it was passed over."""
    handed_over = world.closing(email="pat@example.com")
    rejected = world.closing(email="nobody@example.com")
    world.broadly.rule("rejected", email="nobody@example.com")
    world.sync()
    world.firm.edit_contact(rejected.contact, email="pat@example.com")
    same = world.matter(rejected.contact)
    world.sync()
    assert f"was handed over for matter {handed_over.matter} on " in explain(world, same)[1]


def test_known_matter_is_not_asked_of_clio(world: World) -> None:
    """Off a terminal the ledger's answer needs no name, so it stands while Clio is away."""
    closing = world.closing(opt_out=True)
    world.sync()
    world.forget()
    explain(world, closing.matter)
    explain(world, "--contact", closing.contact)
    assert world.paths == []


def test_explaining_changes_nothing(world: World) -> None:
    """Not a byte of the state, and it waits for no other run."""
    closing, unknown = world.closing(), world.closing()
    world.sync()
    before = world.files()
    explain(world, closing.matter)
    explain(world, unknown.matter)
    explain(world, "--contact", closing.contact)
    assert world.files() == before
    said = []
    again = world.closing()
    world.broadly.working = lambda request: said.append(first(world, again.matter))
    world.sync()
    assert said[0].startswith("On its way to Broadly since ")


# Contacts


def test_all_closings_of_a_contact(world: World) -> None:
    """A sentence each, the latest first, without their trails."""
    closing = world.closing()
    world.sync()
    world.later(hours=1)
    second = world.matter(closing.contact)
    world.sync()
    lines = explain(world, "--contact", closing.contact)
    assert lines[0].startswith("Not handed over: the same person")
    assert [line for line in lines if line.startswith("  matter ")] == [
        f"  matter {matter}, client {closing.contact}, close date {_written(world)}"
        for matter in (second, closing.matter)
    ]
    assert not any("run 2" in line for line in lines)


def _written(world: World, days_ago: int = 0) -> str:
    day = world.day(days_ago)
    return f"{day.day} {day:%b %Y}"


def test_contact_without_a_closing(world: World) -> None:
    """What Clio says of it: opted out, nothing against it, or not there."""
    out, fine = world.firm.add_contact(opt_out=True), world.firm.add_contact()
    assert "no closed matter of this contact" in explain(world, "--contact", out)[0]
    assert "the contact's BroadlyOptOut box was checked" in explain(world, "--contact", out)[1]
    assert "Nothing on the contact speaks against it" in explain(world, "--contact", fine)[1]
    world.firm.hide_contact(fine)
    assert "Clio shows no such contact" in explain(world, "--contact", fine)[0]
    assert "Clio was not asked" in explain(world, "--contact", fine, "--offline")[0]


# What the ledger does not know


def test_matter_that_is_open(world: World) -> None:
    """And it says what makes it come up."""
    client = world.firm.add_contact()
    matter = world.firm.add_matter(client, thank_you=True)
    sentence, once, about = explain(world, matter)
    assert sentence == "Not handed over: the matter is not closed in Clio."
    assert "the next `sync` notices it" in once
    assert about.endswith(f"matter {matter}, client {client}")


def test_closed_since_the_last_run(world: World) -> None:
    """The same rules as in the run to come, in the same order."""
    goes, out, none = world.closing(), world.closing(opt_out=True), world.closing(thank_you=False)
    rest = first(world, goes.matter, SYNC_SETTLE_HOURS="24")
    sentence, why, *_ = explain(world, goes.matter)
    assert sentence == rest
    assert sentence == (
        "Not handed over yet: nothing speaks against it, and the next `sync` notices it."
    )
    assert why.startswith("The ledger does not know it: it was edited last on ")
    assert "BroadlyOptOut box was checked" in first(world, out.matter)
    assert "SendBroadlyThankYou box was not checked" in first(world, none.matter)
    assert world.posts == []
    world.sync()
    assert first(world, goes.matter).startswith("Handed over to Broadly")


def test_same_person_is_foreseen(world: World) -> None:
    """By contact or address, as the claim would find it."""
    world.closing(email="pat@example.com")
    world.sync()
    second = world.closing(email="PAT@example.com")
    assert first(world, second.matter).startswith("Not handed over: the same person")


def test_closed_before_the_start(fresh: World) -> None:
    """Left to `backfill`, and the command for that day."""
    day = fresh.day(40)
    old = fresh.closing(on=day)
    assert "No `sync` has run yet" in explain(fresh, old.matter)[1]
    fresh.later(minutes=5)
    fresh.sync()
    fresh.later(minutes=5)
    lines = explain(fresh, old.matter)
    assert "before the start day of this program" in lines[0]
    assert "before the first `sync`" in lines[1]
    assert f"backfill --from {day} --to {day}" in lines[2]


def test_too_old(world: World) -> None:
    world.later(days=60)
    world.sync()
    world.later(minutes=5)
    old = world.closing(on=world.day(45))
    assert "longer ago than SYNC_MAX_AGE_DAYS allows (30 days)" in first(world, old.matter)


def test_gone_or_hidden(world: World) -> None:
    said, about = explain(world, 4_999)
    assert said.startswith("Clio shows no such matter: it was deleted, or is hidden")
    assert about == "  matter 4999"


def test_box_checked_too_late_for_sync(world: World) -> None:
    """What a backfill passed over is not `sync`'s again, where its close date is too old."""
    day = world.day(45)
    old = world.closing(on=day, thank_you=False)
    assert world.backfill(day, day, "--yes").code == 0
    said = explain(world, old.matter)[1]
    assert said == (
        "Check the box in Clio, if this client is to be asked; then: "
        f"`clio-broadly-sync backfill --from {day} --to {day}`."
    )
    world.firm.set_thank_you(old.matter)
    world.sync()
    assert first(world, old.matter).startswith("Not handed over")
    world.backfill(day, day, "--yes")
    assert first(world, old.matter).startswith("Handed over")


def test_offline(world: World) -> None:
    """The ledger alone; what it does not know stays open, and Clio is not asked."""
    known = world.closing()
    world.sync()
    unknown = world.closing()
    world.forget()
    assert explain(world, known.matter, "--offline")[0].startswith("Handed over")
    assert "Clio was not asked" in explain(world, unknown.matter, "--offline")[0]
    assert world.paths == []


def test_clio_is_away(world: World) -> None:
    """69 or 77 only for what the ledger cannot answer."""
    known = world.closing()
    world.sync()
    unknown = world.closing()
    world.clio.faults.add(faults.answer(503, headers={"Retry-After": "7200"}))
    ran = world.run("explain", str(unknown.matter))
    assert (ran.code, ran.out) == (69, "")
    assert "Clio is busy" in ran.err
    assert world.run("explain", str(unknown.matter), CLIO_ACCESS_TOKEN="withdrawn").code == 77
    assert world.run("explain", str(known.matter), CLIO_ACCESS_TOKEN="withdrawn").code == 0


def test_what_stops_a_sync_stops_a_foresight(world: World) -> None:
    """It would not decide, so nothing is foretold: 78, as in the run."""
    unknown = world.closing()
    world.firm.fields.rename("BroadlyOptOut", "Something else")
    ran = world.run("explain", str(unknown.matter))
    assert ran.code == 78
    assert "BroadlyOptOut" in ran.err


# By the display number, and names


def _named(world: World, **who: Any) -> tuple[Closing, str]:
    closing = world.closing(**NAMED | who)
    return closing, f"{closing.matter:05d}-{who.get('last_name', NAMED['last_name'])}"


def test_display_number(world: World) -> None:
    """Found in Clio, capitals or not; what is not the whole number finds nothing."""
    closing, number = _named(world)
    world.sync()
    for asked in (number, number.upper()):
        assert first_of(world, asked).startswith("Handed over to Broadly")
    for asked in (NAMED["last_name"], number[:-1], "0", "-5"):
        assert explain(world, "--", asked) == [NO_NUMBER]
    open_matter = world.firm.add_matter(closing.contact)
    asked = f"{open_matter:05d}-{NAMED['last_name']}"
    assert first_of(world, asked) == "Not handed over: the matter is not closed in Clio."


NO_NUMBER = (
    "Clio shows no matter with this display number: give all of it, or the number in the address "
    "of the matter's page in Clio, by which the ledger knows it."
)


@pytest.mark.parametrize("rest", ["", "/", "/documents", "?tab=notes"])
def test_pasted_address_of_a_matter(world: World, rest: str) -> None:
    """Its number is taken out, so the ledger is asked, even offline; a cut one is none."""
    closing = world.closing()
    world.sync()
    address = f"https://app.clio.com/nc/#/matters/{closing.matter}{rest}"
    assert first_of(world, address).startswith("Handed over to Broadly")
    assert explain(world, "--offline", address) == explain(world, closing.matter)
    assert explain(world, f"https://app.clio.com/nc/#/matters/{closing.matter}x{rest}") == [
        NO_NUMBER
    ]


def first_of(world: World, number: str) -> str:
    return explain(world, number)[0]


def test_name_on_a_terminal(world: World) -> None:
    """The sentence comes first; the name is Clio's of this moment."""
    closing, number = _named(world)
    world.sync()
    world.firm.edit_contact(closing.contact, first_name="Grace")
    ran = on_terminal(world, "explain", str(closing.matter), columns=100)
    lines = ran.out.splitlines()
    assert lines[0].startswith("Handed over to Broadly")
    assert f"matter {closing.matter} ({number})" in lines[1]
    assert f"client {closing.contact} (Grace Weatherby)" in ran.out
    ran = on_terminal(world, "explain", "--contact", str(closing.contact), columns=100)
    assert "(Grace Weatherby)" in ran.out


@pytest.mark.parametrize("option", ["--json", "--offline"])
def test_no_name_where_none_is_wanted(world: World, option: str) -> None:
    """Neither in JSON nor offline, even on a terminal: Clio is not asked."""
    closing, _ = _named(world)
    world.sync()
    world.forget()
    ran = on_terminal(world, "explain", option, str(closing.matter))
    assert ran.code == 0
    assert "Weatherby" not in ran.out
    assert world.paths == []


def test_no_name_while_clio_is_away(world: World) -> None:
    """The answer stands without it, and says why there is none."""
    closing, _ = _named(world)
    world.sync()
    ran = on_terminal(world, "explain", str(closing.matter), CLIO_ACCESS_TOKEN="withdrawn")
    assert ran.code == 0
    assert ran.out.startswith("Handed over to Broadly")
    assert "No name is shown: Clio refuses" in ran.out


def test_no_name_of_another_firm(world: World) -> None:
    """The ids of this state are other people's at another host: that is not asked."""
    closing, _ = _named(world)
    world.sync()
    ran = on_terminal(
        world, "explain", str(closing.matter), CLIO_BASE_URL="http://localhost:1", **HURRY
    )
    assert ran.code == 0
    assert "No name is shown: CLIO_BASE_URL" in " ".join(ran.out.split())


def test_another_account_is_not_asked_about_this_state(world: World) -> None:
    """A token of another firm: no name for what is known, and 78 for what is not, as in a run."""
    closing, _ = _named(world)
    world.sync()
    unknown = world.closing()
    world.firm.account.id += 1
    world.clio.oauth.issue("clio-access-of-another-firm")
    other: dict[str, Any] = {"CLIO_ACCESS_TOKEN": "clio-access-of-another-firm"}
    ran = on_terminal(world, "explain", str(closing.matter), **other)
    assert ran.code == 0
    assert "No name is shown: The Clio sign-in belongs to another" in " ".join(ran.out.split())
    for arguments in ([str(unknown.matter)], ["--contact", str(unknown.contact)]):
        ran = world.run("explain", *arguments, **other)
        assert (ran.code, "another account" in ran.err) == (78, True)
    world.firm.account.id -= 1


def test_name_with_control_characters(world: World) -> None:
    """They never reach the terminal: no colour, no bell, no moved cursor, no turned text."""
    closing, _ = _named(world, last_name="Wea\x1b[31mther\x07by\u202eyb\r\n")
    world.sync()
    ran = on_terminal(world, "explain", str(closing.matter), columns=100)
    assert "Ada Weatherbyyb" in ran.out
    assert not {"\x1b", "\x07", "\u202e"} & set(ran.out)


def test_name_that_the_terminal_cannot_show(world: World) -> None:
    """An old terminal's alphabet is no reason to fail."""
    closing, _ = _named(world, last_name="Łozińska")
    world.sync()
    ran = on_terminal(world, "explain", str(closing.matter), PYTHONIOENCODING="latin-1")
    assert ran.code == 0
    assert "(Ada ?ozi?ska)" in " ".join(ran.out.split())


def test_narrow_terminal(world: World) -> None:
    """Lines are broken between words, except within a command, which is there to be copied."""
    closing, _ = _named(world, opt_out=True)
    world.sync()
    ran = on_terminal(world, "explain", str(closing.matter), columns=60)
    assert all(len(line) <= 60 or line.startswith("`") for line in ran.out.splitlines())
    assert re.search(r"`clio-broadly-sync backfill --from \S+ --to \S+`", ran.out)
    assert "box was checked when read on" in " ".join(ran.out.split())


# JSON, and wrong usage


def test_json(world: World) -> None:
    """One object with the sentence, the state and the trail, and no name."""
    closing, _ = _named(world)
    world.sync()
    found = world.run("explain", "--json", str(closing.matter)).json
    assert found.keys() == {
        "command", "outcome", "matter_id", "contact_id", "in_ledger", "says", "closings", "more",
    }  # fmt: skip
    assert (found["matter_id"], found["contact_id"], found["in_ledger"]) == (
        closing.matter, None, True,
    )  # fmt: skip
    (told,) = found["closings"]
    assert told["says"] == found["says"]
    assert (told["contact_id"], told["state"], told["reason"], told["batch"]) == (
        closing.contact, "sent", None, "2.1",
    )  # fmt: skip
    assert [(c["from"], c["to"]) for c in told["changes"]] == [
        (None, "pending"), ("pending", "sending"), ("sending", "sent"),
    ]  # fmt: skip
    assert told["changes"][1].keys() == {
        "at", "run", "command", "from", "to", "reason", "batch", "answer",
    }  # fmt: skip


def test_json_of_what_is_not_known(world: World) -> None:
    """What is foreseen is told from what the ledger knows; a failure has its outcome."""
    unknown = world.closing(opt_out=True)
    found = world.run("explain", "--json", str(unknown.matter)).json
    assert found["in_ledger"] is False
    assert found["closings"][0]["reason"] == "opted_out"
    assert found["closings"][0]["changes"] == []
    ran = world.run("explain", "--json", str(unknown.matter), CLIO_ACCESS_TOKEN="withdrawn")
    assert (ran.code, ran.json["outcome"], ran.json["says"]) == (77, "denied", None)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["77", "--contact", "5"],
        ["--contact", "0"],
        ["--contact", str(2**63)],
        ["--contact", "name"],
        [""],
        ["  "],
        ["a\x1bb"],
        ["x" * 256],
        ["--offline", "00077-X"],
        ["77", "78"],
    ],
    ids=str,
)
def test_wrong_usage(world: World, arguments: list[str]) -> None:
    """2, and Clio is not even asked."""
    world.forget()
    ran = world.run("explain", "--json", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert world.paths == []


def test_number_that_no_id_can_be(world: World) -> None:
    """It may be a display number; to the ledger it is none."""
    assert explain(world, "9" * 40) == [NO_NUMBER]
    assert world.run("explain", "--offline", "9" * 40).code == 2


def test_before_the_first_run(fresh: World) -> None:
    """No state yet, and none is made by asking."""
    closing = fresh.closing()
    assert first(fresh, closing.matter).startswith("Not handed over yet: nothing speaks against")
    assert fresh.files() == {}
