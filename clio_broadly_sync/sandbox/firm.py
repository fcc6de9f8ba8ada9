"""The law firm behind the sandbox's Clio: its contacts, matters, custom fields, people and clock.

Everything here is what a person at the firm might do, or what Clio might do to the firm's records.
All of it may be called while a program reads: one lock guards the whole firm, and the server builds
each page under it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from random import Random
from threading import RLock
from typing import Any, Literal, TypeAlias
from zoneinfo import ZoneInfo

from clio_broadly_sync.sandbox import people
from clio_broadly_sync.sandbox.people import YEAR, populate
from clio_broadly_sync.sandbox.records import (
    JSON,
    NOTHING,
    Box,
    Contact,
    CustomField,
    Matter,
    Row,
    Sight,
    Table,
)
from clio_broadly_sync.sandbox.server import Clock

OPT_OUT = "BroadlyOptOut"
THANK_YOU = "SendBroadlyThankYou"
TEXTS = "MayBeTexted"
DEFAULTS = (
    ("Referred By", "Contact", "text_line"),
    (OPT_OUT, "Contact", "checkbox"),
    ("Preferred Language", "Contact", "text_line"),
    ("Court Case Number", "Matter", "text_line"),
    (THANK_YOU, "Matter", "checkbox"),
    ("Fee Agreement Signed", "Matter", "checkbox"),
    (TEXTS, "Contact", "checkbox"),
)
Day: TypeAlias = date | Literal["today"] | None
Kind: TypeAlias = Literal["contact", "matter"]
_CONTACT = {
    "first_name": "first", "last_name": "last", "email": "email", "phone": "phone",
    "is_client": "is_client",
}  # fmt: skip


@dataclass(slots=True)
class Account:
    """The account that the token opens, and the one user of it who is signed in."""

    id: int = 901
    name: str = "Harbor & Vale LLP"
    state: str = "paid_subscription"
    user_id: int = 951
    user_name: str = "Practice Manager"
    user_email: str = "practice.manager@harborvale.example"
    time_zone: str = "America/Los_Angeles"
    """The firm's zone, in which its close dates are."""
    enabled: bool = True


class Definitions:
    """The firm's custom field definitions.

    A field is named by its id, or by its name: of several with that name, the oldest is meant.
    `created` is when the fields that every firm has were made, in seconds since 1970.
    """

    def __init__(self, clock: Clock, lock: RLock, created: int) -> None:
        self._clock = clock
        self._lock = lock
        self.table: Table[CustomField] = Table(301)
        for name, parent_type, field_type in DEFAULTS:
            self._add(name, parent_type, field_type, created)

    def __iter__(self) -> Iterator[CustomField]:
        with self._lock:
            return iter(list(self.table.walk()))

    def __getitem__(self, field: int | str) -> CustomField:
        """Return the definition; raise KeyError where there is none."""
        with self._lock:
            for row in self.table.walk():
                if field in (row.id, row.name):
                    return row
        raise KeyError(field)

    def add(
        self, name: str, parent_type: str, field_type: str = "checkbox", *, displayed: bool = True
    ) -> int:
        """Add a field to `Contact` or `Matter`, and return its id."""
        with self._lock:
            row = self._add(name, parent_type, field_type, self._clock.seconds())
            row.displayed = displayed
            return row.id

    def rename(self, field: int | str, name: str) -> None:
        self.change(field, name=name)

    def retype(self, field: int | str, field_type: str) -> None:
        self.change(field, field_type=field_type)

    def move(self, field: int | str, parent_type: str) -> None:
        """Put the field on another parent: `Contact` or `Matter`."""
        self.change(field, parent_type=parent_type)

    def delete(self, field: int | str) -> None:
        """Delete a field as Clio does: nobody can use it, but what was answered remains.

        Such an answer is marked as soft-deleted.
        """
        self.change(field, deleted=True)

    def restore(self, field: int | str) -> None:
        self.change(field, deleted=False)

    def purge(self, field: int | str) -> None:
        """Remove the definition altogether, and with it every value."""
        with self._lock:
            self.table.remove(self[field].id)

    def duplicate(self, field: int | str) -> int:
        """Add a field of the same name, parent and type that nobody has answered; return its id."""
        with self._lock:
            row, now, new_id = self[field], self._clock.seconds(), self.table.new_id()
            self.table.add(replace(row, id=new_id, created=now, updated=now, rev=0))
            return new_id

    def change(self, field: int | str, **attributes: Any) -> None:
        """Set attributes of the field's `CustomField`, as an edit at this moment."""
        with self._lock:
            row = self[field]
            for name, value in attributes.items():
                setattr(row, name, value)
            self.table.touch(row, self._clock.seconds())

    def set_raw(self, field: int | str, **values: JSON) -> None:
        """Show these JSON values whatever the definition says; without any, undo all of them.

        The value MISSING leaves its key out.
        """
        with self._lock:
            row = self[field]
            row.raw = {**row.raw, **values} if values else NOTHING

    def _add(self, name: str, parent_type: str, field_type: str, at: int) -> CustomField:
        row_id = self.table.new_id()
        row = CustomField(row_id, name, parent_type, field_type, at, at)
        row.display_order = len(self.table) + 1
        self.table.add(row)
        return row


