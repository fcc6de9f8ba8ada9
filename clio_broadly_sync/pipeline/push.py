"""One walk through what is due: read again, decide again, claim, send, settle.

Each stage takes what the one before yields and works on as much as one request can ask for. So no
more than that is in memory, and what is sent to Broadly was read just before. What comes before and
after the walks of a push is in `pipeline/run.py`.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice

from clio_broadly_sync.domain import lifecycle, rules
from clio_broadly_sync.domain.errors import TooLateError, UnavailableError
from clio_broadly_sync.domain.model import (
    Approval,
    Box,
    Candidate,
    Closing,
    Command,
    Contact,
    Due,
    Matter,
    Outcome,
    Receipt,
)
from clio_broadly_sync.domain.reasons import FAULTS, Reason
from clio_broadly_sync.pipeline.context import RunContext

READ_AT_ONCE = 100
"""One request asks for at most so many matters or contacts by id."""
LOOK_AHEAD = 1000
"""At most so many closings are in memory at a time."""
MAX_BUSY = timedelta(hours=1)
"""A run waits at most so long for a Broadly that is busy and takes nobody, if it has the time."""


def push_once(context: RunContext, wanted: Due, *, approved_only: bool) -> bool:
    """Walk once through what is due; return whether it is time for another walk.

    Another walk reads everything again. It is needed where what was read has grown old, where
    Broadly wanted a pause, or where a checkbox has turned up.
    """
    context.progress.closings_due(context.store.ledger.line_up(wanted, approved_only=approved_only))
    candidates = _candidates(context, context.store.ledger.lined_up())
    fields = context.fields
    queue: list[Candidate] = []
    at_end = False
    while context.seconds_left() > 0 and (size := _batch_size(context)) > 0:
        if not at_end and len(queue) < LOOK_AHEAD:
            added = list(islice(candidates, size))
            at_end = len(added) < size
            queue += added
        if not queue:
            return False
        if context.fresh_for(min(c.read_at for c in queue)) < timedelta():
            return True
        check_fields(context, rules.FRESH)
        if context.fields != fields:  # a box turned up, and the queue was read without it
            return True
        whole, queued = not at_end and len(queue) < LOOK_AHEAD, len(queue)
        batch, queue = _claim(context, queue, size, whole=whole)
        if batch and (again := _send(context, batch)) is not None:
            return again
        if not whole and len(queue) == queued:  # all wait for a receipt that is withheld
            return False
    return False


def check_fields(context: RunContext, age: timedelta) -> None:
    """Compare the checkboxes in Clio with the pins, unless that was done within this `age`.

    Raise ConfigError where they do not fit. Pin a checkbox that counts from now on.
    """
    known = context.store.pins()
    if known is None or not context.definitions.older_than(age):
        return
    found = context.definitions.read(known.fields)
    if found != known.fields:
        context.store.pin(replace(known, fields=found))


def give_back(context: RunContext, reason: Reason | None, cause: str | None = None) -> None:
    """Release what was claimed and not taken, for this reason; what is withheld stays claimed.

    `cause` is what became of the try (`errors.Cause`).
    """
    released = context.store.ledger.release(
        lambda closing: lifecycle.released(closing, reason, cause),
        context.source.now(),
        but=context.sink.withheld(),
    )
    context.report.to_send -= len(released)


def _batch_size(context: RunContext) -> int:
    most = rules.most_at_once(context.doubts, context.batch_size)
    return most if context.limit is None else min(most, context.limit - context.report.to_send)


def _candidates(context: RunContext, closings: Iterator[Closing]) -> Iterator[Candidate]:
    """Yield, in the same order, what may be sent by its matter and its contact."""
    for chunk in _with_contacts_to_read(_looked_at(context, closings)):
        check_fields(context, rules.FRESH)
        ids = {closing.contact_id for closing in chunk if closing.contact_id is not None}
        contacts = context.source.contacts(ids, context.fields)
        read_at = context.source.asked_at()
        at = context.at()
        _note_noes(context, ids, contacts)
        kept, candidates = [], []
        for closing in chunk:
            contact = contacts.get(closing.contact_id or 0)
            refused = lifecycle.contact_read(closing, contact, context.policy, at)
            if refused is None and _is_surplus(context, closing):
                refused = lifecycle.awaiting_approval(closing)
                context.report.count_awaiting()
            if refused is not None:
                kept.append((closing, refused))
            elif contact is not None:  # pragma: no branch  (a hidden one was refused above)
                request = lifecycle.request_for(closing, contact, context.policy, at.today)
                read = min(closing.read_at, read_at)
                candidates.append(Candidate(closing, contact, request, read))
        context.record_decisions(kept)
        context.progress.closings_done(len(kept))
        yield from candidates


def _note_noes(context: RunContext, ids: Collection[int], contacts: Mapping[int, Contact]) -> None:
    """Remember who of these contacts says no, before anything of this reading is claimed.

    A no that would stop one of them, and that was read too long ago, is read again.
    """
    if context.fields.opt_out is None:
        return
    noes = context.store.ledger.noes
    noes.note(ids, contacts, context.source.asked_at())
    yes = [contact for contact in contacts.values() if contact.opted_out is Box.UNCHECKED]
    old = noes.read_before(yes, context.source.now() - rules.LOOK_AGAIN)
    for first in range(0, len(old), READ_AT_ONCE):
        again = old[first : first + READ_AT_ONCE]
        shown = context.source.contacts(again, context.fields)
        noes.note(again, shown, context.source.asked_at())


def _is_surplus(context: RunContext, closing: Closing) -> bool:
    """Tell whether a closing that has become readable makes a surge of those that may go.

    Each such closing takes one from the surge allowance.
    """
    if closing.reason not in FAULTS or closing.approval is Approval.GIVEN:
        return False
    context.surge_allowance -= 1
    return context.surge_allowance < 0


def _with_contacts_to_read(closings: Iterator[Closing]) -> Iterator[list[Closing]]:
    """Yield the closings in chunks of as many contacts as one request asks for.

    No chunk is larger than what may be in memory.
    """
    chunk: list[Closing] = []
    clients: set[int | None] = set()
    for closing in closings:
        is_full = closing.contact_id not in clients and len(clients) >= READ_AT_ONCE
        if is_full or len(chunk) >= LOOK_AHEAD:
            yield chunk
            chunk, clients = [], set()
        chunk.append(closing)
        clients.add(closing.contact_id)
    if chunk:
        yield chunk


def _looked_at(context: RunContext, closings: Iterator[Closing]) -> Iterator[Closing]:
    """Yield the closings whose matter this run has just read, or reads again here.

    Those that the second look speaks against are recorded and left out.
    """
    for chunk in _with_matters_to_read(context, closings):
        fresh_from = context.fresh_from()
        old = {c.key.matter_id for c in chunk if not _was_just_read(c, context.run, fresh_from)}
        if not old:
            yield from chunk
            continue
        check_fields(context, rules.FRESH)
        matters = context.source.matters(old, context.fields)
        looks = _look_again(context, [c for c in chunk if c.key.matter_id in old], matters)
        context.record_decisions(
            [(closing, _as_kept(closing, look)) for closing, look in looks.items()]
        )
        context.progress.closings_done(sum(not look.goes_on for look in looks.values()))
        for closing in chunk:
            look = looks.get(closing)
            if look is None or look.goes_on:
                yield closing if look is None else look.closing


def _with_matters_to_read(
    context: RunContext, closings: Iterator[Closing]
) -> Iterator[list[Closing]]:
    chunk: list[Closing] = []
    old: set[int] = set()
    fresh_from = context.fresh_from()
    for closing in closings:
        chunk.append(closing)
        if not _was_just_read(closing, context.run, fresh_from):
            old.add(closing.key.matter_id)
        if len(old) >= READ_AT_ONCE or len(chunk) >= LOOK_AHEAD:
            yield chunk
            chunk, old, fresh_from = [], set(), context.fresh_from()
    if chunk:
        yield chunk


def _was_just_read(closing: Closing, run: int, fresh_from: datetime) -> bool:
    return closing.read_in_run == run and closing.read_at >= fresh_from


def _look_again(
    context: RunContext, closings: Sequence[Closing], matters: Mapping[int, Matter]
) -> dict[Closing, lifecycle.MatterRead]:
    """Decide again on these closings by their matters.

    One that would move to a date which is a closing already is no closing any more.
    """
    at = context.at()
    looks: dict[Closing, lifecycle.MatterRead] = {}
    taken = {c.key for several in context.store.ledger.known(matters).values() for c in several}
    for closing in closings:
        matter = matters.get(closing.key.matter_id)
        look = lifecycle.gone(closing)
        if matter is not None:
            look = lifecycle.matter_read(closing, matter, context.policy, at, again=True)
        if look.closing.key != closing.key and look.closing.key in taken:
            look = lifecycle.gone(closing)
        taken.add(look.closing.key)
        looks[closing] = look
    return looks


def _as_kept(before: Closing, look: lifecycle.MatterRead) -> Closing:
    """Return the closing as the second look at its matter is recorded.

    A fault of its contact was not looked at yet, so its waiting time does not begin anew.
    """
    waits_on = look.goes_on and before.reason in FAULTS
    return look.closing._replace(read_at=before.read_at) if waits_on else look.closing


def _claim(
    context: RunContext, queue: Sequence[Candidate], size: int, *, whole: bool
) -> tuple[list[Candidate], list[Candidate]]:
    now = context.source.now()
    claim = context.store.ledger.claim(
        queue,
        size,
        whole=whole,
        judge=lambda closing, asked: lifecycle.asked_before(closing, asked, context.policy, now),
        at=now,
    )
    for closing in claim.refused:
        context.report.count_decision(None, closing)
    context.report.to_send += len(claim.batch)
    context.progressed += len(claim.batch) + len(claim.refused)
    context.progress.closings_done(len(claim.refused))
    return claim.batch, claim.rest


def _send(context: RunContext, batch: Sequence[Candidate]) -> bool | None:
    """Send one batch; return None to go on, True to walk again, and False to end the push.

    Where the receiver does not dedupe, a lost answer ends the push, and no further POST begins.
    """
    oldest = min(candidate.read_at for candidate in batch)
    lost = False

    def seconds_left() -> float:
        fresh = context.fresh_for(oldest).total_seconds()
        return 0.0 if lost else min(fresh, context.seconds_left())

    try:
        for receipts in context.sink.send([c.request for c in batch], seconds_left):
            lost = _take_in(context, receipts) or lost
    except UnavailableError as error:
        if not lost:
            return _after_refusal(context, error, seconds_left())
    return False if lost else None


def _take_in(context: RunContext, receipts: Sequence[Receipt]) -> bool:
    """Settle the receipts of a POST, and note what they say of the receiver.

    Return whether they leave somebody in doubt for good. A doubt is noted before it is settled, and
    its end afterwards, so that a kill in between leaves a pause too many and none too few.
    """
    outcomes = {receipt.outcome for receipt in receipts}
    lost = Outcome.UNKNOWN in outcomes and not context.policy.dedupes
    if lost:
        context.store.note_doubt(context.source.now())
    _settle(context, receipts)
    if not lost and outcomes & {Outcome.ACCEPTED, Outcome.DUPLICATE}:
        context.store.end_doubts()
    return lost


def _after_refusal(context: RunContext, error: UnavailableError, seconds_left: float) -> bool:
    """Return whether to walk again after a batch that did not reach Broadly.

    Raise the error where nothing more can be done in this run.
    """
    if isinstance(error, TooLateError):
        give_back(context, None)
        return context.seconds_left() > 0
    wait = error.retry_after
    if error.outcome_unknown or wait is None:
        raise error
    now = context.source.now()
    context.busy_since = context.busy_since or now
    patience = (context.busy_since + MAX_BUSY - now).total_seconds()
    too_long = wait > min(patience, context.seconds_left())
    patient = context.policy.command is Command.BACKFILL or wait > seconds_left
    if too_long or not patient:
        raise error
    give_back(context, Reason.UNAVAILABLE, error.cause)
    context.wait(wait)
    return True


def _settle(context: RunContext, receipts: Sequence[Receipt]) -> None:
    """Write receipts down in the ledger, and count them in the report."""
    settled = context.store.ledger.settle(
        receipts,
        lambda receipt, closing: lifecycle.settled(receipt, closing, context.policy),
        context.source.now(),
    )
    context.busy_since = None if receipts else context.busy_since
    context.report.count_receipts(settled)
    context.progress.closings_done(len(settled))


def end(context: RunContext, reason: Reason | None, cause: str | None = None) -> None:
    """End the push: settle what was withheld, and give back what was not taken.

    `reason` is why the latter waits again, and `cause` what became of the try (`errors.Cause`).
    """
    _settle(context, context.sink.flush())
    give_back(context, reason, cause)
