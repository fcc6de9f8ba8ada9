"""The clock of ages and deadlines, with machines that sleep and clocks that are set."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from clio_broadly_sync.transport.clock import JUMP_SECONDS, Clock

DATE = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
AWAKE, BOOT, WALL = range(3)


class Machine:
    """The three clocks of a machine, and what is made of them."""

    def __init__(self) -> None:
        self.clocks = [100.0, 5000.0, DATE.timestamp()]
        awake, *others = (self._shows(number) for number in range(3))
        self.clock = Clock(awake, others)

    def _shows(self, number: int) -> Callable[[], float]:
        return lambda: self.clocks[number]

    def passes(self, seconds: float, *seen_by: int) -> float:
        """Let time pass that these clocks see; return what the clock then shows."""
        for number in seen_by:
            self.clocks[number] += seconds
        return self.clock()


def test_time_that_all_clocks_see() -> None:
    machine = Machine()
    assert machine.passes(7.5, AWAKE, BOOT, WALL) == 7.5
    assert machine.passes(100_000, AWAKE, BOOT, WALL) == 100_007.5
    assert machine.clock.jumped_at == -math.inf


@pytest.mark.parametrize("seen_by", [(BOOT, WALL), (BOOT,), (WALL,)])
@pytest.mark.parametrize("hours", [0.05, 0.5, 8, 100])
def test_machine_that_sleeps(seen_by: tuple[int, ...], hours: float) -> None:
    """Whichever clock counts its sleep; and it is known when it woke up."""
    machine = Machine()
    machine.passes(60, AWAKE, BOOT, WALL)
    assert machine.passes(hours * 3600, *seen_by) == 60 + hours * 3600
    assert machine.clock.jumped_at == 60 + hours * 3600
    assert machine.passes(5, AWAKE, BOOT, WALL) == 65 + hours * 3600
    assert machine.clock.jumped_at == 60 + hours * 3600


def test_wall_clock_that_is_set_back_and_forth() -> None:
    """Back is no time that passed; forth is, for it may have been set right after a sleep."""
    machine = Machine()
    assert machine.passes(-3600, WALL) == 0
    assert machine.passes(10, AWAKE, BOOT, WALL) == 10
    assert machine.clock.jumped_at == -math.inf
    assert machine.passes(3600, WALL) == 3610
    assert machine.clock.jumped_at == 3610


def test_small_corrections_are_no_jump() -> None:
    """Nor are they ever one together within a run's time."""
    machine = Machine()
    for _ in range(100):
        machine.passes(10, AWAKE, BOOT, WALL)
        machine.passes(0.5, WALL)
    assert machine.clock() == 1050
    assert machine.clock.jumped_at == -math.inf
    machine.passes(JUMP_SECONDS - 49, WALL)
    assert machine.clock.jumped_at == machine.clock()


def test_date_of_answers_that_take_their_time() -> None:
    """A question may be under way for a minute, so its answer's `Date` says no more than that."""
    machine = Machine()
    machine.passes(59, AWAKE, BOOT, WALL)
    machine.clock.hear(DATE, 0)
    machine.passes(1, AWAKE, BOOT, WALL)
    machine.clock.hear(DATE + timedelta(seconds=60), 59)
    assert (machine.clock(), machine.clock.jumped_at) == (60, -math.inf)


@pytest.mark.parametrize("hours", [0.05, 0.5, 8])
def test_date_shows_what_no_clock_saw(hours: float) -> None:
    machine = Machine()
    machine.clock.hear(DATE, 0)
    began = machine.passes(10, AWAKE, BOOT, WALL)
    machine.clock.hear(DATE + timedelta(hours=hours), began)
    assert machine.clock() == pytest.approx(hours * 3600, abs=1)
    assert machine.clock.jumped_at == machine.clock()
    machine.clock.hear(DATE + timedelta(hours=hours), machine.clock())
    assert machine.clock() == pytest.approx(hours * 3600, abs=1)


def test_date_that_goes_back_changes_nothing() -> None:
    machine = Machine()
    machine.clock.hear(DATE, 0)
    machine.clock.hear(DATE - timedelta(hours=5), 0)
    assert machine.clock() == 0
