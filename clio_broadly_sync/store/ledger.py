"""The ledger: one row for each closing, and the append-only list of its changes.

Its verbs are record, claim, settle, release and recover. What becomes of a closing is decided
by the caller (`rules`), here it is made durable: each verb is one transaction.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    and_,
    func,
    or_,
    select,
    tuple_,
)

from clio_broadly_sync.model import (
    Approval,
    Asked,
    Candidate,
    Closing,
    Command,
    Due,
    Key,
    Receipt,
    State,
)
from clio_broadly_sync.store import conditions, database, lineup, rows
from clio_broadly_sync.store.identities import Identities
from clio_broadly_sync.store.schema import MARKED, PENDING, SENDING, closings
from clio_broadly_sync.store.writing import Pair, Writer

CHUNK = 500
"""Rows held in memory at a time."""
_NOTICED = (closings.c.noticed_at, closings.c.matter_id, closings.c.closed_on)
"""The order in which closings were noticed; the index of the pending ones has it."""


class Claim(NamedTuple):
    """`batch` was claimed; `rest` was not, in its order; `refused` may not be handed over."""

    batch: list[Candidate]
    rest: list[Candidate]
    refused: list[Closing]


class Ledger:
    """One firm's closings. Every method is one transaction, and raises StorageError."""

    def __init__(self, engine: Engine, firm: str, key: bytes, writer: Writer) -> None:
        self._engine = engine
        self._firm = firm
        self._identities = Identities(firm, key)
        self._writer = writer
        self._batches = 0

    @property
    def run(self) -> int:
        """The number of the run at work, which every change carries."""
        return self._writer.run

    @run.setter
    def run(self, number: int) -> None:
        self._writer.run = number
        self._batches = 0

    # The verbs.

    def known(self, matter_ids: Iterable[int]) -> dict[int, list[Closing]]:
        """Return the closings of these matters that the ledger has, by matter."""
        found: dict[int, list[Closing]] = {}
        for closing in self._select(closings.c.matter_id.in_(list(matter_ids))):
            found.setdefault(closing.key.matter_id, []).append(closing)
        return found

    def record(self, pairs: Sequence[Pair], at: datetime) -> None:
        """Write decisions down, all or none of them."""
        if pairs:
            with self._transaction() as connection:
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
        """Take up to `size` candidates, at most one for a person, from pending to sending.

        `judge` returns what becomes of a closing that may not be handed over after what the
        ledger knows of its person, None where it may. One whose person is being handed over
        stays in `rest`. With `whole`, a batch that is not full is left unclaimed.
        """
        persons = {c.closing.key: self._identities.of(c.request) for c in candidates}
        with self._transaction() as connection:
            batch, rest, refused = self._sorted(connection, candidates, persons, size, judge)
            if whole and len(batch) < size:
                batch, rest = [], [*batch, *rest]
            self._batches += bool(batch)
            pairs = refused + [self._claimed(candidate, at) for candidate in batch]
            self._writer.write(connection, pairs, at)
            claimed = {c.closing.key: persons[c.closing.key] for c in batch}
            self._identities.remember(connection, claimed, at)
        return Claim(batch, rest, [verdict for _, verdict in refused])

    def settle(
        self,
        receipts: Sequence[Receipt],
        after: Callable[[Receipt, Closing], Closing],
        at: datetime,
    ) -> list[tuple[Receipt, Closing]]:
        """Write receipts down; return each with what became of its closing."""
        with self._transaction() as connection:
            sending = {closing.key: closing for closing in self._where(connection, SENDING)}
            settled = [
                (receipt, sending[receipt.key], after(receipt, sending[receipt.key]))
                for receipt in receipts
            ]
            codes = {receipt.key: receipt.word for receipt in receipts}
            pairs = [(old, new) for _, old, new in settled]
            self._writer.write(connection, pairs, at, codes=codes)
        return [(receipt, new) for receipt, _, new in settled]

    def release(
        self, after: Callable[[Closing], Closing], at: datetime, *, but: Collection[Key] = ()
    ) -> list[Closing]:
        """Give back what was claimed and never reached Broadly, all `but` these."""
        with self._transaction() as connection:
            sending = self._where(connection, SENDING)
            pairs = [(old, after(old)) for old in sending if old.key not in but]
            self._writer.write(connection, pairs, at)
        return [new for _, new in pairs]

    def recover(self, after: Callable[[Closing], Closing], at: datetime) -> list[Closing]:
        """Put right what an earlier run left: rows found sending, and marked ones that wait.

        `after` returns what becomes of each, the same closing where nothing does.
        """
        with self._transaction() as connection:
            left = self._where(connection, SENDING)
            left += self._where(connection, and_(MARKED, PENDING))
            pairs = [(old, new) for old in left if (new := after(old)) != old]
            self._writer.write(connection, pairs, at, decided=False)
        return [new for _, new in pairs]

    # What is due.

    def set_approval(
        self, wanted: Due, approval: Approval, change: Callable[[Closing], Closing], at: datetime
    ) -> int:
        """Change all due closings that are not faults and were never approved; return how many."""
        open_ones = [a for a in Approval if a not in (approval, Approval.GIVEN)]
        condition = and_(self._due_without_faults(wanted), conditions.approval(*open_ones))
        changed = 0
        after: Any = True
        while chunk := self._select(and_(condition, after), limit=CHUNK, order=_NOTICED):
            self.record([(closing, change(closing)) for closing in chunk], at)
            changed += len(chunk)
            after = _noticed_after(chunk[-1])
        return changed

    def count_due(self, wanted: Due) -> int:
        """Count what is due, approved or not."""
        return self._count(conditions.due(wanted, self.run))

    def count_unapproved(self, wanted: Due) -> int:
        """Count the due closings, faults apart, that no person approved."""
        unapproved = conditions.approval(Approval.NONE, Approval.WANTED)
        return self._count(and_(self._due_without_faults(wanted), unapproved))

    def count_awaiting(self, wanted: Due) -> int:
        """Count the due closings that wait for a person to approve them."""
        awaiting = conditions.approval(Approval.WANTED)
        return self._count(and_(self._due_without_faults(wanted), awaiting))

    def count_handed_over(self, command: Command, since: datetime) -> int:
        """Count the unapproved closings that were handed over, or may have been."""
        return self._count(conditions.handed_over(command, rows.seconds(since)))

    def count_pending(self, wanted: Due) -> int:
        """Count what waits of a command, due or not."""
        return self._count(conditions.of_command(wanted))

    def line_up(self, wanted: Due, *, approved_only: bool) -> int:
        """Put the due closings in the order of sending; return how many there are.

        A client's place is that of its first due closing; all of them stand together. A fault
        is looked at again whether or not it will want approval afterwards.
        """
        may_go = conditions.approval(Approval.GIVEN)
        if not approved_only:
            not_wanted = conditions.approval(Approval.NONE, Approval.GIVEN)
            may_go = or_(not_wanted, ~conditions.no_fault())
        condition = and_(self._of_firm(), conditions.due(wanted, self.run), may_go)
        with self._transaction() as connection:
            return lineup.put(connection, condition)

    def lined_up(self) -> Iterator[Closing]:
        """Yield what was lined up and is still pending, a chunk at a time."""
        place = 0
        while True:
            with self._transaction() as connection:
                chunk = lineup.chunk(connection, self._firm, place, CHUNK)
            yield from map(rows.closing_of, chunk)
            if len(chunk) < CHUNK:
                return
            place = chunk[-1].place

    def decided(self, command: Command) -> Iterator[Closing]:
        """Yield what the run decided on, in that order; and then what waits for approval."""
        of_this_run = closings.c.decided_in_run == self.run
        awaiting = and_(conditions.awaiting(command), ~of_this_run)
        statement = select(*rows.COLUMNS).where(self._of_firm())
        with self._transaction() as connection:
            for condition, order in ((of_this_run, (closings.c.position,)), (awaiting, _NOTICED)):
                found = connection.execution_options(yield_per=CHUNK).execute(
                    statement.where(condition).order_by(*order)
                )
                yield from map(rows.closing_of, found)

    def _sorted(
        self,
        connection: Connection,
        candidates: Sequence[Candidate],
        persons: Mapping[Key, set[bytes]],
        size: int,
        judge: Callable[[Closing, Asked], Closing | None],
    ) -> tuple[list[Candidate], list[Candidate], list[tuple[Closing, Closing]]]:
        """Sort into what may be claimed now, what waits, and what is refused."""
        batch: list[Candidate] = []
        rest: list[Candidate] = []
        refused: list[tuple[Closing, Closing]] = []
        in_batch: set[bytes] = set()
        known = self._identities.before(connection, persons)
        for candidate in candidates:
            closing = candidate.closing
            before, same = known[closing.key], persons[closing.key]
            verdict = judge(closing, before.asked)
            if verdict is not None:
                refused.append((closing, verdict))
            elif len(batch) >= size or before.sending or in_batch & same:
                rest.append(candidate)
            else:
                batch.append(candidate)
                in_batch |= same
        return batch, rest, refused

    def _claimed(self, candidate: Candidate, at: datetime) -> Pair:
        return candidate.closing, candidate.closing._replace(
            state=State.SENDING,
            reason=None,
            claimed_at=at,
            claimed_in_run=self.run,
            batch=self._batches,
        )

    def _of_firm(self) -> ColumnElement[bool]:
        return closings.c.firm == self._firm

    def _due_without_faults(self, wanted: Due) -> ColumnElement[bool]:
        return and_(conditions.due(wanted, self.run), conditions.no_fault())

    def _count(self, condition: ColumnElement[bool]) -> int:
        statement = select(func.count()).where(self._of_firm(), condition)
        with self._transaction() as connection:
            return connection.execute(statement).scalar_one()

    def _select(self, condition: Any, limit: int | None = None, order: Any = ()) -> list[Closing]:
        with self._transaction() as connection:
            return self._where(connection, condition, limit, order)

    def _where(
        self, connection: Connection, condition: Any, limit: int | None = None, order: Any = ()
    ) -> list[Closing]:
        statement = select(*rows.COLUMNS).where(self._of_firm(), condition)
        found = connection.execute(statement.order_by(*order).limit(limit))
        return [rows.closing_of(row) for row in found]

    def _transaction(self) -> database.Transaction:
        return database.transaction(self._engine)


def _noticed_after(closing: Closing) -> ColumnElement[bool]:
    key = closing.key
    place = (rows.seconds(closing.noticed_at), key.matter_id, rows.day(key.closed_on))
    return tuple_(*_NOTICED) > tuple_(*place)
