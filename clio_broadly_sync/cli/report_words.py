"""A run's report in words and as JSON; how it is counted is in `pipeline/report.py`."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Any, Final, NamedTuple

from clio_broadly_sync import pipeline
from clio_broadly_sync.cli import exports, output
from clio_broadly_sync.domain.errors import (
    ATTENTION,
    OK,
    Cause,
    SyncError,
    outcome_of,
    without_next_run,
)
from clio_broadly_sync.domain.model import Closing, Command
from clio_broadly_sync.domain.reasons import ABOUT, Reason
from clio_broadly_sync.pipeline.context import RunContext
from clio_broadly_sync.pipeline.report import Report, decision_of
from clio_broadly_sync.store import SurgeFigures

FEWEST_TOGETHER = 10
"""Edits within minutes are worth a sentence where there are at least so many, and they are at least
half of all; fewer of them are only a busy hour."""
SILENCE: Final = (
    "noticed after a silence of more than three days (cron had stopped, or an old copy of the "
    "state is in use)"
)
"""A part of a sentence about closings that wait because the watermark was stale."""
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


class Given(NamedTuple):
    """What the words about a run need to know, beside its report."""

    command: Command
    dry_run: bool = False
    to_file: bool = False
    """Whether clients are written into a file, and not sent."""
    opt_in: str = "SendBroadlyThankYou"
    """The name of the matter's checkbox."""


def results(report: Report, code: int, given: Given) -> list[str]:
    """Return lines that say what a person has to do, and then what the run did.

    `code` is the run's exit code. Of a `sync` that failed, it is not said what it did, because the
    next one goes on.
    """
    command, dry_run = given.command, given.dry_run
    by_hand = command is Command.BACKFILL and not dry_run
    has_figures = code in (OK, ATTENTION) or (by_hand and report.matters_read > 0)
    summary = [_summary(report, given)] if has_figures else []
    return [
        *needs(report, given),
        *exports.lines_of(report, command),
        *(_left_over(report, code) if by_hand else ()),
        *summary,
    ]


def error_lines(error: SyncError | None, command: Command) -> list[str]:
    """Return what is said of the error that ended the run, if one did.

    After a backfill, no run comes by itself.
    """
    lines = str(error).splitlines() if error is not None else []
    is_backfill = command is Command.BACKFILL
    return [without_next_run(line) if is_backfill else line for line in lines]


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


def _summary(report: Report, given: Given) -> str:
    if report.first_run and given.dry_run:
        return (
            "Dry run: nothing was noted. The first `sync` without --dry-run notes where to start, "
            f"and sends nobody; what closed before{_how_many(report)} is left to `backfill`."
        )
    if report.first_run:
        from_now_on = (
            "notes whose matters close, and `sync --csv FILE` writes them into a file"
            if given.to_file
            else "sends the clients of what closes"
        )
        return (
            f"First run: nobody was sent to Broadly. From now on, `sync` {from_now_on}; what "
            f"closed before{_how_many(report)} is left to `backfill`."
        )
    figures = [*_figures(report, given)]
    total = sum(number for number, _ in figures)
    if not total and given.command is Command.BACKFILL:
        return "No matter was closed in these days: nothing to do."
    if not total:
        return "No newly closed matter: nothing to do."
    parts = "; ".join(words for number, words in figures[1:] if number)
    looked = f"{output.count(total, 'closed matter')} looked at: {figures[0][1]}"
    return f"{looked}; {parts}." if parts else f"{looked}."


def _figures(report: Report, given: Given) -> Iterator[tuple[int, str]]:
    """Yield how many closings came to each end, and words for it; together they are all of them."""
    sent = report.to_send if given.dry_run else report.sent
    where = "written into a file" if given.to_file else "sent to Broadly"
    who = output.count(sent, "client") if sent else "nobody"
    yield sent, f"{who} would be {where}" if given.dry_run else f"{who} {where}"
    skipped = sum(report.skipped.values())
    yield skipped, f"{skipped} not ({_why(report, given.opt_in)})"
    yield report.suppressed, f"{report.suppressed} {Reason.SUPPRESSED.label}"
    yield report.rejected, f"{report.rejected} rejected"
    yield report.held, f"{report.held} held"
    yield report.waiting, output.count(report.waiting, "waits", "wait")
    yield report.known, output.count(report.known, "was known already", "were known already")


def _why(report: Report, opt_in: str) -> str:
    """Return why closings were skipped, the most frequent reason first."""
    counted = sorted(report.skipped.items(), key=lambda one: (-one[1], Reason(one[0]).label))
    return ", ".join(f"{number} {Reason(reason).named(opt_in)}" for reason, number in counted)


def _how_many(report: Report) -> str:
    if not report.left_to_backfill:
        return ""
    return f" ({output.count(report.left_to_backfill, 'matter')} in Clio)"


def beside(report: Report) -> Iterator[str]:
    """Yield what a dry run beside another run has left alone."""
    if (number := report.on_their_way) is not None:
        way = output.count(number, "client is on the way", "clients are on the way")
        yield (
            f"Another run is at work: {way} to Broadly and left alone here; look again when that "
            "run has ended."
        )


