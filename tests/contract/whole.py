"""A state in which a closing has come to every end that there is, and others are on their way."""

from datetime import timedelta
from typing import Final

from factories import NOW, make_candidate, make_closing, start
from ledgers import allow, claim, put, settle

from clio_broadly_sync.domain import lifecycle
from clio_broadly_sync.domain.daily_look import Part
from clio_broadly_sync.domain.model import Outcome
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.store import Place, Selection, Store

LATER: Final = NOW + timedelta(hours=1)
WAITS, SENT, SUPPRESSED, REJECTED, HELD, RESENT, DROPPED, SKIPPED, SENDING = range(1, 10)
"""The matters, by what became of them. The ledger gives their closings the same numbers."""
_ENDS: Final = {
    SENT: Outcome.ACCEPTED,
    SUPPRESSED: Outcome.SUPPRESSED,
    REJECTED: Outcome.REJECTED,
    HELD: Outcome.UNKNOWN,
    RESENT: Outcome.UNKNOWN,
    DROPPED: Outcome.UNKNOWN,
}


def make(place: Place) -> None:
    with place.open() as store:
        start(store)
        store.note_doubt(NOW)
        for part in Part:
            store.note_look(part, after=1, done_at=NOW)
        put(store, make_closing(WAITS))
        _claim(store, *_ENDS)
        for matter, outcome in _ENDS.items():
            settle(store, outcome, matter)
        put(store, make_closing(SKIPPED, state=State.SKIPPED, reason=Reason.OPTED_OUT))
        store.finish_run(0, NOW)
        store.begin_run("outbox", "r2", LATER)
        store.outbox.change(Selection(matters=[RESENT]), lifecycle.resent, LATER)
        store.outbox.change(Selection(matters=[DROPPED]), lifecycle.dropped, LATER)
        _claim(store, SENDING)


def _claim(store: Store, *matters: int) -> None:
    waiting = [make_closing(number, contact_id=1200 + number) for number in matters]
    put(store, *waiting)
    claim(store, [make_candidate(closing) for closing in waiting], judge=allow)
