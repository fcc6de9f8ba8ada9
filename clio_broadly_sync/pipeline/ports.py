"""What the engine needs from outside, as Protocols: a source, a sink, and whoever watches."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import Protocol

from clio_broadly_sync.domain.account import Account
from clio_broadly_sync.domain.model import (
    Contact,
    CustomField,
    FieldIds,
    Matter,
    Page,
    Receipt,
    ReviewRequest,
)


class Definitions(Protocol):
    """What the pins need of Clio. Only those about time never raise SyncError."""

    def now(self) -> datetime:
        """Return the source's time in aware UTC."""
        ...

    def asked_at(self) -> datetime:
        """Return when the last request began, by the same clock as `now`."""
        ...

    def unbroken_since(self) -> datetime | None:
        """Return since when no time has passed that no clock of the run saw, by the same clock.

        What was read before that counts as old, for the machine may have been suspended. None
        means that all of the run's time was seen.
        """
        ...

    def account(self) -> Account:
        """Return the account that the token opens; without an id where Clio does not name it.

        Raise DeniedError with status 403 where Clio forbids the question.
        """

    def custom_fields(self, *, all_of_them: bool = False) -> Sequence[CustomField]:
        """Return the definitions of checkboxes that are not deleted, or of all custom fields."""


class Source(Definitions, Protocol):
    """Where matters and contacts come from. Only methods about time never raise SyncError.

    `fields` are the ids of the checkboxes to be read.
    """

    def closed_since(self, since: datetime, fields: FieldIds) -> Iterator[Page]:
        """Yield the closed matters updated after `since` (aware UTC), page by page.

        There is at least one page, which may be empty.
        """
        ...

    def closed_between(self, first: date, last: date, fields: FieldIds) -> Iterator[Page]:
        """Yield the matters closed from `first` to `last`, both included, page by page.

        Both are dates in the firm's zone. Closed matters whose close date cannot be read are among
        them.
        """
        ...

    def count_closed(self) -> int | None:
        """Return how many matters are closed; None where Clio does not say so in one request."""
        ...

    def matters(self, ids: Iterable[int], fields: FieldIds) -> dict[int, Matter]:
        """Return those of these matters that there are, in whatever status, by id.

        Ask for at most 100 ids at once.
        """
        ...

    def contacts(self, ids: Iterable[int], fields: FieldIds) -> dict[int, Contact]:
        """Return those of these contacts that are not hidden, by id.

        Ask for at most 100 ids at once.
        """
        ...


class Sink(Protocol):
    """Where review requests go."""

    def ready_in(self) -> float:
        """Return in how many seconds the next POST may begin, by the pace of its receiver."""
        ...

    def send(
        self, batch: Sequence[ReviewRequest], seconds_left: Callable[[], float]
    ) -> Iterator[list[Receipt]]:
        """Send a batch; yield the receipts, POST by POST.

        No POST begins once `seconds_left()` is not above zero. A receipt that is `withheld` is none
        yet: `close` returns the one that counts. A sink that takes many batches together may yield
        the receipts of one with a later one, or in `flush`. May raise SyncError; the requests
        without a receipt of either kind were not taken then, nor were those of earlier batches.
        """
        ...

    def flush(self) -> Iterator[list[Receipt]]:
        """Let what was sent so far be taken, and yield its receipts; what is withheld stays so.

        It is called when no more is to be sent, and when somebody waits for another one's receipt.
        May raise SyncError, as `send` does.
        """
        ...

    def close(self) -> list[Receipt]:
        """Return the receipts that were withheld. It is called once, when the push is over.

        Those that have none even then wait as if they had not been sent.
        """
        ...


class Progress(Protocol):
    """Whoever watches how far a run has come."""

    def matters_read(self, matters: int) -> None:
        """Take in how many matters the run has read so far."""
        ...

    def closings_due(self, closings: int) -> None:
        """Take in that a walk through so many due closings begins."""
        ...

    def closings_done(self, closings: int) -> None:
        """Take in that the walk has finished with so many more closings."""
        ...
