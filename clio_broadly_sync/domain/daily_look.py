"""What the daily look decides: when it is due, what it looks at, and what becomes of that.

It reads again what was skipped for something that a person may put right, because neither a tick on
a matter nor a change of a contact need show among what Clio says was updated.
"""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from clio_broadly_sync.domain import lifecycle, rules
from clio_broadly_sync.domain.lifecycle import MatterRead, Moment
from clio_broadly_sync.domain.model import Closing, Contact, Matter, Policy, Verdict
from clio_broadly_sync.domain.reasons import ABOUT, LOOKED_AT_DAILY
from clio_broadly_sync.domain.states import Kind, State

OBJECTS: Final = timedelta(days=30)
"""For so long after a client was sent, it is looked whether they have opted out since; and for so
long it is listed that they have."""
OVERDUE: Final = timedelta(days=3)
"""A look that was not done for so long is worth a word."""
_AHEAD: Final = timedelta(hours=1)
"""A look that lies further ahead than this was noted by a wrong clock."""


class Part(StrEnum):
    """The two parts of the daily look."""

    SKIPPED = "skipped"
    """At closings that were skipped for something that a person may put right."""
    SENT = "sent"
    """At clients who were sent, who may have opted out since."""


class Looked(NamedTuple):
    """How far a part of the daily look has come."""

    done_at: datetime | None = None
    """When it last came to its end, by Clio's clock (aware UTC); None where it never did."""
    after: int = 0
    """It goes on after the closing with this number; 0: it begins with the first."""


def is_due(looked: Looked, first_run: datetime, now: datetime) -> bool:
    """Tell whether a part of the look begins now, or goes on."""
    since = looked.done_at or first_run
    return looked.after > 0 or since <= now - rules.LOOK_AGAIN or since > now + _AHEAD


def done_at(looks: Mapping[Part, Looked]) -> datetime | None:
    """Return when all parts of the look had last come to their end; None where one never did."""
    moments = [looked.done_at for looked in looks.values() if looked.done_at is not None]
    return min(moments) if len(moments) == len(looks) else None


def overdue_since(
    looks: Mapping[Part, Looked], first_run: datetime | None, now: datetime
) -> datetime | None:
    """Return when the look last came to its end, where that is so long ago that it needs a word.

    That is the first run where it never did; None where all is well, or there was no run yet.
    """
    if first_run is None:
        return None
    since = min(looked.done_at or first_run for looked in looks.values())
    return since if now - since > OVERDUE else None


def is_looked_at(closing: Closing, policy: Policy) -> bool:
    """Tell whether it was skipped, by these rules, for something that a person may put right."""
    skipped = closing.state is State.SKIPPED and closing.reason in LOOKED_AT_DAILY
    return skipped and lifecycle.is_by_these_rules(closing, policy)


def earliest(policy: Policy, today: date) -> date:
    """Return the first close date that is not too old; what closed before it is left alone."""
    limits = [policy.start_day or date.min]
    if policy.max_age_days is not None:
        limits.append(today - timedelta(days=policy.max_age_days))
    return max(limits)


def by_matter(
    closing: Closing, matter: Matter | None, policy: Policy, at: Moment
) -> MatterRead | None:
    """Decide anew on a skipped closing by its matter; None where that decides nothing.

    It does not where Clio hides the matter (None) or it cannot be read, which is no decision, and
    where it was closed on another date, which is another closing.
    """
    if matter is None or (matter.closed and matter.closed_on != closing.key.closed_on):
        return None
    if rules.by_matter(matter, policy, at.today).verdict is Verdict.WAIT:
        return None
    return lifecycle.matter_read(closing, matter, policy, at)


def by_contact(
    was: Closing, closing: Closing, contact: Contact | None, policy: Policy, at: Moment
) -> Closing | None:
    """Return what becomes of a closing by its contact; None: it may be sent, as far as that goes.

    `was` is the closing before the look, and `closing` after the look at its matter, which speaks
    for it. Where it was skipped because of the same contact, one that is hidden (None) or cannot be
    read by now changes nothing.
    """
    decision = rules.by_contact(contact, policy)
    if decision.verdict is Verdict.SEND:
        return None
    if decision.verdict is Verdict.WAIT and _is_by_contact(was, closing.contact_id):
        return was
    return lifecycle.not_sent(closing, decision)


def has_changed(was: Closing, now: Closing) -> bool:
    """Tell whether another decision was made; that it was made again is not worth a change."""
    return (was.state, was.reason, was.cause) != (now.state, now.reason, now.cause)


def _is_by_contact(closing: Closing, contact_id: int | None) -> bool:
    """Tell whether it was skipped because of that contact, and not of another client of then."""
    if closing.contact_id != contact_id:
        return False
    return closing.reason is not None and ABOUT[closing.reason].kind is Kind.CONTACT
