"""A state that moves from a file into a firm of a fleet: all of it, once, whatever cuts it short."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import old_states
import psycopg
import pytest
from databases import KEY, Database
from factories import NOW
from test_store_upgrade import THEN

from clio_broadly_sync.domain.credentials import Secret
from clio_broadly_sync.store import FilePlace, Store, moving, postgresql
from clio_broadly_sync.store.firm import FirmPlace
from clio_broadly_sync.store.firms import HASH_KEY, Firms
from clio_broadly_sync.store.postgresql import WORKER, Session
from clio_broadly_sync.store.seal import Seal
from clio_broadly_sync.store.sessions import Sessions

SEAL: Final = Seal([Secret(KEY)])
NAME: Final = "smith"


@pytest.fixture
def address(database: Database) -> str:
    return database.emptied()


class Fleet:
    def __init__(self, address: str) -> None:
        self.address = address

    def move(self, path: Path, name: str = NAME, now: datetime = NOW) -> FirmPlace:
        key = ""
        with closing(
            postgresql.connect(self.address, "f", idle=timedelta(hours=1), role=WORKER)
        ) as session:

            def add(hash_key: str) -> int:
                nonlocal key
                key = hash_key
                return Firms(session).add(
                    name, {}, SEAL.close(name, {HASH_KEY: key}), timedelta(minutes=15)
                )

            firm = moving.move(path, name, add, session=session, seal=SEAL, now=now)
        return FirmPlace(Sessions(self.address), firm, name, hash_key=key, seal=SEAL)


def test_first(path: Path, address: str) -> None:
    place = Fleet(address).move(path)
    with place.open() as store:
        assert store.flaws(NOW) == []
