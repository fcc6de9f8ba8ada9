"""What is decided on closings whose matter was read again, before they are sent."""

from collections.abc import Mapping, Sequence

from clio_broadly_sync.domain import lifecycle
from clio_broadly_sync.domain.model import Closing, Matter
from clio_broadly_sync.pipeline.context import RunContext


def decided_again(
    context: RunContext, closings: Sequence[Closing], matters: Mapping[int, Matter]
) -> dict[Closing, lifecycle.MatterRead]:
    """Decide again on these closings by their matters.

    One that would move to a date which is a closing already is no closing any more.
    """
    at = context.at()
    looks: dict[Closing, lifecycle.MatterRead] = {}
    taken = {c.key for several in context.store.ledger.known(matters).values() for c in several}
    for closing in closings:
        matter = matters.get(closing.key.matter_id)
        look = lifecycle.gone(closing)
        if matter is not None:
            look = lifecycle.matter_read(closing, matter, context.policy, at, again=True)
        if look.closing.key != closing.key and look.closing.key in taken:
            look = lifecycle.gone(closing)
        taken.add(look.closing.key)
        looks[closing] = look
    return looks
