"""The table of `report`: what matters first, in 60 columns, and nothing unknown as a zero."""

import re
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from factories import NOW
from golden_files import Golden

from clio_broadly_sync.domain.funnel import Step
from clio_broadly_sync.domain.model import SyncRule
from clio_broadly_sync.domain.reasons import OF_STATE, TOLD, Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.report import table, words
from clio_broadly_sync.report.calendar import DAY, cut_into_weeks, each_day, weeks_before
from clio_broadly_sync.report.figures import (
    LISTED,
    Counts,
    Day,
    DayState,
    DropOut,
    Failure,
    Figures,
    ForAPerson,
    OptedOut,
    OptOuts,
    Period,
    Waiting,
    Week,
)

OCTOBER = Period(date(2026, 10, 1), date(2026, 10, 31))
UNTIL = date(2026, 10, 27)
NAMES = words.Names("SendBroadlyThankYou", "BroadlyOptOut", reask_days=180, max_age_days=30)
COUNTS = Counts(48, 46, 41, 31, 30)
NONE = ForAPerson(0, 0, 0, ())
WAITING = Waiting(
    1744120931, 12, UNTIL, State.DEAD, None, NOW, in_period=True, word="refused", to_do="Do."
)  # fmt: skip
OPTED_OUT = OptedOut(1744087755, 12, UNTIL, NOW - DAY, NOW)


def out(number: int, state: State, reason: Reason | None, step: Step) -> DropOut:
    said = words.of(state, reason, NAMES, left=False, needed=False)
    return DropOut(step, state, reason, number, False, said.why, said.helps)


DROPPED = (
    out(1, State.SKIPPED, Reason.NOT_CLOSED, Step.IN_SCOPE),
    out(1, State.SKIPPED, Reason.NO_CLIENT, Step.IN_SCOPE),
    out(3, State.SKIPPED, Reason.ASKED_RECENTLY, Step.COULD_BE_ASKED),
    out(2, State.SKIPPED, Reason.NO_CHANNEL, Step.COULD_BE_ASKED),
    out(6, State.SKIPPED, Reason.NOT_OPTED_IN, Step.TRIED),
    out(2, State.SKIPPED, Reason.OPTED_OUT, Step.TRIED),
    out(2, State.PENDING, Reason.CONTACT_HIDDEN, Step.TRIED),
    out(1, State.DEAD, None, Step.ACCEPTED),
)


def weeks(period: Period, last: date, counts: Counts) -> list[Week]:
    """Return weeks with the same counts, known until the last day."""
    edge = [last + DAY]
    return [
        Week(*span, in_period, span.last <= last, counts if span.last <= last else Counts(), 0)
        for whole, in_period in ((weeks_before(period), False), (period, True))
        for span in cut_into_weeks(whole, edge)
    ]


def days(period: Period, **states: DayState) -> list[Day]:
    found = {int(name.removeprefix("on_")): state for name, state in states.items()}
    return [
        Day(on, state := found.get(on.day, DayState.RAN), *_runs(state)) for on in each_day(period)
    ]


def _runs(state: DayState) -> tuple[Any, ...]:
    if state is DayState.FAILED:
        why = Failure("Clio could not be reached; the next run tries again.", 5, NOW)
        return 96, 5, [why]
    return (96, 0) if state is DayState.RAN else (0, 0)


def make_figures(**changes: Any) -> Figures:
    made = Figures(
        made_at=NOW,
        version="1.0",
        zone=ZoneInfo("America/Los_Angeles"),
        zone_name="America/Los_Angeles",
        host="https://app.clio.com",
        rule=SyncRule.BOTH,
        opt_in="SendBroadlyThankYou",
        opt_out="BroadlyOptOut",
        period=OCTOBER,
        known=OCTOBER,
        known_from=date(2026, 1, 5),
        known_until=datetime(2026, 11, 1, 16, tzinfo=NOW.tzinfo),
        later=0,
        counts=COUNTS,
        dropped=DROPPED,
        before=Counts(120, 110, 107, 76, 76),
        weeks=weeks(OCTOBER, OCTOBER.last, Counts(10, 9, 9, 8, 7)),
        days=days(OCTOBER),
        for_a_person=NONE,
        opted_out=OptOuts(0, 0, ()),
        last_failure=None,
        silent_since=None,
    )
    return made._replace(**changes)


