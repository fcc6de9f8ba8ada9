"""What one POST to a receiver may have done, and refusals that may not be about the items.

No field name and no status of Broadly is known here: those are in `sinks/broadly.py` alone.
"""

import uuid
from collections.abc import Sequence
from typing import Final

from clio_broadly_sync.domain.errors import ConfigError, SyncError, UnavailableError
from clio_broadly_sync.domain.model import Key, Outcome, Receipt, ReviewRequest

MAX_REFUSED: Final = 3
"""If so many items are refused and none is accepted, the contract is at fault, not the items."""

Batch = Sequence[ReviewRequest]


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


class RefusalGuard:
    """Withholds refusals until something was accepted.

    Before that, the contract may be at fault and not the items.
    """

    def __init__(self) -> None:
        self._accepted = False
        self._withheld: list[Receipt] = []

    def suspect(self, just_refused: int) -> None:
        """Raise ConfigError where the contract is at fault, so that the push stops.

        Call it with the number of items when a whole POST was refused: each item by name, or its
        only one. If nothing was accepted so far, and these and those withheld are `MAX_REFUSED` or
        more, the contract is at fault. What was withheld is then forgotten, so it waits again.
        """
        if self._accepted or len(self._withheld) + just_refused < MAX_REFUSED:
            return
        self._withheld = []
        raise ConfigError(
            "Broadly refuses every client: its contract and this program's do not fit "
            "(see broadly-batch/1 in the README). Nobody was handed over; all of them wait."
        )

    def admit(self, receipts: list[Receipt]) -> list[Receipt]:
        """Return the receipts that may be settled now, and withhold the others.

        Once something was accepted, none is withheld, and those withheld before are returned too.
        """
        if any(receipt.outcome in (Outcome.ACCEPTED, Outcome.DUPLICATE) for receipt in receipts):
            self._accepted = True
        if self._accepted:
            return self.flush() + receipts
        self._withheld += [r for r in receipts if r.outcome is Outcome.REFUSED]
        return [r for r in receipts if r.outcome is not Outcome.REFUSED]

    def withheld(self) -> set[Key]:
        """Return the closings whose refusals are withheld."""
        return {receipt.key for receipt in self._withheld}

    def flush(self) -> list[Receipt]:
        """Return the refusals that were withheld, and withhold them no longer."""
        withheld, self._withheld = self._withheld, []
        return withheld
