"""How rows become JSON: which fields Clio knows, and that exactly what was asked for is shown.

The tables here are the sandbox's own, written from Clio's documentation. A field that a sandbox
firm has no use for is known, too, and shows a constant, mostly null.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from clio_broadly_sync.sandbox.firm import Firm
from clio_broadly_sync.sandbox.records import (
    JSON,
    MISSING,
    Box,
    Contact,
    CustomField,
    Matter,
    Named,
    Sight,
    day,
    etag,
    moment,
)

Getter: TypeAlias = Callable[[Any], JSON]


@dataclass(frozen=True)
class Shape:
    """The fields that Clio knows of one kind of resource."""

    plain: Mapping[str, Getter]
    """The fields that hold a value, each with the function that takes it from a row."""
    nested: Mapping[str, str] = field(default_factory=dict)
    """The fields that hold other resources, each with the name of their shape in `SHAPES`."""
    default: tuple[str, ...] = ("id", "etag")
    """The fields that are shown where none were asked for."""


@dataclass(slots=True)
class Value:
    """A custom field's value as a record shows it; what the token may not read is None."""

    id: str | None
    definition: CustomField
    value: JSON
    name: str | None
    field_type: str | None
    bare: bool = False
    """Whether `custom_field` is left out although it was asked for."""


def _constants(value: JSON, names: str) -> dict[str, Getter]:
    return dict.fromkeys(names.split(), lambda row: value)


def _named(names: str) -> Shape:
    more: dict[str, Getter] = {n: _more(n) for n in names.split()}
    return Shape({"id": _id, "etag": _named_etag, "name": lambda row: row.name, **more})


def _more(name: str) -> Getter:
    return lambda row: row.more.get(name)


def _id(row: Any) -> JSON:
    return row.id


def _named_etag(row: Named) -> JSON:
    return f'"{row.id:032x}"'


def display_number(row: Matter, client: Contact | None) -> str:
    """Return the number that people see, which by Clio's default pattern ends with the surname."""
    return f"{row.id:05d}-{client.surname if client else 'Unknown'}"


_CONTACT: dict[str, Getter] = {
    "id": _id,
    "etag": etag,
    "name": lambda row: row.name,
    "first_name": lambda row: row.first,
    "last_name": lambda row: row.last,
    "type": lambda row: "Company" if row.company else "Person",
    "created_at": lambda row: moment(row.created),
    "updated_at": lambda row: moment(row.updated),
    "initials": lambda row: "".join(word[0] for word in row.name.split()),
    "primary_email_address": lambda row: row.email,
    "primary_phone_number": lambda row: row.phone,
    "is_client": lambda row: row.is_client,
    **_constants(
        None,
        "middle_name date_of_birth prefix title clio_connect_email client_connect_user_id "
        "secondary_email_address secondary_phone_number ledes_client_id sales_tax_number",
    ),
    **_constants(
        False,
        "locked_clio_connect_email has_clio_for_clients_permission is_clio_for_client_user "
        "is_co_counsel is_bill_recipient",
    ),
    # Clio knows the field, but shows it only on a contact that may not be seen.
    "redacted": lambda row: MISSING,
}
_MATTER: dict[str, Getter] = {
    "id": _id,
    "etag": etag,
    "number": _id,
    "client_id": lambda row: MISSING if row.client_id is None else row.client_id,
    "status": lambda row: row.status,
    "open_date": lambda row: day(row.opened),
    "close_date": lambda row: day(row.closed),
    "pending_date": lambda row: day(row.pending),
    "created_at": lambda row: moment(row.created),
    "updated_at": lambda row: moment(row.updated),
    "matter_stage_updated_at": lambda row: moment(row.created),
    "maildrop_address": lambda row: f"matter-{row.id}@maildrop.example.com",
    "billing_method": lambda row: "hourly",
    **_constants(None, "custom_number location client_reference last_activity_date"),
    **_constants(False, "shared has_tasks"),
    **_constants(True, "billable"),
}
_FIELD: dict[str, Getter] = {
    "id": _id,
    "etag": etag,
    "name": lambda row: row.name,
    "parent_type": lambda row: row.parent_type,
    "field_type": lambda row: row.field_type,
    "displayed": lambda row: row.displayed,
    "required": lambda row: row.required,
    "deleted": lambda row: row.deleted,
    "display_order": lambda row: row.display_order,
    "created_at": lambda row: moment(row.created),
    "updated_at": lambda row: moment(row.updated),
}
_VALUE: dict[str, Getter] = {
    "id": lambda row: row.id,
    "etag": lambda row: f'"{row.id}"',
    "value": lambda row: row.value,
    "field_name": lambda row: row.name,
    "field_type": lambda row: row.field_type,
    "field_required": lambda row: row.definition.required,
    "field_displayed": lambda row: row.definition.displayed,
    "field_display_order": lambda row: row.definition.display_order,
    "soft_deleted": lambda row: row.definition.deleted,
    "created_at": lambda row: moment(row.definition.created),
    "updated_at": lambda row: moment(row.definition.updated),
}
_USER = (
    "email enabled time_zone first_name last_name initials account_owner phone_number rate roles "
    "subscription_type created_at updated_at clio_connect court_rules_default_attendee "
    "default_calendar_id"
)
_STAMPED = "created_at updated_at"


