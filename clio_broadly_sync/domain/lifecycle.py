"""What becomes of a closing's row: by a rule, by a receipt, or by a person.

Nothing here reads or writes: each function returns the closing as it is to be. The rules themselves
are in `domain/rules.py`; how a closing is kept is in `store/ledger.py`.
"""

from collections.abc import Sequence
from datetime import date, datetime, tzinfo
from typing import NamedTuple

from clio_broadly_sync.domain import rules
from clio_broadly_sync.domain.errors import Cause
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
    Verdict,
)
from clio_broadly_sync.domain.reasons import FAULTS, FINAL, Reason
from clio_broadly_sync.domain.states import State

MAX_TRIES = 10
"""In so many runs Broadly may answer `retry` for a closing before it is dead, or give no result for
it before it is held. Then a person decides."""


class Moment(NamedTuple):
    """When something is decided, and in which run."""

    run: int
    """The number of the run in the state."""
    now: datetime
    """The moment in aware UTC."""
    today: date
    """The date at that moment in the firm's zone."""
    stale: bool = False
    """Whether the watermark was so old that what is noticed now waits for a person."""
    zone: tzinfo | None = None
    """The firm's zone; None stands for this machine's."""


class Change(NamedTuple):
    """The state to which a closing goes next, and what goes with it."""

    state: State
    reason: Reason | None = None
    in_doubt: bool = False
    """Whether the closing is in doubt now. One that was in doubt before stays so in any case."""
    tried: bool = False
    """Whether the run counts towards `MAX_TRIES`."""
    cause: str | None = None
    """What stands behind the reason (`Closing.cause`)."""


def change_not_sent(closing: Closing, reason: Reason | None) -> Change:
    """Return the change of a closing that may not be sent: it is skipped, for this reason.

    One that is in doubt is never skipped but held, because the client may have been asked.
    """
    return Change(State.HELD if closing.in_doubt else State.SKIPPED, reason, closing.in_doubt)


def change_after(receipt: Receipt, closing: Closing, policy: Policy) -> Change:
    """Return the change that a receipt makes to a closing that was `sending`.

    Where the closing was in doubt before, only a result for the item settles it: after a refusal or
    a `retry`, the outcome is as unknown as before.
    """
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
    return change_in_doubt(closing, dedupes=policy.dedupes)._replace(cause=receipt.cause)


def change_in_doubt(closing: Closing, *, dedupes: bool) -> Change:
    """Return the change of a closing when the outcome of a try is unknown.

    It is in doubt for good, because the client may have been asked, whatever comes later. Where the
    receiver dedupes, it waits for the next try until `MAX_TRIES` is reached; else it is held.
    """
    unknown_before = closing.tries if closing.in_doubt else 0
    again = dedupes and unknown_before + 1 < MAX_TRIES
    state = State.PENDING if again else State.HELD
    return Change(state, Reason.UNKNOWN_OUTCOME, in_doubt=True, tried=True)


def change_released(closing: Closing, reason: Reason | None) -> Change:
    """Return the change of a closing that was claimed and never reached Broadly: it waits again.

    `reason` is why. What was unknown about an earlier try stays unknown.
    """
    return Change(
        State.PENDING, Reason.UNKNOWN_OUTCOME if closing.in_doubt else reason, closing.in_doubt
    )


class MatterRead(NamedTuple):
    """What was decided on a closing by its matter."""

    closing: Closing
    """The closing as it is to be."""
    goes_on: bool
    """Whether nothing speaks against sending it so far."""


def noticed(
    matter: Matter, known: Sequence[Closing], policy: Policy, at: Moment
) -> tuple[Closing | None, Closing] | None:
    """Return the closing as it was and as it is to be; None where there is nothing to decide.

    `known` are the closings of the matter that the ledger has. A new close date moves a pending one
    to that date; where none can move, the matter is a new closing, which was None before. A closing
    with the same date is decided anew where it is skipped or pending and the matter was edited
    since then; a `backfill` decides a skipped one anew even without an edit.
    """
    key = Key(matter.id, matter.closed_on)
    same = next((closing for closing in known if closing.key == key), None)
    if same is not None:
        edited = _decided_anew(same, matter, policy, at)
        return (same, _edited(same, matter, policy, at)) if edited else None
    moved = next((c for c in known if _is_own(c, policy) and not c.in_doubt), None)
    if moved is not None:
        return moved, matter_read(moved, matter, policy, at).closing
    return None, matter_read(_new(matter, policy, at), matter, policy, at).closing


