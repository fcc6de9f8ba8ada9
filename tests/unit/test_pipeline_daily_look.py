"""The daily look: what was skipped and may be put right, and who opted out after being sent."""

from datetime import timedelta
from typing import Any

import pytest
from ends import OPT_IN, OPT_OUT
from factories import CLOSED_ON, NOW, TODAY, make_closing, make_policy
from ledgers import put
from runs import WANTED, Runs

from clio_broadly_sync.domain.daily_look import Part
from clio_broadly_sync.domain.errors import ConfigError, StoppedError, UnavailableError
from clio_broadly_sync.domain.model import Box, Command, Key, SyncRule
from clio_broadly_sync.domain.reasons import UNUSABLE, Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.store.daily_look import AT_ONCE
from clio_broadly_sync.store.objections import Objection

PENDING, SENT, SKIPPED = State.PENDING, State.SENT, State.SKIPPED
PAGE, MATTERS, CONTACTS, FIELDS = "page", "matters", "contacts", "custom_fields"
DAY = {"hours": 21}
SHARED = "pat@example.com"


def tick(runs: Runs, id_: int, **changes: Any) -> None:
    """Change a matter as nobody is told of: neither its etag nor its update time moves."""
    runs.clio.records[id_] = runs.clio.records[id_]._replace(**changes)


def skipped(runs: Runs, *ids: int, **changes: Any) -> None:
    """Close matters whose box is not checked, and let a sync skip them."""
    runs.close(*ids, **{"opted_in": Box.UNCHECKED, **changes})
    runs.sync(looks=False)


def sent(runs: Runs, *ids: int, **changes: Any) -> None:
    runs.close(*ids, **changes)
    runs.sync(looks=False)
    assert all(runs.states[id_] is SENT for id_ in ids)


def pass_by(runs: Runs) -> None:
    """Let so much time pass that no pull reads what was edited until now."""
    runs.clock.tick(hours=2)
    runs.sync(looks=False)


def look(runs: Runs, **changes: Any) -> Any:
    """Let a day pass, and run; return the report."""
    runs.clock.tick(**DAY)
    return runs.sync(**changes).report


def objections(runs: Runs) -> list[int]:
    return [one.matter_id for one in runs.store.ledger.objections.listed(runs.clock.now)]


def changes_of(runs: Runs, matter: int) -> int:
    (story,) = runs.store.history.of_matter(matter)
    return len(story.steps)


# When it is done.


def test_first_look_comes_twenty_hours_after_the_first_run(runs: Runs) -> None:
    skipped(runs, 1)
    tick(runs, 1, opted_in=Box.CHECKED)
    runs.clock.tick(hours=19, minutes=59)
    runs.sync()
    assert (runs.clio.requests, runs.states) == ([PAGE], {1: SKIPPED})
    runs.clock.tick(minutes=1)
    runs.sync()
    assert runs.states == {1: SENT}


def test_next_look_comes_twenty_hours_after_the_last(runs: Runs) -> None:
    """Between them an idle run is one request."""
    skipped(runs, 1)
    look(runs)
    assert MATTERS in runs.clio.requests
    for _ in range(2):
        runs.clock.tick(hours=9)
        runs.sync()
        assert runs.clio.requests == [PAGE]
    runs.clock.tick(hours=2)
    runs.sync()
    assert MATTERS in runs.clio.requests


def test_nothing_to_look_at_is_no_request(runs: Runs) -> None:
    """It is noted as done all the same."""
    look(runs)
    assert runs.clio.requests == [PAGE]
    assert [runs.store.looked(part).done_at for part in Part] == [runs.clock.now] * 2


def test_look_that_a_wrong_clock_noted_is_not_waited_for(runs: Runs) -> None:
    runs.store.note_look(Part.SKIPPED, done_at=NOW + timedelta(days=30))
    skipped(runs, 1)
    runs.sync()
    assert MATTERS in runs.clio.requests


def test_dry_run_does_not_look(runs: Runs) -> None:
    skipped(runs, 1)
    look(runs, looks=False)
    assert runs.clio.requests == [PAGE]


