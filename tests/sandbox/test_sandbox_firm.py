"""The firm: who is made up, what its people may do, and what moves updated_at."""

from datetime import UTC, date, datetime, timedelta

from clio_broadly_sync.sandbox import Box, Firm
from clio_broadly_sync.sandbox import people as made_up


def test_same_seed_gives_the_same_firm() -> None:
    """Two firms of one seed hold the same people, another seed holds others."""
    assert Firm(seed=3).people() == Firm(seed=3).people()
    assert Firm(seed=3).people() != Firm(seed=4).people()


def test_nobody_real_is_in_the_firm() -> None:
    """Every number is reserved for fiction, every address lies under example.*."""
    for contact in Firm(contacts=500, matters=0).contacts:
        digits = "".join(char for char in contact.phone or "5550100" if char.isdigit())
        assert digits[-7:-2] == "55501"
        assert (contact.email or "@example.com").split("@")[1] in made_up.DOMAINS


def test_nobody_shares_an_address_or_a_number() -> None:
    """In a large firm too, e-mail addresses and phone numbers are one person's."""
    rows = list(Firm(contacts=20_000, matters=0).contacts)
    emails = [row.email for row in rows if row.email]
    phones = ["".join(filter(str.isdigit, row.phone))[-10:] for row in rows if row.phone]
    assert len(set(emails)) == len(emails)
    assert len(set(phones)) == len(phones) > 10_000


def test_some_matters_are_closed_in_the_past() -> None:
    """Most matters are open; the closed ones were closed before today."""
    firm = Firm(matters=300, closed=0.3)
    closed = [row for row in firm.matters if row.status == "Closed"]
    assert 50 < len(closed) < 140
    assert all(row.closed and row.closed < firm.today().toordinal() for row in closed)


def test_today_is_the_date_in_the_firms_zone() -> None:
    """Shortly after midnight in Greenwich it is still yesterday in Los Angeles."""
    firm = Firm(contacts=0, matters=0)
    firm.clock.freeze(datetime(2026, 3, 2, 1, tzinfo=UTC))
    assert firm.today() == date(2026, 3, 1)
    firm.account.time_zone = "Europe/Berlin"
    assert firm.today() == date(2026, 3, 2)


def test_each_change_of_a_matter_moves_its_time_and_etag() -> None:
    """Closing, reopening, editing and a box all touch the matter, and it alone."""
    firm = Firm(contacts=2, matters=2, closed=0)
    for change in (firm.close, firm.reopen, firm.edit, firm.set_thank_you, firm.suspend):
        firm.clock.advance(timedelta(minutes=1))
        row = firm.matters.get(5001)
        assert row is not None
        revision = row.rev
        change(5001)
        assert row.rev == revision + 1
        assert abs(row.updated - firm.clock.seconds()) <= 1


def test_change_of_a_contact_leaves_its_matters_alone() -> None:
    """An opt-out doesn't touch the matter."""
    firm = Firm(contacts=1, matters=1)
    matter, contact = firm.matters.get(5001), firm.contacts.get(1001)
    assert matter is not None
    assert contact is not None
    before = (matter.updated, matter.rev)
    firm.set_opt_out(1001)
    firm.edit_contact(1001, first_name="Odalys")
    assert (matter.updated, matter.rev) == before
    assert contact.rev == 2


def test_people_remembers_who_was_renamed_or_deleted() -> None:
    """A leak scan must find former names and numbers in each spelling too."""
    firm = Firm(contacts=0, matters=0)
    contact = firm.add_contact(
        first_name="Odalys", last_name="Quint", email="o@example.com", phone="(415) 555-0123"
    )
    firm.edit_contact(contact, last_name="Brandt", phone=None)
    firm.delete_contact(contact)
    assert {"Odalys", "Quint", "Odalys Quint", "Brandt", "o@example.com"} <= firm.people()
    assert {"(415) 555-0123", "+14155550123", "4155550123", "415-555-0123"} <= firm.people()


def test_shared_answers_are_not_changed_for_others() -> None:
    """Setting one generated box leaves those that had the same answer as they were."""
    firm = Firm(contacts=50, matters=0)
    before = {row.id: dict(row.boxes) for row in firm.contacts}
    firm.set_opt_out(1001, "maybe")
    firm.set_opt_out(1001, Box.UNTOUCHED)
    before[1001] = {}
    assert {row.id: dict(row.boxes) for row in firm.contacts} == before
