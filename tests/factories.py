"""Values for tests, complete and harmless.

Each function makes one value; a test changes by name what it is about.
"""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from clio_broadly_sync.domain.hours import ALWAYS
from clio_broadly_sync.domain.lifecycle import Moment
from clio_broadly_sync.domain.model import (
    Box,
    Candidate,
    Closing,
    Command,
    Contact,
    Destination,
    Due,
    FieldIds,
    Key,
    Matter,
    Outcome,
    Pins,
    Policy,
    Profile,
    Receipt,
    ReviewRequest,
    SyncRule,
)
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.store import Store

NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
TODAY = date(2026, 11, 20)
CLOSED_ON = date(2026, 11, 18)
DESTINATION = Destination(Profile.BATCH, "https://broadly.test")
PINS = Pins("https://app.clio.com", 7, DESTINATION, SyncRule.BOTH, FieldIds(11, 22))
START = {
    "first_run": NOW.isoformat(), "watermark": NOW.isoformat(), "start_day": str(TODAY),
}  # fmt: skip
"""The facts of a first `sync`."""
ALL_FIELDS = frozenset({"first_name", "last_name", "company_name", "email", "phone"})


def start(store: Store, run_id: str = "r1") -> None:
    """Begin a first `sync`, and set what it sets before all else."""
    store.begin_run("sync", run_id, NOW)
    store.pin(PINS, **START)


def make_policy(**changes: Any) -> Policy:
    policy = Policy(
        command=Command.SYNC,
        rule=SyncRule.BOTH,
        start_day=date(2026, 11, 1),
        max_age_days=30,
        reask_days=180,
        settle_hours=0,
        hours=ALWAYS,
        max_new=50,
        companies=True,
        fields=ALL_FIELDS,
        dedupes=False,
    )
    return policy._replace(**changes)


def for_backfill(**changes: Any) -> Policy:
    """Return the policy of a backfill, which has no start day, limit of age or settling time."""
    return make_policy(
        **{"command": Command.BACKFILL, "start_day": None, "max_age_days": None} | changes
    )


def make_matter(id_: int = 77, **changes: Any) -> Matter:
    matter = Matter(
        id=id_,
        etag="after",
        closed=True,
        closed_on=CLOSED_ON,
        client_id=1201,
        opted_in=Box.CHECKED,
        updated_at=NOW,
    )
    return matter._replace(**changes)


def make_contact(id_: int = 1201, **changes: Any) -> Contact:
    contact = Contact(
        id=id_,
        first_name="Ada",
        last_name="Lovelace",
        email="ada@example.com",
        phone="+14155550123",
    )
    return replace(contact, **changes)


def make_closing(
    matter_id: int = 77, closed_on: date | None = CLOSED_ON, **changes: Any
) -> Closing:
    """Return a closing that waits or, with another state, one with what that state needs."""
    closing = Closing(
        key=Key(matter_id, closed_on),
        contact_id=1201,
        state=State.PENDING,
        reason=None,
        command=Command.SYNC,
        rule=SyncRule.BOTH,
        etag="before",
        noticed_at=NOW,
        read_at=NOW,
        read_in_run=1,
    )
    return closing._replace(**_needed(**changes) | changes)


def _needed(state: State = State.PENDING, **changes: Any) -> dict[str, Any]:
    needed: dict[str, Any] = {}
    if state is State.SKIPPED:
        needed = {"reason": Reason.OPTED_OUT}
    if state is State.HELD:
        needed = {"in_doubt": True, "reason": Reason.UNKNOWN_OUTCOME}
    asked = state in (State.SENDING, State.SENT, State.HELD, State.DEAD)
    if asked or changes.get("in_doubt") or {"claimed_at", "claimed_in_run"} & changes.keys():
        needed |= {"claimed_at": NOW, "claimed_in_run": 1}
    return needed


def make_request(closing: Closing, **changes: Any) -> ReviewRequest:
    request = ReviewRequest(
        key=closing.key,
        contact_id=closing.contact_id or 0,
        transaction_date=closing.key.closed_on or TODAY,
        email=f"client{closing.contact_id}@example.com",
    )
    return replace(request, **changes)


def make_candidate(closing: Closing, **changes: Any) -> Candidate:
    request = make_request(closing, **changes)
    contact = Contact(request.contact_id, email=request.email, phone=request.phone)
    return Candidate(closing, contact, request, closing.read_at)


def make_moment(**changes: Any) -> Moment:
    return Moment(run=2, now=NOW, today=TODAY)._replace(**changes)


def make_due(**changes: Any) -> Due:
    return Due(Command.SYNC, noticed_until=NOW, faults_until=NOW)._replace(**changes)


def make_receipt(closing: Closing, outcome: Outcome, code: str | None = None) -> Receipt:
    return Receipt(closing.key, outcome, code)
