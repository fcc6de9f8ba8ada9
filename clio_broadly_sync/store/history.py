"""What became of closings, for a person to read: rows of the ledger with all their changes.

This module only reads.
"""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from clio_broadly_sync.domain.model import Asked, Candidate, Closing, Contact
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.store import database, rows
from clio_broadly_sync.store.database import Connection
from clio_broadly_sync.store.noes import Noes
from clio_broadly_sync.store.objections import Objections
from clio_broadly_sync.store.people import CLAIMED, People
from clio_broadly_sync.store.rows import OF_FIRM, among
from clio_broadly_sync.store.writer import Writer


class Step(NamedTuple):
    """One change of a closing, and the run that made it."""

    at: datetime
    """In aware UTC."""
    run: int
    command: str | None
    """The command of that run; None where the list of runs does not have the run."""
    before: State | None
    """None for the first change, which brought the closing into the ledger."""
    state: State
    reason: Reason | None
    batch: int | None
    """Which of the run's batches the closing was claimed for; None where this is no claim."""
    answer: str | None
    """What the ledger keeps of Broadly's answer (`Receipt.word`); None where it keeps nothing."""
    cause: str | None = None
    """What stood behind the reason (`Closing.cause`)."""


class Story(NamedTuple):
    """A closing as it stands, and how it came to that."""

    closing: Closing
    steps: tuple[Step, ...]
    """All its changes, the oldest first."""
    objected_at: datetime | None = None
    """When it was first read that the client had opted out after it was sent (aware UTC); None
    where they have not."""


_CLOSINGS: Final = f"""
    SELECT {rows.SELECTED}, (
        SELECT objections.read_at FROM objections
        WHERE objections.firm = closings.firm AND objections.closing = closings.number
    ) AS objected_at
    FROM closings
    WHERE {{condition}}
    ORDER BY noticed_at DESC, closed_on DESC, matter_id
"""
_STEPS: Final = """
    SELECT changes.*, runs.command
    FROM changes
    LEFT JOIN runs ON runs.firm = changes.firm AND runs.run = changes.run
    WHERE changes.firm = :firm
    AND changes.closing IN (SELECT closings.number FROM closings WHERE {condition})
    ORDER BY changes.run, changes.position
"""
_OF_MATTERS: Final = f"""{OF_FIRM} AND closings.matter_id IN (
    SELECT own.matter_id FROM closings AS own
    WHERE own.firm = :firm AND own.contact_id = :id
)"""
_OF_PERSON: Final = f"""closings.number IN (
    SELECT people.closing
    FROM {CLAIMED}
    WHERE people.firm = :firm AND people.identity IN {{identities}}
)"""
"""A number is of one firm. With the firm beside it, SQLite would go through all closings of it."""


_OF_CLIENT: Final = f"""{OF_FIRM} AND (
    closings.contact_id = :id OR closings.number IN (
        SELECT people.closing FROM people
        WHERE people.firm = :firm AND people.identity = :identity
    )
)"""


class History:
    """One firm's past. Every method is one transaction and may raise StorageError."""

    def __init__(self, connection: Connection, firm: int, key: bytes) -> None:
        self._connection = connection
        self._firm = firm
        self._people = People(firm, key)
        writer = Writer(firm)
        objections = Objections(connection, firm, writer)
        self._noes = Noes(connection, firm, self._people, writer, objections)

    def of_matter(self, matter_id: int) -> list[Story]:
        """Return the closings of a matter, the one that was noticed last first."""
        return self._stories(f"{OF_FIRM} AND closings.matter_id = :id", {"id": matter_id})

    def of_contact(self, contact_id: int) -> list[Story]:
        """Return the closings of a contact, the one that was noticed last first.

        This goes through the whole ledger. A person asks for it now and then, a run never does.
        """
        return self._stories(f"{OF_FIRM} AND closings.contact_id = :id", {"id": contact_id})

    def of_client(self, contact_id: int) -> list[Story]:
        """Return the closings of a contact, and those that were ever claimed for it.

        A matter may have got another client since. The one that was noticed last comes first.
        """
        sought = {"id": contact_id, "identity": self._people.contact(contact_id)}
        return self._stories(_OF_CLIENT, sought)

    def of_matters_of(self, contact_id: int) -> list[Story]:
        """Return all closings of the matters of which a contact has a closing.

        The one that was noticed last comes first, and those of other contacts are among them.
        """
        return self._stories(_OF_MATTERS, {"id": contact_id})

    def of_person(self, contact: Contact) -> list[Story]:
        """Return the closings claimed for this contact, e-mail address or phone number.

        The one that was noticed last comes first.
        """
        listed, values = among("identity", self._people.of(contact))
        return self._stories(_OF_PERSON.format(identities=listed), values)

    def asked(self, candidate: Candidate) -> Asked:
        """Return when the same person, or the same matter, was sent to Broadly before, and which
        other contact's no stops it."""
        key = candidate.closing.key
        person = {key: self._people.of(candidate.contact)}
        with database.transaction(self._connection) as connection:
            asked = self._people.before(connection, person)[key].asked
            stopped = self._noes.stopping(connection, [candidate])
        return asked._replace(no_of=stopped.get(key))

    def _stories(self, condition: str, sought: Mapping[str, int]) -> list[Story]:
        values = {"firm": self._firm, **sought}
        with database.transaction(self._connection) as connection:
            steps = _steps(connection, condition, values)
            found = connection.execute(_CLOSINGS.format(condition=condition), values)
            told = [(rows.closing_of(row), row["objected_at"]) for row in found]
        return [
            Story(closing, tuple(steps[closing.number]), None if at is None else rows.moment(at))
            for closing, at in told
        ]


def _steps(connection: Connection, condition: str, values: dict[str, Any]) -> dict[int, list[Step]]:
    """Return the changes of the closings that meet the condition, by the closing's number."""
    found: dict[int, list[Step]] = defaultdict(list)
    for row in connection.execute(_STEPS.format(condition=condition), values):
        step = Step(
            at=rows.moment(row["at"]),
            run=row["run"],
            command=row["command"],
            before=State(row["from_state"]) if row["from_state"] else None,
            state=State(row["to_state"]),
            reason=Reason(row["reason"]) if row["reason"] else None,
            batch=row["batch"],
            answer=row["code"],
            cause=row["cause"],
        )
        found[row["closing"]].append(step)
    return found
