"""The figures of a report, read from a real ledger: they add up, and nothing unknown is a zero."""

import tracemalloc
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from factories import NOW, PINS, make_closing, make_policy
from hypothesis import given, settings
from hypothesis import strategies as st
from ledgers import put
from planting import connection_of, crowd, untriggered

from clio_broadly_sync.domain.attention import Attention
from clio_broadly_sync.domain.consent import Channels
from clio_broadly_sync.domain.funnel import Step
from clio_broadly_sync.domain.model import Closing, Command, Profile, SyncRule
from clio_broadly_sync.domain.reasons import ABOUT, NOTHING_TO_DO, OF_STATE, Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.report import reading
from clio_broadly_sync.report.calendar import DAY, each_day
from clio_broadly_sync.report.figures import (
    CAUSES,
    LISTED,
    Counts,
    DayState,
    Figures,
    Period,
)
from clio_broadly_sync.report.reading import Given
from clio_broadly_sync.report.words import Names
from clio_broadly_sync.store import Place, Store

PACIFIC = ZoneInfo("America/Los_Angeles")
FIRST = datetime(2026, 9, 10, 17, tzinfo=UTC)
"""The first run of these tests."""
UNTIL = datetime(2026, 11, 20, 17, 45, tzinfo=UTC)
NOVEMBER = Period(date(2026, 11, 1), date(2026, 11, 20))


def make_given(**changes: Any) -> Given:
    made = Given(
        now=NOW,
        zone=PACIFIC,
        zone_name="America/Los_Angeles",
        version="1.0",
        host="https://app.clio.com",
        rule=SyncRule.BOTH,
        names=Names("Ask", "Never", reask_days=180, max_age_days=30),
        policy=make_policy(),
        attention=Attention(backfill_left=True, export_due=False),
        at_work=None,
        last_failure=None,
        silent_since=None,
    )
    return made._replace(**changes)


def ran(store: Store, at: datetime, code: int | None = 0, failure: str | None = None) -> None:
    """Let a `sync` have run at that moment; without a code, it was cut short."""
    store.begin_run("sync", "r", at)
    if code is not None:
        store.finish_run(code, at + timedelta(seconds=9), failure)


def begin(store: Store, first: datetime = FIRST, until: datetime = UNTIL) -> None:
    """Let the first run have been at one moment, and the last one at another."""
    facts = {"first_run": first, "watermark": until}
    store.pin(PINS, **{name: at.isoformat() for name, at in facts.items()})


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    """Yield a state with a first run in September and the last one just now."""
    with place.open() as opened:
        ran(opened, FIRST)
        begin(opened)
        yield opened


def read(store: Store, period: Period = NOVEMBER, **changes: Any) -> Figures:
    return reading.read(store, period, make_given(**changes))


def sent(matter: int, on: date | None, **changes: Any) -> Closing:
    return make_closing(matter, on, state=State.SENT, **changes)


def counts(figures: Figures) -> Counts:
    assert figures.counts is not None
    return figures.counts


# Sums.


