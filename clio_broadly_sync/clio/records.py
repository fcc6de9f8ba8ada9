"""Every key name of Clio's records: what is asked for, and how the JSON becomes our values.

What may be absent becomes None. What must be there and is not, or is of another type, makes its
record unreadable, so that it waits. Where not even the record can be made out, the whole answer is
unreadable (UnavailableError). How checkboxes are read is in `clio/boxes.py`. Sources: Clio's
OpenAPI document and guides.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Final, NamedTuple

from clio_broadly_sync.clio.answers import Row, part, unreadable
from clio_broadly_sync.clio.boxes import BOX_FIELDS, box, withheld
from clio_broadly_sync.clio.contact_points import contact_points
from clio_broadly_sync.clio.time_zones import zone_name
from clio_broadly_sync.domain.account import Account
from clio_broadly_sync.domain.checkboxes import CHECKBOX
from clio_broadly_sync.domain.errors import UnavailableError
from clio_broadly_sync.domain.model import MAX_ID, Box, Contact, CustomField, FieldIds, Matter

USER_FIELDS: Final = "id,name,time_zone"
ACCOUNT_FIELDS: Final = f"{USER_FIELDS},account{{id,name}}"
DEFINITION_FIELDS: Final = "id,name,parent_type,field_type,deleted,displayed,required"
MATTER_FIELDS: Final = "id,etag,status,close_date,updated_at,client{id}"
CONTACT_FIELDS: Final = (
    "id,type,name,first_name,last_name,primary_email_address,primary_phone_number"
)
NAME_FIELDS: Final = "id,name"
NUMBER_FIELDS: Final = "id,display_number"
NUMBERED_FIELDS: Final = f"{MATTER_FIELDS},display_number"
CLIENT_FIELDS: Final = "id,client{id}"
ATTORNEY, PRACTICE_AREA = "responsible_attorney", "practice_area"
EVERY_FIELD: Final = (
    ACCOUNT_FIELDS, DEFINITION_FIELDS, NUMBERED_FIELDS, CONTACT_FIELDS, BOX_FIELDS,
    ATTORNEY, PRACTICE_AREA,
)  # fmt: skip
"""All the fields that are asked for, whatever the request."""
PAGE_ROWS: Final = 200
"""A page has at most so many rows, which is Clio's own limit."""

Params = list[tuple[str, str]]
CLOSED: Final[Params] = [("status", "closed")]
CLOSED_LAST: Final[Params] = [*CLOSED, ("order", "close_date(desc)")]
CHECKBOXES: Final[Params] = [("field_type", CHECKBOX), ("deleted", "false")]


class Numbered(NamedTuple):
    """A matter and its display number."""

    matter: Matter
    number: str | None
    """Only a terminal may show it, because Clio's usual display number holds the client's surname.
    None where Clio gives none."""


class Sample(NamedTuple):
    """What a few records of one kind showed."""

    records: frozenset[int]
    """The ids of the records."""
    boxes: Mapping[int, Mapping[int, Box]]
    """The boxes by their definition id, and then by the record's id."""
    withheld: bool
    """Whether values of custom fields were withheld from the token."""
    clients: frozenset[int] = frozenset()
    """The ids of the clients, where the records are matters."""

    def with_box(self, field_id: int, state: Box) -> list[int]:
        """Return the ids of the records whose box is in this state, in ascending order."""
        return sorted(id_ for id_, box in self.boxes[field_id].items() if box is state)


class _WrongTypeError(Exception):
    """A value in a record is not of the type that Clio documents."""


# What is asked for.


def fields_and_box(fields: str, *field_ids: int | None) -> Params:
    """Ask for these fields, and for the boxes with these definition ids, but for None."""
    boxes = [("custom_field_ids[]", str(id_)) for id_ in field_ids if id_ is not None]
    return [*boxes, ("fields", f"{fields},{BOX_FIELDS}" if boxes else fields)]


def updated_since(after: datetime) -> Params:
    """Ask for what was updated after the second `after` (aware UTC)."""
    return [("updated_since", f"{after:%Y-%m-%dT%H:%M:%SZ}")]


def closed_between(first: date, last: date) -> Params:
    return [
        ("close_date[]", f">={first.isoformat()}"),
        ("close_date[]", f"<={last.isoformat()}"),
    ]


def with_ids(ids: Iterable[int]) -> Params:
    return [("ids[]", str(id_)) for id_ in sorted(ids)]


def first_rows(number: int) -> Params:
    return [("limit", str(number))]


def by_id(number: int) -> Params:
    """Ask for a list in the order of ids, with so many records a page."""
    return [("order", "id(asc)"), *first_rows(number)]


def containing(words: str) -> Params:
    """Ask for records that have these words anywhere, in the names of clients as well."""
    return [("query", words)]


def of_client(contact_id: int) -> Params:
    return [("client_id", str(contact_id))]


# Records.


def id_of(row: Row) -> int:
    """Return the record's id; raise UnavailableError where it has none that can be used."""
    return record_id(row.get("id"))


def only_id(id_: int) -> Row:
    """Return a record of which nothing but the id is known."""
    return {"id": id_}


def record_id(value: object) -> int:
    """Return the value as an id; raise UnavailableError where it cannot be used as one."""
    if type(value) is int and 0 < value <= MAX_ID:  # a bool is no id
        return value
    raise unreadable("a record has no id that can be used")


