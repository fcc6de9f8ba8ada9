"""What becomes of a closing's row: noticed, looked at again, asked about, settled, recovered."""

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Any

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

from clio_broadly_sync.domain import lifecycle
from clio_broadly_sync.domain.model import (
    Approval,
    Asked,
    Box,
    Closing,
    Command,
    Key,
    Matter,
    Outcome,
    Policy,
    SyncRule,
)
from clio_broadly_sync.domain.reasons import OF_CONTACT, UNUSABLE, Reason
from clio_broadly_sync.domain.requests import request_for
from clio_broadly_sync.domain.states import State

POLICY, AT = make_policy(), make_moment()
OTHER_DATE = date(2026, 11, 19)
PENDING, SENDING, SENT, SKIPPED, DEAD, HELD = (
    State.PENDING,
    State.SENDING,
    State.SENT,
    State.SKIPPED,
    State.DEAD,
    State.HELD,
)


def notice(
    matter: Matter, known: Sequence[Closing] = (), policy: Policy = POLICY, **at: Any
) -> tuple[Closing | None, Closing] | None:
    return lifecycle.noticed(matter, known, policy, make_moment(**at))


def decided(matter: Matter, known: Sequence[Closing] = (), policy: Policy = POLICY) -> Closing:
    pair = notice(matter, known, policy)
    assert pair is not None
    return pair[1]


def skipped(reason: Reason = Reason.NOT_OPTED_IN, **changes: Any) -> Closing:
    return make_closing(state=SKIPPED, reason=reason, **changes)


# Noticed by a pull.


def test_new_closing_is_pending() -> None:
    """A closed matter that nothing speaks against waits for the push of its command."""
    new = decided(make_matter(), policy=for_backfill())
    assert (new.key, new.state, new.reason) == (Key(77, CLOSED_ON), PENDING, None)
    assert (new.command, new.contact_id) == (Command.BACKFILL, 1201)


@pytest.mark.parametrize("matter", [{"readable": False}, {"closed": False}], ids=str)
def test_new_closing_has_what_could_be_read_of_it(matter: dict[str, Any]) -> None:
    """Its date and its client, also where it cannot go."""
    new = decided(make_matter(**matter))
    assert (new.key, new.contact_id) == (Key(77, CLOSED_ON), 1201)


@pytest.mark.parametrize(
    ("known", "policy", "anew"),
    [
        (skipped(), POLICY, True),
        (skipped(etag="after"), POLICY, False),
        (skipped(etag="after", updated_at=NOW), POLICY, False),
        (skipped(etag="after", updated_at=NOW - timedelta(seconds=1)), POLICY, True),
        (make_closing(etag="after", updated_at=NOW - timedelta(days=1)), POLICY, True),
        (skipped(rule=SyncRule.OPT_IN), POLICY, False),
        (skipped(Reason.SUPPRESSED), POLICY, False),
        (skipped(Reason.DROPPED), POLICY, False),
        (make_closing(), POLICY, True),
        (make_closing(etag="after"), POLICY, False),
        (make_closing(command=Command.BACKFILL), POLICY, False),
        (make_closing(state=SENT), POLICY, False),
        (make_closing(state=DEAD), POLICY, False),
        (make_closing(state=HELD), POLICY, False),
        (skipped(etag="after"), for_backfill(), True),
        (skipped(etag="after", rule=SyncRule.OPT_IN), for_backfill(), True),
        (skipped(etag="after", read_in_run=AT.run), for_backfill(), False),
        (skipped(Reason.DROPPED), for_backfill(), False),
        (make_closing(), for_backfill(), False),
        (make_closing(command=Command.BACKFILL), for_backfill(), True),
        (make_closing(state=HELD, command=Command.BACKFILL), for_backfill(), False),
    ],
)
def test_decided_anew(known: Closing, policy: Policy, anew: bool) -> None:
    """An edit decides anew what is skipped under the same rule, or pending of the command; a
    backfill every skipped one, once; nothing moves what is final, sent, dead or held."""
    assert (notice(make_matter(), [known], policy) is not None) is anew


