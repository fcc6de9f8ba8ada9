"""What a run did, counted: the figures of `--json` and of the lines for the person."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from clio_broadly_sync.domain.model import Closing, Decision, Outcome, Receipt, Verdict
from clio_broadly_sync.domain.reasons import FAULTS, Reason
from clio_broadly_sync.domain.states import State


@dataclass(slots=True, eq=False, repr=False)
class Report:
    """The counters of one run, and what else its report needs."""

    watermark_from: datetime | None = None
    """The watermark when the run began (aware UTC); None where there was none."""
    watermark_to: datetime | None = None
    """The watermark when the run ended (aware UTC)."""
    first_run: bool = False
    """Whether this is the first `sync`, which only sets the start."""
    left_to_backfill: int | None = None
    """How many matters were closed before the first `sync`; None where Clio does not say."""
    matters_read: int = 0
    """How many records of matters the pages held."""
    known: int = 0
    """How many matters of the pages were known, and neither wait nor were decided anew."""
    is_open: bool = False
    """Whether the one matter of the run is not closed in Clio."""
    to_send: int = 0
    """How many closings were claimed and not given back."""
    skipped: Counter[str] = field(default_factory=Counter)
    """How many closings a decision has skipped, by reason."""
    sent: int = 0
    """How many closings Broadly accepted, duplicates included."""
    duplicate: int = 0
    """How many of those Broadly had accepted before."""
    suppressed: int = 0
    """How many closings Broadly does not ask, because the client does not want it."""
    rejected: int = 0
    """How many closings became dead letters."""
    held: int = 0
    """How many closings became held in this run."""
    held_after: set[str | None] = field(default_factory=set)
    """What became of the exchanges that left them in doubt (`errors.Cause`); None: not known."""
    waiting: int = 0
    """How many closings of this command are pending at the end of the run."""
    surge: int = 0
    """How many closings wait for a person's approval."""
    surge_says: Sequence[str] = ()
    """What a person has to know about those that wait for approval, in sentences."""
    kept_back: Reason | None = None
    """Why nobody was claimed any more although the run went on (`rules.kept_back`), if so."""
    files: Sequence[str] = ()
    """The paths of the files that were made."""
    recovered: int = 0
    """How many closings count as sent because they are in the file of a run that was cut short."""
    kept_back_says: Sequence[str] = ()
    """What a person has to know about that, in sentences."""
    on_their_way: int | None = None
    """How many closings another run has claimed; None where no other run is at work."""
    in_doubt: int = 0
    """How many closings were sent without a result that can be read, and will be tried again."""
    faults: int = 0
    """How many closings became hidden or unreadable in this run."""
    undated: int = 0
    """How many closings began in this run to wait for their close date."""
    objections: int = 0
    """How many closings were sent whose client has opted out since, as no run has told before."""
    attention: bool = False
    """Whether something waits for a person, so that the run ends with ATTENTION."""

    def count_decision(self, old: Closing | None, new: Closing) -> None:
        """Count a decision that was recorded: the closing as it was (None: new) and as it is."""
        if new.state is State.SKIPPED:
            self.skipped[str(new.reason)] += 1
        elif new.state is State.HELD:
            self.count_held(1)
        elif new.reason in FAULTS and (old is None or old.reason is not new.reason):
            undated = new.reason is Reason.NO_CLOSE_DATE
            self.undated += undated
            self.faults += not undated
            self.attention = True

    @property
    def news(self) -> bool:
        """Whether something happened in this run that a person has to know and reads only once."""
        again = self.held or self.rejected or self.faults or self.undated or self.objections
        return bool(again or self.files or self.recovered)

    def count_held(self, closings: int, cause: str | None = None) -> None:
        """Count closings that became held; `cause` is what became of the exchange, if known."""
        self.held += closings
        if closings:
            self.held_after.add(cause)
            self.attention = True

    def count_awaiting(self) -> None:
        """Count a closing that waits for a person's approval from now on."""
        self.surge += 1
        self.attention = True

    def count_receipts(self, settled: Iterable[tuple[Receipt, Closing]]) -> None:
        """Count receipts, and what became of their closings."""
        for receipt, closing in settled:
            self.sent += closing.state is State.SENT
            self.duplicate += receipt.outcome is Outcome.DUPLICATE
            self.suppressed += closing.state is State.SKIPPED
            self.rejected += closing.state is State.DEAD
            self.count_held(closing.state is State.HELD, receipt.cause)
            self.in_doubt += closing.in_doubt and closing.state is State.PENDING
            self.attention |= closing.state is State.DEAD


def decision_of(closing: Closing) -> Decision:
    """Return the decision that a closing's row stands for."""
    if closing.state is State.SKIPPED:
        return Decision(Verdict.SKIP, closing.reason)
    if closing.state in (State.PENDING, State.HELD):
        return Decision(Verdict.WAIT, closing.reason)
    return Decision(Verdict.SEND)
