"""Reads the figures of a report from a state, of which it keeps sums and no closings."""

import heapq
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta, tzinfo
from typing import NamedTuple

from clio_broadly_sync.domain import rules
from clio_broadly_sync.domain.attention import Attention
from clio_broadly_sync.domain.funnel import Step, missed
from clio_broadly_sync.domain.model import Closing, Policy, SyncRule
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.domain.told import told
from clio_broadly_sync.report import runs, words
from clio_broadly_sync.report.calendar import (
    DAY,
    cut_into_weeks,
    day_of,
    days_of,
    each_day,
    is_long,
    last_month,
    months_of,
    weeks_before,
)
from clio_broadly_sync.report.figures import (
    LISTED,
    Counts,
    DropOut,
    Figures,
    ForAPerson,
    OptedOut,
    OptOuts,
    Period,
    Waiting,
    Week,
)
from clio_broadly_sync.store import Selection, Store
from clio_broadly_sync.store.objections import Objection
from clio_broadly_sync.store.periods import Counted, Days, Told


class Given(NamedTuple):
    """What a report needs beside the state and the period."""

    now: datetime
    """The moment for which all is said (aware UTC)."""
    zone: tzinfo | None
    """The firm's zone; None stands for this machine's."""
    zone_name: str | None
    version: str
    host: str
    rule: SyncRule
    names: words.Names
    policy: Policy
    """That of `sync`."""
    attention: Attention
    at_work: int | None
    """The number of the run that is at work; None where none is."""
    last_failure: str | None
    """As in `Figures`, and so is `silent_since`."""
    silent_since: datetime | None

    @property
    def today(self) -> date:
        return day_of(self.now, self.zone)

    def day_of(self, closed_on: date | None, noticed_at: datetime) -> date:
        """Return the day to which a closing belongs."""
        return day_of(noticed_at, self.zone) if closed_on is None else closed_on


class Known(NamedTuple):
    """Of which days all that closed is known."""

    first: date | None
    """The day of the first `sync`; None where there was none yet."""
    last: date | None
    """The day of `until`; None where that is."""
    until: datetime | None
    """Up to this moment (aware UTC); None where no run has been yet."""

    def of(self, period: Period) -> Period | None:
        """Return the part of a period that is counted; None: none of it."""
        if self.last is None or self.last < period.first:
            return None
        return Period(period.first, min(period.last, self.last))

    def covers(self, week: Period) -> bool:
        """Tell whether all that closed in this part of a week is known."""
        if self.first is None or self.last is None:
            return False
        return self.first <= week.first and week.last <= self.last

    def edges(self) -> list[date]:
        """Return the days with which knowing begins, and not knowing."""
        ends = [] if self.last is None else [self.last + DAY]
        return ends if self.first is None else [self.first, *ends]


def known(store: Store, zone: tzinfo | None) -> Known:
    """Return what a state knows: from the day of its first `sync` on, up to the watermark.

    Before the first `sync` there may be a backfill, which knows of its range alone.
    """
    first, until = store.first_run, store.watermark
    if until is None:
        last = store.overview.last_runs(1)
        until = last[0].started_at if last else None
    return Known(first and day_of(first, zone), until and day_of(until, zone), until)


def usual_period(store: Store, given: Given) -> Period:
    """Return the period of which a report tells unless somebody names another one.

    That is the last whole month; in the month of the first `sync`, it is the time since then.
    """
    first, month, today = known(store, given.zone).first, last_month(given.today), given.today
    if first is None or first <= month.last:
        return month
    return Period(min(first, today), today)  # by Clio's clock, it may have been tomorrow


def closings(store: Store, period: Period, given: Given) -> Iterator[Told]:
    """Yield the closings that `read` counts, with the reason that is told of them."""
    counted = known(store, given.zone).of(period)
    if counted is not None:
        for one in store.periods.closings(days_of(counted, given.zone)):
            closing = rules.as_told(one.closing, given.policy, given.now, given.zone)
            yield one._replace(closing=closing)


