"""Which firms are due, handed to the engine's queue; and the tables of that queue.

The queue holds nothing that is needed: a firm whose job is lost is due again after its lease. So an
upgrade of the engine makes its tables anew, in a schema of their own.
"""

from datetime import timedelta
from typing import Final

from clio_broadly_sync.domain.errors import ConfigError
from clio_broadly_sync.store.firms import IS_SAME_SERVER
from clio_broadly_sync.store.postgresql import OWNER, WORKER, Session, storage_errors

SCHEMA: Final = "fleet_queue"
QUEUE: Final = "firms"
TASK: Final = "sync_firm"
_HISTORY: Final = (
    "procrastinate_trigger_status_events_insert_v1",
    "procrastinate_trigger_status_events_update_v1",
)
"""What writes a history of each job, which goes with the job: an eighth of what a run writes."""
_WAITING_PER_SLOT: Final = 4
"""So many firms wait in the queue for each slot; the others wait in the order in which they are
due, so that none is passed over."""


def make_queue(session: Session, version: str, statements: str) -> None:
    """Make the engine's tables by these `statements`, unless they are of this version already."""
    with session.transaction():
        session.execute(f"SET LOCAL ROLE {OWNER}")
        (found,) = session.execute("SELECT queue FROM fleet FOR UPDATE").fetchone()
        if found == version:
            return
        for statement in (
            f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE",
            f"CREATE SCHEMA {SCHEMA}",
            f"SET LOCAL search_path = {SCHEMA}",
            statements,
            "RESET search_path",
            *(f"DROP TRIGGER {name} ON {SCHEMA}.procrastinate_jobs" for name in _HISTORY),
            f"ALTER FUNCTION {SCHEMA}.procrastinate_defer_jobs_v1 SET search_path = {SCHEMA}",
            f"GRANT USAGE ON SCHEMA {SCHEMA} TO {WORKER}",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {SCHEMA} TO {WORKER}",
            f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {SCHEMA} TO {WORKER}",
        ):
            session.raw.execute(statement.encode())
        session.execute("UPDATE fleet SET queue = ?", (version,))


def check_queue(session: Session, version: str) -> None:
    """Raise ConfigError unless the engine's tables are there, and of this version."""
    with storage_errors():
        found = session.execute("SELECT queue FROM fleet").fetchone()
    if found is None or found[0] != version:
        raise ConfigError(
            "The queue in the database is not of this worker's version: install the same version "
            "everywhere, and run `clio-broadly-sync fleet init`, once."
        )


def hand_over(session: Session, slots: int, lease: timedelta) -> int:
    """Hand the firms that are due to the queue, as many as it has room for; return how many.

    Each is due again after the `lease`, whatever becomes of its job. Any number of sessions may do
    this at once.
    """
    with session.transaction():
        (waiting,) = session.execute(_WAITING).fetchone()
        room = _WAITING_PER_SLOT * slots - waiting
        if room <= 0:
            return 0
        (handed,) = session.execute(_HAND_OVER, {"room": room, "lease": lease}).fetchone()
    return int(handed)


_WAITING: Final = f"""
    SELECT count(*) FROM {SCHEMA}.procrastinate_jobs
    WHERE status = 'todo' AND queue_name = '{QUEUE}'
"""
_HAND_OVER: Final = f"""
    WITH due AS (
        SELECT firm FROM firms
        WHERE state = 'active' AND next_at <= now() AND {IS_SAME_SERVER} AND NOT EXISTS (
            SELECT 1 FROM {SCHEMA}.procrastinate_jobs
            WHERE status = 'todo' AND queueing_lock = CAST(firms.firm AS TEXT)
        )
        ORDER BY next_at LIMIT :room FOR UPDATE SKIP LOCKED
    ), taken AS (
        UPDATE firms SET next_at = now() + :lease FROM due WHERE firms.firm = due.firm
        RETURNING firms.firm
    ), jobs AS (
        SELECT {SCHEMA}.procrastinate_defer_jobs_v1(array_agg(
            CAST(ROW('{QUEUE}', '{TASK}', 0, NULL, CAST(firm AS TEXT),
                jsonb_build_object('firm', firm), NULL)
            AS {SCHEMA}.procrastinate_job_to_defer_v1)
        )) AS ids FROM taken HAVING count(*) > 0
    )
    SELECT coalesce(sum(cardinality(ids)), 0) FROM jobs
"""
