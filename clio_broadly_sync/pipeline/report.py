"""What a run did, counted: the figures of `--json` and of the lines for the person."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from clio_broadly_sync.domain.model import Closing, Decision, Outcome, Receipt, Verdict
from clio_broadly_sync.domain.reasons import FAULTS, State


@dataclass(slots=True)
class Report:
    """Counters of one run.

    `in_doubt`: handed over without an answer, and to be tried again. `faults`: became hidden or
    unreadable. `surge_says`: what a person has to know about those that wait for approval.
    `attention`: something new waits for a person.
    """

    watermark_from: datetime | None = None
    watermark_to: datetime | None = None
    first_run: bool = False
    matters_read: int = 0
    to_send: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    duplicate: int = 0
    suppressed: int = 0
    rejected: int = 0
    held: int = 0
    waiting: int = 0
    surge: int = 0
    surge_says: Sequence[str] = ()
    in_doubt: int = 0
    faults: int = 0
    attention: bool = False

    def count_decision(self, old: Closing | None, new: Closing) -> None:
        """Count a decision that was recorded."""
        if new.state is State.SKIPPED:
            self.skipped[str(new.reason)] += 1
        elif new.state is State.HELD:
            self.count_held(1)
        elif new.reason in FAULTS and (old is None or old.reason is not new.reason):
            self.faults += 1
            self.attention = True

    @property
    def news(self) -> bool:
        """Whether something came about in this run that a person has to know, and reads once."""
        return bool(self.held or self.rejected or self.faults)

    def count_held(self, closings: int) -> None:
        self.held += closings
        self.attention = self.attention or closings > 0

    def count_awaiting(self) -> None:
        """Count a closing that waits for a person's approval from now on."""
        self.surge += 1
        self.attention = True

    def count_receipts(self, settled: Iterable[tuple[Receipt, Closing]]) -> None:
        """Count receipts and what became of their closings."""
        for receipt, closing in settled:
            self.sent += closing.state is State.SENT
            self.duplicate += receipt.outcome is Outcome.DUPLICATE
            self.suppressed += closing.state is State.SKIPPED
            self.rejected += closing.state is State.DEAD
            self.held += closing.state is State.HELD
            self.in_doubt += closing.in_doubt and closing.state is State.PENDING
            self.attention |= closing.state in (State.DEAD, State.HELD)


def decision_of(closing: Closing) -> Decision:
    """Return the decision that a closing's row stands for."""
    if closing.state is State.SKIPPED:
        return Decision(Verdict.SKIP, closing.reason)
    if closing.state in (State.PENDING, State.HELD):
        return Decision(Verdict.WAIT, closing.reason)
    return Decision(Verdict.SEND)
