"""`explain`: whom it asks, what it foresees, and whose names it shows.

Its sentences are held by golden files, of `test_golden_explain.py` and of unit tests.
"""

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


ZONES = (None, "America/Los_Angeles", "UTC")


def test_time_is_that_of_the_firm(world: World) -> None:
    """Clio's zone for it, or the one of the settings."""
    closing = world.closing(opt_out=True)
    assert world.sync().code == 0
    said = {zone: first(world, closing.matter, CLIO_TIME_ZONE=zone)[-10:] for zone in ZONES}
    assert said[None] == said["America/Los_Angeles"] == "12:01 PST."
    assert said["UTC"] in ("20:01 UTC.", "19:01 UTC.")


def test_names_of_the_fields_are_those_of_the_settings(world: World) -> None:
    world.firm.fields.rename("BroadlyOptOut", "Please no review")
    closing = world.closing()
    world.firm.set_box("contact", closing.contact, True, "Please no review")
    assert world.sync(SYNC_OPT_OUT_FIELD="Please no review").code == 0
    said = first(world, closing.matter, SYNC_OPT_OUT_FIELD="Please no review")
    assert "the contact's Please no review box was checked" in said


def test_limit_of_a_surge_is_that_of_the_settings(world: World) -> None:
    few = {"SYNC_MAX_NEW": "1"}
    surge = world.closings(3)
    world.sync(**few)
    assert "more matters closed than SYNC_MAX_NEW (1)" in first(world, surge[0], **few)


def test_address_of_the_person_asked_before(world: World) -> None:
    """Clio alone has it: where it is not asked, is away or has another by now, no matter is named,
    and the answer stands."""
    world.closing(email="pat@example.com")
    world.sync()
    other = world.closing(email="pat@example.com")
    world.sync()
    unknown = explain(world, other.matter, "--offline")[1]
    assert explain(world, other.matter)[1] != unknown
    assert explain(world, other.matter, CLIO_ACCESS_TOKEN="withdrawn")[1] == unknown
    world.firm.edit_contact(other.contact, email="new@example.com")
    assert explain(world, other.matter)[1] == unknown
    world.firm.hide_contact(other.contact)
    assert explain(world, other.matter)[1] == unknown


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
    assert first(world, lost.matter).startswith("Perhaps handed over on ")
    says = world.run("explain", "--json", str(dropped.matter)).json["says"]
    assert says.startswith("Not handed over: a person took it out of the outbox on ")
    assert "under the close date" in says


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


# What the ledger does not know


def test_closed_since_the_last_run(world: World) -> None:
    """The same rules as in the run to come, which is none yet."""
    goes, none = world.closing(), world.closing(thank_you=False)
    sentence = first(world, goes.matter)
    assert sentence == first(world, goes.matter, SYNC_SETTLE_HOURS="24")
    assert sentence.startswith("Not handed over yet: nothing speaks against it")
    assert "SendBroadlyThankYou box was not checked" in first(world, none.matter)
    assert world.posts == []
    world.sync()
    assert first(world, goes.matter).startswith("Handed over to Broadly")


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
    world.later(days=40)
    ran = on_terminal(world, "explain", str(closing.matter), columns=60)
    assert all(len(line) <= 60 or line.startswith("`") for line in ran.out.splitlines())
    assert re.search(r"`clio-broadly-sync backfill --from \S+ --to \S+`", ran.out)
    assert "box was checked when read on" in " ".join(ran.out.split())


# Wrong usage


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--contact", "0"],
        [""],
        ["a\x1bb"],
        ["x" * 256],
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
