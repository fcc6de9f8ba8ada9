"""The policy: who is asked and why not, how far the watermark moves, when to give up.

Pure functions: no input or output, no clock. A rule returns the reason why a closing is not
handed over, or None. The first rule of a tuple that gives a reason decides; reading
`BY_MATTER` and `BY_CONTACT`, and `asked_recently` after them, is reading the policy.
"""

from collections.abc import Callable
from datetime import date, datetime, timedelta

from clio_broadly_sync.domain.model import (
    Asked,
    Box,
    Closing,
    Contact,
    Decision,
    Matter,
    Policy,
    Verdict,
)
from clio_broadly_sync.domain.reasons import FAULTS, Reason

FRESH = timedelta(minutes=15)
"""A hand-over carries only what was read this recently."""
LOOK_AGAIN = timedelta(hours=20)
"""A hidden or unreadable record is read again after this."""
SAME_MATTER = timedelta(days=30)
"""Another close date within this is a corrected date, not a new closing."""
SURGE_WINDOW = timedelta(hours=24)
STALE_WATERMARK = timedelta(hours=72)

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
    if not policy.rule.needs_opt_in or matter.opted_in is Box.CHECKED:
        return None
    unreadable = matter.opted_in is Box.UNREADABLE
    return Reason.UNREADABLE_FIELD if unreadable else Reason.NOT_OPTED_IN


def opted_out(contact: Contact, policy: Policy) -> Reason | None:
    if contact.opted_out is Box.UNREADABLE or not contact.readable:
        return Reason.UNREADABLE_FIELD
    return Reason.OPTED_OUT if contact.opted_out is Box.CHECKED else None


def company(contact: Contact, policy: Policy) -> Reason | None:
    return Reason.COMPANY if contact.is_company and not policy.companies else None


def no_channel(contact: Contact, policy: Policy) -> Reason | None:
    by_email = contact.email is not None and "email" in policy.fields
    by_phone = contact.phone is not None and "phone" in policy.fields
    return None if by_email or by_phone else Reason.NO_CHANNEL


BY_MATTER: tuple[MatterRule, ...] = (
    not_closed,
    unreadable_matter,
    no_client,
    no_close_date,
    closed_before_start,
    closed_too_long_ago,
    not_opted_in,
)
RESENT_BY_MATTER: tuple[MatterRule, ...] = (not_closed, unreadable_matter, no_client)
"""A person resent the closing: what its date and its box say was overruled."""
BY_CONTACT: tuple[ContactRule, ...] = (opted_out, company, no_channel)


def by_matter(
    matter: Matter, policy: Policy, today: date, *, closing: Closing | None = None
) -> Decision:
    """Decide by the matter alone; SEND means that nothing speaks against it so far.

    `today` is a date in the firm's zone; `closing` is what the ledger knows of it. A record
    that could not be read until it grew too old is skipped for that fault.
    """
    rules = RESENT_BY_MATTER if closing is not None and closing.resent else BY_MATTER
    reason = next((why for rule in rules if (why := rule(matter, policy, today))), None)
    fault = reason
    if reason in (None, Reason.CLOSED_TOO_LONG_AGO) and closing is not None:
        fault = closing.reason
    if fault in FAULTS and _grew_old(matter, policy, today, closing):
        return Decision(Verdict.SKIP, fault)
    return _decision(reason)


def by_contact(contact: Contact | None, policy: Policy) -> Decision:
    """Decide by the contact (None: Clio hides it); SEND leaves only `asked_recently`."""
    if contact is None:
        return _decision(Reason.CONTACT_HIDDEN)
    return _decision(next((why for rule in BY_CONTACT if (why := rule(contact, policy))), None))


def asked_recently(asked: Asked, policy: Policy, now: datetime) -> Reason | None:
    """The last rule; judged in the transaction of the claim."""
    window = timedelta(days=policy.reask_days)
    person = (
        policy.reask_days > 0 and asked.person_at is not None and asked.person_at > now - window
    )
    matter = asked.matter_at is not None and asked.matter_at > now - SAME_MATTER
    return Reason.ASKED_RECENTLY if person or matter else None


def next_watermark(current: datetime, answered_at: datetime, our_clock: datetime) -> datetime:
    """Return the `Date` of the walk's first answer, or our clock where earlier; never backwards."""
    return max(current, min(answered_at, our_clock))


def scan_from(watermark: datetime, first_run: datetime, overlap: timedelta) -> datetime:
    """Return `updated_since` for a walk: Clio returns what was updated *after* it, hence less
    a second at the first run's own moment."""
    return max(watermark - overlap, first_run - timedelta(seconds=1))


def is_surge(due: int, recent: int, policy: Policy) -> bool:
    """More unapproved closings than a firm closes in a day: a person looks first."""
    return due > 0 and due + recent > policy.max_new


def is_stale(watermark: datetime, now: datetime) -> bool:
    """A dead cron, or an old copy of the state: a person looks first."""
    return now - watermark > STALE_WATERMARK


def is_before_start(closed_on: date, policy: Policy) -> bool:
    """Closed before the first `sync`: the past is left to `backfill`."""
    return policy.start_day is not None and closed_on < policy.start_day


def is_too_old(closed_on: date, policy: Policy, today: date) -> bool:
    return policy.max_age_days is not None and (today - closed_on).days > policy.max_age_days


def is_fresh(read_at: datetime, now: datetime) -> bool:
    return now - read_at <= FRESH


def day_of_hand_over(closed_on: date, today: date) -> date:
    """A close date is typed by a person; one in the future is taken as today."""
    return min(closed_on, today)


def _decision(reason: Reason | None) -> Decision:
    if reason is None:
        return Decision(Verdict.SEND)
    return Decision(Verdict.WAIT if reason in FAULTS else Verdict.SKIP, reason)


def _grew_old(matter: Matter, policy: Policy, today: date, closing: Closing | None) -> bool:
    """A record without a readable close date ages from the day it was noticed; what a person
    resent never does."""
    if closing is not None and closing.resent:
        return False
    noticed = closing.noticed_at.date() if closing is not None else today
    return is_too_old(matter.closed_on or noticed, policy, today)
