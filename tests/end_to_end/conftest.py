"""A sandbox and a state for each test, always at the same two ports.

So a state that one first sync has made serves every test that wants one to start from.
"""

import secrets
import shutil
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import SystemRandom
from zoneinfo import ZoneInfo

import pytest
from world import World

from clio_broadly_sync.sandbox import Firm, Sandbox

MakeWorld = Callable[[Path], World]


def _noon() -> datetime:
    """Return the firm's last noon: no test runs into midnight unless it means to."""
    now = datetime.now(ZoneInfo("America/Los_Angeles"))
    noon = now.replace(hour=12, minute=0, second=0, microsecond=0)
    return (noon if noon <= now else noon - timedelta(days=1)).astimezone(UTC)


def _free_port() -> int:
    """Return a port that nothing listens on and that no outgoing connection is given."""
    for port in SystemRandom().sample(range(20_000, 30_000), 100):
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise RuntimeError("no free port")


@pytest.fixture(scope="session")
def make_world(tmp_path_factory: pytest.TempPathFactory) -> MakeWorld:
    """Return what makes a world in a folder, all of them alike from outside."""
    noon, ports = _noon(), (_free_port(), _free_port())
    token, key = f"clio-{secrets.token_hex(20)}", f"broadly-{secrets.token_hex(20)}"
    bytecode = tmp_path_factory.mktemp("bytecode")

    def make(folder: Path) -> World:
        firm = Firm(contacts=0, matters=0)
        firm.clock.set(noon)
        sandbox = Sandbox(
            firm,
            dedupes=False,
            access_token=token,
            api_key=key,
            clio_port=ports[0],
            broadly_port=ports[1],
        )
        return World(sandbox, folder, bytecode)

    return make


@pytest.fixture(scope="session")
def first_state(make_world: MakeWorld, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a state after its first sync."""
    world = make_world(tmp_path_factory.mktemp("first"))
    with world.sandbox:
        ran = world.sync()
    assert (ran.code, ran.err) == (0, "")
    return world.state.parent


@pytest.fixture
def fresh(make_world: MakeWorld, tmp_path: Path) -> Iterator[World]:
    """A firm and no state: the next run is the first."""
    world = make_world(tmp_path)
    with world.sandbox:
        yield world
        world.check_end()


@pytest.fixture
def world(fresh: World, first_state: Path) -> World:
    """A firm one minute after the first sync."""
    shutil.copytree(first_state, fresh.state.parent)
    fresh.later(minutes=1)
    return fresh
