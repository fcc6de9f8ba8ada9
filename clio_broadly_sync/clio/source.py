"""Clio Manage's API v4: what the program reads there, as values.

How a record is read is in `clio_records`; all of Clio's key names are in these two. Sources:
Clio's OpenAPI document and guides.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime

from clio_broadly_sync.clio import records
from clio_broadly_sync.clio.api import Api, Params
from clio_broadly_sync.clio.records import unreadable
from clio_broadly_sync.domain.model import Account, Contact, CustomField, FieldIds, Matter, Page


class Clio:
    """One firm's Clio. `region` names the country of phone numbers without a `+`."""

    def __init__(self, api: Api, *, region: str) -> None:
        self._api = api
        self._region = region

    def now(self) -> datetime:
        """Return Clio's time (`Api.now`)."""
        return self._api.now()

    def asked_at(self) -> datetime:
        """Return when the last request began, by the clock of `now`."""
        return self._api.asked_at()

    def account(self) -> Account:
        """Return whose data the token opens (`who_am_i`); DeniedError 403 where Clio forbids it."""
        params = [("fields", records.ACCOUNT_FIELDS)]
        body, _ = self._api.get("users/who_am_i.json", params)
        return records.account(body)

    def custom_fields(self, *, all_of_them: bool = False) -> list[CustomField]:
        """Return the checkbox definitions that are not deleted; or every definition there is."""
        narrow = [("field_type", records.CHECKBOX), ("deleted", "false")]
        params = [*([] if all_of_them else narrow), ("fields", records.DEFINITION_FIELDS)]
        found = [
            records.custom_field(row)
            for page in self._api.pages("custom_fields.json", params)
            for row in page.rows
        ]
        return [f for f in found if all_of_them or (f.type == records.CHECKBOX and not f.deleted)]

    def closed_since(self, since: datetime, fields: FieldIds) -> Iterator[Page]:
        """Yield the closed matters updated after `since`, in pages, by id."""
        after = since.replace(microsecond=0)
        params = [("status", "closed"), ("updated_since", f"{after:%Y-%m-%dT%H:%M:%SZ}")]
        return self._matter_pages(
            params, fields, lambda matter: matter.updated_at is None or matter.updated_at >= after
        )

    def closed_between(self, first: date, last: date, fields: FieldIds) -> Iterator[Page]:
        """Yield the matters with a close date from `first` to `last`, both included; and those
        whose close date cannot be read."""
        params = [
            ("status", "closed"),
            ("close_date[]", f">={first.isoformat()}"),
            ("close_date[]", f"<={last.isoformat()}"),
        ]

        def asked_for(matter: Matter) -> bool:
            if matter.closed_on is None:
                return not matter.readable
            return first <= matter.closed_on <= last

        return self._matter_pages(params, fields, asked_for)

    def matters(self, ids: Iterable[int], fields: FieldIds) -> dict[int, Matter]:
        """Return those of the matters that there are, in whatever status; at most 100 ids."""
        params = with_box(records.MATTER_FIELDS, fields.opt_in)
        rows = self._api.by_id("matters.json", ids, params)
        return {id_: records.matter(row, fields.opt_in) for id_, row in rows.items()}

    def contacts(self, ids: Iterable[int], fields: FieldIds) -> dict[int, Contact]:
        """Return those of the contacts that the token may see; at most 100 ids."""
        params = with_box(records.CONTACT_FIELDS, fields.opt_out)
        rows = self._api.by_id("contacts.json", ids, params)
        read = {
            id_: records.contact(row, fields.opt_out, self._region) for id_, row in rows.items()
        }
        return {id_: contact for id_, contact in read.items() if contact is not None}

    def _matter_pages(
        self, params: Params, fields: FieldIds, asked_for: Callable[[Matter], bool]
    ) -> Iterator[Page]:
        """Re-check every filter: Clio ignores a parameter that it does not know."""
        boxed = with_box(records.MATTER_FIELDS, fields.opt_in)
        for page in self._api.pages("matters.json", params + boxed):
            matters = [records.matter(row, fields.opt_in) for row in page.rows]
            wanted = [matter for matter in matters if matter.closed and asked_for(matter)]
            answered_at = page.answer.date
            if answered_at is None:
                raise unreadable("an answer has no Date")
            yield Page(wanted, len(matters), answered_at)


def with_box(fields: str, field_id: int | None) -> Params:
    """Ask for these fields, and for the box of that definition where one is read."""
    if field_id is None:
        return [("fields", fields)]
    return [
        ("custom_field_ids[]", str(field_id)),
        ("fields", f"{fields},{records.BOX_FIELDS}"),
    ]
