"""Worlds in which faults happen: many in one test, each with the state after a first sync."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from databases import Database
from drill import Drill, FirmDrill, MakeDrill
from forkserver import ForkServer
from ground import Ground
from world import PACKAGE


@pytest.fixture(scope="session")
def forks() -> Iterator[ForkServer]:
    server = ForkServer(PACKAGE, "psycopg")
    yield server
    server.close()


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return Ground(tmp_path_factory.mktemp("bytecode"))


@pytest.fixture(scope="session")
def first_state(
    ground: Ground, forks: ForkServer, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the folder of a state after its first sync."""
    drill = Drill(ground, forks, tmp_path_factory.mktemp("first"))
    with drill.sandbox:
        ran = drill.sync()
    assert (ran.code, ran.err) == (0, "")
    return drill.state.parent


@pytest.fixture(scope="session")
def first_firm(
    ground: Ground, forks: ForkServer, database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the folder with a copy of a firm after its first sync."""
    folder = tmp_path_factory.mktemp("first")
    drill = FirmDrill(ground, forks, folder / "drill", database=database)
    with drill.sandbox:
        ran = drill.sync()
    assert (ran.code, ran.err) == (0, "")
    return drill.copy(folder / "copy")


@pytest.fixture
def where(request: pytest.FixtureRequest) -> str:
    """Return where the state is: in a file, unless a test says `ON_BOTH`."""
    return str(getattr(request, "param", "file"))


@pytest.fixture
def make_drill(
    ground: Ground, forks: ForkServer, tmp_path: Path, where: str, request: pytest.FixtureRequest
) -> MakeDrill:
    """Return a function that opens one world after the other, each as a context.

    A world begins one minute after a first sync, or without a state where it is `fresh`. Where the
    `profile` is "webhook", an automation stands in Broadly's place.
    """
    kind: Callable[..., Drill] = Drill
    first_state = "first_state"
    if where == "postgresql":
        kind = partial(FirmDrill, database=request.getfixturevalue("database"))
        first_state = "first_firm"
    first = request.getfixturevalue(first_state)

    @contextmanager
    def make(
        *, fresh: bool = False, dedupes: bool = False, profile: str = "batch"
    ) -> Iterator[Drill]:
        drill = kind(ground, forks, tmp_path / "drill", profile)
        drill.dedupes(dedupes)
        if not fresh:
            drill.put(first)
            drill.later(minutes=1)
        try:
            with drill.sandbox:
                if profile == "webhook":
                    drill.settings["BROADLY_PER_MINUTE"] = "6000"
                    assert fresh or drill.check("--accept").code == 0
                yield drill
        finally:
            shutil.rmtree(drill.folder)

    return make
