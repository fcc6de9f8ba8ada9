"""Clients who opted out after being sent to Broadly, as `status` names them and `explain` tells."""

from collections.abc import Iterator, Sequence
from datetime import datetime, tzinfo
from typing import Final

from clio_broadly_sync.cli import output
from clio_broadly_sync.cli.output import PROGRAM
from clio_broadly_sync.domain.daily_look import OBJECTS
from clio_broadly_sync.store.objections import Objection

NAMED: Final = 20
"""At most so many are named for a person."""
_TELL: Final = "tell Broadly not to ask them again"


SEEN_NOW: Final = f"The client has opted out since, as Clio shows it now: {_TELL}."


def lines(found: Sequence[Objection], zone: tzinfo | None) -> Iterator[str]:
    """Yield the matters and clients, by their ids, and what to do; moments are shown in `zone`."""
    if not found:
        return
    days = OBJECTS.days
    yield from ("", f"Opted out after being sent to Broadly, in the last {days} days: {len(found)}")
    for one in found[:NAMED]:
        sent, noticed = output.moment(one.sent_at, zone), output.moment(one.read_at, zone)
        yield f"  matter {one.matter_id}, client {one.contact_id}"
        yield f"        sent on {sent}, noticed on {noticed}"
    if len(found) > NAMED:
        yield f"  … and {len(found) - NAMED} more: `{PROGRAM} status --json`"
    yield f"      → {_TELL}"


def sentence(noticed_at: datetime, zone: tzinfo | None) -> str:
    """Say of one closing that its client has opted out, as was noticed at that moment."""
    return (
        f"The client has opted out since (noticed on {output.moment(noticed_at, zone)}): {_TELL}."
    )
