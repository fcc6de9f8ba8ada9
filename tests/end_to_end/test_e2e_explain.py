"""`explain`: whom it asks, what it foresees, and whose names it shows.

Its sentences are held by golden files, of `test_golden_explain.py` and of unit tests.
"""

from typing import Any

import pytest
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


# By the display number, and names


def _named(world: World, **who: Any) -> tuple[Closing, str]:
    closing = world.closing(**NAMED | who)
    return closing, f"{closing.matter:05d}-{who.get('last_name', NAMED['last_name'])}"


NO_NUMBER = (
    "Clio shows no matter with this display number: give all of it, or the number in the address "
    "of the matter's page in Clio, by which it is recorded."
)


@pytest.mark.parametrize("rest", ["", "/", "/documents", "?tab=notes"])
def test_pasted_address_of_a_matter(world: World, rest: str) -> None:
    """Its number is taken out, so the ledger is asked, even offline; a cut one is none."""
    closing = world.closing()
    world.sync()
    address = f"https://app.clio.com/nc/#/matters/{closing.matter}{rest}"
    assert first_of(world, address).startswith("Sent to Broadly")
    assert explain(world, "--offline", address) == explain(world, "--offline", closing.matter)
    assert explain(world, f"https://app.clio.com/nc/#/matters/{closing.matter}x{rest}") == [
        NO_NUMBER
    ]


def first_of(world: World, number: str) -> str:
    return explain(world, number)[0]


@pytest.mark.parametrize(
    ("option", "asked"), [("--json", ["custom_fields", "contacts"]), ("--offline", [])]
)
def test_no_name_where_none_is_wanted(world: World, option: str, asked: list[str]) -> None:
    """Neither in JSON nor offline, even on a terminal; offline, Clio is asked nothing at all."""
    closing, _ = _named(world)
    world.sync()
    world.forget()
    ran = on_terminal(world, "explain", option, str(closing.matter))
    assert ran.code == 0
    assert "Weatherby" not in ran.out
    assert world.paths == asked


def test_no_name_of_another_firm(world: World) -> None:
    """The ids of this state are other people's at another host: that is not asked."""
    closing, _ = _named(world)
    world.sync()
    ran = on_terminal(
        world, "explain", str(closing.matter), CLIO_BASE_URL="http://localhost:1", **HURRY
    )
    assert ran.code == 78
    assert "clio-broadly-sync: CLIO_BASE_URL" in ran.out
    assert "Weatherby" not in ran.out


def test_another_account_is_not_asked_about_this_state(world: World) -> None:
    """A token of another firm: 78, as in a run; of what is known, only what is stored is said."""
    closing, _ = _named(world)
    world.sync()
    unknown = world.closing()
    world.firm.account.id += 1
    world.clio.oauth.issue("clio-access-of-another-firm")
    other: dict[str, Any] = {"CLIO_ACCESS_TOKEN": "clio-access-of-another-firm"}
    ran = on_terminal(world, "explain", str(closing.matter), **other)
    assert (ran.code, "Weatherby" in ran.out) == (78, False)
    assert "Clio could not be asked how that is now." in ran.out
    assert "clio-broadly-sync: The Clio sign-in belongs to another" in " ".join(ran.out.split())
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


# Wrong usage


def test_number_that_no_id_can_be(world: World) -> None:
    """It may be a display number; to the ledger it is none."""
    assert explain(world, "9" * 40) == [NO_NUMBER]
    assert world.run("explain", "--offline", "9" * 40).code == 2


# As Clio shows it now


def wait(world: World, **who: Any) -> Closing:
    """Let a closing wait for its settling time."""
    closing = world.closing(**who)
    assert world.sync(**SETTLES).code == 0
    return closing


SETTLES = {"SYNC_SETTLE_HOURS": "24"}


def now(world: World, matter: int) -> dict[str, Any]:
    ran = world.run("explain", str(matter), "--json", **SETTLES)
    assert ran.code == 0
    (closing,) = ran.json["closings"]
    found: dict[str, Any] = closing
    return found


