"""Which clients who were sent to Broadly have opted out since, so that a person tells Broadly.

An objection belongs to the closing that was sent. It stands until its contact is read with the box
unchecked, while no other card of the same person says no.
"""

from collections.abc import Collection
from datetime import date, datetime
from typing import Final, NamedTuple

from clio_broadly_sync.domain.daily_look import OBJECTS
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.store import database, rows
from clio_broadly_sync.store.database import Connection, Row
from clio_broadly_sync.store.people import CLAIMED
from clio_broadly_sync.store.rows import among
from clio_broadly_sync.store.writer import Writer


class Objection(NamedTuple):
    """A client who was sent to Broadly and has opted out since."""

    matter_id: int
    closed_on: date | None
    contact_id: int
    sent_at: datetime
    """When the closing was claimed (aware UTC)."""
    read_at: datetime
    """When the no was first read after that (aware UTC)."""


_RECORD: Final = f"""
    INSERT INTO objections (firm, closing, read_at)
    SELECT DISTINCT closings.firm, closings.number, CAST(:at AS INTEGER)
    FROM {CLAIMED}
    WHERE people.firm = :firm AND closings.state = '{State.SENT.value}'
    AND +closings.claimed_at > :since
    AND people.identity IN {{identities}}
    ON CONFLICT DO NOTHING
"""
"""With the moment bare, SQLite would go through all that was sent in those weeks."""
_WITHDRAW: Final = """
    DELETE FROM objections
    WHERE firm = :firm AND closing IN (
        SELECT people.closing FROM people
        WHERE people.firm = :firm AND people.identity IN {identities}
    )
"""
_ANY: Final = "SELECT EXISTS (SELECT 1 FROM objections WHERE firm = :firm)"
_UNTOLD: Final = "SELECT count(*) FROM objections WHERE firm = :firm AND told_in_run IS NULL"
_TELL: Final = """
    UPDATE objections SET told_in_run = :run WHERE firm = :firm AND told_in_run IS NULL
"""
_LISTED: Final = """
    SELECT
        closings.matter_id, closings.closed_on, closings.contact_id, closings.claimed_at,
        objections.read_at
    FROM objections
    JOIN closings ON closings.firm = objections.firm AND closings.number = objections.closing
    WHERE objections.firm = :firm AND objections.read_at > :since
    ORDER BY objections.read_at, closings.number
"""


class Objections:
    """The objections of one firm. Every method may raise StorageError."""

    def __init__(self, connection: Connection, firm: int, writer: Writer) -> None:
        self._connection = connection
        self._firm = firm
        self._writer = writer
        self._exist = True
        """Whether there may be any."""

    def look(self, connection: Connection) -> None:
        """See whether there is any, so that no run has to ask; the caller opens the transaction."""
        found = connection.execute(_ANY, {"firm": self._firm}).fetchone()
        self._exist = bool(found[0])

    def record(self, connection: Connection, identities: Collection[int], at: datetime) -> None:
        """Record the noes of these people, read just now (`at`), who have been sent before.

        What was recorded before stays as it is. The caller opens the transaction.
        """
        if not identities:
            return
        listed, values = among("identity", identities)
        values |= {"at": rows.seconds(at), "since": rows.seconds(at - OBJECTS)}
        statement = _RECORD.format(identities=listed)
        if connection.execute(statement, {"firm": self._firm, **values}).rowcount > 0:
            self._exist = True

    def withdraw(self, connection: Connection, identities: Collection[int]) -> None:
        """Forget the objections of these people; the caller opens the transaction."""
        listed, values = among("identity", identities)
        connection.execute(_WITHDRAW.format(identities=listed), {"firm": self._firm, **values})

    def exist(self) -> bool:
        """Tell whether there may be any objection."""
        return self._exist

    def tell(self) -> int:
        """Return how many no run has told so far; from now on, this run has."""
        untold = self._number(_UNTOLD) if self.exist() else 0
        if untold:
            values = {"firm": self._firm, "run": self._writer.run}
            with self._writer.transaction(self._connection) as connection:
                connection.execute(_TELL, values)
        return untold

    def listed(self, now: datetime) -> list[Objection]:
        """Return those that were read within `OBJECTS` before `now`, in that order."""
        values = {"firm": self._firm, "since": rows.seconds(now - OBJECTS)}
        with database.transaction(self._connection) as connection:
            return [objection_of(row) for row in connection.execute(_LISTED, values)]

    def _number(self, statement: str) -> int:
        with database.transaction(self._connection) as connection:
            return int(connection.execute(statement, {"firm": self._firm}).fetchone()[0])


def objection_of(row: Row) -> Objection:
    """Return the objection of a row that has what `Objection` tells, by its names in the tables."""
    return Objection(
        matter_id=row["matter_id"],
        closed_on=rows.key_of(row).closed_on,
        contact_id=row["contact_id"],
        sent_at=rows.moment(row["claimed_at"]),
        read_at=rows.moment(row["read_at"]),
    )
