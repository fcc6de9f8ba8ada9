"""Who of the contacts that were just read says no: remembered before anything else is done."""

from collections.abc import Collection, Mapping
from datetime import timedelta

from clio_broadly_sync.domain import rules
from clio_broadly_sync.domain.model import Box, Contact, FieldIds
from clio_broadly_sync.pipeline.ports import Source
from clio_broadly_sync.store.noes import Noes

READ_AT_ONCE = 100
"""One request asks for at most so many matters or contacts by id."""


def note_noes(
    source: Source,
    noes: Noes,
    fields: FieldIds,
    ids: Collection[int],
    contacts: Mapping[int, Contact],
    *,
    age: timedelta = rules.LOOK_AGAIN,
) -> None:
    """Remember who of these contacts says no, before anything of this reading is claimed.

    `ids` are those that were asked for, and `contacts` those that Clio showed. A no that would stop
    one of them, and that was read longer ago than this `age`, is read again. A no of somebody who
    was sent before is an objection, which ends where the box is unchecked again.
    """
    if fields.opt_out is None:
        return
    noes.note(ids, contacts, source.asked_at())
    no_noes = (Box.UNCHECKED, Box.UNTOUCHED)
    yes = [contact for contact in contacts.values() if contact.opted_out in no_noes]
    old = noes.read_before(yes, source.now() - age)
    for first in range(0, len(old), READ_AT_ONCE):
        again = old[first : first + READ_AT_ONCE]
        shown = source.contacts(again, fields)
        noes.note(again, shown, source.asked_at())
    noes.withdraw(contact for contact in yes if contact.readable)
