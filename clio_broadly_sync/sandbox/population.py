"""Fill a firm with people and matters of the past two years, the same for the same seed."""

from random import Random
from typing import Final

from clio_broadly_sync.sandbox import people
from clio_broadly_sync.sandbox.records import Contact, Matter
from clio_broadly_sync.sandbox.table import Table

DAY: Final = 86_400
YEAR: Final = 365 * DAY
EPOCH: Final = 719_163  # the day number of 1970-01-01
COMPANIES, NO_EMAIL, NO_PHONE = 0.08, 0.06, 0.06


def populate(
    rng: Random,
    contacts: Table[Contact],
    contact_count: int,
    matters: Table[Matter],
    matter_count: int,
    now: int,
    closed: float,
    fields: tuple[int, int],
) -> None:
    """Fill both tables; `fields` are the ids of the opt-out and the thank-you box."""
    opt_out, thank_you = fields
    contacts.load([_contact(rng, 1001 + n, n, now, opt_out) for n in range(contact_count)])
    make = _MatterMaker(rng, now, closed, thank_you, contact_count)
    matters.load([make(5001 + n) for n in range(matter_count)])


def _contact(rng: Random, row_id: int, number: int, now: int, opt_out: int) -> Contact:
    made = people.person(rng, number, company=rng.random() < COMPANIES)
    updated = now - DAY - int(rng.random() * YEAR)
    row = Contact(row_id, *made, created=updated - YEAR, updated=updated)
    chance = rng.random()
    if chance < NO_EMAIL:
        row.email = None
    elif chance < NO_EMAIL + NO_PHONE:
        row.phone = None
    answer = rng.random()
    if answer < 0.3:
        row.boxes = _answered(opt_out, answer < 0.1)
    return row


class _MatterMaker:
    def __init__(
        self, rng: Random, now: int, closed: float, thank_you: int, contact_count: int
    ) -> None:
        self.rng, self.now, self.closed = rng, now, closed
        self.ticked, self.unticked = _answered(thank_you, True), _answered(thank_you, False)
        self.contact_count = contact_count

    def __call__(self, row_id: int) -> Matter:
        chance = self.rng.random
        client = 1001 + int(chance() * self.contact_count) if self.contact_count else None
        updated = self.now - 2 * DAY - int(chance() * YEAR)
        created = updated - DAY - int(chance() * YEAR)
        row = Matter(row_id, client, "Open", _day(created), None, created, updated)
        if chance() < self.closed:
            row.status, row.closed = "Closed", _day(updated)
        answer = chance()
        if answer < 0.7:
            row.boxes = self.ticked if answer < 0.55 else self.unticked
        return row


_SHARED: dict[tuple[int, bool], dict[int, bool]] = {}


def _answered(field: int, ticked: bool) -> dict[int, bool]:
    """Return one dict for all that gave this answer: a million of them would be heavy."""
    return _SHARED.setdefault((field, ticked), {field: ticked})


def _day(seconds: int) -> int:
    return EPOCH + seconds // DAY
