"""The lines of `status`: what needs a person comes first, with what to do, in 80 columns."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from factories import NOW, TODAY

from clio_broadly_sync.cli import status
from clio_broadly_sync.cli import status as standing
from clio_broadly_sync.cli.status import Status
from clio_broadly_sync.domain.model import Command, SyncRule
from clio_broadly_sync.domain.reasons import FAULTS, Reason
from clio_broadly_sync.store.overview import Group, PastRun

SYNC, BACKFILL = Command.SYNC, Command.BACKFILL
OLD = NOW - timedelta(days=40)
MINUTE = timedelta(minutes=1)
RUN = PastRun(41_234, "sync", NOW - 4 * MINUTE, NOW - 3 * MINUTE, 0)
WAITS = (
    None, Reason.SETTLING, Reason.SURGE, Reason.UNAVAILABLE, Reason.RETRY, Reason.UNKNOWN_OUTCOME,
    Reason.CONTACT_HIDDEN, Reason.UNREADABLE_FIELD,
)  # fmt: skip


def make_standing(**changes: Any) -> Status:
    made = Status(
        now=NOW,
        zone=None,
        rule=SyncRule.BOTH,
        first_run=OLD,
        start_day=TODAY,
        watermark=NOW - 4 * MINUTE,
        last_sync=RUN,
        runs=[RUN],
        at_work=False,
        waiting=[],
        sending=[],
        held=[],
        dead=[],
        days=[(TODAY - timedelta(days=ago), 14 - ago) for ago in range(14)],
    )
    return replace(made, **changes)


def text(**changes: Any) -> str:
    return "\n".join(status.lines(make_standing(**changes)))


@pytest.mark.parametrize("command", Command)
@pytest.mark.parametrize("reason", [None, *Reason])
def test_everything_fits_80_columns(reason: Reason | None, command: Command) -> None:
    """With large numbers, too."""
    groups = [Group(command, reason, 999_999, OLD)]
    changes = dict.fromkeys(("waiting", "sending", "held", "dead"), groups)
    printed = text(**changes, days=[(TODAY, 1_000_000)] * 14)
    assert max(map(len, printed.splitlines())) <= 80
    assert "999999" in printed


def test_every_reason_to_wait_has_words() -> None:
    assert status.WAITS.keys() == set(WAITS)
    assert status.TO_DO.keys() == {Reason.SURGE, *FAULTS}


@pytest.mark.parametrize("reason", WAITS)
def test_what_waits_for_a_person(reason: Reason | None) -> None:
    """A surge, what is hidden, what cannot be read: each with its command; the rest goes alone."""
    group = Group(SYNC, reason, 3, OLD)
    found = make_standing(waiting=[group])
    needs = reason is Reason.SURGE or reason in FAULTS
    assert found.for_a_person == (3 if needs else 0)
    printed = "\n".join(status.lines(found))
    assert ("3 closings wait for a person" in printed) == needs
    assert ("→ " in printed) == needs


def test_held_and_dead_wait_for_a_person() -> None:
    """Each with the command that shows them, and what may be done then."""
    lost = Group(SYNC, Reason.UNKNOWN_OUTCOME, 1, OLD)
    printed = text(held=[lost])
    assert printed.startswith("1 closing waits for a person")
    assert "outbox list --state held" in printed
    printed = text(dead=[Group(SYNC, None, 2, OLD)])
    assert "outbox list --state dead" in printed
    assert "outbox resend" in printed


def test_interrupted_backfill_has_its_way_on() -> None:
    """Nothing else goes on with it; but one that is at work may."""
    waiting = [Group(BACKFILL, None, 5, OLD)]
    assert make_standing(waiting=waiting).for_a_person == 5
    assert make_standing(waiting=waiting, at_work=True).for_a_person == 5
    runs = [RUN._replace(command="backfill", finished_at=None, exit_code=None), RUN]
    assert make_standing(waiting=waiting, at_work=True, runs=runs).for_a_person == 0
    assert make_standing(waiting=waiting, runs=runs).for_a_person == 5
    printed = text(waiting=waiting)
    assert "of a backfill that did not come to its end" in printed
    assert "the next run" not in printed
    assert "outbox drop --command backfill" in printed


def test_silent_cron() -> None:
    """More than two hours without a `sync`, however that ended."""
    for ago, silent in ((timedelta(hours=2), False), (timedelta(hours=2, seconds=1), True)):
        last = replace_start(RUN, ago)
        assert make_standing(last_sync=last).is_silent == silent
        assert ("Cron does not seem to run" in text(last_sync=last)) == silent
    assert not make_standing(last_sync=None).is_silent


def replace_start(run: PastRun, ago: timedelta) -> PastRun:
    return run._replace(started_at=NOW - ago)


def test_before_the_first_run() -> None:
    printed = text(runs=[], last_sync=None, watermark=None, start_day=None, first_run=None)
    assert printed.startswith("No run yet")
    assert "none yet" in printed


def test_how_runs_ended() -> None:
    """In words and with the code; one without an end is at work, or was cut short."""
    cut = RUN._replace(finished_at=None, exit_code=None)
    failed = RUN._replace(exit_code=69)
    assert "ok, 60 seconds" in text()
    assert "unavailable (69)" in text(runs=[failed])
    assert "at work" in text(runs=[cut], at_work=True)
    printed = text(runs=[cut, cut], at_work=True)
    assert (printed.count("at work"), printed.count("cut short")) == (1, 1)


def test_object_of_what_could_not_be_read() -> None:
    assert status.as_object(None, "storage") == {
        "command": "status",
        "outcome": "storage",
    }


def test_days_begin_at_the_firms_midnight() -> None:
    """Where the clock was set back, a day has 25 hours."""
    asked: list[datetime] = []

    def handed_over(bounds: list[datetime]) -> list[int]:
        asked.extend(bounds)
        return list(range(14))

    store: Any = SimpleNamespace(overview=SimpleNamespace(handed_over=handed_over))
    zone = ZoneInfo("America/Los_Angeles")
    found = standing.by_day(store, datetime(2026, 11, 2, 7, 30, tzinfo=UTC), zone)
    assert found[0] == (date(2026, 11, 1), 13)
    assert found[-1] == (date(2026, 10, 19), 0)
    assert [bound.astimezone(UTC) for bound in asked[-2:]] == [
        datetime(2026, 11, 1, 7, tzinfo=UTC),
        datetime(2026, 11, 2, 8, tzinfo=UTC),
    ]