def matter_read(
    closing: Closing, matter: Matter, policy: Policy, at: Moment, *, again: bool = False
) -> MatterRead:
    """Decide on a closing by its matter as it was just read.

    With `again`, the closing waited and is looked at once more. A fault of its contact then stands
    until the contact has been read as well.
    """
    if _is_new_without_date(closing, matter):
        closing = closing._replace(noticed_at=at.now)
    decision = rules.by_matter(matter, policy, at.today, closing=closing, zone=at.zone)
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
        cause=closing.cause if closing.in_doubt else None,
    )
    if decision.verdict is not Verdict.SEND:
        return MatterRead(not_sent(read, decision), goes_on=False)
    if not (again and closing.reason in FAULTS):
        read = read._replace(state=State.PENDING, reason=waits_for(read, policy, at.now))
    return MatterRead(read, goes_on=True)


def as_kept(before: Closing, look: MatterRead, policy: Policy, now: datetime) -> Closing:
    """Return a closing as the second look at its matter is recorded, before its contact is read.

    A close date that was missing and is there now is no fault any more. Any other fault may be the
    contact's, which was not looked at yet, so its waiting time does not begin anew.
    """
    if not look.goes_on or before.reason not in FAULTS:
        return look.closing
    if before.reason is Reason.NO_CLOSE_DATE:
        return look.closing._replace(reason=waits_for(look.closing, policy, now))
    return look.closing._replace(read_at=before.read_at)


def gone(closing: Closing) -> MatterRead:
    """Decide on a closing that is no closing any more.

    Clio does not show the matter, or it was closed on another date, which the ledger knows as a
    closing of its own.
    """
    skip = Decision(Verdict.SKIP, Reason.NOT_CLOSED)
    return MatterRead(not_sent(closing, skip), goes_on=False)


def not_sent(closing: Closing, decision: Decision) -> Closing:
    """Return the closing as it waits or is skipped, for the decision's reason.

    A closing that is in doubt is held instead of skipped.
    """
    if decision.verdict is Verdict.WAIT:
        return closing._replace(state=State.PENDING, reason=decision.reason, cause=decision.cause)
    change = change_not_sent(closing, decision.reason)
    return applied(closing, change._replace(cause=decision.cause))


def waits_for(closing: Closing, policy: Policy, now: datetime) -> Reason | None:
    """Return why a closing that nothing speaks against is not sent yet; None where it may be."""
    if closing.in_doubt:
        return Reason.UNKNOWN_OUTCOME
    if closing.approval is Approval.WANTED:
        return Reason.SURGE
    return Reason.SETTLING if rules.is_settling(closing, policy, now) else None


def contact_read(
    closing: Closing, contact: Contact | None, policy: Policy, at: Moment
) -> Closing | None:
    """Return what becomes of a closing by its contact as it was just read; None: it may be sent.

    `contact` is None where Clio hides it.
    """
    decision = rules.by_contact(contact, policy)
    if decision.verdict is not Verdict.SEND:
        return not_sent(closing._replace(read_at=at.now), decision)
    # A closing that waits for approval is read only because it had a fault, which is now gone.
    if closing.approval is Approval.WANTED and not policy.one_matter:
        return closing._replace(reason=waits_for(closing, policy, at.now))
    return None


def asked_before(closing: Closing, asked: Asked, policy: Policy, now: datetime) -> Closing | None:
    """Return what becomes of a closing by what was sent before; None: it may be sent."""
    decision = rules.by_past(asked, policy, now, closing.key.closed_on)
    return None if decision.verdict is Verdict.SEND else not_sent(closing, decision)


def settled(receipt: Receipt, closing: Closing, policy: Policy) -> Closing:
    """Return what a receipt makes of a closing that was `sending`."""
    return applied(closing, change_after(receipt, closing, policy))


def released(closing: Closing, reason: Reason | None, cause: str | None = None) -> Closing:
    """Return a closing that was claimed and never reached Broadly, as it waits again.

    `cause` is what became of the try (`errors.Cause`).
    """
    return applied(closing, change_released(closing, reason)._replace(cause=cause))


def paused(closing: Closing) -> Closing:
    """Return a closing that is due while nobody is claimed after a lost answer, as it waits.

    One that has another reason to wait keeps it, and so does what a person resent.
    """
    if closing.resent or closing.reason not in (None, Reason.SETTLING):
        return closing
    return closing._replace(reason=Reason.UNAVAILABLE, cause=Cause.PAUSE)