def test_backfill_does_not_look(runs: Runs) -> None:
    skipped(runs, 1)
    runs.clock.tick(days=20)
    runs.backfill(close_dates=(TODAY, TODAY))
    assert MATTERS not in runs.clio.requests


# What was skipped.


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {}),
        ({"opted_out": Box.CHECKED}, {"opted_out": Box.UNCHECKED}),
        ({"email": None}, {"email": "new@example.com"}),
        ({"email": None, "unusable": frozenset({"email"})}, {"email": "right@example.com"}),
        ({"email": None}, {"phone": "+14155550123"}),
    ],
)
def test_what_was_put_right_goes_in_the_same_run(
    runs: Runs, before: dict[str, Any], after: dict[str, Any]
) -> None:
    """A box on the matter, a box on the contact, an address."""
    runs.close(1, opted_in=Box.CHECKED if before else Box.UNCHECKED)
    runs.client(1001, **before)
    runs.sync()
    assert runs.states == {1: SKIPPED}
    tick(runs, 1, opted_in=Box.CHECKED)
    runs.client(1001, **after)
    report = look(runs)
    assert (runs.states, report.sent, report.to_send) == ({1: SENT}, 1, 1)
    assert runs.broadly.matters == [[1]]
    assert runs.store.looked(Part.SKIPPED).done_at == runs.clock.now


def test_same_decision_leaves_no_change(runs: Runs) -> None:
    """Neither of the matter nor of the contact, nor because of another contact's no."""
    skipped(runs, 1)
    runs.close(2, 3, 4)
    runs.client(1002, email=SHARED, opted_out=Box.CHECKED)
    runs.client(1003, email=SHARED)
    runs.client(1004, email=None, unusable=frozenset({"email"}))
    runs.sync()
    rows = {n: runs.row(n) for n in (1, 2, 3, 4)}
    assert rows[3].cause == "contact:1002"
    assert rows[4].cause == UNUSABLE
    changes = {n: changes_of(runs, n) for n in rows}
    report = look(runs)
    assert {n: runs.row(n) for n in rows} == rows
    assert {n: changes_of(runs, n) for n in rows} == changes
    assert (report.skipped, runs.broadly.posts) == ({}, [])
    assert runs.clio.asked_by_id == [[1, 2, 3, 4], [1002, 1003, 1004]]


@pytest.mark.parametrize(
    ("matter", "contact", "reason"),
    [
        ({"closed": False}, {}, Reason.NOT_CLOSED),
        ({"client_id": None}, {}, Reason.NO_CLIENT),
        ({"opted_in": Box.CHECKED}, {"opted_out": Box.CHECKED}, Reason.OPTED_OUT),
        ({"opted_in": Box.CHECKED}, {"email": None}, Reason.NO_CHANNEL),
    ],
)
def test_another_decision_is_recorded(
    runs: Runs, matter: dict[str, Any], contact: dict[str, Any], reason: Reason
) -> None:
    """All rules are gone through again, so `explain` tells what speaks against it now."""
    skipped(runs, 1)
    tick(runs, 1, **matter)
    runs.client(1001, **contact)
    report = look(runs)
    assert (runs.row(1).state, runs.row(1).reason) == (SKIPPED, reason)
    assert report.skipped == {reason: 1}


def test_company_is_left_out_by_the_look_as_well(runs: Runs) -> None:
    skipped(runs, 1)
    tick(runs, 1, opted_in=Box.CHECKED)
    runs.client(1001, is_company=True)
    look(runs, policy=make_policy(companies=False))
    assert runs.row(1).reason is Reason.COMPANY


@pytest.mark.parametrize(
    "now", [None, {"opted_in": Box.UNREADABLE}, {"readable": False}, {"closed_on": None}]
)
def test_matter_that_cannot_be_read_decides_nothing(runs: Runs, now: dict[str, Any] | None) -> None:
    """Hidden (None) or unreadable, it is looked at again the next day, and goes then."""
    skipped(runs, 1)
    pass_by(runs)
    before, shown = runs.row(1), runs.clio.records[1]
    if now is None:
        del runs.clio.records[1]
    else:
        tick(runs, 1, **now)
    report = look(runs)
    assert (runs.row(1), report.attention) == (before, False)
    runs.clio.records[1] = shown._replace(opted_in=Box.CHECKED)
    look(runs)
    assert runs.states == {1: SENT}


