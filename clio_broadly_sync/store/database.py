"""The state as a file: opening it, its permissions, its transactions, its snapshots.

What SQLite is set to is here as well; the tables are in `store/schema.py`, the lock in
`store/lock.py`.
"""

import os
import shlex
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from clio_broadly_sync.domain.errors import DamagedError, StorageError
from clio_broadly_sync.store import schema

if TYPE_CHECKING:
    from clio_broadly_sync.store import postgresql

Connection: TypeAlias = "sqlite3.Connection | postgresql.Session"
"""What the store asks: a file, or the rows of one of many firms."""
Row: TypeAlias = "sqlite3.Row | postgresql.Row"
Transaction: TypeAlias = "AbstractContextManager[Connection]"
T = TypeVar("T")
_Generation: TypeAlias = tuple[tuple[int, int, int] | None, tuple[int, int, int] | None]

STEPS_UNWATCHED = 1_000_000
"""A statement on a snapshot takes so many steps of SQLite, some milliseconds, without a look."""
ATTEMPTS = 10
"""A snapshot is tried so often before the state is said to change too fast."""
_READ_ONLY, _IMMUTABLE = "mode=ro", "mode=ro&immutable=1"
_AS_IT_IS = "mode=ro&readonly_shm=1"
"""A way to open the state that reads the -wal and writes to no file. It uses the -shm of the
process that is at work; where a dead run left the -shm, it uses an index of its own in memory."""

WAIT_SECONDS = 5
"""A transaction waits so long for another program that holds the database."""
PATIENT_SECONDS = 60
"""One that writes down what cannot be asked for again waits so long."""
PRAGMAS = (
    f"PRAGMA busy_timeout = {WAIT_SECONDS * 1000}",
    "PRAGMA secure_delete = ON",
    "PRAGMA temp_store = FILE",
    "PRAGMA fullfsync = ON",  # macOS, where an fsync alone leaves the writes in the drive
)
WRITE_AHEAD = "PRAGMA journal_mode = WAL"
"""This changes the file for good, so it is done only to a file that is known to be ours."""

# Without an adapter, SQLite's module makes an exception of each None and throws it away.
sqlite3.register_adapter(type(None), lambda none: none)

SHARED = stat.S_ISVTX | stat.S_ISGID
"""Permission bits (sticky, set-group-ID): whoever sets one of them on a folder means the folder
for several users, as /tmp is."""


def open_file(path: Path) -> sqlite3.Connection:
    """Open the state and bring it to this version; make a new one where there is none yet.

    Raise StorageError where the state is not private, cannot be used, or was made by a newer
    version or by another program.
    """
    with storage_errors():
        make_folder(path.parent)
        if not exists(path):
            _make_state(path)
        check_private(path)
        connection = _connect(str(path))
        try:
            _prepare(connection, is_new=False)
            take_in(connection)
        except BaseException:
            connection.close()
            raise
    return connection


def take_in(connection: sqlite3.Connection) -> None:
    """Bring all that was committed into the state's file, and empty the -wal.

    So a -wal never holds changes of more than one run. Raise StorageError where another program
    that reads the state does not let go of it.
    """
    with storage_errors():
        busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise StorageError(_NOT_USED.format(cause="another program reads it", advice=_END_IT))


def open_snapshot(path: Path, mark: str = "") -> sqlite3.Connection:
    """Open a copy of the state in a temporary file that has no name; only read `path`.

    The copy is brought to this version, without this `mark` of a move; where there is no state yet,
    it is a new one. Raise StorageError as `open_file` does.
    """
    with storage_errors():
        # An empty name is a private temporary database, unlinked by SQLite as soon as it is open.
        connection = _connect("")
        # So that Python, which meets a signal between its own steps, meets one in a long statement.
        connection.set_progress_handler(lambda: 0, STEPS_UNWATCHED)
        try:
            is_new = not exists(path)
            if not is_new:
                check_private(path)
                read_snapshot(path, lambda source: source.backup(connection))
            _prepare(connection, is_new=is_new, mark=mark)
        except BaseException:
            connection.close()
            raise
    return connection


def transaction(connection: Connection, *, lasting: bool = True) -> Transaction:
    """Do what is inside as one transaction, either all of it or nothing.

    What is `lasting` outlives a power cut from the end of the transaction on, and so does all that
    was written before it. The rest outlives a kill, and a power cut from the next lasting one on.
    Raise StorageError where the state could not be read or written.
    """
    if isinstance(connection, sqlite3.Connection):
        return _transaction(connection, lasting=lasting)
    return connection.transaction()


