"""What becomes of a closing's row: the rules' answers turned into new rows, still without I/O."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple

from clio_broadly_sync.domain import rules
from clio_broadly_sync.domain.model import (
    Approval,
    Asked,
    Closing,
    Command,
    Contact,
    Decision,
    Key,
    Matter,
    Outcome,
    Policy,
    Receipt,
    ReviewRequest,
    Verdict,
)
from clio_broadly_sync.domain.reasons import FAULTS, FINAL, Reason, State

MAX_TRIES = 10
"""Runs in which Broadly may say `retry`, or say nothing, before a person is asked."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When and by whom something is decided: the run's number and now, the firm's today.

    `stale`: the watermark was so old that what is noticed now waits for a person.
    """

    run: int
    now: datetime
    today: date
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """Where a closing goes next. `tried`: the run counts towards `MAX_TRIES`."""

    state: State
    reason: Reason | None = None
    in_doubt: bool = False
    tried: bool = False


def change_not_sent(closing: Closing, reason: Reason | None) -> Change:
    """Skip it; but a marked row is never skipped: the client may have been asked."""
    return Change(State.HELD if closing.in_doubt else State.SKIPPED, reason, closing.in_doubt)


def change_after(receipt: Receipt, closing: Closing, policy: Policy) -> Change:
    """Return what a receipt makes of a closing that was `sending`."""
    match receipt.outcome:
        case Outcome.ACCEPTED | Outcome.DUPLICATE:
            return Change(State.SENT)
        case Outcome.SUPPRESSED:
            return Change(State.SKIPPED, Reason.SUPPRESSED)
        case Outcome.REJECTED:
            return Change(State.DEAD)
        case Outcome.REFUSED if not closing.in_doubt:
            return Change(State.DEAD)
        case Outcome.RETRY if not closing.in_doubt:
            last = closing.tries + 1 >= MAX_TRIES
            return Change(State.DEAD if last else State.PENDING, Reason.RETRY, tried=True)
    return change_in_doubt(closing, dedupes=policy.dedupes)


def change_in_doubt(closing: Closing, *, dedupes: bool) -> Change:
    """Mark for good: the client may have been asked, whatever comes later."""
    unknown_before = closing.tries if closing.in_doubt else 0
    again = dedupes and unknown_before + 1 < MAX_TRIES
    state = State.PENDING if again else State.HELD
    return Change(state, Reason.UNKNOWN_OUTCOME, in_doubt=True, tried=True)


def change_released(closing: Closing, reason: Reason | None) -> Change:
    """Give back what was claimed and never reached Broadly; what was unknown stays unknown."""
    return Change(
        State.PENDING, Reason.UNKNOWN_OUTCOME if closing.in_doubt else reason, closing.in_doubt
    )


class MatterRead(NamedTuple):
    """A closing as it is to be; `goes_on`: nothing speaks against handing it over so far."""

    closing: Closing
    goes_on: bool


def noticed(
    matter: Matter, known: Sequence[Closing], policy: Policy, at: Moment
) -> tuple[Closing | None, Closing] | None:
    """Return the closing as it was and as it is to be; None where there is nothing to decide.

    A closed matter is a new closing, or one that is skipped or pending and was edited since. A
    new close date moves the matter's pending closing to that date.
    """
    key = Key(matter.id, matter.closed_on)
    same = next((closing for closing in known if closing.key == key), None)
    if same is not None:
        edited = _decided_anew(same, matter, policy, at)
        return (same, _edited(same, matter, policy, at)) if edited else None
    moved = next((closing for closing in known if _moves(closing, policy.command)), None)
    if moved is not None:
        return moved, matter_read(moved, matter, policy, at).closing
    return None, matter_read(_new(matter, policy, at), matter, policy, at).closing


def matter_read(
    closing: Closing, matter: Matter, policy: Policy, at: Moment, *, again: bool = False
) -> MatterRead:
    """Decide on a closing by its matter as just read.

    `again`: it waited and is looked at once more, so a fault of its contact stands until the
    contact has been read, too.
    """
    decision = rules.by_matter(matter, policy, at.today, closing=closing)
    waited = closing.state is State.PENDING
    read = closing._replace(
        key=_key(closing, matter, decision),
        contact_id=matter.client_id if matter.readable else closing.contact_id,
        command=closing.command if waited else policy.command,
        approval=closing.approval if waited else _approval(at),
        rule=policy.rule,
        etag=matter.etag,
        read_at=at.now,
        read_in_run=at.run,
        updated_at=matter.updated_at,
    )
    if decision.verdict is not Verdict.SEND:
        return MatterRead(not_sent(read, decision), goes_on=False)
    if not (again and closing.reason in FAULTS):
        read = read._replace(state=State.PENDING, reason=waits_for(read, policy, at.now))
    return MatterRead(read, goes_on=True)


def gone(closing: Closing) -> MatterRead:
    """Decide on a closing that is none any more: Clio does not show the matter, or it was closed
    on another date that the ledger knows as a closing of its own."""
    skip = Decision(Verdict.SKIP, Reason.NOT_CLOSED)
    return MatterRead(not_sent(closing, skip), goes_on=False)


def not_sent(closing: Closing, decision: Decision) -> Closing:
    """Skip or let wait, for the decision's reason; a marked closing is held instead of skipped."""
    if decision.verdict is Verdict.WAIT:
        return closing._replace(state=State.PENDING, reason=decision.reason)
    return applied(closing, change_not_sent(closing, decision.reason))


