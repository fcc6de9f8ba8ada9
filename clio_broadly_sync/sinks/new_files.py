"""New files that a person named: each is there as a whole or not at all, and takes nothing's place.

A file is written under a temporary name beside its own, for its owner alone, and gets its name only
when all of it is on the disk. What is noted of that, so that the next run sees after a kill whether
it came so far, is in `store/exports.py`.
"""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NoReturn, Protocol

from clio_broadly_sync.domain.errors import ExportError, StorageError, UnavailableError, shown
from clio_broadly_sync.transport.signals import Stop

_CHUNK: Final = 65_536
_NONE: Final = -1
"""No descriptor."""
_NO_LINKS: Final = frozenset(
    (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV)
)
"""How file systems say that a file cannot have a second name."""
_NO_FOLDER_SYNC: Final = frozenset((errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF))


class Notes(Protocol):
    """Where it is noted how far a file has come (`store.exports.Exports`)."""

    def begin(self) -> None: ...

    def name(self, temporary: Path, file: Path) -> None: ...

    def seal(self, changed_ns: int = 0, inode: int = 0) -> None: ...


def check_place(path: Path) -> None:
    """Raise ExportError where no new file can be made at this path."""
    name = shown(path.name)
    if os.path.isdir(path):
        raise ExportError(f"{name} is a folder: name a file in it.")
    if os.path.lexists(path):
        _refuse_existing(path)
    if not os.path.isdir(path.parent):
        raise ExportError(f"The folder for {name} is not there: make it, or name another.")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise ExportError(
            f"The folder for {name} may not be written by this user: name a file in another one."
        )


def _refuse_existing(path: Path) -> NoReturn:
    raise ExportError(
        f"{shown(path.name)} exists already, and no file is overwritten: move it away, or name "
        "another file."
    )


class NewFiles:
    """A `Target` for the file at `path` and, where it takes more than one, for `…-2`, `…-3`."""

    def __init__(self, path: Path, notes: Notes, stop: Stop) -> None:
        self._notes = notes
        self._stop = stop
        self._first = path
        self._path = path
        self._temporary = path
        self._descriptor = _NONE
        self.made: list[Path] = []
        """The files that are there by now."""

    def begin(self) -> None:
        self._path = self._numbered(len(self.made) + 1)
        check_place(self._path)
        self._temporary = self._path.with_name(f".clio-broadly-sync-{secrets.token_hex(6)}.part")
        self._notes.name(self._temporary, self._path)
        with self._told():
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._descriptor = os.open(self._temporary, flags, 0o600)
            with suppress(OSError):  # where the file system knows no permissions
                os.fchmod(self._descriptor, 0o600)

    def write(self, data: bytes) -> None:
        left = memoryview(data)
        with self._told():
            while left:
                left = left[os.write(self._descriptor, left) :]

    def finish(self) -> None:
        with self._told():
            os.fsync(self._descriptor)
            _sync_folder(self._temporary)
        self._stop.check()
        found = os.fstat(self._descriptor)
        self._notes.seal(found.st_ctime_ns, found.st_ino)
        self._link()
        self.made.append(self._path)
        try:
            os.unlink(self._temporary)
            _sync_folder(self._path)
            self._close()
        except OSError as error:  # whoever is in it must not be given back
            raise StorageError(
                f"{shown(self._path.name)} is there, and its disk is not in order "
                f"({error.strerror}): see to that first. The next run notes who is in the file."
            ) from None

    def settled(self) -> None:
        self._notes.begin()

    def drop(self) -> None:
        if self._descriptor != _NONE:
            self._close()
            with suppress(OSError):  # the next run tries again
                os.unlink(self._temporary)

    def handed_out(self) -> int:
        return 0

    def _numbered(self, number: int) -> Path:
        """Return the path of the file with this number: from 2 on, it stands before the suffix."""
        path = self._first
        return path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")

    def _link(self) -> None:
        """Give the file its name, unless another one has it."""
        try:
            os.link(self._temporary, self._path)
        except OSError as error:
            if os.fstat(self._descriptor).st_nlink > 1:
                return  # a network folder may have done it and lost the answer
            # Before the temporary name goes, which would mean the contrary.
            self._notes.name(self._temporary, self._path)
            if isinstance(error, FileExistsError):
                _refuse_existing(self._path)
            self._refuse(error)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Raise ExportError for an error of the system."""
        try:
            yield
        except OSError as error:
            self._refuse(error)

    def _refuse(self, error: OSError) -> NoReturn:
        name, why = shown(self._path.name), error.strerror or "no reason is told"
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            advice = "make room there, or name a file on another disk"
        elif error.errno in _NO_LINKS:
            advice = (
                "its disk cannot give a file a second name (an USB stick, for example): name a "
                "file on a disk of this machine, and copy it from there"
            )
        else:
            advice = "name a file in another folder"
        raise ExportError(f"{name} could not be made ({why}): {advice}.") from None

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, _NONE
        os.close(descriptor)


class StandardOutput:
    """A `Target` for one file, which goes to this descriptor once it is whole."""

    def __init__(self, descriptor: int, notes: Notes, stop: Stop) -> None:
        self._descriptor = descriptor
        self._notes = notes
        self._stop = stop
        self._data = bytearray()
        self._got = 0
        self._is_used = False

    def begin(self) -> None:
        if self._is_used:
            raise UnavailableError(
                "Standard output takes one file, and that is full or had taken long to read: run "
                "it again for the rest."
            )

    def write(self, data: bytes) -> None:
        self._data += data

    def finish(self) -> None:
        self._stop.check()
        self._notes.seal()
        self._is_used = True
        for begins in range(0, len(self._data), _CHUNK):
            self._write(self._data[begins : begins + _CHUNK])
        self._data.clear()

    def settled(self) -> None:
        self._got = 0
        self._notes.begin()

    def drop(self) -> None:
        self._data.clear()
        self._got = 0

    def handed_out(self) -> int:
        return self._got

    def _write(self, chunk: bytearray) -> None:
        """Write so much; whoever reads there may have got what could not be written to its end."""
        while chunk:
            before, self._got = self._got, self._got + len(chunk)
            try:
                with self._stop.at_once():
                    written = os.write(self._descriptor, chunk)
            except OSError as error:
                self._got = before
                raise ExportError(
                    f"The file could not be written to standard output ({error.strerror}): whoever "
                    "was written before that is held. Look what has arrived, and name a file the "
                    "next time."
                ) from None
            self._got = before + written
            del chunk[:written]


def _sync_folder(path: Path) -> None:
    """Let what was done to the names in the folder of this file last, where that can be asked."""
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)
