"""The policy: who is asked and why not, how far the watermark moves, when a person looks first.

These are pure functions without input, output or clock. A rule returns the reason why a closing is
not sent, or None. The first rule of a tuple that gives a reason decides, so whoever reads
`BY_MATTER`, `BY_CONTACT` and then `by_past` has read the policy. What a decision makes of a
closing's row is in `domain/lifecycle.py`.
"""

from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta, timezone, tzinfo
from typing import NamedTuple

from clio_broadly_sync.domain.consent import Untouched
from clio_broadly_sync.domain.model import (
    Asked,
    Box,
    Closing,
    Command,
    Contact,
    Decision,
    Matter,
    Policy,
    Profile,
    Verdict,
)
from clio_broadly_sync.domain.reasons import (
    FAULTS,
    NO_TEXTS,
    NOT_IN_FIELDS,
    OF_CONTACT,
    UNTOUCHED,
    UNUSABLE,
    Reason,
)
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.domain.told import told

FRESH = timedelta(minutes=15)
"""A POST carries only what was read within this time."""
LOOK_AGAIN = timedelta(hours=20)
"""A hidden or unreadable record is read again after this time, and so is another contact's no."""
SAME_MATTER = timedelta(days=30)
"""Within this time, and for close dates no further apart, another close date is a correction."""
_LAST_ZONE = timezone(timedelta(hours=-12))
"""Where each day begins last (UTC-12)."""
SURGE_WINDOW = timedelta(hours=24)
"""What was sent unapproved within this time counts towards a surge."""
STALE_WATERMARK = timedelta(hours=72)
"""A watermark that is older than this is stale."""
PAUSE = timedelta(hours=1)
"""So long nobody is claimed after a push that ended in doubt; each further doubt doubles it."""
LONGEST_PAUSE = timedelta(days=1)
FORMULA = frozenset("=+-@\t\r")
"""A spreadsheet takes a cell that begins with one of these for a formula (source: “A CSV file”
in `docs/where-it-can-send.md`)."""


class Doubts(NamedTuple):
    """Pushes in a row that ended in doubt, because an answer of the receiver's was lost.

    A run that was killed is none of them: it says nothing about the receiver.
    """

    in_a_row: int
    """How many there were since a client was last accepted, at least one."""
    last_at: datetime
    """When the last of them ended, by Clio's clock (aware UTC)."""


MatterRule = Callable[[Matter, Policy, date], Reason | None]
ContactRule = Callable[[Contact, Policy], Reason | None]


def not_closed(matter: Matter, policy: Policy, today: date) -> Reason | None:
    return None if matter.closed else Reason.NOT_CLOSED


def unreadable_matter(matter: Matter, policy: Policy, today: date) -> Reason | None:
    return None if matter.readable else Reason.UNREADABLE_FIELD


def no_client(matter: Matter, policy: Policy, today: date) -> Reason | None:
    return Reason.NO_CLIENT if matter.client_id is None else None


def no_close_date(matter: Matter, policy: Policy, today: date) -> Reason | None:
    return Reason.NO_CLOSE_DATE if matter.closed_on is None else None


def closed_before_start(matter: Matter, policy: Policy, today: date) -> Reason | None:
    is_before = matter.closed_on is not None and is_before_start(matter.closed_on, policy)
    return Reason.CLOSED_BEFORE_START if is_before else None


def closed_too_long_ago(matter: Matter, policy: Policy, today: date) -> Reason | None:
    is_old = matter.closed_on is not None and is_too_old(matter.closed_on, policy, today)
    return Reason.CLOSED_TOO_LONG_AGO if is_old else None


def not_opted_in(matter: Matter, policy: Policy, today: date) -> Reason | None:
    """Return NOT_OPTED_IN unless the matter's box is checked, where the rule reads that box.

    One that nobody touched counts as the policy says; one that cannot be read is a fault and no no.
    """
    if not policy.rule.needs_opt_in or matter.opted_in is Box.CHECKED:
        return None
    if matter.opted_in is Box.UNTOUCHED and policy.untouched is Untouched.SEND:
        return None
    unreadable = matter.opted_in is Box.UNREADABLE
    return Reason.UNREADABLE_FIELD if unreadable else Reason.NOT_OPTED_IN


