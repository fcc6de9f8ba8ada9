"""When the daily look is due, when its silence is worth a word, and how far back it goes."""

from datetime import date, datetime, timedelta

import pytest
from factories import NOW, TODAY, make_closing, make_policy

from clio_broadly_sync.domain import daily_look
from clio_broadly_sync.domain.daily_look import Looked, Part
from clio_broadly_sync.domain.model import SyncRule
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.states import State

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
OLD = NOW - 40 * DAY


@pytest.mark.parametrize(
    ("looked", "first_run", "is_due"),
    [
        (Looked(), NOW - 20 * HOUR + timedelta(seconds=1), False),
        (Looked(), NOW - 20 * HOUR, True),
        (Looked(NOW - 20 * HOUR + timedelta(seconds=1)), OLD, False),
        (Looked(NOW - 20 * HOUR), OLD, True),
        (Looked(NOW - HOUR, after=7), OLD, True),
        (Looked(after=7), NOW, True),
        (Looked(NOW + HOUR), OLD, False),
        (Looked(NOW + 2 * HOUR), OLD, True),
    ],
)
def test_due(looked: Looked, first_run: datetime, is_due: bool) -> None:
    """After 20 hours; at once where it stopped half-way, or where a wrong clock noted it."""
    assert daily_look.is_due(looked, first_run, NOW) is is_due


@pytest.mark.parametrize(
    ("skipped", "sent", "first_run", "done_at", "overdue"),
    [
        (None, None, None, None, None),
        (None, None, NOW - 2 * DAY, None, None),
        (None, None, OLD, None, OLD),
        (NOW, None, OLD, None, OLD),
        (NOW, NOW - DAY, OLD, NOW - DAY, None),
        (NOW - 4 * DAY, NOW, OLD, NOW - 4 * DAY, NOW - 4 * DAY),
        (NOW - 3 * DAY, NOW, OLD, NOW - 3 * DAY, None),
    ],
)
def test_overdue(
    skipped: datetime | None,
    sent: datetime | None,
    first_run: datetime | None,
    done_at: datetime | None,
    overdue: datetime | None,
) -> None:
    """After three days, by the part that was done first; before the first run, nothing is."""
    looks = {Part.SKIPPED: Looked(skipped), Part.SENT: Looked(sent)}
    assert daily_look.done_at(looks) == done_at
    assert daily_look.overdue_since(looks, first_run, NOW) == overdue


@pytest.mark.parametrize(
    ("start_day", "max_age", "first"),
    [
        (date(2026, 11, 1), 30, date(2026, 11, 1)),
        (date(2026, 1, 1), 30, TODAY - 30 * DAY),
        (date(2026, 1, 1), None, date(2026, 1, 1)),
        (None, None, date.min),
    ],
)
def test_earliest_close_date(start_day: date | None, max_age: int | None, first: date) -> None:
    policy = make_policy(start_day=start_day, max_age_days=max_age)
    assert daily_look.earliest(policy, TODAY) == first


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("rule", SyncRule)
def test_what_is_looked_at(reason: Reason, rule: SyncRule) -> None:
    """What was skipped, under the rule of now, for what a person may put right without a word."""
    put_right = {Reason.NOT_OPTED_IN, Reason.OPTED_OUT, Reason.NO_CHANNEL}
    closing = make_closing(state=State.SKIPPED, reason=reason)
    is_looked_at = daily_look.is_looked_at(closing, make_policy(rule=rule))
    assert is_looked_at == (reason in put_right and rule is SyncRule.BOTH)
    held = make_closing(state=State.HELD, reason=reason)
    assert not daily_look.is_looked_at(held, make_policy(rule=SyncRule.BOTH))