@pytest.fixture(scope="module")
def every_kind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Yield a state with a closing of every kind on days before, in and after each other."""
    days = [date(2026, 8, 31) + number * DAY for number in range(0, 81, 3)]
    kinds = [
        (state, reason, command, doubt)
        for state in State
        for reason in sorted(OF_STATE[state], key=str)
        for command in Command
        for doubt in {state is State.HELD, state in (State.PENDING, State.HELD)}
    ]
    path = tmp_path_factory.mktemp("crowd") / "state" / "state.db"
    with Store.open(path) as opened:
        ran(opened, FIRST)
        begin(opened)
        put(opened, *_closings(days, kinds))
        yield opened


def _closings(days: list[date], kinds: list[Any]) -> Iterator[Closing]:
    for number in range(4 * len(kinds)):
        state, reason, command, doubt = kinds[number % len(kinds)]
        on = days[number * 7 % len(days)]
        noticed = datetime(on.year, on.month, on.day, number % 24, tzinfo=UTC)
        yield make_closing(
            number + 1,
            None if reason is Reason.NO_CLOSE_DATE or number % 11 == 0 else on,
            state=state,
            reason=reason,
            command=command,
            noticed_at=noticed,
            in_doubt=doubt,
        )


PERIODS = st.builds(
    lambda first, days: Period(first, min(first + days * DAY, NOVEMBER.last)),
    st.dates(date(2026, 8, 20), NOVEMBER.last),
    st.integers(0, 90),
)


@settings(max_examples=60, deadline=None)
@given(PERIODS, st.sampled_from(Profile), st.booleans(), st.integers(0, 400))
def test_sums_add_up(
    every_kind: Store, period: Period, profile: Profile, left: bool, settle_hours: int
) -> None:
    """Whatever the period: steps, weeks, what dropped out, who waits, and the list."""
    policy = make_policy(profile=profile, settle_hours=settle_hours)
    attention = Attention(backfill_left=left, export_due=left)
    changes: dict[str, Any] = {"policy": policy, "attention": attention}
    found = read(every_kind, period, **changes)
    listed = [*reading.closings(every_kind, period, make_given(**changes))]
    if found.counts is None:
        assert (found.known, found.dropped, listed) == (None, [], [])
        return
    mine = [week for week in found.weeks if week.in_period]
    _check_steps(found)
    assert [on for week in mine for on in each_day(Period(week.first, week.last))] == [
        *each_day(period)
    ]
    assert found.counts == Counts(*map(sum, zip(*(week.counts for week in mine), strict=True)))
    assert found.for_a_person.not_tried == sum(week.waits for week in mine)
    assert found.for_a_person.not_tried == sum(
        one.closings
        for one in found.dropped
        if one.needs_a_person and one.step is not Step.ACCEPTED
    )
    assert found.for_a_person.in_period == sum(
        one.closings for one in found.dropped if one.needs_a_person
    )
    assert len(listed) == found.counts.closed
    states = Counter(one.closing.state for one in listed)
    assert states[State.SENT] == found.counts.accepted


def _check_steps(figures: Figures) -> None:
    """Each step lacks of the one before what dropped out there."""
    reached, out = counts(figures), Counter[Step]()
    for one in figures.dropped:
        out[one.step] += one.closings
    for step in list(Step)[1:]:
        assert reached[step] == reached[step - 1] - out[step]
    assert figures.dropped == sorted(figures.dropped, key=lambda one: (one.step, -one.closings))


def test_words_of_every_reason(every_kind: Store) -> None:
    """Each is said in words of its own, and says what helps or that there is nothing to do."""
    found = read(every_kind, Period(date(2026, 8, 31), NOVEMBER.last))
    for one in found.dropped:
        assert one.why
        assert "{" not in one.why + one.helps
        assert one.helps.endswith(".")
        assert not (one.needs_a_person and one.helps.startswith(NOTHING_TO_DO))
    said = {one.reason for one in found.dropped if one.step is not Step.ACCEPTED}
    assert said >= {reason for reason in Reason if State.SKIPPED in ABOUT[reason].kind.states}
    assert all(one.word and one.to_do for one in found.for_a_person.listed)


# To which day a closing belongs.


def test_days_are_those_of_the_firm(store: Store) -> None:
    """A close date is one; without it, the moment counts at which it was noticed."""
    late = datetime(2026, 11, 1, 6, 59, 59, tzinfo=UTC)  # still October there
    put(
        store,
        sent(1, date(2026, 10, 31)),
        sent(2, date(2026, 11, 1)),
        sent(3, NOVEMBER.last),
        make_closing(4, None, reason=Reason.NO_CLOSE_DATE, noticed_at=late),
        make_closing(5, None, reason=Reason.NO_CLOSE_DATE, noticed_at=late + timedelta(seconds=1)),
    )
    assert counts(read(store)).closed == 3
    assert counts(read(store, Period(date(2026, 10, 31), date(2026, 10, 31)))).closed == 2
    assert counts(read(store, zone=UTC)).closed == 4


def test_a_day_on_which_the_clocks_are_set_back(store: Store) -> None:
    """It has 25 hours, and its last one is its own."""
    day = Period(date(2026, 11, 1), date(2026, 11, 1))
    for number, at in enumerate(("2026-11-01T07:00", "2026-11-02T07:59", "2026-11-02T08:00")):
        noticed = datetime.fromisoformat(f"{at}+00:00")
        put(store, make_closing(number + 1, None, noticed_at=noticed))
    assert counts(read(store, day)).closed == 2


# What is not known.


def test_before_any_run(tmp_path: Path) -> None:
    with Store.open(tmp_path / "state" / "state.db") as new:
        found = read(new)
        assert (found.known, found.counts, found.before, found.known_until) == (None,) * 4
        assert not any(week.known for week in found.weeks)
        assert {one.state for one in found.days} == {DayState.NOT_YET}


def test_a_month_without_closings_is_a_zero(store: Store) -> None:
    found = read(store)
    assert (found.counts, found.known) == (Counts(), NOVEMBER)
    assert found.dropped == []
    assert all(week.known for week in found.weeks if week.in_period)


def test_days_after_the_last_run_are_not_known(store: Store) -> None:
    """They are a part of a week of their own, and a close date among them counts later."""
    begin(store, until=datetime(2026, 11, 12, 20, tzinfo=UTC))
    put(store, sent(1, date(2026, 11, 12)), *(sent(n, date(2026, 11, 13)) for n in (2, 3)))
    found = read(store)
    assert found.known == NOVEMBER._replace(last=date(2026, 11, 12))
    assert (counts(found).closed, found.later) == (1, 2)
    weeks = [(week.first.day, week.last.day, week.known) for week in found.weeks if week.in_period]
    assert weeks == [(1, 1, True), (2, 8, True), (9, 12, True), (13, 15, False), (16, 20, False)]
    assert found.weeks[-2].counts == Counts()
    assert [one.closing.key.matter_id for one in reading.closings(store, NOVEMBER, make_given())]


def test_a_period_after_the_last_run(store: Store) -> None:
    """Nothing of it is known; what is before it is."""
    begin(store, until=datetime(2026, 10, 28, 20, tzinfo=UTC))
    put(store, sent(1, date(2026, 10, 20)), sent(2, date(2026, 11, 2)))
    found = read(store)
    assert (found.known, found.counts, found.later) == (None, None, 1)
    assert found.before is not None
    assert found.before.accepted == 1
    assert [week.known for week in found.weeks if not week.in_period][-2:] == [True, False]
    assert [*reading.closings(store, NOVEMBER, make_given())] == []


def test_a_period_before_the_first_run(store: Store) -> None:
    """It is no zero; but what a backfill brought counts."""
    july = Period(date(2026, 7, 1), date(2026, 7, 31))
    assert (read(store, july).known, read(store, july).counts) == (None, None)
    put(store, sent(1, date(2026, 7, 7), command=Command.BACKFILL))
    found = read(store, july)
    assert (counts(found).accepted, found.known, found.before) == (1, july, None)
    assert not any(week.known for week in found.weeks)


def test_a_period_that_begins_before_the_first_run(store: Store) -> None:
    september = Period(date(2026, 9, 1), date(2026, 9, 30))
    found = read(store, september)
    assert (found.counts, found.known_from) == (Counts(), date(2026, 9, 10))
    weeks = [(week.first.day, week.last.day, week.known) for week in found.weeks if week.in_period]
    assert weeks[:3] == [(1, 6, False), (7, 9, False), (10, 13, True)]
    assert all(known for _, _, known in weeks[2:])


def test_only_a_backfill_has_run(tmp_path: Path) -> None:
    """It brought what it brought, and no day is known as a whole."""
    with Store.open(tmp_path / "state" / "state.db") as new:
        new.begin_run("backfill", "r", UNTIL)
        put(new, sent(1, date(2026, 11, 2), command=Command.BACKFILL))
        found = read(new)
    assert (counts(found).accepted, found.known_from, found.known_until) == (1, None, UNTIL)
    assert not any(week.known for week in found.weeks)


def test_weeks_before_of_which_not_all_is_known_do_not_count(store: Store) -> None:
    """To be compared with, they must be whole."""
    put(store, sent(1, date(2026, 9, 9)), sent(2, date(2026, 9, 10)))
    found = read(store)
    assert found.before is not None
    assert found.before.accepted == 1
    assert sum(week.counts.closed for week in found.weeks if not week.known) == 1


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        (datetime(2026, 10, 31, 18, tzinfo=UTC), Period(date(2026, 10, 1), date(2026, 10, 31))),
        (datetime(2026, 11, 1, 18, tzinfo=UTC), NOVEMBER),
        (datetime(2026, 11, 9, 18, tzinfo=UTC), NOVEMBER._replace(first=date(2026, 11, 9))),
        (NOW + timedelta(days=1), NOVEMBER._replace(first=NOVEMBER.last)),
    ],
)
def test_usual_period(store: Store, first: datetime, expected: Period) -> None:
    """Last month; in the month of the first run, the time since then. Clio's clock may be ahead."""
    begin(store, first=first)
    assert reading.usual_period(store, make_given()) == expected