@contextmanager
def _transaction(connection: sqlite3.Connection, *, lasting: bool) -> Iterator[sqlite3.Connection]:
    with storage_errors():
        connection.execute(_SYNCHRONOUS[lasting]).close()
        # A deferred transaction that first reads and then writes would fail beside another one.
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.commit()
        except BaseException:
            # The connection is closed by now where, for example, a listing was left half-way;
            # closing it has rolled the transaction back.
            with suppress(sqlite3.ProgrammingError):
                connection.rollback()
            raise


_SYNCHRONOUS: Final = ("PRAGMA synchronous = NORMAL", "PRAGMA synchronous = FULL")


@contextmanager
def patience(connection: Connection) -> Iterator[None]:
    """Let transactions inside wait for `PATIENT_SECONDS`; those of a session always do."""
    if not isinstance(connection, sqlite3.Connection):
        yield
        return
    connection.execute(f"PRAGMA busy_timeout = {PATIENT_SECONDS * 1000}").close()
    try:
        yield
    finally:
        connection.execute(f"PRAGMA busy_timeout = {WAIT_SECONDS * 1000}").close()


def kept(connection: Connection, statement: str) -> str:
    """Return a selection whose rows nobody else may change until the transaction ends.

    SQLite lets nobody else write meanwhile.
    """
    return statement if isinstance(connection, sqlite3.Connection) else f"{statement} FOR UPDATE"


def each(connection: Connection, statement: str, values: Any) -> Iterable[Any]:
    """Return the rows of a selection that may be long, of which only some are in memory."""
    if isinstance(connection, sqlite3.Connection):
        return connection.execute(statement, values)
    return connection.stream(statement, values)


def close(connection: Connection) -> None:
    """Close what was opened for a store."""
    if isinstance(connection, sqlite3.Connection):
        # Where another program reads the state, closing it would leave the -wal as it is.
        with suppress(sqlite3.Error, StorageError):
            take_in(connection)
    connection.close()