def waits_for(closing: Closing, policy: Policy, now: datetime) -> Reason | None:
    """Return why a closing that nothing speaks against is not handed over yet."""
    if closing.in_doubt:
        return Reason.UNKNOWN_OUTCOME
    if closing.approval is Approval.WANTED:
        return Reason.SURGE
    settling = closing.noticed_at > now - timedelta(hours=policy.settle_hours)
    return Reason.SETTLING if settling and not closing.resent else None


def contact_read(
    closing: Closing, contact: Contact | None, policy: Policy, at: Moment
) -> Closing | None:
    """Return what becomes of a closing by its contact as just read; None: nothing against it."""
    decision = rules.by_contact(contact, policy)
    if decision.verdict is not Verdict.SEND:
        return not_sent(closing._replace(read_at=at.now), decision)
    if closing.approval is Approval.WANTED:  # only its fault let it come so far
        return closing._replace(reason=waits_for(closing, policy, at.now))
    return None


def asked_before(closing: Closing, asked: Asked, policy: Policy, now: datetime) -> Closing | None:
    """Return what becomes of a closing after earlier hand-overs; None: nothing against it."""
    reason = rules.asked_recently(asked, policy, now)
    return None if reason is None else not_sent(closing, Decision(Verdict.SKIP, reason))


def settled(receipt: Receipt, closing: Closing, policy: Policy) -> Closing:
    return applied(closing, change_after(receipt, closing, policy))


def released(closing: Closing, reason: Reason | None) -> Closing:
    return applied(closing, change_released(closing, reason))


def recovered(closing: Closing, dedupes: bool) -> Closing:
    """Decide on what an earlier run left: found sending, or marked and waiting.

    What a person resent waits for its first try even where the receiver does not dedupe.
    """
    if closing.state is State.SENDING:
        return applied(closing, change_in_doubt(closing, dedupes=dedupes))
    if dedupes or (closing.resent and not closing.tries):
        return closing
    return closing._replace(state=State.HELD, reason=Reason.UNKNOWN_OUTCOME)


def resent(closing: Closing) -> Closing:
    """Return a held or dead closing as a person sends it again: the next `sync` decides on it."""
    return closing._replace(
        state=State.PENDING,
        reason=Reason.UNKNOWN_OUTCOME if closing.in_doubt else None,
        command=Command.SYNC,
        approval=Approval.GIVEN,
        resent=True,
        tries=0,
    )


