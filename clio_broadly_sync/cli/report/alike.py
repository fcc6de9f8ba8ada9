"""`report --by`: asks Clio whose the matters are, and forgets it when the report is made."""

import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final

import click

from clio_broadly_sync.cli import names, output, progress
from clio_broadly_sync.domain.funnel import Step, missed
from clio_broadly_sync.domain.grouping import Belonging, By
from clio_broadly_sync.report.alike import Alike, CouldBeAsked, alike
from clio_broadly_sync.settings import Settings
from clio_broadly_sync.store import Store
from clio_broadly_sync.store.periods import Told
from clio_broadly_sync.transport.signals import Stop

AT_ONCE: Final = 100
"""One request asks Clio for no more matters."""
UNASKED: Final = 2_000
"""So many closings are looked up without a question: that takes Clio some 20 requests."""
PATIENCE_SECONDS: Final = 120.0
"""At most so many seconds are spent on one wait for Clio, which allows 50 requests a minute."""


def could_be_asked(closings: Iterable[Told]) -> list[CouldBeAsked]:
    """Return those of the closings whose clients could be asked."""
    found = []
    for told in closings:
        closing = told.closing
        step = missed(closing.state, closing.reason, in_doubt=closing.in_doubt)
        if step is None or step > Step.COULD_BE_ASKED:
            tried = step is None or step > Step.TRIED
            found.append(CouldBeAsked(closing.key.matter_id, tried))
    return found


def of(
    closings: Sequence[CouldBeAsked],
    by: Sequence[By],
    settings: Settings,
    store: Store,
    stop: Stop,
) -> list[Alike]:
    """Return whether all are asked alike, for each way of grouping.

    Clio is asked for the attorneys or practice areas of these closings' matters, which are kept no
    longer than this takes. Raise SyncError where it does not answer.
    """
    matters = sorted({closing.matter_id for closing in closings})
    belonging = _belonging(matters, by, settings, store, stop) if matters else {}
    return [alike(one, closings, belonging, settings.sync_rule) for one in by]


def agree(closings: int, stop: Stop, *, yes: bool) -> bool:
    """Return whether so many closings may be looked up in Clio; ask where they are many.

    Raise UsageError where nobody can be asked.
    """
    if closings <= UNASKED or yes:
        return True
    requests = -(-closings // AT_ONCE)
    many = f"{closings:,} closed matters would be looked up in Clio, in {requests:,} requests"
    if sys.stdin is None or not sys.stdin.isatty():
        raise click.UsageError(f"{many}: add --yes, or name a shorter period.")
    with suppress(click.Abort), output.patience(stop):
        return output.agreed(f"{many} (it allows 50 a minute). Go on?")
    return False


def _belonging(
    matters: Sequence[int], by: Sequence[By], settings: Settings, store: Store, stop: Stop
) -> dict[int, Belonging]:
    line = progress.of_a_run("Reading whose they are", drawn=sys.stderr.isatty())
    try:
        source = names.clio_of(settings, store, stop, PATIENCE_SECONDS, line.waiting)
        found: dict[int, Belonging] = {}
        for first in range(0, len(matters), AT_ONCE):
            found |= source.belonging(matters[first : first + AT_ONCE], by)
            line.matters_read(min(first + AT_ONCE, len(matters)))
        return found
    finally:
        line.finish()