def read(store: Store, period: Period, given: Given) -> Figures:
    """Return the figures of a period, which ends today or earlier."""
    knows = known(store, given.zone)
    tally = _Tally(period, knows, given)
    settled = given.now - timedelta(hours=given.policy.settle_hours)
    span = days_of(Period(weeks_before(period).first, period.last), given.zone)
    for alike in store.periods.counted(span, settled):
        tally.add(alike)
    counts = tally.counts()
    return Figures(
        made_at=given.now,
        version=given.version,
        zone=given.zone,
        zone_name=given.zone_name,
        host=given.host,
        rule=given.rule,
        opt_in=given.names.opt_in,
        opt_out=given.names.opt_out,
        period=period,
        known=None if counts is None else knows.of(period),
        known_from=knows.first,
        known_until=knows.until,
        later=tally.later,
        counts=counts,
        dropped=tally.dropped(),
        before=tally.before(),
        weeks=tally.weeks(),
        days=list(runs.by_day(store, period, given.zone, given.now, at_work=given.at_work)),
        for_a_person=_for_a_person(store, tally, given),
        opted_out=_opted_out(store, span, tally, given),
        last_failure=given.last_failure,
        silent_since=given.silent_since,
    )


class _Group(NamedTuple):
    """What closings have in common that came no further at the same step."""

    step: Step
    state: State
    reason: Reason | None
    needed: bool
    left: bool


class _Tally:
    """Sums of what closed in a period and in the weeks before it."""

    def __init__(self, period: Period, knows: Known, given: Given) -> None:
        self._period = period
        self._counted = knows.of(period)
        self._given = given
        self._kept_back = rules.kept_back(given.policy, given.now, given.zone)
        before, edges = weeks_before(period), [*knows.edges()]
        if is_long(period):
            edges += months_of(Period(before.first, period.last))
        self._spans = [*cut_into_weeks(before, edges), *cut_into_weeks(period, edges)]
        self._knows = [knows.covers(span) for span in self._spans]
        self._span_of = {day: n for n, span in enumerate(self._spans) for day in each_day(span)}
        self._reached = [[0] * len(Step) for _ in self._spans]
        self._waits = [0] * len(self._spans)
        self._dropped: Counter[_Group] = Counter()
        self.later = 0
        """How many closed in the period, but on days that are not counted."""

    def add(self, alike: Counted) -> None:
        """Count closings that are alike."""
        on = self._given.day_of(alike.closed_on, alike.noticed_at or self._given.now)
        if on >= self._period.first and not self.is_counted(on):
            self.later += alike.closings
            return
        span, group = self._span_of[on], self._group(alike)
        for step in range(len(Step) if group is None else group.step):
            self._reached[span][step] += alike.closings
        if group is None:
            return
        if group.needed and group.step is not Step.ACCEPTED:
            self._waits[span] += alike.closings
        if self.is_counted(on):
            self._dropped[group] += alike.closings

    def _group(self, alike: Counted) -> _Group | None:
        """Return with what they came no further; None where they were accepted."""
        reason, attention = alike.reason, self._given.attention
        if alike.state is State.PENDING:
            reason = told(reason, self._kept_back, settling=alike.settling)
        step = missed(alike.state, reason, in_doubt=alike.in_doubt)
        if step is None:
            return None
        if alike.state is State.HELD:
            reason = None  # that Broadly's answer was lost is why, whatever was decided since then
        needed = attention.needed(alike.state, reason, alike.command)
        left = attention.is_left(alike.state, alike.command)
        return _Group(step, alike.state, reason, needed, left)

    def is_counted(self, on: date) -> bool:
        """Tell whether a day is one of the period that are counted."""
        return self._counted is not None and self._counted.first <= on <= self._counted.last

    def is_before(self, on: date) -> bool:
        """Tell whether a day lies before the period, and all that closed on it is known."""
        return on < self._period.first and self._knows[self._span_of[on]]

    def counts(self) -> Counts | None:
        """Return the sums of the period, as far as it is counted; None where nothing is known.

        A zero is known only where all is known of a day.
        """
        counts = self._sum(self.is_counted)
        spans = zip(self._spans, self._knows, strict=True)
        is_zero = any(knows and self.is_counted(span.first) for span, knows in spans)
        return counts if is_zero or (counts is not None and counts.closed) else None

    def before(self) -> Counts | None:
        """Return the sums of the weeks before it of which all is known; None: of no week."""
        return self._sum(self.is_before)

    def _sum(self, is_meant: Callable[[date], bool]) -> Counts | None:
        reached = zip(self._spans, self._reached, strict=True)
        mine = [steps for span, steps in reached if is_meant(span.first)]
        return Counts(*map(sum, zip(*mine, strict=True))) if mine else None

    def weeks(self) -> list[Week]:
        return [
            Week(
                *span,
                in_period=span.first >= self._period.first,
                known=self._knows[n],
                counts=Counts(*self._reached[n]),
                waits=self._waits[n],
            )
            for n, span in enumerate(self._spans)
        ]

    def dropped(self) -> list[DropOut]:
        found = [self._drop_out(group, number) for group, number in self._dropped.items()]
        return sorted(found, key=lambda one: (one.step, -one.closings, one.why))

    def _drop_out(self, group: _Group, number: int) -> DropOut:
        step, state, reason, needed, left = group
        said = words.of(state, reason, self._given.names, left=left, needed=needed)
        return DropOut(step, state, reason, number, needed, said.why, said.helps)


