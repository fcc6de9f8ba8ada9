"""Who was asked before. People are known by keyed hashes, never by an address."""

import hashlib
import hmac
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

from clio_broadly_sync.domain.model import Asked, Contact, Key
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.store.database import Connection, Row
from clio_broadly_sync.store.rows import among, key_of, moment, seconds
from clio_broadly_sync.store.tables import ASKED, IDENTITY_BYTES, IN_DOUBT

_COUNTS: Final = f"(closings.state IN {ASKED} OR {IN_DOUBT})"
_DROPPED: Final = f"""(
    closings.state = '{State.SKIPPED.value}' AND closings.reason = '{Reason.DROPPED.value}'
)"""
_CLAIMED_AT: Final = "coalesce(closings.claimed_at, closings.changed_at)"
_HIT: Final = "closings.matter_id, closings.closed_on, closings.state, closings.in_doubt"
CLAIMED: Final = f"""people JOIN closings
    ON people.firm = closings.firm
    AND people.closing = closings.number
    AND (people.claimed_at = closings.claimed_at OR {IN_DOUBT})
"""
"""The hashes of each closing's last claim. Those of an earlier claim count only where the closing
is in doubt, because the address may have changed since."""
_BY_PERSON: Final = f"""
    SELECT people.identity AS about, {_HIT}, {_CLAIMED_AT} AS at
    FROM {CLAIMED}
    WHERE people.firm = :firm AND {_COUNTS}
    AND people.identity IN
"""
_BY_MATTER: Final = f"""
    SELECT
        closings.matter_id AS about,
        {_HIT},
        CASE WHEN {_DROPPED} THEN closings.changed_at ELSE {_CLAIMED_AT} END AS at
    FROM closings
    WHERE closings.firm = :firm AND ({_COUNTS} OR {_DROPPED})
    AND closings.matter_id IN
"""
"""What a person dropped counts for its matter from that moment on, whenever it was claimed."""
_REMEMBER: Final = """
    INSERT INTO people (firm, identity, closing, claimed_at)
    VALUES (?, ?, ?, ?)
    ON CONFLICT (firm, identity, closing) DO UPDATE SET claimed_at = excluded.claimed_at
"""


class Before(NamedTuple):
    """What is known about a closing's person and matter from other closings."""

    asked: Asked
    sending: bool
    """Another closing of the same person or matter is being sent at this moment."""


class People:
    """The people of one firm, as far as they were sent to Broadly; `key` is that of the hashes."""

    def __init__(self, firm: int, key: bytes) -> None:
        self._firm = firm
        # The key is taken in once, because that takes longer than all the rest of a hash.
        self._keyed = hmac.new(key, digestmod=hashlib.sha256)
        # A client is looked up several times within one batch.
        self.reached_at = lru_cache(maxsize=2048)(self._reached_at)
        """The hashes of an e-mail address and a phone number, as far as there are any."""

    def of(self, contact: Contact) -> frozenset[int]:
        """Return the hashes of a contact, and of its e-mail address and phone number as read.

        Capital letters in the e-mail address make no difference, nor does what of it may be sent.
        """
        return self.reached_at(contact.email, contact.phone) | {self.contact(contact.id)}

    def contact(self, contact_id: int) -> int:
        """Return the hash of the contact itself, whatever its addresses are."""
        return self._hash(f"contact:{contact_id}")

    def _reached_at(self, email: str | None, phone: str | None) -> frozenset[int]:
        texts = []
        if email is not None:
            texts.append(f"email:{email.casefold()}")
        if phone is not None:
            texts.append(f"phone:{phone}")
        return frozenset([self._hash(text) for text in texts])

    def before(
        self, connection: Connection, persons: Mapping[Key, Collection[int]]
    ) -> dict[Key, Before]:
        """Return what is known of the person and the matter of each closing.

        `persons` has the hashes of each closing's person. Two statements find it for all of them.
        """
        by_person = self._found(connection, _BY_PERSON, set().union(*persons.values()))
        by_matter = self._found(connection, _BY_MATTER, {key.matter_id for key in persons})
        before = dict.fromkeys(persons, _NEVER)
        if not by_person and not by_matter:
            return before
        for key, hashes in persons.items():
            seen = [by_person[hash_] for hash_ in hashes if hash_ in by_person]
            if seen or key.matter_id in by_matter:
                before[key] = _before(key, seen, by_matter.get(key.matter_id, _NOTHING))
        return before

    def remember(
        self,
        connection: Connection,
        claimed: Mapping[int, Collection[int]],
        at: datetime,
    ) -> None:
        """Write down who is about to be sent to Broadly; what was written before is replaced.

        `claimed` are the hashes of each closing's person, by the closing's number.
        """
        firm, claimed_at = self._firm, seconds(at)
        connection.executemany(
            _REMEMBER,
            [
                (firm, identity, number, claimed_at)
                for number, identities in claimed.items()
                for identity in identities
            ],
        )

    def _hash(self, text: str) -> int:
        hash_ = self._keyed.copy()
        hash_.update(text.encode())
        return int.from_bytes(hash_.digest()[:IDENTITY_BYTES], "big", signed=True)

    def _found(self, connection: Connection, statement: str, sought: set[Any]) -> "Found":
        found: Found = defaultdict(_Seen)
        listed, values = among("sought", sought)
        for row in connection.execute(f"{statement}{listed}", {"firm": self._firm, **values}):
            found[row["about"]].add(row)
        return found


@dataclass(slots=True)
class _Seen:
    """The closings of one person or of one matter, as far as they count."""

    handed_over: list[tuple[datetime, Key]] = field(default_factory=list)
    """The two that were last sent to Broadly (or may have been) or dropped, the latest first. It
    takes two, because one of them may be the very closing that is looked up."""
    dates: set[date] = field(default_factory=set)
    """The close dates of all that were sent (or may have been) or dropped."""
    sending: set[Key] = field(default_factory=set)
    """Those that are being sent at this moment."""

    def add(self, row: Row) -> None:
        key = key_of(row)
        if row["state"] == State.SENDING.value:
            self.sending.add(key)
        if row["state"] != State.SENDING.value or row["in_doubt"]:
            several = [*self.handed_over, (moment(row["at"]), key)]
            self.handed_over = sorted(several, key=lambda seen: seen[0], reverse=True)[:2]
            self.dates |= set() if key.closed_on is None else {key.closed_on}

    def last(self, key: Key) -> datetime | None:
        """Return when another closing than this one was last sent or dropped; None if never."""
        return next((at for at, other in self.handed_over if other != key), None)

    def sends(self, key: Key) -> bool:
        return bool(self.sending - {key})


Found = defaultdict[Any, _Seen]
_NOTHING: Final = _Seen()
_NEVER: Final = Before(Asked(), sending=False)


def _before(key: Key, persons: Sequence[_Seen], matter: _Seen) -> Before:
    moments = [at for seen in persons if (at := seen.last(key)) is not None]
    asked = Asked(
        person_at=max(moments, default=None),
        matter_at=matter.last(key),
        matter_dates=frozenset(matter.dates - {key.closed_on}),
    )
    return Before(asked, any(seen.sends(key) for seen in (*persons, matter)))