# Who waits, and who opted out.


def test_what_waits_is_told_as_of_now(store: Store) -> None:
    put(store, make_closing(1, NOVEMBER.last), make_closing(2, NOVEMBER.last, resent=True))
    told = {one.reason for one in read(store, policy=make_policy(profile=Profile.CSV)).dropped}
    assert told == {Reason.EXPORT}
    settling = make_policy(profile=Profile.CSV, settle_hours=24)
    found = read(store, policy=settling)
    assert {one.reason: one.closings for one in found.dropped} == {
        Reason.SETTLING: 1,
        Reason.EXPORT: 1,
    }
    assert {one.reason for one in read(store).dropped} == {None}


def test_a_file_that_is_due_needs_a_person(store: Store) -> None:
    put(store, make_closing(1, NOVEMBER.last))
    policy = make_policy(profile=Profile.CSV)
    due = Attention(backfill_left=True, export_due=True)
    found = read(store, policy=policy, attention=due)
    assert (found.for_a_person.closings, found.dropped[0].needs_a_person) == (1, True)
    later = read(store, policy=policy)
    assert later.for_a_person.closings == 0
    assert later.dropped[0].helps.startswith(NOTHING_TO_DO)


def test_those_of_the_period_are_listed_first(store: Store) -> None:
    """Then the oldest first; and no more than fit on a page."""
    many = [
        make_closing(n, date(2026, 10, 5), reason=Reason.SURGE, noticed_at=FIRST + n * DAY)
        for n in range(1, LISTED + 9)
    ]
    mine = make_closing(99, NOVEMBER.last, state=State.DEAD)
    put(store, *many, mine)
    found = read(store).for_a_person
    assert (found.closings, found.in_period, found.not_tried) == (LISTED + 9, 1, 0)
    assert [one.matter_id for one in found.listed] == [99, *range(1, LISTED)]
    assert "outbox resend 99`" in found.listed[0].to_do


