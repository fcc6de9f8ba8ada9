"""What waits (settling, an outage, a surge, a fault) is read and decided again before it goes."""

from datetime import timedelta

import pytest
from world import World

from clio_broadly_sync.sandbox import Box

SEND = ("send", None)
SETTLE = {"SYNC_SETTLE_HOURS": "2"}


@pytest.mark.parametrize("why", ["settling", "unavailable", "surge"])
def test_what_waits_is_decided_anew(world: World, why: str) -> None:
    """Reopened, gone, opted out, the box unticked: skipped. Nothing changed: handed over."""
    fine, reopened, gone, out, unticked = (world.closing() for _ in range(5))
    settings = {"settling": SETTLE, "unavailable": {}, "surge": {"SYNC_MAX_NEW": "4"}}[why]
    if why == "unavailable":
        world.busy()
    first = world.sync("--json", "-v", **settings)
    assert first.code == {"settling": 0, "unavailable": 69, "surge": 65}[why]
    assert first.decisions == dict.fromkeys(
        (c.matter for c in (fine, reopened, gone, out, unticked)), ("wait", why)
    )
    world.forget()
    world.firm.reopen(reopened.matter)
    world.firm.delete_matter(gone.matter)
    world.firm.set_opt_out(out.contact)
    world.firm.set_thank_you(unticked.matter, False)
    world.later(hours=3)
    second = world.sync("--json", "-v", "--yes", **(SETTLE if why == "settling" else {}))
    assert second.decisions == {
        fine.matter: SEND,
        reopened.matter: ("skip", "not_closed"),
        gone.matter: ("skip", "not_closed"),
        out.matter: ("skip", "opted_out"),
        unticked.matter: ("skip", "not_opted_in"),
    }
    assert (world.asked, world.posts) == ([fine.matter], [[fine.matter]])


def test_settling_takes_its_time(world: World) -> None:
    """Not due before the hours are over, counted from when it was noticed."""
    matter = world.closing().matter
    assert world.sync("--json", **SETTLE).code == 0
    world.later(hours=1, minutes=55)
    ran = world.sync("--json", **SETTLE)
    assert (ran.code, ran.delivery) == (0, {"waiting": 1})
    world.later(minutes=10)
    assert world.sync("--json", **SETTLE).delivery == {"sent": 1}
    assert world.asked == [matter]


def test_reopened_and_closed_again_is_handed_over_once(world: World) -> None:
    """While it settles, and after it was sent."""
    matter = world.closing().matter
    assert world.sync(**SETTLE).code == 0
    world.firm.reopen(matter)
    world.firm.close(matter)
    world.later(hours=3)
    assert world.sync("--json", **SETTLE).delivery == {"sent": 1}
    world.firm.reopen(matter)
    world.firm.close(matter)
    assert world.sync("--json").delivery == {}
    assert world.asked == [matter]


def test_opted_out_between_the_readings_of_matter_and_contact(world: World) -> None:
    """The opt-out is read right before the send: a change while the run reads still counts."""
    closing = world.closing()

    def opt_out(request: object) -> None:
        world.firm.set_opt_out(closing.contact)

    world.clio.before = lambda r: opt_out(r) if "/contacts" in r.path else None
    assert world.sync("--json").json["skipped"] == {"opted_out": 1}
    assert world.posts == []


def test_surge_counts_and_stays(world: World) -> None:
    """More than SYNC_MAX_NEW: nobody, 65 each time, also when new ones come, until --yes."""
    options = {"SYNC_MAX_NEW": "3"}
    matters = world.closings(4)
    assert world.sync(**options).code == 65
    ran = world.sync("--json", "-v", **options)
    assert (ran.code, ran.delivery) == (65, {"waiting": 4})
    assert ran.decisions == dict.fromkeys(matters, ("wait", "surge"))
    dry = world.sync("--json", "--dry-run", **options)
    assert (dry.code, dry.json["to_send"]) == (65, 0)
    dry = world.sync("--json", "--dry-run", "--yes", **options)
    assert (dry.code, dry.order) == (0, matters)
    assert world.posts == []
    assert world.sync("--json", "--yes", **options).delivery == {"sent": 4}
    assert world.asked == matters


def test_surge_counts_what_went_in_a_day(world: World) -> None:
    """Unapproved ones of the last 24 hours count; approved ones and older ones do not."""
    options = {"SYNC_MAX_NEW": "3"}
    world.closings(2)
    assert world.sync("--json", **options).delivery == {"sent": 2}
    world.closings(2)
    assert world.sync("--json", **options).code == 65
    assert world.sync("--json", "--yes", **options).delivery == {"sent": 2}
    world.closing()
    assert world.sync("--json", **options).delivery == {"sent": 1}
    world.later(hours=25)
    world.closings(3)
    assert world.sync("--json", **options).delivery == {"sent": 3}


