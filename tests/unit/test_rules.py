"""The policy: the truth table, every reason, and the laws of watermark, surge and freshness."""

import itertools
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from factories import (
    CLOSED_ON,
    NOW,
    TODAY,
    for_backfill,
    make_closing,
    make_contact,
    make_matter,
    make_moment,
    make_policy,
    make_receipt,
)
from hypothesis import given
from hypothesis import strategies as st

from clio_broadly_sync.clio import boxes
from clio_broadly_sync.domain import lifecycle, rules
from clio_broadly_sync.domain.consent import Untouched
from clio_broadly_sync.domain.hours import SendingHours
from clio_broadly_sync.domain.model import (
    Approval,
    Asked,
    Box,
    Closing,
    Contact,
    Decision,
    Key,
    Matter,
    Outcome,
    Policy,
    Profile,
    SyncRule,
    Verdict,
)
from clio_broadly_sync.domain.reasons import NOT_IN_FIELDS, UNUSABLE, Reason
from clio_broadly_sync.domain.requests import request_for
from clio_broadly_sync.domain.states import State

# The truth table of design §1. How a box is read on the wire is tested with Clio's adapter.

CHECKED, UNCHECKED, UNREADABLE = Box.CHECKED, Box.UNCHECKED, Box.UNREADABLE
UNTOUCHED = Box.UNTOUCHED
SEND = Decision(Verdict.SEND)
OPTED_OUT = Decision(Verdict.SKIP, Reason.OPTED_OUT)
NOT_OPTED_IN = Decision(Verdict.SKIP, Reason.NOT_OPTED_IN)
NEVER_TOUCHED = Decision(Verdict.SKIP, Reason.NOT_OPTED_IN, "untouched")
WAIT = Decision(Verdict.WAIT, Reason.UNREADABLE_FIELD)

BOTH_BOXES = {
    # matter, contact
    (CHECKED, UNCHECKED): SEND,
    (CHECKED, UNTOUCHED): SEND,
    (CHECKED, CHECKED): OPTED_OUT,
    (CHECKED, UNREADABLE): WAIT,
    **{(UNCHECKED, contacts): NOT_OPTED_IN for contacts in Box},
    **{(UNTOUCHED, contacts): NEVER_TOUCHED for contacts in Box},
    **{(UNREADABLE, contacts): WAIT for contacts in Box},
}
CONTACT_ALONE = {UNCHECKED: SEND, UNTOUCHED: SEND, CHECKED: OPTED_OUT, UNREADABLE: WAIT}
MATTER_ALONE = {
    CHECKED: SEND, UNCHECKED: NOT_OPTED_IN, UNTOUCHED: NEVER_TOUCHED, UNREADABLE: WAIT,
}  # fmt: skip
TRUTH: dict[SyncRule, Callable[[Box, Box], Decision]] = {
    SyncRule.OPT_OUT: lambda matter, contact: CONTACT_ALONE[contact],
    SyncRule.OPT_IN: lambda matter, contact: BOTH_BOXES[matter, contact],
    SyncRule.BOTH: lambda matter, contact: BOTH_BOXES[matter, contact],
}


READ = [
    (rule, matter, contact)
    for rule in SyncRule
    for matter, contact in BOTH_BOXES
    if rule is not SyncRule.OPT_OUT or matter is UNCHECKED
]
"""What may be read under a rule; `opt-out` reads no box of a matter."""


@pytest.mark.parametrize(("rule", "matters_box", "contacts_box"), READ)
def test_truth_table(rule: SyncRule, matters_box: Box, contacts_box: Box) -> None:
    """The rule and the two boxes decide; a box that is not read is as one that is unchecked."""
    policy = make_policy(rule=rule)
    decision = rules.by_matter(make_matter(opted_in=matters_box), policy, TODAY)
    if decision.verdict is Verdict.SEND:
        decision = rules.by_contact(make_contact(opted_out=contacts_box), policy)
    assert decision == TRUTH[rule](matters_box, contacts_box)