def opted_out(contact: Contact, policy: Policy) -> Reason | None:
    """Return OPTED_OUT where the contact's box is checked; what cannot be read is a fault."""
    if contact.opted_out is Box.UNREADABLE or not contact.readable:
        return Reason.UNREADABLE_FIELD
    return Reason.OPTED_OUT if contact.opted_out is Box.CHECKED else None


def company(contact: Contact, policy: Policy) -> Reason | None:
    return Reason.COMPANY if contact.is_company and not policy.companies else None


def no_channel(contact: Contact, policy: Policy) -> Reason | None:
    """Return NO_CHANNEL where no e-mail address or phone number is left that may be sent."""
    by_email = contact.email is not None and may_leave("email", contact, policy)
    by_phone = contact.phone is not None and may_leave("phone", contact, policy)
    return None if by_email or by_phone else Reason.NO_CHANNEL


def may_leave(field: str, contact: Contact, policy: Policy) -> bool:
    """Tell whether Broadly may be sent this of the contact (a name of `Policy.fields`).

    Where the policy wants a box for it, the phone number leaves only if that box is checked; one
    that cannot be read, or that nobody touched, is not. No address that begins like a formula goes
    into a file: with a mark in front of it, it would be another mailbox.
    """
    if field == "phone" and policy.text_box and contact.texts is not Box.CHECKED:
        return False
    into_file = policy.profile is Profile.CSV
    if field == "email" and into_file and (contact.email or "")[:1] in FORMULA:
        return False
    return field in policy.fields


BY_MATTER: tuple[MatterRule, ...] = (
    not_closed,
    unreadable_matter,
    no_client,
    closed_before_start,
    closed_too_long_ago,
    not_opted_in,
    no_close_date,
)
RESENT_BY_MATTER: tuple[MatterRule, ...] = (not_closed, unreadable_matter, no_client)
"""The rules for a closing that a person resent, who overruled what its date and its box say."""
BY_CONTACT: tuple[ContactRule, ...] = (opted_out, company, no_channel)


def by_matter(
    matter: Matter,
    policy: Policy,
    today: date,
    *,
    closing: Closing | None = None,
    zone: tzinfo | None = None,
) -> Decision:
    """Decide by the matter alone; SEND means that nothing speaks against sending it so far.

    `today` is the date in the firm's `zone` (None: this machine's). `closing` is what the ledger
    knows of the closing, None where it is new. A record that was at fault until it grew too old is
    skipped for that fault.
    """
    rules = RESENT_BY_MATTER if closing is not None and closing.resent else BY_MATTER
    reason = _first(rules, matter, policy, today)
    fault = reason
    if reason in (None, Reason.CLOSED_TOO_LONG_AGO) and closing is not None:
        # Whether a box or the contact can be read now is not known yet. A date is there now.
        fault = None if closing.reason is Reason.NO_CLOSE_DATE else closing.reason
    if fault in FAULTS and _grew_old(matter, policy, today, closing, zone):
        return Decision(Verdict.SKIP, fault)
    untouched = reason is Reason.NOT_OPTED_IN and matter.opted_in is Box.UNTOUCHED
    return _decision(reason, UNTOUCHED if untouched else None)


def by_contact(contact: Contact | None, policy: Policy) -> Decision:
    """Decide by the contact, None where Clio hides it; SEND leaves only `by_past`."""
    if contact is None:
        return _decision(Reason.CONTACT_HIDDEN)
    reason = _first(BY_CONTACT, contact, policy)
    if reason is Reason.NO_CHANNEL:
        return Decision(Verdict.SKIP, reason, _why_no_channel(contact, policy))
    return _decision(reason)


