"""The benchmark: this program beside others, at the same job, on the same fake Clio and Broadly.

    python -m tests.benchmark --peers --json figures.json

The contestants take turns, so that whatever else the machine does falls on all of them. A figure is
the median of the turns, and a ratio is the figure divided by the plain loop's. `µs each` is what a
closing adds to an idle run, on the clock and in CPU. `servers` is the CPU time that the two fakes
used, as a part of the seconds.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from tests.benchmark.contestants import DRY_RUN, MOST, Contestant, Loop, Program
from tests.benchmark.measuring import Cost, Ends, medians, serving
from tests.benchmark.peers import CACHE, peers


class Measured(NamedTuple):
    """What was measured of one contestant."""

    contestant: Contestant
    turns: list[Cost]
    """What each turn cost."""
    idle: list[Cost]
    """What the run after each turn cost, before which nothing more was closed."""


def main() -> None:
    asked = _asked()
    contestants: list[Contestant] = [Loop(), Program(), DRY_RUN]
    if asked.ledger:
        contestants.append(Program("with full ledger", settled=asked.ledger))
    if asked.peers:
        contestants += peers(asked.peers)
    figures: dict[int, list[Measured]] = {}
    print(_machine())
    print(_HEAD)
    with serving() as ends:
        for closings in sorted({0, *asked.closings}):
            figures[closings] = _measured(contestants, closings, asked.turns, ends)
            for line in _table(closings, figures[closings], figures[0]):
                print(line, flush=True)
    if asked.json:
        asked.json.write_text(json.dumps(_object(figures), indent=1) + "\n")


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmark", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "--closings",
        type=int,
        nargs="+",
        default=[1_000, 10_000],
        metavar="N",
        help=f"how many matters are newly closed, at most {MOST} (1000 10000); an idle run is "
        "always measured, too",
    )
    parser.add_argument(
        "--ledger",
        type=int,
        default=0,
        metavar="N",
        help="this program, too, with so many closings settled already",
    )
    parser.add_argument("--turns", type=int, default=5, metavar="N", help="of each contestant (5)")
    parser.add_argument(
        "--peers",
        type=Path,
        nargs="?",
        const=CACHE,
        metavar="FOLDER",
        help=f"dlt and singer-sdk, too; they are installed in this folder once ({CACHE})",
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write every figure of every turn to this file"
    )
    return parser.parse_args()


def _measured(
    contestants: Sequence[Contestant], closings: int, turns: int, ends: Ends
) -> list[Measured]:
    measured = [Measured(contestant, [], []) for contestant in contestants]
    for _ in range(turns):
        for one in measured:
            with tempfile.TemporaryDirectory() as folder:
                _turn(one, closings, Path(folder), ends)
    _same_job(measured)
    return measured


def _turn(one: Measured, closings: int, folder: Path, ends: Ends) -> None:
    ends.close(0)
    one.contestant.prepare(folder, ends)
    ends.close(closings)
    one.turns.append(one.contestant.run(folder, ends))
    if closings and one.contestant.hands_over:
        ends.close(0)
        one.idle.append(one.contestant.run(folder, ends))


def _same_job(measured: Sequence[Measured]) -> None:
    """Stop unless all contestants that send have sent the same number of clients each time."""
    handed_over = {
        one.contestant.name: {cost.items for cost in one.turns}
        for one in measured
        if one.contestant.hands_over
    }
    if len(set().union(*handed_over.values())) > 1:
        raise SystemExit(f"They did not do the same job; handed over: {handed_over}")


_HEAD = (
    f"{'closings':>9}  {'':<17} {'seconds':>8} {'(spread)':>17} {'ratio':>6} {'µs each':>7}"
    f" {'CPU':>7} {'ratio':>6} {'µs each':>7} {'MiB':>6} {'servers':>7} {'Clio':>6} {'Broadly':>7}"
    f" {'handed over':>11}"
)


def _table(
    closings: int, measured: Sequence[Measured], nothing_closed: Sequence[Measured]
) -> Iterator[str]:
    """Yield a line for each contestant, and one for the idle runs after its turns, if any."""
    loop = measured[0]
    for one, idle in zip(measured, nothing_closed, strict=True):
        each = _each(closings, medians(one.turns), medians(idle.turns))
        yield f"{closings:>9,}  {_line(one.contestant.name, one.turns, loop.turns, each)}"
        if one.idle:
            yield f"{'':>9}  {_line('  idle after it', one.idle, loop.idle)}"


def _each(closings: int, cost: Cost, idle: Cost) -> tuple[str, str]:
    """Return how many microseconds a closing adds to an idle run, on the clock and in CPU."""
    if not closings:
        return "", ""
    wall, cpu = cost.wall - idle.wall, cost.cpu - idle.cpu
    return f"{wall / closings * 1e6:,.0f}", f"{cpu / closings * 1e6:,.0f}"


def _line(
    name: str, costs: Sequence[Cost], loops: Sequence[Cost], each: tuple[str, str] = ("", "")
) -> str:
    cost, loop, walls = medians(costs), medians(loops), sorted(one.wall for one in costs)
    return (
        f"{name:<17} {cost.wall:>8.2f} {f'({walls[0]:.2f}–{walls[-1]:.2f})':>17}"
        f" {cost.wall / loop.wall:>6.2f} {each[0]:>7} {cost.cpu:>7.2f}"
        f" {cost.cpu / loop.cpu:>6.2f} {each[1]:>7} {cost.mib:>6.1f}"
        f" {cost.servers / cost.wall:>7.0%} {cost.clio:>6,.0f} {cost.broadly:>7,.0f}"
        f" {cost.items:>11,.0f}"
    )


def _machine() -> str:
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, "
        f"{os.cpu_count()} processors ({platform.machine()}), load {os.getloadavg()[0]:.1f}"
    )


def _object(figures: dict[int, list[Measured]]) -> dict[str, object]:
    return {
        "machine": _machine(),
        "arguments": sys.argv[1:],
        "figures": [
            {
                "closings": closings,
                "contestant": one.contestant.name,
                "turns": [cost._asdict() for cost in one.turns],
                "idle_after": [cost._asdict() for cost in one.idle],
            }
            for closings, measured in figures.items()
            for one in measured
        ],
    }


if __name__ == "__main__":
    main()
