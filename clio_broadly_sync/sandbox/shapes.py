"""What Clio knows by name: the fields of each resource, and how each is drawn from a row.

The tables are the sandbox's own, written from Clio's documentation. A field that a sandbox firm has
no use for is known and shows a constant, mostly null.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from clio_broadly_sync.sandbox.records import (
    JSON,
    MISSING,
    Contact,
    CustomField,
    Matter,
    day,
    etag,
    moment,
)

Getter: TypeAlias = Callable[[Any], JSON]


@dataclass(frozen=True)
class Shape:
    """A resource: its plain fields, and the shapes that lie inside it, by name."""

    plain: Mapping[str, Getter]
    nested: Mapping[str, str] = field(default_factory=dict)
    default: tuple[str, ...] = ("id", "etag")


@dataclass(slots=True)
class Value:
    """One custom field value as a record shows it; nulls where the token may not read it."""

    id: str | None
    definition: CustomField
    value: JSON
    name: str | None
    field_type: str | None
    bare: bool = False


@dataclass(slots=True)
class Named:
    """A small thing that only has a number, a name, and whatever else it says."""

    id: int
    name: str
    more: Mapping[str, JSON] = field(default_factory=dict)


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
    """Clio's default pattern holds the client's surname."""
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
    # Known, and left out of a contact that may be seen.
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
    """Return the nested resources: those with a shape, and the others that are merely known."""
    return dict.fromkeys(others.split(), "other") | shapes


_IN_CONTACT = _inside(
    "avatar addresses web_sites activity_rates instant_messengers folder payment_profile "
    "primary_address secondary_address primary_work_address primary_web_site account_balances "
    "custom_field_set_associations notification_methods currency kyc_field_values co_counsel_rate "
    "legal_aid_uk_contact",
    custom_field_values="value",
    email_addresses="email",
    phone_numbers="phone",
    company="client",
    related_contacts="client",
)
_IN_MATTER = _inside(
    "group statute_of_limitations matter_budget folder contingency_fee custom_rate currency "
    "evergreen_retainer relationships account_balances attorney_allocation kyc_field_values "
    "task_template_list_instances matter_bill_recipients custom_field_set_associations "
    "split_invoice_payers legal_aid_uk_matter",
    client="client",
    custom_field_values="value",
    practice_area="area",
    matter_stage="stage",
    responsible_attorney="user",
    originating_attorney="user",
    responsible_staff="user",
    user="user",
)
_IN_WHO = _inside(
    "avatar default_activity_description notification_methods job_title groups",
    account="account",
    contact="client",
)
_IN_VALUE = _inside("matter", custom_field="definition", picklist_option="option", contact="client")

SHAPES: Mapping[str, Shape] = {
    "contact": Shape(_CONTACT, _IN_CONTACT),
    # The documentation types a matter's client as the base contact: no boxes can be asked for here.
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