def _connect(name: str) -> sqlite3.Connection:
    """Return a connection that begins no transaction by itself; its rows have column names."""
    connection = sqlite3.connect(name, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    return connection


def _prepare(connection: sqlite3.Connection, *, is_new: bool, mark: str = "") -> None:
    for pragma in PRAGMAS:
        connection.execute(pragma).close()
    with transaction(connection):
        schema.check(connection, is_new=is_new, mark=mark)
    connection.execute(WRITE_AHEAD).close()
    with transaction(connection):
        schema.migrate(connection)


def exists(path: Path) -> bool:
    """Tell whether there is anything at `path`; raise OSError where we may not even look.

    Otherwise a state that we may not look for would be taken for a new one.
    """
    try:
        os.lstat(path)
    except FileNotFoundError:
        return False
    return True


def make_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _make_state(path: Path) -> None:
    """Make the state whole under another name first, so that a killed run leaves no half of one.

    SQLite gives its own files (-wal and -shm) the mode of the file that it opens.
    """
    draft = path.with_name(f"{path.name}.new")
    _remove(draft)
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        with closing(_connect(str(draft))) as connection:
            _prepare(connection, is_new=True)
        draft.rename(path)
    except BaseException:
        _remove(draft)
        raise


def _remove(path: Path) -> None:
    for end in ("-wal", "-shm", ""):
        Path(f"{path}{end}").unlink(missing_ok=True)


def check_private(path: Path) -> None:
    """Raise StorageError unless the state is an ordinary file that is this user's alone.

    That means: no link, owned by this user, closed to all others, in a folder that only this user
    may write to. Raise OSError where there is no such file.
    """
    found = os.lstat(path)
    if not stat.S_ISREG(found.st_mode):
        raise StorageError(
            "The state is not an ordinary file (a link, or a folder); check SYNC_STATE."
        )
    if found.st_uid != os.geteuid():
        raise StorageError("The state file belongs to another user; run this as that user.")
    if found.st_mode & 0o077:
        private = f"make it private: `chmod 600 {shlex.quote(str(path))}`."
        raise StorageError(f"Others may {others_may(found.st_mode)} the state file; {private}")
    if os.stat(path.parent).st_mode & 0o022:
        raise StorageError(f"Others may write to {path.parent}; {privacy(path.parent)}")


def others_may(mode: int) -> str:
    """Return what others may do with a file of this mode, of which some of `0o077` is set."""
    can = [word for bits, word in ((0o044, "read"), (0o022, "write")) if mode & bits]
    return " and ".join(can) or "run"


def privacy(folder: Path) -> str:
    """Return the end of a sentence that says how the state gets a private folder.

    A folder that others need stays as it is: one of another user, or one with a bit of `SHARED`.
    """
    status = os.stat(folder)
    if status.st_uid != os.geteuid() or status.st_mode & SHARED:
        return "give the state a folder of its own, with SYNC_STATE."
    return f"make it private: `chmod 700 {shlex.quote(str(folder))}`."


@contextmanager
def storage_errors() -> Iterator[None]:
    """Turn what SQLite or the operating system raises inside into StorageError."""
    try:
        yield
    except sqlite3.Error as error:
        raise _error_of(error) from None
    except OSError as error:
        raise StorageError(_NOT_USED.format(cause=error.strerror, advice=_CHECK)) from None


_NOT_USED: Final = (
    "The state could not be used ({cause}); what was recorded before is kept. {advice}"
)
_CHECK: Final = "Check SYNC_STATE, its permissions and the room on its disk."
_END_IT: Final = "Another program holds it: end that program, and try again."
_REPORT: Final = "This is a bug of the program: please report it."
_HELD: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_DAMAGED: Final = frozenset(
    {
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_FORMAT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_ERROR,  # a table or a column is missing
    }
)


def _error_of(error: sqlite3.Error) -> StorageError:
    """Say what is wrong and what helps, by what SQLite means and not by what it says."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None and isinstance(error, sqlite3.OperationalError):
        # Python's own, and its words repeat the text, which may be a token.
        return DamagedError(f"The state is damaged (it holds what is no text). {schema.RESTORE}")
    kind = (code or 0) & 0xFF  # what is above says more of the same kind
    if kind in _DAMAGED or code == sqlite3.SQLITE_IOERR_SHORT_READ:
        return DamagedError(f"The state is damaged ({error}). {schema.RESTORE}")
    if kind == sqlite3.SQLITE_CONSTRAINT:
        return StorageError(
            f"Nothing was written, because the state would be unsound ({error}). {_REPORT}"
        )
    return StorageError(_NOT_USED.format(cause=error, advice=_END_IT if kind in _HELD else _CHECK))


# A snapshot is what the state holds, read so that no byte of it and no file beside it changes.
#
# SQLite, even when it opens the state for reading only, would put a -wal and a -shm file beside it,
# or write to those that are there. So a state at rest is opened as immutable. A state with a -wal
# and a -shm (a run is at work, or was killed) is opened so that the -shm is only read.
#
# Whoever closes the state's file drops every lock that this process has on it (POSIX), those of
# SQLite as well; another process could then remove the -wal to which this one writes. So the file
# is copied only without a -shm, which is to say while nobody is connected. SQLite itself puts off
# closing it while this process has a lock.


def has_changes_beside(path: Path) -> bool:
    """Tell whether a -wal with changes lies beside the state; one whose run ended has none."""
    return stamp(Path(f"{path}-wal")) is not None


def read_snapshot(path: Path, read: Callable[[sqlite3.Connection], T]) -> T:
    """Return what `read` finds in the state, as its last transaction left it.

    `read` is called again where the state changed meanwhile. Raise StorageError where it changes
    each time, and sqlite3.Error or OSError where it cannot be read although it did not change.
    """
    for _ in range(ATTEMPTS):
        before = _generation(path)
        wal, _ = before
        try:
            if wal and os.path.exists(f"{path}-shm"):
                return _read(path, _AS_IT_IS, read)
            found = _read_copy(path, read) if wal else read_file_alone(path, read)
        except (sqlite3.DatabaseError, FileNotFoundError):
            if _generation(path) == before:
                raise
        else:
            if _generation(path) == before:
                return found
    raise StorageError("The state changes faster than it can be read; try again in a minute.")


def read_file_alone(path: Path, read: Callable[[sqlite3.Connection], T]) -> T:
    """Return what `read` finds in the state's file, without what lies in the -wal beside it."""
    return _read(path, _IMMUTABLE, read)


def _generation(path: Path) -> _Generation:
    """Return what is the same before and after a copy if the copy is whole."""
    return stamp(Path(f"{path}-wal")), stamp(path)


def stamp(path: Path) -> tuple[int, int, int] | None:
    """Return which file this is, when it was changed last, and its size; None where it is empty.

    A file that is not there is empty. It is not opened.
    """
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return (found.st_ino, found.st_mtime_ns, found.st_size) if found.st_size else None


def _read_copy(path: Path, read: Callable[[sqlite3.Connection], T]) -> T:
    """Read a copy of a state that has a -wal but no -shm, as a backup leaves it.

    It has to be a copy, because reading a -wal makes a -shm beside it. The -wal is copied second:
    whatever of it is in the file already is then in the copied -wal as well.
    """
    with tempfile.TemporaryDirectory() as folder:
        copied = Path(folder, "copy")
        for end in ("", "-wal"):
            shutil.copyfile(f"{path}{end}", f"{copied}{end}")
        return _read(copied, _READ_ONLY, read)


def _read(path: Path, how: str, read: Callable[[sqlite3.Connection], T]) -> T:
    address = f"{path.absolute().as_uri()}?{how}"
    with closing(sqlite3.connect(address, uri=True)) as connection:
        return read(connection)
