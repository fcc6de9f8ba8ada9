"""The sending hours: what closes outside of them is noticed, and waits until they begin.

The runs begin on a Friday at 18:00, an hour after the office has closed for the weekend.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from factories import NOW, for_backfill, make_closing, make_policy
from runs import Runs

from clio_broadly_sync import pipeline
from clio_broadly_sync.cli import report_words
from clio_broadly_sync.domain import rules
from clio_broadly_sync.domain.errors import UnavailableError
from clio_broadly_sync.domain.hours import ALWAYS, SendingHours
from clio_broadly_sync.domain.model import Approval, Box, Command, Outcome, Verdict
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.pipeline.context import Lot, RunContext
from clio_broadly_sync.pipeline.report import decision_of
from clio_broadly_sync.sinks.dry_run import DryRun

PENDING, SENT, SKIPPED = State.PENDING, State.SENT, State.SKIPPED
LOST = UnavailableError("No answer came.", outcome_unknown=True)
OUTSIDE = Reason.OUTSIDE_HOURS
WORKDAYS = frozenset(range(5))
OFFICE = SendingHours(WORKDAYS, 9, 17)
MONDAY = datetime(2026, 11, 23, 9, tzinfo=UTC)
BY_OFFICE = make_policy(hours=OFFICE)
EVENINGS = make_policy(hours=SendingHours(WORKDAYS, 9, 19))
"""They end an hour after the runs begin."""
LATE = {"minutes": 59}


def decisions(context: RunContext) -> dict[int, tuple[Verdict, Reason | None]]:
    """Return what a run tells of each matter, by its id."""
    found = [(closing, decision_of(closing)) for closing in pipeline.decided(context)]
    assert len({closing.key for closing, _ in found}) == len(found)
    return {closing.key.matter_id: (d.verdict, d.reason) for closing, d in found}


def says(context: RunContext) -> str:
    """Return what a run says of what it kept back."""
    context.report.waiting = context.store.ledger.count_pending(pipeline.due(context))
    return " ".join(report_words.kept_back_of(context))


def test_what_closes_outside_is_noticed_and_waits(runs: Runs) -> None:
    """The watermark moves, nobody is read or claimed, and that is no trouble."""
    runs.close(1, 2)
    runs.client(1002, opted_out=Box.CHECKED)
    context = runs.sync(BY_OFFICE)
    assert runs.states == {1: PENDING, 2: PENDING}
    assert (runs.row(1).reason, runs.row(1).claimed_at) == (None, None)
    assert (runs.broadly.posts, runs.clio.requests) == ([], ["page", "custom_fields"])
    assert (context.report.watermark_to, context.report.attention) == (NOW, False)
    assert decisions(context) == {1: (Verdict.WAIT, OUTSIDE), 2: (Verdict.WAIT, OUTSIDE)}
    assert says(context).endswith("which begin on 23 Nov 2026, 09:00 UTC.")


def test_first_run_within_them_sends_what_waits(runs: Runs) -> None:
    """Read anew, and decided anew."""
    runs.close(1, 2, 3)
    runs.sync(BY_OFFICE)
    runs.edit(2, closed=False)
    runs.client(1003, opted_out=Box.CHECKED)
    runs.clock.now = MONDAY
    context = runs.sync(BY_OFFICE)
    assert runs.states == {1: SENT, 2: SKIPPED, 3: SKIPPED}
    assert (context.report.kept_back, says(context)) == (None, "")


def test_run_outside_is_one_request_however_many_wait(runs: Runs) -> None:
    """And changes nothing, so that a weekend of runs leaves no trace in the ledger."""
    runs.waiting(*range(1, 6))
    before = [runs.row(n) for n in range(1, 6)]
    for _ in range(4):
        runs.clock.tick(minutes=15)
        context = runs.sync(BY_OFFICE)
        assert runs.clio.requests == ["page"]
        assert decisions(context) == dict.fromkeys(range(1, 6), (Verdict.WAIT, OUTSIDE))
    assert [runs.row(n) for n in range(1, 6)] == before


def test_batch_under_way_is_finished_and_none_is_begun(runs: Runs) -> None:
    """Though it took until after they ended; the rest is told with that, and has no mark of it."""
    runs.close(*range(1, 8))
    runs.clock.now = NOW + timedelta(minutes=58)
    runs.broadly.at_once = 1
    runs.broadly.meanwhile("post", *[runs.clock.after(minutes=1)] * 3)
    context = runs.sync(EVENINGS, batch_size=3)
    assert runs.broadly.matters == [[1], [2], [3]]
    assert (context.report.sent, context.report.to_send, context.report.attention) == (3, 3, False)
    assert [runs.row(n)[2:4] for n in (4, 7)] == [(PENDING, None)] * 2
    told = dict.fromkeys((1, 2, 3), (Verdict.SEND, None))
    assert decisions(context) == told | dict.fromkeys((4, 5, 6, 7), (Verdict.WAIT, OUTSIDE))
    assert says(context).endswith("which begin on 23 Nov 2026, 09:00 UTC.")


def test_hours_that_end_with_the_last_batch_keep_nobody_back(runs: Runs) -> None:
    """Nothing is said where nobody waits."""
    runs.close(1, 2)
    runs.broadly.meanwhile("post", runs.clock.after(hours=2))
    context = runs.sync(EVENINGS)
    assert (runs.states, says(context)) == ({1: SENT, 2: SENT}, "")


def test_hours_that_begin_while_a_run_reads(runs: Runs) -> None:
    """What counts is the moment of the claim."""
    runs.close(1)
    runs.clock.now = MONDAY - timedelta(minutes=1)
    runs.edit(1)
    runs.clio.meanwhile("page", runs.clock.after(minutes=1))
    runs.sync(BY_OFFICE, approve=True)
    assert runs.states == {1: SENT}


def test_hours_that_end_while_a_run_reads(runs: Runs) -> None:
    """The clients were read, and nobody was claimed."""
    runs.close(1, 2)
    runs.clock.tick(**LATE)
    runs.edit(1)
    runs.clio.meanwhile("page", runs.clock.after(minutes=1))
    context = runs.sync(EVENINGS)
    assert (runs.broadly.posts, context.report.kept_back) == ([], OUTSIDE)


def test_limit_and_time_come_before_them(runs: Runs) -> None:
    """Whoever is left over by these is left over by nothing else."""
    runs.close(1, 2, 3)
    context = runs.sync(EVENINGS, limit=1)
    assert (runs.broadly.matters, context.report.kept_back) == ([[1]], None)
    runs.ends_at = runs.clock.now
    assert runs.sync(EVENINGS).report.kept_back is None
    assert runs.states == {1: SENT, 2: PENDING, 3: PENDING}


def test_dry_run_tells_that_nobody_would_be_sent_now(runs: Runs) -> None:
    """New ones and earlier ones alike."""
    runs.waiting(1)
    runs.close(2)
    context = runs.sync(BY_OFFICE, sink=DryRun())
    assert context.report.to_send == 0
    assert decisions(context) == dict.fromkeys((2, 1), (Verdict.WAIT, OUTSIDE))


def test_zone_is_the_firms(runs: Runs) -> None:
    """As the settings name it, else as Clio does: it is 13:00 in New York."""
    runs.close(1)
    runs.sync(BY_OFFICE, given_zone=None)
    assert runs.store.time_zone == "America/New_York"
    assert runs.states == {1: SENT}


# A surge.


def test_surge_is_noticed_outside(runs: Runs) -> None:
    """So that a person may say yes on the weekend; nobody goes before Monday."""
    policy = make_policy(hours=OFFICE, max_new=2)
    runs.close(1, 2)
    assert not runs.sync(policy).report.attention
    runs.clock.tick(days=1)
    runs.close(3)
    context = runs.sync(policy)
    assert (context.report.surge, context.report.attention) == (3, True)
    assert decisions(context) == dict.fromkeys((1, 2, 3), (Verdict.WAIT, Reason.SURGE))
    context = runs.sync(policy, approve=True, at_once=True)
    assert (runs.broadly.posts, context.report.surge) == ([], 0)
    assert {runs.row(n).approval for n in (1, 2, 3)} == {Approval.GIVEN}
    assert decisions(context) == dict.fromkeys((1, 2, 3), (Verdict.WAIT, OUTSIDE))
    runs.clock.now = MONDAY
    runs.sync(policy)
    assert set(runs.states.values()) == {SENT}


def test_weekend_counts_as_one_day(runs: Runs) -> None:
    """What goes at once on Monday is what the brake is for."""
    for day in range(3):
        runs.close(2 * day + 1, 2 * day + 2)
        runs.sync(make_policy(hours=OFFICE, max_new=5))
        runs.clock.tick(days=1 if day < 2 else 0)
    runs.clock.now = MONDAY
    assert runs.sync(make_policy(hours=OFFICE, max_new=5)).report.surge == 6
    assert runs.broadly.posts == []


def test_silence_is_noticed_outside(runs: Runs) -> None:
    """The stale run may be one that can send nobody; what it notices waits for a person."""
    runs.clock.tick(days=8)
    runs.close(1)
    assert runs.sync(BY_OFFICE).report.surge == 1
    runs.clock.tick(days=2)
    assert runs.clock.now.weekday() == 0
    assert runs.sync(EVENINGS).report.surge == 1
    assert runs.states == {1: PENDING}


# A pause.


def test_pause_is_no_trouble_outside(runs: Runs) -> None:
    """Nobody would go anyway; within them it is told, and when it is over, one goes alone."""
    runs.close(*range(1, 6))
    runs.clock.tick(**LATE)
    runs.broadly.answers = [LOST]
    runs.sync(EVENINGS, batch_size=2)
    runs.clock.tick(minutes=2)
    context = runs.sync(EVENINGS)
    assert (runs.broadly.posts, context.report.attention) == ([], False)
    assert runs.row(3).reason is None
    runs.clock.now = MONDAY
    runs.sync(EVENINGS)
    assert runs.broadly.matters == [[3], [4, 5]]


def test_pause_that_ends_outside_is_told_until_they_begin(runs: Runs) -> None:
    """From then on somebody goes, and not before."""
    runs.close(*range(1, 6))
    runs.clock.tick(minutes=30)
    runs.broadly.answers = [LOST]
    runs.sync(EVENINGS, batch_size=2)
    with pytest.raises(UnavailableError, match="until 23 Nov 2026, 09:00 UTC"):
        runs.sync(EVENINGS)
    assert runs.row(3).reason is Reason.UNAVAILABLE
    runs.clock.tick(minutes=30)
    assert decisions(runs.sync(EVENINGS))[3] == (Verdict.WAIT, OUTSIDE)


# A backfill.


def never(lot: Lot) -> bool:
    raise AssertionError("asked in vain")


def test_backfill_does_not_ask_outside(runs: Runs) -> None:
    """It pulls, and says from when on to run it again."""
    runs.close(1, 2)
    context = runs.backfill(for_backfill(hours=OFFICE), confirm=never)
    assert runs.states == {1: PENDING, 2: PENDING}
    assert says(context).endswith(
        "which begin on 23 Nov 2026, 09:00 UTC: run the same backfill again from then on."
    )
    assert decisions(context) == dict.fromkeys((1, 2), (Verdict.WAIT, OUTSIDE))
    runs.clock.now = MONDAY
    runs.backfill(for_backfill(hours=OFFICE))
    assert runs.states == {1: SENT, 2: SENT}


def test_backfill_of_nobody_says_nothing_of_them(runs: Runs) -> None:
    assert says(runs.backfill(for_backfill(hours=OFFICE), confirm=never)) == ""


def test_backfill_that_runs_out_of_them(runs: Runs) -> None:
    """It says so as well."""
    runs.close(1, 2, 3)
    runs.broadly.meanwhile("post", runs.clock.after(hours=1))
    context = runs.backfill(for_backfill(hours=EVENINGS.hours), batch_size=1)
    assert runs.states == {1: SENT, 2: PENDING, 3: PENDING}
    assert "run the same backfill again from then on" in says(context)


def test_hours_that_end_while_a_person_is_asked(runs: Runs) -> None:
    """The answer came too late."""
    runs.close(1)
    runs.clock.tick(minutes=55)

    def agree(lot: Lot) -> bool:
        runs.clock.tick(minutes=9)
        return True

    context = runs.backfill(for_backfill(hours=EVENINGS.hours), confirm=agree)
    assert (runs.states, runs.broadly.posts) == ({1: PENDING}, [])
    assert "run the same backfill again" in says(context)


def test_hours_that_end_while_broadly_is_busy(runs: Runs) -> None:
    """What was given back is not claimed again."""
    runs.close(1, 2)
    runs.clock.tick(minutes=30)
    runs.broadly.answers = [UnavailableError("Busy.", retry_after=1800.0)]
    context = runs.backfill(for_backfill(hours=EVENINGS.hours))
    assert (runs.waits, len(runs.broadly.posts)) == ([1800.0], 1)
    assert (runs.states, context.report.kept_back) == ({1: PENDING, 2: PENDING}, OUTSIDE)
    assert context.report.to_send == 0


def test_backfill_of_a_few_a_day(runs: Runs) -> None:
    """Run by cron for a month, in the middle of what happens: so many a day, on workdays, and each
    client once; and it comes to its end."""
    runs.clock.now = NOW.replace(hour=10, minute=30)
    runs.close(*range(1, 451))
    runs.close(*range(451, 471), client_id=1001)  # these share a client
    runs.client(1100, opted_out=Box.CHECKED)
    hidden = runs.clio.people.pop(1101)
    a_month: dict[str, Any] = {"limit": 25, "close_dates": (date(2026, 11, 1), date(2026, 11, 30))}
    of_a_day = []
    for day in range(32):
        runs.edit(1 + day, updated_at=runs.clock.now)
        if day == 5:
            runs.client(1450, opted_out=Box.CHECKED)
            runs.broadly.answers = [[Outcome.REJECTED, *[Outcome.ACCEPTED] * 24]]
        if day == 9:
            runs.clio.people[1101] = hidden
        context = runs.backfill(for_backfill(hours=OFFICE), **a_month)
        sent = [request.contact_id for post in runs.broadly.posts for request in post]
        weekend = runs.clock.now.weekday() > 4
        assert len(sent) <= (0 if weekend else 25)
        of_a_day.append(sent)
        runs.sync(make_policy(hours=OFFICE))
        assert runs.broadly.posts == [], "sync never takes what is a backfill's"
        runs.clock.tick(days=1)
    everybody = [contact for sent in of_a_day for contact in sent]
    assert len(everybody) == len(set(everybody)) == 450 - 2
    assert [len(sent) for sent in of_a_day[3:8]] == [25] * 5
    assert of_a_day[-1] == []
    assert (context.report.waiting, says(context)) == (0, "")
    assert PENDING not in runs.states.values()


# What waits is told with one reason.


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({}, OUTSIDE),
        ({"reason": Reason.UNAVAILABLE}, OUTSIDE),
        ({"reason": Reason.RETRY}, OUTSIDE),
        ({"resent": True}, OUTSIDE),
        ({"command": Command.BACKFILL}, OUTSIDE),
        ({"reason": Reason.SETTLING}, Reason.SETTLING),
        ({"reason": Reason.SETTLING, "noticed_at": NOW - timedelta(hours=24)}, OUTSIDE),
        ({"reason": Reason.SURGE, "approval": Approval.WANTED}, Reason.SURGE),
        ({"reason": Reason.UNKNOWN_OUTCOME, "in_doubt": True}, Reason.UNKNOWN_OUTCOME),
        ({"reason": Reason.CONTACT_HIDDEN}, Reason.CONTACT_HIDDEN),
        ({"reason": Reason.UNREADABLE_FIELD}, Reason.UNREADABLE_FIELD),
        ({"state": SENT}, None),
        ({"state": SKIPPED, "reason": Reason.OPTED_OUT}, Reason.OPTED_OUT),
        ({"state": State.HELD}, Reason.UNKNOWN_OUTCOME),
    ],
)
def test_reason_that_is_told(row: dict[str, Any], told: Reason | None) -> None:
    """What keeps it waiting at any hour comes first; within them it is told with its own."""
    settling = row.get("reason") is Reason.SETTLING
    policy = make_policy(settle_hours=24 if settling else 0)
    closing = make_closing(**row)
    outside = rules.as_told(closing, make_policy(hours=OFFICE, settle_hours=policy.settle_hours),
                            NOW, UTC)  # fmt: skip
    assert outside.reason is told
    assert rules.as_told(closing, policy, NOW, UTC) == closing
    assert policy.hours == ALWAYS