def recovered(closing: Closing, dedupes: bool) -> Closing:
    """Decide on what an earlier run left: a closing found sending, or one in doubt that waits.

    The outcome of one found sending is unknown. One that waits is held where the receiver does not
    dedupe; but what a person resent waits for its first try even then.
    """
    if closing.state is State.SENDING:
        return applied(closing, change_in_doubt(closing, dedupes=dedupes))
    if dedupes or (closing.resent and not closing.tries):
        return closing
    return closing._replace(state=State.HELD, reason=Reason.UNKNOWN_OUTCOME)


def resent(closing: Closing) -> Closing:
    """Return a held or dead closing that a person sends again, so that the next `sync` decides."""
    of_the_doubt = closing.reason is Reason.UNKNOWN_OUTCOME
    return closing._replace(
        state=State.PENDING,
        reason=Reason.UNKNOWN_OUTCOME if closing.in_doubt else None,
        cause=closing.cause if of_the_doubt else None,
        command=Command.SYNC,
        approval=Approval.GIVEN,
        resent=True,
        tries=0,
    )


def dropped(closing: Closing) -> Closing:
    """Return a closing that a person drops for good; in doubt, it still counts as asked."""
    return closing._replace(state=State.SKIPPED, reason=Reason.DROPPED, cause=None, resent=False)


def approved(closing: Closing, policy: Policy, now: datetime) -> Closing:
    """Return a closing that a person has approved, with the reason why it still waits."""
    given = closing._replace(approval=Approval.GIVEN)
    return given._replace(reason=waits_for(given, policy, now))


def awaiting_approval(closing: Closing) -> Closing:
    """Return a closing that from now on waits for a person to approve it (surge)."""
    reason = closing.reason if closing.in_doubt else Reason.SURGE
    return closing._replace(approval=Approval.WANTED, reason=reason)


def applied(closing: Closing, change: Change) -> Closing:
    """Return the closing after this change."""
    return closing._replace(
        state=change.state,
        reason=change.reason,
        cause=change.cause,
        in_doubt=closing.in_doubt or change.in_doubt,
        resent=closing.resent and change.state is State.PENDING,
        # Runs of `retry` and runs without a result are counted apart: a doubt starts a new count.
        tries=change.tried + (0 if change.in_doubt and not closing.in_doubt else closing.tries),
    )


def _edited(closing: Closing, matter: Matter, policy: Policy, at: Moment) -> Closing:
    """Decide anew on a closing whose matter was edited, or that a `backfill` walks over again.

    An edit of the matter does not show a contact that is hidden, so such a closing waits on, and
    its waiting time does not begin anew.
    """
    hidden = closing.state is State.PENDING and closing.reason is Reason.CONTACT_HIDDEN
    decided = matter_read(closing, matter, policy, at, again=hidden)
    if hidden and decided.goes_on:
        return decided.closing._replace(read_at=closing.read_at)
    return decided.closing


def _decided_anew(closing: Closing, matter: Matter, policy: Policy, at: Moment) -> bool:
    edited = closing.etag != matter.etag or not matter.etag
    if closing.updated_at is not None:  # an etag that stands still hides no edit
        edited = edited or matter.updated_at not in (None, closing.updated_at)
    if closing.state is State.PENDING:
        return _is_own(closing, policy) and edited
    if closing.state is not State.SKIPPED or closing.reason in FINAL:
        return False
    if policy.command is Command.BACKFILL:
        return closing.read_in_run != at.run
    return edited and is_by_these_rules(closing, policy)


def is_by_these_rules(closing: Closing, policy: Policy) -> bool:
    """Tell whether a closing was last decided by the rules of now; else it is left to `backfill`.

    Another rule of then, or a box that counted in another way, is none of them.
    """
    return closing.rule is policy.rule and closing.read_in_run >= policy.since_run


def _is_new_without_date(closing: Closing, matter: Matter) -> bool:
    """Tell whether a matter was closed once more, and again without a close date.

    Its closing has the same key as before, but its waiting time begins anew.
    """
    was_open = closing.state is State.SKIPPED and closing.reason is Reason.NOT_CLOSED
    return was_open and matter.closed and matter.closed_on is None


def _is_own(closing: Closing, policy: Policy) -> bool:
    """Tell whether it waits for this command, or its matter is the one that a person named."""
    own = policy.one_matter or closing.command is policy.command
    return own and closing.state is State.PENDING


def _key(closing: Closing, matter: Matter, decision: Decision) -> Key:
    """Return the closing's key from now on, which follows the matter's close date.

    It stays as it was for a closing in doubt, which keeps its transactionId. It also stays where
    the close date says nothing: that of a matter that was reopened or cannot be read, and a missing
    one of what a person resent.
    """
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