def test_approval_is_for_what_was_due(world: World) -> None:
    """Approved ones go on in a later run; a surge that comes after them waits for its own yes."""
    options = {"SYNC_MAX_NEW": "2", "BROADLY_BATCH_SIZE": "1"}
    first = world.closings(3)
    assert world.sync(**options).code == 65
    assert world.sync("--json", "--yes", "--limit", "1", **options).delivery == {
        "sent": 1, "waiting": 2,
    }  # fmt: skip
    second = world.closings(3)
    ran = world.sync("--json", "-v", **options)
    assert (ran.code, ran.delivery) == (65, {"sent": 2, "waiting": 3})
    assert world.asked == first
    assert world.sync("--yes", **options).code == 0
    assert world.asked == first + second


def test_faults_do_not_count_for_a_surge(world: World) -> None:
    """What waits as hidden or unreadable is nobody's surge."""
    for _ in range(4):
        world.firm.hide_contact(world.closing().contact)
    assert world.sync("--json").code == 65
    fine = world.closing().matter
    assert world.sync("--json", SYNC_MAX_NEW="3").delivery == {"sent": 1, "waiting": 4}
    assert world.asked == [fine]


def test_watermark_older_than_72_hours(world: World) -> None:
    """A dead cron: what is noticed then waits for a person like a surge."""
    world.later(hours=73)
    matters = world.closings(2)
    for _ in range(2):
        ran = world.sync("--json", "-v")
        assert (ran.code, ran.delivery) == (65, {"waiting": 2})
        assert ran.decisions == dict.fromkeys(matters, ("wait", "surge"))
    assert world.sync("--json", "--yes").delivery == {"sent": 2}
    assert world.asked == matters


def test_watermark_younger_than_72_hours(world: World) -> None:
    """A weekend is no dead cron."""
    world.later(hours=71)
    matters = world.closings(2)
    assert world.sync("--json").delivery == {"sent": 2}
    assert world.asked == matters


def test_hidden_contact(world: World) -> None:
    """65 when new, silent later, read again after 20 hours, sent once it is shown."""
    closing = world.closing()
    world.firm.hide_contact(closing.contact)
    first = world.sync("--json", "-v")
    assert (first.code, first.decisions) == (65, {closing.matter: ("wait", "contact_hidden")})
    world.forget()
    silent = world.sync()
    assert (silent.code, silent.out, silent.err) == (0, "", "")
    assert world.paths == ["matters"]
    world.later(hours=21)
    world.forget()
    ran = world.sync("--json")
    assert (ran.code, ran.delivery) == (0, {"waiting": 1})
    assert "contacts" in world.paths
    world.firm.show_contact(closing.contact)
    world.later(hours=21)
    assert world.sync("--json").delivery == {"sent": 1}
    assert world.asked == [closing.matter]


def test_hidden_until_too_old(world: World) -> None:
    """Then it is skipped with that reason; a redacted contact is hidden, too."""
    redacted, hidden = world.closing(), world.closing()
    world.firm.redact_contact(redacted.contact)
    world.firm.hide_contact(hidden.contact, redact_on_matters=True)
    reasons = dict.fromkeys((redacted.matter, hidden.matter), ("wait", "contact_hidden"))
    assert world.sync("--json", "-v").decisions == reasons
    world.later(hours=71)
    ran = world.sync("--json", SYNC_MAX_AGE_DAYS="2")
    assert ran.json["skipped"] == {"contact_hidden": 2}
    assert world.posts == []


def test_unreadable_boxes(world: World) -> None:
    """65 when new; nobody is sent unread, and after 20 hours they are read again."""
    by_contact, by_matter = world.closing(opt_out=Box.UNREADABLE), world.closing()
    world.firm.set_thank_you(by_matter.matter, Box.UNREADABLE)
    both = dict.fromkeys((by_contact.matter, by_matter.matter), ("wait", "unreadable_field"))
    first = world.sync("--json", "-v")
    assert (first.code, first.decisions) == (65, both)
    assert world.sync().code == 0
    world.firm.set_opt_out(by_contact.contact, False)
    world.firm.set_box("matter", by_matter.matter, True, "SendBroadlyThankYou", touch=False)
    world.later(hours=21)
    assert world.sync("--json").delivery == {"sent": 2}
    assert sorted(world.asked) == [by_contact.matter, by_matter.matter]


def test_token_that_may_not_read_the_boxes(world: World) -> None:
    """Clio answers 200 with nulls: everybody waits, nobody is taken for unchecked."""
    matters = world.closings(2, opt_out=True)
    world.clio.strip_values = True
    ran = world.sync("--json", "-v", SYNC_SETTLE_HOURS="0")
    assert ran.code == 65
    assert ran.decisions == dict.fromkeys(matters, ("wait", "unreadable_field"))
    assert world.posts == []


def test_readings_older_than_15_minutes_are_made_again(world: World) -> None:
    """Time jumps between the reading and the send: the opt-out of meanwhile still counts."""
    one, other = world.closing(), world.closing()

    def jump(request: object) -> None:
        world.broadly.working = None
        world.firm.set_opt_out(other.contact)

    world.broadly.working = jump
    world.clio.after = None
    ran = world.sync("--json", BROADLY_BATCH_SIZE="1")
    assert ran.code == 0
    assert world.asked[0] == one.matter
    assert timedelta(minutes=15) > world.broadly.posts[-1].at - world.clio.history[-1].at
