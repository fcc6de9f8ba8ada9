"""The ledger: one row for each closing, and the append-only list of its changes.

Its verbs are record, claim, settle, release and recover. What becomes of a closing is decided
by the caller (`rules`), here it is made durable: each verb is one transaction.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from clio_broadly_sync.model import (
    FAULTS,
    Approval,
    Asked,
    Candidate,
    Closing,
    Command,
    Due,
    Key,
    Reason,
    Receipt,
    State,
)
from clio_broadly_sync.store import database, rows
from clio_broadly_sync.store.identities import Identities
from clio_broadly_sync.store.schema import MARKED, PENDING, SENDING, changes, closings, due

CHUNK = 500
"""Rows held in memory at a time."""
_DONE_IN_THIS_RUN = [
    reason.value for reason in (Reason.RETRY, Reason.UNKNOWN_OUTCOME, *sorted(FAULTS))
]

Pair = tuple[Closing | None, Closing]
"""A closing as it was (None: new) and as it is to be."""


class Claim(NamedTuple):
    """`batch` was claimed; `rest` was not, in its order; `refused` may not be handed over."""

    batch: list[Candidate]
    rest: list[Candidate]
    refused: list[Closing]


class Ledger:
    """One firm's closings. Every method is one transaction, and raises StorageError."""

    def __init__(self, engine: Engine, firm: str, key: bytes) -> None:
        self._engine = engine
        self._firm = firm
        self._identities = Identities(firm, key)
        self._position = 0
        self.run = 0

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
                self._save(connection, pairs, at)

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
        batch: list[Candidate] = []
        rest: list[Candidate] = []
        refused: list[Pair] = []
        persons: set[object] = set()
        with self._transaction() as connection:
            before = self._identities.before(connection, candidates)
            for candidate in candidates:
                known = before[candidate.closing.key]
                ids = {candidate.request.contact_id, *self._identities.of(candidate.request)}
                verdict = judge(candidate.closing, known.asked)
                if verdict is not None:
                    refused.append((candidate.closing, verdict))
                elif len(batch) >= size or known.sending or persons & ids:
                    rest.append(candidate)
                else:
                    batch.append(candidate)
                    persons |= ids
            if whole and len(batch) < size:
                batch, rest = [], batch + rest
            self._save(connection, refused + [_claimed(c, at) for c in batch], at)
            self._identities.remember(connection, batch, at)
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
            codes = {receipt.key: receipt.code for receipt in receipts}
            self._save(connection, [(old, new) for _, old, new in settled], at, codes)
        return [(receipt, new) for receipt, _, new in settled]

    def release(self, after: Callable[[Closing], Closing], at: datetime) -> list[Closing]:
        """Give back what was claimed and never reached Broadly."""
        with self._transaction() as connection:
            pairs = [(old, after(old)) for old in self._where(connection, SENDING)]
            self._save(connection, pairs, at)
        return [new for _, new in pairs]

    def recover(self, after: Callable[[Closing], Closing], at: datetime) -> list[Closing]:
        """Put right what an earlier run left: rows found sending, and marked ones that wait.

        `after` returns what becomes of each, the same closing where nothing does.
        """
        with self._transaction() as connection:
            left = self._where(connection, SENDING)
            left += self._where(connection, and_(MARKED, PENDING))
            pairs = [(old, new) for old in left if (new := after(old)) != old]
            self._save(connection, pairs, at, decided=False)
        return [new for _, new in pairs]

    def set_approval(
        self, wanted: Due, approval: Approval, change: Callable[[Closing], Closing], at: datetime
    ) -> int:
        """Change all due closings that are not faults and were never approved; return how many."""
        open_ones = [a.value for a in Approval if a not in (approval, Approval.GIVEN)]
        condition = and_(self._due(wanted), _no_fault(), closings.c.approval.in_(open_ones))
        changed = 0
        while chunk := self._select(condition, limit=CHUNK):
            self.record([(closing, change(closing)) for closing in chunk], at)
            changed += len(chunk)
        return changed

    def count_unapproved(self, wanted: Due) -> int:
        """Count the due closings, faults apart, that no person approved."""
        unapproved = closings.c.approval != Approval.GIVEN.value
        return self._count(and_(self._due(wanted), _no_fault(), unapproved))

    def count_awaiting(self, wanted: Due) -> int:
        """Count the due closings that wait for a person to approve them."""
        awaiting = closings.c.approval == Approval.WANTED.value
        return self._count(and_(self._due(wanted), _no_fault(), awaiting))

    def count_handed_over(self, command: Command, since: datetime) -> int:
        """Count the unapproved closings that were handed over, or may have been."""
        return self._count(
            and_(
                closings.c.claimed_at > rows.seconds(since),
                closings.c.command == command.value,
                closings.c.approval != Approval.GIVEN.value,
                closings.c.state.in_([State.SENT.value, State.HELD.value]),
            )
        )

    def count_pending(self, wanted: Due) -> int:
        """Count what waits of a command, due or not."""
        return self._count(self._of_command(wanted))

    def line_up(self, wanted: Due, *, approved_only: bool) -> int:
        """Put the due closings in the order of sending; return how many there are.

        A client's place is that of its first due closing; all of them stand together.
        """
        approvals = [Approval.GIVEN] if approved_only else [Approval.NONE, Approval.GIVEN]
        condition = and_(
            self._due(wanted), closings.c.approval.in_([approval.value for approval in approvals])
        )
        with self._transaction() as connection:
            connection.execute(delete(due))
            placed = connection.execute(insert(due).from_select(list(due.c), _ordered(condition)))
            return placed.rowcount

    def lined_up(self) -> Iterator[Closing]:
        """Yield what was lined up and is still pending, a chunk at a time."""
        place = 0
        joined = closings.join(
            due,
            and_(closings.c.matter_id == due.c.matter_id, closings.c.closed_on == due.c.closed_on),
        )
        statement = (
            select(due.c.place, *rows.COLUMNS)
            .select_from(joined)
            .where(closings.c.firm == self._firm, due.c.place > bindparam("place"))
            .where(closings.c.state == State.PENDING.value)
            .order_by(due.c.place)
            .limit(CHUNK)
        )
        while True:
            with self._transaction() as connection:
                chunk = connection.execute(statement, {"place": place}).all()
            yield from map(rows.closing_of, chunk)
            if len(chunk) < CHUNK:
                return
            place = chunk[-1].place

    def decided(self, command: Command) -> Iterator[Closing]:
        """Yield what the run decided on, in that order; and what waits for approval."""
        unapproved = and_(
            PENDING,
            closings.c.command == command.value,
            closings.c.approval == Approval.WANTED.value,
        )
        statement = (
            select(*rows.COLUMNS)
            .where(closings.c.firm == self._firm)
            .where(or_(closings.c.decided_in_run == self.run, unapproved))
            .order_by(closings.c.position)
        )
        with self._transaction() as connection:
            for row in connection.execution_options(yield_per=CHUNK).execute(statement):
                yield rows.closing_of(row)

    def _of_command(self, wanted: Due) -> ColumnElement[bool]:
        conditions: list[Any] = [PENDING, closings.c.command == wanted.command.value]
        if wanted.first is not None:
            conditions.append(closings.c.closed_on >= rows.day(wanted.first))
        if wanted.last is not None:
            conditions.append(closings.c.closed_on <= rows.day(wanted.last))
        return and_(*conditions)

    def _due(self, wanted: Due) -> ColumnElement[bool]:
        settled = closings.c.noticed_at <= rows.seconds(wanted.noticed_until)
        done = and_(closings.c.decided_in_run == self.run, closings.c.reason.in_(_DONE_IN_THIS_RUN))
        conditions = [
            self._of_command(wanted),
            or_(settled, closings.c.resent == 1),
            or_(closings.c.reason.is_(None), ~done),
        ]
        if wanted.faults_until is not None:
            looked_at = closings.c.read_at <= rows.seconds(wanted.faults_until)
            conditions.append(or_(_no_fault(), looked_at))
        return and_(*conditions)

    def _count(self, condition: Any) -> int:
        statement = select(func.count()).where(closings.c.firm == self._firm, condition)
        with self._transaction() as connection:
            return connection.execute(statement).scalar_one()

    def _select(self, condition: Any, limit: int | None = None) -> list[Closing]:
        with self._transaction() as connection:
            return self._where(connection, condition, limit)

    def _where(
        self, connection: Connection, condition: Any, limit: int | None = None
    ) -> list[Closing]:
        statement = select(*rows.COLUMNS).where(closings.c.firm == self._firm, condition)
        return [rows.closing_of(row) for row in connection.execute(statement.limit(limit))]

    def _save(
        self,
        connection: Connection,
        pairs: Sequence[Pair],
        at: datetime,
        codes: Mapping[Key, str | None] | None = None,
        *,
        decided: bool = True,
    ) -> None:
        added: list[rows.Values] = []
        moved: list[rows.Values] = []
        noted: list[rows.Values] = []
        for old, new in pairs:
            self._position += 1
            values = rows.values_of(new)
            values |= {"position": self._position, "changed_at": rows.seconds(at)}
            values["decided_in_run"] = self.run if decided or new.state is State.HELD else 0
            if old is None:
                added.append({"firm": self._firm, **values})
            else:
                moved.append({**self._old_key(old), **{f"new_{k}": v for k, v in values.items()}})
            if old is None or _differ(old, new):
                noted.append(self._note(old, new, values, (codes or {}).get(new.key)))
        for statement, parameters in ((_ADD, added), (_MOVE, moved), (_NOTE, noted)):
            if parameters:
                connection.execute(statement, parameters)

    def _old_key(self, old: Closing) -> rows.Values:
        return {
            "old_firm": self._firm,
            "old_matter_id": old.key.matter_id,
            "old_closed_on": rows.day(old.key.closed_on),
        }

    def _note(
        self, old: Closing | None, new: Closing, values: rows.Values, code: str | None
    ) -> rows.Values:
        return {
            "firm": self._firm,
            "matter_id": values["matter_id"],
            "closed_on": values["closed_on"],
            "run": self.run,
            "position": values["position"],
            "at": values["changed_at"],
            "from_state": old.state.value if old is not None else None,
            "to_state": values["state"],
            "reason": values["reason"],
            "code": code,
        }

    def _transaction(self) -> "database.Transaction":
        return database.transaction(self._engine)


