"""The state of a firm in a database that many firms share: the place where it is.

Nothing of it is loaded where a state is a file.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from clio_broadly_sync.domain.credentials import Grant
from clio_broadly_sync.domain.errors import BusyError, ConfigError, HungError, SyncError
from clio_broadly_sync.domain.model import Pins
from clio_broadly_sync.store import postgresql, postgresql_schema, tokens
from clio_broadly_sync.store.facts import WRITE as WRITE_FACT
from clio_broadly_sync.store.facts import unfinished
from clio_broadly_sync.store.firms import AT_ONCE, SAME_ACCOUNT
from clio_broadly_sync.store.integrity import Flaw
from clio_broadly_sync.store.lock import BUSY, Holder
from clio_broadly_sync.store.notebook import understood
from clio_broadly_sync.store.postgresql import RUN, SIGN_IN, Row, Session
from clio_broadly_sync.store.seal import Seal
from clio_broadly_sync.store.sessions import Sessions
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


class FirmPlace:
    """The place of one firm's state (`Place`): its rows in a database of many firms.

    `name` is the firm's, and `hash_key` (in hex) is what its clients are hashed with, which is
    sealed in the database like its sign-in.
    """

    folder: Path | None = None

    def __init__(
        self, sessions: Sessions, firm: int, name: str, *, hash_key: str, seal: Seal
    ) -> None:
        self.sessions = sessions
        self.firm = firm
        self.name = name
        self.seal = seal
        self._hash_key = hash_key
        self._held: Session | None = None
        """The session that holds the firm's lock; None where this one does not hold it."""

    def open(self) -> Store:
        """Open the state; the caller holds `locked` as long as it is open.

        Whoever has lost the lock has lost the session, and so can write nothing more.
        """
        session = self.session()
        try:
            self._check(session)
            return Store(session, self.firm, self._hash_key)
        except BaseException:
            session.close()
            raise

    def snapshot(self) -> Store:
        """Open a copy, as for a dry run: nothing that is done to it reaches the state."""
        session = self.sessions.begin(self.firm, self._named("copy"))
        try:
            self._check(session)
            postgresql_schema.copy(session, self.firm)
            store = Store(session, self.firm, self._hash_key)
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
            with self.held_by(session):
                yield

    @contextmanager
    def held_by(self, session: Session) -> Iterator[None]:
        """Let all that is done inside be done by a session that has taken the firm's lock."""
        self._held = session
        try:
            yield
        finally:
            self._held = None

    def _is_taken(self, session: Session) -> bool:
        """Take the firm if it is free, or will be once the server knows that a run was killed."""
        return postgresql.try_lock(session, RUN, self.firm) or postgresql.wait_for_lock(
            session, RUN, self.firm, PATIENCE_SECONDS
        )

    def look_beside(self) -> None:
        """Nothing lies beside a database: what a killed run left there was rolled back."""

    def holder(self) -> Holder | None:
        """Return who holds the state at this moment, None where nobody does."""
        with closing(self.session()) as session, session.transaction():
            session.execute("SET LOCAL ROLE NONE")  # the sessions are the login role's
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

    def notes(self, name: str) -> "FirmNotes":
        return FirmNotes(self, name)

    def flaws(self) -> list[Flaw]:
        """Return what does not hold of the files: there are none."""
        return []

    def begin(self, pins: Pins, *, only_looks: bool = False) -> None:
        """Note which account of Clio is the firm's, unless this `only_looks`.

        Raise ConfigError where another firm has it: its clients would be asked twice.
        """
        with self.changing() as session:
            take_account(session, self.firm, pins, only_looks=only_looks)

    def signed_in(self) -> None:
        """Let the firm be due at once, as if it had not failed."""
        with self.changing() as session:
            session.execute(_SIGNED_IN, {"firm": self.firm})

    def session(self) -> Session:
        """Return the session that holds the state, and where there is none a new one."""
        return self._held.lent() if self._held is not None else self.connect()

    def connect(self, command: str | None = None) -> Session:
        """Begin a session that bears the name of the firm, and of a command."""
        return self.sessions.open(self.firm, self._named(command))

    def _named(self, command: str | None) -> str:
        return f"clio-broadly-sync {self.firm}{f' {command}' if command else ''}"

    @contextmanager
    def changing(self) -> Iterator[Session]:
        """Yield a session of its own, in a transaction.

        The one that holds the state may be lost, and what Clio gave for a spent refresh token must
        not be lost with it.
        """
        with closing(self.connect("sign-in")) as session, session.transaction():
            yield session

    def _check(self, session: Session) -> None:
        if not self.sessions.is_checked:
            postgresql_schema.check(session)
            self.sessions.is_checked = True

    def _unfinished(self) -> tuple[object, ...] | None:
        with closing(self.session()) as session, postgresql.storage_errors():
            return unfinished(session, self.firm)


