"""Runs of the pipeline over a new state, and over one that already has its start day."""

from collections.abc import Iterator

import pytest
from runs import Runs

from clio_broadly_sync.store import Place


@pytest.fixture
def new(place: Place) -> Iterator[Runs]:
    """Yield `Runs` over a state in which no run was made yet."""
    with place.open() as store:
        yield Runs(store)


@pytest.fixture
def runs(new: Runs) -> Runs:
    """Return `Runs` over a state in which one run was made, which set the start day."""
    new.sync()
    return new
