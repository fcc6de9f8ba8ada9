"""The lock of a state: one run at a time, and which one that is.

The lock is the kernel's, on a file beside the state, and it is free again as soon as its holder
ends, however that ends. In the file stands one line about whoever took the lock last; it holds as
long as the lock is held. Nothing but the lock itself decides whether somebody holds it.
"""

import fcntl
import json
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from clio_broadly_sync.domain.errors import BusyError, HungError, StorageError, shown
from clio_broadly_sync.store.database import (
    Connection,
    check_private,
    make_folder,
    storage_errors,
)

POLL_SECONDS: Final = 0.05
LONGEST_LINE: Final = 1000
"""So many bytes of the lock file are read."""
HANGS_AFTER: Final = timedelta(hours=2)
"""Nothing is written for so long only under a lock whose holder hangs. A question waits ten minutes
for its answer, and no single wait for Clio or Broadly is longer than an hour."""
BUSY: Final = "Another run is at work on this state; it was left alone."
_NO_LOCK: Final = (
    "The file system on which the state lies gives no lock ({cause}), and without one two runs "
    "could work at once: move the state to a disk of this machine, and name it with SYNC_STATE."
)


class Holder(NamedTuple):
    """Whoever holds a lock.

    Where the lock file does not say who that is (an earlier version wrote nothing into it, or it
    is garbled), all but `quiet` is None.
    """

    quiet: timedelta
    """How long nothing was written under the lock (`_quiet`)."""
    command: str | None = None
    """The command, such as `outbox resend`, without its arguments; None also where it did not say
    its name."""
    since: datetime | None = None
    """When it took the lock (aware UTC)."""
    pid: int | None = None
    host: str | None = None
    """The machine, or the container, in which `pid` is its process."""

    @property
    def hangs(self) -> bool:
        """Whether it has written nothing for so long that a person has to look."""
        return self.quiet >= HANGS_AFTER

    @property
    def process(self) -> str | None:
        return None if self.pid is None else f"process {self.pid} on {self.host}"

    @property
    def remedy(self) -> str:
        """What a person does about a holder that hangs. Only SIGKILL ends one that is stopped."""
        if self.pid is None:
            return "look for a window where the program waits or was stopped, and end it"
        if self.host != _this_host():
            return f"end {self.process}"
        return f"end it with `kill -9 {self.pid}`"

    @property
    def sentence(self) -> str:
        """What is said of one that hangs; the same words as long as it is the same holder."""
        who = "A run" if self.command is None else f"`{self.command}`"
        which = "" if self.pid is None else f" ({self.process})"
        since = "" if self.since is None else f" since {self.since:%Y-%m-%d %H:%M} UTC"
        return (
            f"{who}{which} has held this state{since} and has written nothing for two hours, so "
            f"that no other run can work: {self.remedy}; the next run puts in order what it left."
        )


@contextmanager
def locked(path: Path, command: str | None = None) -> Iterator[None]:
    """Hold the state for one run, whose `command` is then named to whoever asks who holds it.

    Raise BusyError at once where another run holds it (HungError where that one hangs), and
    StorageError where the state is not this user's alone, where the lock file cannot be made or
    opened, or where no lock is to be had.
    """
    with storage_errors(), suppress(FileNotFoundError):
        check_private(path)  # before root makes a lock that the state's own user could not open
    # Whoever only looks holds the lock for an instant, so it is asked for twice.
    lock = take_lock(
        f"{path}.lock", BUSY, command=command, written=_files(path), patience=POLL_SECONDS
    )
    try:
        yield
    finally:
        os.close(lock)