class Firm:
    """A firm of any size; the same seed gives the same people, matters and boxes.

    `closed` says which part of the matters was closed in the past year, from 0 to 1. With
    `contacts=0, matters=0` the firm is empty at first. Whoever asks for a change of a record that
    is not there gets a KeyError.
    """

    def __init__(
        self,
        seed: int = 1,
        contacts: int = 40,
        matters: int = 60,
        *,
        closed: float = 0.3,
        clock: Clock | None = None,
    ) -> None:
        self.lock = RLock()
        self.clock = clock or Clock()
        self.account = Account()
        self.contacts: Table[Contact] = Table(1001)
        self.matters: Table[Matter] = Table(5001)
        now = self.clock.seconds()
        self.fields = Definitions(self.clock, self.lock, now - 3 * YEAR)
        self._rng = Random(seed)  # noqa: S311  (made-up people, no secret)
        self._former: set[str] = set()
        ids = (self.fields[OPT_OUT].id, self.fields[THANK_YOU].id)
        populate(self._rng, self.contacts, contacts, self.matters, matters, now, closed, ids)
        self._people_made = contacts

    def today(self) -> date:
        """Return the date in the firm's zone."""
        return self.clock.now().astimezone(ZoneInfo(self.account.time_zone)).date()

    # Contacts

    def add_contact(self, *, opt_out: JSON | Box = Box.UNTOUCHED, **fields: Any) -> int:
        """Add a client, and return the id.

        `fields` may be type ("Person" or "Company"), name (of a company), first_name, last_name,
        email, phone and is_client. What is not given is made up; None means that there is none. And
        `texts` is the state of the box that allows text messages.
        """
        with self.lock:
            company = fields.pop("type", "Person") == "Company"
            texts = fields.pop("texts", Box.UNTOUCHED)
            made = people.person(self._rng, self._people_made, company=company)
            self._people_made += 1
            now, contact_id = self.clock.seconds(), self.contacts.new_id()
            self.contacts.add(Contact(contact_id, *made, created=now, updated=now))
            self._set_contact(self.contacts.get(contact_id), fields)
            self.set_box("contact", contact_id, opt_out, OPT_OUT, touch=False)
            self.set_box("contact", contact_id, texts, TEXTS, touch=False)
            return contact_id

    def edit_contact(self, contact_id: int, **fields: Any) -> None:
        """Change a contact as in Clio, where the etags and times of its matters do not move.

        `fields` are those of `add_contact`, without the type.
        """
        with self.lock:
            row = self._row("contact", contact_id)
            self._remember(row)
            self._set_contact(row, fields)
            self.contacts.touch(row, self.clock.seconds())

    def name_of(self, contact_id: int) -> str:
        with self.lock:
            row: Contact = self._row("contact", contact_id)
            return row.name

    def delete_contact(self, contact_id: int) -> None:
        with self.lock:
            self._remember(self.contacts.remove(contact_id))

    def hide_contact(self, contact_id: int, *, redact_on_matters: bool = False) -> None:
        """Hide the contact from lists and look-ups.

        Its matters still show it whole, or redacted with `redact_on_matters`.
        """
        sight = Sight.HIDDEN_REDACTED if redact_on_matters else Sight.HIDDEN
        self._see(contact_id, sight)

    def redact_contact(self, contact_id: int) -> None:
        """Show nothing of the contact, wherever it appears, but its id and that it is redacted."""
        self._see(contact_id, Sight.REDACTED)

    def show_contact(self, contact_id: int) -> None:
        """Undo `hide_contact` and `redact_contact`."""
        self._see(contact_id, Sight.FULL)

    # Matters

    def add_matter(
        self,
        client_id: int | None,
        *,
        status: str = "Open",
        open_date: Day = "today",
        close_date: Day = None,
        thank_you: JSON | Box = Box.UNTOUCHED,
    ) -> int:
        """Add a matter, and return its id; the dates are in the firm's zone, None leaves one empty.

        `status` is Open, Pending or Closed.
        """
        with self.lock:
            now, matter_id = self.clock.seconds(), self.matters.new_id()
            opened, closed = self._ordinal(open_date), self._ordinal(close_date)
            row = Matter(matter_id, client_id, status, opened, closed, now, now)
            self.matters.add(people.assigned(row))
            self.set_box("matter", matter_id, thank_you, THANK_YOU, touch=False)
            return matter_id

    def close(self, matter_id: int, on: Day = "today") -> None:
        """Close the matter; `on` is the close date that a person types, None leaves it empty."""
        self._change(matter_id, status="Closed", closed=self._ordinal(on))

    def reopen(self, matter_id: int, *, keep_close_date: bool = False) -> None:
        """Make the matter open; its close date goes, unless it is to be kept."""
        if keep_close_date:
            self._change(matter_id, status="Open")
        else:
            self._change(matter_id, status="Open", closed=None)

    def suspend(self, matter_id: int, on: Day = "today") -> None:
        """Make the matter pending, with this pending date."""
        self._change(matter_id, status="Pending", pending=self._ordinal(on))

    def edit(self, matter_id: int) -> None:
        """Change something else about the matter, so that only its updated_at and etag move."""
        self._change(matter_id)

    def set_close_date(self, matter_id: int, on: Day) -> None:
        self._change(matter_id, closed=self._ordinal(on))

    def set_client(self, matter_id: int, client_id: int | None) -> None:
        self._change(matter_id, client_id=client_id)

    def matter_ids(self, status: str | None = None) -> list[int]:
        """Return the ids of all matters, or of those that are Open, Pending or Closed."""
        with self.lock:
            return [row.id for row in self.matters.walk() if status in (None, row.status)]

    def assign(self, matter_id: int, **names: str | None) -> None:
        """Give the matter another `attorney` or `area`, one of this firm's; None leaves it none."""
        self._change(matter_id, **{key: people.group(key, name) for key, name in names.items()})

    def client_of(self, matter_id: int) -> int | None:
        with self.lock:
            client: int | None = self._row("matter", matter_id).client_id
            return client

    def delete_matter(self, matter_id: int) -> None:
        with self.lock:
            self.matters.remove(matter_id)

    # Boxes and oddities

    def set_opt_out(self, contact_id: int, state: JSON | Box = True) -> None:
        self.set_box("contact", contact_id, state, OPT_OUT)

    def set_thank_you(self, matter_id: int, state: JSON | Box = True) -> None:
        self.set_box("matter", matter_id, state, THANK_YOU)

    def set_box(
        self, kind: Kind, row_id: int, state: JSON | Box, field: int | str, *, touch: bool = True
    ) -> None:
        """Put a box into any state that Clio can show; `Box.UNTOUCHED` forgets the answer.

        `touch` says whether the record's updated_at and etag move, as they do after an edit.
        """
        with self.lock:
            row = self._row(kind, row_id)
            boxes = dict(row.boxes)
            if state is not Box.UNTOUCHED:
                boxes[self.fields[field].id] = state
            elif boxes:
                boxes.pop(self.fields[field].id, None)
            row.boxes = boxes or NOTHING
            if touch:
                self._table(kind).touch(row, self.clock.seconds())

    def set_raw(self, kind: Kind, row_id: int, **values: JSON) -> None:
        """Show these JSON values whatever the record says; without any, undo all of them.

        The value MISSING leaves its key out. Filters still look at the record itself, and its
        updated_at does not move.
        """
        with self.lock:
            row = self._row(kind, row_id)
            row.raw = {**row.raw, **values} if values else NOTHING

    def people(self) -> set[str]:
        """Return every name, e-mail address and phone number that is or was in the firm."""
        with self.lock:
            found = set(self._former)
            for row in self.contacts:
                found |= _traces(row)
            return found

    def _row(self, kind: Kind, row_id: int) -> Any:
        row: Row | None = self._table(kind).get(row_id)
        if row is None:
            raise KeyError(f"no {kind} {row_id}")
        return row

    def _table(self, kind: Kind) -> Any:
        return self.contacts if kind == "contact" else self.matters

    def _change(self, matter_id: int, **attributes: Any) -> None:
        with self.lock:
            row = self._row("matter", matter_id)
            for name, value in attributes.items():
                setattr(row, name, value)
            self.matters.touch(row, self.clock.seconds())

    def _see(self, contact_id: int, sight: Sight) -> None:
        with self.lock:
            self._row("contact", contact_id).sight = sight

    def _ordinal(self, on: Day) -> int | None:
        chosen = self.today() if on == "today" else on
        return None if chosen is None else chosen.toordinal()

    def _remember(self, row: Contact) -> None:
        self._former |= _traces(row)

    @staticmethod
    def _set_contact(row: Any, fields: dict[str, Any]) -> None:
        for name, value in fields.items():
            if name == "name":
                row.company = value
            else:
                setattr(row, _CONTACT[name], value)


def _traces(row: Contact) -> set[str]:
    words = {row.name, row.first, row.last, row.company, row.email}
    if row.phone:
        words.update(people.spellings(row.phone))
    words.update(value for value in row.raw.values() if isinstance(value, str))
    return {word for word in words if word}
