"""A firm's figures, with which the report page is tested: a good month, a bad one, and others."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from clio_broadly_sync.domain.funnel import Step
from clio_broadly_sync.domain.model import SyncRule
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.report import words
from clio_broadly_sync.report.alike import Alike, By, Share, compare
from clio_broadly_sync.report.calendar import is_long
from clio_broadly_sync.report.figures import (
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
from clio_broadly_sync.report.words import Names

ZONE = ZoneInfo("America/Los_Angeles")
OCTOBER = Period(date(2026, 10, 1), date(2026, 10, 31))
MADE_AT = datetime(2026, 11, 1, 16, 5, tzinfo=UTC)
_BEFORE = [
    (11, 8), (9, 5), (9, 7), (11, 6), (7, 4), (11, 8), (7, 5), (13, 9), (10, 6), (10, 7), (13, 8),
]  # fmt: skip


def _at(month: int, day: int, hour: int = 9) -> datetime:
    return datetime(2026, month, day, hour, 45, tzinfo=ZONE).astimezone(UTC)


def _counts(closed: int, tried: int, accepted: int | None = None) -> Counts:
    could = closed - (closed - tried) // 2
    return Counts(closed, closed, could, tried, tried if accepted is None else accepted)


def before() -> list[Week]:
    """Return the 12 weeks before October; the last one has three days."""
    weeks, first = [], date(2026, 7, 13)
    for closed, tried in _BEFORE:
        last = first + timedelta(days=6)
        weeks.append(Week(first, last, False, True, _counts(closed, tried), 0))
        first = last + timedelta(days=1)
    last_one = Week(first, date(2026, 9, 30), False, True, _counts(4, 3), 0)
    return [*weeks, last_one]


def weeks(*given: tuple[int, int, int], unknown_from: int = 32) -> list[Week]:
    """Return October's weeks: how many closed, how many were tried, how many of the others wait."""
    edges = sorted({1, 5, 12, 19, 26, 32, unknown_from})
    some = [
        Week(date(2026, 10, a), date(2026, 10, b - 1), True, a < unknown_from, Counts(), 0)
        for a, b in pairwise(edges)
    ]
    return [
        week._replace(counts=_counts(closed, tried), waits=waits)
        for week, (closed, tried, waits) in zip(some, given, strict=True)
    ]


def days(**states: Day) -> list[Day]:
    """Return October's days, all with 96 runs, but for those that are given as `day_13=`."""
    each = (date(2026, 10, number) for number in range(1, 32))
    return [states.get(f"day_{on.day}", Day(on, DayState.RAN, 96, 0)) for on in each]


def failed(on: int, number: int, why: str, runs: int = 96) -> Day:
    failure = Failure(why, number, _at(10, on))
    return Day(date(2026, 10, on), DayState.FAILED, runs, number, [failure])


NAMES = Names("SendBroadlyThankYou", "BroadlyOptOut", reask_days=180, max_age_days=30)


def _drop(
    step: Step, state: State, reason: Reason | None, closings: int, *, needed: bool = False
) -> DropOut:
    said = words.of(state, reason, NAMES, left=False, needed=needed)
    return DropOut(step, state, reason, closings, needed, said.why, said.helps)


REOPENED = _drop(Step.IN_SCOPE, State.SKIPPED, Reason.NOT_CLOSED, 1)
NO_CLIENT = _drop(Step.IN_SCOPE, State.SKIPPED, Reason.NO_CLIENT, 1)
ASKED = _drop(Step.COULD_BE_ASKED, State.SKIPPED, Reason.ASKED_RECENTLY, 3)
NO_CHANNEL = _drop(Step.COULD_BE_ASKED, State.SKIPPED, Reason.NO_CHANNEL, 2)
NOT_OPTED_IN = _drop(Step.TRIED, State.SKIPPED, Reason.NOT_OPTED_IN, 6)
OPTED_OUT = _drop(Step.TRIED, State.SKIPPED, Reason.OPTED_OUT, 2)
HIDDEN = _drop(Step.TRIED, State.PENDING, Reason.CONTACT_HIDDEN, 1, needed=True)
UNREADABLE = _drop(Step.TRIED, State.PENDING, Reason.UNREADABLE_FIELD, 1, needed=True)
REFUSED = _drop(Step.ACCEPTED, State.DEAD, None, 1, needed=True)
HELD = _drop(Step.ACCEPTED, State.HELD, None, 3, needed=True)


def waiting(matter: int, day: int, state: State, reason: Reason | None = None) -> Waiting:
    """Return a matter that closed on a day of October, and waits since."""
    told = words.of(state, reason, NAMES, left=False, needed=True, matter=str(matter))
    closed, since = date(2026, 10, day), _at(10, day)
    return Waiting(matter, 790000 + day, closed, state, reason, since, True, told.word, told.helps)