@pytest.mark.parametrize("now", [None, {"opted_out": Box.UNREADABLE}, {"readable": False}])
@pytest.mark.parametrize("before", [{"opted_out": Box.CHECKED}, {"email": None}])
def test_contact_that_cannot_be_read_leaves_its_own_decision(
    runs: Runs, before: dict[str, Any], now: dict[str, Any] | None
) -> None:
    """Nobody is called for a client who said no before Clio hid them."""
    runs.close(1)
    runs.client(1001, **before)
    runs.sync()
    row = runs.row(1)
    if now is None:
        del runs.clio.people[1001]
    else:
        runs.client(1001, **now)
    report = look(runs)
    assert (runs.row(1), report.attention) == (row, False)


def test_box_is_checked_and_the_contact_hidden(runs: Runs) -> None:
    """The matter's no is over, so it is a fault, and a person hears of it."""
    skipped(runs, 1)
    tick(runs, 1, opted_in=Box.CHECKED)
    del runs.clio.people[1001]
    report = look(runs)
    assert (runs.row(1).state, runs.row(1).reason) == (PENDING, Reason.CONTACT_HIDDEN)
    assert (report.attention, report.faults) == (True, 1)


@pytest.mark.parametrize("is_hidden", [True, False])
def test_matter_that_has_another_client_by_now(runs: Runs, is_hidden: bool) -> None:
    """What was decided about the client of then says nothing about this one."""
    runs.close(1)
    runs.client(1001, opted_out=Box.CHECKED)
    runs.sync()
    pass_by(runs)
    tick(runs, 1, client_id=1002)
    if not is_hidden:
        runs.client(1002)
    look(runs)
    row = runs.row(1)
    expected = (PENDING, Reason.CONTACT_HIDDEN) if is_hidden else (SENT, None)
    assert (row.contact_id, row.state, row.reason) == (1002, *expected)


def test_matter_that_was_closed_on_another_date(runs: Runs) -> None:
    """That is another closing, which the pull notices; this one is left as it is."""
    skipped(runs, 1)
    pass_by(runs)
    before = runs.row(1)
    tick(runs, 1, opted_in=Box.CHECKED, closed_on=TODAY)
    look(runs)
    assert runs.row(1) == before


@pytest.mark.parametrize("rule", [SyncRule.OPT_IN, SyncRule.OPT_OUT])
def test_rows_of_another_rule_are_left_out(runs: Runs, rule: SyncRule) -> None:
    put(runs.store, make_closing(1, state=SKIPPED, rule=rule))
    look(runs)
    assert runs.clio.requests == [PAGE]


@pytest.mark.parametrize("command", Command)
def test_skipped_rows_belong_to_nobody(runs: Runs, command: Command) -> None:
    """A backfill that walks over the last weeks takes none of them out of the daily look."""
    skipped(runs, 1)
    if command is Command.BACKFILL:
        runs.backfill()
        assert runs.row(1).command is Command.BACKFILL
    tick(runs, 1, opted_in=Box.CHECKED)
    look(runs)
    assert runs.states == {1: SENT}


@pytest.mark.parametrize(
    ("closed_on", "is_read"),
    [
        (TODAY - timedelta(days=29), True),
        (TODAY - timedelta(days=31), False),
        (TODAY + timedelta(days=400), True),
        (None, False),
    ],
)
def test_what_is_too_old_is_not_read(runs: Runs, closed_on: Any, is_read: bool) -> None:
    put(runs.store, make_closing(1, closed_on, state=SKIPPED))
    look(runs, policy=make_policy(start_day=TODAY - timedelta(days=300)))
    assert (MATTERS in runs.clio.requests) == is_read


