"""An agency for tests: the firms of a fleet in a database, each of which has what a test gives it.

Each firm's settings are those of the sandbox that is given with it; firms that share a sandbox must
not share its account, so only one firm may have it.
"""

import io
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from databases import KEY, url_of

from clio_broadly_sync.cli import logs
from clio_broadly_sync.cli.one_firm import Fleet
from clio_broadly_sync.domain.credentials import Secret
from clio_broadly_sync.fleet import engine
from clio_broadly_sync.settings import read_given
from clio_broadly_sync.settings.fleet import SECRETS
from clio_broadly_sync.store import postgresql, postgresql_schema, tables
from clio_broadly_sync.store.due import make_queue
from clio_broadly_sync.store.firm import FirmPlace
from clio_broadly_sync.store.firms import HASH_KEY, Firm, Firms
from clio_broadly_sync.store.seal import Seal
from clio_broadly_sync.store.sessions import Sessions

QUARTER: Final = timedelta(minutes=15)
LEASE: Final = timedelta(seconds=90)
_FORGET: Final = f"""
    SET search_path = "$user", public, fleet_queue;
    TRUNCATE {", ".join(tables.OF_FIRM)}, firms RESTART IDENTITY;
    DELETE FROM procrastinate_jobs;
"""  # noqa: S608


@contextmanager
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """Yield what returns what the program has logged by now in this process."""
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", said := io.StringIO())
        logs.set_up("text", verbose=False)
    yield said.getvalue
    own = logging.getLogger("clio_broadly_sync")
    own.handlers, own.propagate = [], True
    own.setLevel(logging.NOTSET)


class Agency:
    """The fleet in a database, without a firm at first."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.seal = Seal([Secret(KEY)])
        with closing(postgresql.connect(address, "tests", idle=timedelta(days=1))) as session:
            postgresql_schema.make(session)
            make_queue(session, engine.VERSION, engine.schema())
        self.admin: psycopg.Connection[Any] = psycopg.connect(address, autocommit=True)
        """By which the tests see and change what no command would."""
        self.admin.execute(_FORGET)

    def close(self) -> None:
        self.admin.close()

    @property
    def environment(self) -> dict[str, str]:
        """The settings of the fleet."""
        return {"FLEET_DATABASE": url_of(self.address), "FLEET_KEYS": KEY}

    def fleet(self, **changes: str) -> Fleet:
        """Return the fleet, as a command finds it set."""
        return Fleet(read_given(None, {**self.environment, **changes}, Path("/nonexistent")))

    def session(self, name: str = "clio-broadly-sync tests") -> postgresql.Session:
        """Begin a session such as a worker has."""
        return postgresql.connect(
            self.address, name, idle=timedelta(hours=1), role=postgresql.WORKER
        )

    def add(self, name: str, given: Mapping[str, str], *, period: timedelta = QUARTER) -> int:
        """Add a firm with these settings (NAME: text); return its number. It is due at once."""
        own = {n.lower(): text for n, text in given.items() if n not in SECRETS}
        secrets = {n.lower(): text for n, text in given.items() if n in SECRETS}
        sealed = self.seal.close(name, secrets | {HASH_KEY: _hash_key(name)})
        with closing(self.session()) as session:
            number = Firms(session).add(name, own, sealed, period)
        assert number is not None
        return number

    def firm(self, name: str) -> Firm:
        """Return the row of a firm."""
        with closing(self.session()) as session:
            found = Firms(session).named(name)
        assert found is not None
        return found

    def place(self, name: str) -> FirmPlace:
        """Return the place of a firm's state, in sessions of its own."""
        number = self.firm(name).number
        sessions = Sessions(self.address)
        return FirmPlace(sessions, number, name, hash_key=_hash_key(name), seal=self.seal)

    def due(self, name: str | None = None) -> None:
        """Let a firm be due by now, or all of them."""
        due = "UPDATE firms SET next_at = now() WHERE name = coalesce(%s, name)"
        self.admin.execute(due, (name,))

    def until(self, name: str) -> float:
        """Return in how many seconds a firm is due, by the server's clock."""
        left = "SELECT extract(epoch FROM next_at - now()) FROM firms WHERE name = %s"
        (seconds,) = self.admin.execute(left, (name,)).fetchone() or (None,)
        return float(seconds)

    def closings(self, name: str) -> dict[int, tuple[str, str | None]]:
        """Return state and reason of each closing of a firm, by the matter's id."""
        asked = "SELECT matter_id, state, reason FROM closings WHERE firm = %s"
        found = self.admin.execute(asked, (self.firm(name).number,)).fetchall()
        return {matter: (state, reason) for matter, state, reason in found}


def _hash_key(name: str) -> str:
    return name.encode().hex().rjust(64, "0")[:64]
