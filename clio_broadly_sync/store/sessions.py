"""The sessions of firms: whose rows a session sees is settled when it begins."""

from contextlib import suppress
from datetime import timedelta
from typing import Final

from clio_broadly_sync.store.lock import HANGS_AFTER
from clio_broadly_sync.store.postgresql import (
    LOST,
    WORKER,
    Raw,
    Session,
    connect,
    parameters,
    prepare,
    row_factory,
    storage_errors,
)


class Sessions:
    """New sessions to the database at an address, each of which is one firm's.

    A session that asks nothing for as long as `idle` is ended by the server, which takes its locks
    from it, so that a run that hangs lets go of its firm.
    """

    def __init__(self, address: str, *, idle: timedelta = HANGS_AFTER) -> None:
        self.address = address
        self._idle = idle
        self.is_checked = False
        """Whether it is known by now that the tables are of this program's version."""

    def open(self, firm: int, name: str) -> Session:
        """Return a session of a firm, which the server shows by this name."""
        return self.begin(firm, name)

    def begin(self, firm: int, name: str) -> Session:
        """Begin such a session, which is never another firm's."""
        own = {"fleet.firm": str(firm)}
        return connect(self.address, name, idle=self._idle, role=WORKER, settings=own)


MORE: Final = timedelta(minutes=5)
"""The server is patient with a session for so much longer than its run may take."""
IDLE: Final = timedelta(minutes=10) + MORE
"""So long it is with a run whose time is the usual one."""


class Pool(Sessions):
    """Sessions that are lent to one firm after another, for a process with many runs.

    At most `size` are open at a time; whoever needs another one waits a moment, and then gets a
    StorageError. A run whose session asks nothing for longer than `IDLE` has lost it, so that a
    worker that is frozen lets go of its firms; whose time is longer asks for more (`Lent.stay`).
    """

    def __init__(self, address: str, size: int, *, idle: timedelta = IDLE) -> None:
        from psycopg_pool import ConnectionPool

        super().__init__(address, idle=idle)
        with storage_errors():
            self._pool: ConnectionPool[Raw] = ConnectionPool(
                kwargs={**parameters(address, WORKS, idle=idle), "autocommit": True}
                | {"row_factory": row_factory},
                configure=lambda raw: prepare(raw, WORKER),
                min_size=0,
                max_size=size,
                timeout=WAIT_SECONDS,
                max_idle=idle.total_seconds() / 2,
                open=True,
            )

    def open(self, firm: int, name: str) -> Session:
        session = self.borrow()
        try:
            with storage_errors():
                session.give_to(firm, name)
        except BaseException:
            session.close()
            raise
        return session

    def borrow(self) -> "Lent":
        """Return a session that is nobody's yet."""
        with storage_errors():
            return Lent(self._pool.getconn(), self._pool.putconn)

    def check(self) -> None:
        """Throw away the sessions that the server has ended."""
        self._pool.check()

    def close(self) -> None:
        self._pool.close()


class Lent(Session):
    """A session that is lent to a firm, and is nobody's afterwards."""

    _is_given = False

    def give_to(self, firm: int, name: str) -> None:
        """Let it be a firm's, which the server shows by this name."""
        self._is_given = True
        self.raw.execute(_GIVE, (str(firm), name[:63]))

    def take_back(self) -> None:
        """Let go of its locks, and let it be nobody's."""
        self.raw.execute(_TAKE_BACK)
        self._is_given = False

    def stay(self, run: timedelta) -> None:
        """Let the server be patient with a run that may take so long."""
        if run + MORE > IDLE:
            seconds = (run + MORE).total_seconds()
            with storage_errors():
                self.raw.execute(_STAY, (f"{seconds:.0f}s",))

    def close(self) -> None:
        if self._is_given:
            with suppress(*LOST):
                self.take_back()
        super().close()


WORKS: Final = "clio-broadly-sync worker"
"""How the server shows a session that is lent to no firm."""
WAIT_SECONDS: Final = 15.0
_GIVE: Final = (
    "SELECT set_config('fleet.firm', %s, false), set_config('application_name', %s, false)"
)
_TAKE_BACK: Final = f"""
    SELECT pg_advisory_unlock_all(), set_config('fleet.firm', '', false),
        set_config('application_name', '{WORKS}', false),
        set_config('idle_session_timeout', '{IDLE.total_seconds():.0f}s', false)
"""
_STAY: Final = "SELECT set_config('idle_session_timeout', %s, false)"