def asked_recently(
    asked: Asked, policy: Policy, now: datetime, closed_on: date | None
) -> Reason | None:
    """Return ASKED_RECENTLY where the person or the matter was sent too short a time ago.

    The limits for the matter count even where `Policy.reask_days` is 0: it is not sent again for a
    while, nor ever under a close date (`closed_on`) that corrects the one under which it was sent.
    """
    window = timedelta(days=policy.reask_days)
    person = (
        policy.reask_days > 0 and asked.person_at is not None and asked.person_at > now - window
    )
    matter = asked.matter_at is not None and asked.matter_at > now - SAME_MATTER
    matter = matter or any(corrects(closed_on, before) for before in asked.matter_dates)
    return Reason.ASKED_RECENTLY if person or matter else None


def by_past(asked: Asked, policy: Policy, now: datetime, closed_on: date | None) -> Decision:
    """Decide by what the ledger knows of others; it is judged in the transaction of the claim.

    The no of another contact of the same person comes first; what was sent before comes last.
    """
    if asked.no_of is not None:
        return Decision(Verdict.SKIP, Reason.OPTED_OUT, f"{OF_CONTACT}{asked.no_of}")
    return _decision(asked_recently(asked, policy, now, closed_on))


def corrects(closed_on: date | None, before: date | None) -> bool:
    """Tell whether a close date lies so near to another one that it only corrects it."""
    if closed_on is None or before is None:
        return False
    return abs(closed_on - before) <= SAME_MATTER


def next_watermark(current: datetime, answered_at: datetime, our_clock: datetime) -> datetime:
    """Return the `Date` of the walk's first answer, or our clock where that is earlier.

    The watermark never moves backwards: where `current` is later, it stays.
    """
    return max(current, min(answered_at, our_clock))


def scan_from(watermark: datetime, first_run: datetime, overlap: timedelta) -> datetime:
    """Return `updated_since` for a walk: the watermark less the overlap.

    It is at least the moment of the first run less a second, because Clio returns what was updated
    *after* it.
    """
    return max(watermark - overlap, first_run - timedelta(seconds=1))


def is_surge(due: int, recent: int, policy: Policy) -> bool:
    """Tell whether there are more unapproved closings than a firm closes in a day.

    Then a person looks first. `due` counts those that are due now, `recent` those that were sent
    within `SURGE_WINDOW`.
    """
    return due > 0 and due + recent > policy.max_new


def is_stale(watermark: datetime, now: datetime) -> bool:
    """Tell whether the watermark is so old that a person has to look first.

    Cron may have been dead, or the state may be an old copy.
    """
    return now - watermark > STALE_WATERMARK


