"""Who was asked: people known by keyed hashes, never by an address."""

import hashlib
import hmac
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    or_,
    select,
)

from clio_broadly_sync.model import Asked, Candidate, Key, Reason, ReviewRequest, State
from clio_broadly_sync.store.rows import day, key_of, moment, seconds
from clio_broadly_sync.store.schema import closings, people

HASH_BYTES = 16

_COUNTS = or_(
    closings.c.state.in_([State.SENT.value, State.HELD.value, State.SENDING.value]),
    closings.c.marked == 1,
)
_DROPPED = and_(closings.c.state == State.SKIPPED.value, closings.c.reason == Reason.DROPPED.value)
_CLAIMED_AT = func.coalesce(closings.c.claimed_at, closings.c.changed_at)
_HIT = (closings.c.matter_id, closings.c.closed_on, closings.c.state, closings.c.marked)


class Before(NamedTuple):
    """What is known of earlier hand-overs; `sending`: one to the same person is under way.

    `same`: what no other closing of one batch may share with this one.
    """

    asked: Asked
    sending: bool
    same: set[bytes]


class Identities:
    """The people of one firm, as far as they were handed over."""

    def __init__(self, firm: str, key: bytes) -> None:
        self._firm = firm
        self._key = key

    def of(self, request: ReviewRequest) -> set[bytes]:
        """Return the hashes of whom the request goes to; an address counts without its case."""
        texts = [f"contact:{request.contact_id}"]
        if request.email is not None:
            texts.append(f"email:{request.email.casefold()}")
        if request.phone is not None:
            texts.append(f"phone:{request.phone}")
        return {self._hash(text) for text in texts}

    def before(
        self, connection: Connection, candidates: Sequence[Candidate]
    ) -> Iterator[tuple[Candidate, Before]]:
        """Look the candidates up, all in two statements."""
        persons = {c.closing.key: self.of(c.request) for c in candidates}
        by_person = self._by_person(connection, set().union(*persons.values()))
        by_matter = self._by_matter(connection, {key.matter_id for key in persons})
        for candidate in candidates:
            key = candidate.closing.key
            same_person = [by_person[hash_] for hash_ in persons[key]]
            same_matter = by_matter[key.matter_id]
            asked = Asked(
                person_at=max(filter(None, (seen.last(key) for seen in same_person)), default=None),
                matter_at=same_matter.last(key),
            )
            sending = any(seen.sends(key) for seen in (*same_person, same_matter))
            yield candidate, Before(asked, sending, persons[key])

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

    def _by_person(self, connection: Connection, hashes: set[bytes]) -> "Found":
        """A hash of an earlier claim counts only for a marked row: the address may have changed."""
        statement = (
            select(people.c.identity.label("about"), *_HIT, _CLAIMED_AT.label("at"))
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
        return _found(connection, statement)

    def _by_matter(self, connection: Connection, ids: set[int]) -> "Found":
        """What a person dropped keeps its matter from then on, whenever it had been claimed."""
        at = case((_DROPPED, closings.c.changed_at), else_=_CLAIMED_AT)
        statement = select(closings.c.matter_id.label("about"), *_HIT, at.label("at")).where(
            closings.c.firm == self._firm, closings.c.matter_id.in_(ids), or_(_COUNTS, _DROPPED)
        )
        return _found(connection, statement)


@dataclass(slots=True)
class _Seen:
    """Closings of one person or one matter: those under way, and the two last handed over (one
    of them may be the very closing that is looked up)."""

    handed_over: list[tuple[datetime, Key]] = field(default_factory=list)
    sending: set[Key] = field(default_factory=set)

    def add(self, row: Row[Any]) -> None:
        key = key_of(row)
        if row.state == State.SENDING.value:
            self.sending.add(key)
        if row.state != State.SENDING.value or row.marked:
            several = [*self.handed_over, (moment(row.at), key)]
            self.handed_over = sorted(several, key=lambda seen: seen[0], reverse=True)[:2]

    def last(self, key: Key) -> datetime | None:
        """Return when another closing than this one was last handed over, or dropped."""
        return next((at for at, other in self.handed_over if other != key), None)

    def sends(self, key: Key) -> bool:
        return bool(self.sending - {key})


Found = defaultdict[Any, _Seen]

_FORGET = delete(people).where(
    *(
        people.c[name] == bindparam(f"old_{name}")
        for name in ("firm", "identity", "matter_id", "closed_on")
    )
)


def _found(connection: Connection, statement: Select[Any]) -> Found:
    found: Found = defaultdict(_Seen)
    for row in connection.execute(statement):
        found[row.about].add(row)
    return found
