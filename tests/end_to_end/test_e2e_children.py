"""The program as a child: in a session of its own however it is begun, and ended with it."""

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import surroundings
from ground import Ground
from world import World


@pytest.mark.parametrize(
    "begin",
    [
        lambda world: world.sync(),
        lambda world: world.finish(world.start(["sync"], {})),
    ],
    ids=["forked", "fresh"],
)
def test_it_has_a_session_of_its_own(world: World, begin: Callable[[World], Any]) -> None:
    """So it has no terminal but what it is given."""
    seen: list[tuple[int, int]] = []

    def look(*request: object) -> None:
        child = surroundings.begun[-1].pid
        seen.append((os.getsid(child), child))

    world.clio.before = look
    assert begin(world).code == 0
    assert seen
    assert all(session == child for session, child in seen)


def test_its_clock_stands_still_for_a_transcript(office: World) -> None:
    """However slow it is: else two minutes would now and then be 119 seconds."""
    office.clio.before = lambda request: office.clio.stopping.wait(1.1)
    assert office.sync().code == 0
    run = office.run("status", "--json").json["runs"][0]
    moment = f"{office.firm.clock.now():%Y-%m-%dT%H:%M:%SZ}"
    assert (run["started_at"], run["finished_at"]) == (moment, moment)


def test_two_grounds_have_no_port_in_common(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although no sandbox is up when they choose."""
    few = SimpleNamespace(sample=lambda ports, number: list(ports)[5000:5008])
    monkeypatch.setattr("ground.SystemRandom", lambda: few)
    urls: list[str] = []
    for _ in range(2):
        sandbox = Ground(tmp_path).sandbox()
        with sandbox:
            urls += [sandbox.clio.url, sandbox.broadly.url]
    assert len(set(urls)) == 4
