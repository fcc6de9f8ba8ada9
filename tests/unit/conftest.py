"""Runs of the pipeline over a new state, and over one that has its start."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from runs import Runs

from clio_broadly_sync.store import Store


@pytest.fixture
def new(tmp_path: Path) -> Iterator[Runs]:
    """Runs over a state that has seen none."""
    with Store.open(tmp_path / "state" / "state.db") as store:
        yield Runs(store)


@pytest.fixture
def runs(new: Runs) -> Runs:
    """Runs that come after the first, which set the start."""
    new.sync()
    return new
