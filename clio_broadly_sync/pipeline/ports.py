"""What the engine needs of the outside, as Protocols: a source, a sink, and who watches."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import Protocol

from clio_broadly_sync.domain.model import (
    Account,
    Contact,
    CustomField,
    FieldIds,
    Key,
    Matter,
    Page,
    Receipt,
    ReviewRequest,
)


class Definitions(Protocol):
    """What the pins need of Clio. Every method but `now` may raise SyncError."""

    def now(self) -> datetime: ...

    def account(self) -> Account:
        """Return whose data the token opens; raise DeniedError 403 where Clio forbids it."""

    def custom_fields(self, *, all_of_them: bool = False) -> Sequence[CustomField]:
        """Return the checkbox definitions that are not deleted; or every definition."""


class Source(Definitions, Protocol):
    """Where matters and contacts come from. Every method may raise SyncError."""

    def closed_since(self, since: datetime, fields: FieldIds) -> Iterator[Page]:
        """Yield the closed matters that were updated after `since`, page by page."""
        ...

    def closed_between(self, first: date, last: date, fields: FieldIds) -> Iterator[Page]:
        """Yield the matters closed from `first` to `last`, both included, page by page."""
        ...

    def matters(self, ids: Iterable[int], fields: FieldIds) -> dict[int, Matter]:
        """Return those of at most 100 matters that there are, in whatever status."""
        ...

    def contacts(self, ids: Iterable[int], fields: FieldIds) -> dict[int, Contact]:
        """Return those of at most 100 contacts that are not hidden."""
        ...

    def asked_at(self) -> datetime:
        """Return when the last request began, by the same clock as `now`."""
        ...


class Sink(Protocol):
    """Where review requests go."""

    def send(
        self, batch: Sequence[ReviewRequest], seconds_left: Callable[[], float]
    ) -> Iterator[list[Receipt]]:
        """Send a batch; yield receipts POST by POST. What has none when it raises was not taken.

        No POST begins once `seconds_left()` is not above zero.
        """
        ...

    def withheld(self) -> Collection[Key]:
        """Return what was answered, but is told only by `flush`."""
        ...

    def flush(self) -> list[Receipt]:
        """Return the receipts that were withheld; the push is over."""
        ...


class Progress(Protocol):
    """Told how far a run has come."""

    def matters_read(self, matters: int) -> None: ...

    def closings_due(self, closings: int) -> None: ...

    def closings_done(self, closings: int) -> None: ...
