"""What a person sees at a terminal of a run that takes long, and that nothing of it stays."""

import json
import os
import signal
import threading
from datetime import date

import pytest
from rig import faults
from surroundings import BUSY_SECONDS
from terminal import begun_on_terminal, left
from world import World

BACKFILL = ["backfill", "--from", "2025-03-01", "--to", "2025-03-31", "--yes"]
MARCH = date(2025, 3, 10)
WAITING = "Waiting for Clio's rate limit until "


def _used_up(world: World) -> None:
    """Let Clio's rate limit be used up with the next answer, for 40 seconds."""
    begins_anew = int(world.firm.clock.now().timestamp()) + 40
    world.clio.faults.add(
        faults.headers(X_RateLimit_Remaining="0", X_RateLimit_Reset=str(begins_anew))
    )


@pytest.mark.parametrize("arguments", [["sync"], ["sync", "--dry-run"], BACKFILL], ids=str)
def test_waiting_for_the_rate_limit(world: World, arguments: list[str]) -> None:
    """Said at once and with the time; interrupted, it leaves whole lines only."""
    world.closing()
    world.closing(on=MARCH)
    _used_up(world)
    with begun_on_terminal(world, *arguments) as run:
        run.until(WAITING)
        os.kill(run.child.pid, signal.SIGTERM)
        ran = run.end()
    assert ran.code == 143
    assert left(ran.out)[0].startswith("clio-broadly-sync: Interrupted")
    assert not [line for line in left(ran.out) if "Waiting" in line]


def test_verbose_has_lines_of_the_log_instead(world: World) -> None:
    """As LOG_FORMAT=json has: nothing is drawn between them."""
    world.closing()
    _used_up(world)
    with begun_on_terminal(world, "-v", "sync", LOG_FORMAT="json") as run:
        run.until("rate limit used up")
        os.kill(run.child.pid, signal.SIGTERM)
        ran = run.end()
    assert ran.code == 143
    assert all(json.loads(line) for line in ran.out.splitlines())


def test_bar_of_what_is_handed_over(world: World) -> None:
    """Drawn once it takes long, wiped out before the results."""
    world.closing(on=MARCH)
    seen = threading.Event()
    world.broadly.working = lambda request: seen.wait(BUSY_SECONDS)
    with begun_on_terminal(world, *BACKFILL) as run:
        run.until("Sending [........................] 0 of 1")
        seen.set()
        ran = run.end()
    assert ran.code == 0
    assert left(ran.out) == ["1 closed matter looked at: 1 client sent to Broadly."]


def test_dry_run_does_not_say_that_it_hands_over(world: World) -> None:
    """It decides; so the bar has another word."""
    world.closing()
    seen = threading.Event()
    world.clio.before = lambda r: seen.wait(BUSY_SECONDS) if "/contacts" in r.path else None
    with begun_on_terminal(world, "sync", "--dry-run") as run:
        run.until("Deciding [")
        seen.set()
        ran = run.end()
    assert (ran.code, "Handing over" in ran.out) == (0, False)


def test_only_the_result_stays(world: World) -> None:
    """However long it took."""
    world.closing()
    with begun_on_terminal(world, "sync") as run:
        ran = run.end()
    assert left(ran.out) == ["1 closed matter looked at: 1 client sent to Broadly."]


def test_off_a_terminal(world: World) -> None:
    """Nothing at all."""
    world.closing()
    ran = world.sync()
    assert (ran.out, ran.err) == ("", "")