_ADD = insert(closings)
_NOTE = insert(changes)
_MOVE = (
    update(closings)
    .where(
        *(
            closings.c[name] == bindparam(f"old_{name}")
            for name in ("firm", "matter_id", "closed_on")
        )
    )
    .values(
        {column: bindparam(f"new_{column.name}") for column in closings.c if column.name != "firm"}
    )
)


def _no_fault() -> ColumnElement[bool]:
    faults = [reason.value for reason in FAULTS]
    return or_(closings.c.reason.is_(None), closings.c.reason.not_in(faults))


def _ordered(condition: Any) -> Any:
    """Number the closings: clients by their first one, a client's by when they were noticed."""
    client = func.coalesce(closings.c.contact_id, -closings.c.matter_id)
    inside = (closings.c.noticed_at, closings.c.matter_id, closings.c.closed_on)
    window: dict[str, Any] = {"partition_by": client, "order_by": inside}
    first = [func.first_value(column).over(**window) for column in inside[:2]]
    inner = (
        select(
            *inside,
            client.label("client"),
            first[0].label("first_noticed"),
            first[1].label("first_matter"),
        )
        .where(condition)
        .subquery()
    )
    order = (
        inner.c.first_noticed,
        inner.c.first_matter,
        inner.c.client,
        inner.c.noticed_at,
        inner.c.matter_id,
        inner.c.closed_on,
    )
    return select(func.row_number().over(order_by=order), inner.c.matter_id, inner.c.closed_on)


def _claimed(candidate: Candidate, at: datetime) -> Pair:
    old = candidate.closing
    return old, replace(old, state=State.SENDING, reason=None, claimed_at=at)


def _differ(old: Closing, new: Closing) -> bool:
    return (old.key, old.state, old.reason) != (new.key, new.state, new.reason)
