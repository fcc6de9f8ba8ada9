"""Which contacts have said no, so that their no counts on other cards of the same person, too.

A no is known by the keyed hashes of the e-mail address and the phone number that the contact had
when it was read with the box checked.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Final

from clio_broadly_sync.domain.model import Box, Candidate, Contact, Key
from clio_broadly_sync.store import database
from clio_broadly_sync.store.database import Connection
from clio_broadly_sync.store.objections import Objections
from clio_broadly_sync.store.people import People
from clio_broadly_sync.store.rows import among, seconds
from clio_broadly_sync.store.writer import Writer

_FORGET: Final = "DELETE FROM noes WHERE firm = ? AND contact_id = ?"
_KEEP: Final = "UPDATE noes SET read_at = ? WHERE firm = ? AND contact_id = ?"
_REMEMBER: Final = "INSERT INTO noes (firm, contact_id, identity, read_at) VALUES (?, ?, ?, ?)"
_FOUND: Final = "SELECT identity, contact_id, read_at FROM noes WHERE firm = :firm AND identity IN "


class Noes:
    """The noes of one firm. Every method may raise StorageError."""

    def __init__(
        self,
        connection: Connection,
        firm: int,
        people: People,
        writer: Writer,
        objections: Objections,
    ) -> None:
        self._connection = connection
        self._firm = firm
        self._people = people
        self._writer = writer
        self._objections = objections

    def note(self, ids: Iterable[int], contacts: Mapping[int, Contact], at: datetime) -> None:
        """Take in what was asked of Clio at the moment `at` (aware UTC), in one transaction.

        `ids` are the contacts that were asked for, and `contacts` those that Clio showed. A box
        that is checked is remembered, and one that is not is forgotten; a contact that is hidden
        or cannot be read keeps its no. Whoever was sent before and says no now, on this card or on
        another one of theirs, has an objection from then on. Raise BusyError where another run has
        begun since this one did: it may have read a box after this one, and its reading must stand.
        """
        firm, read_at = self._firm, seconds(at)
        forgotten, kept, remembered = [], [], []
        objecting: set[int] = set()
        for id_ in ids:
            contact = contacts.get(id_)
            if contact is None or not contact.readable or contact.opted_out is Box.UNREADABLE:
                kept.append((read_at, firm, id_))
                continue
            forgotten.append((firm, id_))
            if contact.opted_out is Box.CHECKED:
                hashes = self._reached_at(contact)
                remembered += [(firm, id_, hash_, read_at) for hash_ in hashes]
                objecting |= hashes | {self._people.contact(id_)}
        with self._writer.transaction(self._connection, lasting=False) as connection:
            connection.executemany(_FORGET, forgotten)
            connection.executemany(_KEEP, kept)
            connection.executemany(_REMEMBER, remembered)
            self._objections.record(connection, objecting, at)

    def withdraw(self, contacts: Iterable[Contact]) -> None:
        """Forget the objections of these contacts, which were read with the box unchecked.

        Those stand that are the no of another contact of the same person.
        """
        if not self._objections.exist():
            return
        own = {contact.id: self._reached_at(contact) for contact in contacts}
        with self._writer.transaction(self._connection, lasting=False) as connection:
            found = self._found(connection, set().union(*own.values()))
            free = [
                self._people.contact(id_)
                for id_, hashes in own.items()
                if not any(hash_ in hashes and other != id_ for hash_, other, _ in found)
            ]
            self._objections.withdraw(connection, free)

    def read_before(self, contacts: Iterable[Contact], moment: datetime) -> list[int]:
        """Return whose no would stop one of these contacts and was last read before that moment.

        They are contact ids in ascending order; the moment is aware UTC.
        """
        sought = {hash_: contact.id for contact in contacts for hash_ in self._reached_at(contact)}
        with database.transaction(self._connection) as connection:
            found = self._found(connection, sought)
        limit = seconds(moment)
        return sorted({id_ for hash_, id_, at in found if at < limit and id_ != sought[hash_]})

    def stopping(self, connection: Connection, candidates: Iterable[Candidate]) -> dict[Key, int]:
        """Return which of these closings are stopped by the no of another contact, and by whose."""
        reached = {
            candidate.closing.key: (candidate.contact.id, self._reached_at(candidate.contact))
            for candidate in candidates
        }
        found = self._found(connection, set().union(*(hashes for _, hashes in reached.values())))
        stopped = {}
        for key, (own, hashes) in reached.items():
            others = [id_ for hash_, id_, _ in found if hash_ in hashes and id_ != own]
            if others:
                stopped[key] = min(others)
        return stopped

    def _reached_at(self, contact: Contact) -> frozenset[int]:
        return self._people.reached_at(contact.email, contact.phone)

    def _found(self, connection: Connection, sought: Collection[int]) -> list[tuple[int, int, int]]:
        listed, values = among("sought", sought)
        found = connection.execute(f"{_FOUND}{listed}", {"firm": self._firm, **values})
        return [tuple(row) for row in found]
