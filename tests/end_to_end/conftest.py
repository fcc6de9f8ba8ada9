"""A sandbox and a state for each test, always on the same two ports.

So the state after one first sync can be copied for every test that begins with such a state.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from forkserver import ForkServer
from ground import Ground
from transcripts import stand_still
from world import PACKAGE, MakeWorld, World


@pytest.fixture(scope="session")
def forks() -> Iterator[ForkServer]:
    server = ForkServer(PACKAGE)
    yield server
    server.close()


@pytest.fixture(scope="session")
def make_world(forks: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> MakeWorld:
    """Return a function that makes a world in a folder; from outside, all worlds are alike."""
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
    """Yield a world with an empty firm and no state, so that the next run is the first one."""
    world = make_world(tmp_path)
    with world.sandbox:
        yield world
        world.check_end()


@pytest.fixture
def world(fresh: World, first_state: Path) -> World:
    """Return a world with an empty firm, one minute after the first sync."""
    shutil.copytree(first_state, fresh.state.parent)
    fresh.later(minutes=1)
    return fresh


@pytest.fixture
def office(fresh: World) -> World:
    """Return a world for transcripts.

    It has no state, and its clock stands still at an hour in the future.
    """
    return stand_still(fresh)


@pytest.fixture
def punctual(world: World) -> World:
    """Return a world whose day is the program's."""
    world.catch_up()
    return world