@pytest.mark.parametrize("matters_box", Box)
@pytest.mark.parametrize("rule", SyncRule)
def test_untouched_box_that_counts_as_checked(rule: SyncRule, matters_box: Box) -> None:
    """With SYNC_OPT_IN_UNTOUCHED=send, a box in any other state counts as ever."""
    counted = CHECKED if matters_box is UNTOUCHED else matters_box
    expected = MATTER_ALONE[counted] if rule.needs_opt_in else SEND
    policy = make_policy(rule=rule, untouched=Untouched.SEND)
    assert rules.by_matter(make_matter(opted_in=matters_box), policy, TODAY) == expected


def test_box_that_no_rule_reads_is_not_untouched() -> None:
    """What was not asked for says nothing, so silence about it is no consent."""
    assert boxes.box({"custom_field_values": []}, None) is UNCHECKED


def test_hidden_contact_is_never_handed_over() -> None:
    """A contact that Clio does not show waits, under every rule."""
    for rule in SyncRule:
        decision = rules.by_contact(None, make_policy(rule=rule))
        assert decision == Decision(Verdict.WAIT, Reason.CONTACT_HIDDEN)


# Every reason.

MOMENT = make_moment()
POLICY = make_policy()


def noticed(matter: Matter, policy: Policy = POLICY) -> Closing:
    pair = lifecycle.noticed(matter, [], policy, MOMENT)
    assert pair is not None
    return pair[1]


def with_contact(contact: Contact | None, policy: Policy = POLICY) -> Closing:
    decided = lifecycle.contact_read(make_closing(), contact, policy, MOMENT)
    assert decided is not None
    return decided


def after(outcome: Outcome, **policy: Any) -> Closing:
    closing = make_closing(state=State.SENDING)
    return lifecycle.settled(make_receipt(closing, outcome), closing, make_policy(**policy))


def asked_recently() -> Closing:
    decided = lifecycle.asked_before(make_closing(), Asked(person_at=NOW), POLICY, NOW)
    assert decided is not None
    return decided


def dropped() -> Closing:
    closing = make_closing(state=State.SKIPPED, reason=Reason.DROPPED)
    pair = lifecycle.noticed(make_matter(), [closing], for_backfill(), MOMENT)
    return closing if pair is None else pair[1]


SKIPPED, PENDING = State.SKIPPED, State.PENDING
NIGHTS = make_policy(hours=SendingHours(begin=22, end=6))
REASONS: dict[Reason, tuple[State, Callable[[], Closing]]] = {
    Reason.NOT_CLOSED: (SKIPPED, lambda: noticed(make_matter(closed=False))),
    Reason.NO_CLIENT: (SKIPPED, lambda: noticed(make_matter(client_id=None))),
    Reason.CLOSED_BEFORE_START: (
        SKIPPED,
        lambda: noticed(make_matter(), make_policy(start_day=CLOSED_ON + timedelta(days=1))),
    ),
    Reason.CLOSED_TOO_LONG_AGO: (
        SKIPPED,
        lambda: noticed(make_matter(), make_policy(max_age_days=(TODAY - CLOSED_ON).days - 1)),
    ),
    Reason.NOT_OPTED_IN: (SKIPPED, lambda: noticed(make_matter(opted_in=UNCHECKED))),
    Reason.OPTED_OUT: (SKIPPED, lambda: with_contact(make_contact(opted_out=CHECKED))),
    Reason.COMPANY: (
        SKIPPED,
        lambda: with_contact(make_contact(is_company=True), make_policy(companies=False)),
    ),
    Reason.NO_CHANNEL: (SKIPPED, lambda: with_contact(make_contact(email=None, phone=None))),
    Reason.ASKED_RECENTLY: (SKIPPED, asked_recently),
    Reason.SUPPRESSED: (SKIPPED, lambda: after(Outcome.SUPPRESSED)),
    Reason.DROPPED: (SKIPPED, dropped),
    Reason.SETTLING: (PENDING, lambda: noticed(make_matter(), make_policy(settle_hours=24))),
    Reason.SURGE: (PENDING, lambda: lifecycle.awaiting_approval(make_closing())),
    Reason.UNAVAILABLE: (PENDING, lambda: lifecycle.released(make_closing(), Reason.UNAVAILABLE)),
    Reason.RETRY: (PENDING, lambda: after(Outcome.RETRY)),
    Reason.UNKNOWN_OUTCOME: (PENDING, lambda: after(Outcome.UNKNOWN, dedupes=True)),
    Reason.CONTACT_HIDDEN: (PENDING, lambda: with_contact(None)),
    Reason.UNREADABLE_FIELD: (PENDING, lambda: noticed(make_matter(opted_in=UNREADABLE))),
    Reason.EXPORT: (
        PENDING,
        lambda: rules.as_told(noticed(make_matter()), make_policy(profile=Profile.CSV), NOW, None),
    ),
    Reason.NO_CLOSE_DATE: (PENDING, lambda: noticed(make_matter(closed_on=None))),
    Reason.OUTSIDE_HOURS: (PENDING, lambda: rules.as_told(make_closing(), NIGHTS, NOW, UTC)),
}