def test_skipped_belongs_to_nobody() -> None:
    """A closing that sync skipped belongs to the backfill that makes it pending."""
    closing = decided(make_matter(), [skipped()], for_backfill(rule=SyncRule.BOTH))
    assert (closing.state, closing.command) == (PENDING, Command.BACKFILL)


def test_new_close_date_moves_the_pending_closing() -> None:
    """A corrected date makes no second closing."""
    pending = make_closing(noticed_at=NOW - timedelta(days=1), tries=3)
    pair = notice(make_matter(closed_on=OTHER_DATE), [pending])
    assert pair is not None
    old, new = pair
    assert old == pending
    assert (new.key, new.state) == (Key(77, OTHER_DATE), PENDING)
    assert (new.noticed_at, new.tries) == (pending.noticed_at, 3)


def test_moved_closing_is_decided_by_its_new_date() -> None:
    """Moved to a date before the start day, it is skipped under that date."""
    moved = decided(make_matter(closed_on=date(2026, 10, 30)), [make_closing()])
    assert (moved.key.closed_on, moved.state, moved.reason) == (
        date(2026, 10, 30),
        SKIPPED,
        Reason.CLOSED_BEFORE_START,
    )


@pytest.mark.parametrize(
    "known",
    [
        make_closing(in_doubt=True),
        make_closing(state=SENT),
        make_closing(state=HELD),
        make_closing(state=DEAD),
        skipped(),
        make_closing(command=Command.BACKFILL),
    ],
    ids=["marked", "sent", "held", "dead", "skipped", "of the other command"],
)
def test_nothing_but_an_own_unmarked_pending_closing_is_moved(known: Closing) -> None:
    """Beside any other row, the new date is a closing of its own."""
    pair = notice(make_matter(closed_on=OTHER_DATE), [known])
    assert pair is not None
    assert pair[0] is None
    assert pair[1].key == Key(77, OTHER_DATE)


def test_date_that_is_a_closing_already_is_not_moved_to() -> None:
    """Back at a date that was decided on, that row is decided anew, and the other one is left."""
    back = skipped(closed_on=OTHER_DATE)
    pair = notice(make_matter(closed_on=OTHER_DATE), [make_closing(), back])
    assert pair is not None
    assert pair[0] == back


def test_unreadable_close_date_keeps_the_date_that_was_known() -> None:
    """A date that cannot be read moves nothing: the closing waits where it is."""
    waits = decided(make_matter(closed_on=None, readable=False), [make_closing()])
    assert (waits.key.closed_on, waits.reason) == (CLOSED_ON, Reason.UNREADABLE_FIELD)
    assert waits.contact_id == 1201


def test_reopened_matter_keeps_its_closing() -> None:
    """Reopened, its date says nothing; the closing that waited is skipped."""
    look = lifecycle.matter_read(
        make_closing(), make_matter(closed=False, closed_on=None), POLICY, AT, again=True
    )
    assert (look.closing.key.closed_on, look.closing.reason) == (CLOSED_ON, Reason.NOT_CLOSED)
    assert not look.goes_on


def test_closed_again_on_another_day_is_a_new_closing() -> None:
    """Reopened and closed again: a row of its own beside the skipped one."""
    pair = notice(make_matter(closed_on=OTHER_DATE), [skipped(Reason.NOT_CLOSED)])
    assert pair is not None
    assert (pair[0], pair[1].key.closed_on) == (None, OTHER_DATE)


def test_noticed_after_a_long_silence_wants_approval() -> None:
    """What a run with a stale watermark notices waits for a person; a pending one is left."""
    pair = notice(make_matter(), stale=True)
    assert pair is not None
    assert (pair[1].approval, pair[1].reason) == (Approval.WANTED, Reason.SURGE)
    pair = notice(make_matter(), [make_closing(approval=Approval.GIVEN)], stale=True)
    assert pair is not None
    assert pair[1].approval is Approval.GIVEN


def test_settling() -> None:
    """Noticed just now, a closing settles first; a backfill's and a resent one do not."""
    policy = make_policy(settle_hours=24)
    assert decided(make_matter(), policy=policy).reason is Reason.SETTLING
    settled = make_closing(noticed_at=NOW - timedelta(hours=24))
    assert decided(make_matter(), [settled], policy).reason is None
    assert decided(make_matter(), [make_closing(resent=True)], policy).reason is None


