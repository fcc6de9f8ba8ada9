"""Requests to Clio Manage's API v4, which only read: the token, paging, and Clio's time.

What the parameters and the answers mean is in `clio/records.py`. Source: Clio's paging,
authorization and rate limit guides.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final, NamedTuple, Protocol
from urllib.parse import urlsplit

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from clio_broadly_sync.clio import answers, records, refusals
from clio_broadly_sync.clio.answers import Row, unreadable
from clio_broadly_sync.clio.records import Params
from clio_broadly_sync.domain.errors import (
    Cause,
    ClockError,
    ConfigError,
    DeniedError,
    RefusedError,
    UnavailableError,
)
from clio_broadly_sync.transport.client import Answer, Transport

MAX_SKEW: Final = timedelta(hours=48)
"""The clocks of Clio and of this machine may be no further apart than this."""
MAX_PAGES_WITHOUT_PROGRESS: Final = 10
"""After so many pages in a row without a higher id, the pages are taken to lead in a circle."""
MAX_PAGES: Final = 50_000
"""That is ten million records: no firm has so many, so a longer chain of pages has no end."""

_REFUSED_TOKEN: Final = 401


class AccessTokens(Protocol):
    """Where the access token comes from."""

    def access_token(self) -> str:
        """Return the token to use; raise DeniedError where there is none."""

    def refresh(self) -> None:
        """Get a new token in place of one that was refused; raise DeniedError where none can be."""


class Rows(NamedTuple):
    """One page of records as Clio wrote them."""

    rows: list[Row]
    next_url: str | None
    """The address of the next page; None after the last one."""
    answer: Answer


class Api:
    """One firm's Clio as it answers, and the time by its clock.

    `base_url` is scheme and host. `wall_clock` returns this machine's time in aware UTC. Every
    method that asks Clio may raise SyncError; a request that Clio refuses as such ends in
    ConfigError.
    """

    def __init__(
        self,
        transport: Transport,
        tokens: AccessTokens,
        base_url: str,
        *,
        wall_clock: Callable[[], datetime],
    ) -> None:
        self._transport = transport
        self._tokens = tokens
        self._base = f"{base_url}/api/v4"
        self._wall_clock = wall_clock
        self._clock = transport.clock
        self._told: tuple[datetime, float] | None = None

    def clio_time(self) -> datetime:
        """Return Clio's time (aware UTC): the first answer's `Date` plus the time passed since.

        Where time has passed unseen (a suspended machine), the first answer after that counts.
        Before any answer, return this machine's time.
        """
        if self._told is None:
            return self._wall_clock()
        date_then, then = self._told
        return date_then + timedelta(seconds=self._clock() - then)

    def asked_at(self) -> datetime:
        """Return when the last request began, by the same clock as `clio_time`."""
        return self._at(self._transport.began)

    def unbroken_since(self) -> datetime | None:
        """Return since when no time has passed unseen, by the same clock; None: since the start."""
        jumped_at = self._clock.jumped_at
        return None if jumped_at == -math.inf else self._at(jumped_at)

    def get(self, path: str, params: Params) -> tuple[Row, Answer]:
        """Return the JSON object of one resource, and the answer that held it."""
        return self._get(f"{self._base}/{path}", params)

    def by_id(self, path: str, ids: Iterable[int], params: Params) -> dict[int, Row]:
        """Return the rows of those ids that Clio shows, by id.

        Of a row that comes twice and is not the same both times, return only the id; and so of one
        that alone is larger than what is read of an answer. Where the answer to all of them is so
        large, they are asked for by halves.
        """
        wanted = set(ids)
        try:
            return self._by_id(path, wanted, params)
        except UnavailableError as error:
            if error.cause != Cause.TOO_LARGE:
                raise
        if len(wanted) == 1:
            return {id_: records.only_id(id_) for id_ in wanted}
        half = set(sorted(wanted)[: len(wanted) // 2])
        return self.by_id(path, half, params) | self.by_id(path, wanted - half, params)

    def _by_id(self, path: str, wanted: set[int], params: Params) -> dict[int, Row]:
        found: dict[int, Row] = {}
        asked = records.with_ids(wanted)
        for page in self._pages(path, asked + params, records.PAGE_ROWS) if wanted else ():
            for row in page.rows:
                id_ = records.id_of(row)
                if id_ in wanted:
                    found[id_] = row if found.get(id_, row) == row else records.only_id(id_)
            if len(found) == len(wanted):
                break
        return found

    def pages(self, path: str, params: Params) -> Iterator[Rows]:
        """Yield the pages of a list, in the order of ids.

        Where a page is larger than what is read of an answer, begin anew with pages of half as many
        records: what was yielded before then comes again. Raise UnavailableError where the pages
        have no end, or where one record alone is so large.
        """
        at_once = records.PAGE_ROWS
        while True:
            try:
                yield from self._pages(path, params, at_once)
            except UnavailableError as error:
                if error.cause != Cause.TOO_LARGE or at_once == 1:
                    raise
            else:
                return
            at_once //= 2

    def _pages(self, path: str, params: Params, at_once: int) -> Iterator[Rows]:
        """Yield the pages of a list, of `at_once` records each.

        The address in `next` is followed as it is given (Clio's paging guide: a rebuilt address is
        refused).
        """
        url: str | None = f"{self._base}/{path}"
        query: Params | None = [*params, *records.by_id(at_once)]
        highest = idle_pages = 0
        seen: set[int] = set()
        while url is not None:
            leads_nowhere = idle_pages >= MAX_PAGES_WITHOUT_PROGRESS or len(seen) >= MAX_PAGES
            if hash(url) in seen or leads_nowhere:
                raise unreadable("its pages lead in a circle")
            seen.add(hash(url))
            page = self._page(url, query, at_once)
            reached = max(map(records.id_of, page.rows), default=0)
            idle_pages = 0 if reached > highest else idle_pages + 1
            highest = max(highest, reached)
            yield page
            url, query = page.next_url, None

    def _page(self, url: str, params: Params | None, at_once: int) -> Rows:
        body, answer = self._get(url, params)
        rows = answers.rows(body)
        next_url = answers.next_page(body, is_full=len(rows) >= at_once)
        return Rows(rows, None if next_url is None else self._of_ours(next_url), answer)

    def _of_ours(self, url: object) -> str:
        """Return the address of a next page; raise ConfigError where it is on another host.

        The token goes to the host that the settings name, and to no other.
        """
        if not isinstance(url, str):
            raise unreadable("the address of the next page is none")
        if _origins(url) != _origins(self._base):
            raise ConfigError(
                "Clio's answer points to another host for its next page, which was not followed; "
                "check CLIO_BASE_URL, and that nothing stands between this machine and Clio."
            )
        return url

    def _get(self, url: str, params: Params | None) -> tuple[Row, Answer]:
        try:
            return self._get_once(url, params)
        except DeniedError as error:
            if error.status != _REFUSED_TOKEN:
                raise
            self._tokens.refresh()
        return self._get_once(url, params)

    def _get_once(self, url: str, params: Params | None) -> tuple[Row, Answer]:
        # Outside of `call`, which is repeated: renewing the token has repeats of its own.
        headers = {"Authorization": f"Bearer {self._tokens.access_token()}"}

        def call() -> tuple[Row, Answer]:
            answer = self._transport.request("GET", url, headers=headers, params=params)
            body = answer.json()
            if not isinstance(body, dict):
                raise unreadable("no JSON object")
            return body, answer

        try:
            body, answer = self._transport.retry(call, repeat=_may_pass)
        except (DeniedError, RefusedError) as error:
            raise refusals.of_the_api(error) from None
        self._set_clock(answer)
        return body, answer

    def _at(self, seconds: float) -> datetime:
        return self.clio_time() - timedelta(seconds=self._clock() - seconds)

    def _set_clock(self, answer: Answer) -> None:
        date, asked_at, answered_at = answer.date, self._transport.began, self._clock()
        slept = self._clock.jumped_at > asked_at
        if date is not None:
            # Before the clock hears it: a date of years to come must not reach what is written.
            self._check_skew(date - self._wall_clock(), answered_at - asked_at)
            self._clock.hear(date, asked_at)
        if self._told is not None and self._told[1] >= self._clock.jumped_at:
            return
        if date is None:
            raise unreadable("its first answer has no Date")
        # Clio does not sleep when this machine does: it made the date before. If it did not, the
        # next answer says so, because this one is from before the jump.
        self._told = (date, asked_at if slept else self._clock())

    def _check_skew(self, ahead: timedelta, waited: float) -> None:
        """Raise ClockError where Clio's clock is too far ahead; at first, also where it is behind.

        The `Date` may be as old as the answer that was waited for, in seconds. Later, a clock that
        goes back changes nothing: a run counts on from what it was told.
        """
        behind = -ahead - timedelta(seconds=waited)
        if ahead > MAX_SKEW or (self._told is None and behind > MAX_SKEW):
            raise ClockError(
                "Clio's clock and this machine's are more than 48 hours apart; "
                "set this machine's clock right. Nothing was done."
            )


def _origins(url: str) -> set[tuple[str | None, str | None, int | None]]:
    """Return scheme, host and port, as two libraries read them.

    requests goes by one of the readings only, and an address that is made to be read in two ways
    must not pass. Raise UnavailableError where it is no address.
    """
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


def _may_pass(error: UnavailableError) -> bool:
    """Tell whether the same request may fare better; an answer that is too large stays so."""
    return error.cause != Cause.TOO_LARGE