def test_what_closed_before_the_start_day_is_not_read(runs: Runs) -> None:
    put(runs.store, make_closing(1, state=SKIPPED))
    look(runs, policy=make_policy(start_day=CLOSED_ON + timedelta(days=1)))
    assert runs.clio.requests == [PAGE]


@pytest.mark.parametrize(
    "reason",
    sorted(
        {Reason.ASKED_RECENTLY, Reason.COMPANY, Reason.NOT_CLOSED, Reason.DROPPED,
         Reason.SUPPRESSED, Reason.NO_CLIENT, Reason.CONTACT_HIDDEN}
    ),
)  # fmt: skip
def test_what_no_person_can_put_right_in_silence_is_not_read(runs: Runs, reason: Reason) -> None:
    put(runs.store, make_closing(1, state=SKIPPED, reason=reason))
    look(runs)
    assert runs.clio.requests == [PAGE]


# The no of another contact.


def two_cards(runs: Runs) -> None:
    """Let a closing be stopped by the no of another contact."""
    runs.close(1, 2)
    runs.client(1001, email=SHARED, opted_out=Box.CHECKED)
    runs.client(1002, email=SHARED)
    runs.sync(looks=False)
    assert runs.row(2).cause == "contact:1001"


def test_no_of_another_contact_is_read_again(runs: Runs) -> None:
    """However fresh it is: it was noticed by another matter an hour before the look."""
    two_cards(runs)
    del runs.clio.records[1]
    runs.clock.tick(hours=20)
    runs.close(3, client_id=1001, closed_on=TODAY)
    runs.client(1001, email=SHARED, opted_out=Box.CHECKED)
    runs.sync(looks=False)
    runs.clock.tick(hours=1)
    runs.client(1001, email=SHARED)
    del runs.clio.records[3]
    runs.sync()
    assert runs.states[2] is SENT


def test_no_of_another_contact_that_stands(runs: Runs) -> None:
    two_cards(runs)
    before = runs.row(2)
    del runs.clio.people[1001]
    look(runs)
    assert runs.row(2) == before


def test_no_of_a_third_contact(runs: Runs) -> None:
    """The reason is the same, and another one has to be put right."""
    two_cards(runs)
    runs.client(1001, email=SHARED)
    runs.close(3, opted_in=Box.CHECKED)
    runs.client(1003, email=SHARED, opted_out=Box.CHECKED)
    del runs.clio.records[1]
    look(runs)
    assert (runs.row(2).reason, runs.row(2).cause) == (Reason.OPTED_OUT, "contact:1003")


def test_person_who_was_sent_meanwhile(runs: Runs) -> None:
    """By another matter of theirs: asked recently, as at any claim."""
    skipped(runs, 1)
    runs.clock.tick(hours=1)
    sent(runs, 2, client_id=1001)
    tick(runs, 1, opted_in=Box.CHECKED)
    look(runs)
    assert runs.row(1).reason is Reason.ASKED_RECENTLY
    assert runs.broadly.posts == []


def test_two_of_one_person_found_at_once(runs: Runs) -> None:
    skipped(runs, 1, 2, client_id=1001)
    for matter in (1, 2):
        tick(runs, matter, opted_in=Box.CHECKED)
    look(runs)
    assert runs.broadly.matters == [[1]]
    assert runs.row(2).reason is Reason.ASKED_RECENTLY


# What it makes due goes as anything else does.


def test_surge_of_what_is_found(runs: Runs) -> None:
    """Somebody ticked sixty boxes: a person looks first, also after a yes to what was due."""
    skipped(runs, *range(1, 61))
    for matter in range(1, 61):
        tick(runs, matter, opted_in=Box.CHECKED)
    runs.close(100)
    report = look(runs, approve=True)
    assert runs.broadly.matters == [[100]]
    assert (report.surge, report.attention) == (60, True)
    report = runs.sync(approve=True).report
    assert report.sent == 60