def objected(store: Store, *matters: int) -> None:
    statement = """
        INSERT INTO objections (firm, closing, read_at)
        SELECT 1, number, claimed_at + matter_id FROM closings WHERE matter_id = ?
    """
    for matter in matters:
        connection_of(store).execute(statement, (matter,))


def test_who_opted_out_after_they_were_sent(store: Store) -> None:
    """Of the period they are listed, of the weeks before counted, of other days left out."""
    days = [date(2026, 6, 1), date(2026, 9, 9), date(2026, 10, 1), *[NOVEMBER.last] * (LISTED + 2)]
    put(store, *(sent(n + 1, on) for n, on in enumerate(days)))
    objected(store, *range(1, len(days)))
    found = read(store).opted_out
    assert (found.closings, found.before) == (LISTED + 1, 1)
    assert [one.matter_id for one in found.listed] == [*range(4, LISTED + 4)]
    assert (found.listed[0].noticed_at - found.listed[0].sent_at).total_seconds() == 4
    told = [*reading.closings(store, NOVEMBER, make_given())]
    assert sum(one.objected_at is not None for one in told) == LISTED + 1


def test_the_list_tells_what_was_sent(store: Store) -> None:
    """By close date; what has none comes first."""
    put(
        store,
        sent(2, NOVEMBER.last, channels=Channels.BOTH),
        sent(1, date(2026, 11, 2)),
        make_closing(3, None, reason=Reason.NO_CLOSE_DATE),
    )
    told = [one.closing for one in reading.closings(store, NOVEMBER, make_given())]
    assert [one.key.matter_id for one in told] == [3, 1, 2]
    assert told[-1].channels is Channels.BOTH


