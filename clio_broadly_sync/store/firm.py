"""The state of a firm in a database that many firms share: the place where it is.

Nothing of it is loaded where a state is a file.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Final

from clio_broadly_sync.domain.credentials import Grant
from clio_broadly_sync.domain.errors import BusyError, HungError
from clio_broadly_sync.store import postgresql, postgresql_schema, tokens
from clio_broadly_sync.store.facts import unfinished
from clio_broadly_sync.store.integrity import Flaw
from clio_broadly_sync.store.lock import BUSY, HANGS_AFTER, Holder
from clio_broadly_sync.store.postgresql import RUN, SIGN_IN, Row, Session
from clio_broadly_sync.store.state import Store

PATIENCE_SECONDS: Final = 0.25
"""So long after a run was killed the server may still believe that it holds its firm."""
_HOST: Final = "the database's server"
_HOLDER: Final = """
    SELECT activity.application_name AS name, activity.pid, activity.backend_start AS since,
        clock_timestamp() - activity.state_change AS quiet
    FROM pg_locks AS held JOIN pg_stat_activity AS activity ON activity.pid = held.pid
    WHERE held.locktype = 'advisory' AND held.granted AND held.objsubid = 2
    AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND CAST(held.classid AS BIGINT) = :kind AND CAST(held.objid AS BIGINT) = :firm
"""
_READ: Final = f"SELECT name, value FROM facts WHERE firm = :firm AND name IN {tokens.LISTED}"
_DELETE: Final = f"DELETE FROM facts WHERE firm = :firm AND name IN {tokens.LISTED}"


class FirmPlace:
    """The place of one firm's state (`Place`): its rows in the database at this address.

    A session that asks nothing for as long as `idle` is ended by the server, so that a run that
    hangs lets go of its firm.
    """

    def __init__(self, address: str, firm: int, *, idle: timedelta = HANGS_AFTER) -> None:
        self.address = address
        self.firm = firm
        self._idle = idle
        self._held: Session | None = None
        """The session that holds the firm's lock; None where this one does not hold it."""

    def open(self) -> Store:
        """Open the state; the caller holds `locked` as long as it is open.

        Whoever has lost the lock has lost the session, and so can write nothing more.
        """
        session = self.session()
        try:
            postgresql_schema.check(session)
            return Store(session, self.firm)
        except BaseException:
            session.close()
            raise

    def snapshot(self) -> Store:
        """Open a copy, as for a dry run: nothing that is done to it reaches the state."""
        session = self.connect("copy")
        try:
            postgresql_schema.check(session)
            postgresql_schema.copy(session, self.firm)
            store = Store(session, self.firm)
            store.look_only(lambda: self.holder() is not None, self._unfinished)
        except BaseException:
            session.close()
            raise
        return store

    @contextmanager
    def locked(self, command: str | None = None) -> Iterator[None]:
        """Hold the state for one run, whose `command` is then named to whoever asks who holds it.

        Raise BusyError at once where another run holds it (HungError where that one hangs).
        """
        with closing(self.connect(command)) as session:
            if not self._is_taken(session):
                raise _refusal(self.holder())
            self._held = session
            try:
                yield
            finally:
                self._held = None
                postgresql.unlock(session, RUN, self.firm)

    def _is_taken(self, session: Session) -> bool:
        """Take the firm if it is free, or will be once the server knows that a run was killed."""
        return postgresql.try_lock(session, RUN, self.firm) or postgresql.wait_for_lock(
            session, RUN, self.firm, PATIENCE_SECONDS
        )

    def look_beside(self) -> None:
        """Nothing lies beside a database: what a killed run left there was rolled back."""

    def holder(self) -> Holder | None:
        """Return who holds the state at this moment, None where nobody does."""
        with closing(self.session()) as session, postgresql.storage_errors():
            found = session.execute(_HOLDER, {"kind": RUN, "firm": self.firm}).fetchone()
        return None if found is None else _holder(found)

    def touch(self) -> None:
        """Let it be seen that whoever holds the state goes on, while it waits and writes nothing.

        Raise StorageError where it has lost the state.
        """
        if self._held is not None:
            with postgresql.storage_errors():
                self._held.execute("SELECT 1")

    def sign_in(self) -> "FirmSignIn":
        return FirmSignIn(self)

    def flaws(self) -> list[Flaw]:
        """Return what does not hold of the files: there are none."""
        return []

    def session(self) -> Session:
        """Return the session that holds the state, and where there is none a new one."""
        return self._held.lent() if self._held is not None else self.connect()

    def connect(self, command: str | None = None) -> Session:
        """Begin a session that bears the name of the firm, and of a command."""
        name = f"clio-broadly-sync {self.firm}{f' {command}' if command else ''}"
        return postgresql.connect(self.address, name, idle=self._idle)

    def _unfinished(self) -> tuple[object, ...] | None:
        with closing(self.session()) as session, postgresql.storage_errors():
            return unfinished(session, self.firm)


class FirmSignIn:
    """One firm's sign-in. Every method is one transaction and may raise StorageError.

    What changes it has a session of its own: the one that holds the state may be lost, and what
    Clio gave for a spent refresh token must not be lost with it.
    """

    def __init__(self, place: FirmPlace) -> None:
        self._place = place
        self._ours = {"firm": place.firm, **tokens.NAMED}

    def read(self) -> Grant | None:
        """Return what the state now holds; None where nobody has signed in. Write nothing."""
        with closing(self._place.session()) as session, postgresql.storage_errors():
            return tokens.grant_of(dict(session.execute(_READ, self._ours).fetchall()))

    def save(self, grant: Grant) -> None:
        """Keep this grant instead of the one before."""
        with self._changing() as session:
            session.execute(_DELETE, self._ours)
            session.executemany(tokens.WRITE, tokens.rows_of(grant, self._place.firm))

    def erase(self) -> None:
        """Erase the tokens; what the server keeps of its past is the server's."""
        with self._changing() as session:
            session.execute(_DELETE, self._ours)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let only one process at a time change the sign-in, on whichever host it is.

        Raise BusyError where another one has not finished within `tokens.ALONE_SECONDS`.
        """
        firm, seconds = self._place.firm, tokens.ALONE_SECONDS
        with closing(self._place.connect("sign-in")) as session:
            if not postgresql.wait_for_lock(session, SIGN_IN, firm, seconds):
                raise BusyError(tokens.BUSY)
            try:
                yield
            finally:
                postgresql.unlock(session, SIGN_IN, firm)

    @contextmanager
    def _changing(self) -> Iterator[Session]:
        with closing(self._place.connect("sign-in")) as session, session.transaction():
            yield session


def _holder(found: Row) -> Holder:
    """Return the holder that the server shows; to others than its own role it shows less."""
    _, _, command = (*found["name"].split(" ", 2), "", "")[:3]
    quiet = found["quiet"] or timedelta(0)
    return Holder(quiet, command or None, found["since"], found["pid"], _HOST)


def _refusal(holder: Holder | None) -> BusyError:
    return HungError(holder.sentence) if holder is not None and holder.hangs else BusyError(BUSY)