def october() -> Figures:
    """Return a month in which most went well, and three clients wait for a person; compared."""
    return Figures(
        made_at=MADE_AT,
        version="1.4.0",
        zone=ZONE,
        zone_name="America/Los_Angeles",
        host="https://app.clio.com",
        rule=SyncRule.BOTH,
        opt_in="SendBroadlyThankYou",
        opt_out="BroadlyOptOut",
        period=OCTOBER,
        known=OCTOBER,
        known_from=date(2026, 3, 2),
        known_until=MADE_AT - timedelta(minutes=5),
        later=0,
        counts=Counts(48, 46, 41, 31, 30),
        dropped=[
            REOPENED, NO_CLIENT, ASKED, NO_CHANNEL, NOT_OPTED_IN, OPTED_OUT, HIDDEN, UNREADABLE,
            REFUSED,
        ],
        before=Counts(115, 112, 107, 76, 76),
        weeks=[*before(), *weeks((6, 4, 0), (12, 8, 1), (11, 6, 0), (12, 9, 0), (7, 4, 1))],
        days=days(
            day_13=failed(13, 5, "Clio could not be reached."),
            day_14=failed(14, 1, "Broadly was busy."),
        ),
        for_a_person=ForAPerson(3, 3, 2, [
            waiting(1744120931, 14, State.DEAD),
            waiting(1744098217, 8, State.PENDING, Reason.CONTACT_HIDDEN),
            waiting(1744163008, 29, State.PENDING, Reason.UNREADABLE_FIELD),
        ]),
        opted_out=OptOuts(
            1, 2, [OptedOut(1744087755, 790081, date(2026, 10, 5), _at(10, 6), _at(10, 9))]
        ),
        last_failure=None,
        silent_since=None,
        alike=alike(),
    )  # fmt: skip


def empty() -> Figures:
    """Return a month in which nothing was closed."""
    return october()._replace(
        counts=Counts(),
        dropped=[],
        weeks=[*before(), *weeks(*[(0, 0, 0)] * 5)],
        days=days(),
        for_a_person=ForAPerson(0, 0, 0, []),
        opted_out=OptOuts(0, 0, []),
        alike=[],
    )


def one() -> Figures:
    """Return a month with one matter and one client."""
    return empty()._replace(
        counts=Counts(1, 1, 1, 1, 1),
        before=None,
        known_from=date(2026, 10, 12),
        weeks=[
            week._replace(known=week.first >= date(2026, 10, 12), counts=Counts(), waits=0)
            for week in before()
        ]
        + [
            week._replace(known=week.first >= date(2026, 10, 12))
            for week in weeks((0, 0, 0), (0, 0, 0), (1, 1, 0), (0, 0, 0), (0, 0, 0))
        ],
        days=[day if day.on.day >= 12 else Day(day.on, DayState.NOT_YET, 0, 0) for day in days()],
    )


def trouble() -> Figures:
    """Return a month in which the program fell silent, and three clients are held."""
    held = [waiting(matter, 27, State.HELD) for matter in (1744171102, 1744171140, 1744171219)]
    silent = {f"day_{on}": Day(date(2026, 10, on), DayState.SILENT, 0, 0) for on in range(28, 32)}
    error = "Broadly answered with an error (503) after 3 clients were sent."
    return october()._replace(
        known=Period(OCTOBER.first, date(2026, 10, 27)),
        known_until=_at(10, 27, 18),
        counts=Counts(42, 41, 36, 28, 25),
        dropped=[REOPENED, ASKED, NO_CHANNEL, NOT_OPTED_IN, OPTED_OUT, HELD],
        weeks=[
            *before(),
            *weeks(
                (6, 4, 0), (11, 8, 0), (11, 6, 0), (11, 8, 0), (3, 2, 0), (0, 0, 0), unknown_from=28
            ),
        ],
        days=days(day_27=failed(27, 1, error, runs=71), **silent),
        for_a_person=ForAPerson(3, 3, 0, held),
        opted_out=OptOuts(0, 2, []),
        last_failure=error,
        alike=[],
        silent_since=_at(10, 27, 18),
    )


_FOR_A_PERSON = (
    (State.PENDING, Reason.SURGE),
    (State.PENDING, Reason.CONTACT_HIDDEN),
    (State.PENDING, Reason.UNREADABLE_FIELD),
    (State.PENDING, Reason.NO_CLOSE_DATE),
    (State.HELD, None),
    (State.DEAD, None),
)