def _inside(others: str = "", **shapes: str) -> dict[str, str]:
    """Return nested fields with the names of their shapes; the others are known, and no more."""
    return dict.fromkeys(others.split(), "other") | shapes


_IN_CONTACT = _inside(
    "avatar addresses web_sites activity_rates instant_messengers folder payment_profile "
    "primary_address secondary_address primary_work_address primary_web_site account_balances "
    "custom_field_set_associations notification_methods currency kyc_field_values co_counsel_rate "
    "legal_aid_uk_contact",
    custom_field_values="value", email_addresses="email", phone_numbers="phone", company="client",
    related_contacts="client",
)  # fmt: skip
_IN_MATTER = _inside(
    "group statute_of_limitations matter_budget folder contingency_fee custom_rate currency "
    "evergreen_retainer relationships account_balances attorney_allocation kyc_field_values "
    "task_template_list_instances matter_bill_recipients custom_field_set_associations "
    "split_invoice_payers legal_aid_uk_matter",
    client="client", custom_field_values="value", practice_area="area", matter_stage="stage",
    responsible_attorney="user", originating_attorney="user", responsible_staff="user", user="user",
)  # fmt: skip
_IN_WHO = _inside(
    "avatar default_activity_description notification_methods job_title groups",
    account="account", contact="client",
)  # fmt: skip
_IN_VALUE = _inside("matter", custom_field="definition", picklist_option="option", contact="client")

SHAPES: Mapping[str, Shape] = {
    "contact": Shape(_CONTACT, _IN_CONTACT),
    # As Clio documents it, a matter's client is a base contact: its boxes cannot be asked for here.
    "client": Shape(_CONTACT, _inside("currency")),
    "matter": Shape({**_MATTER, "display_number": _id, "description": _id}, _IN_MATTER),
    "custom_field": Shape(_FIELD, {"picklist_options": "option"}),
    "value": Shape(_VALUE, _IN_VALUE, ("id",)),
    "definition": Shape(_FIELD, default=("id",)),
    "option": _named("option deleted_at " + _STAMPED),
    "email": _named("address primary " + _STAMPED),
    "phone": _named("number primary " + _STAMPED),
    "area": _named("code category " + _STAMPED),
    "stage": _named("practice_area_id order " + _STAMPED),
    "who": Shape(_named(_USER).plain, _IN_WHO),
    "user": _named(_USER),
    "account": _named("state " + _STAMPED),
    "other": _named(_STAMPED),
}
Spec: TypeAlias = list[tuple[str, list[str] | None]]
Draw: TypeAlias = Callable[[Any], JSON]
_ITEM = re.compile(r"([a-z_]+)(?:\{([a-z_,]*)\})?(?:,|$)")
DOLLARS = Named(1, "USD")
STAGES = [Named(61, "Intake", {"order": 1}), Named(62, "In Progress", {"order": 2})]
PARALEGAL = Named(959, "Paralegal", {"enabled": True})


