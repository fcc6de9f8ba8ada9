"""Who was asked: people known by keyed hashes, never by an address."""

import hashlib
import hmac
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    BindParameter,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    case,
    func,
    insert,
    or_,
    select,
)

from clio_broadly_sync.model import Asked, Key, Reason, ReviewRequest, State
from clio_broadly_sync.store.prepared import Prepared
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
    """What is known of earlier hand-overs; `sending`: one to the same person is under way."""

    asked: Asked
    sending: bool


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
        self, connection: Connection, persons: Mapping[Key, set[bytes]]
    ) -> dict[Key, Before]:
        """Look the closings of these persons up, all in two statements."""
        by_person = self._found(connection, _BY_PERSON, set().union(*persons.values()))
        by_matter = self._found(connection, _BY_MATTER, {key.matter_id for key in persons})
        return {
            key: _before(key, [by_person[hash_] for hash_ in hashes], by_matter[key.matter_id])
            for key, hashes in persons.items()
        }

    def remember(
        self, connection: Connection, claimed: Mapping[Key, Collection[bytes]], at: datetime
    ) -> None:
        """Write down who is about to be handed over, again where it was once before."""
        rows = [
            {
                "firm": self._firm,
                "identity": identity,
                "matter_id": key.matter_id,
                "closed_on": day(key.closed_on),
                "claimed_at": seconds(at),
            }
            for key, identities in claimed.items()
            for identity in identities
        ]
        _REMEMBER.execute(connection, rows)

    def _hash(self, text: str) -> bytes:
        return hmac.digest(self._key, text.encode(), hashlib.sha256)[:HASH_BYTES]

    def _found(self, connection: Connection, statement: Select[Any], sought: set[Any]) -> "Found":
        found: Found = defaultdict(_Seen)
        for row in connection.execute(statement, {"firm": self._firm, "sought": list(sought)}):
            found[row.about].add(row)
        return found


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

_SOUGHT: BindParameter[Any] = bindparam("sought", expanding=True)
_BY_PERSON = (
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
    .where(people.c.firm == bindparam("firm"), people.c.identity.in_(_SOUGHT), _COUNTS)
    .where(or_(people.c.claimed_at == closings.c.claimed_at, closings.c.marked == 1))
)
"""A hash of an earlier claim counts only for a marked row: the address may have changed."""
_BY_MATTER = select(
    closings.c.matter_id.label("about"),
    *_HIT,
    case((_DROPPED, closings.c.changed_at), else_=_CLAIMED_AT).label("at"),
).where(
    closings.c.firm == bindparam("firm"),
    closings.c.matter_id.in_(_SOUGHT),
    or_(_COUNTS, _DROPPED),
)
"""What a person dropped keeps its matter from then on, whenever it had been claimed."""
_REMEMBER = Prepared(insert(people).prefix_with("OR REPLACE"))


def _before(key: Key, persons: Sequence[_Seen], matter: _Seen) -> Before:
    moments = [at for seen in persons if (at := seen.last(key)) is not None]
    asked = Asked(person_at=max(moments, default=None), matter_at=matter.last(key))
    return Before(asked, any(seen.sends(key) for seen in (*persons, matter)))
