"""A run's report in words and as JSON; how it is counted is in `pipeline/report.py`."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Any, Final

from clio_broadly_sync import pipeline
from clio_broadly_sync.cli import exports, output
from clio_broadly_sync.domain.errors import ATTENTION, OK, outcome_of
from clio_broadly_sync.domain.model import Closing, Command, Verdict
from clio_broadly_sync.domain.reasons import ABOUT, Reason
from clio_broadly_sync.pipeline.context import RunContext
from clio_broadly_sync.pipeline.report import Report, decision_of
from clio_broadly_sync.store import SurgeFigures

FEWEST_TOGETHER = 10
"""Edits within minutes are worth a sentence where there are at least so many, and they are at least
half of all; fewer of them are only a busy hour."""
SILENCE: Final = (
    "noticed after a silence of more than three days (cron had stopped, or an old copy of the "
    "state is in use)."
)
"""The end of a sentence about closings that wait because the watermark was stale."""
_DELIVERY: Final = ("sent", "duplicate", "suppressed", "rejected", "held", "waiting")
_LIST: Final = "clio-broadly-sync outbox list"


def complete(context: RunContext) -> None:
    """Count in the report of a run that has ended what waits, and note what is said of that."""
    report = context.report
    report.waiting = context.store.ledger.count_pending(pipeline.due(context))
    report.surge_says = surge_of(context)
    report.kept_back_says = kept_back_of(context)


def as_object(report: Report, *, dry_run: bool) -> dict[str, Any]:
    """Return the counters under the names that `--json` has for them.

    In a dry run all of `delivery` is 0, because nothing is sent.
    """
    return {
        "matters_read": report.matters_read,
        "to_send": report.to_send,
        "skipped": report.skipped,
        "objections": report.objections,
        "delivery": {name: 0 if dry_run else getattr(report, name) for name in _DELIVERY},
    }


def entry(closing: Closing) -> dict[str, Any]:
    """Return a closing as one of the `decisions` of `--json`."""
    decision = decision_of(closing)
    return {
        "matter_id": closing.key.matter_id,
        "contact_id": closing.contact_id,
        "closed_on": closing.key.closed_on,
        "decision": decision.verdict,
        "reason": decision.reason,
    }


def results(report: Report, code: int, command: Command, *, dry_run: bool) -> list[str]:
    """Return lines that say what a person has to do, and then what the run did.

    `code` is the run's exit code. Of a `sync` that failed, it is not said what it did, because the
    next one goes on.
    """
    by_hand = command is Command.BACKFILL and not dry_run
    has_figures = code in (OK, ATTENTION) or (by_hand and report.matters_read > 0)
    summary = [_summary(report, dry_run=dry_run)] if has_figures else []
    return [
        *needs(report, dry_run=dry_run),
        *exports.lines_of(report, command),
        *(_left_over(report, code) if by_hand else ()),
        *summary,
    ]


def cut(lines: Sequence[str], number: int) -> list[str]:
    """Return the lines, but at most `number`.

    Where lines are left out, the last line says how many, and where they can be read.
    """
    if len(lines) <= number:
        return list(lines)
    kept = lines[: max(0, number - 1)]
    return [*kept, f"… and {len(lines) - len(kept)} more: run `clio-broadly-sync check`"]


def outage(since: datetime) -> str:
    """Return a sentence that says since when Clio or Broadly is out of reach, and what to do.

    `since` is aware, and shown in this machine's zone.
    """
    return (
        f"No run has come through since {output.moment(since, None)}: see that this "
        "machine reaches the internet, and whether Clio or Broadly report an outage."
    )


def _summary(report: Report, *, dry_run: bool) -> str:
    if report.first_run and dry_run:
        return (
            "Dry run: nothing was noted. The first `sync` without --dry-run notes where to start, "
            f"and hands over nobody; what closed before{_how_many(report)} is left to `backfill`."
        )
    if report.first_run:
        return (
            "First run: nobody was handed over. From now on, `sync` hands over what closes; "
            f"for what closed before{_how_many(report)}, there is `backfill`."
        )
    would = "would be handed over" if dry_run else "handed over"
    number = report.to_send if dry_run else report.sent
    skipped = sum(report.skipped.values())
    why = ", ".join(f"{n} {reason}" for reason, n in sorted(report.skipped.items()))
    return (
        f"{output.count(report.matters_read, 'matter')} read: {number} {would}, {skipped} skipped"
        + (f" ({why})" if why else "")
        + f", {report.waiting} waiting."
    )


def _how_many(report: Report) -> str:
    if not report.left_to_backfill:
        return ""
    return f" ({output.count(report.left_to_backfill, 'matter')} in Clio)"


def beside(report: Report) -> Iterator[str]:
    """Yield what a dry run beside another run has left alone."""
    if (number := report.on_their_way) is not None:
        way = output.count(number, "closing is on its way", "closings are on their way")
        yield (
            f"Another run is at work: {way} to Broadly and left alone here; look again when that "
            "run has ended."
        )


def needs(report: Report, *, dry_run: bool) -> Iterator[str]:
    """Yield sentences that say what a person has to do, or would have to after a real run."""
    yield from beside(report)
    yield from report.surge_says
    yield from report.kept_back_says
    if report.held:
        became = "would become" if dry_run else "became"
        yield (
            f"{report.held} {became} held: Broadly's answer was lost, so the client may have been "
            f"asked already. A person decides: `{_LIST} --state held`."
        )
    if report.rejected:
        rejected = output.count(report.rejected, "closing")
        yield (
            f"Broadly rejected {rejected}: put the client's data right in Clio, then send it "
            f"again. Which: `{_LIST} --state dead`."
        )
    if report.objections:
        have = output.count(report.objections, "client has", "clients have")
        yield (
            f"{have} opted out after being sent to Broadly: tell Broadly not to ask them again. "
            "Who: `clio-broadly-sync status`."
        )
    if report.suppressed:
        suppressed = output.count(report.suppressed, "closing")
        yield f"Broadly suppressed {suppressed}: the client does not want to be asked."
    if report.faults:
        wait = output.count(report.faults, "closing waits", "closings wait")
        wait = f"{output.count(report.faults, 'closing')} would wait" if dry_run else wait
        yield (
            f"{wait} because the client is hidden from this sign-in, or a box cannot be read: "
            "give the Clio user of this sign-in access to it."
        )
    if report.undated:
        wait = output.count(report.undated, "closing waits", "closings wait")
        wait = f"{output.count(report.undated, 'closing')} would wait" if dry_run else wait
        yield (
            f"{wait} because the matter was closed without a close date: type it in Clio. "
            f"Which: `{_LIST} --reason no_close_date`."
        )


def _left_over(report: Report, code: int) -> Iterator[str]:
    """Yield that only the same `backfill` goes on with what this one has left."""
    again = "`sync` does not go on with a backfill: run the same one again"
    if report.waiting:
        wait = output.count(report.waiting, "closing waits", "closings wait")
        drop = "clio-broadly-sync outbox drop --command backfill"
        yield f"{wait}, and {again}, or let them go with `{drop}`."
    elif outcome_of(code) in ("unavailable", "interrupted"):
        yield f"{again}."


TABLE_HEAD: Final = f"{'matter':<12}  {'client':<12}  {'closed on':<11}  decision"


def table(closings: Iterable[Closing]) -> Iterator[str]:
    """Yield the lines of a table that says what was decided on each closing, with ids only."""
    for number, closing in enumerate(closings):
        if not number:
            yield TABLE_HEAD
        yield table_line(closing)


def table_line(closing: Closing) -> str:
    decision = decision_of(closing)
    why = f": {decision.reason}" if decision.reason else ""
    verdict = decision.verdict if decision.verdict is not Verdict.SEND else "hand over"
    return (
        f"{closing.key.matter_id:<12}  {closing.contact_id or '-':<12}  "
        f"{output.day(closing.key.closed_on):<11}  {verdict}{why}"
    )


# What is kept back at this moment, whoever it is.


def kept_back_of(context: RunContext) -> tuple[str, ...]:
    """Return what a run says of the closings that wait for the sending hours, if any do."""
    if context.report.kept_back is not Reason.OUTSIDE_HOURS or not context.report.waiting:
        return ()
    opens = context.policy.hours.next_open(context.source.now(), context.zone)
    why = ABOUT[Reason.OUTSIDE_HOURS].why.format(opens=output.moment(opens, context.zone))
    again = ": run the same backfill again from then on"
    is_backfill = context.policy.command is Command.BACKFILL
    return (f"{why[0].upper()}{why[1:]}{again if is_backfill else ''}.",)


# A surge: how many closings wait, how far back their close dates reach, whether they were closed in
# one go, and what to do.


def surge_of(context: RunContext) -> tuple[str, ...]:
    """Return what a run says of the closings that wait for approval; nothing where none does."""
    if not context.report.surge:
        return ()
    surge = context.store.outbox.surge_figures(pipeline.due(context))
    return tuple(surge_lines(surge, context.zone))


def surge_lines(surge: SurgeFigures, zone: tzinfo | None) -> Iterator[str]:
    """Yield what to do, and then what a person needs to know to do it.

    Moments are shown in `zone`, the firm's; None stands for this machine's.
    """
    wait = output.count(surge.waiting, "closing waits", "closings wait")
    yield (
        f"{wait} for a person's yes. Look: "
        "`clio-broadly-sync outbox list --reason surge`, or `clio-broadly-sync sync --dry-run "
        "--yes`. If they are right: `clio-broadly-sync sync --yes`; if not, "
        "drop them for good: `clio-broadly-sync outbox drop --reason surge`."
    )
    yield _why_surge(surge)
    yield from reach(surge, zone)


def reach(surge: SurgeFigures, zone: tzinfo | None) -> Iterator[str]:
    """Yield how far back the close dates reach, and whether they were closed in one go."""
    if surge.oldest is not None and surge.newest is not None:
        reach = f"dates reach from {output.day(surge.oldest)} to {output.day(surge.newest)}"
        if surge.oldest == surge.newest:
            reach = f"date is {output.day(surge.oldest)}"
        yield f"Their close {reach}."
    if surge.first_edit is not None and surge.last_edit is not None and _is_in_one_go(surge):
        who = "All" if surge.together == surge.waiting else f"{surge.together}"
        when = _when_edited(surge.first_edit, surge.last_edit, zone)
        yield (
            f"{who} of them were last edited in Clio {when}: somebody seems "
            "to have closed them in one go."
        )


def _why_surge(surge: SurgeFigures) -> str:
    """Return a sentence that says why the closings wait.

    Closings noticed after a silence are distinguished from too many at once: cron had stopped then,
    and nobody closed too many matters.
    """
    too_many = "Counted with the day before, they are more than SYNC_MAX_NEW lets through in a day"
    if not surge.after_silence:
        return f"{too_many}."
    if surge.after_silence == surge.waiting:
        return f"They were {SILENCE}"
    return f"{too_many}; {surge.after_silence} of them were {SILENCE}"


def _is_in_one_go(surge: SurgeFigures) -> bool:
    return surge.together >= FEWEST_TOGETHER and 2 * surge.together >= surge.waiting


def _when_edited(first: datetime, last: datetime, zone: tzinfo | None) -> str:
    """Return words such as `within 4 minutes (21 Nov 2026, 09:12 to 09:16)`."""
    if last - first <= timedelta(minutes=1):
        return f"within a minute ({output.moment(first, zone)})"
    minutes = -((first - last) // timedelta(minutes=1))
    until = last.astimezone(zone)
    same_day = until.date() == first.astimezone(zone).date()
    end = f"{until:%H:%M}" if same_day else output.moment(last, zone)
    return f"within {minutes} minutes ({output.moment(first, zone)} to {end})"