@pytest.mark.parametrize("known", [[], [skipped()], [make_closing()]])
def test_box_that_cannot_be_read_lets_the_closing_wait(known: list[Closing]) -> None:
    """A skipped one as well: it may be one to hand over now."""
    waits = decided(make_matter(opted_in=Box.UNREADABLE), known)
    assert (waits.state, waits.reason) == (PENDING, Reason.UNREADABLE_FIELD)


# A marked row is never skipped, moved or given up.

SPEAKS_AGAINST = [
    {"closed": False},
    {"closed_on": date(2026, 1, 1)},
    {"opted_in": Box.UNCHECKED},
    {"opted_in": Box.UNTOUCHED},
    {"client_id": None},
]


@pytest.mark.parametrize("matter", SPEAKS_AGAINST, ids=str)
def test_marked_closing_is_held_instead_of_skipped(matter: dict[str, Any]) -> None:
    """What may no longer be sent, and may have been, waits for a person, under its own date."""
    look = lifecycle.matter_read(make_closing(in_doubt=True), make_matter(**matter), POLICY, AT)
    assert (look.closing.state, look.closing.in_doubt) == (HELD, True)
    assert look.closing.key == Key(77, CLOSED_ON)


def test_marked_closing_is_held_for_its_contact_or_an_earlier_request() -> None:
    """Opted out, asked elsewhere or gone meanwhile: held, not skipped."""
    marked = make_closing(in_doubt=True)
    opted_out = lifecycle.contact_read(marked, make_contact(opted_out=Box.CHECKED), POLICY, AT)
    asked = lifecycle.asked_before(marked, Asked(person_at=NOW), POLICY, NOW)
    gone = lifecycle.gone(marked).closing
    for row, reason in (
        (opted_out, Reason.OPTED_OUT),
        (asked, Reason.ASKED_RECENTLY),
        (gone, Reason.NOT_CLOSED),
    ):
        assert row is not None
        assert (row.state, row.reason, row.in_doubt) == (HELD, reason, True)


def test_marked_closing_waits_for_what_cannot_be_read() -> None:
    """A fault is no decision: it keeps waiting, and keeps its mark."""
    hidden = lifecycle.contact_read(make_closing(in_doubt=True), None, POLICY, AT)
    assert hidden is not None
    assert (hidden.state, hidden.reason, hidden.in_doubt) == (PENDING, Reason.CONTACT_HIDDEN, True)


def test_marked_closing_waits_for_its_close_date() -> None:
    """It keeps the date under which it went; too old, it is held."""
    marked = make_closing(in_doubt=True)
    undated = lifecycle.matter_read(marked, make_matter(closed_on=None), POLICY, AT).closing
    assert (undated.state, undated.reason, undated.in_doubt) == (
        PENDING,
        Reason.NO_CLOSE_DATE,
        True,
    )
    assert undated.key == marked.key
    late = AT._replace(today=TODAY + timedelta(days=31))
    old = lifecycle.matter_read(undated, make_matter(closed_on=None), POLICY, late).closing
    assert (old.state, old.reason, old.key) == (HELD, Reason.NO_CLOSE_DATE, marked.key)


def test_marked_closing_keeps_its_date_when_the_matter_gets_another() -> None:
    """It is tried again under the same transactionId."""
    look = lifecycle.matter_read(
        make_closing(in_doubt=True), make_matter(closed_on=OTHER_DATE), POLICY, AT, again=True
    )
    assert (look.closing.key.closed_on, look.closing.reason) == (CLOSED_ON, Reason.UNKNOWN_OUTCOME)
    assert look.goes_on


