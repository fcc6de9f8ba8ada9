"""A sandbox and a state for each test, always at the same two ports.

So a state that one first sync has made serves every test that wants one to start from.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from forkserver import ForkServer
from ground import Ground
from transcripts import stand_still
from world import PACKAGE, World

MakeWorld = Callable[[Path], World]


@pytest.fixture(scope="session")
def forks() -> Iterator[ForkServer]:
    server = ForkServer(PACKAGE)
    yield server
    server.close()


@pytest.fixture(scope="session")
def make_world(forks: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> MakeWorld:
    """Return what makes a world in a folder, all of them alike from outside."""
    ground = Ground(tmp_path_factory.mktemp("bytecode"))
    return lambda folder: World(ground.sandbox(), folder, ground.bytecode, forks)


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


@pytest.fixture
def office(fresh: World) -> World:
    """A firm whose clock stands still at an hour to come, and no state: for transcripts."""
    return stand_still(fresh)