class InvalidFieldError(Exception):
    """Raised for a field that Clio does not know, or for braces where it allows none."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not a valid field")


def parse_fields(text: str | None) -> Spec | None:
    """Return the fields that were asked for, each with those in its braces; None for no text.

    Raise InvalidFieldError where braces stand within braces.
    """
    if not text:
        return None
    spec: Spec = []
    position = 0
    while position < len(text):
        item = _ITEM.match(text, position)
        if item is None:
            raise InvalidFieldError(text[position:].split(",")[-1])
        inner = item[2]
        spec.append((item[1], None if inner is None else inner.split(",")))
        position = item.end()
    return spec


class Renderer:
    """Draws rows for one request.

    Of the custom fields only `field_ids` are shown (None: all). With `stripped` their values are
    null, as for a token that may not read them.
    """

    def __init__(self, firm: Firm, *, field_ids: frozenset[int] | None, stripped: bool) -> None:
        self.firm = firm
        self.stripped = stripped
        rows = [row for row in firm.fields if field_ids is None or row.id in field_ids]
        self._definitions = {
            parent: [row for row in rows if row.parent_type == parent]
            for parent in ("Contact", "Matter")
        }

    def plan(self, shape_name: str, spec: Spec | None) -> Draw:
        """Return the function that draws a row of this shape with the fields that were asked for.

        Raise InvalidFieldError where Clio does not know one of them.
        """
        shape = SHAPES[shape_name]
        names = spec if spec is not None else [(name, None) for name in shape.default]
        getters = [(name, self._getter(shape_name, shape, name, inner)) for name, inner in names]

        def draw(row: Any) -> JSON:
            drawn = {name: getter(row) for name, getter in getters}
            raw = getattr(row, "raw", None)
            if raw:
                drawn.update((name, raw[name]) for name in drawn if name in raw)
            return {name: value for name, value in drawn.items() if value is not MISSING}

        return _guarded(draw) if shape_name == "contact" else draw

    def _getter(self, shape_name: str, shape: Shape, name: str, inner: list[str] | None) -> Getter:
        if name in shape.nested:
            return self._nested(shape_name, name, shape.nested[name], inner)
        if name not in shape.plain or inner is not None:
            raise InvalidFieldError(name)
        if shape_name == "matter" and name == "display_number":
            return lambda row: display_number(row, self._client(row))
        if shape_name == "matter" and name == "description":
            return lambda row: f"{row.area.name if row.area else 'A'} matter of {self._name(row)}"
        return shape.plain[name]

    def _nested(self, owner: str, name: str, shape: str, inner: list[str] | None) -> Getter:
        spec: Spec | None = None if inner is None else [(part, None) for part in inner]
        draw = self.plan(shape, spec)
        find = _currency if name == "currency" else self._sources(owner).get(name, _nothing)
        if name == "client":
            draw = _client_drawer(draw)

        def get(row: Any) -> JSON:
            found: Any = find(row)
            if found is None or found is MISSING:
                return found
            return [draw(part) for part in found] if isinstance(found, list) else draw(found)

        return get

    def _sources(self, owner: str) -> dict[str, Callable[[Any], Any]]:
        if owner == "matter":
            return {
                "client": self._client,
                "custom_field_values": lambda row: list(self._values(row, "Matter")),
                "practice_area": lambda row: row.area,
                "matter_stage": lambda row: STAGES[row.id % len(STAGES)],
                "responsible_attorney": lambda row: row.attorney,
                "originating_attorney": lambda row: row.attorney,
                "responsible_staff": lambda row: PARALEGAL,
            }
        if owner == "contact":
            return {
                "custom_field_values": lambda row: list(self._values(row, "Contact")),
                "email_addresses": lambda row: _reachable(row, "address", row.email),
                "phone_numbers": lambda row: _reachable(row, "number", row.phone),
            }
        if owner == "value":
            return {"custom_field": lambda row: MISSING if row.bare else row.definition}
        if owner == "who":
            return {"account": lambda row: row.more["account"]}
        return {}

    def _client(self, row: Matter) -> Contact | None:
        return self.firm.contacts.get(row.client_id)

    def _name(self, row: Matter) -> str:
        client = self._client(row)
        return client.name if client else "nobody"

    def _values(self, row: Contact | Matter, parent: str) -> Iterator[Value]:
        for definition in self._definitions[parent]:
            value = _value(row, definition)
            if value is not None:
                yield _strip(value, row.id) if self.stripped else value


def _value(row: Contact | Matter, definition: CustomField) -> Value | None:
    """Return what the record shows of one field; None where it has no entry for it."""
    state = row.boxes.get(definition.id, Box.UNTOUCHED)
    if state is Box.UNTOUCHED:
        shown = definition.displayed and not definition.deleted
        state = Box.PLACEHOLDER if shown else Box.ABSENT
    if state is Box.ABSENT:
        return None
    value_id = None if state is Box.PLACEHOLDER else _value_id(row.id, definition)
    value = None if isinstance(state, Box) else state
    if state in (Box.UNREADABLE, Box.UNREADABLE_BARE):
        return Value(value_id, definition, None, None, None, state is Box.UNREADABLE_BARE)
    return Value(value_id, definition, value, definition.name, definition.field_type)


def _strip(value: Value, row_id: int) -> Value:
    return Value(_value_id(row_id, value.definition), value.definition, None, None, None)


def _value_id(row_id: int, definition: CustomField) -> str:
    return f"{definition.field_type}-{row_id}{definition.id:04d}"


def _reachable(row: Contact, key: str, value: str | None) -> list[Named]:
    if value is None:
        return []
    return [Named(row.id * 10, "Work", {key: value, "primary": True})]


def _guarded(draw: Draw) -> Draw:
    """Return what draws as `draw` does, but of a redacted contact shows the id alone."""

    def guarded(row: Contact) -> JSON:
        return _redacted(row) if row.sight is Sight.REDACTED else draw(row)

    return guarded


def _client_drawer(draw: Draw) -> Draw:
    def drawn(row: Contact) -> JSON:
        seen = row.sight in (Sight.FULL, Sight.HIDDEN)
        return draw(row) if seen else _redacted(row)

    return drawn


def _redacted(row: Contact) -> JSON:
    return {"id": row.raw.get("id", row.id), "redacted": True}


def _currency(row: Any) -> Any:
    return DOLLARS


def _nothing(row: Any) -> Any:
    return None
