"""The daily look: closings that were skipped are read again, and so are clients who were sent.

What it decides is in `domain/daily_look.py`, and how it decides in `pipeline/second_look.py`.
"""

from collections.abc import Callable, Sequence
from typing import Final

from clio_broadly_sync.domain import daily_look, rules
from clio_broadly_sync.domain.daily_look import OBJECTS, Part
from clio_broadly_sync.domain.model import Closing
from clio_broadly_sync.pipeline.context import RunContext
from clio_broadly_sync.pipeline.noes import note_noes
from clio_broadly_sync.pipeline.second_look import SecondLook, goes
from clio_broadly_sync.store.daily_look import AT_ONCE

MOST_CHUNKS: Final = 20
"""A run looks at no more chunks of each part; a chunk is one request of each kind, beside those for
noes that have to be read again. The next run goes on."""


def look(context: RunContext, *, stale: bool) -> int:
    """Look at what is due to be looked at, and return how many closings that makes pending.

    Each chunk is kept by itself. What could not be looked at, because an error ended it or the
    run's time was over, is left to the next run. With `stale`, what is found waits for a person.
    """
    found = 0

    def skipped(closings: Sequence[Closing]) -> None:
        nonlocal found
        found += _look_at_skipped(context, closings, stale=stale)

    first = daily_look.earliest(context.policy, context.at().today)
    policy, listed = context.policy, context.store.daily_look
    _walk(context, Part.SKIPPED, lambda after: listed.skipped(policy, first, after), skipped)
    since = context.source.now() - OBJECTS
    boxed = context.fields.opt_out is not None
    _walk(
        context,
        Part.SENT,
        lambda after: listed.sent(since, after) if boxed else [],
        lambda closings: _look_at_sent(context, closings),
    )
    return found


def is_due(context: RunContext) -> bool:
    """Tell whether there is a part of the look that is due."""
    return any(_is_due(context, part) for part in Part)


def _is_due(context: RunContext, part: Part) -> bool:
    first_run, looked = context.store.first_run, context.store.looked(part)
    return first_run is not None and daily_look.is_due(looked, first_run, context.source.now())


def _walk(
    context: RunContext,
    part: Part,
    listed: Callable[[int], list[Closing]],
    look_at: Callable[[Sequence[Closing]], None],
) -> None:
    """Look at one part, from where it stopped on; note how far that came, or that it is done.

    `listed` returns the chunk after the closing with a number.
    """
    if not _is_due(context, part):
        return
    store = context.store
    after = store.looked(part).after
    for _ in range(MOST_CHUNKS):
        if context.seconds_left() <= 0:
            return
        closings = listed(after)
        if closings:
            context.check_fields(rules.FRESH)
            look_at(closings)
        if len(closings) < AT_ONCE:
            store.note_look(part, done_at=context.source.now())
            return
        after = closings[-1].number
        store.note_look(part, after=after)


def _look_at_skipped(context: RunContext, closings: Sequence[Closing], *, stale: bool) -> int:
    """Decide anew on these closings; return how many go now."""
    matters = context.source.matters({c.key.matter_id for c in closings}, context.fields)
    second = SecondLook(
        source=context.source,
        ledger=context.store.ledger,
        policy=context.policy,
        fields=context.fields,
        at=lambda: context.at(stale=stale),
    )
    pairs = second.decide(closings, matters)
    context.record_decisions(pairs)
    return sum(goes(now) for _, now in pairs)


def _look_at_sent(context: RunContext, closings: Sequence[Closing]) -> None:
    """Read the clients of these closings again, so that those who opted out are recorded."""
    ids = {closing.contact_id for closing in closings if closing.contact_id is not None}
    contacts = context.source.contacts(ids, context.fields)
    note_noes(context.source, context.store.ledger.noes, context.fields, ids, contacts)
