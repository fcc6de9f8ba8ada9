"""Killed at every request, commit and step of a file, and again while recovering: nobody is in two
files, nobody against their will, nobody is lost or held, and no client's data stays in a file that
has no name.

As soon as a file has its name, a person imports it, also where the run lies dead.
"""

from collections.abc import Callable, Sequence
from random import Random

import exported
import pytest
from drill import Drill, MakeDrill, told
from world import Closing

CLIENTS = 8
PAGE = 4
SHARES = 4
"""Each test takes every fourth point, so that all cores have work."""
PAIRS = 40
Command = Callable[[Drill], Sequence[str]]


def _sync(drill: Drill) -> Sequence[str]:
    return drill.export()


def _backfill(drill: Drill) -> Sequence[str]:
    first, last = str(drill.day(5)), str(drill.day(1))
    return drill.export(["backfill", "--from", first, "--to", last, "--yes"])


def _crowd(drill: Drill, command: Command) -> list[Closing]:
    """Close matters of clients for three files (`Drill.crowd`)."""
    drill.write_files()
    drill.settings |= {"FILES": "yes", "SMALL_FILES": "4"}
    drill.clio.cap_pages("matter", PAGE)
    on = "today" if command is _sync else drill.day(3)
    return drill.crowd(CLIENTS, on)


def _rest(drill: Drill, command: Command) -> None:
    """Write files until nobody waits any more, and check that another run makes none."""
    for _ in range(3):
        ran = drill.run(*command(drill))
        assert ran.code in (0, 65), ran.err
        _check_nothing_nameless(drill)
    drill.rest("sync")


def _check_nothing_nameless(drill: Drill) -> None:
    left = [name for name in exported.names(drill) if not name.endswith(".csv")]
    assert left == [], f"{left} stay"


def _check_end(drill: Drill, closings: Sequence[Closing], *, may_be_held: bool = False) -> None:
    """Who may still be asked is in a file, and nobody waits for a person."""
    rows = drill.rows()
    held = {row.matter for row in rows if row.state == "held"}
    assert may_be_held or not held, f"{held} are held"
    sent = {row.matter for row in rows if row.state == "sent"}
    unchanged = {closing.matter for closing in closings[:-2]}
    assert unchanged <= sent | held, f"{unchanged - sent - held} were never written"


def _points(make_drill: MakeDrill, command: Command) -> list[str]:
    """Return the names of the points of an undisturbed run, which must be a long one."""
    with make_drill() as drill:
        _crowd(drill, command)
        names = drill.points(*command(drill))
    assert names.count("link: done") >= 2
    return names


def _is_unsettled(passed: Sequence[str]) -> bool:
    """Tell whether a file had its name by then, and nothing was committed since.

    Where a person removes it before the next run, nobody can know whether it ever was there.
    """
    last = [name for name in passed if name in ("link: done", "commit: done")][-1]
    return last == "link: done"


@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize("command", [_sync, _backfill])
def test_killed_at_every_point(make_drill: MakeDrill, command: Command, share: int) -> None:
    """The next run is cron's, or a person's who writes another file; a person removes the file of
    the killed one meanwhile, or does not."""
    names = _points(make_drill, command)
    for number in range(1 + share, len(names) + 1, SHARES):
        with told(f"killed at {number}, {names[number - 1]}"), make_drill() as drill:
            closings = _crowd(drill, command)
            drill.removes_files = number % 2 == 0
            assert drill.kill(number, *command(drill)), "it was not killed"
            drill.meanwhile(closings)
            if number % 3:
                assert drill.run("sync").code in (0, 65)
                _check_nothing_nameless(drill)
            _rest(drill, command)
            may_be_held = drill.removes_files and _is_unsettled(names[:number])
            _check_end(drill, closings, may_be_held=may_be_held)


@pytest.mark.parametrize("share", range(SHARES))
def test_killed_twice(make_drill: MakeDrill, share: int) -> None:
    """A sample of all pairs of points: the recovery is killed as well, whoever does it."""
    last = len(_points(make_drill, _sync))
    pairs = [(first, second) for first in range(1, last + 1) for second in range(1, 40)]
    sample = Random(20261126).sample(pairs, PAIRS)  # noqa: S311  (a sample, no secret)
    for first, second in sample[share::SHARES]:
        with told(f"killed at {first} and at {second}"), make_drill() as drill:
            closings = _crowd(drill, _sync)
            drill.removes_files = False
            assert drill.kill(first, *_sync(drill)), "it was not killed"
            drill.meanwhile(closings)
            drill.kill(second, *(["sync"] if first % 2 else _sync(drill)))
            drill.later(minutes=20)
            _rest(drill, _sync)
            _check_end(drill, closings)