def take_account(session: Session, firm: int, pins: Pins, *, only_looks: bool = False) -> None:
    """Note that the account of Clio is this firm's, as `FirmPlace.begin` does."""
    wanted = {"firm": firm, "account": account_of(pins)}
    found = session.execute(_SAME, wanted).fetchone()
    if found is not None:
        raise ConfigError(SAME_ACCOUNT.format(other=found[0]))
    if not only_looks:
        session.execute(_BEGIN, wanted)


def account_of(pins: Pins) -> str | None:
    """Return the account of Clio as the table of firms has it; None where Clio did not say."""
    return None if pins.account is None else f"{pins.host} {pins.account}"


_SAME: Final = """
    SELECT name FROM firms
    WHERE account = :account AND state <> 'removed' AND firm <> :firm
"""
_BEGIN: Final = "UPDATE firms SET account = :account WHERE firm = :firm"
_SIGNED_IN: Final = f"UPDATE firms SET {AT_ONCE} WHERE firm = :firm"
_SIGN_IN: Final = "SELECT sign_in FROM firms WHERE firm = :firm"
_KEEP: Final = "UPDATE firms SET sign_in = :sealed WHERE firm = :firm"


class FirmSignIn:
    """One firm's sign-in, which is sealed. Every method may raise StorageError."""

    def __init__(self, place: FirmPlace) -> None:
        self._place = place

    def read(self) -> Grant | None:
        """Return what is kept now; None where nobody has signed in. Write nothing.

        Raise ConfigError where none of the fleet's keys opens it.
        """
        place = self._place
        with closing(place.session()) as session, postgresql.storage_errors():
            found = session.execute(_SIGN_IN, {"firm": place.firm}).fetchone()
        if found is None or found[0] is None:
            return None
        return tokens.grant_of(place.seal.open(place.name, found[0]))

    def save(self, grant: Grant) -> None:
        """Keep this grant instead of the one before."""
        place = self._place
        self._keep(place.seal.close(place.name, tokens.texts_of(grant)))

    def erase(self) -> None:
        """Erase the tokens; what the server keeps of its past is the server's."""
        self._keep(None)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let only one process at a time change the sign-in, on whichever host it is.

        Raise BusyError where another one has not finished within `tokens.ALONE_SECONDS`.
        """
        firm, seconds = self._place.firm, tokens.ALONE_SECONDS
        with closing(self._place.connect("sign-in")) as session:
            if not postgresql.wait_for_lock(session, SIGN_IN, firm, seconds):
                raise BusyError(tokens.BUSY)
            yield

    def _keep(self, sealed: bytes | None) -> None:
        with self._place.changing() as session:
            session.execute(_KEEP, {"firm": self._place.firm, "sealed": sealed})


class FirmNotes:
    """What is remembered of what was told, as a fact of the firm (`Notes`)."""

    def __init__(self, place: FirmPlace, name: str) -> None:
        self._place = place
        self._name = name

    def read(self) -> dict[str, Any]:
        place, wanted = self._place, {"firm": self._place.firm, "name": self._name}
        with _as_os_errors(), closing(place.session()) as session, postgresql.storage_errors():
            found = session.execute(_NOTES, wanted).fetchone()
        return {} if found is None else understood(found[0])

    def write(self, content: Mapping[str, Any]) -> None:
        values = {"firm": self._place.firm, "name": self._name, "value": json.dumps(content)}
        with _as_os_errors(), self._place.changing() as session:
            session.execute(WRITE_FACT, values)


@contextmanager
def _as_os_errors() -> Iterator[None]:
    try:
        yield
    except SyncError as error:
        raise OSError(str(error)) from None


_NOTES: Final = "SELECT value FROM facts WHERE firm = :firm AND name = :name"


def _holder(found: Row) -> Holder:
    """Return the holder that the server shows; to others than its own role it shows less."""
    _, _, command = (*found["name"].split(" ", 2), "", "")[:3]
    quiet = found["quiet"] or timedelta(0)
    return Holder(quiet, command or None, found["since"], found["pid"], _HOST)


def _refusal(holder: Holder | None) -> BusyError:
    return HungError(holder.sentence) if holder is not None and holder.hangs else BusyError(BUSY)