def test_what_waits_is_looked_at_in_clio(world: World) -> None:
    """Reopened, opted out or gone meanwhile, it will not be sent."""
    fine, reopened, ticked, gone = (wait(world) for _ in range(4))
    world.firm.reopen(reopened.matter)
    world.firm.set_opt_out(ticked.contact, True)
    world.firm.delete_matter(gone.matter)
    assert now(world, fine.matter)["now"] == {"decision": "send", "reason": None}
    for closing, reason in ((reopened, "not_closed"), (ticked, "opted_out"), (gone, "not_closed")):
        told = now(world, closing.matter)
        assert (told["state"], told["now"]) == ("pending", {"decision": "skip", "reason": reason})
        assert "it will not be sent: " in told["more"][-1]


def test_what_is_hidden_still_is_or_goes_on_at_once(world: World) -> None:
    """Once it can be read, the command that does not wait is named."""
    closing = world.closing()
    world.firm.hide_contact(closing.contact)
    assert world.sync().code == 65
    assert now(world, closing.matter)["now"] == {"decision": "wait", "reason": "contact_hidden"}
    world.firm.show_contact(closing.contact)
    told = now(world, closing.matter)
    assert told["now"] == {"decision": "send", "reason": None}
    assert f"sync --matter {closing.matter}" in told["more"][-1]
    world.firm.set_thank_you(closing.matter, "perhaps")
    assert now(world, closing.matter)["now"] == {"decision": "wait", "reason": "unreadable_field"}


def test_whether_who_was_sent_has_opted_out_since(world: World) -> None:
    """Before the daily look has seen it; and what it saw is not said twice."""
    closing = world.closing()
    world.sync()
    assert now(world, closing.matter)["opted_out_since"] is False
    world.firm.set_opt_out(closing.contact, True)
    told = now(world, closing.matter)
    assert (told["opted_out_since"], told["now"]) == (True, None)
    assert told["more"] == [
        "The client has opted out since, as Clio shows it now: tell Broadly not to ask them again."
    ]
    world.later(hours=21)
    assert world.sync().code == 65
    (noticed,) = now(world, closing.matter)["more"]
    assert noticed.startswith("The client has opted out since (noticed on ")
    world.firm.set_opt_out(closing.contact, False)
    told = now(world, closing.matter)
    assert (told["opted_out_since"], told["more"][1:]) == (
        False,
        ["By now the box is not checked any more."],
    )


def test_who_was_sent_and_cannot_be_seen(world: World) -> None:
    """Nothing is claimed of them."""
    hidden, unreadable = world.closing(), world.closing()
    world.sync()
    world.firm.hide_contact(hidden.contact)
    world.firm.set_opt_out(unreadable.contact, "perhaps")
    for closing in (hidden, unreadable):
        assert now(world, closing.matter)["opted_out_since"] is None
    assert "Clio does not show the client now" in now(world, hidden.matter)["more"][0]
    assert "cannot be read" in now(world, unreadable.matter)["more"][0]


def test_all_closings_of_a_contact_take_few_requests(world: World) -> None:
    """They are read together."""
    contact = world.firm.add_contact()
    for _ in range(5):
        world.matter(contact)
    assert world.sync(**SETTLES).code == 0
    world.forget()
    explain(world, "--contact", contact, **SETTLES)
    assert world.paths == ["custom_fields", "matters", "contacts"]


def test_clio_away_leaves_what_is_stored(world: World) -> None:
    """69, but for `--offline`."""
    closing = wait(world)
    away = {"CLIO_ACCESS_TOKEN": "withdrawn"}
    ran = world.run("explain", str(closing.matter), **away, **SETTLES)
    assert (ran.code, "Clio could not be asked how that is now." in ran.out) == (77, True)
    assert ran.out.startswith("Not sent yet: it rests until")
    ran = world.run("explain", str(closing.matter), "--json", **away, **SETTLES)
    assert (ran.code, ran.json["outcome"], ran.json["closings"][0]["now"]) == (77, "denied", None)
    assert explain(world, "--offline", closing.matter, **away, **SETTLES)
