"""One push of what is due: read again, decide again, claim, send, settle.

Each stage takes what the one before yields and works on as much as one request can ask for. So no
more than that is in memory, and what is sent to Broadly was read just before. What is due, and
whether anybody may go at all, is decided in `pipeline/run.py`.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from operator import attrgetter

from clio_broadly_sync.domain import lifecycle, rules
from clio_broadly_sync.domain.errors import (
    ExportError,
    StoppedError,
    StorageError,
    SyncError,
    TooLateError,
    UnavailableError,
)
from clio_broadly_sync.domain.lifecycle import Moment
from clio_broadly_sync.domain.model import (
    Approval,
    Candidate,
    Closing,
    Command,
    Contact,
    Due,
    FieldIds,
    Key,
    Outcome,
    Receipt,
)
from clio_broadly_sync.domain.reasons import FAULTS, Reason
from clio_broadly_sync.domain.requests import request_for
from clio_broadly_sync.pipeline.context import RunContext
from clio_broadly_sync.pipeline.matters_again import decided_again
from clio_broadly_sync.pipeline.noes import READ_AT_ONCE, note_noes

LOOK_AHEAD = 1000
"""At most so many closings are in memory at a time."""
MAX_BUSY = timedelta(hours=1)
"""A run waits at most so long for a Broadly that is busy and takes nobody, if it has the time."""
MAX_BARREN_WALKS = 3
"""A push ends after so many walks in a row in which no closing got any further."""


class Push:
    """One push, in as many walks through what is due as it takes.

    `allowance` is how many closings that have become readable may go before that is a surge; None
    says that it is one already, and that only what a person approved may go.
    """

    def __init__(self, context: RunContext, wanted: Due, allowance: float | None) -> None:
        self._context = context
        self._wanted = wanted
        self._allowance = allowance
        self._candidates: Iterator[Candidate] = iter(())
        self._queue: list[Candidate] = []
        """The candidates of this walk that were read and not claimed."""
        self._at_end = False
        """Whether no candidate of this walk is left outside the queue."""
        self._further = 0
        """So many candidates of this walk were claimed or refused."""
        self._withheld: set[Key] = set()
        """What was claimed and has an answer, whose receipt comes when the push is over."""
        self._lost = False
        """Whether an answer was lost for good, so that no further POST begins."""
        self._read_at_once = min(READ_AT_ONCE, context.read_at_once)
        """So many matters or contacts are read by one request."""
        self._busy_since: datetime | None = None
        """Since when Broadly has been too busy to take anybody (aware UTC), if it is."""

    def carry_out(self) -> None:
        """Send what is due in batches; give back what was claimed and could not be sent.

        Raise UnavailableError where Clio or Broadly is too slow, and any other SyncError that ended
        the push.
        """
        try:
            self._walk_on()
        except StorageError:
            raise  # what is sending may have arrived, so for the next run it is in doubt
        except SyncError as error:
            by_itself = isinstance(error, StoppedError | ExportError)
            reason = None if by_itself else Reason.UNAVAILABLE
            self._end(reason, error.cause)
            raise
        self._end(None)

    def _walk_on(self) -> None:
        """Walk until no walk is needed any more, or until several in a row came to nothing."""
        barren = 0
        while self._walk() or not self._flushed():
            barren = 0 if self._further else barren + 1
            if barren >= MAX_BARREN_WALKS:
                raise UnavailableError(
                    "What is read grows old before it can be sent: Clio or Broadly is too slow. "
                    "The next run tries again."
                )

    def _walk(self) -> bool:
        """Walk once through what is due; return whether it is time for another walk.

        Another walk reads everything again. It is needed where what was read has grown old, where
        Broadly wanted a pause, or where a checkbox has turned up.
        """
        context, fields = self._context, self._context.fields
        due = context.store.ledger.line_up(self._wanted, approved_only=self._allowance is None)
        context.progress.closings_due(due)
        self._candidates = self._read_contacts()
        self._queue, self._at_end, self._further = [], False, 0
        while not self._lost and context.seconds_left() > 0 and (size := self._batch_size()) > 0:
            self._fill_queue(size)
            if not self._queue or not self._await_turn():
                return False
            if self._is_outdated(fields):
                return True
            queued = len(self._queue)
            if (batch := self._claim(size)) and self._send(batch):
                return True
            if len(self._queue) == queued and not self._may_grow():
                sent = context.report.sent  # all wait for another one's receipt
                if not self._flushed():
                    return True
                if context.report.sent == sent:
                    return False  # and that is withheld
        return False

    def _batch_size(self) -> int:
        most, left = self._context.most_at_once(), self._context.limit_left
        return most if left is None else min(most, left)

    def _await_turn(self) -> bool:
        """Wait until the next POST may begin by the pace, before anybody is claimed for it.

        Return whether the run has the time.
        """
        context = self._context
        wait = context.sink.ready_in()
        if wait >= context.seconds_left():
            return False
        if wait > 0:
            context.wait(wait)
        return True

    def _may_grow(self) -> bool:
        return not self._at_end and len(self._queue) < LOOK_AHEAD

    def _fill_queue(self, size: int) -> None:
        if self._may_grow():
            added = list(islice(self._candidates, size))
            self._at_end = len(added) < size
            self._queue += added

    def _is_outdated(self, fields: FieldIds) -> bool:
        """Tell whether the queue, which was read with these `fields`, has to be read again."""
        if min(c.read_at for c in self._queue) < self._context.fresh_since():
            return True
        self._context.check_fields(rules.FRESH)
        return self._context.fields != fields  # a box has turned up

    # Read again, decide again.

    def _read_matters(self) -> Iterator[Closing]:
        """Yield the closings whose matter this run has just read, or reads again here.

        Those that the second look speaks against are recorded and left out.
        """
        closings = self._context.store.ledger.lined_up()
        for chunk, old in _chunks(closings, self._old_matter, self._read_at_once):
            if not old:
                yield from chunk
                continue
            looks = self._look_again([c for c in chunk if c.key.matter_id in old], old)
            for closing in chunk:
                look = looks.get(closing, lifecycle.MatterRead(closing, goes_on=True))
                if look.goes_on:
                    yield look.closing

    def _old_matter(self) -> Callable[[Closing], int | None]:
        """Return what gives a closing's matter; None where this run has read it just now."""
        run, since = self._context.run, self._context.fresh_since()
        return lambda c: None if c.read_in_run == run and c.read_at >= since else c.key.matter_id

    def _look_again(
        self, closings: Sequence[Closing], ids: Collection[int]
    ) -> dict[Closing, lifecycle.MatterRead]:
        """Read these matters, and decide again on their closings; record what was decided."""
        context = self._context
        context.check_fields(rules.FRESH)
        matters = context.source.matters(ids, context.fields)
        looks = decided_again(context, closings, matters)
        policy, now = context.policy, context.source.now()
        kept = [(old, lifecycle.as_kept(old, look, policy, now)) for old, look in looks.items()]
        context.record_decisions(kept)
        context.progress.closings_done(sum(not look.goes_on for look in looks.values()))
        return looks

    def _read_contacts(self) -> Iterator[Candidate]:
        """Yield, in the same order, what may be sent by its matter and its contact."""
        context = self._context
        closings, at_once = self._read_matters(), self._read_at_once
        for chunk, ids in _chunks(closings, lambda: attrgetter("contact_id"), at_once):
            context.check_fields(rules.FRESH)
            contacts = context.source.contacts(ids, context.fields)
            at = context.at()
            note_noes(context.source, context.store.ledger.noes, context.fields, ids, contacts)
            kept, candidates = [], []
            for closing in chunk:
                contact = contacts.get(closing.contact_id or 0)
                refused = self._refused(closing, contact, at)
                if refused is not None:
                    kept.append((closing, refused))
                elif contact is not None:  # pragma: no branch  (a hidden one was refused above)
                    request = request_for(closing, contact, context.policy, at.today)
                    read_at = min(closing.read_at, at.now)
                    candidates.append(Candidate(closing, contact, request, read_at))
            context.record_decisions(kept)
            context.progress.closings_done(len(kept))
            yield from candidates

    def _refused(self, closing: Closing, contact: Contact | None, at: Moment) -> Closing | None:
        """Return what becomes of a closing by its contact; None: it may be sent.

        One that has become readable uses up some of the allowance, and waits where none is left.
        """
        refused = lifecycle.contact_read(closing, contact, self._context.policy, at)
        was_fault = closing.reason in FAULTS and closing.approval is not Approval.GIVEN
        if refused is not None or self._allowance is None or not was_fault:
            return refused
        self._allowance -= 1
        if self._allowance >= 0:
            return None
        self._context.report.count_awaiting()
        return lifecycle.awaiting_approval(closing)

    # Claim, send, settle.

    def _claim(self, size: int) -> list[Candidate]:
        """Take a batch from the queue; none that is not full while the queue may grow."""
        context, policy = self._context, self._context.policy
        now = context.source.now()
        claim = context.store.ledger.claim(
            self._queue,
            size,
            whole=self._may_grow(),
            judge=lambda closing, asked: lifecycle.asked_before(closing, asked, policy, now),
            at=now,
        )
        for closing in claim.refused:
            context.report.count_decision(None, closing)
        context.report.to_send += len(claim.batch)
        context.progress.closings_done(len(claim.refused))
        self._further += len(claim.batch) + len(claim.refused)
        self._queue = claim.rest
        return claim.batch

    def _send(self, batch: Sequence[Candidate]) -> bool:
        """Send one batch; return whether it is time for another walk.

        Where the receiver does not dedupe, a lost answer ends the push, and no further POST begins.
        """
        oldest = min(candidate.read_at for candidate in batch)

        def seconds_left() -> float:
            fresh = self._context.fresh_for(oldest).total_seconds()
            return 0.0 if self._lost else min(fresh, self._context.seconds_left())

        try:
            for receipts in self._context.sink.send([c.request for c in batch], seconds_left):
                self._take_in(receipts)
        except UnavailableError as error:
            return not self._lost and self._goes_on_after(error, seconds_left())
        return False

    def _flushed(self) -> bool:
        """Let the sink take all that it was sent; give that back, and return False, where it has
        grown too old."""
        try:
            for receipts in self._context.sink.flush():
                self._take_in(receipts)
        except TooLateError:
            self._give_back(None)
            self._further = 0
            return False
        return True

    def _take_in(self, receipts: Sequence[Receipt]) -> None:
        """Settle the receipts of a POST that count by now, and note what they say of the receiver.

        A doubt is noted before it is settled, and its end afterwards, so that a kill in between
        leaves a pause too many and none too few.
        """
        withheld = {r.key for r in receipts if r.outcome is Outcome.WITHHELD}
        self._withheld |= withheld
        told = [receipt for receipt in receipts if receipt.key not in withheld]
        if not told:
            return
        store, outcomes = self._context.store, {receipt.outcome for receipt in told}
        self._busy_since = None
        if lost := Outcome.UNKNOWN in outcomes and not self._context.policy.dedupes:
            self._lost = True
            store.note_doubt(self._context.source.now())
        self._settle(told)
        if not lost and outcomes & {Outcome.ACCEPTED, Outcome.DUPLICATE}:
            store.end_doubts()

    def _goes_on_after(self, error: UnavailableError, seconds_left: float) -> bool:
        """Return whether to walk again after a batch that did not reach Broadly.

        Raise the error where nothing more can be done in this run.
        """
        if isinstance(error, TooLateError):
            self._give_back(None)
            return self._context.seconds_left() > 0
        wait = error.retry_after
        if wait is None or error.outcome_unknown or not self._waits(wait, seconds_left):
            raise error
        self._give_back(Reason.UNAVAILABLE, error.cause)
        self._context.wait(wait)
        return True

    def _waits(self, seconds: float, seconds_left: float) -> bool:
        """Tell whether the push waits so long for a busy Broadly.

        A `sync` does so only where the transport did not, because what was read would be too old.
        """
        context, now = self._context, self._context.source.now()
        self._busy_since = self._busy_since or now
        patience = (self._busy_since + MAX_BUSY - now).total_seconds()
        in_time = seconds <= min(patience, context.seconds_left())
        return in_time and (context.policy.command is Command.BACKFILL or seconds > seconds_left)

    def _settle(self, receipts: Sequence[Receipt]) -> None:
        """Write receipts down in the ledger, and count them in the report."""
        settled = self._context.store.ledger.settle(
            receipts,
            lambda receipt, closing: lifecycle.settled(receipt, closing, self._context.policy),
            self._context.source.now(),
        )
        self._context.report.count_receipts(settled)
        self._context.progress.closings_done(len(settled))

    def _give_back(self, reason: Reason | None, cause: str | None = None) -> None:
        """Release what was claimed and not taken, for this reason; what is withheld stays claimed.

        `cause` is what became of the try (`errors.Cause`).
        """
        released = self._context.store.ledger.release(
            lambda closing: lifecycle.released(closing, reason, cause),
            self._context.source.now(),
            but=self._withheld,
        )
        self._context.report.to_send -= len(released)

    def _end(self, reason: Reason | None, cause: str | None = None) -> None:
        """End the push: settle what was withheld, and give back what was not taken."""
        self._settle(self._context.sink.close())
        self._withheld.clear()  # what is withheld even now was refused with all the others
        self._give_back(reason, cause)


def _chunks(
    closings: Iterator[Closing],
    reading: Callable[[], Callable[[Closing], int | None]],
    at_once: int,
) -> Iterator[tuple[list[Closing], set[int]]]:
    """Yield the closings in chunks, each with the ids of what is to be read for it.

    These are `at_once` at most. What `reading` returns for a chunk gives the id for a closing; None
    where nothing is to be read. No chunk is larger than what may be in memory.
    """
    chunk: list[Closing] = []
    ids: set[int] = set()
    to_read = reading()
    for closing in closings:
        id_ = to_read(closing)
        one_more = id_ is not None and id_ not in ids
        if len(chunk) >= LOOK_AHEAD or (one_more and len(ids) >= at_once):
            yield chunk, ids
            chunk, ids, to_read = [], set(), reading()
        chunk.append(closing)
        if id_ is not None:
            ids.add(id_)
    if chunk:
        yield chunk, ids
