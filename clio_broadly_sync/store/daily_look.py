"""What there is to look at daily, a chunk at a time, in the order in which it was noticed.

This module only reads.
"""

from datetime import date, datetime
from typing import Any, Final

from clio_broadly_sync.domain.model import Closing, Policy
from clio_broadly_sync.domain.reasons import LOOKED_AT_DAILY
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.store import database, rows
from clio_broadly_sync.store.database import Connection
from clio_broadly_sync.store.rows import OF_FIRM
from clio_broadly_sync.store.tables import SKIPPED, quoted

AT_ONCE: Final = 100
"""So many closings are looked at together: one request asks Clio for no more ids."""
_CHUNK: Final = f"""
    SELECT {rows.SELECTED} FROM closings
    WHERE {OF_FIRM} AND {{condition}} AND +closings.number > :after
    ORDER BY +closings.number
    LIMIT {AT_ONCE}
"""
"""With the number bare, SQLite would go through all closings in its order."""
_SKIPPED: Final = _CHUNK.format(
    condition=f"""{SKIPPED} AND closings.closed_on >= :first
    AND closings.reason IN {quoted(LOOKED_AT_DAILY)}
    AND closings.rule = :rule AND closings.read_in_run >= :since_run"""
)
_SENT: Final = _CHUNK.format(
    condition=f"closings.claimed_at > :since AND closings.state = '{State.SENT.value}'"
)


class DailyLook:
    """The closings of one firm that are looked at. Every method may raise StorageError.

    A method returns those after the closing with the number `after`, and no more than `AT_ONCE`;
    fewer are the last ones.
    """

    def __init__(self, connection: Connection, firm: int) -> None:
        self._connection = connection
        self._firm = firm

    def skipped(self, policy: Policy, first: date, after: int) -> list[Closing]:
        """Return what was skipped for something that a person may put right.

        It was by the rules of this policy, and the close date is `first` or a later one.
        """
        values = {"rule": policy.rule.value, "since_run": policy.since_run}
        return self._chunk(_SKIPPED, values | {"first": rows.day(first), "after": after})

    def sent(self, since: datetime, after: int) -> list[Closing]:
        """Return what was sent to Broadly and claimed after `since` (aware UTC)."""
        return self._chunk(_SENT, {"since": rows.seconds(since), "after": after})

    def _chunk(self, statement: str, values: dict[str, Any]) -> list[Closing]:
        with database.transaction(self._connection) as connection:
            found = connection.execute(statement, {"firm": self._firm, **values})
            return [rows.closing_of(row) for row in found]
