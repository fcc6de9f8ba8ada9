"""The sessions of firms: whose rows a session sees is settled when it begins."""

from datetime import timedelta

from clio_broadly_sync.store.lock import HANGS_AFTER
from clio_broadly_sync.store.postgresql import WORKER, Session, connect


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
        """Begin a session of a firm, which the server shows by this name."""
        own = {"fleet.firm": str(firm)}
        return connect(self.address, name, idle=self._idle, role=WORKER, settings=own)
