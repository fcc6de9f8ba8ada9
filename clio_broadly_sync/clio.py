"""Clio Manage's API v4, read only: paging, and JSON turned into our values.

All of Clio's key names are here. What may be absent becomes None; what must be there and is
not, or is of another type, makes its record unreadable (it waits), or where no record can be
told, the answer (UnavailableError). Sources: Clio's OpenAPI document and guides.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import urlsplit

from clio_broadly_sync.errors import ConfigError, DeniedError, RefusedError, UnavailableError
from clio_broadly_sync.model import Account, Box, Contact, CustomField, FieldIds, Matter, Page
from clio_broadly_sync.transport import Answer, Transport

PAGE_ROWS: Final = 200
IDS_A_REQUEST: Final = 100
MAX_SKEW: Final = timedelta(hours=48)
MAX_PAGES_WITHOUT_PROGRESS: Final = 10
MAX_ID: Final = 2**63 - 1

_BOX_FIELDS: Final = "custom_field_values{id,field_name,field_type,value,soft_deleted,custom_field}"
_MATTER_FIELDS: Final = "id,etag,status,close_date,updated_at,client{id}"
_CONTACT_FIELDS: Final = (
    "id,type,name,first_name,last_name,primary_email_address,primary_phone_number"
)
_CHECKED: Final = (True, "true", 1, "1")
_UNCHECKED: Final = (None, False, "false", 0, "0", "")
_PHONE_REGION: Final = {"us": "US", "ca": "CA", "au": "AU"}

Params = list[tuple[str, str]]


class Tokens(Protocol):
    """Where the access token comes from."""

    def access_token(self) -> str:
        """Return the token to use; raise DeniedError where there is none."""

    def refresh(self) -> bool:
        """Get a new token in place of one that was refused; False where there is no way to."""


class _Rows(NamedTuple):
    rows: list[Mapping[str, Any]]
    next_url: str | None
    answer: Answer


class Clio:
    """One firm's Clio, and the time by its clock.

    `base_url`: scheme and host. `region` names the country of phone numbers without a `+`.
    `wall_clock` returns aware UTC by this machine.
    """

    def __init__(
        self,
        transport: Transport,
        tokens: Tokens,
        base_url: str,
        *,
        region: str,
        wall_clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transport = transport
        self._tokens = tokens
        self._api = f"{base_url}/api/v4"
        self._phone_region = _PHONE_REGION.get(region)
        self._wall_clock = wall_clock
        self._monotonic = monotonic
        self._first_answer: tuple[datetime, float] | None = None

    def now(self) -> datetime:
        """Return the `Date` of the first answer plus the time passed since; ours before it."""
        if self._first_answer is None:
            return self._wall_clock()
        date_then, monotonic_then = self._first_answer
        return date_then + timedelta(seconds=self._monotonic() - monotonic_then)

    def account(self) -> Account:
        """Return whose data the token opens (`who_am_i`); DeniedError 403 where Clio forbids it."""
        params = [("fields", "id,time_zone,account{id}")]
        user, _ = self._get(f"{self._api}/users/who_am_i.json", params)
        data = user.get("data")
        account = data.get("account") if isinstance(data, dict) else None
        if not isinstance(data, dict) or not isinstance(account, dict):
            raise _unreadable("who_am_i names no account")
        zone = data.get("time_zone")
        return Account(_id(account.get("id")), zone if isinstance(zone, str) else None)

    def custom_fields(self, *, all_of_them: bool = False) -> list[CustomField]:
        """Return the checkbox definitions that are not deleted; or every definition there is."""
        narrow = [] if all_of_them else [("field_type", "checkbox"), ("deleted", "false")]
        params = [*narrow, ("fields", "id,name,parent_type,field_type,deleted")]
        return [
            _custom_field(row)
            for page in self._pages("custom_fields.json", params)
            for row in page.rows
        ]

    def closed_since(self, since: datetime, fields: FieldIds) -> Iterator[Page]:
        """Yield the closed matters updated after `since`, in pages, by id."""
        params = [("status", "closed"), ("updated_since", f"{since:%Y-%m-%dT%H:%M:%SZ}")]
        return self._matter_pages(
            params, fields, lambda matter: matter.updated_at is None or matter.updated_at >= since
        )

    def closed_between(self, first: date, last: date, fields: FieldIds) -> Iterator[Page]:
        """Yield the matters with a close date from `first` to `last`, both included."""
        params = [
            ("status", "closed"),
            ("close_date[]", f">={first.isoformat()}"),
            ("close_date[]", f"<={last.isoformat()}"),
        ]
        return self._matter_pages(
            params,
            fields,
            lambda matter: matter.closed_on is not None and first <= matter.closed_on <= last,
        )

    def matters(self, ids: Iterable[int], fields: FieldIds) -> dict[int, Matter]:
        """Return those of the matters that there are, in whatever status; at most 100 ids."""
        params = _box_params(fields.opt_in, _MATTER_FIELDS)
        rows = self._by_id("matters.json", ids, params)
        return {id_: _matter(row, fields.opt_in) for id_, row in rows.items()}

    def contacts(self, ids: Iterable[int], fields: FieldIds) -> dict[int, Contact]:
        """Return those of the contacts that the token may see; at most 100 ids."""
        params = _box_params(fields.opt_out, _CONTACT_FIELDS)
        rows = self._by_id("contacts.json", ids, params)
        return {
            id_: _contact(row, fields.opt_out, self._phone_region)
            for id_, row in rows.items()
            if row.get("redacted") in (None, False)
        }

    def _matter_pages(
        self, params: Params, fields: FieldIds, asked_for: Callable[[Matter], bool]
    ) -> Iterator[Page]:
        """Re-check every filter: Clio ignores a parameter that it does not know."""
        for page in self._pages(
            "matters.json", params + _box_params(fields.opt_in, _MATTER_FIELDS)
        ):
            matters = [_matter(row, fields.opt_in) for row in page.rows]
            wanted = [matter for matter in matters if matter.closed and asked_for(matter)]
            answered_at = page.answer.date
            if answered_at is None:
                raise _unreadable("an answer has no Date")
            yield Page(wanted, len(matters), answered_at)

    def _by_id(self, path: str, ids: Iterable[int], params: Params) -> dict[int, Mapping[str, Any]]:
        missing = set(ids)
        found: dict[int, Mapping[str, Any]] = {}
        asked = [("ids[]", str(id_)) for id_ in sorted(missing)]
        for page in self._pages(path, asked + params):
            for row in page.rows:
                if (id_ := _id(row.get("id"))) in missing:
                    missing.discard(id_)
                    found[id_] = row
            if not missing:
                break
        return found

    def _pages(self, path: str, params: Params) -> Iterator[_Rows]:
        """Follow `next` as given (Clio paging guide: a rebuilt address is refused)."""
        url: str | None = f"{self._api}/{path}"
        query: Params | None = [*params, ("order", "id(asc)"), ("limit", str(PAGE_ROWS))]
        highest = idle_pages = 0
        seen: set[int] = set()
        while url is not None:
            if hash(url) in seen or idle_pages >= MAX_PAGES_WITHOUT_PROGRESS:
                raise _unreadable("its pages lead in a circle")
            seen.add(hash(url))
            page = self._page(url, query)
            reached = max((_id(row.get("id")) for row in page.rows), default=0)
            idle_pages = 0 if reached > highest else idle_pages + 1
            highest = max(highest, reached)
            yield page
            url, query = page.next_url, None

    def _page(self, url: str, params: Params | None) -> _Rows:
        body, answer = self._get(url, params)
        rows = body.get("data")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise _unreadable("a list has no rows")
        meta = body.get("meta")
        paging = meta.get("paging") if isinstance(meta, dict) else None
        next_url = paging.get("next") if isinstance(paging, dict) else None
        if next_url is not None:
            self._check_origin(next_url)
        return _Rows(rows, next_url, answer)

    def _check_origin(self, url: object) -> None:
        """The token goes to the host of the settings only."""
        if not isinstance(url, str):
            raise _unreadable("the address of the next page is none")
        if _origin(url) != _origin(self._api):
            raise ConfigError(
                "Clio's answer points to another host for its next page, which was not followed; "
                "check CLIO_BASE_URL, and that nothing stands between this machine and Clio."
            )

    def _get(self, url: str, params: Params | None) -> tuple[Mapping[str, Any], Answer]:
        try:
            return self._get_once(url, params)
        except DeniedError as error:
            if error.status != 401 or not self._tokens.refresh():
                raise
        return self._get_once(url, params)

    def _get_once(self, url: str, params: Params | None) -> tuple[Mapping[str, Any], Answer]:
        def call() -> tuple[Mapping[str, Any], Answer]:
            headers = {"Authorization": f"Bearer {self._tokens.access_token()}"}
            answer = self._transport.request("GET", url, headers=headers, params=params)
            body = answer.json()
            if not isinstance(body, dict):
                raise _unreadable("no JSON object")
            return body, answer

        try:
            body, answer = self._transport.retry(call, repeat=lambda error: True)
        except RefusedError as error:
            raise ConfigError(
                f"Clio refuses the request itself (status {error.status}{_word(error.body)}): "
                "this program and Clio's API no longer fit; look for a newer version."
            ) from None
        self._set_clock(answer)
        return body, answer

    def _set_clock(self, answer: Answer) -> None:
        if self._first_answer is not None:
            return
        if answer.date is None:
            raise _unreadable("its first answer has no Date")
        if abs(answer.date - self._wall_clock()) > MAX_SKEW:
            raise UnavailableError(
                "Clio's clock and this machine's are more than 48 hours apart; "
                "set this machine's clock right. Nothing was done."
            )
        self._first_answer = (answer.date, self._monotonic())


def _unreadable(what: str) -> UnavailableError:
    return UnavailableError(f"Clio answered what cannot be read: {what}. The next run tries again.")


def _box_params(field_id: int | None, fields: str) -> Params:
    if field_id is None:
        return [("fields", fields)]
    return [("custom_field_ids[]", str(field_id)), ("fields", f"{fields},{_BOX_FIELDS}")]


def _origin(url: str) -> tuple[str, str | None, int | None]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _unreadable("the address of the next page is none") from None
    return parts.scheme, parts.hostname, port or {"https": 443, "http": 80}.get(parts.scheme)


def _word(body: bytes) -> str:
    """Return Clio's word for an error, in either of its shapes: `error.type`, or `error` itself."""
    found = re.search(rb'"(?:type|error)"\s*:\s*"([A-Za-z_]{1,40})"', body[:4096])
    return f", {found[1].decode()}" if found else ""


