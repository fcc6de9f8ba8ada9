"""Killed at every request and every commit of a run that posts to a webhook, and again while
recovering: nobody is posted twice, nobody against their will, nobody is lost.

Clients are claimed one at a time, so a kill leaves one of them for a person to judge, and no more.
"""

from collections.abc import Callable, Sequence
from random import Random

import pytest
from drill import Drill, MakeDrill, told
from world import Closing, matter_of

CLIENTS = 4
PAGE = 4
SHARES = 4
"""Each test takes every fourth point, so that all cores have work."""
PAIRS = 30
Command = Callable[[Drill], Sequence[str]]


def _sync(drill: Drill) -> Sequence[str]:
    return ["sync"]


def _backfill(drill: Drill) -> Sequence[str]:
    return ["backfill", "--from", str(drill.day(5)), "--to", str(drill.day(1)), "--yes"]


def _crowd(drill: Drill, command: Command) -> list[Closing]:
    """Close matters on more than one page (`Drill.crowd`)."""
    drill.clio.cap_pages("matter", PAGE)
    on = "today" if command is _sync else drill.day(3)
    return drill.crowd(CLIENTS, on)


def _check_end(drill: Drill, closings: Sequence[Closing], *, kills: int, refused: int = 0) -> None:
    """Who may still be asked has been; a kill leaves one client, and as many as were refused."""
    rows = drill.rows()
    held = {row.matter for row in rows if row.state == "held"}
    assert len(held) <= kills * (1 + refused), f"{held} are held"
    done = {row.matter for row in rows if row.state in ("sent", "dead")} | held
    unchanged = {closing.matter for closing in closings[:-2]}
    assert unchanged <= done, f"{unchanged - done} were never sent"


def _points(make_drill: MakeDrill, command: Command) -> list[str]:
    """Return the names of the points of an undisturbed run, which must be a long one."""
    with make_drill(profile="webhook") as drill:
        _crowd(drill, command)
        names = drill.points(*command(drill))
    posts = [name for name in names if name.startswith("POST") and name.endswith("answered")]
    assert len(posts) == CLIENTS
    return names


@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize("command", [_sync, _backfill])
def test_killed_at_every_point(make_drill: MakeDrill, command: Command, share: int) -> None:
    names = _points(make_drill, command)
    for number in range(1 + share, len(names) + 1, SHARES):
        trial = f"killed at {number}, {names[number - 1]}"
        with told(trial), make_drill(profile="webhook") as drill:
            closings = _crowd(drill, command)
            assert drill.kill(number, *command(drill)), "it was not killed"
            drill.meanwhile(closings)
            drill.rest(*command(drill))
            _check_end(drill, closings, kills=1)


@pytest.mark.parametrize("share", range(SHARES))
def test_killed_twice(make_drill: MakeDrill, share: int) -> None:
    """A sample of all pairs of points: the recovery is killed as well."""
    last = len(_points(make_drill, _sync))
    pairs = [(first, second) for first in range(1, last + 1) for second in range(1, last + 1)]
    sample = Random(20261126).sample(pairs, PAIRS)  # noqa: S311  (a sample, no secret)
    for first, second in sample[share::SHARES]:
        trial = f"killed at {first} and at {second}"
        with told(trial), make_drill(profile="webhook") as drill:
            closings = _crowd(drill, _sync)
            assert drill.kill(first, "sync"), "it was not killed"
            drill.meanwhile(closings)
            kills = 1 + drill.kill(second, "sync")
            drill.later(minutes=20)
            drill.rest("sync")
            _check_end(drill, closings, kills=kills)


@pytest.mark.parametrize("share", range(SHARES))
def test_killed_while_refusals_are_kept_back(make_drill: MakeDrill, share: int) -> None:
    """The first two are refused before anybody is accepted: with the one that is on its way, a kill
    leaves three in doubt at most."""

    def begin(drill: Drill) -> list[Closing]:
        closings = _crowd(drill, _sync)
        first = {closing.matter for closing in closings[:2]}
        drill.broadly.rule("refuse", when=lambda item: matter_of(item) in first)
        return closings

    with make_drill(profile="webhook") as drill:
        begin(drill)
        names = drill.points("sync")
    for number in range(1 + share, len(names) + 1, SHARES):
        trial = f"killed at {number}, {names[number - 1]}"
        with told(trial), make_drill(profile="webhook") as drill:
            closings = begin(drill)
            assert drill.kill(number, "sync"), "it was not killed"
            drill.meanwhile(closings)
            drill.rest("sync")
            _check_end(drill, closings, kills=1, refused=2)