def test_found_after_a_long_silence(runs: Runs) -> None:
    """As all that is noticed then: it waits, unless a person has said yes."""
    skipped(runs, 1)
    tick(runs, 1, opted_in=Box.CHECKED)
    runs.clock.tick(hours=80)
    report = runs.sync().report
    assert (runs.row(1).reason, report.surge) == (Reason.SURGE, 1)


def test_found_after_a_long_silence_with_a_yes(runs: Runs) -> None:
    skipped(runs, 1)
    tick(runs, 1, opted_in=Box.CHECKED)
    runs.clock.tick(hours=80)
    runs.sync(approve=True)
    assert runs.states == {1: SENT}


def test_limit_counts_both_pushes(runs: Runs) -> None:
    skipped(runs, 1)
    tick(runs, 1, opted_in=Box.CHECKED)
    runs.close(2)
    report = look(runs, limit=1)
    assert (runs.states, report.waiting) == ({1: PENDING, 2: SENT}, 0)
    runs.sync()
    assert runs.states == {1: SENT, 2: SENT}


def test_settling_is_over_for_what_was_noticed_long_ago(runs: Runs) -> None:
    skipped(runs, 1)
    tick(runs, 1, opted_in=Box.CHECKED)
    look(runs, policy=make_policy(settle_hours=24))
    assert (runs.row(1).state, runs.row(1).reason) == (PENDING, Reason.SETTLING)
    runs.clock.tick(hours=4)
    runs.sync(make_policy(settle_hours=24))
    assert runs.states == {1: SENT}


def test_pause_after_a_lost_answer(runs: Runs) -> None:
    """What is found waits as everything else does."""
    skipped(runs, 1)
    runs.clock.tick(**DAY)
    runs.store.note_doubt(runs.clock.now)
    tick(runs, 1, opted_in=Box.CHECKED)
    with pytest.raises(UnavailableError, match="nobody is sent until"):
        runs.sync()
    assert (runs.row(1).reason, runs.broadly.posts) == (Reason.UNAVAILABLE, [])


def test_time_that_is_over(runs: Runs) -> None:
    """Nothing is asked for, and the next run looks."""
    skipped(runs, 1)
    runs.ends_at = runs.clock.now
    look(runs)
    assert runs.clio.requests == [PAGE]
    runs.ends_at = None
    runs.sync()
    assert MATTERS in runs.clio.requests


# Many, and failures.


def test_many_are_looked_at_over_several_runs(runs: Runs) -> None:
    """Twenty requests of each kind a run; the next one goes on where it stopped."""
    many = range(1, 20 * AT_ONCE + 51)
    policy = make_policy(max_new=10_000)
    runs.close(*many, opted_in=Box.UNCHECKED)
    runs.sync(policy)
    tick(runs, many[-1], opted_in=Box.CHECKED)
    look(runs, policy=policy)
    assert runs.clio.requests.count(MATTERS) == 20
    assert runs.store.looked(Part.SKIPPED).done_at is None
    assert runs.states[many[-1]] is SKIPPED
    runs.clock.tick(minutes=15)
    runs.sync(policy)
    assert runs.clio.asked_by_id[0] == list(many[-50:])
    assert runs.states[many[-1]] is SENT
    assert runs.store.looked(Part.SKIPPED).done_at == runs.clock.now


def test_clients_of_many_are_looked_at_over_several_runs(runs: Runs) -> None:
    many = range(1, 20 * AT_ONCE + 1)
    policy = make_policy(max_new=10_000)
    runs.close(*many)
    runs.sync(policy, batch_size=500)
    look(runs, policy=policy)
    assert runs.clio.requests.count(CONTACTS) == 20
    assert (runs.store.looked(Part.SENT).done_at, runs.store.looked(Part.SENT).after > 0) == (
        None,
        True,
    )
    runs.sync(policy)
    assert CONTACTS not in runs.clio.requests
    assert runs.store.looked(Part.SENT).done_at == runs.clock.now


def failing(error: Exception) -> Any:
    def act() -> None:
        raise error

    return act