EMPTY: dict[str, Any] = {"counts": Counts(), "dropped": ()}
DAY_ONE = Period(OCTOBER.first, OCTOBER.first)
REPORTS: dict[str, dict[str, Any]] = {
    "all is well": {},
    "some wait, some opted out, some days failed": {
        "for_a_person": ForAPerson(1, 1, 0, [WAITING]),
        "opted_out": OptOuts(1, 2, [OPTED_OUT]),
        "days": days(OCTOBER, on_13=DayState.FAILED, on_14=DayState.FAILED),
    },
    "the program is silent": {
        "known": OCTOBER._replace(last=UNTIL),
        "known_until": datetime(2026, 10, 28, 1, 45, tzinfo=NOW.tzinfo),
        "weeks": weeks(OCTOBER, UNTIL, Counts(10, 9, 9, 8, 7)),
        "later": 1,
        "silent_since": datetime(2026, 10, 28, 1, 45, tzinfo=NOW.tzinfo),
        "days": days(OCTOBER, on_27=DayState.FAILED, **dict.fromkeys(
            ("on_28", "on_29", "on_30", "on_31"), DayState.SILENT
        )),
    },
    "a month without closings": EMPTY,
    "no closings, and it began within the month": EMPTY | {"known_from": date(2026, 10, 15)},
    "nothing is known": {
        "known": None, "counts": None, "dropped": (), "known_until": None, "known_from": None,
        "days": days(DAY_ONE, on_1=DayState.NOT_YET), "before": None,
    },
    "it lies after the last run": {
        "known": None, "counts": None, "dropped": (), "later": 2,
        "known_until": datetime(2026, 9, 28, 1, 45, tzinfo=NOW.tzinfo),
    },
    "only a backfill has run": {"known_from": None, "before": None},
    "one closing on one day": {
        "period": DAY_ONE, "known": DAY_ONE, "counts": Counts(1, 1, 1, 1, 1), "dropped": (),
        "before": None, "weeks": weeks(DAY_ONE, DAY_ONE.last, Counts(1, 1, 1, 1, 1)),
        "days": days(DAY_ONE),
    },
    "weeks that are cut, and of which not all is known": {
        "known_from": date(2026, 10, 7),
        "weeks": [
            Week(date(2026, 10, 1), date(2026, 10, 1), True, False, Counts(), 0),
            Week(date(2026, 10, 2), date(2026, 10, 6), True, False, Counts(2, 2, 1, 1, 1), 0),
            Week(date(2026, 10, 7), date(2026, 10, 31), True, True, Counts(46, 44, 40, 30, 29), 0),
            Week(date(2026, 10, 31), date(2026, 11, 2), True, True, Counts(), 0),
        ],
    },
    "nobody could be asked": {"counts": Counts(3, 2, 0, 0, 0), "dropped": ()},
    "more than are listed": {
        "for_a_person": ForAPerson(1_234, 0, 0, [WAITING] * LISTED),
        "opted_out": OptOuts(1_234, 0, [OPTED_OUT] * LISTED),
        "days": days(OCTOBER, **{f"on_{n}": DayState.FAILED for n in range(1, 31)}),
        "counts": Counts(1_234_567, 1_234_567, 1_234_567, 1_234_567, 1_234_566),
    },
}  # fmt: skip


def text(**changes: Any) -> str:
    return "\n".join(table.lines(make_figures(**changes)))


def test_tables(golden: Golden) -> None:
    golden("report_tables", "\n\n".join(f"# {of}\n{text(**REPORTS[of])}" for of in REPORTS))


@pytest.mark.parametrize("of", REPORTS)
def test_tables_fit_60_columns(of: str) -> None:
    """Sentences are folded where a terminal is narrow; a table would fall apart."""
    tables = [line for line in text(**REPORTS[of]).splitlines() if re.search(r"\S {2,}\S", line)]
    assert max(map(len, tables), default=0) <= 60


@pytest.mark.parametrize("state", State)
def test_words_of_every_state_and_reason(state: State) -> None:
    """None is left without, none holds what was to be filled in, and they fit a line."""
    for reason in OF_STATE[state] | (TOLD if state is State.PENDING else set()):
        for left in {False, state is State.PENDING}:
            said = words.of(state, reason, NAMES, left=left, needed=False)
            assert said.why
            assert said.helps.endswith(".")
            assert not {"{", "}"} & {*said.why, *said.helps}
            assert len(said.why.replace("`", "")) <= 29


def test_a_firm_that_asks_whenever_it_likes() -> None:
    """Without a window, the same closing is still not asked twice."""
    names = NAMES._replace(reask_days=0)
    said = words.of(State.SKIPPED, Reason.ASKED_RECENTLY, names, left=False, needed=False)
    assert said.helps == "Nothing to do: nobody is asked twice."


def test_a_field_with_braces_in_its_name() -> None:
    """What a firm calls its box is no place to fill in."""
    names = NAMES._replace(opt_in="Ask {matter} {x")
    said = words.of(State.SKIPPED, Reason.NOT_OPTED_IN, names, left=False, needed=False)
    assert said.why == "without `Ask {matter} {x`"


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [
        (0, 4, "0 of 4"),
        (3, 4, "3 of 4"),
        (0, 5, "0%"),
        (5, 5, "100%"),
        (31, 41, "76%"),
        (1, 1_000, "<1%"),
        (999, 1_000, ">99%"),
        (995, 1_000, ">99%"),
        (5, 1_000, "<1%"),
        (990, 1_000, "99%"),
    ],
)
def test_shares(part: int, whole: int, said: str) -> None:
    """No share is rounded to none or to all, and few are not told in percent."""
    assert words.share(part, whole) == said


def test_long_periods_have_no_weeks() -> None:
    """They would be more than a screen."""
    year = Period(date(2025, 11, 1), OCTOBER.last)
    assert "By week" in text()
    assert "By week" not in text(weeks=weeks(year, year.last, COUNTS))