@pytest.mark.parametrize("reason", Reason)
def test_every_reason(reason: Reason) -> None:
    """Each reason has its cause, and leaves the closing skipped or waiting."""
    state, cause = REASONS[reason]
    closing = cause()
    assert (closing.state, closing.reason) == (state, reason)


# The order of the rules is the policy.

AGAINST: dict[Reason, dict[str, Any]] = {
    Reason.NOT_CLOSED: {"closed": False},
    Reason.UNREADABLE_FIELD: {"readable": False},
    Reason.NO_CLIENT: {"client_id": None},
    Reason.CLOSED_BEFORE_START: {"closed_on": date(2026, 4, 30)},
    Reason.CLOSED_TOO_LONG_AGO: {"closed_on": date(2026, 9, 1)},
    Reason.NOT_OPTED_IN: {"opted_in": UNCHECKED},
}


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(AGAINST, 2)))
def test_first_rule_of_the_matter_decides(first: Reason, second: Reason) -> None:
    """Where several rules speak against a matter, the earliest gives the reason."""
    matter = make_matter(**{**AGAINST[second], **AGAINST[first]})
    policy = make_policy(start_day=date(2026, 5, 1))
    assert rules.by_matter(matter, policy, TODAY).reason is first


@pytest.mark.parametrize(
    ("contact", "reason"),
    [
        ({"opted_out": CHECKED, "is_company": True, "email": None}, Reason.OPTED_OUT),
        ({"opted_out": UNREADABLE, "is_company": True}, Reason.UNREADABLE_FIELD),
        ({"readable": False, "is_company": True}, Reason.UNREADABLE_FIELD),
        ({"is_company": True, "email": None, "phone": None}, Reason.COMPANY),
    ],
)
def test_first_rule_of_the_contact_decides(contact: dict[str, Any], reason: Reason) -> None:
    """Where several rules speak against a contact, the earliest gives the reason."""
    policy = make_policy(companies=False)
    assert rules.by_contact(make_contact(**contact), policy).reason is reason


@pytest.mark.parametrize(
    ("fields", "decision"),
    [
        ({"email", "phone"}, SEND),
        ({"email"}, Decision(Verdict.SKIP, Reason.NO_CHANNEL, NOT_IN_FIELDS)),
        ({"phone", "first_name"}, SEND),
    ],
)
def test_channel_counts_only_where_it_may_leave_the_firm(
    fields: set[str], decision: Decision
) -> None:
    """A phone number that BROADLY_FIELDS keeps back is no way to reach the client."""
    policy = make_policy(fields=frozenset(fields))
    assert rules.by_contact(make_contact(email=None), policy) == decision


BOTH, EMAIL, PHONE = frozenset({"email", "phone"}), frozenset({"email"}), frozenset({"phone"})
NOBODY: dict[str, Any] = {"email": None, "phone": None}


