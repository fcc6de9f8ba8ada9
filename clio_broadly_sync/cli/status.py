"""How the state stands, in short lines for a person and as JSON."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from clio_broadly_sync.cli import report_words as words
from clio_broadly_sync.cli import times
from clio_broadly_sync.cli.explain.sentences import PROGRAM
from clio_broadly_sync.cli.status_standing import Standing
from clio_broadly_sync.domain.errors import is_failure, outcome_of
from clio_broadly_sync.domain.model import Command
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.store.overview import Group, PastRun

_OUTBOX: Final = f"{PROGRAM} outbox"
_ACCESS: Final = "give the Clio user of this sign-in access to it"

WAITS: Final[Mapping[Reason | None, str]] = {
    None: "nothing speaks against them; they go with the next run",
    Reason.SETTLING: "they rest for SYNC_SETTLE_HOURS, then go by themselves",
    Reason.SURGE: "too many at once, or after a long silence: a person looks first",
    Reason.UNAVAILABLE: "the last try broke off; the next run tries again",
    Reason.RETRY: "Broadly asked to try again later",
    Reason.UNKNOWN_OUTCOME: "Broadly's answer was lost; they are tried again",
    Reason.CONTACT_HIDDEN: "Clio hides the contact from this sign-in",
    Reason.UNREADABLE_FIELD: "a box or a record in Clio cannot be read",
}
"""Why closings wait."""

TO_DO: Final[Mapping[Reason | None, Sequence[str]]] = {
    Reason.SURGE: (
        f"look at them: `{_OUTBOX} list --reason surge`",
        f"all is right: `{PROGRAM} sync --yes`",
        f"it is not: `{_OUTBOX} drop --reason surge`",
    ),
    Reason.CONTACT_HIDDEN: (_ACCESS, f"which: `{_OUTBOX} list --reason contact_hidden`"),
    Reason.UNREADABLE_FIELD: (_ACCESS, f"which: `{_OUTBOX} list --reason unreadable_field`"),
}
"""What a person does about what waits for one."""


def lines(standing: Standing) -> Iterator[str]:
    """Yield what needs a person first, then how far it has come."""
    yield from _summary(standing)
    yield from _how_far(standing)
    yield from _runs(standing)
    yield from _waiting(standing)
    yield from _outcomes(standing)
    yield from _days(standing)


def as_object(standing: Standing | None, outcome: str) -> dict[str, Any]:
    """Return the JSON object; nothing but the outcome where the state could not be read."""
    head = {"command": "status", "outcome": outcome}
    if standing is None:
        return head
    mark, last = standing.watermark, standing.last_sync
    return head | {
        "for_a_person": standing.for_a_person,
        "rule": standing.rule,
        "first_run": times.iso(standing.first_run),
        "start_day": standing.start_day and standing.start_day.isoformat(),
        "watermark": times.iso(mark),
        "watermark_age_seconds": mark and int((standing.now - mark).total_seconds()),
        "last_sync": last and times.iso(last.started_at),
        "cron_seems_to_run": None if last is None else not standing.is_silent,
        "at_work": standing.at_work,
        "runs": [_run_object(run) for run in standing.runs],
        "waiting": [_group_object(group) for group in standing.waiting],
        "sending": [_group_object(group) for group in standing.sending],
        "held": [_group_object(group) for group in standing.held],
        "dead": [_group_object(group) for group in standing.dead],
        "handed_over": [
            {"day": day.isoformat(), "closings": closings} for day, closings in standing.days
        ],
    }


def _summary(standing: Standing) -> Iterator[str]:
    if not standing.runs:
        yield "No run yet: the first `sync` notes where to start, and hands over nobody."
    elif standing.for_a_person:
        waits = words.count(standing.for_a_person, "closing waits", "closings wait")
        yield f"{waits} for a person: see → below."
    else:
        yield "No closing waits for a person."
    last = standing.last_sync
    if last is not None and last.exit_code is not None and is_failure(last.exit_code):
        ended = f"{outcome_of(last.exit_code)} ({last.exit_code})"
        yield f"The last `sync` failed: {ended}. Why: `{PROGRAM} check`."
    if standing.is_silent:
        yield "Cron does not seem to run `sync`: look at its line with `crontab -l`."


def _how_far(standing: Standing) -> Iterator[str]:
    yield ""
    if standing.watermark is None:
        yield "Watermark  none yet: no `sync` has run"
    else:
        yield f"Watermark  {_ago(standing.watermark, standing)}; all before it is recorded"
    since = standing.start_day
    yield f"Rule       {standing.rule}" + (f", start day {times.day(since)}" if since else "")
    if standing.last_sync is not None:
        yield f"Last sync  {_ago(standing.last_sync.started_at, standing)}"


def _runs(standing: Standing) -> Iterator[str]:
    if standing.runs:
        yield from ("", "Last runs")
    for number, run in enumerate(standing.runs):
        began = times.moment(run.started_at, standing.zone)
        yield f"  {began:<18}  {run.command:<8}  {_ended(run, standing.at_work and not number)}"


def _ended(run: PastRun, at_work: bool) -> str:
    if run.exit_code is None or run.finished_at is None:
        return "at work" if at_work else "cut short; the next run puts its work in order"
    took = times.length(run.finished_at - run.started_at)
    code = f" ({run.exit_code})" if run.exit_code else ""
    return f"{outcome_of(run.exit_code)}{code}, {took}"


def _waiting(standing: Standing) -> Iterator[str]:
    if standing.waiting or standing.sending:
        yield from ("", "Waiting")
    for group in standing.waiting:
        yield _row(group, _why(group))
        yield _since(group, standing)
        if group.command is Command.BACKFILL:
            yield _do("run the same backfill again: no other run takes them; or drop them:")
            yield _do(f"`{_OUTBOX} drop --command backfill`")
        for text in TO_DO.get(group.reason, ()):
            yield _do(text)
    for group in standing.sending:
        yield _row(group, "on their way; if no run is at work, the next one settles it")


def _why(group: Group) -> str:
    """Say why they wait; no run of cron goes on with what a backfill left."""
    if group.command is Command.BACKFILL and group.reason in (None, Reason.UNAVAILABLE):
        return "of a backfill that did not come to its end"
    return WAITS.get(group.reason, str(group.reason))


def _outcomes(standing: Standing) -> Iterator[str]:
    for name, groups, text in (
        ("Held", standing.held, "perhaps handed over: Broadly's answer was lost"),
        ("Dead letters", standing.dead, "rejected by Broadly, or put off too often"),
    ):
        if groups:
            yield from ("", name)
        for group in groups:
            yield _row(group, text)
            yield _since(group, standing)
        if groups:
            word = "held" if name == "Held" else "dead"
            yield _do(f"look at them: `{_OUTBOX} list --state {word}`")
            yield _do(f"send them again: `{_OUTBOX} resend --state {word}`")
            yield _do(f"or let them go: `{_OUTBOX} drop --state {word}`")


def _days(standing: Standing) -> Iterator[str]:
    total = sum(closings for _, closings in standing.days)
    yield from ("", f"Handed over in the last {len(standing.days)} days: {total}")
    for day, closings in standing.days if total else ():
        yield f"  {times.day(day):>11}  {closings:>6}"


def _row(group: Group, text: str) -> str:
    return f"{group.closings:>6}  {text}"


def _since(group: Group, standing: Standing) -> str:
    reason = f"{group.reason}, " if group.reason is not None else ""
    return f"        {reason}{group.command}; the oldest since {_on(group.oldest, standing)}"


def _do(text: str) -> str:
    return f"      → {text}"


def _ago(at: datetime, standing: Standing) -> str:
    passed: timedelta = standing.now - at
    return f"{_on(at, standing)} ({times.length(passed)} ago)"


def _on(at: datetime, standing: Standing) -> str:
    return times.moment(at, standing.zone)


def _run_object(run: PastRun) -> dict[str, Any]:
    ended = run.finished_at
    return {
        "run": run.run,
        "command": run.command,
        "started_at": times.iso(run.started_at),
        "finished_at": times.iso(ended),
        "seconds": None if ended is None else int((ended - run.started_at).total_seconds()),
        "exit_code": run.exit_code,
        "outcome": None if run.exit_code is None else outcome_of(run.exit_code),
    }


def _group_object(group: Group) -> dict[str, Any]:
    return {
        "command": group.command,
        "reason": group.reason,
        "closings": group.closings,
        "oldest": times.iso(group.oldest),
    }
