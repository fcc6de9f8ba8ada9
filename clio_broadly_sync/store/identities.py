"""Who was asked: people known by contact id and by keyed hashes, never by an address."""

import hashlib
import hmac
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, bindparam, delete, insert, or_, select

from clio_broadly_sync.model import Asked, Candidate, Key, Reason, ReviewRequest, State
from clio_broadly_sync.store.rows import day, key_of, moment, seconds
from clio_broadly_sync.store.schema import closings, people

HASH_BYTES = 16

_COUNTS = or_(
    closings.c.state.in_([State.SENT.value, State.HELD.value, State.SENDING.value]),
    closings.c.marked == 1,
)
_DROPPED = and_(closings.c.state == State.SKIPPED.value, closings.c.reason == Reason.DROPPED.value)
_HIT = (
    closings.c.matter_id,
    closings.c.closed_on,
    closings.c.contact_id,
    closings.c.state,
    closings.c.marked,
    closings.c.claimed_at,
    closings.c.changed_at,
)


@dataclass(slots=True)
class Before:
    """What is known of earlier hand-overs; `sending`: one to the same person is under way."""

    asked: Asked = field(default_factory=Asked)
    sending: bool = False


class Identities:
    """The people of one firm, as far as they were handed over."""

    def __init__(self, firm: str, key: bytes) -> None:
        self._firm = firm
        self._key = key

    def of(self, request: ReviewRequest) -> list[bytes]:
        """Return the hashes of what the request carries; an address counts without its case."""
        texts = []
        if request.email is not None:
            texts.append(f"email:{request.email.casefold()}")
        if request.phone is not None:
            texts.append(f"phone:{request.phone}")
        return [self._hash(text) for text in texts]

    def before(self, connection: Connection, candidates: Sequence[Candidate]) -> dict[Key, Before]:
        """Look the candidates up, all in three statements."""
        hashes = {c.closing.key: self.of(c.request) for c in candidates}
        by_hash = self._by_hash(connection, {h for several in hashes.values() for h in several})
        contacts = {c.request.contact_id for c in candidates}
        by_contact = self._grouped(connection, closings.c.contact_id, contacts, _COUNTS)
        matters = {c.closing.key.matter_id for c in candidates}
        by_matter = self._grouped(connection, closings.c.matter_id, matters, or_(_COUNTS, _DROPPED))
        found = {}
        for candidate in candidates:
            key = candidate.closing.key
            persons = [hit for hash_ in hashes[key] for hit in by_hash[hash_]]
            persons += by_contact[candidate.request.contact_id]
            found[key] = _before(key, persons, by_matter[key.matter_id])
        return found

    def remember(self, connection: Connection, claimed: Iterable[Candidate], at: datetime) -> None:
        """Write down who is about to be handed over, again where it was once before."""
        rows = [
            {
                "firm": self._firm,
                "identity": identity,
                "matter_id": candidate.closing.key.matter_id,
                "closed_on": day(candidate.closing.key.closed_on),
                "claimed_at": seconds(at),
            }
            for candidate in claimed
            for identity in self.of(candidate.request)
        ]
        keys = [{f"old_{name}": value for name, value in row.items()} for row in rows]
        if rows:
            connection.execute(_FORGET, keys)
            connection.execute(insert(people), rows)

    def _hash(self, text: str) -> bytes:
        return hmac.digest(self._key, text.encode(), hashlib.sha256)[:HASH_BYTES]

    def _by_hash(self, connection: Connection, hashes: set[bytes]) -> "Hits":
        """A hash of an earlier claim counts only for a marked row: the address may have changed."""
        statement = (
            select(people.c.identity.label("about"), *_HIT)
            .join_from(
                people,
                closings,
                and_(
                    people.c.firm == closings.c.firm,
                    people.c.matter_id == closings.c.matter_id,
                    people.c.closed_on == closings.c.closed_on,
                ),
            )
            .where(people.c.firm == self._firm, people.c.identity.in_(hashes), _COUNTS)
            .where(or_(people.c.claimed_at == closings.c.claimed_at, closings.c.marked == 1))
        )
        return _hits(connection, statement)

    def _grouped(self, connection: Connection, column: Any, values: set[int], what: Any) -> "Hits":
        statement = select(column.label("about"), *_HIT).where(
            closings.c.firm == self._firm, column.in_(values), what
        )
        return _hits(connection, statement)


Hits = defaultdict[Any, list[Row[Any]]]

_FORGET = delete(people).where(
    *(
        people.c[name] == bindparam(f"old_{name}")
        for name in ("firm", "identity", "matter_id", "closed_on")
    )
)


def _hits(connection: Connection, statement: Select[Any]) -> Hits:
    found: Hits = defaultdict(list)
    for row in connection.execute(statement):
        found[row.about].append(row)
    return found


def _before(key: Key, persons: list[Row[Any]], same_matter: list[Row[Any]]) -> Before:
    others = [hit for hit in persons if key_of(hit) != key]
    asked = [_at(hit) for hit in others if hit.state != State.SENDING.value or hit.marked]
    dates = [
        _at(hit)
        for hit in same_matter
        if key_of(hit) != key and (hit.state != State.SENDING.value or hit.marked)
    ]
    sending = any(hit.state == State.SENDING.value for hit in others)
    return Before(Asked(max(asked, default=None), max(dates, default=None)), sending)


def _at(hit: Row[Any]) -> datetime:
    return moment(hit.changed_at if hit.claimed_at is None else hit.claimed_at)