@given(st.lists(st.sampled_from(Outcome), max_size=12), st.booleans())
def test_mark_stays(outcomes: list[Outcome], dedupes: bool) -> None:
    """Once the outcome was unknown, nothing that follows takes the mark away, and only a result
    for the item ends the doubt."""
    closing = make_closing(in_doubt=True)
    policy = make_policy(dedupes=dedupes)
    for outcome in outcomes:
        if closing.state is not PENDING:
            break
        sending = closing._replace(state=SENDING, reason=None)
        closing = lifecycle.settled(make_receipt(sending, outcome), sending, policy)
        assert closing.in_doubt
        if outcome in (Outcome.RETRY, Outcome.REFUSED, Outcome.UNKNOWN):
            assert closing.state in (PENDING, HELD)
            assert closing.reason is Reason.UNKNOWN_OUTCOME


# The second look.


def test_fault_stands_until_the_contact_is_read_again() -> None:
    """A matter that is well says nothing about a contact that was hidden."""
    hidden = make_closing(reason=Reason.CONTACT_HIDDEN)
    look = lifecycle.matter_read(hidden, make_matter(), POLICY, AT, again=True)
    assert (look.closing.reason, look.goes_on) == (Reason.CONTACT_HIDDEN, True)
    assert look.closing.read_at == AT.now


def test_edit_of_the_matter_does_not_show_a_hidden_contact() -> None:
    """It waits as before, and for as long as before; what speaks against the matter counts."""
    hidden = make_closing(reason=Reason.CONTACT_HIDDEN, read_at=NOW - timedelta(hours=5))
    edited = decided(make_matter(closed_on=CLOSED_ON), [hidden])
    assert (edited.state, edited.reason) == (PENDING, Reason.CONTACT_HIDDEN)
    assert (edited.read_at, edited.etag) == (hidden.read_at, "after")
    unticked = decided(make_matter(opted_in=Box.UNCHECKED), [hidden])
    assert (unticked.state, unticked.reason) == (SKIPPED, Reason.NOT_OPTED_IN)
    assert unticked.read_at == NOW


@pytest.mark.parametrize(
    "known",
    [
        make_closing(reason=Reason.UNREADABLE_FIELD, read_at=NOW - timedelta(hours=5)),
        make_closing(reason=Reason.UNAVAILABLE, read_at=NOW - timedelta(hours=5)),
        skipped(Reason.CONTACT_HIDDEN, read_at=NOW - timedelta(hours=5)),
    ],
    ids=["unreadable", "unavailable", "given up as hidden"],
)
def test_edit_of_the_matter_ends_any_other_waiting(known: Closing) -> None:
    """It was just read, and nothing speaks against it."""
    edited = decided(make_matter(), [known])
    assert (edited.state, edited.reason, edited.read_at) == (PENDING, None, NOW)


def test_fault_that_wants_approval_is_asked_about_when_it_is_mended() -> None:
    """Noticed in a stale run and unreadable then, it still waits for a person afterwards."""
    unreadable = make_closing(reason=Reason.UNREADABLE_FIELD, approval=Approval.WANTED)
    look = lifecycle.matter_read(unreadable, make_matter(), POLICY, AT, again=True)
    waits = lifecycle.contact_read(look.closing, make_contact(), POLICY, AT)
    assert waits is not None
    assert (waits.state, waits.reason) == (PENDING, Reason.SURGE)


def test_new_client_is_taken_from_the_matter() -> None:
    """The client is whoever the matter names at the last reading."""
    look = lifecycle.matter_read(
        make_closing(), make_matter(client_id=1300), POLICY, AT, again=True
    )
    assert look.closing.contact_id == 1300


def test_second_look_is_by_the_rule_of_now() -> None:
    """A closing that waited under another rule is decided by the new one."""
    waited = make_closing(rule=SyncRule.OPT_OUT)
    look = lifecycle.matter_read(
        waited, make_matter(opted_in=Box.UNCHECKED), POLICY, AT, again=True
    )
    assert (look.closing.reason, look.closing.rule) == (Reason.NOT_OPTED_IN, SyncRule.BOTH)


# Resent, approved, released, recovered.


