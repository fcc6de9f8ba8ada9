"""Both ends of a run, Clio and Broadly, in memory, and a clock that moves only when it is told to.

They stand in for the Source and the Progress of `pipeline/ports.py`, and for a sink's receiver.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

from factories import NOW

from clio_broadly_sync.domain.account import Account
from clio_broadly_sync.domain.checkboxes import CHECKBOX
from clio_broadly_sync.domain.errors import TooLateError, UnavailableError
from clio_broadly_sync.domain.model import (
    Box,
    Contact,
    CustomField,
    FieldIds,
    Matter,
    Outcome,
    Page,
    Receipt,
    ReviewRequest,
)
from clio_broadly_sync.sinks.batches import Batch, Posted, SecondsLeft

OPT_OUT = CustomField(11, "BroadlyOptOut", "Contact", CHECKBOX, False)
OPT_IN = CustomField(22, "SendBroadlyThankYou", "Matter", CHECKBOX, False)
TEXTS = CustomField(33, "MayBeTexted", "Contact", CHECKBOX, False)
READ_AT_ONCE = 100
"""How many records may be asked for by id at once."""
CIRCLES = 200
"""No run of these tests asks one end so often, so a run that does goes round in circles."""
Act = Callable[[], object]
Answer = Outcome | Sequence[Outcome] | Exception
"""What a POST gets: one outcome for all of its items, one for each, or an error that is raised."""


class Clock:
    """The one clock that everybody reads, in aware UTC."""

    def __init__(self) -> None:
        self.now = NOW
        self.jumped_at: datetime | None = None

    def sleeping(self, **time: float) -> Act:
        """Return what lets so much time pass unseen, as a suspended machine does."""

        def sleep() -> None:
            self.tick(**time)
            self.jumped_at = self.now

        return sleep

    def tick(self, **time: float) -> None:
        self.now += timedelta(**time)

    def after(self, **time: float) -> Act:
        """Return an act that lets so much time pass."""
        return lambda: self.tick(**time)


class End:
    """One end of a run: it notes what it was asked for, and lets acts happen during a request."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.requests: list[str] = []
        """The kind of each request of this run, in order."""
        self._acts: dict[str, list[Act]] = defaultdict(list)

    def meanwhile(self, kind: str, *acts: Act) -> None:
        """Let these acts happen in their order, one at each of the next requests of that kind."""
        self._acts[kind] += acts

    def begin(self) -> None:
        """Forget what the last run asked for."""
        self.requests.clear()

    def _asked_for(self, kind: str) -> None:
        self.requests.append(kind)
        assert len(self.requests) < CIRCLES, "the run goes round in circles"
        if self._acts[kind]:
            self._acts[kind].pop(0)()


