"""The lines of `status`: what needs a person comes first, with what to do, in 80 columns."""

import os
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from factories import NOW, TODAY
from golden_files import Golden

from clio_broadly_sync.cli import days, status
from clio_broadly_sync.cli.exports import Waiting
from clio_broadly_sync.cli.standing import Status
from clio_broadly_sync.domain.errors import NOT_SIGNED_IN
from clio_broadly_sync.domain.model import Command, SyncRule
from clio_broadly_sync.domain.reasons import ABOUT, Reason
from clio_broadly_sync.store import Holder
from clio_broadly_sync.store.objections import Objection
from clio_broadly_sync.store.overview import Group, PastRun

HOST = os.uname().nodename
SYNC, BACKFILL = Command.SYNC, Command.BACKFILL
OLD = NOW - timedelta(days=40)
MINUTE, QUARTER = timedelta(minutes=1), timedelta(minutes=15)
HELD = Holder(MINUTE, "sync", NOW - 4 * MINUTE, 4711, "office-pc")
HUNG = HELD._replace(quiet=timedelta(hours=3), since=NOW - timedelta(hours=3))
RUN = PastRun(41_234, "sync", NOW - 4 * MINUTE, NOW - 3 * MINUTE, 0)
WAITS = (None, *(reason for reason, about in ABOUT.items() if about.waits))


def make_standing(**changes: Any) -> Status:
    made = Status(
        now=NOW,
        zone=None,
        rule=SyncRule.BOTH,
        first_run=OLD,
        start_day=TODAY,
        watermark=NOW - 4 * MINUTE,
        paused_until=None,
        opens_at=None,
        last_sync=RUN,
        runs=[RUN],
        at_work=False,
        running=None,
        waiting=[],
        sending=[],
        held=[],
        dead=[],
        export=None,
        stopped_by=[],
        objections=[],
        looked_at=NOW - timedelta(hours=3),
        not_looked_since=None,
        days=[(TODAY - timedelta(days=ago), 14 - ago) for ago in range(14)],
        opt_in="SendBroadlyThankYou",
    )
    return replace(made, **changes)


def text(**changes: Any) -> str:
    standing = make_standing(**changes)
    said = "\n".join([*status.verdict(standing).lines, *status.lines(standing)])
    return said.replace(HOST, "this-machine")


def ended(*codes: int | None) -> list[PastRun]:
    """Return runs that ended with these codes, the latest first; None: not at all."""
    runs = enumerate(codes)
    return [
        PastRun(9 - n, "sync", RUN.started_at - n * QUARTER, None if code is None else NOW, code)
        for n, code in runs
    ]