def crowded() -> Figures:
    """Return a month in which there is something of nearly each kind."""
    dropped = [
        ASKED._replace(step=step, closings=5 + at, why=f"left out before {step.word}, reason {at}")
        for step in (Step.IN_SCOPE, Step.COULD_BE_ASKED, Step.TRIED)
        for at in range(4)
    ]
    lost = sum(drop.closings for drop in dropped)
    tried = 300
    some = [
        waiting(1744170000 + 10 * at + more, 1 + at, state, reason)
        for at, (state, reason) in enumerate(_FOR_A_PERSON)
        for more in range(2)
    ]
    opted_out = [OptedOut(1744180000 + at, 790081, None, _at(10, 6), _at(10, 9)) for at in range(4)]
    clio = "Clio could not be reached; the next run tries again."
    return october()._replace(
        counts=Counts(lost + tried, lost * 2 // 3 + tried, lost // 3 + tried, tried, tried),
        dropped=dropped,
        days=days(**{f"day_{on}": failed(on, 5, clio) for on in range(2, 30, 3)}),
        for_a_person=ForAPerson(12, 12, 0, some),
        opted_out=OptOuts(4, 0, opted_out),
        alike=[],
    )


def unknown() -> Figures:
    """Return a month in which no run has come to its end, as cron stopped before it."""
    stopped = date(2026, 9, 20)
    return empty()._replace(
        known=None,
        known_until=datetime(2026, 9, 21, 1, 45, tzinfo=UTC),
        counts=None,
        weeks=[
            week if week.last <= stopped else week._replace(known=False, counts=Counts())
            for week in empty().weeks
        ],
        days=[Day(day.on, DayState.SILENT, 0, 0) for day in days()],
        silent_since=datetime(2026, 9, 21, 1, 45, tzinfo=UTC),
    )


def never() -> Figures:
    """Return what there is to say before the first run."""
    return empty()._replace(
        known=None, known_from=None, known_until=None, counts=None, before=None,
        weeks=[week._replace(known=False, counts=Counts(), waits=0) for week in empty().weeks],
        days=[Day(day.on, DayState.NOT_YET, 0, 0) for day in days()],
    )  # fmt: skip


def huge() -> Figures:
    """Return half a year of a great firm, in which much waits and much went wrong."""
    return _of_a_great_firm(Period(date(2026, 5, 4), date(2026, 10, 31)))


def years() -> Figures:
    """Return three years of it, up to the end of one."""
    return _of_a_great_firm(Period(date(2024, 1, 1), date(2026, 12, 31)))


def _of_a_great_firm(period: Period) -> Figures:
    first, some = period.first - timedelta(weeks=12), list[Week]()
    while first <= period.last:
        month = (first.replace(day=1) + timedelta(days=31)).replace(day=1) - timedelta(days=1)
        ends = [first + timedelta(days=6 - first.weekday()), period.last]
        last = min([*ends, month] if is_long(period) else ends)
        number = (340 + 5 * len(some)) * ((last - first).days + 1)
        week = Week(first, last, first >= period.first, True, _counts(number, number // 2), 0)
        some.append(week)
        first = last + timedelta(days=1)
    some[-2] = some[-2]._replace(waits=12)
    closed = sum(week.counts.closed for week in some if week.in_period)
    tried = sum(week.counts.tried for week in some if week.in_period)
    number = (period.last - period.first).days + 1
    every_day = [
        Day(period.first + timedelta(days=at), DayState.RAN, 288, 0)
        if at % 9
        else failed(1, 40, "Clio could not be reached.", 288)._replace(
            on=period.first + timedelta(days=at)
        )
        for at in range(number)
    ]
    lost = closed - tried
    held = [waiting(1744170000 + at, 1 + at, State.HELD) for at in range(20)]
    return october()._replace(
        period=period,
        known=period,
        counts=Counts(closed, closed, closed, tried, tried - 400),
        dropped=[
            NOT_OPTED_IN._replace(closings=lost - 12),
            HIDDEN._replace(closings=12),
            HELD._replace(closings=400),
        ],
        weeks=some,
        days=every_day,
        for_a_person=ForAPerson(412, 412, 12, held),
    )


def alike() -> list[Alike]:
    """Return whom each attorney asked, and who was asked in each practice area."""
    nobody = Share(0, 0)
    attorneys = [
        ("M. Okafor", Share(11, 12)), ("R. Delgado", Share(8, 8)), ("S. Lindqvist", Share(3, 10)),
        ("J. Whitfield", Share(5, 6)), ("P. Anders", Share(2, 3)), ("T. Moss", Share(1, 1)),
        ("Q. Lund", Share(1, 1)),
    ]  # fmt: skip
    areas = [
        ("Family", Share(10, 14)), ("Estate planning", Share(11, 13)),
        ("Personal injury", Share(6, 8)), ("Real estate & title", Share(2, 3)), (None, Share(2, 3)),
    ]  # fmt: skip
    return [
        compare(By.ATTORNEY, attorneys, nobody, SyncRule.BOTH),
        compare(By.PRACTICE_AREA, areas, nobody, SyncRule.BOTH),
    ]


ALL = {
    "wide": october,
    "empty": empty,
    "one": one,
    "trouble": trouble,
    "never": never,
    "unknown": unknown,
    "huge": huge,
    "years": years,
}