class Clio(End):
    """A source whose records are in two dictionaries; a contact that is missing there is hidden."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.records: dict[int, Matter] = {}
        self.people: dict[int, Contact] = {}
        self.boxes = [OPT_OUT, OPT_IN]
        """The custom fields that Clio defines."""
        self.owner: Account | Exception = Account(1, "America/New_York")
        """The account of the token, or the error that is raised where it is asked for."""
        self.page = 200
        """How many matters a page holds."""
        self.asked_by_id: list[list[int]] = []
        """The ids of each request by id in this run, in order."""
        self.since: datetime | None = None
        """The moment from which `closed_since` was last asked."""
        self._asked_at = clock.now

    def begin(self) -> None:
        super().begin()
        self.asked_by_id.clear()

    def now(self) -> datetime:
        return self.clock.now

    def unbroken_since(self) -> datetime | None:
        return self.clock.jumped_at

    def asked_at(self) -> datetime:
        return self._asked_at

    def account(self) -> Account:
        self._asked_for("account")
        if isinstance(self.owner, Exception):
            raise self.owner
        return self.owner

    def custom_fields(self, *, all_of_them: bool = False) -> Sequence[CustomField]:
        self._asked_for("custom_fields")
        return [f for f in self.boxes if all_of_them or (f.type == CHECKBOX and not f.deleted)]

    def closed_since(self, since: datetime, fields: FieldIds) -> Iterator[Page]:
        self.since = since
        return self._pages(
            fields, lambda matter: matter.updated_at is not None and matter.updated_at > since
        )

    def closed_between(self, first: date, last: date, fields: FieldIds) -> Iterator[Page]:
        return self._pages(
            fields,
            lambda matter: matter.closed_on is not None and first <= matter.closed_on <= last,
        )

    def count_closed(self) -> int | None:
        self._asked_for("count")
        return sum(matter.closed for matter in self.records.values())

    def matters(self, ids: Iterable[int], fields: FieldIds) -> dict[int, Matter]:
        wanted = self._by_id("matters", ids)
        return {id_: _read(self.records[id_], fields) for id_ in wanted if id_ in self.records}

    def contacts(self, ids: Iterable[int], fields: FieldIds) -> dict[int, Contact]:
        wanted = self._by_id("contacts", ids)
        shown = {id_: self.people[id_] for id_ in wanted if id_ in self.people}
        if fields.opt_out is None:
            shown = {id_: replace(who, opted_out=Box.UNCHECKED) for id_, who in shown.items()}
        if fields.text is None:
            shown = {id_: replace(who, texts=Box.UNCHECKED) for id_, who in shown.items()}
        return shown

    def _by_id(self, kind: str, ids: Iterable[int]) -> list[int]:
        self._asked_for(kind)
        wanted = sorted(ids)
        assert 0 < len(wanted) <= READ_AT_ONCE
        self.asked_by_id.append(wanted)
        return wanted

    def _pages(self, fields: FieldIds, wanted: Callable[[Matter], bool]) -> Iterator[Page]:
        found = [_read(m, fields) for m in self.records.values() if m.closed and wanted(m)]
        for first in range(0, max(len(found), 1), self.page):
            self._asked_for("page")
            matters = found[first : first + self.page]
            yield Page(matters, len(matters), self.clock.now)

    def _asked_for(self, kind: str) -> None:
        self._asked_at = self.clock.now
        super()._asked_for(kind)


def _read(matter: Matter, fields: FieldIds) -> Matter:
    """Return the matter as it is read: a box that is not asked for seems unchecked."""
    return matter if fields.opt_in is not None else matter._replace(opted_in=Box.UNCHECKED)


class Broadly(End):
    """A receiver that accepts everybody, unless `answers` says otherwise."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.answers: list[Answer] = []
        """What the next POSTs get, one after the other; once there is none left, all accept."""
        self.posts: list[list[ReviewRequest]] = []
        """The review requests of each POST of this run."""
        self.at_once = 500
        """How many items go in one POST at most."""
        self.between = timedelta()
        """How much time lies between two POSTs at least."""
        self._posted_at = clock.now - timedelta(days=1)

    def begin(self) -> None:
        super().begin()
        self.posts.clear()

    @property
    def matters(self) -> list[list[int]]:
        """Return the ids of the matters that each POST was about."""
        return [[request.key.matter_id for request in post] for post in self.posts]

    def ready_in(self) -> float:
        return max(0.0, (self._posted_at + self.between - self.clock.now).total_seconds())

    def send(self, batch: Batch, seconds_left: SecondsLeft) -> Iterator[Posted]:
        for first in range(0, len(batch), self.at_once):
            if seconds_left() <= 0:
                raise TooLateError("The time in which it might be sent is over.")
            requests = batch[first : first + self.at_once]
            try:
                yield Posted(requests, self._post(requests))
            except UnavailableError as error:
                if error.outcome_unknown:
                    unknown = [Receipt(r.key, Outcome.UNKNOWN, cause=error.cause) for r in requests]
                    yield Posted(requests, unknown)
                raise

    def _post(self, requests: Sequence[ReviewRequest]) -> list[Receipt]:
        self.posts.append(list(requests))
        self._posted_at = self.clock.now
        self._asked_for("post")
        answer = self.answers.pop(0) if self.answers else Outcome.ACCEPTED
        if isinstance(answer, Exception):
            raise answer
        outcomes = [answer] * len(requests) if isinstance(answer, Outcome) else answer
        return [Receipt(r.key, outcome) for r, outcome in zip(requests, outcomes, strict=True)]


class Watcher:
    """A progress that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []
        """The kind of each message, and the number in it."""

    def matters_read(self, matters: int) -> None:
        self.told.append(("read", matters))

    def closings_due(self, closings: int) -> None:
        self.told.append(("sending", closings))

    def closings_done(self, closings: int) -> None:
        self.told.append(("settled", closings))
