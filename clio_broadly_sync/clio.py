"""Clio Manage's API v4, read only: requests, paging, and Clio's time.

How a record is read is in `clio_records`; all of Clio's key names are in these two. Sources:
Clio's OpenAPI document and guides.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple, Protocol
from urllib.parse import urlsplit

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from clio_broadly_sync import clio_records as records
from clio_broadly_sync.clio_records import Row, unreadable
from clio_broadly_sync.errors import ConfigError, DeniedError, RefusedError, UnavailableError
from clio_broadly_sync.model import Account, Contact, CustomField, FieldIds, Matter, Page
from clio_broadly_sync.transport import Answer, Transport, read_json

PAGE_ROWS: Final = 200
MAX_SKEW: Final = timedelta(hours=48)
MAX_PAGES_WITHOUT_PROGRESS: Final = 10

Params = list[tuple[str, str]]


class Tokens(Protocol):
    """Where the access token comes from."""

    def access_token(self) -> str:
        """Return the token to use; raise DeniedError where there is none."""

    def refresh(self) -> bool:
        """Get a new token in place of one that was refused; False where there is no way to."""


class _Rows(NamedTuple):
    rows: list[Row]
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
        self._region = region
        self._wall_clock = wall_clock
        self._monotonic = monotonic
        self._first_answer: tuple[datetime, float] | None = None

    def now(self) -> datetime:
        """Return the `Date` of the first answer plus the time passed since; ours before it."""
        if self._first_answer is None:
            return self._wall_clock()
        date_then, monotonic_then = self._first_answer
        return date_then + timedelta(seconds=self._monotonic() - monotonic_then)

    def asked_at(self) -> datetime:
        """Return when the last request began, by the clock of `now`."""
        return self.now() - timedelta(seconds=self._monotonic() - self._transport.began)

    def account(self) -> Account:
        """Return whose data the token opens (`who_am_i`); DeniedError 403 where Clio forbids it."""
        params = [("fields", records.ACCOUNT_FIELDS)]
        body, _ = self._get(f"{self._api}/users/who_am_i.json", params)
        return records.account(body)

    def custom_fields(self, *, all_of_them: bool = False) -> list[CustomField]:
        """Return the checkbox definitions that are not deleted; or every definition there is."""
        narrow = [("field_type", records.CHECKBOX), ("deleted", "false")]
        params = [*([] if all_of_them else narrow), ("fields", records.DEFINITION_FIELDS)]
        found = [
            records.custom_field(row)
            for page in self._pages("custom_fields.json", params)
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
        params = _with_box(records.MATTER_FIELDS, fields.opt_in)
        rows = self._by_id("matters.json", ids, params)
        return {id_: records.matter(row, fields.opt_in) for id_, row in rows.items()}

    def contacts(self, ids: Iterable[int], fields: FieldIds) -> dict[int, Contact]:
        """Return those of the contacts that the token may see; at most 100 ids."""
        params = _with_box(records.CONTACT_FIELDS, fields.opt_out)
        rows = self._by_id("contacts.json", ids, params)
        read = {
            id_: records.contact(row, fields.opt_out, self._region) for id_, row in rows.items()
        }
        return {id_: contact for id_, contact in read.items() if contact is not None}

    def _matter_pages(
        self, params: Params, fields: FieldIds, asked_for: Callable[[Matter], bool]
    ) -> Iterator[Page]:
        """Re-check every filter: Clio ignores a parameter that it does not know."""
        boxed = _with_box(records.MATTER_FIELDS, fields.opt_in)
        for page in self._pages("matters.json", params + boxed):
            matters = [records.matter(row, fields.opt_in) for row in page.rows]
            wanted = [matter for matter in matters if matter.closed and asked_for(matter)]
            answered_at = page.answer.date
            if answered_at is None:
                raise unreadable("an answer has no Date")
            yield Page(wanted, len(matters), answered_at)

    def _by_id(self, path: str, ids: Iterable[int], params: Params) -> dict[int, Row]:
        """Return the rows of the ids; of one that comes twice, and not the same, only the id."""
        wanted = set(ids)
        found: dict[int, Row] = {}
        asked = [("ids[]", str(id_)) for id_ in sorted(wanted)]
        for page in self._pages(path, asked + params) if wanted else ():
            for row in page.rows:
                id_ = records.record_id(row.get("id"))
                if id_ in wanted:
                    found[id_] = row if found.get(id_, row) == row else {"id": id_}
            if len(found) == len(wanted):
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
                raise unreadable("its pages lead in a circle")
            seen.add(hash(url))
            page = self._page(url, query)
            reached = max((records.record_id(row.get("id")) for row in page.rows), default=0)
            idle_pages = 0 if reached > highest else idle_pages + 1
            highest = max(highest, reached)
            yield page
            url, query = page.next_url, None

    def _page(self, url: str, params: Params | None) -> _Rows:
        body, answer = self._get(url, params)
        rows = body.get("data")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise unreadable("a list has no rows")
        return _Rows(rows, self._next_url(body, len(rows)), answer)

    def _next_url(self, body: Row, rows: int) -> str | None:
        """Return where the next page is; None after the last one (no key means no page)."""
        meta = _part(body, "meta")
        paging = _part(meta, "paging")
        next_url = paging.get("next")
        if next_url is not None:
            self._check_origin(next_url)
        elif "paging" not in meta and rows >= PAGE_ROWS:
            raise unreadable("a full page does not tell whether there is another")
        return next_url

    def _check_origin(self, url: object) -> None:
        """The token goes to the host of the settings only."""
        if not isinstance(url, str):
            raise unreadable("the address of the next page is none")
        if _origins(url) != _origins(self._api):
            raise ConfigError(
                "Clio's answer points to another host for its next page, which was not followed; "
                "check CLIO_BASE_URL, and that nothing stands between this machine and Clio."
            )

    def _get(self, url: str, params: Params | None) -> tuple[Row, Answer]:
        try:
            return self._get_once(url, params)
        except DeniedError as error:
            if error.status != 401 or not self._tokens.refresh():
                raise
        return self._get_once(url, params)

    def _get_once(self, url: str, params: Params | None) -> tuple[Row, Answer]:
        def call() -> tuple[Row, Answer]:
            headers = {"Authorization": f"Bearer {self._tokens.access_token()}"}
            answer = self._transport.request("GET", url, headers=headers, params=params)
            body = answer.json()
            if not isinstance(body, dict):
                raise unreadable("no JSON object")
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
            raise unreadable("its first answer has no Date")
        if abs(answer.date - self._wall_clock()) > MAX_SKEW:
            raise UnavailableError(
                "Clio's clock and this machine's are more than 48 hours apart; "
                "set this machine's clock right. Nothing was done."
            )
        self._first_answer = (answer.date, self._monotonic())


def _with_box(fields: str, field_id: int | None) -> Params:
    if field_id is None:
        return [("fields", fields)]
    return [
        ("custom_field_ids[]", str(field_id)),
        ("fields", f"{fields},{records.BOX_FIELDS}"),
    ]


def _part(body: Row, key: str) -> Row:
    """Return the object under the key; an empty one where there is none."""
    part = body.get(key)
    if part is None:
        return {}
    if not isinstance(part, dict):
        raise unreadable("a list does not tell whether there is more")
    return part


def _origins(url: str) -> set[tuple[str | None, str | None, int | None]]:
    """Return scheme, host and port in two readings: requests goes by one, and an address that is
    made to be read in two ways must not pass."""
    try:
        ours, theirs = urlsplit(url), parse_url(url)
        if not ours.netloc:
            raise ValueError
        readings = [(ours.scheme, ours.hostname, ours.port)]
        readings += [(theirs.scheme or "", theirs.host, theirs.port)]
    except (ValueError, LocationParseError):
        raise unreadable("the address of the next page is none") from None
    usual = {"https": 443, "http": 80}
    return {(scheme, host, port or usual.get(scheme)) for scheme, host, port in readings}


def _word(body: bytes) -> str:
    """Return Clio's word for an error, in either of its shapes: `error.type`, or `error` itself."""
    try:
        error = read_json(body)["error"]
        word = error if isinstance(error, str) else error["type"]
    except (ValueError, LookupError, TypeError):
        return ""
    known = isinstance(word, str) and word.isascii() and word.isidentifier() and len(word) <= 40
    return f", {word}" if known else ""
