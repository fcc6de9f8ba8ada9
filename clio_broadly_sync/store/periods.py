"""What became of the closings of some days, counted or one by one, and how the runs then went.

This module only reads. A closing belongs to the day of its close date; one without, to the day on
which it was noticed. Whose day that is, the caller says: the first and the last day come with the
moments at which they begin and end.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any, Final, NamedTuple

from clio_broadly_sync.domain.model import Closing, Command
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.store import database, rows
from clio_broadly_sync.store.database import Connection, Row
from clio_broadly_sync.store.objections import Objection, objection_of
from clio_broadly_sync.store.overview import PastRun, past_run_of
from clio_broadly_sync.store.rows import OF_FIRM

QUARTER: Final = timedelta(minutes=15)
"""Days begin at a quarter of an hour in every zone there is, so noticed closings are counted by
these."""
_SECONDS: Final = int(QUARTER.total_seconds())


class Days(NamedTuple):
    """Some days in a row, in the firm's zone."""

    first: date
    last: date
    """It is included."""
    begins: datetime
    """When the first day begins (aware UTC)."""
    ends: datetime
    """When the last day ends (aware UTC): the moment at which the next one begins."""


class Counted(NamedTuple):
    """So many closings that are alike."""

    closed_on: date | None
    noticed_at: datetime | None
    """Within the `QUARTER` from this moment on they were noticed; None where there is a close
    date."""
    state: State
    reason: Reason | None
    command: Command
    in_doubt: bool
    settling: bool
    """Whether they still rest (`Policy.settle_hours`), if they wait."""
    closings: int


class Told(NamedTuple):
    """A closing, and whether its client has opted out after it was sent."""

    closing: Closing
    objected_at: datetime | None
    """When that was first read (aware UTC); None where they have not."""


_WITHIN: Final = f"""{OF_FIRM} AND (
    closings.closed_on BETWEEN :first AND :last
    OR (closings.closed_on = '' AND closings.noticed_at >= :begins AND closings.noticed_at < :ends)
)"""
_COUNTED: Final = f"""
    SELECT
        closed_on, CASE WHEN closed_on = '' THEN noticed_at / :quarter END AS quarter,
        state, reason, command, in_doubt,
        state = '{State.PENDING.value}' AND command = '{Command.SYNC.value}' AND resent = 0
            AND noticed_at > :settled AS settling,
        count(*) AS closings
    FROM closings
    WHERE {_WITHIN}
    GROUP BY 1, 2, 3, 4, 5, 6, 7
"""
_CLOSINGS: Final = f"""
    SELECT {rows.SELECTED}, objections.read_at AS objected_at
    FROM closings
    LEFT JOIN objections
        ON objections.firm = closings.firm AND objections.closing = closings.number
    WHERE {_WITHIN}
    ORDER BY closings.closed_on, closings.noticed_at, closings.matter_id
"""
_OPTED_OUT: Final = f"""
    SELECT
        closings.matter_id, closings.closed_on, closings.contact_id, closings.claimed_at,
        closings.noticed_at, objections.read_at
    FROM objections
    JOIN closings ON closings.firm = objections.firm AND closings.number = objections.closing
    WHERE objections.firm = :firm AND {_WITHIN}
    ORDER BY objections.read_at, closings.number
"""
_RUNS: Final = """
    SELECT * FROM runs
    WHERE firm = :firm AND command = :command AND started_at >= :begins AND started_at < :ends
    ORDER BY started_at, run
"""


class Periods:
    """One firm's past days. Every method is one transaction and may raise StorageError."""

    def __init__(self, connection: Connection, firm: int) -> None:
        self._connection = connection
        self._firm = firm

    def counted(self, days: Days, settled: datetime) -> Iterator[Counted]:
        """Count what closed in these days, in one pass; what `sync` noticed after `settled` still
        rests."""
        more = {"settled": rows.seconds(settled), "quarter": _SECONDS}
        for row in self._found(_COUNTED, days, **more):
            yield _counted(row)

    def closings(self, days: Days) -> Iterator[Told]:
        """Yield what closed in these days, by close date; what has none comes first."""
        for row in self._found(_CLOSINGS, days):
            at = row["objected_at"]
            yield Told(rows.closing_of(row), None if at is None else rows.moment(at))

    def opted_out(self, days: Days) -> Iterator[tuple[Objection, datetime]]:
        """Yield who closed in these days, was sent and has opted out since, the first noticed
        first; with the moment (aware UTC) at which the closing was noticed."""
        for row in self._found(_OPTED_OUT, days):
            yield objection_of(row), rows.moment(row["noticed_at"])

    def syncs(self, days: Days) -> Iterator[PastRun]:
        """Yield the runs of `sync` that began in these days, the first first."""
        yield from map(past_run_of, self._found(_RUNS, days, command=Command.SYNC.value))

    def _found(self, statement: str, days: Days, **more: Any) -> Iterator[Row]:
        values = {
            "firm": self._firm,
            "first": rows.day(days.first),
            "last": rows.day(days.last),
            "begins": rows.seconds(days.begins),
            "ends": rows.seconds(days.ends),
        }
        with database.transaction(self._connection) as connection:
            yield from database.each(connection, statement, values | more)


def _counted(row: Row) -> Counted:
    quarter = row["quarter"]
    return Counted(
        closed_on=date.fromisoformat(row["closed_on"]) if row["closed_on"] else None,
        noticed_at=None if quarter is None else rows.moment(quarter * _SECONDS),
        state=State(row["state"]),
        reason=Reason(row["reason"]) if row["reason"] else None,
        command=Command(row["command"]),
        in_doubt=bool(row["in_doubt"]),
        settling=bool(row["settling"]),
        closings=row["closings"],
    )