def pause_after(doubts: int) -> timedelta:
    """Return how long nobody is claimed after so many doubts in a row, of which there is one."""
    doublings = min(doubts - 1, LONGEST_PAUSE // PAUSE)  # more of them make no difference
    return min(PAUSE * (1 << doublings), LONGEST_PAUSE)


def paused_until(doubts: Doubts | None, now: datetime) -> datetime | None:
    """Return until when nobody is claimed because of these doubts; None: somebody may be.

    A doubt that lies further ahead than clocks may differ was noted by a wrong clock, so its pause
    counts as over. Then, too, one client goes alone.
    """
    if doubts is None or doubts.last_at > now + PAUSE:
        return None
    until = doubts.last_at + pause_after(doubts.in_a_row)
    return until if until > now else None


def most_at_once(doubts: Doubts | None, batch_size: int) -> int:
    """Return how many may be claimed at once: one, until somebody is accepted after a doubt."""
    return batch_size if doubts is None else 1


def is_settling(closing: Closing, policy: Policy, now: datetime) -> bool:
    """Tell whether a closing of `sync` still rests at that moment; none does that is resent."""
    rests = closing.command is Command.SYNC and not closing.resent
    return rests and closing.noticed_at > now - timedelta(hours=policy.settle_hours)


def kept_back(policy: Policy, now: datetime, zone: tzinfo | None) -> Reason | None:
    """Return why nobody is claimed at the moment `now`, whoever it is; None: somebody may be.

    `zone` is the firm's; None stands for this machine's.
    """
    if policy.profile is Profile.CSV:
        return Reason.EXPORT
    return None if policy.hours.are_open(now, zone) else Reason.OUTSIDE_HOURS


def as_told(closing: Closing, policy: Policy, now: datetime, zone: tzinfo | None) -> Closing:
    """Return the closing with the reason that is told of it at that moment (`domain/told.py`)."""
    if closing.state is not State.PENDING:
        return closing
    settling = is_settling(closing, policy, now)
    reason = told(closing.reason, kept_back(policy, now, zone), settling=settling)
    return closing._replace(reason=reason)


def start_day(now: datetime, zone: tzinfo | None) -> date:
    """Return the firm's date at the moment `now`.

    While its zone is not known (None), that is the earliest date that it can be anywhere: what
    closes today must not count as closed before the start.
    """
    return now.astimezone(zone or _LAST_ZONE).date()


def is_before_start(closed_on: date, policy: Policy) -> bool:
    """Tell whether it closed before the start day; such closings are left to `backfill`."""
    return policy.start_day is not None and closed_on < policy.start_day


def is_too_old(closed_on: date, policy: Policy, today: date) -> bool:
    return policy.max_age_days is not None and (today - closed_on).days > policy.max_age_days


def fresh_for(read_at: datetime, now: datetime, unbroken_since: datetime | None) -> timedelta:
    """Return for how long what was read at that moment may still be sent; below zero: no longer.

    `unbroken_since` is since when no time has passed unseen (`ports.Definitions`).
    """
    if is_broken(read_at, unbroken_since):
        return timedelta(-1)
    return read_at + FRESH - now


def fresh_since(now: datetime, unbroken_since: datetime | None) -> datetime:
    """Return since when that which was read may still be sent; see `fresh_for`."""
    oldest = now - FRESH
    return oldest if unbroken_since is None else max(oldest, unbroken_since)


def is_broken(read_at: datetime, unbroken_since: datetime | None) -> bool:
    """Tell whether time has passed unseen since that moment."""
    return unbroken_since is not None and read_at < unbroken_since


def day_of_hand_over(closed_on: date, today: date) -> date:
    """Return the close date, or today where that is earlier.

    A person types the close date, so it may lie in the future.
    """
    return min(closed_on, today)


def _first(rules: Iterable[Callable[..., Reason | None]], *read: object) -> Reason | None:
    """Return the reason of the first rule that gives one for what was read."""
    for rule in rules:
        if (reason := rule(*read)) is not None:
            return reason
    return None


def _decision(reason: Reason | None, cause: str | None = None) -> Decision:
    if reason is None:
        return Decision(Verdict.SEND)
    return Decision(Verdict.WAIT if reason in FAULTS else Verdict.SKIP, reason, cause)


def _why_no_channel(contact: Contact, policy: Policy) -> str | None:
    """Return the cause of NO_CHANNEL; None where Clio shows no address of the contact at all."""
    if contact.phone is not None and "phone" in policy.fields:
        return NO_TEXTS
    if contact.unusable & policy.fields:
        return UNUSABLE
    if contact.email and "email" in policy.fields:
        return UNUSABLE  # in a file it would be a formula
    has_another = contact.email or contact.phone or contact.unusable
    return NOT_IN_FIELDS if has_another else None


def _grew_old(
    matter: Matter, policy: Policy, today: date, closing: Closing | None, zone: tzinfo | None
) -> bool:
    """Tell whether a record that is at fault has waited until it was too old.

    Without a close date that can be read, it ages from the day on which it was noticed. What a
    person resent never grows too old.
    """
    if closing is not None and closing.resent:
        return False
    noticed = closing.noticed_at.astimezone(zone).date() if closing is not None else today
    return is_too_old(matter.closed_on or noticed, policy, today)
