"""The firms of a fleet: a row each in `firms`, when each is due, and how its last run ended.

The server's clock says when: that of a worker may be wrong.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from clio_broadly_sync.domain.errors import (
    ATTENTION,
    OK,
    BusyError,
    ConfigError,
    StorageError,
)
from clio_broadly_sync.store import tables
from clio_broadly_sync.store.postgresql import RUN, Row, Session, storage_errors

ACTIVE, PAUSED, REMOVED = "active", "paused", "removed"
NAME: Final = re.compile("[a-z0-9][a-z0-9-]{0,62}")
"""What the name of a firm is like."""
HASH_KEY: Final = "hash_key"
"""The name under which the key of a firm's hashes is sealed with its secrets."""
LONGEST_WAIT: Final = timedelta(hours=6)
"""A firm that fails is tried at least so often."""
_MOST_DOUBLINGS: Final = 10
_SAID_LENGTH: Final = 1000

_COLUMNS: Final = """
    firm, name, settings, secrets, account, state, state_at, period, next_at, added_at, failures,
    failing_since, last_exit, last_said, started_at, ended_at, good_at, worker
"""


class Firm(NamedTuple):
    """A firm, as its row has it. Its moments are aware."""

    number: int
    name: str
    settings: Mapping[str, str]
    """Its own settings, by name in lower case, without those that are secret."""
    secrets: bytes
    """Its secrets and the key of its hashes, sealed."""
    account: str | None
    """Its account of Clio, as `host number`; None before its first run."""
    state: str
    """`active`, `paused` or `removed`."""
    state_at: datetime
    """Since when it is that."""
    period: timedelta
    """How often it is run."""
    next_at: datetime
    added_at: datetime
    failures: int
    """How many runs in a row have failed."""
    failing_since: datetime | None
    last_exit: int | None
    last_said: str | None
    started_at: datetime | None
    ended_at: datetime | None
    good_at: datetime | None
    """When a run ended well last."""
    worker: str | None
    """The worker that runs it at this moment, as far as the database knows."""


class Work(StrEnum):
    """What one worker does from time to time for all of them."""

    WATCH = "watch"
    SWEEP = "sweep"