def test_resent_stays_resent_until_it_is_settled() -> None:
    """Neither an outage nor Broadly's `retry` makes the age of a resent closing count again."""
    resent = make_closing(closed_on=date(2025, 1, 1), resent=True)
    released = lifecycle.released(resent, Reason.UNAVAILABLE)
    retried = lifecycle.settled(make_receipt(resent, Outcome.RETRY), resent, POLICY)
    for closing in (released, retried):
        look = lifecycle.matter_read(
            closing, make_matter(closed_on=date(2025, 1, 1)), POLICY, AT, again=True
        )
        assert (look.goes_on, look.closing.resent) == (True, True)
    accepted = lifecycle.settled(make_receipt(resent, Outcome.ACCEPTED), resent, POLICY)
    assert not accepted.resent


def test_approval_is_sticky() -> None:
    """Once approved, a closing stays so through claim, release and a second look."""
    approved = lifecycle.approved(make_closing(reason=Reason.SURGE), POLICY, NOW)
    assert (approved.approval, approved.reason) == (Approval.GIVEN, None)
    doubted = lifecycle.approved(make_closing(in_doubt=True), POLICY, NOW)
    assert (doubted.approval, doubted.reason) == (Approval.GIVEN, Reason.UNKNOWN_OUTCOME)
    released = lifecycle.released(approved, Reason.UNAVAILABLE)
    look = lifecycle.matter_read(
        released, make_matter(), POLICY, make_moment(stale=True), again=True
    )
    assert look.closing.approval is Approval.GIVEN


def test_surge_does_not_hide_a_doubt() -> None:
    """A marked closing in a surge still says that its outcome is unknown."""
    marked = make_closing(in_doubt=True, reason=Reason.UNKNOWN_OUTCOME)
    waits = lifecycle.awaiting_approval(marked)
    assert (waits.approval, waits.reason) == (Approval.WANTED, Reason.UNKNOWN_OUTCOME)


def test_released_in_doubt_stays_in_doubt() -> None:
    """What was marked before it was claimed is marked after it was given back."""
    released = lifecycle.released(make_closing(in_doubt=True, tries=2), Reason.UNAVAILABLE)
    assert (released.reason, released.in_doubt, released.tries) == (Reason.UNKNOWN_OUTCOME, True, 2)


@pytest.mark.parametrize(
    ("left", "dedupes", "state", "tries"),
    [
        (make_closing(state=SENDING), False, HELD, 1),
        (make_closing(state=SENDING), True, PENDING, 1),
        (make_closing(state=SENDING, tries=9), True, PENDING, 1),
        (make_closing(state=SENDING, tries=9, in_doubt=True), True, HELD, 10),
        (make_closing(state=SENDING, resent=True), False, HELD, 1),
        (make_closing(in_doubt=True), True, PENDING, 0),
        (make_closing(in_doubt=True), False, HELD, 0),
        (make_closing(in_doubt=True, resent=True), False, PENDING, 0),
        (make_closing(in_doubt=True, resent=True, tries=1), False, HELD, 1),
    ],
)
def test_recovered(left: Closing, dedupes: bool, state: State, tries: int) -> None:
    """Found sending, or marked: tried again where the receiver dedupes, else held; what a person
    resent has one try."""
    closing = lifecycle.recovered(left._replace(reason=Reason.UNKNOWN_OUTCOME), dedupes)
    assert (closing.state, closing.tries) == (state, tries)
    assert (closing.in_doubt, closing.reason) == (True, Reason.UNKNOWN_OUTCOME)


def test_recovered_closing_says_that_its_outcome_is_unknown() -> None:
    """Whatever it waited for before it was claimed."""
    for state in (SENDING, PENDING):
        left = make_closing(state=state, in_doubt=state is PENDING, reason=Reason.SURGE)
        row = lifecycle.recovered(left, dedupes=False)
        assert (row.state, row.reason) == (HELD, Reason.UNKNOWN_OUTCOME)


# Put right by a person.

NOT_AT_ITS_END = [
    make_closing(state=DEAD, reason=Reason.RETRY, tries=10, command=Command.BACKFILL),
    make_closing(state=HELD, reason=Reason.OPTED_OUT, tries=2, in_doubt=True),
    make_closing(state=DEAD, approval=Approval.WANTED, noticed_at=NOW),
]


