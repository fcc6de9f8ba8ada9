"""One firm's Clio Manage (API v4): what a run reads there, and what a person asks of it.

How a record is read, and all of Clio's key names, are in `clio/records.py`. Sources: Clio's OpenAPI
document and guides.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import date, datetime
from typing import TYPE_CHECKING, Final

from clio_broadly_sync.clio import answers, records
from clio_broadly_sync.clio.answers import Row, unreadable
from clio_broadly_sync.clio.api import Api
from clio_broadly_sync.clio.records import Numbered, Params, Sample
from clio_broadly_sync.clio.refusals import InvalidFieldsError
from clio_broadly_sync.clio.time_zones import country_of
from clio_broadly_sync.domain.account import Account
from clio_broadly_sync.domain.checkboxes import CHECKBOX
from clio_broadly_sync.domain.model import Contact, CustomField, FieldIds, Matter, Page

if TYPE_CHECKING:
    from clio_broadly_sync.domain.grouping import Belonging, By

MATTERS: Final = "matters.json"
CONTACTS: Final = "contacts.json"
CUSTOM_FIELDS: Final = "custom_fields.json"
WHO_AM_I: Final = "users/who_am_i.json"
SAMPLE_ROWS: Final = 40
"""So many records are looked at as a sample."""
_COUNTRIES: Final = {"us": "US", "ca": "CA", "au": "AU"}
"""Clio's regions that are one country each, whose phone numbers need no `+`."""
_WITHOUT_ZEROS: Final = ("us", "ca")
"""The regions where a number abroad begins with 011, and not with 00."""