@pytest.mark.parametrize(
    ("contact", "fields", "cause"),
    [
        (NOBODY, BOTH, None),
        (NOBODY, EMAIL, None),
        ({**NOBODY, "unusable": EMAIL}, BOTH, UNUSABLE),
        ({**NOBODY, "unusable": PHONE}, BOTH, UNUSABLE),
        ({**NOBODY, "unusable": BOTH}, BOTH, UNUSABLE),
        ({**NOBODY, "unusable": BOTH}, EMAIL, UNUSABLE),
        ({**NOBODY, "unusable": EMAIL, "is_company": True}, BOTH, UNUSABLE),
        ({"email": None, "unusable": EMAIL}, EMAIL, UNUSABLE),
        ({"phone": None, "unusable": PHONE}, PHONE, UNUSABLE),
        ({"email": None}, EMAIL, NOT_IN_FIELDS),
        ({"phone": None}, PHONE, NOT_IN_FIELDS),
        ({**NOBODY, "unusable": PHONE}, EMAIL, NOT_IN_FIELDS),
    ],
)
def test_why_nobody_can_be_reached(
    contact: dict[str, Any], fields: frozenset[str], cause: str | None
) -> None:
    """Clio shows nothing, or what cannot be used, or only what BROADLY_FIELDS keeps back."""
    decision = rules.by_contact(make_contact(**contact), make_policy(fields=fields))
    assert decision == Decision(Verdict.SKIP, Reason.NO_CHANNEL, cause)


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r"])
def test_address_that_a_spreadsheet_would_work_out(first: str) -> None:
    """No file gets it, so it is no way to reach the client there; elsewhere it is as any other."""
    email = f"{first}ada@example.com"
    into_file = make_policy(profile=Profile.CSV)
    assert rules.may_leave("email", make_contact(email=email), make_policy())
    assert not rules.may_leave("email", make_contact(email=email), into_file)
    assert rules.by_contact(make_contact(email=email), into_file) == SEND
    alone = make_contact(email=email, phone=None)
    assert rules.by_contact(alone, make_policy()) == SEND
    refused = Decision(Verdict.SKIP, Reason.NO_CHANNEL, UNUSABLE)
    assert rules.by_contact(alone, into_file) == refused


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, Reason.EXPORT),
        ({"reason": Reason.UNAVAILABLE}, Reason.EXPORT),
        ({"reason": Reason.SETTLING}, Reason.EXPORT),
        ({"reason": Reason.SETTLING, "noticed_at": NOW + timedelta(hours=1)}, Reason.SETTLING),
        ({"reason": Reason.SURGE, "approval": Approval.WANTED}, Reason.SURGE),
        ({"reason": Reason.CONTACT_HIDDEN}, Reason.CONTACT_HIDDEN),
        ({"reason": Reason.UNKNOWN_OUTCOME, "in_doubt": True}, Reason.UNKNOWN_OUTCOME),
        ({"state": State.SENT}, None),
        ({"state": State.SKIPPED, "reason": Reason.OPTED_OUT}, Reason.OPTED_OUT),
    ],
)
def test_what_waits_for_a_file_is_told_last(changes: dict[str, Any], reason: Reason | None) -> None:
    """It is worked out for the moment; what keeps a closing waiting in any case comes first."""
    told = rules.as_told(make_closing(**changes), make_policy(profile=Profile.CSV), NOW, None)
    assert told.reason is reason


@pytest.mark.parametrize("unusable", [EMAIL, PHONE])
def test_one_address_that_can_be_used_is_enough(unusable: frozenset[str]) -> None:
    """Nothing is said of the other one."""
    contact = make_contact(**dict.fromkeys(unusable), unusable=unusable)
    assert rules.by_contact(contact, make_policy()) == SEND


@pytest.mark.parametrize(("is_company", "companies"), [(True, True), (False, False)])
def test_only_companies_are_left_out_and_only_where_that_is_wanted(
    is_company: bool, companies: bool
) -> None:
    """SYNC_COMPANIES says nothing about persons."""
    contact = make_contact(is_company=is_company)
    assert rules.by_contact(contact, make_policy(companies=companies)) == SEND


