"""What the surge stop says: how many wait, how far back they reach, who closed them, what to do."""

from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo

from clio_broadly_sync import pipeline
from clio_broadly_sync.cli import report_words as words
from clio_broadly_sync.cli import times
from clio_broadly_sync.pipeline.context import Job
from clio_broadly_sync.store import Crowd

FEWEST_TOGETHER = 10
"""So many edits within minutes, and half of all, are told; fewer are a busy hour."""


def spoken(job: Job) -> tuple[str, ...]:
    """Return what is to be said after a run; nothing where nobody waits for approval."""
    if not job.report.surge:
        return ()
    return tuple(lines(job.store.outbox.crowd(pipeline.due(job)), job.zone))


def lines(crowd: Crowd, zone: tzinfo | None) -> Iterator[str]:
    """Say what to do, and then what a person needs to know to do it; moments in the firm's zone."""
    wait = words.count(crowd.waiting, "closing waits", "closings wait")
    yield (
        f"{wait} for a person's yes. Look: `clio-broadly-sync outbox list --reason surge`, or "
        "`clio-broadly-sync sync --dry-run --yes`. If they are right: `clio-broadly-sync sync "
        "--yes`; if not, drop them for good: `clio-broadly-sync outbox drop --reason surge`."
    )
    yield _why(crowd)
    if crowd.oldest is not None and crowd.newest is not None:
        reach = f"dates reach from {times.day(crowd.oldest)} to {times.day(crowd.newest)}"
        if crowd.oldest == crowd.newest:
            reach = f"date is {times.day(crowd.oldest)}"
        yield f"Their close {reach}."
    if crowd.first_edit is not None and crowd.last_edit is not None and _is_in_one_go(crowd):
        who = "All" if crowd.together == crowd.waiting else f"{crowd.together}"
        when = _when(crowd.first_edit, crowd.last_edit, zone)
        yield (
            f"{who} of them were last edited in Clio {when}: somebody seems "
            "to have closed them in one go."
        )


def _why(crowd: Crowd) -> str:
    """A silence is told apart from a crowd: then cron had stopped, and nobody closed too many."""
    too_many = "Counted with the day before, they are more than SYNC_MAX_NEW lets through in a day"
    if not crowd.after_silence:
        return f"{too_many}."
    silence = (
        "noticed after a silence of more than three days (cron had stopped, or an old copy of "
        "the state is in use)."
    )
    if crowd.after_silence == crowd.waiting:
        return f"They were {silence}"
    return f"{too_many}; {crowd.after_silence} of them were {silence}"


def _is_in_one_go(crowd: Crowd) -> bool:
    return crowd.together >= FEWEST_TOGETHER and 2 * crowd.together >= crowd.waiting


def _when(first: datetime, last: datetime, zone: tzinfo | None) -> str:
    """Write `within 4 minutes (21 Nov 2026, 09:12 to 09:16)`."""
    if last - first <= timedelta(minutes=1):
        return f"within a minute ({times.moment(first, zone)})"
    minutes = -((first - last) // timedelta(minutes=1))
    until = last.astimezone(zone)
    same_day = until.date() == first.astimezone(zone).date()
    end = f"{until:%H:%M}" if same_day else times.moment(last, zone)
    return f"within {minutes} minutes ({times.moment(first, zone)} to {end})"