def take_lock(
    path: str,
    busy: str,
    *,
    command: str | None = None,
    written: Sequence[str] = (),
    patience: float = 0.0,
) -> int:
    """Take the lock in the file `path`, write there who holds it, and return its handle.

    The lock is free again as soon as the handle is closed or the process is killed. Raise BusyError
    with the sentence `busy` where another process holds the lock for longer than `patience`
    seconds; HungError where that one has written neither the lock file nor those of `written` for
    `HANGS_AFTER`; and StorageError where there is no file or no lock to be had.
    """
    until = time.monotonic() + patience
    with storage_errors():
        make_folder(Path(path).parent)
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            while not _is_taken(lock, fcntl.LOCK_EX):
                if time.monotonic() >= until:
                    raise _refusal(_holder(lock, written), busy)
                time.sleep(POLL_SECONDS)
            _sign(lock, command)
        except BaseException:
            os.close(lock)
            raise
    return lock


def holder(path: Path) -> Holder | None:
    """Return who holds the state at this moment, None where nobody does; make and write nothing.

    Looking takes the lock for an instant, shared with everybody else who looks.
    """
    with storage_errors(), suppress(FileNotFoundError), open(f"{path}.lock", "rb") as file:
        lock = file.fileno()
        if not _is_taken(lock, fcntl.LOCK_SH):
            return _holder(lock, _files(path))
    return None


def touch(path: Path) -> None:
    """Let it be seen that whoever holds the state goes on, while it waits and writes nothing."""
    with suppress(OSError):
        os.utime(f"{path}.lock")


def why_unlocked(connection: Connection) -> str:
    """Return the question that is asked where the lock did not keep out another run."""
    if isinstance(connection, sqlite3.Connection):
        return "Does the state lie on a network folder, or was its lock file removed?"
    return "Does a pooler before the database hand one session to several runs?"


def _files(path: Path) -> Sequence[str]:
    """Return the files of a state of which each commit changes one."""
    return (f"{path}", f"{path}-wal")


def _is_taken(lock: int, kind: int) -> bool:
    """Take the lock if it is free, and return whether it was.

    Source: fcntl(2). Whether EAGAIN or EACCES says that another holds it, is left to the system.
    """
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        raise StorageError(_NO_LOCK.format(cause=error.strerror)) from None
    return True


def _refusal(holder: Holder, busy: str) -> BusyError:
    return HungError(holder.sentence) if holder.hangs else BusyError(busy)


def _sign(lock: int, command: str | None) -> None:
    """Write into the lock file who holds it, in place of whoever held it before.

    A lock whose file has no room for the line is a lock all the same.
    """
    line = {
        "command": command,
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "pid": os.getpid(),
        "host": _this_host(),
    }
    with suppress(OSError):
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{json.dumps(line)}\n".encode(), 0)


def _holder(lock: int, written: Sequence[str]) -> Holder:
    quiet = _quiet([lock, *written])
    # A file system may keep others from reading what one has locked.
    with suppress(OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return _as_signed(os.pread(lock, LONGEST_LINE, 0), quiet)
    return Holder(quiet)


def _as_signed(line: bytes, quiet: timedelta) -> Holder:
    """Return what `_sign` wrote; raise one of several errors where the line is none of its own."""
    found = json.loads(line)
    command, pid = found["command"], int(found["pid"])
    if pid <= 0:  # `kill` would take it for many processes
        raise ValueError
    since = datetime.fromisoformat(found["since"]).astimezone(UTC)
    name = None if command is None else shown(command)
    return Holder(quiet, name, since, pid, shown(found["host"]))


def _quiet(files: Sequence[int | str]) -> timedelta:
    """Return how far this machine's clock is from the last time that one of the files was written.

    A run that hangs can say nothing of itself, but a run that works commits, and the kernel then
    stamps a file by this same clock, whichever process or container it was for. A stamp that lies
    ahead is of a clock that has been set back since, and counts as far away as it lies ahead: the
    next commit is stamped anew, and without one, a clock that was set back by years does not hide
    for years that a run hangs.
    """
    now = time.time()
    return timedelta(seconds=min(abs(now - at) for file in files for at in _stamp(file)))


def _stamp(file: int | str) -> Iterator[float]:
    """Yield when the file was last written (seconds since 1970), if it is there."""
    with suppress(FileNotFoundError):
        yield os.stat(file).st_mtime


def _this_host() -> str:
    return os.uname().nodename