@pytest.mark.parametrize(
    ("age", "reason"),
    [
        (-400, None),
        (-1, None),
        (0, None),
        (30, None),
        (31, Reason.CLOSED_TOO_LONG_AGO),
        (40_000, Reason.CLOSED_TOO_LONG_AGO),
    ],
)
def test_age_of_a_close_date(age: int, reason: Reason | None) -> None:
    """A close date in the future is new, one of SYNC_MAX_AGE_DAYS ago still counts."""
    matter = make_matter(closed_on=TODAY - timedelta(days=age))
    assert rules.by_matter(matter, make_policy(start_day=None), TODAY).reason is reason


def test_start_day_itself_counts() -> None:
    """What closed on the day of the first run is handed over."""
    policy = make_policy(start_day=CLOSED_ON)
    assert rules.by_matter(make_matter(), policy, TODAY) == SEND


def test_backfill_knows_neither_start_day_nor_age() -> None:
    """A backfill decides on matters of any age."""
    matter = make_matter(closed_on=date(1999, 12, 31))
    assert rules.by_matter(matter, for_backfill(), TODAY) == SEND


@pytest.mark.parametrize(
    ("changes", "decision"),
    [
        ({"closed_on": date(2020, 1, 1), "opted_in": UNCHECKED}, SEND),
        ({"closed_on": None}, SEND),
        ({"closed": False}, Decision(Verdict.SKIP, Reason.NOT_CLOSED)),
        ({"client_id": None}, Decision(Verdict.SKIP, Reason.NO_CLIENT)),
        ({"readable": False}, WAIT),
    ],
)
def test_resent_by_a_person(changes: dict[str, Any], decision: Decision) -> None:
    """A person's resending overrules date and box, not that the matter is open again."""
    closing = make_closing(resent=True)
    matter = make_matter(**changes)
    assert rules.by_matter(matter, POLICY, TODAY, closing=closing) == decision


@pytest.mark.parametrize("fault", [Reason.CONTACT_HIDDEN, Reason.UNREADABLE_FIELD])
def test_resent_by_a_person_never_grows_too_old(fault: Reason) -> None:
    """Also after it could not be read for a while."""
    closing = make_closing(resent=True, reason=fault)
    matter = make_matter(closed_on=date(2020, 1, 1))
    assert rules.by_matter(matter, POLICY, TODAY, closing=closing) == SEND


# Faults wait until max age, and are then skipped as what they are.

OLD = date(2026, 10, 1)


@pytest.mark.parametrize(
    ("waits_for", "matter", "decision"),
    [
        ("contact_hidden", {"closed_on": OLD}, Decision(Verdict.SKIP, Reason.CONTACT_HIDDEN)),
        ("contact_hidden", {}, SEND),
        (
            "contact_hidden",
            {"closed_on": OLD, "closed": False},
            Decision(Verdict.SKIP, Reason.NOT_CLOSED),
        ),
        (
            "unreadable_field",
            {"closed_on": OLD, "client_id": None},
            Decision(Verdict.SKIP, Reason.NO_CLIENT),
        ),
        ("unreadable_field", {"opted_in": UNREADABLE}, WAIT),
        (
            "unreadable_field",
            {"closed_on": OLD, "client_id": None, "readable": False},
            Decision(Verdict.SKIP, Reason.UNREADABLE_FIELD),
        ),
        ("settling", {"closed_on": OLD}, Decision(Verdict.SKIP, Reason.CLOSED_TOO_LONG_AGO)),
    ],
)
def test_fault_is_skipped_when_too_old(
    waits_for: str, matter: dict[str, Any], decision: Decision
) -> None:
    """What could not be read until max age is skipped with that reason, not for its age."""
    closing = make_closing(closed_on=OLD, reason=Reason(waits_for))
    policy = make_policy(start_day=None)
    assert rules.by_matter(make_matter(**matter), policy, TODAY, closing=closing) == decision


