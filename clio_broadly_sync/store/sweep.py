"""The sweep of the list of runs: of many firms, what it would grow by first.

A run that changed nothing is told of in a report alone: it shows on which days there were runs.
Whose day that is, the report says. So of each day in UTC the first such run stays and the last, and
a day of whichever zone that had one still has one. A run that failed stays, with its sentence.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from clio_broadly_sync.domain.errors import ATTENTION, OK
from clio_broadly_sync.store.facts import SWEPT
from clio_broadly_sync.store.postgresql import Session


class Sweep:
    """The sweep, firm by firm, over a session of the worker. It may raise StorageError."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def all(self, keep: timedelta) -> Iterator[int]:
        """Sweep each firm in a transaction of its own; yield each time how many rows went."""
        for firm in [number for (number,) in self._session.execute(_FIRMS)]:
            yield self.firm(firm, keep)

    def firm(self, firm: int, keep: timedelta) -> int:
        """Delete the rows of a firm's runs that are older than `keep` and changed nothing.

        Return how many went. The firm's state remembers how many went in all, so that one that is
        missing is still found (`store/integrity.py`). No run needs to wait for it: none looks at
        these rows.
        """
        with self._session.transaction():
            self._session.execute(_AS_FIRM, {"firm": str(firm)})
            swept = self._session.execute(_SWEEP, {"firm": firm, "keep": keep}).rowcount
            if swept:
                self._session.execute(_NOTE, {"firm": firm, "swept": str(swept)})
        return swept


_FIRMS: Final = "SELECT firm FROM firms ORDER BY firm"
_AS_FIRM: Final = "SELECT set_config('fleet.firm', :firm, true)"
_DAY: Final = 24 * 60 * 60
_REFERRED_TO: Final = " UNION ALL ".join(
    f"SELECT {column} FROM {table} WHERE firm = :firm"
    for table, column in (
        ("closings", "read_in_run"),
        ("closings", "changed_in_run"),
        ("closings", "claimed_in_run"),
        ("changes", "run"),
        ("objections", "told_in_run"),
    )
)
"""Every column that names a run. Of the facts some do, but only as a number to compare with.

These rows are set against the runs by EXCEPT, because a join goes through all of them for each run
where the server has not counted its tables yet."""
_LAST: Final = 20
"""The last runs are listed by `status`, however long ago they were."""
_PLACED: Final = f"""
    SELECT run, started_at, lag(run) OVER of_day AS before, lead(run) OVER of_day AS after
    FROM runs
    WHERE firm = :firm AND command = 'sync' AND exit_code IN ({OK}, {ATTENTION})
    WINDOW of_day AS (PARTITION BY started_at / {_DAY}, exit_code ORDER BY started_at, run)
"""
_SWEEP: Final = f"""
    DELETE FROM runs WHERE firm = :firm AND run IN (
        SELECT run FROM ({_PLACED}) AS placed
        WHERE before IS NOT NULL AND after IS NOT NULL
        AND started_at < extract(epoch FROM now() - CAST(:keep AS INTERVAL))
        AND run <= (SELECT max(run) - {_LAST} FROM runs WHERE firm = :firm)
        EXCEPT ({_REFERRED_TO})
    )
"""
_NOTE: Final = f"""
    INSERT INTO facts (firm, name, value) VALUES (:firm, '{SWEPT}', :swept)
    ON CONFLICT (firm, name) DO UPDATE
    SET value = CAST(CAST(facts.value AS BIGINT) + CAST(excluded.value AS BIGINT) AS TEXT)
"""