# Closings one by one: only those that are listed are kept.


def _for_a_person(store: Store, tally: _Tally, given: Given) -> ForAPerson:
    found: Counter[str] = Counter()

    def waiting() -> Iterator[Waiting]:
        for listed in store.outbox.listed(Selection()):
            closing = rules.as_told(listed.closing, given.policy, given.now, given.zone)
            if given.attention.needed(closing.state, closing.reason, closing.command):
                on = given.day_of(closing.key.closed_on, closing.noticed_at)
                in_period = tally.is_counted(on)
                step = missed(closing.state, closing.reason, in_doubt=closing.in_doubt)
                found["in_period"] += in_period
                found["not_tried"] += in_period and step is not Step.ACCEPTED
                found["closings"] += 1
                yield _waiting(closing, listed.since, given, in_period=in_period)

    first = heapq.nsmallest(LISTED, waiting(), key=lambda one: (not one.in_period, one.since))
    return ForAPerson(found["closings"], found["in_period"], found["not_tried"], first)


def _waiting(closing: Closing, since: datetime, given: Given, *, in_period: bool) -> Waiting:
    said = words.of(
        closing.state,
        closing.reason,
        given.names,
        left=given.attention.is_left(closing.state, closing.command),
        needed=True,
        matter=str(closing.key.matter_id),
    )
    return Waiting(
        matter_id=closing.key.matter_id,
        contact_id=closing.contact_id,
        closed_on=closing.key.closed_on,
        state=closing.state,
        reason=closing.reason,
        since=since,
        in_period=in_period,
        word=said.word,
        to_do=said.helps,
    )


def _opted_out(store: Store, span: Days, tally: _Tally, given: Given) -> OptOuts:
    before, closings = 0, 0
    listed: list[OptedOut] = []
    for objection, noticed_at in store.periods.opted_out(span):
        on = given.day_of(objection.closed_on, noticed_at)
        before += tally.is_before(on)
        if tally.is_counted(on):
            closings += 1
            if len(listed) < LISTED:
                listed.append(_opted(objection))
    return OptOuts(closings, before, listed)


def _opted(objection: Objection) -> OptedOut:
    return OptedOut(
        matter_id=objection.matter_id,
        contact_id=objection.contact_id,
        closed_on=objection.closed_on,
        sent_at=objection.sent_at,
        noticed_at=objection.read_at,
    )