def test_record_without_a_close_date_ages_from_the_day_it_was_noticed() -> None:
    """A matter whose close date cannot be read does not wait for ever."""
    matter = make_matter(closed_on=None, readable=False)
    before = make_closing(noticed_at=NOW - timedelta(days=32), reason=Reason.UNREADABLE_FIELD)
    decided = rules.by_matter(matter, POLICY, TODAY, closing=before)
    assert decided == Decision(Verdict.SKIP, Reason.UNREADABLE_FIELD)


@pytest.mark.parametrize(
    ("days", "verdict"), [(30, Verdict.WAIT), (31, Verdict.SKIP), (-1, Verdict.WAIT)]
)
def test_fault_waits_as_long_as_a_closing_is_young_enough(days: int, verdict: Verdict) -> None:
    """Up to and including SYNC_MAX_AGE_DAYS, like any other."""
    matter = make_matter(closed_on=TODAY - timedelta(days=days), opted_in=UNREADABLE)
    decision = rules.by_matter(matter, make_policy(start_day=None), TODAY)
    assert decision.verdict is verdict


# Asked recently.


def under(*days: int) -> Asked:
    """Return that the matter was sent long ago, so many days before its close date of today."""
    dates = frozenset(CLOSED_ON - timedelta(days=ago) for ago in days)
    return Asked(matter_at=NOW - timedelta(days=99), matter_dates=dates)


@pytest.mark.parametrize(
    ("asked", "reask_days", "reason"),
    [
        (Asked(), 180, None),
        (Asked(person_at=NOW - timedelta(days=179)), 180, Reason.ASKED_RECENTLY),
        (Asked(person_at=NOW - timedelta(days=180)), 180, None),
        (Asked(person_at=NOW - timedelta(hours=23)), 1, Reason.ASKED_RECENTLY),
        (Asked(person_at=NOW), 0, None),
        (Asked(matter_at=NOW - timedelta(days=29)), 0, Reason.ASKED_RECENTLY),
        (Asked(matter_at=NOW - timedelta(days=30)), 0, None),
        (Asked(matter_at=NOW - timedelta(days=29)), 7, Reason.ASKED_RECENTLY),
        (under(30), 0, Reason.ASKED_RECENTLY),
        (under(-30), 0, Reason.ASKED_RECENTLY),
        (under(31), 0, None),
        (under(-31), 0, None),
        (under(400, 3), 0, Reason.ASKED_RECENTLY),
    ],
)
def test_asked_recently(asked: Asked, reask_days: int, reason: Reason | None) -> None:
    """Within the window a person is not asked again; the same matter never within 30 days, nor
    ever under a date that lies as near to one under which it was sent."""
    policy = make_policy(reask_days=reask_days)
    assert rules.asked_recently(asked, policy, NOW, CLOSED_ON) is reason


def test_missing_close_date_corrects_none() -> None:
    assert rules.asked_recently(under(1), make_policy(reask_days=0), NOW, None) is None


@pytest.mark.parametrize(
    ("at", "zone", "day"),
    [
        (datetime(2026, 11, 20, 3, 10, tzinfo=UTC), None, 19),
        (datetime(2026, 11, 20, 11, 59, tzinfo=UTC), None, 19),
        (datetime(2026, 11, 20, 12, 0, tzinfo=UTC), None, 20),
        (datetime(2026, 11, 20, 3, 10, tzinfo=UTC), ZoneInfo("America/Los_Angeles"), 19),
        (datetime(2026, 11, 20, 3, 10, tzinfo=UTC), ZoneInfo("Europe/London"), 20),
        (datetime(2026, 11, 19, 13, 10, tzinfo=UTC), ZoneInfo("Pacific/Auckland"), 20),
    ],
)
def test_start_day(at: datetime, zone: ZoneInfo | None, day: int) -> None:
    """While no zone is known, it is the earliest date that it can be anywhere."""
    assert rules.start_day(at, zone) == date(2026, 11, day)


