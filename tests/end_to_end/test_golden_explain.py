"""Golden transcripts of `explain`: from the ledger, and from Clio as it is now.

The sentence of every state and reason is held without a run, in `explain_every_reason`.
"""

from full_day import full_day
from golden_files import Golden
from rig import faults
from transcripts import Transcript
from world import World

WITHDRAWN = {"CLIO_ACCESS_TOKEN": "withdrawn"}
NAMED = {"first_name": "Ada", "last_name": "Weatherby"}


def test_every_matter_of_a_full_day(office: World, golden: Golden) -> None:
    """What became of each, and how it came to that; as JSON for some."""
    closed = full_day(office, Transcript(office))
    done = Transcript(office)
    for why, matter in closed.items():
        done.note(why)
        done.run("explain", str(matter))
    for why in ("sent", "rejected", "opted_out"):
        done.run("explain", str(closed[why]), "--json")
    done.note("All closings of the client that was asked.")
    done.run("explain", "--contact", "1003")
    done.run("explain", "--contact", "1003", "--json")
    golden("explain_full_day", done.text)


def test_nobody_can_be_reached(office: World, golden: Golden) -> None:
    """No address at all, one that cannot be used, one that the settings keep back; and what is
    foreseen of a client without a closing."""
    assert office.sync().code == 0
    closed = {
        "neither": office.closing(email=None, phone=None),
        "blanks": office.closing(email=" ", phone="\u200b"),
        "an e-mail address that is none": office.closing(email="pat at example", phone=None),
        "a phone number with an extension": office.closing(email=None, phone="212-555-0142 x7"),
        "both, and neither can be used": office.closing(email="pat@", phone="555-0142"),
        "a company": office.closing(email="n/a", phone=None, type="Company"),
    }
    done, email_only = Transcript(office), {"BROADLY_FIELDS": "first_name,email"}
    done.run("sync", "--json")
    closed["only a phone number"] = office.closing(email=None)
    closed["a phone number, and an e-mail address that is none"] = office.closing(email="pat@")
    done.run("sync", "--json", **email_only)
    for what, closing in closed.items():
        done.note(what)
        done.run("explain", str(closing.matter))
    done.run("explain", str(closed["a company"].matter), "--json")
    done.note("Contacts without a closing.")
    for who in ({"email": "pat@"}, {"email": None}, {"email": None, "phone": None}):
        done.run("explain", "--contact", str(office.firm.add_contact(**who)), **email_only)
    golden("explain_no_channel", done.text)


def test_asked_before(office: World, golden: Golden) -> None:
    """By another contact with the same address; for the same matter under another close date."""
    assert office.sync().code == 0
    office.later(minutes=15)
    first = office.closing(email="pat@example.com")
    assert office.sync().code == 0
    second = office.closing(email="PAT@example.com").matter
    done = Transcript(office)
    done.note("Another contact with the address of one that was asked; foreseen, and then so.")
    done.run("explain", str(second))
    assert office.sync().code == 0
    done.run("explain", str(second))
    done.run("explain", str(second), "--offline")
    done.note("The matter that was handed over is closed anew, a day later, and 40 days later.")
    for days in (1, 39):
        office.later(days=days)
        office.firm.reopen(first.matter)
        office.firm.close(first.matter)
        assert office.sync("--yes").code == 0
        done.run("explain", str(first.matter))
    done.run("explain", "--contact", str(first.contact))
    golden("explain_asked_before", done.text)


def test_not_in_the_ledger(office: World, golden: Golden) -> None:
    """Open, too old, just closed, gone; before the first run; and contacts."""
    old = office.closing(office.day(40)).matter
    done = Transcript(office)
    done.note("Closed 40 days ago; before the first run, and after it.")
    done.run("explain", str(old))
    office.later(minutes=5)
    assert office.sync().code == 0
    office.later(minutes=15)
    done.run("explain", str(old))
    contact = office.firm.add_contact()
    done.note("Open; closed just now; opted out; gone.")
    done.run("explain", str(office.firm.add_matter(contact)))
    done.run("explain", str(office.closing().matter))
    done.run("explain", str(office.closing(opt_out=True).matter), "--json")
    done.run("explain", "5443")
    done.run("explain", "5443", "--offline")
    done.note("A contact with nothing against it; one that opted out; one that is hidden.")
    done.run("explain", "--contact", str(contact))
    done.run("explain", "--contact", str(office.firm.add_contact(opt_out=True)))
    office.firm.hide_contact(contact)
    done.run("explain", "--contact", str(contact))
    done.run("explain", "--contact", str(contact), "--offline", "--json")
    golden("explain_not_in_the_ledger", done.text)


def test_numbers_names_and_trouble(office: World, golden: Golden) -> None:
    """By display number; with the name on a terminal; while Clio cannot tell."""
    assert office.sync().code == 0
    office.later(minutes=15)
    known = office.closing(**NAMED)
    assert office.sync().code == 0
    matter, unknown = str(known.matter), str(office.closing().matter)
    done = Transcript(office)
    done.run("explain", f"{known.matter:05d}-Weatherby")
    done.run("explain", "Weatherby")
    done.on_terminal("explain", matter)
    done.on_terminal("explain", matter, **WITHDRAWN)
    done.run("explain", unknown, **WITHDRAWN)
    office.clio.faults.add(faults.answer(503, headers={"Retry-After": "7200"}))
    done.run("explain", unknown, "--json")
    done.note("The custom field is renamed.")
    office.firm.fields.rename("BroadlyOptOut", "Something else")
    done.run("explain", unknown)
    done.run("explain", matter)
    golden("explain_numbers_and_trouble", done.text)
