"""The state of one firm: what it was made with, how far it has come, and the ledger.

No personal data is written to it: people are known by keyed hashes only (`store/people.py`). Where
a state is, a `Place` knows: a file, or a firm's rows in a database (`store/firm.py`).
"""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, Protocol

from clio_broadly_sync.domain.credentials import Grant
from clio_broadly_sync.domain.model import Pins
from clio_broadly_sync.store import integrity, lock
from clio_broadly_sync.store.integrity import Flaw
from clio_broadly_sync.store.ledger import Claim
from clio_broadly_sync.store.leftovers import locked, look_beside
from clio_broadly_sync.store.lock import Holder, holder
from clio_broadly_sync.store.notebook import Notebook, Notes
from clio_broadly_sync.store.outbox import Listed, Selection
from clio_broadly_sync.store.overview import SurgeFigures
from clio_broadly_sync.store.state import Store
from clio_broadly_sync.store.tokens import TokenStore

__all__ = [
    "Claim",
    "FilePlace",
    "Holder",
    "Listed",
    "Notes",
    "Place",
    "Selection",
    "Store",
    "SurgeFigures",
    "TokenStore",
    "holder",
    "locked",
    "look_beside",
]


class SignIn(Protocol):
    """Where one firm's sign-in is kept. Every method may raise StorageError."""

    def read(self) -> Grant | None:
        """Return what is kept now; None where nobody has signed in. Write nothing."""

    def save(self, grant: Grant) -> None:
        """Keep this grant instead of the one before, in one transaction."""

    def erase(self) -> None:
        """Erase the tokens."""

    def alone(self) -> AbstractContextManager[None]:
        """Let only one process at a time change the sign-in; raise BusyError where it has to wait
        too long."""


class Place(Protocol):
    """Where the state of one firm is. Every method may raise StorageError."""

    @property
    def folder(self) -> Path | None:
        """The folder of the state's file, which is the program's own; None where it is no file."""

    def open(self) -> Store:
        """Open the state; the caller holds `locked` as long as it is open."""

    def snapshot(self) -> Store:
        """Open a copy, as for a dry run: nothing that is done to it reaches the state."""

    def locked(self, command: str | None = None) -> AbstractContextManager[None]:
        """Hold the state for one run, whose `command` is then named to whoever asks who holds it.

        Raise BusyError at once where another run holds it (HungError where that one hangs).
        """

    def begin(self, pins: Pins, *, only_looks: bool = False) -> None:
        """Take note of what the state begins with, before that is pinned; write where it may.

        Raise ConfigError where another firm of the same database has the account.
        """

    def signed_in(self) -> None:
        """Take note that somebody has signed in: in a fleet the firm is then due at once."""

    def look_beside(self) -> None:
        """Raise DamagedError where what a killed run left beside the state does not fit it."""

    def holder(self) -> Holder | None:
        """Return who holds the state at this moment, None where nobody does; write nothing."""

    def touch(self) -> None:
        """Let it be seen that whoever holds the state goes on, while it only waits."""

    def sign_in(self) -> SignIn:
        """Return where the firm's sign-in is kept, of a copy as well."""

    def notes(self, name: str) -> Notes:
        """Return what is remembered under this name beside the state, and not in a copy."""

    def flaws(self) -> list[Flaw]:
        """Return what does not hold of the state's files, whatever is in them."""


class FilePlace(NamedTuple):
    """The place of a state that is a file (`Place`)."""

    path: Path

    @property
    def folder(self) -> Path | None:
        return self.path.parent

    def open(self) -> Store:
        return Store.open(self.path)

    def snapshot(self) -> Store:
        return Store.snapshot(self.path)

    def locked(self, command: str | None = None) -> AbstractContextManager[None]:
        return locked(self.path, command)

    def begin(self, pins: Pins, *, only_looks: bool = False) -> None:
        """A file knows of no other firm."""

    def signed_in(self) -> None:
        """Nobody waits for it but cron."""

    def look_beside(self) -> None:
        look_beside(self.path)

    def holder(self) -> Holder | None:
        return holder(self.path)

    def touch(self) -> None:
        lock.touch(self.path)

    def sign_in(self) -> TokenStore:
        return TokenStore(self.path)

    def notes(self, name: str) -> Notebook:
        return Notebook(Path(f"{self.path}.{name}"))

    def flaws(self) -> list[Flaw]:
        return integrity.files(self.path)