CODES = (0, 1, 65, 69, 74, 75, 77, 78, 130, 143)
STANDINGS: dict[str, dict[str, Any]] = {
    "before the first run": {
        "runs": [], "last_sync": None, "watermark": None, "start_day": None, "first_run": None
    },
    "boxes that nobody touched": {"untouched": 40},
    "no daily look for days": {"not_looked_since": NOW - timedelta(days=4)},
    "opted out after being sent": {
        "objections": [Objection(77, TODAY, 1201, NOW - timedelta(days=2), NOW)]
    },
    "many opted out after being sent": {
        "objections": [Objection(n, TODAY, 1000 + n, OLD, NOW) for n in range(1, 23)]
    },
    "nobody was sent": {"days": [(TODAY, 0)] * 14},
    "each way to end": {"runs": ended(*CODES)},
    "a run is at work, the one before was cut short": {
        "runs": ended(None, None), "at_work": True, "sending": [Group(SYNC, None, 2, NOW)]
    },
    "a backfill is at work, and has not come to all of them": {
        "runs": [RUN._replace(command="backfill", finished_at=None, exit_code=None), RUN],
        "at_work": True, "waiting": [Group(BACKFILL, None, 5, OLD)]
    },
    "a run holds the state": {"running": HELD},
    "a person signs in": {"running": HELD._replace(command="login")},
    "a run of an earlier version holds the state": {"running": Holder(MINUTE)},
    "one that does not say which it is holds the state": {"running": HELD._replace(command=None)},
    "a run of another machine hangs": {"running": HUNG},
    "a run of this machine hangs, and cron's find it busy": {
        "running": HUNG._replace(host=HOST),
        "last_sync": RUN._replace(started_at=NOW - timedelta(hours=3)),
    },
    "a run of an earlier version hangs": {"running": Holder(timedelta(days=9))},
    "a run hangs, and a closing is held": {
        "running": HUNG, "held": [Group(SYNC, Reason.UNKNOWN_OUTCOME, 1, OLD)]
    },
    "the last one was cut short": {"runs": ended(None), "sending": [Group(SYNC, None, 2, NOW)]},
    "cron is silent": {"last_sync": RUN._replace(started_at=NOW - timedelta(hours=3))},
    "Broadly has a pause": {"paused_until": NOW + timedelta(hours=23)},
    "outside of the sending hours": {"opens_at": NOW + timedelta(hours=63)},
    "the last sync left its sentence": {
        "last_sync": RUN._replace(exit_code=69, failure="Clio is busy; the next run tries again.")
    },
    "the last sync was refused": {
        "last_sync": RUN._replace(exit_code=77, failure="Broadly refuses the key: put it right.")
    },
    "no run could write the state": {"hindrance": "There is no room to write the state."},
    "nobody is signed in, as the last sync said": {
        "hindrance": NOT_SIGNED_IN,
        "last_sync": RUN._replace(exit_code=77, failure=NOT_SIGNED_IN),
    },
    **{f"the last sync ended with {n}": {"last_sync": RUN._replace(exit_code=n)} for n in CODES},
    **{
        f"{command} waits: {reason or 'no reason'}": {"waiting": [Group(command, reason, 3, OLD)]}
        for command in Command for reason in WAITS
    },
    **{
        name: {"waiting": [Group(SYNC, Reason.EXPORT, 3, OLD)], "export": export}
        for name, export in {
            "three wait for a file": Waiting(3, TODAY, TODAY + timedelta(days=30), is_due=False),
            "three have waited long for a file": Waiting(3, TODAY, TODAY, is_due=True),
            "some wait for a file, and none grows too old": Waiting(3, None, None, is_due=False),
        }.items()
    },
    "a backfill has left some for a file": {
        "waiting": [Group(BACKFILL, Reason.EXPORT, 3, OLD)],
        "export": Waiting(0, None, None, is_due=False),
    },
    "others' noes stop some": {"stopped_by": [(1203, 6), (1207, 5), (1209, 4)]},
    "held, and opted out by now": {"held": [Group(SYNC, Reason.OPTED_OUT, 1, OLD)]},
    "many things for a person": {
        "waiting": [Group(SYNC, Reason.SURGE, 60, OLD), Group(BACKFILL, None, 5, OLD)],
        "dead": [Group(SYNC, None, 2, OLD)], "last_sync": RUN._replace(exit_code=77),
    },
    "one closing is held, two are dead": {
        "held": [Group(SYNC, Reason.UNKNOWN_OUTCOME, 1, OLD)], "dead": [Group(SYNC, None, 2, OLD)]
    },
}  # fmt: skip


def test_lines(golden: Golden) -> None:
    """However the state stands; what is as when all is well is counted."""
    usual = text().splitlines()
    said = [f"# all is well\n{text()}\n"]
    for name, changes in STANDINGS.items():
        lines = text(**changes).splitlines()
        shown = [line for line in lines if line not in usual]
        rest = f"(and {len(lines) - len(shown)} lines as usual)"
        said.append("\n".join([f"# {name}", *shown, rest, ""]))
    golden("status_lines", "\n".join(said))


@pytest.mark.parametrize(
    ("changes", "colour"),
    [
        ({}, "green"),
        ({"runs": []}, "yellow"),
        ({"held": [Group(SYNC, Reason.UNKNOWN_OUTCOME, 1, OLD)]}, "yellow"),
        ({"paused_until": NOW}, "yellow"),
        ({"running": HUNG}, "red"),
        ({"last_sync": RUN._replace(exit_code=78)}, "red"),
    ],
    ids=str,
)
def test_verdict_has_a_colour(changes: dict[str, Any], colour: str) -> None:
    """Green says that a person need not read on."""
    verdict = status.verdict(make_standing(**changes))
    assert verdict.colour == colour
    assert verdict.lines[0].startswith("All well.") is (colour == "green")


