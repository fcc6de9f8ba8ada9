"""What the plain loop and the peers have in common.

That is what they ask Clio for, whom they leave out, and what they send.
"""

from collections.abc import Iterable, Iterator
from typing import Any

Row = dict[str, Any]

CLOSED: dict[str, str | int] = {
    "status": "closed", "order": "id(asc)", "limit": 200,
    "fields": "id,close_date,updated_at,client{id}",
}  # fmt: skip
"""What asks Clio for closed matters."""
AT_A_TIME = 100
"""How many clients one request asks Clio for."""
BATCH = 50
"""How many clients go to Broadly in one POST."""
_OPT_OUT = 301
_CONTACT = (
    "id,type,name,first_name,last_name,primary_email_address,primary_phone_number,"
    "custom_field_values{value,custom_field}"
)


def clients_of(matters: Iterable[Row]) -> Row:
    """Return the query that asks Clio for the clients of these matters."""
    ids = [matter["client"]["id"] for matter in matters]
    return {"ids[]": ids, "fields": _CONTACT, "limit": 200}


def wanted(matters: Iterable[Row], contacts: Iterable[Row]) -> Iterator[tuple[Row, Row]]:
    """Yield each matter with its client, except where the client has opted out."""
    matter_of = {matter["client"]["id"]: matter for matter in matters}
    for contact in contacts:
        boxes = {box["custom_field"]["id"]: box["value"] for box in contact["custom_field_values"]}
        if not boxes.get(_OPT_OUT):
            yield matter_of[contact["id"]], contact


def customer(matter: Row, contact: Row) -> dict[str, str]:
    """Return what Broadly is sent about this client."""
    return {
        "externalId": f"clio:contact:{contact['id']}",
        "transactionId": f"clio:matter:{matter['id']}:{matter['close_date']}",
        "transactionDate": matter["close_date"],
        "firstName": contact["first_name"], "lastName": contact["last_name"],
        "email": contact["primary_email_address"], "phone": contact["primary_phone_number"],
    }  # fmt: skip