class Clio:
    """One firm's Clio, which is the `Source` of a run.

    `region` is Clio's region, which gives the country of phone numbers without a `+`; where it is
    several countries', that of the firm's `zone` (its IANA name) counts, which Clio may tell only
    when the account is read. `names` are those of the opt-out and the opt-in field. Every method
    that asks Clio may raise SyncError.
    """

    def __init__(
        self,
        api: Api,
        *,
        region: str,
        zone: str | None = None,
        names: tuple[str, str] = ("", ""),
    ) -> None:
        self._api = api
        self._region = region
        self._zone = zone
        self._opt_out_name, self._opt_in_name = names

    def now(self) -> datetime:
        """Return Clio's time in aware UTC (`Api.clio_time`)."""
        return self._api.clio_time()

    def unbroken_since(self) -> datetime | None:
        """Return since when no time has passed unseen (`Api.unbroken_since`)."""
        return self._api.unbroken_since()

    def asked_at(self) -> datetime:
        """Return when the last request began, by the same clock as `now`."""
        return self._api.asked_at()

    # What a run reads.

    def account(self) -> Account:
        """Return whose data the token opens, as `who_am_i` says.

        The account has no id where Clio does not let it be asked for. Raise DeniedError with status
        403 where Clio forbids the question.
        """
        account = self._account()
        self._zone = self._zone or account.time_zone
        return account

    def custom_fields(self, *, all_of_them: bool = False) -> list[CustomField]:
        """Return the definitions of checkboxes that are not deleted, or of all custom fields."""
        params = [] if all_of_them else records.CHECKBOXES
        params = [*params, *records.fields_and_box(records.DEFINITION_FIELDS, None)]
        pages = self._api.pages(CUSTOM_FIELDS, params)
        read = (records.custom_field(row) for page in pages for row in page.rows)
        found = {field.id: field for field in read}.values()
        return [f for f in found if all_of_them or (f.type == CHECKBOX and not f.deleted)]

    def closed_since(self, since: datetime, fields: FieldIds) -> Iterator[Page]:
        """Yield the closed matters updated after `since` (aware UTC), in pages, by id."""
        after = since.replace(microsecond=0)
        return self._matter_pages(
            records.updated_since(after),
            fields,
            lambda matter: matter.updated_at is None or matter.updated_at >= after,
        )

    def closed_between(self, first: date, last: date, fields: FieldIds) -> Iterator[Page]:
        """Yield the matters closed from `first` to `last`, both included, in pages, by id.

        Both are dates in the firm's zone. Closed matters whose close date cannot be read are among
        them.
        """

        def asked_for(matter: Matter) -> bool:
            if matter.closed_on is None:
                return not matter.readable
            return first <= matter.closed_on <= last

        return self._matter_pages(records.closed_between(first, last), fields, asked_for)

    def count_closed(self) -> int | None:
        """Return how many matters are closed; None where Clio does not say so in one request."""
        params = [*records.CLOSED, *records.fields_and_box("id", None), *records.first_rows(1)]
        body, _ = self._api.get(MATTERS, params)
        return answers.total(body)

    def matters(self, ids: Iterable[int], fields: FieldIds) -> dict[int, Matter]:
        """Return those of these matters that there are, in whatever status, by id.

        Ask for at most 100 ids at once.
        """
        params = records.fields_and_box(records.MATTER_FIELDS, fields.opt_in)
        rows = self._api.by_id(MATTERS, ids, params)
        return {
            id_: records.matter(row, fields.opt_in, self._opt_in_name) for id_, row in rows.items()
        }

    def contacts(self, ids: Iterable[int], fields: FieldIds) -> dict[int, Contact]:
        """Return those of these contacts that the token may see, by id.

        Ask for at most 100 ids at once.
        """
        params = records.fields_and_box(records.CONTACT_FIELDS, fields.opt_out, fields.text)
        rows = self._api.by_id(CONTACTS, ids, params)
        read = {id_: self._contact(row, fields) for id_, row in rows.items()}
        return {id_: contact for id_, contact in read.items() if contact is not None}

    # What a person asks. Names and display numbers go to a terminal only and are forgotten at once.

    def find_matter(self, matter_id: int, fields: FieldIds) -> Numbered | None:
        """Return the matter, in whatever status; None where Clio shows no matter of that id."""
        params = records.fields_and_box(records.NUMBERED_FIELDS, fields.opt_in)
        row = self._api.by_id(MATTERS, [matter_id], params).get(matter_id)
        return None if row is None else records.numbered(row, fields.opt_in)

    def find_by_number(self, number: str, fields: FieldIds) -> list[Numbered]:
        """Return the matters with exactly this display number; capital letters do not count.

        Clio looks for the words anywhere, in the names of clients as well, so most of what it finds
        has another number. The walk ends with the page that holds the first such matter.
        """
        fields_and_box = records.fields_and_box(records.NUMBERED_FIELDS, fields.opt_in)
        for page in self._api.pages(MATTERS, records.containing(number) + fields_and_box):
            found = [records.numbered(row, fields.opt_in) for row in page.rows]
            if exact := [one for one in found if _is_called(one, number)]:
                return exact
        return []

    def names_of(self, ids: Iterable[int]) -> dict[int, str | None]:
        """Return the names of those of these contacts that Clio shows, by id; None without one.

        Ask for at most 100 ids at once, also of `numbers_of`.
        """
        rows = self._api.by_id(CONTACTS, ids, records.fields_and_box(records.NAME_FIELDS, None))
        return {id_: records.name(row) for id_, row in rows.items()}

    def numbers_of(self, ids: Iterable[int]) -> dict[int, str | None]:
        """Return the display numbers of those of these matters that Clio shows, by id."""
        rows = self._api.by_id(MATTERS, ids, records.fields_and_box(records.NUMBER_FIELDS, None))
        return {id_: records.number(row) for id_, row in rows.items()}

    def find_contacts(self, words: str, most: int) -> dict[int, str | None]:
        """Return the names of the contacts that Clio finds by these words, by id; at most so many.

        Clio looks for the words anywhere, in e-mail addresses as well.
        """
        params = [*records.containing(words), *records.first_rows(most)]
        params += records.fields_and_box(records.NAME_FIELDS, None)
        rows = [row for row in self._rows(CONTACTS, params) if records.is_whole(row)]
        return {records.id_of(row): records.name(row) for row in rows}

    def matters_of(self, contact_id: int) -> list[Numbered]:
        """Return the matters whose client this contact is, those of the first page of them."""
        params = records.of_client(contact_id)
        params += records.fields_and_box(records.NUMBERED_FIELDS, None)
        found = [records.numbered(row, None) for row in self._rows(MATTERS, params)]
        return [one for one in found if one.matter.client_id == contact_id]

    def belonging(self, ids: Iterable[int], by: "Collection[By]") -> "dict[int, Belonging]":
        """Return to which attorney or practice area these matters belong, as far as Clio says.

        Nothing else of them is asked for. Ask for at most 100 ids at once.
        """
        from clio_broadly_sync.clio.belonging import asked_by, belonging

        rows = self._api.by_id(MATTERS, ids, asked_by(by))
        return {id_: belonging(row, by) for id_, row in rows.items()}

    # A few records, to see whether the token may read them and their boxes. Each sample takes one
    # request (that of matters two, where none is closed), and none asks for a name, an e-mail
    # address or a phone number.

    def sample_matters(self, box: int | None) -> Sample:
        """Return a sample of the matters that were closed last; where none is closed, of any."""
        params = records.fields_and_box(records.CLIENT_FIELDS, box)
        params = [*params, *records.first_rows(SAMPLE_ROWS)]
        rows = self._rows(MATTERS, records.CLOSED_LAST + params) or self._rows(MATTERS, params)
        return records.sample(rows, box)

    def sample_contacts(self, ids: Iterable[int], *boxes: int | None) -> Sample:
        """Return a sample: those of these contacts that are not hidden, or any without `ids`."""
        params, asked = records.fields_and_box("id", *boxes), set(ids)
        if asked:
            rows = list(self._api.by_id(CONTACTS, asked, params).values())
        else:
            rows = self._rows(CONTACTS, [*params, *records.first_rows(SAMPLE_ROWS)])
        return records.sample([row for row in rows if records.is_whole(row)], *boxes)

    def _account(self) -> Account:
        try:
            body, _ = self._api.get(WHO_AM_I, records.fields_and_box(records.ACCOUNT_FIELDS, None))
        except InvalidFieldsError:
            body, _ = self._api.get(WHO_AM_I, records.fields_and_box(records.USER_FIELDS, None))
            return records.user(body)
        return records.account(body)

    def _contact(self, row: Row, fields: FieldIds) -> Contact | None:
        return records.contact(
            row,
            fields,
            self._opt_out_name,
            country=_COUNTRIES.get(self._region) or country_of(self._zone),
            zeros_are_plus=self._region not in _WITHOUT_ZEROS,
        )

    def _rows(self, path: str, params: Params) -> list[Row]:
        body, _ = self._api.get(path, params)
        return answers.rows(body)

    def _matter_pages(
        self, params: Params, fields: FieldIds, asked_for: Callable[[Matter], bool]
    ) -> Iterator[Page]:
        """Yield the closed matters of a list that were asked for, in pages, by id.

        Every filter is checked here again, because Clio ignores a parameter that it does not know.
        """
        boxed = records.fields_and_box(records.MATTER_FIELDS, fields.opt_in)
        for page in self._api.pages(MATTERS, [*records.CLOSED, *params, *boxed]):
            matters = [records.matter(row, fields.opt_in, self._opt_in_name) for row in page.rows]
            wanted = [matter for matter in matters if matter.closed and asked_for(matter)]
            answered_at = page.answer.date
            if answered_at is None:
                raise unreadable("an answer has no Date")
            yield Page(wanted, len(matters), answered_at)


def _is_called(found: Numbered, number: str) -> bool:
    return found.number is not None and found.number.casefold() == number.casefold()
