"""The file that a run writes, as the state knows it: so that the next run sees whether it was made.

A run notes that it is going to write a file before it claims anybody; the name of the temporary
file before there is one; and when that file is whole before it gets the name that a person gave
it. From then on it loses its temporary name only by getting that one.
"""

import json
import logging
import os
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, NamedTuple

from clio_broadly_sync.domain.exports import Fate

log = logging.getLogger(__name__)

FACT: Final = "export"
"""The name of the fact; it is empty, or absent, where nobody writes a file."""


class Begun(NamedTuple):
    """A file that a run is writing."""

    temporary: str = ""
    """The path of the temporary file; empty where there is none yet, or never is one."""
    file: str = ""
    """The path that it is to have; empty as above."""
    changed_ns: int | None = None
    """When the temporary file was last changed before it got its name (nanoseconds of `st_ctime`;
    0 without a temporary file); None as long as it may not get one."""
    inode: int = 0
    """Its number on its disk; 0 where `changed_ns` is None or 0."""

    @classmethod
    def read(cls, text: str) -> "Begun | None":
        """Return what a fact tells of; raise ValueError where it cannot be read."""
        if not text:
            return None
        match json.loads(text):
            case [str(temporary), str(file), int() | None as changed_ns, int(inode)]:
                return cls(temporary, file, changed_ns, inode)
        raise ValueError


class Exports:
    """The file of one firm that is being written, if one is. Every method may raise StorageError.

    `facts` are the facts of the state, and `save` writes some of them, lasting. Where `looks_only`
    is true, the state is a copy, and no file is touched.
    """

    def __init__(
        self,
        facts: Mapping[str, str],
        save: Callable[[Mapping[str, str]], None],
        *,
        looks_only: bool = False,
    ) -> None:
        self._facts = facts
        self._save = save
        self._looks_only = looks_only

    # What a run notes while it writes a file.

    def begin(self) -> None:
        """Note that whom this run claims goes into a file, and that there is none yet."""
        self._note(Begun())

    def name(self, temporary: Path, file: Path) -> None:
        """Note under which name the temporary file is going to be, and which one it is to get."""
        self._note(Begun(str(temporary), str(file)))

    def seal(self, changed_ns: int = 0, inode: int = 0) -> None:
        """Note that the file holds everybody who is claimed, and may get its name from now on.

        When it was last changed, and its number, are those of `Begun`.
        """
        begun = self._begun or Begun()
        self._note(begun._replace(changed_ns=changed_ns, inode=inode))

    # What the next run makes of it.

    def fate(self) -> Fate | None:
        """Return what became of the file of a run that was cut short; None where there was none.

        One that was not made cannot be made from then on, even where that run is still at work.
        """
        begun = self._begun
        if begun is None:
            return None
        if begun.changed_ns is None:
            return Fate.NOT_MADE
        if not begun.temporary:
            return Fate.UNKNOWN
        try:
            return self._fate_by_temporary(begun)
        except FileNotFoundError:
            return _fate_by_name(begun)
        except OSError:
            return Fate.UNKNOWN

    def clear(self) -> None:
        """Note that nothing is being written any more, and take the temporary file away."""
        begun = self._begun
        if begun is None or self._looks_only:
            return
        if begun.temporary:
            try:
                _take_away(begun.temporary)
            except OSError:
                log.warning(
                    "A file with client data could not be removed: remove %s.", begun.temporary
                )
        self._save({FACT: ""})

    @property
    def _begun(self) -> Begun | None:
        return Begun.read(self._facts.get(FACT, ""))

    def _note(self, begun: Begun) -> None:
        self._save({FACT: json.dumps(begun)})

    def _fate_by_temporary(self, begun: Begun) -> Fate:
        """Return the fate of a whole file; raise FileNotFoundError where it is not there under its
        temporary name."""
        with closing(_Opened(begun.temporary)) as file:
            found = file.stat()
            if found.st_nlink > 1:
                return Fate.MADE
            if found.st_ctime_ns != begun.changed_ns:
                return Fate.UNKNOWN  # it may have had its name, which somebody took away
            if self._looks_only:
                return Fate.NOT_MADE
            self._note(begun._replace(changed_ns=None))
            _take_away(begun.temporary)
            return Fate.MADE if file.stat().st_nlink else Fate.NOT_MADE


class _Opened:
    """A file that is open, so that it can be looked at when it has no name any more."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def stat(self) -> os.stat_result:
        return os.fstat(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


def _fate_by_name(begun: Begun) -> Fate:
    """Return the fate of a whole file without its temporary name.

    It lost that when it got its own, but in a copy of the state that was put back; so where it is
    not there either, nobody knows.
    """
    try:
        is_there = os.lstat(begun.file).st_ino == begun.inode
    except OSError:
        is_there = False
    return Fate.MADE if is_there else Fate.UNKNOWN


def _take_away(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)
