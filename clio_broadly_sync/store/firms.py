"""The firms of a fleet: a row each in `firms`, when each is due, and how its last run ended.

The server's clock says when: that of a worker may be wrong.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from clio_broadly_sync.domain.errors import (
    ATTENTION,
    OK,
    BusyError,
    ConfigError,
    StorageError,
)
from clio_broadly_sync.store.postgresql import RUN, Row, Session, storage_errors

ACTIVE, PAUSED, REMOVED = "active", "paused", "removed"
HASH_KEY: Final = "hash_key"
"""The name under which the key of a firm's hashes is sealed with its secrets."""
LONGEST_WAIT: Final = timedelta(hours=6)
"""A firm that fails is tried at least so often."""
_MOST_DOUBLINGS: Final = 10
_SAID_LENGTH: Final = 1000

_COLUMNS: Final = """
    firm, name, settings, secrets, account, state, period, next_at, added_at, failures,
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


class Firms:
    """The firms, over a session. Every method may raise StorageError.

    Its statements are the worker's and the operator's: a run of a firm sees its own rows alone, but
    may note here how it goes.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, name: str, settings: Mapping[str, str], secrets: bytes, period: timedelta) -> int:
        """Add a firm, or take up one of that name that was removed; return its number.

        It is due at once. The caller sees that no other firm has the name. Raise ConfigError where
        another one has taken its account of Clio meanwhile.
        """
        values = {
            "name": name,
            "settings": json.dumps(settings),
            "secrets": secrets,
            "period": period,
        }
        with storage_errors():
            same = self._session.execute(_SAME, {"name": name}).fetchone()
            if same is not None:
                raise ConfigError(SAME_ACCOUNT.format(other=same[0]))
            (number,) = self._session.execute(_ADD, values).fetchone()
        return int(number)

    def named(self, name: str) -> Firm | None:
        """Return the firm of that name, a removed one as well."""
        with storage_errors():
            found = self._session.execute(f"{_SELECT} WHERE name = :name", {"name": name})
            row = found.fetchone()
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

    def set_state(self, firm: int, state: str) -> None:
        """Pause a firm or resume it; it is then due at once, and tried as if it had not failed."""
        with storage_errors():
            self._session.execute(_SET_STATE, {"firm": firm, "state": state})

    def remove(self, firm: int, secrets: bytes) -> None:
        """Note that a firm is removed: its sign-in is gone, and its secrets are these."""
        with storage_errors():
            self._session.execute(_REMOVE, {"firm": firm, "secrets": secrets})

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

    def begin(self, firm: int, worker: str, lease: timedelta) -> Firm | None:
        """Take the firm's lock, and note that a worker begins a run of it.

        Return None where it is not active any more, or where somebody else is at work. A run that
        is never ended is due again after the `lease`.
        """
        values = {"firm": firm, "worker": worker, "lease": lease, "kind": RUN}
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

    # Whether the server is the one of before.

    def check_mark(self) -> bool:
        """Pause every active firm where the database was restored; tell whether that is so.

        A restored database has forgotten whom it sent last. It is known by another system, another
        timeline, or tables that were made anew.
        """
        with self._session.transaction():
            (changed,) = self._session.execute(_IS_MARKED_OTHERWISE).fetchone()
            if changed:
                self._session.execute(_PAUSE_ALL)
                self._session.execute(_MARK)
        return bool(changed)


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
_AT_ONCE: Final = "next_at = now(), failures = 0, failing_since = NULL"
_ADD: Final = f"""
    INSERT INTO firms (name, settings, secrets, period)
    VALUES (:name, CAST(:settings AS JSONB), :secrets, :period)
    ON CONFLICT (name) DO UPDATE SET settings = excluded.settings, secrets = excluded.secrets,
        period = excluded.period, state = 'active', added_at = now(), {_AT_ONCE}
    RETURNING firm
"""
_CHANGE: Final = f"""
    UPDATE firms SET settings = coalesce(CAST(:settings AS JSONB), settings),
        secrets = coalesce(CAST(:secrets AS BYTEA), secrets),
        period = coalesce(CAST(:period AS INTERVAL), period), {_AT_ONCE}
    WHERE firm = :firm
"""
_SET_STATE: Final = f"UPDATE firms SET state = :state, {_AT_ONCE} WHERE firm = :firm"
_REMOVE: Final = """
    UPDATE firms SET state = 'removed', sign_in = NULL, secrets = :secrets, settings = '{}'
    WHERE firm = :firm
"""
_SEALED: Final = "SELECT firm, name, secrets, sign_in FROM firms ORDER BY firm FOR UPDATE"
_SEAL_ANEW: Final = """
    UPDATE firms SET secrets = :secrets, sign_in = :sign_in WHERE firm = :firm
"""
_BEGIN: Final = f"""
    UPDATE firms SET started_at = now(), worker = :worker, next_at = now() + :lease
    WHERE firm = :firm AND CASE WHEN state = 'active'
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
_MARK_NOW: Final = """
    (SELECT system_identifier FROM pg_control_system()) || ' '
        || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) || ' '
        || CAST(CAST('firms' AS REGCLASS) AS OID)
"""
_IS_MARKED_OTHERWISE: Final = f"SELECT mark <> {_MARK_NOW} FROM fleet"
_PAUSE_ALL: Final = "UPDATE firms SET state = 'paused' WHERE state = 'active'"
_MARK: Final = f"UPDATE fleet SET mark = {_MARK_NOW}"
FIRST_MARK: Final = f"INSERT INTO fleet (mark) VALUES ({_MARK_NOW})"
_LOSSY: Final = """
    SELECT string_agg(name, ' and ' ORDER BY name) FROM pg_settings
    WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off'
"""
