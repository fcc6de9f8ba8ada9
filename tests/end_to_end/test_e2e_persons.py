"""One person once: by contact, e-mail address or phone number, across matters and runs."""

from typing import Any

from rig import faults
from world import World, matter_of

ASKED = ("skip", "asked_recently")
SEND = ("send", None)


def _two(world: World, same: str) -> tuple[int, int]:
    """Close two matters of one person, who is in Clio once or twice."""
    if same == "contact":
        contact = world.firm.add_contact()
        return world.matter(contact), world.matter(contact)
    how: dict[str, tuple[Any, Any]] = {
        "email": ({"email": "Pat.Doe@example.com"}, {"email": "pat.doe@EXAMPLE.com"}),
        "phone": ({"phone": "(415) 555-0123"}, {"phone": "+1 415 555 0123"}),
    }
    one, other = how[same]
    return world.closing(**one).matter, world.closing(**other).matter


SAME = ("contact", "email", "phone")


def test_second_closing_of_a_person_waits_and_is_skipped(world: World) -> None:
    """Never in one batch; the first is accepted, so the second is skipped in the same run."""
    pairs = [_two(world, same) for same in SAME]
    between = world.closing().matter
    first, second = [one for one, _ in pairs], [other for _, other in pairs]
    ran = world.sync("--json", "-v")
    assert ran.decisions == dict.fromkeys([*first, between], SEND) | dict.fromkeys(second, ASKED)
    assert world.posts == [[*first, between]]
    assert (ran.json["skipped"], ran.delivery) == ({"asked_recently": 3}, {"sent": 4})


def test_second_goes_when_the_first_is_rejected(world: World) -> None:
    """Nobody was asked by a rejected request."""
    pairs = [_two(world, same) for same in SAME]
    first, second = [one for one, _ in pairs], [other for _, other in pairs]
    world.broadly.rule("rejected", when=lambda item: matter_of(item) in first)
    ran = world.sync("--json")
    assert (ran.code, ran.delivery) == (65, {"sent": 3, "rejected": 3})
    assert world.posts == [first, second]
    assert world.asked == second


def test_second_waits_while_the_first_is_unknown(world: World) -> None:
    """Held counts as asked: the person's other closing is not handed over, ever."""
    contact = world.firm.add_contact()
    first, second = world.matter(contact), world.matter(contact)
    world.broadly.faults.add(faults.lose_answer())
    assert world.sync("--json").delivery == {"held": 1, "waiting": 1}
    world.later(minutes=61)
    ran = world.sync("--json", "-v")
    assert ran.decisions == {second: ASKED}
    assert world.posts == [[first]]


def test_a_later_closing_of_the_same_person(world: World) -> None:
    """Within `SYNC_REASK_DAYS` it is skipped, in whichever run; after them it goes."""
    closing = world.closing(email="pat@example.com")
    assert world.sync().code == 0
    world.later(days=100)
    soon = world.closing(email="PAT@example.com").matter
    assert world.sync("--json", "--yes").json["skipped"] == {"asked_recently": 1}
    world.later(days=81)
    late = world.matter(closing.contact)
    assert world.sync("--yes").code == 0
    assert world.asked == [closing.matter, late]
    assert world.ledger()[soon].reason == "asked_recently"


def test_reask_off_sends_each_closing(world: World) -> None:
    """SYNC_REASK_DAYS=0: two closings of one person, never in one batch."""
    contact = world.firm.add_contact()
    first, second = world.matter(contact), world.matter(contact)
    ran = world.sync("--json", "-v", SYNC_REASK_DAYS="0")
    assert ran.decisions == {first: SEND, second: SEND}
    assert world.posts == [[first], [second]]


def test_corrected_close_date_is_no_new_closing(world: World) -> None:
    """Within 30 days of the hand-over another date is skipped, even with the window off."""
    first = world.closing()
    assert world.sync(SYNC_REASK_DAYS="0").code == 0
    world.later(days=1)
    world.firm.set_close_date(first.matter, world.day())
    ran = world.sync("--json", "-v", SYNC_REASK_DAYS="0")
    assert ran.decisions == {first.matter: ASKED}
    world.later(days=35)
    world.firm.reopen(first.matter)
    world.firm.close(first.matter)
    assert world.sync("--yes", SYNC_REASK_DAYS="0").code == 0
    assert world.asked == [first.matter, first.matter], "closed anew after the 30 days"


def test_new_date_moves_the_waiting_closing(world: World) -> None:
    """What still waits is not two closings: the row moves to the corrected date."""
    matter = world.closing().matter
    assert world.sync("--json", SYNC_SETTLE_HOURS="2").delivery == {"waiting": 1}
    world.later(hours=13)
    world.firm.set_close_date(matter, world.day())
    ran = world.sync("--json", "-v", SYNC_SETTLE_HOURS="2")
    assert ran.decisions == {matter: SEND}
    assert world.rows() == [(matter, world.day().isoformat(), "sent", None)]
    assert world.broadly.accepted[0].item["transactionDate"] == world.day().isoformat()


def test_changed_address_of_the_same_contact(world: World) -> None:
    """The contact alone is enough, whatever else was changed in between."""
    closing = world.closing()
    assert world.sync().code == 0
    world.firm.edit_contact(closing.contact, email="new@example.com", phone=None)
    second = world.matter(closing.contact)
    assert world.sync("--json", "-v").decisions == {second: ASKED}
