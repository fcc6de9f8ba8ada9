"""How the firms of a fleet stand: which fail, are late or silent, and where something waits.

This module only reads, as the role that sees all firms and nothing that is sealed. What
waits is counted by indexes that hold nothing else, so that ledgers of many years cost nothing.
Firms that are paused or removed count for nothing.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from clio_broadly_sync.domain.model import Approval
from clio_broadly_sync.store.firms import ACTIVE, MARK_NOW, PAUSED, REMOVED
from clio_broadly_sync.store.postgresql import READER, Session
from clio_broadly_sync.store.queue import approval
from clio_broadly_sync.store.tables import DEAD, HELD, PENDING

WORKS_AS: Final = "clio-broadly-sync worker "
"""How the name begins that the server shows of a worker's own session; the worker's follows."""
LATE_AFTER: Final = timedelta(hours=1)
"""A firm is late once it should have run a period ago, or as long ago as this."""


class Failing(NamedTuple):
    """A firm whose last run failed."""

    name: str
    exit_code: int
    since: datetime


class Behind(NamedTuple):
    """A firm that has been late, or without a good run, since a moment."""

    name: str
    since: datetime


class Worker(NamedTuple):
    """A worker, as the server shows it."""

    name: str
    host: str | None
    """The address from which it came; None where that is the server's own host, or not shown."""
    since: datetime | None
    """When it began; None where the server does not show it, as of another login role's."""
    connected: bool
    """Whether it is there; else it is gone, and its firms wait for the end of their lease."""
    firms: int
    """How many firms it has at work."""


class Standing(NamedTuple):
    """How the firms stand at a moment. Firms are in the order of their names."""

    now: datetime
    """The server's time (aware UTC)."""
    firms: Mapping[str, int]
    """How many there are in each state."""
    failing: Sequence[Failing]
    late: Sequence[Behind]
    silent: Sequence[Behind]
    held: Mapping[str, int]
    """How many closings are held, by firm."""
    rejected: Mapping[str, int]
    awaiting: Mapping[str, int]
    """How many closings wait for a person's yes, by firm."""
    restored_at: datetime | None
    """When firms were paused because the database was restored; None where none still is."""
    paused_after_restore: int
    """How many firms still are."""
    workers: Sequence[Worker]


class FleetOverview:
    """The firms of a fleet, over a session that may take the reader's role."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def read(self, silent_after: timedelta) -> Standing:
        """Return how the firms stand; one without a good run for that long is silent.

        One that is run less often is so after twice its period. May raise StorageError.
        """
        with self._session.transaction():
            self._session.execute(f"SET LOCAL ROLE {READER}")
            ((now,),) = self._session.execute(_NOW)
            restored_at, paused = self._session.execute(_RESTORED).fetchone()
            return Standing(
                now=now,
                firms=dict.fromkeys((ACTIVE, PAUSED, REMOVED), 0) | self._counted(_STATES),
                failing=[Failing(*row) for row in self._session.execute(_FAILING)],
                late=self._behind(_LATE, LATE_AFTER),
                silent=self._behind(_SILENT, silent_after),
                held=self._counted(_CLOSINGS[HELD]),
                rejected=self._counted(_CLOSINGS[DEAD]),
                awaiting=self._counted(_CLOSINGS[_AWAITING]),
                restored_at=restored_at if paused else None,
                paused_after_restore=paused,
                workers=self._workers(),
            )

    def _counted(self, statement: str) -> dict[str, int]:
        return dict(map(tuple, self._session.execute(statement)))

    def _behind(self, statement: str, after: timedelta) -> list[Behind]:
        return [Behind(*row) for row in self._session.execute(statement, {"after": after})]

    def _workers(self) -> list[Worker]:
        self._session.execute("SET LOCAL ROLE NONE")  # the sessions are the login role's
        return [Worker(*row) for row in self._session.execute(_WORKERS, {"named": WORKS_AS})]


_NOW: Final = "SELECT now()"
_STATES: Final = "SELECT state, count(*) FROM firms GROUP BY state"
_RESTORED: Final = f"""
    SELECT CASE WHEN unnoted THEN now() ELSE restored_at END, count(firm)
    FROM (SELECT restored_at, mark <> {MARK_NOW} AS unnoted FROM fleet) AS known
    LEFT JOIN firms ON (state = 'paused' AND state_at = restored_at)
        OR (state = 'active' AND unnoted)
    GROUP BY unnoted, restored_at
"""
"""Whoever was paused by a person, before or since, was so at another moment. Where no worker has
noted it yet, those that are active are as good as paused."""
_FAILING: Final = """
    SELECT name, last_exit, failing_since FROM firms
    WHERE state = 'active' AND failing_since IS NOT NULL ORDER BY name
"""
_LATE: Final = """
    SELECT name, next_at FROM firms
    WHERE state = 'active' AND next_at < now() - least(period, CAST(:after AS INTERVAL))
    ORDER BY name
"""
_SILENT: Final = """
    SELECT name, greatest(good_at, added_at) FROM firms
    WHERE state = 'active'
    AND greatest(good_at, state_at) < now() - greatest(2 * period, CAST(:after AS INTERVAL))
    ORDER BY name
"""
"""One that was paused has from its resumption on as long as a new one."""
_AWAITING: Final = f"{PENDING} AND {approval(Approval.WANTED)}"
_CLOSINGS: Final = {
    condition: f"""
        SELECT firms.name, waiting.number
        FROM (SELECT firm, count(*) AS number FROM closings WHERE {condition} GROUP BY firm)
            AS waiting
        JOIN firms ON firms.firm = waiting.firm AND firms.state = 'active'
        ORDER BY firms.name
    """
    for condition in (HELD, DEAD, _AWAITING)
}
_WORKERS: Final = """
    SELECT coalesce(here.name, atwork.worker), here.host, here.since, here.name IS NOT NULL,
        coalesce(atwork.number, 0)
    FROM (
        SELECT substr(application_name, length(:named) + 1) AS name,
            min(host(client_addr)) AS host, min(backend_start) AS since
        FROM pg_stat_activity
        WHERE datname = current_database() AND starts_with(application_name, :named)
        GROUP BY 1
    ) AS here
    FULL JOIN (
        SELECT worker, count(*) AS number FROM firms
        WHERE state = 'active' AND worker IS NOT NULL GROUP BY worker
    ) AS atwork ON atwork.worker = here.name
    ORDER BY 1
"""