def needs(report: Report, given: Given) -> Iterator[str]:
    """Yield sentences that say what a person has to do, or would have to after a real run."""
    dry_run = given.dry_run
    yield from beside(report)
    yield from report.surge_says
    yield from report.kept_back_says
    if report.held:
        yield _held(report, given)
    if report.rejected:
        rejected = output.count(report.rejected, "client")
        yield (
            f"Broadly rejected {rejected}: correct the e-mail or phone in Clio, then send again. "
            f"Which: `{_LIST} --state rejected`."
        )
    if report.objections:
        have = output.count(report.objections, "client has", "clients have")
        yield (
            f"{have} opted out after being sent to Broadly: tell Broadly not to ask them again. "
            "Who: `clio-broadly-sync status`."
        )
    if report.suppressed:
        suppressed = output.count(report.suppressed, "client has", "clients have")
        are = "is" if report.suppressed == 1 else "are"
        yield f"{suppressed} unsubscribed at Broadly, and {are} not asked there: nothing to do."
    if report.faults:
        yield (
            f"{_wait(report.faults, dry_run)} because the client is hidden from this sign-in, or a "
            "box cannot be read: give the Clio user of this sign-in access. See: "
            "`clio-broadly-sync status`."
        )
    if report.undated:
        yield (
            f"{_wait(report.undated, dry_run)} because the matter was closed without a close date: "
            f"type it in Clio. Which: `{_LIST} --reason no_close_date`."
        )


def _wait(number: int, dry_run: bool) -> str:
    if dry_run:
        return f"{output.count(number, 'closed matter')} would wait"
    return output.count(number, "closed matter waits", "closed matters wait")


def _held(report: Report, given: Given) -> str:
    """Return what a person has to know of those that became held: after what, and what to do."""
    clients = output.count(report.held, "client")
    if given.to_file:
        held = "would be held" if given.dry_run else "held"
        return f"{clients} {held}: they may be in a file or not. Look: `{_LIST} --state held`."
    if given.dry_run:
        return (
            f"{clients} would be held: Broadly's answer was lost, so it may have taken them or "
            f"not. Look: `{_LIST} --state held`."
        )
    after = output.count(report.held, "client was", "clients were")
    return (
        f"{_lost(report.held_after)} after {after} sent. It may have taken them or not, so they "
        f"are held: `{_LIST} --state held`."
    )


def _lost(causes: Collection[str | None]) -> str:
    """Return what became of Broadly's answer, where it is the same for all."""
    cause = next(iter(causes), None) if len(causes) == 1 else None
    if cause is not None and cause.startswith("http_"):
        return f"Broadly answered with an error ({cause.removeprefix('http_')})"
    if cause == Cause.TIMEOUT:
        return "Broadly did not answer in time"
    return "Broadly's answer was lost"


def _left_over(report: Report, code: int) -> Iterator[str]:
    """Yield that only the same `backfill` goes on with what this one has left."""
    again = "`sync` does not go on with a backfill: run the same one again"
    if report.waiting:
        wait = output.count(report.waiting, "closed matter waits", "closed matters wait")
        drop = "clio-broadly-sync outbox drop --command backfill"
        yield f"{wait}, and {again}, or leave them out with `{drop}`."
    elif outcome_of(code) in ("unavailable", "interrupted"):
        yield f"{again}."


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
    return tuple(surge_lines(surge, context.zone, context.policy.max_new))


def surge_lines(surge: SurgeFigures, zone: tzinfo | None, max_new: int) -> Iterator[str]:
    """Yield how many wait and what to do, and then what a person needs to know to do it.

    Moments are shown in `zone`, the firm's; None stands for this machine's. `max_new` is how many
    may go in a day.
    """
    why, *more = surge_reasons(surge, zone, max_new)
    yield (
        f"{why} Look at them: `{_LIST} --reason surge`. Send them: `clio-broadly-sync sync --yes`. "
        "Leave them out: `clio-broadly-sync outbox drop --reason surge`."
    )
    yield from more


def surge_reasons(surge: SurgeFigures, zone: tzinfo | None, max_new: int) -> Iterator[str]:
    """Yield why closings wait, how far back their dates reach, and whether all came in one go."""
    yield _why_surge(surge, max_new)
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


def _why_surge(surge: SurgeFigures, max_new: int) -> str:
    """Return a sentence that says how many closings wait, and why.

    Closings noticed after a silence are distinguished from too many at once: cron had stopped then,
    and nobody closed too many matters.
    """
    number = output.count(surge.waiting, "closed matter")
    if surge.after_silence == surge.waiting:
        were = output.count(surge.waiting, "closed matter was", "closed matters were")
        return f"{were} {SILENCE}, so nobody was sent."
    limit = f"the limit is {max_new} a day (SYNC_MAX_NEW)"
    if surge.waiting <= max_new:
        limit = f"with those of the last 24 hours that is over {max_new} (SYNC_MAX_NEW)"
    part = f"; {surge.after_silence} of them were {SILENCE}" if surge.after_silence else ""
    return f"{number} would go at once; {limit}{part}."


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