def account(body: Row) -> Account:
    """Read the answer of `who_am_i`; raise UnavailableError where it names no account."""
    named = part(part(body, "data"), "account")
    if not named:
        raise unreadable("who_am_i names no account")
    return user(body)._replace(id=record_id(named.get("id")), firm=_name(named.get("name")))


def user(body: Row) -> Account:
    """Read the answer of `who_am_i` to a request that does not ask for the account."""
    found = part(body, "data")
    zone = _name(found.get("time_zone"))
    return Account(None, zone_name(zone), user=_name(found.get("name")), named_zone=zone)


def custom_field(row: Row) -> CustomField:
    """Read a custom field's definition; raise UnavailableError where it cannot be read."""
    name, parent, kind, deleted = (
        row.get(key) for key in ("name", "parent_type", "field_type", "deleted")
    )
    texts = all(isinstance(text, str) for text in (name, parent, kind))
    if not texts or not isinstance(deleted, bool):
        raise unreadable("a custom field's definition")
    return CustomField(
        id=id_of(row),
        name=str(name),
        parent=str(parent),
        type=str(kind),
        deleted=deleted,
        displayed=_flag(row.get("displayed")),
        required=_flag(row.get("required")),
    )


def matter(row: Row, opt_in: int | None, name: str = "") -> Matter:
    """Read a matter; `opt_in` is the definition id of its box, None where no box is read.

    A matter with a part that cannot be read is returned as unreadable. Only one without an id that
    can be used raises UnavailableError.
    """
    closed_on = client_id = None
    status, etag = row.get("status"), _etag(row.get("etag"))
    readable = status in ("Open", "Pending", "Closed") and etag != "" and is_whole(row)
    try:
        closed_on = _close_date(row["close_date"])
        client_id = _client_id(row["client"])
    except (KeyError, _WrongTypeError):
        readable = False
    return Matter(
        id=id_of(row),
        etag=etag,
        closed=status not in ("Open", "Pending"),
        closed_on=closed_on,
        client_id=client_id,
        opted_in=box(row, opt_in, name),
        updated_at=_moment(row.get("updated_at")),
        readable=readable,
    )


def contact(
    row: Row, fields: FieldIds, name: str = "", *, country: str | None, zeros_are_plus: bool
) -> Contact | None:
    """Read a contact; return None where Clio has redacted it.

    `fields` has the definition ids of its boxes, None for one that is not read; `name` is that of
    the opt-out field. `country` and `zeros_are_plus` say how to read a phone number without `+`. A
    contact with a part that cannot be read is returned as unreadable.
    """
    if not is_whole(row):
        return None
    kind = row.get("type")
    is_company = kind == "Company"
    try:
        email, phone = _text(row["primary_email_address"]), _text(row["primary_phone_number"])
        names = [_text(row.get(key)) for key in ("first_name", "last_name", "name")]
    except (KeyError, _WrongTypeError):
        return Contact(id_of(row), readable=False)
    points = contact_points(email, phone, country, zeros_are_plus=zeros_are_plus)
    return Contact(
        id=id_of(row),
        is_company=is_company,
        first_name=None if is_company else names[0],
        last_name=None if is_company else names[1],
        company_name=names[2] if is_company else None,
        email=points.email,
        phone=points.phone,
        unusable=points.unusable,
        opted_out=box(row, fields.opt_out, name),
        texts=box(row, fields.text),
        readable=is_company or kind == "Person",
    )


def numbered(row: Row, opt_in: int | None) -> Numbered:
    return Numbered(matter(row, opt_in), number(row))


def number(row: Row) -> str | None:
    return _name(row.get("display_number"))


def name(row: Row) -> str | None:
    return _name(row.get("name"))


def sample(found: Sequence[Row], *field_ids: int | None) -> Sample:
    """Return what the records show of the boxes with these definition ids, but for None."""
    rows_by_id = {id_of(row): row for row in found}
    return Sample(
        records=frozenset(rows_by_id),
        boxes={
            field_id: {id_: box(row, field_id) for id_, row in rows_by_id.items()}
            for field_id in field_ids
            if field_id is not None
        },
        withheld=any(withheld(row) for row in found),
        clients=frozenset(_clients(found)),
    )


def _clients(found: Iterable[Row]) -> Iterator[int]:
    named = (row.get("client") for row in found)
    ids = (client.get("id") for client in named if isinstance(client, dict))
    return (record_id(id_) for id_ in ids if id_ is not None)


def is_whole(row: Row) -> bool:
    """Tell whether the record is whole; Clio withholds parts of one that has `redacted: true`."""
    return row.get("redacted") in (None, False)


def _etag(value: object) -> str:
    """Return the etag, or an empty text where it is none that can be compared and kept."""
    return value if isinstance(value, str) and len(value) <= 255 and value.isprintable() else ""


def _close_date(value: object) -> date | None:
    if value is None or value == "":
        return None
    if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise _WrongTypeError


def _client_id(value: object) -> int | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise _WrongTypeError
    try:
        return record_id(value.get("id"))
    except UnavailableError:
        raise _WrongTypeError from None


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        if moment is None:
            return None
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _name(value: object) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise _WrongTypeError