# How the runs went.


def days(store: Store, **changes: Any) -> dict[int, Any]:
    return {one.on.day: one for one in read(store, **changes).days}


def test_days_with_and_without_runs(store: Store) -> None:
    """A day is the firm's; a failure is told in its own words, the most frequent first."""
    for number in range(CAUSES + 2):
        for _ in range(CAUSES + 2 - number):
            ran(store, datetime(2026, 11, 3, 20, tzinfo=UTC), 69, f"Broken {number}.")
    ran(store, datetime(2026, 11, 3, 21, tzinfo=UTC), 65)
    ran(store, datetime(2026, 11, 4, 7, 59, tzinfo=UTC), 75)
    ran(store, datetime(2026, 11, 4, 8, tzinfo=UTC), 1)
    ran(store, datetime(2026, 11, 5, 20, tzinfo=UTC), None)
    ran(store, datetime(2026, 11, 6, 20, tzinfo=UTC), 143)
    ran(store, NOW - timedelta(hours=1))
    found = days(store)
    assert {day: one.state for day, one in found.items() if one.state is not DayState.SILENT} == {
        3: DayState.FAILED,
        4: DayState.FAILED,
        5: DayState.FAILED,
        6: DayState.RAN,
        20: DayState.RAN,
    }
    assert (found[3].runs, found[3].failed) == (17, 15)
    assert [(one.why, one.runs) for one in found[3].failures] == [
        ("Broken 0.", 5), ("Broken 1.", 4), ("Broken 2.", 3)
    ]  # fmt: skip
    assert found[4].failures[0].why == "It ended with exit code 1."
    assert found[5].failures[0].why == "The run was cut short."


def test_a_run_that_is_at_work_has_not_failed(store: Store) -> None:
    store.begin_run("sync", "r", NOW)
    (number,) = [run.run for run in store.overview.last_runs(1)]
    assert days(store, at_work=number)[20].state is DayState.RAN
    assert days(store)[20].state is DayState.FAILED


def test_only_syncs_count(store: Store) -> None:
    """A backfill does not show that cron runs anything."""
    store.begin_run("backfill", "r", NOW)
    store.finish_run(69, NOW)
    assert days(store)[20].runs == 0


@pytest.mark.parametrize(("hours", "state"), [(24, DayState.NOT_YET), (25, DayState.SILENT)])
def test_today_is_silent_only_after_a_day(store: Store, hours: int, state: DayState) -> None:
    """The day's run may still come."""
    ran(store, NOW - timedelta(hours=hours))
    assert days(store)[20].state is state
    assert days(store)[18].state is DayState.SILENT


def test_days_before_the_first_run_are_not_silent(store: Store) -> None:
    begin(store, first=datetime(2026, 11, 5, 20, tzinfo=UTC))
    found = days(store)
    assert (found[4].state, found[5].state) == (DayState.NOT_YET, DayState.SILENT)


# A large firm.


def test_memory_is_flat(store: Store) -> None:
    """Neither the figures nor the list keep the closings, even where all wait for a person."""
    with untriggered(connection_of(store)) as connection:
        crowd(connection, 20_000, UNTIL)
    period = Period(date(2026, 9, 1), NOVEMBER.last)
    tracemalloc.start()
    try:
        read(store, period)
        assert sum(1 for _ in reading.closings(store, period, make_given())) > 19_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000
