"""A file that a report is written into, which a person named: private, new, and whole."""

from collections.abc import Iterable
from pathlib import Path

from clio_broadly_sync.cli.exports import lies_with_state
from clio_broadly_sync.domain.errors import ExportError, shown
from clio_broadly_sync.settings import Settings
from clio_broadly_sync.transport.signals import Stop


def check_place(file: Path, settings: Settings) -> None:
    """Raise ExportError where no such file can be made, or where it would lie with the state."""
    from clio_broadly_sync.sinks import new_files

    if lies_with_state(settings, file):
        raise ExportError(
            f"{shown(file.name)} would lie in the folder of the state, which is the program's own: "
            "name a file in another folder."
        )
    new_files.check_place(Path.cwd() / file)


def write(file: Path, pieces: Iterable[bytes], stop: Stop) -> None:
    """Write a new file, for its owner alone; where that fails, there is none.

    Raise ExportError where there can be none, and StoppedError where a signal came before.
    """
    from clio_broadly_sync.sinks.new_files import NewFiles

    new = NewFiles(Path.cwd() / file, _NoNotes(), stop)
    try:
        new.begin()
        for piece in pieces:
            new.write(piece)
        with stop.to_the_end():
            new.finish()
    except BaseException:
        new.drop()
        raise


class _NoNotes:
    """Notes of a file of which no run has to know: nobody is sent by it."""

    def begin(self) -> None:
        pass

    def name(self, temporary: Path, file: Path) -> None:
        pass

    def seal(self, changed_ns: int = 0, inode: int = 0) -> None:
        pass