@pytest.mark.parametrize("error", [UnavailableError("away"), StoppedError(15)])
@pytest.mark.parametrize("kind", [MATTERS, CONTACTS])
def test_look_that_failed_is_not_done(runs: Runs, error: Exception, kind: str) -> None:
    """The run ends with it; what came before is kept, and the next run looks."""
    skipped(runs, 1)
    tick(runs, 1, opted_in=Box.CHECKED)
    runs.close(2)
    acts = [lambda: None] if kind == CONTACTS else []
    runs.clio.meanwhile(kind, *acts, failing(error))
    with pytest.raises(type(error)):
        look(runs)
    assert runs.states == {1: SKIPPED, 2: SENT}
    assert runs.store.looked(Part.SKIPPED).done_at is None
    runs.sync()
    assert runs.states == {1: SENT, 2: SENT}


def test_field_that_was_made_anew_stops_the_look(runs: Runs) -> None:
    """Every box is blank then: no objection is taken for withdrawn, and nobody is sent."""
    sent(runs, 1)
    runs.client(1001, opted_out=Box.CHECKED)
    look(runs)
    runs.client(1001)
    runs.clio.boxes = [OPT_OUT._replace(id=99), OPT_IN]
    with pytest.raises(ConfigError, match="made anew"):
        look(runs)
    assert objections(runs) == [1]


# Who opted out after being sent.


def test_client_who_opts_out_after_being_sent(runs: Runs) -> None:
    """Told once, by the run that found it, and listed with the moment at which it was found."""
    sent(runs, 1, 2)
    at = runs.row(1).claimed_at
    runs.client(1001, opted_out=Box.CHECKED)
    report = look(runs)
    assert (report.objections, report.attention, report.news) == (1, True, True)
    found = Objection(1, CLOSED_ON, 1001, at or NOW, runs.clock.now)
    assert runs.store.ledger.objections.listed(runs.clock.now) == [found]
    report = look(runs)
    assert (report.objections, report.attention) == (0, False)
    assert runs.store.ledger.objections.listed(runs.clock.now) == [found]


def test_objection_is_never_asked_again(runs: Runs) -> None:
    """By a new matter, or on another card with the same address."""
    sent(runs, 1)
    runs.client(1001, email=SHARED, opted_out=Box.CHECKED)
    look(runs, policy=make_policy(reask_days=0))
    runs.clock.tick(days=40)
    runs.close(2, client_id=1001, closed_on=runs.clock.now.date())
    runs.client(1001, email=SHARED, opted_out=Box.CHECKED)
    runs.close(3, closed_on=runs.clock.now.date())
    runs.client(1003, email=SHARED)
    runs.sync(make_policy(reask_days=0), approve=True)
    assert (runs.row(2).reason, runs.row(3).cause) == (Reason.OPTED_OUT, "contact:1001")


def test_objection_is_listed_for_thirty_days(runs: Runs) -> None:
    sent(runs, 1)
    runs.client(1001, opted_out=Box.CHECKED)
    look(runs)
    runs.clock.tick(days=29)
    assert objections(runs) == [1]
    runs.clock.tick(days=2)
    assert objections(runs) == []
    (story,) = runs.store.history.of_matter(1)
    assert story.objected_at is not None


@pytest.mark.parametrize(("days", "is_found"), [(29, True), (31, False)])
def test_clients_are_read_for_thirty_days(runs: Runs, days: int, is_found: bool) -> None:
    sent(runs, 1)
    runs.clock.tick(days=days)
    runs.client(1001, opted_out=Box.CHECKED)
    runs.sync(approve=True)
    assert objections(runs) == [1] * is_found


def test_box_that_was_read_for_another_matter(runs: Runs) -> None:
    """In a push: it is told by that run, without a daily look."""
    sent(runs, 1)
    runs.clock.tick(hours=1)
    runs.close(2, client_id=1001)
    runs.client(1001, opted_out=Box.CHECKED)
    report = runs.sync(looks=False).report
    assert (report.objections, objections(runs)) == (1, [1])


def test_box_that_a_backfill_reads(runs: Runs) -> None:
    sent(runs, 1)
    runs.close(2, client_id=1001)
    runs.client(1001, opted_out=Box.CHECKED)
    assert runs.backfill().report.objections == 1


