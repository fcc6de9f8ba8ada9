"""What became of closings, to be told to a person: rows with all their changes. Only reads."""

from collections import defaultdict
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, and_, select

from clio_broadly_sync.model import Asked, Candidate, Closing, Key, Reason, State
from clio_broadly_sync.store import conditions, database, rows
from clio_broadly_sync.store.identities import Identities
from clio_broadly_sync.store.schema import changes, closings, runs


class Step(NamedTuple):
    """One change of a closing, and the run that made it; `answer` is Broadly's code."""

    at: datetime
    run: int
    command: str | None
    before: State | None
    state: State
    reason: Reason | None
    batch: int | None
    answer: str | None


class Story(NamedTuple):
    """A closing as it stands, and how it came to that, the oldest change first."""

    closing: Closing
    steps: tuple[Step, ...]


class Trail:
    """One firm's past. Every method is one transaction, and raises StorageError."""

    def __init__(self, engine: Engine, firm: str, key: bytes) -> None:
        self._engine = engine
        self._firm = firm
        self._identities = Identities(firm, key)

    def of_matter(self, matter_id: int) -> list[Story]:
        """Return the closings of a matter, the one that was noticed last first."""
        return self._stories(closings.c.matter_id == matter_id)

    def of_contact(self, contact_id: int) -> list[Story]:
        """Return the closings of a contact, the one that was noticed last first.

        Goes through the whole ledger: a person asks this now and then, a run never does.
        """
        return self._stories(closings.c.contact_id == contact_id)

    def asked(self, candidate: Candidate) -> Asked:
        """Return what is known of earlier hand-overs to the same person, or of the same matter."""
        key = candidate.closing.key
        person = {key: self._identities.of(candidate.request)}
        with self._transaction() as connection:
            return self._identities.before(connection, person)[key].asked

    def _stories(self, condition: ColumnElement[bool]) -> list[Story]:
        wanted = and_(closings.c.firm == self._firm, condition)
        newest_first = (closings.c.noticed_at.desc(), closings.c.closed_on.desc())
        with self._transaction() as connection:
            steps = _steps(connection, wanted)
            found = connection.execute(
                select(*rows.COLUMNS).where(wanted).order_by(*newest_first, closings.c.matter_id)
            )
            told = [rows.closing_of(row) for row in found]
        return [Story(closing, tuple(steps[closing.key])) for closing in told]

    def _transaction(self) -> database.Transaction:
        return database.transaction(self._engine)


def _steps(connection: Connection, wanted: ColumnElement[bool]) -> dict[Key, list[Step]]:
    of_run = and_(runs.c.firm == changes.c.firm, runs.c.run == changes.c.run)
    statement = (
        select(changes, runs.c.command)
        .join_from(closings, changes, and_(*conditions.OWN_CHANGES))
        .outerjoin(runs, of_run)
        .where(wanted)
        .order_by(changes.c.run, changes.c.position)
    )
    found: dict[Key, list[Step]] = defaultdict(list)
    for row in connection.execute(statement):
        step = Step(
            at=rows.moment(row.at),
            run=row.run,
            command=row.command,
            before=State(row.from_state) if row.from_state else None,
            state=State(row.to_state),
            reason=Reason(row.reason) if row.reason else None,
            batch=row.batch,
            answer=row.code,
        )
        found[rows.key_of(row)].append(step)
    return found
