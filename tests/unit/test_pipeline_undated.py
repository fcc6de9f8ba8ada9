"""A matter closed without a close date: it waits, is told, and goes once a date is typed."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from factories import NOW, TODAY, for_backfill, make_closing, make_policy
from ledgers import put
from runs import Runs

from clio_broadly_sync.domain import lifecycle
from clio_broadly_sync.domain.model import Box, Command, Key, Outcome
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.store import Selection

PENDING, SKIPPED, SENT = State.PENDING, State.SKIPPED, State.SENT
NO_DATE = Reason.NO_CLOSE_DATE
DAY = timedelta(days=1)


@pytest.fixture
def undated(runs: Runs) -> Runs:
    """Matter 1 was closed without a date, and a sync has seen it."""
    runs.close(1, closed_on=None)
    context = runs.sync()
    assert (context.report.undated, context.report.faults) == (1, 0)
    assert context.report.attention
    return runs


def later(runs: Runs, **time: float) -> None:
    runs.clock.tick(**time)


def type_unseen(runs: Runs, matter: int) -> None:
    """Type a date, which no walk shows, for the matter seems not to have been edited."""
    runs.edit(matter, closed_on=TODAY, updated_at=NOW - 30 * DAY)


def test_it_waits_and_is_told_once(undated: Runs) -> None:
    """New, it is news; in the next runs it is none, also where it was edited or read again."""
    row = undated.row(1)
    assert (row.state, row.reason, row.key) == (PENDING, NO_DATE, Key(1, None))
    for hours in (0, 21, 21):
        later(undated, hours=hours)
        undated.edit(1)
        context = undated.sync()
        assert not context.report.attention
        assert (undated.row(1).state, undated.row(1).reason) == (PENDING, NO_DATE)
    assert undated.broadly.posts == []


@pytest.mark.parametrize("typed", [0, 1, 15, -5], ids=str)
def test_it_goes_when_a_date_is_typed(undated: Runs, typed: int) -> None:
    """In the very next run; a date in the future counts as today."""
    later(undated, minutes=15)
    undated.edit(1, closed_on=TODAY - typed * DAY)
    undated.sync()
    assert undated.broadly.matters == [[1]]
    assert undated.broadly.posts[0][0].transaction_id.endswith(str(TODAY - typed * DAY))
    assert (undated.row(1).state, undated.row(1).key.closed_on) == (SENT, TODAY - typed * DAY)


@pytest.mark.parametrize(
    ("days_ago", "reason"),
    [(31, Reason.CLOSED_TOO_LONG_AGO), (400, Reason.CLOSED_BEFORE_START)],
)
def test_typed_date_is_judged_as_any_other(undated: Runs, days_ago: int, reason: Reason) -> None:
    """Too old, or before the start day: skipped for that, and under its date."""
    policy = make_policy(start_day=TODAY - 100 * DAY)
    later(undated, minutes=15)
    undated.edit(1, closed_on=TODAY - days_ago * DAY)
    undated.sync(policy)
    row = undated.row(1)
    assert (row.state, row.reason) == (SKIPPED, reason)
    assert row.key.closed_on == TODAY - days_ago * DAY


def test_date_that_no_walk_has_shown(undated: Runs) -> None:
    """It is read again after 20 hours, and then it goes at once."""
    type_unseen(undated, 1)
    later(undated, hours=19)
    undated.sync()
    assert undated.row(1).reason is NO_DATE
    later(undated, hours=2)
    undated.sync()
    assert undated.row(1).state is SENT


def test_date_that_no_walk_has_shown_counts_in_a_surge(undated: Runs) -> None:
    """Whoever goes because dates were typed is one of those whom the brake counts."""
    undated.close(2, 3, closed_on=None)
    undated.sync()
    for matter in (1, 2, 3):
        type_unseen(undated, matter)
    later(undated, hours=21)
    context = undated.sync(make_policy(max_new=2))
    assert len(undated.broadly.matters[0]) == 2
    assert context.report.surge == 1
    assert [row.reason for row in map(undated.row, (1, 2, 3))].count(Reason.SURGE) == 1


def test_dates_typed_in_bulk_are_a_surge(undated: Runs) -> None:
    undated.close(2, 3, closed_on=None)
    undated.sync()
    later(undated, minutes=15)
    for matter in (1, 2, 3):
        undated.edit(matter, closed_on=TODAY)
    context = undated.sync(make_policy(max_new=2))
    assert (context.report.surge, undated.broadly.posts) == (3, [])
    undated.sync(make_policy(max_new=2), approve=True)
    assert len(undated.broadly.matters[0]) == 3


def test_what_the_limit_leaves_has_its_date(undated: Runs) -> None:
    """It waits for its turn and not for a date any more."""
    undated.close(2, closed_on=None)
    undated.sync()
    for matter in (1, 2):
        type_unseen(undated, matter)
    later(undated, hours=21)
    undated.sync(limit=1)
    assert undated.broadly.matters == [[1]]
    row = undated.row(2)
    assert (row.state, row.reason, row.key.closed_on) == (PENDING, None, TODAY)
    undated.sync()
    assert undated.broadly.matters == [[2]]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"opted_out": Box.CHECKED}, Reason.OPTED_OUT),
        ({"email": None}, Reason.NO_CHANNEL),
        ({"readable": False}, Reason.UNREADABLE_FIELD),
    ],
    ids=str,
)
def test_dated_at_last_and_stopped_by_its_contact(
    undated: Runs, changes: dict[str, object], reason: Reason
) -> None:
    type_unseen(undated, 1)
    undated.client(1001, **changes)
    later(undated, hours=21)
    undated.sync()
    assert undated.row(1).reason is reason
    assert undated.broadly.posts == []


def test_settle_hours_count_from_the_day_it_was_noticed(undated: Runs) -> None:
    policy = make_policy(settle_hours=24)
    undated.edit(1, closed_on=TODAY)
    undated.sync(policy)
    assert undated.row(1).reason is Reason.SETTLING
    later(undated, hours=24)
    undated.sync(policy)
    assert undated.row(1).state is SENT


# How long it waits.


def wait(runs: Runs, days: float) -> tuple[State, Reason | None]:
    """Return what it is after a sync so many days after it was noticed."""
    runs.clock.now = NOW + days * DAY
    runs.sync()
    return runs.row(1).state, runs.row(1).reason


def test_it_waits_for_the_maximum_age_from_the_day_it_was_noticed(undated: Runs) -> None:
    assert wait(undated, 30) == (PENDING, NO_DATE)
    assert wait(undated, 31) == (SKIPPED, NO_DATE)
    undated.edit(1)
    assert wait(undated, 31.1) == (SKIPPED, NO_DATE)
    undated.edit(1, closed_on=TODAY + 31 * DAY)
    undated.clock.tick(minutes=15)
    undated.sync()
    assert undated.broadly.matters == [[1]]


def test_the_day_is_the_firms(runs: Runs) -> None:
    """Noticed in the evening in Honolulu, which is the next day in UTC."""
    zone = ZoneInfo("Pacific/Honolulu")
    runs.clock.now = NOW.replace(hour=5) + DAY  # 19:00 of the day before there
    runs.close(1, closed_on=None)
    runs.sync(given_zone=zone)
    noticed = runs.clock.now.astimezone(zone).replace(hour=23, minute=59)
    for days, state in ((30, PENDING), (31, SKIPPED)):
        runs.clock.now = noticed + days * DAY
        runs.sync(given_zone=zone)
        assert runs.row(1).state is state


def test_closed_once_more_without_a_date(undated: Runs) -> None:
    """Reopened and closed again much later, it is as new as any other."""
    undated.edit(1, closed=False, closed_on=None)
    assert wait(undated, 1) == (SKIPPED, Reason.NOT_CLOSED)
    undated.clock.now = NOW + 60 * DAY
    undated.edit(1, closed=True)
    context = undated.sync()
    assert (undated.row(1).state, undated.row(1).reason) == (PENDING, NO_DATE)
    assert context.report.undated == 1
    assert wait(undated, 90) == (PENDING, NO_DATE)
    assert wait(undated, 91) == (SKIPPED, NO_DATE)


def test_row_of_an_earlier_version_stays_as_it_is(runs: Runs) -> None:
    """Skipped then, it is no news; with a typed date it is a closing of its own."""
    earlier = make_closing(1, None, contact_id=1001, state=SKIPPED, reason=NO_DATE, etag="after")
    put(runs.store, earlier)
    runs.close(1, closed_on=None)
    context = runs.sync()
    assert (runs.row(1).state, context.report.attention) == (SKIPPED, False)
    runs.edit(1, closed_on=TODAY)
    later(runs, minutes=15)
    runs.sync()
    assert runs.broadly.matters == [[1]]
    states = {c.key.closed_on: c.state for c in runs.store.ledger.known([1])[1]}
    assert states == {None: SKIPPED, TODAY: SENT}


# What else speaks against it, or happens to it.


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"opted_in": Box.UNCHECKED}, Reason.NOT_OPTED_IN),
        ({"opted_in": Box.UNTOUCHED}, Reason.NOT_OPTED_IN),
        ({"client_id": None}, Reason.NO_CLIENT),
    ],
    ids=str,
)
def test_nobody_is_told_of_one_that_would_not_go(
    runs: Runs, changes: dict[str, object], reason: Reason
) -> None:
    """Skipped for that; once it is put right in Clio, it waits for its date."""
    runs.close(1)
    runs.edit(1, closed_on=None, **changes)
    context = runs.sync()
    assert (runs.row(1).reason, context.report.attention) == (reason, False)
    later(runs, minutes=15)
    runs.edit(1, opted_in=Box.CHECKED, client_id=1001)
    assert runs.sync().report.undated == 1
    assert runs.row(1).reason is NO_DATE


def test_box_that_cannot_be_read_comes_first(runs: Runs) -> None:
    """Once it can be read, the missing date is news."""
    runs.close(1, closed_on=None, opted_in=Box.UNREADABLE)
    assert (runs.sync().report.faults, runs.row(1).reason) == (1, Reason.UNREADABLE_FIELD)
    later(runs, minutes=15)
    runs.edit(1, opted_in=Box.CHECKED)
    assert (runs.sync().report.undated, runs.row(1).reason) == (1, NO_DATE)


def test_date_that_is_taken_away_again(runs: Runs) -> None:
    """While it settles, a date goes and comes back; it is one closing all the time."""
    policy = make_policy(settle_hours=24)
    runs.close(1)
    runs.sync(policy)
    assert runs.row(1).reason is Reason.SETTLING
    runs.edit(1, closed_on=None)
    assert (runs.sync(policy).report.undated, runs.row(1).reason) == (1, NO_DATE)
    later(runs, hours=25)
    runs.edit(1, closed_on=TODAY)
    runs.sync(policy)
    assert (runs.row(1).state, runs.row(1).key.closed_on) == (SENT, TODAY)


def test_dropped_for_good(undated: Runs) -> None:
    """A date that is typed after that is no new closing, within 30 days."""
    chosen = Selection(reason=NO_DATE)
    assert [one.closing.key.matter_id for one in undated.store.outbox.listed(chosen)] == [1]
    assert undated.store.outbox.change(chosen, lifecycle.dropped, NOW) == 1
    assert (undated.row(1).state, undated.row(1).reason) == (SKIPPED, Reason.DROPPED)
    later(undated, minutes=15)
    undated.edit(1, closed_on=TODAY)
    undated.sync()
    assert undated.broadly.posts == []


def test_sent_before_under_the_date_that_is_typed(runs: Runs) -> None:
    """Closed, sent, reopened, closed without a date, and dated as before: nobody is asked twice."""
    runs.close(1)
    runs.sync()
    assert runs.broadly.matters == [[1]]
    was = runs.clio.records[1].closed_on
    later(runs, minutes=15)
    runs.edit(1, closed_on=None)
    runs.sync()
    later(runs, minutes=15)
    runs.edit(1, closed_on=was)
    runs.sync()
    later(runs, hours=21)
    runs.sync()
    states = {c.key.closed_on: (c.state, c.reason) for c in runs.store.ledger.known([1])[1]}
    assert states == {was: (SENT, None), None: (SKIPPED, Reason.NOT_CLOSED)}
    assert runs.broadly.posts == []


# Backfills.


def test_backfill_takes_over_what_has_a_date_by_now(undated: Runs) -> None:
    """Its own closing goes; the one that waited for a date is none any more."""
    undated.edit(1, closed_on=TODAY)
    undated.backfill()
    assert undated.broadly.matters == [[1]]
    later(undated, hours=21)
    undated.sync()
    assert undated.broadly.posts == []
    states = {c.key.closed_on: c.state for c in undated.store.ledger.known([1])[1]}
    assert states == {TODAY: SENT, None: SKIPPED}


def test_backfill_leaves_alone_what_has_no_date(undated: Runs) -> None:
    """It lies in no range, and belongs to sync."""
    context = undated.backfill()
    assert (context.report.matters_read, context.report.attention) == (0, False)
    assert (undated.row(1).command, undated.row(1).reason) == (Command.SYNC, NO_DATE)


def test_backfill_whose_date_is_taken_away(runs: Runs) -> None:
    """Between its walk and its push: it waits, for each backfill reads it again, however old."""
    runs.close(1)
    context = runs.backfill(limit=0)
    assert runs.row(1).command is Command.BACKFILL
    runs.edit(1, closed_on=None)
    later(runs, minutes=16)
    context = runs.backfill()
    assert (runs.row(1).state, runs.row(1).reason) == (PENDING, NO_DATE)
    assert context.report.undated == 1
    runs.clock.now = NOW + 100 * DAY
    context = runs.backfill()
    assert (runs.row(1).reason, context.report.attention) == (NO_DATE, False)
    runs.edit(1, closed_on=TODAY + 99 * DAY)
    later(runs, minutes=15)
    runs.backfill(for_backfill(), close_dates=(TODAY, TODAY + 100 * DAY))
    assert runs.broadly.matters == [[1]]


def test_in_doubt_without_a_date(runs: Runs) -> None:
    """It waits with its date of then, and is tried again under it."""
    policy = make_policy(dedupes=True)
    runs.close(1)
    runs.broadly.answers = [Outcome.UNKNOWN]
    with pytest.raises(Exception, match="no result that can be read"):
        runs.sync(policy)
    was = runs.row(1).key
    runs.edit(1, closed_on=None)
    later(runs, minutes=16)
    runs.sync(policy)
    new, marked = runs.store.ledger.known([1])[1]
    assert (marked.key, marked.state, marked.reason) == (was, PENDING, NO_DATE)
    assert (new.key, new.state, new.reason) == (Key(1, None), PENDING, NO_DATE)
    later(runs, hours=21)
    runs.edit(1, closed_on=TODAY)
    runs.sync(policy)
    states = {c.key: (c.state, c.reason) for c in runs.store.ledger.known([1])[1]}
    assert states == {was: (SENT, None), Key(1, TODAY): (SKIPPED, Reason.ASKED_RECENTLY)}