def test_no_on_another_card_after_sending(runs: Runs) -> None:
    """The no belongs to the person: their own card, read unchecked each day, does not end it."""
    runs.close(1)
    runs.client(1001, email=SHARED)
    runs.sync()
    runs.clock.tick(hours=1)
    runs.close(2)
    runs.client(1002, email=SHARED, opted_out=Box.CHECKED)
    assert runs.sync().report.objections == 1
    for _ in range(2):
        assert look(runs).objections == 0
        assert objections(runs) == [1]
    runs.client(1002, email=SHARED)
    look(runs)
    assert objections(runs) == []


def test_box_that_is_unchecked_again(runs: Runs) -> None:
    """The objection ends; checked once more, it is another one, and told."""
    sent(runs, 1)
    for checked in (True, False, True):
        runs.client(1001, opted_out=Box.CHECKED if checked else Box.UNCHECKED)
        report = look(runs)
        assert (report.objections, objections(runs)) == (int(checked), [1] * checked)


@pytest.mark.parametrize("now", [None, {"opted_out": Box.UNREADABLE}, {"readable": False}])
def test_contact_that_is_hidden_keeps_its_objection(runs: Runs, now: dict[str, Any] | None) -> None:
    sent(runs, 1)
    runs.client(1001, opted_out=Box.CHECKED)
    look(runs)
    if now is None:
        del runs.clio.people[1001]
    else:
        runs.client(1001, **now)
    look(runs)
    assert objections(runs) == [1]


def test_no_before_the_sending_is_none(runs: Runs) -> None:
    """Checked, then unchecked, and sent after that."""
    runs.close(1)
    runs.client(1001, opted_out=Box.CHECKED)
    runs.sync()
    runs.client(1001)
    assert look(runs).objections == 0
    assert (runs.states, objections(runs)) == ({1: SENT}, [])


def test_run_that_failed_has_not_told(runs: Runs) -> None:
    """Its mail may never come: the next run that ends well tells it."""
    sent(runs, 1)
    runs.client(1001, opted_out=Box.CHECKED)
    skipped(runs, 2)
    tick(runs, 2, opted_in=Box.CHECKED)
    runs.broadly.answers = [UnavailableError("away")]
    with pytest.raises(UnavailableError):
        look(runs)
    assert objections(runs) == [1]
    assert runs.sync().report.objections == 1


def test_box_that_nobody_reads(runs: Runs) -> None:
    """Under `opt-in` without the contact's field: there is nothing to look at, and that is done."""
    sent(runs, 1)
    pins = runs.store.pins()
    assert pins is not None
    runs.store.pin(pins._replace(rule=SyncRule.OPT_IN, fields=pins.fields._replace(opt_out=None)))
    runs.clio.boxes = [OPT_IN]
    policy = make_policy(rule=SyncRule.OPT_IN)
    look(runs, policy=policy, wanted=WANTED._replace(rule=SyncRule.OPT_IN))
    assert runs.clio.requests == [PAGE]
    assert runs.store.looked(Part.SENT).done_at == runs.clock.now


def test_many_noes_of_one_number(runs: Runs) -> None:
    """All who were sent at the reception's number object by its one no."""
    runs.close(*range(1, 31))
    for card in range(1, 31):
        runs.client(1000 + card, phone="+14155550100")
    runs.sync(make_policy(reask_days=0))
    sent_now = [n for n, state in runs.states.items() if state is SENT]
    runs.clock.tick(hours=1)
    runs.close(100)
    runs.client(1100, email=None, phone="+14155550100", opted_out=Box.CHECKED)
    report = runs.sync().report
    assert report.objections == len(sent_now) > 1


def test_key_is_kept(runs: Runs) -> None:
    """A closing that goes after the look keeps its date, and so its transactionId."""
    skipped(runs, 1)
    tick(runs, 1, opted_in=Box.CHECKED)
    look(runs)
    assert runs.row(1).key == Key(1, CLOSED_ON)
