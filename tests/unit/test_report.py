"""The figures of a run: what was decided, what Broadly answered, and whether a person is needed."""

from collections import Counter
from typing import Any

import pytest
from factories import make_closing, make_receipt
from golden_files import Golden

from clio_broadly_sync.cli import report_words
from clio_broadly_sync.cli.report_words import Given
from clio_broadly_sync.domain.model import Closing, Command, Decision, Outcome, Verdict
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.pipeline.report import Report, decision_of

HIDDEN = make_closing(reason=Reason.CONTACT_HIDDEN)


@pytest.mark.parametrize(
    ("old", "new", "attention"),
    [
        (None, HIDDEN, True),
        (make_closing(), HIDDEN, True),
        (HIDDEN, HIDDEN, False),
        (make_closing(reason=Reason.UNREADABLE_FIELD), HIDDEN, True),
        (HIDDEN, make_closing(), False),
        (None, make_closing(reason=Reason.SETTLING), False),
        (None, make_closing(state=State.SKIPPED, reason=Reason.OPTED_OUT), False),
        (make_closing(in_doubt=True), make_closing(state=State.HELD, in_doubt=True), True),
    ],
)
def test_attention_for_what_is_new(old: Closing | None, new: Closing, attention: bool) -> None:
    """A fault wants a person once, when it is new; what became held does, too."""
    report = Report()
    report.count_decision(old, new)
    assert report.attention is attention


def test_skipped_are_counted_by_reason() -> None:
    """Each reason has its figure; who waits has none."""
    report = Report()
    for reason in (Reason.OPTED_OUT, Reason.OPTED_OUT, Reason.NO_CHANNEL):
        report.count_decision(None, make_closing(state=State.SKIPPED, reason=reason))
    report.count_decision(None, HIDDEN)
    assert report.skipped == {"opted_out": 2, "no_channel": 1}


RECEIPTS = {
    Outcome.ACCEPTED: (State.SENT, {"sent": 1}, False),
    Outcome.DUPLICATE: (State.SENT, {"sent": 1, "duplicate": 1}, False),
    Outcome.SUPPRESSED: (State.SKIPPED, {"suppressed": 1}, False),
    Outcome.REJECTED: (State.DEAD, {"rejected": 1}, True),
    Outcome.RETRY: (State.PENDING, {}, False),
    Outcome.UNKNOWN: (State.HELD, {"held": 1}, True),
}


@pytest.mark.parametrize("outcome", RECEIPTS)
def test_receipts(outcome: Outcome) -> None:
    """`sent` includes duplicates, suppressed are apart, dead and held want a person."""
    state, counted, attention = RECEIPTS[outcome]
    report = Report()
    closing = make_closing(state=state)
    report.count_receipts([(make_receipt(closing, outcome), closing)])
    names = ("sent", "duplicate", "suppressed", "rejected", "held")
    assert {name: n for name in names if (n := getattr(report, name))} == counted
    assert report.attention is attention


def test_nothing_held_wants_nobody() -> None:
    """A recovery that found nothing is no news."""
    report = Report()
    report.count_held(0)
    assert not report.attention


def counted(**figures: Any) -> Report:
    """Return the report of a run that read 12 matters."""
    return Report(matters_read=12, known=2, **figures)


SYNC, BACKFILL = Command.SYNC, Command.BACKFILL
REPORTS: dict[str, tuple[Report, int, Command, bool]] = {
    "first run": (Report(first_run=True), 0, SYNC, False),
    "nothing closed": (Report(), 0, SYNC, False),
    "nothing is new": (Report(matters_read=1, known=1), 0, SYNC, False),
    "Broadly was out of order": (
        counted(sent=4, held=1, held_after={"http_503"}), 65, SYNC, False
    ),
    "Broadly was too slow": (counted(held=2, held_after={"timeout"}), 65, SYNC, False),
    "Broadly's answer was cut, and a run before was killed": (
        counted(held=2, held_after={"cut", None}), 65, SYNC, False
    ),
    "some may be in a file": (counted(held=2, held_after={None}, sent=3), 65, SYNC, False),
    "some may be in a file, dry": (counted(held=1, to_send=3), 65, SYNC, True),
    "backfill, nothing closed": (Report(), 0, BACKFILL, False),
    "first run, dry": (Report(first_run=True), 0, SYNC, True),
    "all of it": (
        counted(
            to_send=9, sent=4, waiting=3, skipped=Counter(opted_out=2, not_opted_in=1), held=2,
            rejected=2, suppressed=2, faults=2, surge_says=("A surge says this.",),
        ), 65, SYNC, False,
    ),
    "one of each": (
        Report(matters_read=1, held=1, rejected=1, suppressed=1, faults=1), 65, SYNC, False
    ),
    "dry run": (counted(to_send=9, sent=4, waiting=3), 0, SYNC, True),
    "dry run after a run that was cut short": (counted(held=2, faults=2), 65, SYNC, True),
    "dry run, one of each": (Report(matters_read=1, held=1, faults=1), 65, SYNC, True),
    **{
        f"dry run beside another run with {n} on their way": (
            counted(to_send=4, on_their_way=n), 0, SYNC, True
        )
        for n in range(3)
    },
    "sync that failed": (counted(sent=4, waiting=3, held=2), 69, SYNC, False),
    "backfill, some left": (counted(sent=4, waiting=3), 0, BACKFILL, False),
    "backfill, one left": (counted(sent=4, waiting=1), 69, BACKFILL, False),
    "backfill, none left": (counted(sent=4), 0, BACKFILL, False),
    "backfill that failed early": (Report(), 69, BACKFILL, False),
    "backfill that was interrupted": (counted(), 143, BACKFILL, False),
    "backfill that was refused": (counted(), 77, BACKFILL, False),
    "backfill, dry, some left": (counted(to_send=4, waiting=3), 0, BACKFILL, True),
}  # fmt: skip


def test_what_a_person_reads(golden: Golden) -> None:
    """First what has to be done, then what was done; the exit code stands beside the name."""
    said = []
    for name, (report, code, command, dry_run) in REPORTS.items():
        given = Given(command, dry_run=dry_run, to_file="file" in name)
        results = report_words.results(report, code, given)
        said.append("\n".join([f"# {name} ({code})", *results]))
    golden("results_of_a_run", "\n\n".join(said))


@pytest.mark.parametrize(
    ("row", "decision"),
    [
        ({"state": State.SENT}, Decision(Verdict.SEND)),
        ({"state": State.DEAD}, Decision(Verdict.SEND)),
        (
            {"state": State.SKIPPED, "reason": Reason.COMPANY},
            Decision(Verdict.SKIP, Reason.COMPANY),
        ),
        ({"reason": Reason.SURGE}, Decision(Verdict.WAIT, Reason.SURGE)),
        ({}, Decision(Verdict.WAIT)),
        (
            {"state": State.HELD, "reason": Reason.OPTED_OUT, "in_doubt": True},
            Decision(Verdict.WAIT, Reason.OPTED_OUT),
        ),
    ],
)
def test_decision_of_a_row(row: dict[str, Any], decision: Decision) -> None:
    """A row says whether its client was handed over, left out, or waits, and why."""
    assert decision_of(make_closing(**row)) == decision


@pytest.mark.parametrize("counted", ["held", "rejected", "faults"])
def test_news_is_what_a_person_reads_once(counted: str) -> None:
    """A surge is told in each run, and what was sent needs nobody."""
    report = Report(surge=3, sent=2, suppressed=1)
    assert not report.news
    setattr(report, counted, 1)
    assert report.news
