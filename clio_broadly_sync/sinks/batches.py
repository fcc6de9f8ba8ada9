"""What one POST to a receiver may have done, and refusals that may not be about the items.

No field name and no status of a receiver is known here: those are in its own module alone.
"""

import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, Protocol

from clio_broadly_sync.domain.errors import ConfigError, SyncError, UnavailableError
from clio_broadly_sync.domain.model import Outcome, Receipt, ReviewRequest

MAX_REFUSED: Final = 3
"""If so many items are refused and none is accepted, the contract is at fault, not the items."""

Batch = Sequence[ReviewRequest]
SecondsLeft = Callable[[], float]
"""It returns how long what a batch carries may still be sent."""


class StillRunningError(UnavailableError):
    """The receiver is still at work on the first try under this idempotency key."""


class SubBatch:
    """What one POST and its repeats carry."""

    def __init__(self, requests: Batch, *, doubt: str | None = None) -> None:
        self.requests = requests
        self.key = str(uuid.uuid4())
        """The idempotency key of the next try."""
        self.doubt = doubt
        """Why one of the tries may have worked although nobody said so, in the word of its error;
        None where none of them may."""

    @property
    def in_doubt(self) -> bool:
        """Whether one of the tries may have worked although nobody said so."""
        return self.doubt is not None

    def note(self, error: SyncError) -> None:
        """Take in that a try failed with this error, for the key and for the doubt.

        The key is kept where no complete answer came, or where the first try still runs: only then
        does a repeat under it mean the same. Else it is a new one, because a server may replay a
        refusal that it has stored.
        """
        if not isinstance(error, UnavailableError) or error.answered:
            self.key = str(uuid.uuid4())
        if isinstance(error, UnavailableError) and error.outcome_unknown:
            self.doubt = error.cause or "unknown"

    def may_be_repeated(self, error: UnavailableError) -> bool:
        """Tell whether a repeat asks nobody twice even where the receiver does not dedupe."""
        if self.in_doubt and error.answered:
            return False  # the repeat would go under another key than the try that may have worked
        return isinstance(error, StillRunningError) or not error.outcome_unknown

    def unknown(self) -> list[Receipt]:
        """Return receipts which say that the outcome of each request is unknown."""
        return [Receipt(r.key, Outcome.UNKNOWN, cause=self.doubt) for r in self.requests]


class Posted(NamedTuple):
    """What came of one POST and its repeats."""

    requests: Batch
    """What it carried."""
    receipts: list[Receipt]
    """Those that it brought; fewer than requests where some of them go in further POSTs."""


class Receiver(Protocol):
    """A `Sink` whose refusals may be about the contract and not about the items."""

    def send(self, batch: Batch, seconds_left: SecondsLeft) -> Iterator[Posted]:
        """Send a batch, as a `Sink` does; yield what came of each POST."""

    def ready_in(self) -> float:
        """Return in how many seconds the next POST may begin."""
        ...


class RefusalGuard:
    """A `Sink` that withholds the refusals of a receiver until it has accepted something.

    Before that, the contract may be at fault and not the items.
    """

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._accepted = False
        self._withheld: list[Receipt] = []

    def ready_in(self) -> float:
        """Return in how many seconds the next POST may begin."""
        return self._receiver.ready_in()

    def send(self, batch: Batch, seconds_left: SecondsLeft) -> Iterator[list[Receipt]]:
        """Send a batch; yield the receipts of each POST (see `Sink`).

        Once something was accepted, none is withheld, and those withheld before come, too. Raise
        ConfigError where the contract is at fault, so that the push stops.
        """
        for posted in self._receiver.send(batch, seconds_left):
            outcomes = {receipt.outcome for receipt in posted.receipts}
            if outcomes & {Outcome.ACCEPTED, Outcome.DUPLICATE}:
                self._accepted = True
            yield self.close() + posted.receipts if self._accepted else self._withhold(posted)

    def flush(self) -> Iterator[list[Receipt]]:
        """Yield nothing: each batch was taken when it was sent."""
        yield from ()

    def close(self) -> list[Receipt]:
        """Return the refusals that were withheld, and withhold them no longer."""
        withheld, self._withheld = self._withheld, []
        return withheld

    def _withhold(self, posted: Posted) -> list[Receipt]:
        """Withhold what was refused, and return all receipts with that in them.

        The contract is at fault where a whole POST was refused, each item by name or its only one,
        and `MAX_REFUSED` or more are withheld by then. These are forgotten, so they wait again.
        """
        refused = [r for r in posted.receipts if r.outcome is Outcome.REFUSED]
        self._withheld += refused
        if len(refused) == len(posted.requests) and len(self._withheld) >= MAX_REFUSED:
            self._withheld = []
            raise ConfigError(
                "Broadly refuses every client: its contract and this program's do not fit "
                "(see docs/where-it-can-send.md). Nobody was sent; all of them wait."
            )
        return [
            r._replace(outcome=Outcome.WITHHELD) if r.outcome is Outcome.REFUSED else r
            for r in posted.receipts
        ]
