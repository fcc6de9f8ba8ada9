"""The ledger: one row for each closing, and the append-only list of its changes.

Its verbs are record, claim, settle, release and recover; each is one transaction. The caller
decides what becomes of a closing (`domain/lifecycle.py`), and here that is made durable.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from clio_broadly_sync.domain.model import (
    Approval,
    Asked,
    Candidate,
    Closing,
    Command,
    Due,
    Key,
    Receipt,
)
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.store import database, queue, rows
from clio_broadly_sync.store.database import Connection
from clio_broadly_sync.store.noes import Noes
from clio_broadly_sync.store.objections import Objections
from clio_broadly_sync.store.people import Before, People
from clio_broadly_sync.store.queue import CHUNK, DUE_WITHOUT_FAULTS
from clio_broadly_sync.store.rows import OF_FIRM, among
from clio_broadly_sync.store.tables import IN_DOUBT, PENDING, SENDING
from clio_broadly_sync.store.writer import Pair, Writer

_NOTICED: Final = "closings.noticed_at, closings.matter_id, closings.closed_on"
"""The order in which closings were noticed, which is also that of the index `closings_pending`."""


class Claim(NamedTuple):
    """What a claim made of the candidates."""

    batch: list[Candidate]
    """Those that were claimed."""
    rest: list[Candidate]
    """Those that were not, in the order in which they came."""
    refused: list[Closing]
    """Those that may not be sent, as `judge` has changed them."""


class Ledger:
    """One firm's closings. Every method may raise StorageError.

    A method is one transaction, unless it says that each chunk is one.
    """

    def __init__(self, connection: Connection, firm: int, key: bytes, writer: Writer) -> None:
        self._connection = connection
        self._firm = firm
        self._people = People(firm, key)
        self.objections = Objections(connection, firm, writer)
        self.noes = Noes(connection, firm, self._people, writer, self.objections)
        self._writer = writer
        self._batches = 0
        self._recovered = 0
        """The place of the last change that the recovery of this run made."""
        self._is_any_left = True
        """Whether there may be something that an earlier run left."""
        self._sending: dict[Key, Closing] = {}
        """What this run has claimed and neither settled nor given back."""

    @property
    def run(self) -> int:
        """The number of the run at work, which every change carries."""
        return self._writer.run

    @run.setter
    def run(self, number: int) -> None:
        self._writer.run = number
        self._batches = 0

    def known(self, matter_ids: Iterable[int]) -> dict[int, list[Closing]]:
        """Return the closings of these matters that the ledger has, by matter id.

        Those of one matter are in the order of their close dates.
        """
        listed, values = among("matter", list(matter_ids))
        statement = _FOUND.format(condition=f"closings.matter_id IN {listed}")
        found: dict[int, list[Closing]] = {}
        with self._transaction() as connection:
            for row in connection.execute(statement, {"firm": self._firm, **values}):
                closing = rows.closing_of(row)
                found.setdefault(closing.key.matter_id, []).append(closing)
        for several in found.values():
            if len(several) > 1:
                several.sort(key=lambda closing: rows.day(closing.key.closed_on))
        return found

    def record(self, pairs: Sequence[Pair], at: datetime) -> None:
        """Write decisions down, all or none of them."""
        if pairs:
            with self._writing(lasting=False) as connection:
                self._writer.write(connection, pairs, at)

    def claim(
        self,
        candidates: Sequence[Candidate],
        size: int,
        *,
        whole: bool,
        judge: Callable[[Closing, Asked], Closing | None],
        at: datetime,
    ) -> Claim:
        """Take up to `size` candidates, at most one for each person, from pending to sending.

        `judge` is asked with what the ledger knows of a closing's person and matter. It returns
        what becomes of a closing that may not be sent because of that, and None where it may.
        While a request to the same person is being sent or is in the batch, a candidate stays in
        `rest`. With `whole`, a batch that is not full is not claimed.
        """
        persons = {c.closing.key: self._people.of(c.contact) for c in candidates}
        with self._writing() as connection:
            batch, rest, refused = self._sorted(connection, candidates, persons, size, judge)
            if whole and len(batch) < size:
                batch, rest = [], [*batch, *rest]
            self._batches += bool(batch)
            self._writer.write(connection, refused, at)
            sending = {c.closing.key: self._claimed(c, at) for c in batch}
            self._writer.claim(connection, list(sending.values()), at)
            claimed = {closing.number: persons[key] for key, closing in sending.items()}
            self._people.remember(connection, claimed, at)
        self._sending |= sending
        self._is_any_left |= bool(sending)
        return Claim(batch, rest, [verdict for _, verdict in refused])

    def settle(
        self,
        receipts: Sequence[Receipt],
        after: Callable[[Receipt, Closing], Closing],
        at: datetime,
    ) -> list[tuple[Receipt, Closing]]:
        """Write receipts down; return each with what `after` makes of its closing.

        A receipt does not come a second time, so this waits long for another program that holds the
        database.
        """
        sending = [self._sending[receipt.key] for receipt in receipts]
        pairs = [(old, after(r, old)) for r, old in zip(receipts, sending, strict=True)]
        codes = {receipt.key: receipt.word for receipt in receipts}
        with database.patience(self._connection), self._writing(lasting=False) as connection:
            if all(new.state is State.SENT for _, new in pairs):
                self._writer.accept(connection, sending, at, codes)
            else:
                self._writer.write(connection, pairs, at, codes=codes)
        for receipt in receipts:
            del self._sending[receipt.key]
        return [(receipt, new) for receipt, (_, new) in zip(receipts, pairs, strict=True)]

    def release(
        self, after: Callable[[Closing], Closing], at: datetime, *, but: Collection[Key] = ()
    ) -> list[Closing]:
        """Give back what this run claimed and did not reach Broadly, except the closings `but`."""
        with self._writing() as connection:
            own = [c for c in self._found(connection, SENDING) if c.claimed_in_run == self.run]
            pairs = [(old, after(old)) for old in own if old.key not in but]
            self._writer.write(connection, pairs, at)
        self._sending = {key: c for key, c in self._sending.items() if key in but}
        return [new for _, new in pairs]

    def look(self, connection: Connection) -> None:
        """See whether an earlier run left anything; the caller opens the transaction.

        It is the one in which this run takes its number: no earlier one claims anything after it.
        """
        found = connection.execute(_IS_ANY_LEFT, {"firm": self._firm}).fetchone()
        self._is_any_left = bool(found[0])

    def recover(self, after: Callable[[Closing], Closing], at: datetime) -> list[Closing]:
        """Decide on what an earlier run left: rows found sending, and rows in doubt that wait.

        `after` returns what becomes of each, or the same closing. Return those that changed.
        """
        if not self._is_any_left:
            return []
        with self._writing() as connection:
            left = self._found(connection, SENDING)
            left += self._found(connection, f"{IN_DOUBT} AND {PENDING}")
            pairs = [(old, new) for old in left if (new := after(old)) != old]
            self._writer.write(connection, pairs, at)
        self._recovered = self._writer.position
        return [new for _, new in pairs]

    def asked(self, candidates: Sequence[Candidate]) -> dict[Key, Asked]:
        """Return what a claim of these candidates would find about the person and matter of each.

        Nothing is claimed, so whoever of them are one person do not stand in each other's way.
        """
        persons = {c.closing.key: self._people.of(c.contact) for c in candidates}
        with self._transaction() as connection:
            return self._asked(connection, candidates, self._people.before(connection, persons))

    # What is due.

    def set_approval(
        self, wanted: Due, approval: Approval, change: Callable[[Closing], Closing], at: datetime
    ) -> int:
        """Change the due closings that are no faults and lack this approval; return how many.

        Those that a person approved are left alone. Each chunk is one transaction.
        """
        open_ones = [a for a in Approval if a not in (approval, Approval.GIVEN)]
        condition = f"{DUE_WITHOUT_FAULTS} AND {queue.approval(*open_ones)}"
        statement = _IN_CHUNKS.format(condition=condition)
        values = self._parameters(wanted) | {"noticed_at": -1, "matter_id": 0, "closed_on": ""}
        changed = 0
        while chunk := self._select(statement, values):
            self.record([(closing, change(closing)) for closing in chunk], at)
            changed += len(chunk)
            values |= _place(chunk[-1])
        return changed

    def count_due(self, wanted: Due) -> int:
        """Count the due closings, approved or not."""
        return self._count(queue.due(wanted), self._parameters(wanted))

    def counts_of_surge(self, wanted: Due, since: datetime) -> queue.SurgeCounts:
        """Count what says whether there is a surge; what is recent was claimed after `since`."""
        values = {**self._parameters(wanted), "since": rows.seconds(since)}
        with self._transaction() as connection:
            return queue.surge_counts(connection, values)

    def count_awaiting(self, wanted: Due) -> int:
        """Count the due closings, without faults, that wait for a person to approve them."""
        awaiting = queue.approval(Approval.WANTED)
        return self._count(f"{awaiting} AND {DUE_WITHOUT_FAULTS}", self._parameters(wanted))

    def count_pending(self, wanted: Due) -> int:
        """Count what waits of the command or matter, due or not."""
        return self._count(queue.waiting(wanted), self._parameters(wanted))

    def line_up(self, wanted: Due, *, approved_only: bool) -> int:
        """Put the due closings in the order of sending; return how many there are.

        A client's place is that of their first due closing; all of theirs stand together. Unless
        `approved_only`, a fault is looked at again even where it then waits for approval; and of a
        matter that a person named, whatever is due.
        """
        not_wanted = queue.approval(Approval.NONE, Approval.GIVEN)
        may_go = f"({not_wanted} OR {queue.IS_FAULT})"
        if approved_only:
            may_go = queue.approval(Approval.GIVEN)
        elif wanted.matter_id is not None:
            may_go = "true"
        return self._put(wanted, f"{queue.due(wanted)} AND {may_go}")

    def line_up_awaiting(self, wanted: Due) -> int:
        """Put what waits for a person to approve it in that order instead; return how many."""
        return self._put(wanted, f"{DUE_WITHOUT_FAULTS} AND {queue.approval(Approval.WANTED)}")

    def clients_lined_up(self) -> int:
        """Count the clients of what was lined up; a matter without one counts as one."""
        with self._transaction() as connection:
            return queue.clients(connection)

    def lined_up(self) -> Iterator[Closing]:
        """Yield what was lined up and is still pending. Each chunk is one transaction."""
        place: int | None = 0
        while place is not None:
            with self._transaction() as connection:
                chunk, place = queue.chunk(connection, self._firm, place)
            yield from (closing for closing in chunk if closing.state is State.PENDING)

    def decided_in_run(self, command: Command, kept_back: Due | None = None) -> Iterator[Closing]:
        """Yield what the run decided on, in that order, and then what waits for approval.

        What its recovery held is among that; what it let wait again is none of its decisions. What
        of `kept_back` is due and none of these comes last.
        """
        values: dict[str, Any] = {"firm": self._firm, "run": self.run, "command": command.value}
        values["recovered"] = self._recovered
        with self._transaction() as connection:
            for statement in (_DECIDED, _AWAITING):
                yield from map(rows.closing_of, database.each(connection, statement, values))
            if kept_back is not None:
                values |= self._parameters(kept_back)
                statement = _KEPT_BACK.format(due=queue.due(kept_back))
                yield from map(rows.closing_of, database.each(connection, statement, values))

    def _sorted(
        self,
        connection: Connection,
        candidates: Sequence[Candidate],
        persons: Mapping[Key, frozenset[int]],
        size: int,
        judge: Callable[[Closing, Asked], Closing | None],
    ) -> tuple[list[Candidate], list[Candidate], list[tuple[Closing, Closing]]]:
        """Return what may be claimed now, what has to wait, and what is refused."""
        batch: list[Candidate] = []
        rest: list[Candidate] = []
        refused: list[tuple[Closing, Closing]] = []
        in_batch: set[int] = set()
        known = self._people.before(connection, persons)
        asked = self._asked(connection, candidates, known)
        for candidate in candidates:
            closing = candidate.closing
            before, same = known[closing.key], persons[closing.key]
            verdict = judge(closing, asked[closing.key])
            if verdict is not None:
                refused.append((closing, verdict))
            elif len(batch) >= size or before.sending or not in_batch.isdisjoint(same):
                rest.append(candidate)
            else:
                batch.append(candidate)
                in_batch |= same
        return batch, rest, refused

    def _asked(
        self,
        connection: Connection,
        candidates: Sequence[Candidate],
        known: Mapping[Key, Before],
    ) -> dict[Key, Asked]:
        """Return what speaks against each: what was sent before, and the noes of other contacts."""
        asked = {key: before.asked for key, before in known.items()}
        for key, no_of in self.noes.stopping(connection, candidates).items():
            asked[key] = asked[key]._replace(no_of=no_of)
        return asked

    def _claimed(self, candidate: Candidate, at: datetime) -> Closing:
        return candidate.closing._replace(
            state=State.SENDING,
            reason=None,
            cause=None,
            claimed_at=at,
            claimed_in_run=self.run,
            batch=self._batches,
            channels=candidate.request.channels,
        )

    def _parameters(self, wanted: Due) -> dict[str, Any]:
        return queue.parameters(wanted, self._firm, self.run)

    def _put(self, wanted: Due, condition: str) -> int:
        with self._transaction() as connection:
            return queue.put(connection, condition, self._parameters(wanted))

    def _count(self, condition: str, values: Mapping[str, Any]) -> int:
        statement = f"SELECT count(*) FROM closings WHERE {condition}"
        with self._transaction() as connection:
            return int(connection.execute(statement, values).fetchone()[0])

    def _select(self, statement: str, values: Mapping[str, Any]) -> list[Closing]:
        with self._transaction() as connection:
            return [rows.closing_of(row) for row in connection.execute(statement, values)]

    def _found(self, connection: Connection, condition: str) -> list[Closing]:
        """Return the closings that meet the condition in the order in which they were noticed."""
        statement = _FOUND.format(condition=condition)
        found = connection.execute(statement, {"firm": self._firm})
        return sorted(map(rows.closing_of, found), key=lambda closing: closing.number)

    def _writing(self, *, lasting: bool = True) -> database.Transaction:
        return self._writer.transaction(self._connection, lasting=lasting)

    def _transaction(self) -> database.Transaction:
        return database.transaction(self._connection)


_FOUND: Final = f"SELECT {rows.SELECTED} FROM closings WHERE {OF_FIRM} AND {{condition}}"
_IS_ANY_LEFT: Final = f"""
    SELECT EXISTS (SELECT 1 FROM closings WHERE {OF_FIRM} AND {SENDING})
        OR EXISTS (SELECT 1 FROM closings WHERE {OF_FIRM} AND {IN_DOUBT} AND {PENDING})
"""
_IN_CHUNKS: Final = f"""
    {_FOUND}
    AND ({_NOTICED}) > (:noticed_at, :matter_id, :closed_on)
    ORDER BY {_NOTICED}
    LIMIT {CHUNK}
"""
_IS_DECIDED: Final = (
    f"changed_in_run = :run AND (position > :recovered OR state = '{State.HELD.value}')"
)
_DECIDED: Final = f"{_FOUND} ORDER BY position".format(condition=_IS_DECIDED)
_AWAITING: Final = f"{_FOUND} ORDER BY {_NOTICED}".format(
    condition=f"{queue.AWAITING} AND NOT ({_IS_DECIDED})"
)
_KEPT_BACK: Final = f"{_FOUND} ORDER BY {_NOTICED}".format(
    condition=f"{{due}} AND NOT ({_IS_DECIDED}) AND NOT {queue.approval(Approval.WANTED)}"
)


def _place(closing: Closing) -> dict[str, Any]:
    return {
        "noticed_at": rows.seconds(closing.noticed_at),
        "matter_id": closing.key.matter_id,
        "closed_on": rows.day(closing.key.closed_on),
    }