@pytest.mark.parametrize("left", NOT_AT_ITS_END, ids=lambda row: f"{row.state}, {row.reason}")
def test_resent_waits_for_nothing_but_the_next_sync(left: Closing) -> None:
    """Approved, of `sync`, its tries begun anew; a doubt stays one, and settling is over."""
    row = lifecycle.resent(left)
    assert (row.state, row.command, row.approval) == (PENDING, Command.SYNC, Approval.GIVEN)
    assert (row.resent, row.tries, row.in_doubt) == (True, 0, left.in_doubt)
    policy = make_policy(settle_hours=24)
    assert row.reason is lifecycle.waits_for(row, policy, NOW)
    assert row.reason is (Reason.UNKNOWN_OUTCOME if left.in_doubt else None)
    assert lifecycle.recovered(row, dedupes=False) == row


@pytest.mark.parametrize("marked", [True, False])
def test_resent_closing_keeps_its_date_where_the_matter_has_none(marked: bool) -> None:
    """Its transactionId is that of the closing which a person resent."""
    row = lifecycle.resent(make_closing(state=DEAD, in_doubt=marked))
    look = lifecycle.matter_read(row, make_matter(closed_on=None), POLICY, AT, again=True)
    assert (look.goes_on, look.closing.key) == (True, Key(77, CLOSED_ON))


@pytest.mark.parametrize("state", [PENDING, HELD, DEAD])
@pytest.mark.parametrize("marked", [True, False])
def test_dropped_is_final(state: State, marked: bool) -> None:
    """Nothing decides on it anew, and the mark by which it counts as asked stays."""
    row = lifecycle.dropped(make_closing(state=state, in_doubt=marked, resent=state is PENDING))
    assert (row.state, row.reason, row.in_doubt) == (SKIPPED, Reason.DROPPED, marked)
    assert row.resent is False
    for policy in (POLICY, for_backfill()):
        assert notice(make_matter(), [row], policy) is None


@pytest.mark.parametrize("move", [lifecycle.resent, lifecycle.dropped])
@pytest.mark.parametrize(
    ("reason", "cause"),
    [(Reason.NO_CHANNEL, UNUSABLE), (Reason.OPTED_OUT, f"{OF_CONTACT}1207")],
)
def test_cause_goes_with_the_reason_that_it_stands_behind(
    move: Callable[[Closing], Closing], reason: Reason, cause: str
) -> None:
    """What a person moved has a reason of its own; the history keeps the former one."""
    assert move(make_closing(state=HELD, reason=reason, cause=cause, in_doubt=True)).cause is None


@pytest.mark.parametrize("move", [lifecycle.resent, lifecycle.dropped])
def test_cause_of_a_doubt_goes_with_the_doubt(move: Callable[[Closing], Closing]) -> None:
    """What became of the answer stays known as long as that is the reason."""
    held = make_closing(state=HELD, reason=Reason.UNKNOWN_OUTCOME, cause="cut", in_doubt=True)
    row = move(held)
    assert row.cause == ("cut" if row.reason is Reason.UNKNOWN_OUTCOME else None)


# What is handed over.


def test_request_carries_no_more_than_the_settings_let_through() -> None:
    """BROADLY_FIELDS narrows what leaves the firm."""
    policy = make_policy(fields=frozenset({"first_name", "email"}))
    request = request_for(make_closing(), make_contact(), policy, TODAY)
    assert (request.first_name, request.email) == ("Ada", "ada@example.com")
    assert (request.last_name, request.phone, request.company_name) == (None, None, None)


def test_request_of_the_future_is_dated_today() -> None:
    """The transaction's date is never after today; its id keeps the closing's own."""
    closing = make_closing(closed_on=date(2027, 3, 1))
    request = request_for(closing, make_contact(), POLICY, TODAY)
    assert request.transaction_date == TODAY
    assert request.transaction_id.endswith(":2027-03-01")


def test_what_was_read_prints_no_person() -> None:
    """Contacts and requests show nothing of themselves in a traceback."""
    request = request_for(make_closing(), make_contact(), POLICY, TODAY)
    printed = f"{request!r} {make_contact()!r}"
    assert not [word for word in ("Ada", "Lovelace", "ada@", "4155550123") if word in printed]
