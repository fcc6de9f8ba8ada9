"""What one POST to a receiver may have done, and refusals that may not be about the items.

Knows no field name and no status of Broadly: those are in `broadly` alone.
"""

import uuid
from collections.abc import Sequence
from typing import Final

from clio_broadly_sync.domain.errors import ConfigError, SyncError, UnavailableError
from clio_broadly_sync.domain.model import Key, Outcome, Receipt, ReviewRequest

MAX_REFUSED: Final = 3
"""So many items refused and none accepted: it is not the items, it is the contract."""

Batch = Sequence[ReviewRequest]


class StillRunningError(UnavailableError):
    """The first try of this key is still at work."""


class SubBatch:
    """What one POST carries, the idempotency key of it and its repeats, and whether one of them
    may have worked although nobody said so."""

    def __init__(self, requests: Batch, *, in_doubt: bool = False) -> None:
        self.requests = requests
        self.key = str(uuid.uuid4())
        self.in_doubt = in_doubt

    def note(self, error: SyncError) -> None:
        """Keep the key where no complete answer came or the first try still runs: only then
        does a repeat under it mean the same. A server may replay a stored refusal."""
        if not isinstance(error, UnavailableError) or error.answered:
            self.key = str(uuid.uuid4())
        if isinstance(error, UnavailableError) and error.outcome_unknown:
            self.in_doubt = True

    def may_be_repeated(self, error: UnavailableError) -> bool:
        """Tell whether a repeat asks nobody twice, where the receiver does not see to that."""
        if self.in_doubt and error.answered:
            return False  # the repeat would go under another key than the try that may have worked
        return isinstance(error, StillRunningError) or not error.outcome_unknown

    def unknown(self) -> list[Receipt]:
        return [Receipt(request.key, Outcome.UNKNOWN) for request in self.requests]


class RefusalGuard:
    """Keeps refusals back until something was accepted: it may be the contract, not the items."""

    def __init__(self) -> None:
        self._accepted = False
        self._withheld: list[Receipt] = []

    def suspect(self, just_refused: int) -> None:
        """Stop where nothing was accepted and a whole POST was refused, item by item or alone."""
        if self._accepted or len(self._withheld) + just_refused < MAX_REFUSED:
            return
        self._withheld = []
        raise ConfigError(
            "Broadly refuses every client: its contract and this program's do not fit "
            "(see broadly-batch/1 in the README). Nobody was handed over; all of them wait."
        )

    def admit(self, receipts: list[Receipt]) -> list[Receipt]:
        """Return what may be settled now."""
        if any(receipt.outcome in (Outcome.ACCEPTED, Outcome.DUPLICATE) for receipt in receipts):
            self._accepted = True
        if self._accepted:
            return self.flush() + receipts
        self._withheld += [r for r in receipts if r.outcome is Outcome.REFUSED]
        return [r for r in receipts if r.outcome is not Outcome.REFUSED]

    def withheld(self) -> set[Key]:
        return {receipt.key for receipt in self._withheld}

    def flush(self) -> list[Receipt]:
        """Return the refusals that were kept back."""
        withheld, self._withheld = self._withheld, []
        return withheld