def test_watermark_of_another_day_has_its_date() -> None:
    """A mere time would be taken for today's."""
    (said,) = status.verdict(make_standing(watermark=NOW - timedelta(days=1))).lines
    assert "Up to date until 19 Nov 2026, 18:00" in said


@pytest.mark.parametrize("command", Command)
@pytest.mark.parametrize("reason", [None, *Reason])
def test_everything_fits_80_columns(reason: Reason | None, command: Command) -> None:
    """With large numbers, too; the verdict alone is folded."""
    groups = [Group(command, reason, 999_999, OLD)]
    changes: dict[str, Any] = dict.fromkeys(("waiting", "sending", "held", "dead"), groups)
    many = dict(changes, paused_until=NOW, opens_at=NOW, days=[(TODAY, 1_000_000)] * 14)
    printed = [*status.lines(make_standing(**many))]
    assert max(map(len, printed)) <= 80
    assert "999999" in "".join(printed)


def test_interrupted_backfill_has_its_way_on() -> None:
    """Nothing else goes on with it; but one that is at work may."""
    waiting = [Group(BACKFILL, None, 5, OLD)]
    assert make_standing(waiting=waiting).for_a_person == 5
    assert make_standing(waiting=waiting, at_work=True).for_a_person == 5
    runs = [RUN._replace(command="backfill", finished_at=None, exit_code=None), RUN]
    assert make_standing(waiting=waiting, at_work=True, runs=runs).for_a_person == 0
    assert make_standing(waiting=waiting, runs=runs).for_a_person == 5


def test_silent_cron() -> None:
    """More than two hours without a `sync`, however that ended."""
    for ago, silent in ((timedelta(hours=2), False), (timedelta(hours=2, seconds=1), True)):
        last = replace_start(RUN, ago)
        assert make_standing(last_sync=last).cron_seems_to_run is not silent
        assert ("Cron does not seem to run" in text(last_sync=last)) == silent
    assert make_standing(last_sync=None).cron_seems_to_run is None


@pytest.mark.parametrize("running", [HELD, HUNG, Holder(MINUTE), Holder(timedelta(hours=3))])
def test_cron_is_not_blamed_while_somebody_holds_the_state(running: Holder) -> None:
    """Its runs find the state busy, and leave nothing behind."""
    for ago, known in ((timedelta(hours=1), True), (timedelta(hours=9), None)):
        last = replace_start(RUN, ago)
        assert make_standing(last_sync=last, running=running).cron_seems_to_run is known
        assert "Cron" not in text(last_sync=last, running=running)


def test_a_run_that_hangs_needs_a_person() -> None:
    """As closings do; one that works does not."""
    held = [Group(SYNC, Reason.UNKNOWN_OUTCOME, 1, OLD)]
    assert make_standing(running=HUNG).needs_a_person
    assert make_standing(held=held).needs_a_person
    assert not make_standing(running=HELD).needs_a_person
    assert not make_standing().needs_a_person


def test_a_command_that_hangs_before_the_first_run_is_said_first() -> None:
    said = status.verdict(make_standing(runs=[], last_sync=None, running=HUNG))
    assert said.colour == "red"


def replace_start(run: PastRun, ago: timedelta) -> PastRun:
    return run._replace(started_at=NOW - ago)


def test_days_begin_at_the_firms_midnight() -> None:
    """Where the clock was set back, a day has 25 hours."""
    asked: list[datetime] = []

    def handed_over(bounds: list[datetime]) -> list[int]:
        asked.extend(bounds)
        return list(range(14))

    store: Any = SimpleNamespace(overview=SimpleNamespace(handed_over=handed_over))
    zone = ZoneInfo("America/Los_Angeles")
    found = days.sent_by_day(store, datetime(2026, 11, 2, 7, 30, tzinfo=UTC), zone)
    assert found[0] == (date(2026, 11, 1), 13)
    assert found[-1] == (date(2026, 10, 19), 0)
    assert [bound.astimezone(UTC) for bound in asked[-2:]] == [
        datetime(2026, 11, 1, 7, tzinfo=UTC),
        datetime(2026, 11, 2, 8, tzinfo=UTC),
    ]