# What a receipt makes of a closing.


@pytest.mark.parametrize(
    ("outcome", "marked", "dedupes", "state", "marks"),
    [
        (Outcome.ACCEPTED, False, False, State.SENT, False),
        (Outcome.DUPLICATE, False, False, State.SENT, False),
        (Outcome.SUPPRESSED, False, False, State.SKIPPED, False),
        (Outcome.REJECTED, False, False, State.DEAD, False),
        (Outcome.REFUSED, False, False, State.DEAD, False),
        (Outcome.RETRY, False, False, State.PENDING, False),
        (Outcome.UNKNOWN, False, False, State.HELD, True),
        (Outcome.UNKNOWN, False, True, State.PENDING, True),
        (Outcome.ACCEPTED, True, True, State.SENT, False),
        (Outcome.REJECTED, True, True, State.DEAD, False),
        (Outcome.REFUSED, True, True, State.PENDING, True),
        (Outcome.REFUSED, True, False, State.HELD, True),
        (Outcome.RETRY, True, True, State.PENDING, True),
        (Outcome.RETRY, True, False, State.HELD, True),
    ],
)
def test_receipt(outcome: Outcome, marked: bool, dedupes: bool, state: State, marks: bool) -> None:
    """Only a result for the item settles a marked closing; any other ending leaves it unknown."""
    closing = make_closing(state=State.SENDING, in_doubt=marked)
    change = lifecycle.change_after(
        make_receipt(closing, outcome), closing, make_policy(dedupes=dedupes)
    )
    assert (change.state, change.in_doubt) == (state, marks)


@pytest.mark.parametrize(
    ("outcome", "given_up"), [(Outcome.RETRY, State.DEAD), (Outcome.UNKNOWN, State.HELD)]
)
def test_tenth_run_is_the_last(outcome: Outcome, given_up: State) -> None:
    """A closing is tried in ten runs, not in nine and not in eleven."""
    closing, states = make_closing(), []
    for _ in range(10):
        sending = lifecycle.applied(closing, lifecycle.Change(State.SENDING))
        receipt = make_receipt(sending, outcome)
        closing = lifecycle.settled(receipt, sending, make_policy(dedupes=True))
        states.append(closing.state)
    assert states == [State.PENDING] * 9 + [given_up]


def test_what_was_not_tried_does_not_count() -> None:
    """An outage or a refused key never counts against a closing."""
    closing = make_closing(state=State.SENDING, tries=9)
    released = lifecycle.released(closing, Reason.UNAVAILABLE)
    assert (released.state, released.tries) == (State.PENDING, 9)


# Watermark, walk, surge, freshness.

moments = st.integers(946_684_800, 4_102_444_800).map(lambda s: datetime.fromtimestamp(s, UTC))


@given(moments, moments, moments)
def test_watermark_never_goes_backwards(
    current: datetime, answered_at: datetime, our_clock: datetime
) -> None:
    """It reaches the answer's time or our clock, whichever is earlier, but never goes back."""
    reached = rules.next_watermark(current, answered_at, our_clock)
    assert reached >= current
    assert reached == current or reached <= min(answered_at, our_clock)


@given(moments, st.integers(5, 43200), st.timedeltas(timedelta(0), timedelta(days=9)))
def test_walk_starts_at_the_overlap_but_not_before_the_first_run(
    first_run: datetime, overlap: int, since_then: timedelta
) -> None:
    """`updated_since` means after, so the first run's own second is asked for as well."""
    watermark = first_run + since_then
    start = rules.scan_from(watermark, first_run, timedelta(minutes=overlap))
    assert start < watermark
    assert start >= first_run - timedelta(seconds=1)
    assert start <= max(watermark - timedelta(minutes=5), first_run - timedelta(seconds=1))


