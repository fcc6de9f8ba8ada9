"""A second look at what was skipped for something that a person may put right.

The daily look decides by it, and `verify` lists by it what would go now.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from clio_broadly_sync.domain import daily_look, lifecycle, rules
from clio_broadly_sync.domain.lifecycle import Moment
from clio_broadly_sync.domain.model import Candidate, Closing, Contact, FieldIds, Matter, Policy
from clio_broadly_sync.domain.reasons import FAULTS
from clio_broadly_sync.domain.requests import request_for
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.pipeline.noes import note_noes
from clio_broadly_sync.pipeline.ports import Source
from clio_broadly_sync.store.ledger import Ledger

Pair = tuple[Closing, Closing]
"""A closing as it was and as it is to be."""


class SecondLook(NamedTuple):
    """What it takes to decide anew on closings that were skipped, by all rules."""

    source: Source
    ledger: Ledger
    policy: Policy
    fields: FieldIds
    at: Callable[[], Moment]
    """It returns the moment for decisions on what was read last."""

    def decide(self, closings: Sequence[Closing], matters: Mapping[int, Matter]) -> list[Pair]:
        """Return what becomes of those closings on which another decision is made now.

        `matters` are those of the closings that Clio shows, as they were just read. Of contacts,
        those are read whose matter speaks for it. So there are at most 100 closings.
        """
        at = self.at()
        decided: list[Pair] = []
        going: list[Pair] = []
        for was in closings:
            look = daily_look.by_matter(was, matters.get(was.key.matter_id), self.policy, at)
            if look is not None:
                (going if look.goes_on else decided).append((was, look.closing))
        decided += self._by_contact(going)
        return [(was, now) for was, now in decided if daily_look.has_changed(was, now)]

    def _by_contact(self, going: Sequence[Pair]) -> list[Pair]:
        ids = {now.contact_id for _, now in going if now.contact_id is not None}
        if not ids:
            return []
        contacts = self.source.contacts(ids, self.fields)
        at = self.at()
        # Whoever was stopped by the no of another card is looked at for the sake of that one, too.
        noes = self.ledger.noes
        note_noes(self.source, noes, self.fields, ids, contacts, age=rules.FRESH)
        decided: list[Pair] = []
        candidates: list[tuple[Closing, Candidate]] = []
        for was, now in going:
            contact = contacts.get(now.contact_id or 0)
            refused = daily_look.by_contact(was, now, contact, self.policy, at)
            if refused is not None:
                decided.append((was, refused))
            elif contact is not None:  # pragma: no branch  (a hidden one was refused above)
                candidates.append((was, self._candidate(now, contact, at)))
        return decided + self._by_past(candidates, at)

    def _candidate(self, closing: Closing, contact: Contact, at: Moment) -> Candidate:
        request = request_for(closing, contact, self.policy, at.today)
        return Candidate(closing, contact, request, at.now)

    def _by_past(self, candidates: Sequence[tuple[Closing, Candidate]], at: Moment) -> list[Pair]:
        """Decide by what was sent before, and by the noes of others."""
        asked = self.ledger.asked([candidate for _, candidate in candidates])
        pairs = []
        for was, candidate in candidates:
            now = candidate.closing
            refused = lifecycle.asked_before(now, asked[now.key], self.policy, at.now)
            pairs.append((was, refused or now))
        return pairs


def goes(closing: Closing) -> bool:
    """Tell whether a closing goes now, as far as the decision on it goes."""
    return closing.state is State.PENDING and closing.reason not in FAULTS