class Firms:
    """The firms, over a session. Every method may raise StorageError.

    Its statements are the worker's and the operator's: a run of a firm sees its own rows alone, but
    may note here how it goes.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(
        self,
        name: str,
        settings: Mapping[str, str],
        secrets: bytes,
        period: timedelta,
        *,
        removed: bytes | None = None,
    ) -> int | None:
        """Add a firm, or take up one that was removed, and whose secrets then were `removed`.

        It is due at once. Return its number; None where there is another firm of that name, be it
        one that somebody else has added meanwhile. Raise ConfigError where another one has taken
        its account of Clio.
        """
        values = {
            "name": name,
            "settings": json.dumps(settings),
            "secrets": secrets,
            "period": period,
            "removed": removed,
        }
        with storage_errors():
            same = self._session.execute(_SAME, {"name": name}).fetchone()
            if same is not None and removed is not None:
                raise ConfigError(SAME_ACCOUNT.format(other=same[0]))
            added = self._session.execute(_ADD, values).fetchone()
        return None if added is None else int(added[0])

    def named(self, name: str, *, to_change: bool = False) -> Firm | None:
        """Return the firm of that name, a removed one as well.

        With `to_change`, nobody else changes it until the caller's transaction has ended. A name
        that no firm can have is not asked for: PostgreSQL takes no text that is not in UTF-8.
        """
        if NAME.fullmatch(name) is None:
            return None
        statement = f"{_SELECT} WHERE name = :name{' FOR UPDATE' if to_change else ''}"
        with storage_errors():
            row = self._session.execute(statement, {"name": name}).fetchone()
        return None if row is None else _firm(row)

    def all(self) -> list[Firm]:
        """Return every firm, by name, the removed ones too."""
        with storage_errors():
            return [_firm(row) for row in self._session.execute(f"{_SELECT} ORDER BY name")]

    def change(
        self,
        firm: int,
        *,
        settings: Mapping[str, str] | None = None,
        secrets: bytes | None = None,
        period: timedelta | None = None,
    ) -> None:
        """Change what is given of a firm; it is due at once, and tried as if it had not failed."""
        values = {
            "firm": firm,
            "settings": None if settings is None else json.dumps(settings),
            "secrets": secrets,
            "period": period,
        }
        with storage_errors():
            self._session.execute(_CHANGE, values)

    def pause(self, firms: Sequence[int]) -> int:
        """Let no worker begin a run of these firms; return how many were active until now."""
        with storage_errors():
            return self._session.execute(_PAUSE, {"firms": list(firms)}).rowcount

    def resume(self, firms: Sequence[int]) -> int:
        """Let these firms be active, and due at once, as if they had not failed.

        Return how many there are, without those that were removed.
        """
        with storage_errors():
            return self._session.execute(_RESUME, {"firms": list(firms)}).rowcount

    def remove(self, firm: int, secrets: bytes) -> None:
        """Note that a firm is removed: its sign-in is gone, and its secrets are these.

        Its ledger is kept, so that nobody is asked twice if it comes back.
        """
        with storage_errors():
            self._session.execute(_REMOVE, {"firm": firm, "secrets": secrets})

    def erase(self, firm: int) -> None:
        """Delete all there is of a firm, its ledger as well; only the owner's session may."""
        with self._session.transaction():
            for table in (*tables.OF_FIRM, "firms"):
                self._session.execute(f"DELETE FROM {table} WHERE firm = :firm", {"firm": firm})

    def now(self) -> datetime:
        """Return the server's time, by which firms are due."""
        with storage_errors():
            (now,) = self._session.execute("SELECT now()").fetchone()
        return now  # type: ignore[no-any-return]

    def rekey(self, renewed: Callable[[str, bytes], bytes]) -> int:
        """Let what is sealed of each firm be `renewed` (its name, what was sealed): the new seal.

        It is all or nothing. Return how many firms there are.
        """
        with self._session.transaction():
            rows = self._session.execute(_SEALED).fetchall()
            for firm, name, secrets, sign_in in rows:
                again = None if sign_in is None else renewed(name, sign_in)
                values = {"firm": firm, "secrets": renewed(name, secrets), "sign_in": again}
                self._session.execute(_SEAL_ANEW, values)
        return len(rows)

    # What the engine asks.

    def begin(self, firm: int, worker: str) -> Firm | None:
        """Take the firm's lock, and note that a worker begins a run of it.

        Return None where it is not active any more, where somebody else is at work, or where the
        database was restored (`check_mark`). When a run that is never ended is due again was
        settled as it was handed over (`store/due.py`).
        """
        values = {"firm": firm, "worker": worker, "kind": RUN}
        with storage_errors():
            row = self._session.execute(_BEGIN, values).fetchone()
        return None if row is None else _firm(row)

    def end(self, firm: int, code: int, said: Sequence[str]) -> None:
        """Note how a run of the firm ended, by its exit code, and when the next one is due.

        One that another run kept away, or whose database was lost, leaves the row alone.
        """
        if code in (BusyError.exit_code, StorageError.exit_code):
            return
        values = {
            "firm": firm,
            "code": code,
            "said": "\n".join(said)[:_SAID_LENGTH],
            "stopped": code > 128,
            "good": code in (OK, ATTENTION),
        }
        with storage_errors():
            self._session.execute(_END, values)

    def is_turn(self, work: Work, every: timedelta) -> bool:
        """Tell whether this work, which one worker does for all, is to be done now, and by us.

        Nobody else is told so until that long from now, whether it is then done or not.
        """
        with storage_errors():
            return self._session.execute(_TAKE_TURN[work], {"every": every}).rowcount > 0

    # Whether the server is the one of before.

    def is_restored(self) -> bool:
        """Tell whether the database was restored, and `check_mark` has not paused its firms yet."""
        with storage_errors():
            (differs,) = self._session.execute(_IS_MARKED_OTHERWISE).fetchone()
        return bool(differs)

    def check_mark(self) -> bool:
        """Pause every active firm where the database was restored; tell whether that is so.

        A restored database has forgotten whom it sent last. It is known by another server or
        database, by another timeline, or by tables that were made anew. A timeline begins also
        where a standby is promoted, which may lack the last commits. Of several that ask at once,
        one finds it; and no run is begun (`due`, `begin`) before one has asked.
        """
        with self._session.transaction():
            is_other = self._session.execute(_MARK).rowcount > 0
            if is_other:
                self._session.execute(_PAUSE_ALL)
        return is_other


def check_durable(session: Session) -> None:
    """Raise ConfigError where the server may forget a commit when its host goes down."""
    with storage_errors():
        (off,) = session.execute(_LOSSY).fetchone()
    if off:
        raise ConfigError(
            f"The database's server has {off} off, so that after a crash it may have forgotten who "
            "was asked: turn it on."
        )


def _firm(row: Row) -> Firm:
    return Firm(*row)


