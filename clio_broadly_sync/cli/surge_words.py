"""What the surge stop says: how many wait, how far back they reach, who closed them, what to do."""

from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo

from clio_broadly_sync import pipeline
from clio_broadly_sync.cli import report_words as words
from clio_broadly_sync.cli import times
from clio_broadly_sync.pipeline.context import RunContext
from clio_broadly_sync.store import SurgeFigures

FEWEST_TOGETHER = 10
"""So many edits within minutes, and half of all, are told; fewer are a busy hour."""


def spoken(context: RunContext) -> tuple[str, ...]:
    """Return what is to be said after a run; nothing where nobody waits for approval."""
    if not context.report.surge:
        return ()
    return tuple(lines(context.store.outbox.surge_figures(pipeline.due(context)), context.zone))


def lines(surge: SurgeFigures, zone: tzinfo | None) -> Iterator[str]:
    """Say what to do, and then what a person needs to know to do it; moments in the firm's zone."""
    wait = words.count(surge.waiting, "closing waits", "closings wait")
    yield (
        f"{wait} for a person's yes. Look: `clio-broadly-sync outbox list --reason surge`, or "
        "`clio-broadly-sync sync --dry-run --yes`. If they are right: `clio-broadly-sync sync "
        "--yes`; if not, drop them for good: `clio-broadly-sync outbox drop --reason surge`."
    )
    yield _why(surge)
    if surge.oldest is not None and surge.newest is not None:
        reach = f"dates reach from {times.day(surge.oldest)} to {times.day(surge.newest)}"
        if surge.oldest == surge.newest:
            reach = f"date is {times.day(surge.oldest)}"
        yield f"Their close {reach}."
    if surge.first_edit is not None and surge.last_edit is not None and _is_in_one_go(surge):
        who = "All" if surge.together == surge.waiting else f"{surge.together}"
        when = _when(surge.first_edit, surge.last_edit, zone)
        yield (
            f"{who} of them were last edited in Clio {when}: somebody seems "
            "to have closed them in one go."
        )


def _why(surge: SurgeFigures) -> str:
    """A silence is told apart from a crowd: then cron had stopped, and nobody closed too many."""
    too_many = "Counted with the day before, they are more than SYNC_MAX_NEW lets through in a day"
    if not surge.after_silence:
        return f"{too_many}."
    silence = (
        "noticed after a silence of more than three days (cron had stopped, or an old copy of "
        "the state is in use)."
    )
    if surge.after_silence == surge.waiting:
        return f"They were {silence}"
    return f"{too_many}; {surge.after_silence} of them were {silence}"


def _is_in_one_go(surge: SurgeFigures) -> bool:
    return surge.together >= FEWEST_TOGETHER and 2 * surge.together >= surge.waiting


def _when(first: datetime, last: datetime, zone: tzinfo | None) -> str:
    """Write `within 4 minutes (21 Nov 2026, 09:12 to 09:16)`."""
    if last - first <= timedelta(minutes=1):
        return f"within a minute ({times.moment(first, zone)})"
    minutes = -((first - last) // timedelta(minutes=1))
    until = last.astimezone(zone)
    same_day = until.date() == first.astimezone(zone).date()
    end = f"{until:%H:%M}" if same_day else times.moment(last, zone)
    return f"within {minutes} minutes ({times.moment(first, zone)} to {end})"
