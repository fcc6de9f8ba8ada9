"""Is all well? The one sentence that a person reads first, and what to do where it is not."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final, NamedTuple

from clio_broadly_sync.report.figures import DayState, Figures
from clio_broadly_sync.report.table import count

_ASKS_AFTER: Final = timedelta(hours=72)
"""After so long a silence, what closed meanwhile waits for a person (SYNC_MAX_NEW)."""
_FIRST_STEPS: Final = (
    "Run `clio-broadly-sync sync` once; it notes where to start.",
    "Let cron run it from then on: `clio-broadly-sync schedule cron` prints the line.",
)


class Verdict(NamedTuple):
    """Whether all is well."""

    kind: str
    """`well`, `waits` or `wrong`."""
    bold: str
    more: str = ""
    steps: Sequence[str] = ()
    """What to do, one after the other."""
    see: str = ""
    """The words of the link to the list of those who wait; empty where there is no list."""


def verdict(figures: Figures) -> Verdict:
    """Say whether something is wrong, somebody has to do something, or all is well."""
    waiting = figures.for_a_person.closings
    see = f"See the {waiting:,}" if waiting > 1 else "See who" if waiting else ""
    them = count(waiting, "client waits", "clients wait") + " for a person"
    if wrong := _wrong(figures):
        also = f", and {them}" if waiting else ""
        bold = f"Something is wrong: {wrong}{also}."
        return Verdict("wrong", bold, steps=[*_steps(figures)], see=see)
    if figures.known_until is None:
        return Verdict("waits", "The program has not run yet.", steps=_FIRST_STEPS, see=see)
    if waiting:
        ran = f"Otherwise all is well{_every_day(figures)}."
        return Verdict("waits", f"{them}.", ran, see=see)
    return Verdict("well", "All well.", "Nothing needs a person.")


def _wrong(figures: Figures) -> str:
    if figures.silent_since is not None:
        silent = figures.made_at - figures.silent_since
        hours = int(silent / timedelta(hours=1))
        long = count(silent.days, "day", "days") if silent.days else count(hours, "hour", "hours")
        return f"the program has been silent for {long}"
    return "the last run failed" if figures.last_failure else ""


def _steps(figures: Figures) -> Iterator[str]:
    if figures.silent_since is not None:
        yield (
            "Start it again. On the computer it runs on, `clio-broadly-sync status` says what it "
            "knows; `clio-broadly-sync schedule cron` shows the line that should be in the crontab."
        )
    if figures.last_failure:
        yield f"Why the last run failed: {figures.last_failure}"
    since = figures.silent_since
    if since is not None and figures.made_at - since > _ASKS_AFTER:
        yield (
            "After so long a silence it asks before it sends: look with "
            "`clio-broadly-sync sync --dry-run`, then say `clio-broadly-sync sync --yes`."
        )


def _every_day(figures: Figures) -> str:
    ran = all(day.runs for day in figures.days if day.state is not DayState.NOT_YET)
    return ": the program ran every day" if figures.days and ran else ""