SAME_ACCOUNT: Final = (
    "This account of Clio is the firm {other}'s, and its clients would be asked twice: sign in to "
    "the right account, or remove one of the two firms."
)
_SAME: Final = """
    SELECT other.name FROM firms AS mine JOIN firms AS other ON other.account = mine.account
    WHERE mine.name = :name AND other.firm <> mine.firm AND other.state <> 'removed'
"""
_SELECT: Final = f"SELECT {_COLUMNS} FROM firms"
AT_ONCE: Final = "next_at = now(), failures = 0, failing_since = NULL"
"""With this a firm is due at once, as if it had not failed."""
_ADD: Final = f"""
    INSERT INTO firms (name, settings, secrets, period)
    VALUES (:name, CAST(:settings AS JSONB), :secrets, :period)
    ON CONFLICT (name) DO UPDATE SET settings = excluded.settings, secrets = excluded.secrets,
        period = excluded.period, state = 'active', state_at = now(), added_at = now(), {AT_ONCE}
    WHERE firms.state = 'removed' AND firms.secrets = CAST(:removed AS BYTEA)
    RETURNING firm
"""
_CHANGE: Final = f"""
    UPDATE firms SET settings = coalesce(CAST(:settings AS JSONB), settings),
        secrets = coalesce(CAST(:secrets AS BYTEA), secrets),
        period = coalesce(CAST(:period AS INTERVAL), period), {AT_ONCE}
    WHERE firm = :firm
"""
_PAUSE: Final = """
    UPDATE firms SET state = 'paused', state_at = now()
    WHERE firm = ANY(:firms) AND state = 'active'
"""
_RESUME: Final = f"""
    UPDATE firms SET state = 'active', state_at = now(), {AT_ONCE}
    WHERE firm = ANY(:firms) AND state <> 'removed'
"""
_REMOVE: Final = """
    UPDATE firms SET state = 'removed', state_at = now(), sign_in = NULL, secrets = :secrets,
        settings = '{}'
    WHERE firm = :firm
"""
_SEALED: Final = "SELECT firm, name, secrets, sign_in FROM firms ORDER BY firm FOR UPDATE"
_SEAL_ANEW: Final = """
    UPDATE firms SET secrets = :secrets, sign_in = :sign_in WHERE firm = :firm
"""
MARK_NOW: Final = """concat_ws(' ',
        (SELECT system_identifier FROM pg_control_system()),
        substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8),
        (SELECT CAST(oid AS BIGINT) FROM pg_database WHERE datname = current_database()),
        CAST(CAST('firms' AS REGCLASS) AS OID)
    )"""
IS_SAME_SERVER: Final = f"(SELECT mark = {MARK_NOW} FROM fleet)"
_BEGIN: Final = f"""
    UPDATE firms SET started_at = now(), worker = :worker
    WHERE firm = :firm AND CASE WHEN state = 'active' AND {IS_SAME_SERVER}
        THEN pg_try_advisory_lock(CAST(:kind AS INT), CAST(:firm AS INT)) END
    RETURNING {_COLUMNS}
"""
_WAIT: Final = f"""
    CASE WHEN :good THEN period ELSE
        least(period * power(2, least(failures, {_MOST_DOUBLINGS})),
            greatest(period, INTERVAL '{LONGEST_WAIT.total_seconds():.0f} seconds'))
    END
"""
_END: Final = f"""
    UPDATE firms SET ended_at = now(), last_exit = :code, last_said = :said, worker = NULL,
        failures = CASE WHEN :stopped THEN failures WHEN :good THEN 0 ELSE failures + 1 END,
        failing_since = CASE WHEN :good THEN NULL WHEN :stopped THEN failing_since
            ELSE coalesce(failing_since, now()) END,
        good_at = CASE WHEN :good THEN now() ELSE good_at END,
        next_at = CASE WHEN :stopped THEN now()
            ELSE now() + (0.9 + 0.2 * random()) * {_WAIT} END
    WHERE firm = :firm
"""
_TAKE_TURN: Final = {
    work: f"""
        UPDATE fleet SET {at} = now() WHERE coalesce({at} <= now() - CAST(:every AS INTERVAL), true)
    """
    for work, at in ((Work.WATCH, "watched_at"), (Work.SWEEP, "swept_at"))
}
_PAUSE_ALL: Final = "UPDATE firms SET state = 'paused', state_at = now() WHERE state = 'active'"
_IS_MARKED_OTHERWISE: Final = f"SELECT mark <> {MARK_NOW} FROM fleet"
_MARK: Final = f"""
    UPDATE fleet SET mark = {MARK_NOW}, restored_at = now() WHERE mark <> {MARK_NOW}
"""
FIRST_MARK: Final = f"INSERT INTO fleet (mark) VALUES ({MARK_NOW})"
_LOSSY: Final = """
    SELECT string_agg(name, ' and ' ORDER BY name) FROM pg_settings
    WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off'
"""