def dropped(closing: Closing) -> Closing:
    """Return a closing as a person drops it, for good; a mark stays, so it counts as asked."""
    return closing._replace(state=State.SKIPPED, reason=Reason.DROPPED, resent=False)


def approved(closing: Closing, policy: Policy, now: datetime) -> Closing:
    given = closing._replace(approval=Approval.GIVEN)
    return given._replace(reason=waits_for(given, policy, now))


def awaiting_approval(closing: Closing) -> Closing:
    reason = closing.reason if closing.in_doubt else Reason.SURGE
    return closing._replace(approval=Approval.WANTED, reason=reason)


def applied(closing: Closing, change: Change) -> Closing:
    return closing._replace(
        state=change.state,
        reason=change.reason,
        in_doubt=closing.in_doubt or change.in_doubt,
        resent=closing.resent and change.state is State.PENDING,
        # Runs of `retry` and runs without an answer are counted apart: a mark begins anew.
        tries=change.tried + (0 if change.in_doubt and not closing.in_doubt else closing.tries),
    )


def request_for(closing: Closing, contact: Contact, policy: Policy, today: date) -> ReviewRequest:
    """Return what is handed over: no more of the contact than the settings let through."""

    def let_through(name: str) -> str | None:
        value: str | None = getattr(contact, name)
        return value if name in policy.fields else None

    return ReviewRequest(
        key=closing.key,
        contact_id=contact.id,
        transaction_date=rules.day_of_hand_over(closing.key.closed_on or today, today),
        first_name=let_through("first_name"),
        last_name=let_through("last_name"),
        company_name=let_through("company_name"),
        email=let_through("email"),
        phone=let_through("phone"),
    )


def _edited(closing: Closing, matter: Matter, policy: Policy, at: Moment) -> Closing:
    """Decide anew; but a hidden contact is no less hidden for an edit of the matter."""
    hidden = closing.state is State.PENDING and closing.reason is Reason.CONTACT_HIDDEN
    decided = matter_read(closing, matter, policy, at, again=hidden)
    if hidden and decided.goes_on:
        return decided.closing._replace(read_at=closing.read_at)
    return decided.closing


def _decided_anew(closing: Closing, matter: Matter, policy: Policy, at: Moment) -> bool:
    edited = closing.etag != matter.etag or not matter.etag
    if closing.state is State.PENDING:
        return closing.command is policy.command and edited
    if closing.state is not State.SKIPPED or closing.reason in FINAL:
        return False
    if policy.command is Command.BACKFILL:
        return closing.read_in_run != at.run
    return edited and closing.rule is policy.rule


def _moves(closing: Closing, command: Command) -> bool:
    own = closing.state is State.PENDING and closing.command is command
    return own and not closing.in_doubt


def _key(closing: Closing, matter: Matter, decision: Decision) -> Key:
    """A marked closing keeps its transactionId, and a reopened matter's close date says nothing;
    nor does a missing one of what a person resent."""
    date_is_gone = closing.resent and matter.closed_on is None
    if closing.in_doubt or decision.reason is Reason.NOT_CLOSED or not matter.readable:
        return closing.key
    return closing.key if date_is_gone else Key(matter.id, matter.closed_on)


def _new(matter: Matter, policy: Policy, at: Moment) -> Closing:
    return Closing(
        key=Key(matter.id, matter.closed_on),
        contact_id=matter.client_id,
        state=State.PENDING,
        reason=None,
        command=policy.command,
        rule=policy.rule,
        etag=matter.etag,
        noticed_at=at.now,
        read_at=at.now,
        read_in_run=at.run,
        approval=_approval(at),
        updated_at=matter.updated_at,
    )


def _approval(at: Moment) -> Approval:
    return Approval.WANTED if at.stale else Approval.NONE