@pytest.mark.parametrize(
    ("due", "recent", "surge"),
    [(50, 0, False), (51, 0, True), (1, 50, True), (1, 49, False), (0, 500, False)],
)
def test_surge(due: int, recent: int, surge: bool) -> None:
    """More than SYNC_MAX_NEW due and recent ones together; none where nothing is due."""
    assert rules.is_surge(due, recent, make_policy(max_new=50)) is surge


@pytest.mark.parametrize(("hours", "stale"), [(72, False), (72.01, True)])
def test_stale_watermark(hours: float, stale: bool) -> None:
    """A watermark older than 72 hours is a dead cron, or an old copy of the state."""
    assert rules.is_stale(NOW - timedelta(hours=hours), NOW) is stale


@pytest.mark.parametrize(
    ("doubts", "hours"),
    [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 24), (7, 24), (10**9, 24)],
)
def test_pause_after_doubts(doubts: int, hours: int) -> None:
    """An hour, and twice as long after each further doubt, up to a day."""
    pause, second = timedelta(hours=hours), timedelta(seconds=1)
    found = rules.Doubts(doubts, NOW)
    assert rules.paused_until(found, NOW) == NOW + pause
    assert rules.paused_until(found, NOW + pause - second) == NOW + pause
    assert rules.paused_until(found, NOW + pause) is None


@pytest.mark.parametrize(
    ("ahead", "paused"),
    [
        (timedelta(minutes=60), True),
        (timedelta(minutes=61), False),
        (timedelta(hours=47), False),
        (datetime.max.replace(tzinfo=UTC) - NOW, False),
        (datetime.min.replace(tzinfo=UTC) - NOW, False),
    ],
)
def test_doubt_that_lies_ahead_of_the_clock(ahead: timedelta, paused: bool) -> None:
    """By more than clocks may differ, it was noted by a wrong clock and counts as over."""
    for doubts in (1, 9):
        found = rules.paused_until(rules.Doubts(doubts, NOW + ahead), NOW)
        assert (found is not None) is paused


def test_one_alone_after_a_doubt() -> None:
    """Whether its pause is over or not; and as many as fit where there was none."""
    assert rules.paused_until(None, NOW) is None
    assert (rules.most_at_once(None, 50), rules.most_at_once(rules.Doubts(1, NOW), 50)) == (50, 1)


@pytest.mark.parametrize(("minutes", "fresh"), [(0, True), (15, True), (15.01, False)])
def test_fresh(minutes: float, fresh: bool) -> None:
    """What was read is fresh for 15 minutes."""
    left = rules.fresh_for(NOW - timedelta(minutes=minutes), NOW, None)
    assert (left >= timedelta()) is fresh


def test_what_was_read_before_time_passed_unseen_is_old() -> None:
    woke_up = NOW - timedelta(minutes=1)
    before, since = woke_up - timedelta(seconds=1), woke_up + timedelta(seconds=1)
    assert rules.fresh_for(before, NOW, woke_up) < timedelta()
    assert rules.fresh_for(since, NOW, woke_up) == rules.FRESH - timedelta(seconds=59)


@pytest.mark.parametrize("unbroken_for", [None, 0, 1, 14, 15, 16, 60])
@pytest.mark.parametrize("minutes", [0, 1, 13, 14, 15, 15.01, 16, 100])
def test_fresh_since_and_fresh_for_agree(minutes: float, unbroken_for: float | None) -> None:
    read_at = NOW - timedelta(minutes=minutes)
    unbroken = None if unbroken_for is None else NOW - timedelta(minutes=unbroken_for)
    is_fresh = rules.fresh_for(read_at, NOW, unbroken) >= timedelta()
    assert (read_at >= rules.fresh_since(NOW, unbroken)) is is_fresh


def test_transaction_id_names_matter_and_date() -> None:
    """One closing has one transactionId for ever."""
    closing = make_closing(77, date(2026, 11, 20), approval=Approval.GIVEN)
    assert closing.key == Key(77, date(2026, 11, 20))
    request = request_for(closing, make_contact(), POLICY, TODAY)
    assert request.transaction_id == "clio:matter:77:2026-11-20"