def _id(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_ID:
        return value
    raise _unreadable("a record has no id that can be used")


def _custom_field(row: Mapping[str, Any]) -> CustomField:
    name, parent, kind, deleted = (
        row.get(key) for key in ("name", "parent_type", "field_type", "deleted")
    )
    texts = all(isinstance(text, str) for text in (name, parent, kind))
    if not texts or not isinstance(deleted, bool):
        raise _unreadable("a custom field's definition")
    return CustomField(_id(row.get("id")), str(name), str(parent), str(kind), deleted)


class _WrongTypeError(Exception):
    """A value in a record is not of the type that Clio documents."""


def _matter(row: Mapping[str, Any], opt_in: int | None) -> Matter:
    closed_on = client_id = None
    status, etag = row.get("status"), row.get("etag")
    readable = (
        status in ("Open", "Pending", "Closed")
        and isinstance(etag, str)
        and not row.get("redacted")
    )
    try:
        closed_on = _close_date(row["close_date"])
        client_id = _client_id(row["client"])
    except (KeyError, _WrongTypeError):
        readable = False
    return Matter(
        id=_id(row.get("id")),
        etag=etag if isinstance(etag, str) else "",
        closed=status not in ("Open", "Pending"),
        closed_on=closed_on,
        client_id=client_id,
        opted_in=_box(row, opt_in),
        updated_at=_moment(row.get("updated_at")),
        readable=readable,
    )


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
        return _id(value.get("id"))
    except UnavailableError:
        raise _WrongTypeError from None


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    if moment is None:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _box(row: Mapping[str, Any], field_id: int | None) -> Box:
    """Read a checkbox by its definition id; where in doubt it is unreadable, never unchecked."""
    if field_id is None:
        return Box.UNCHECKED
    entries = row.get("custom_field_values")
    if not isinstance(entries, list):
        return Box.UNREADABLE
    states = {_box_state(entry) for entry in entries if _definition_id(entry) in (field_id, None)}
    if not states:
        return Box.UNCHECKED
    return states.pop() if len(states) == 1 else Box.UNREADABLE


def _definition_id(entry: object) -> int | None:
    definition = entry.get("custom_field") if isinstance(entry, dict) else None
    id_ = definition.get("id") if isinstance(definition, dict) else None
    return id_ if isinstance(id_, int) else None


def _box_state(entry: object) -> Box:
    if not isinstance(entry, dict) or _definition_id(entry) is None or "value" not in entry:
        return Box.UNREADABLE
    if not isinstance(entry.get("field_name"), str) or entry.get("field_type") != "checkbox":
        return Box.UNREADABLE  # the token may not read custom fields: everything is null
    value = entry["value"]
    if entry.get("soft_deleted") or isinstance(value, float | list | dict):
        return Box.UNREADABLE
    if value in _CHECKED:
        return Box.CHECKED
    return Box.UNCHECKED if value in _UNCHECKED else Box.UNREADABLE


def _contact(row: Mapping[str, Any], opt_out: int | None, region: str | None) -> Contact:
    kind = row.get("type")
    is_company = kind == "Company"
    try:
        email, phone = _text(row["primary_email_address"]), _text(row["primary_phone_number"])
        names = [_text(row.get(key)) for key in ("first_name", "last_name", "name")]
    except (KeyError, _WrongTypeError):
        return Contact(_id(row.get("id")), readable=False)
    return Contact(
        id=_id(row.get("id")),
        is_company=is_company,
        first_name=None if is_company else names[0],
        last_name=None if is_company else names[1],
        company_name=names[2] if is_company else None,
        email=normal_email(email),
        phone=normal_phone(phone, region),
        opted_out=_box(row, opt_out),
        readable=is_company or kind == "Person",
    )


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise _WrongTypeError


def normal_email(text: str | None) -> str | None:
    """Return the address trimmed, its domain in lower case; None where it is none."""
    if text is None or "@" not in text:
        return None
    from email_validator import EmailNotValidError, validate_email

    try:
        return validate_email(text.strip(), check_deliverability=False).normalized
    except EmailNotValidError:
        return None


def normal_phone(text: str | None, region: str | None) -> str | None:
    """Return the number as E.164; None where it is none, or where an extension makes it
    somebody's switchboard. `region`: the country of a number without `+`, None for none."""
    if text is None or not text.strip():
        return None
    import phonenumbers

    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if number.extension or not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
