"""The benchmark: this program beside the plain loop, on the same fake Clio and Broadly.

    python -m tests.benchmark --json figures.json

The contestants take turns, so that what else the machine does falls on all of them; a figure is
the median of the turns, a ratio one to the plain loop's.
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

from tests.benchmark.contestants import Contestant, Loop, Program
from tests.benchmark.measuring import Cost, medians, serving

Costs = dict[str, list[Cost]]


def main() -> None:
    asked = _asked()
    contestants: list[Contestant] = [Loop(), Program(), Program("dry run", ("--dry-run",))]
    figures: dict[int, Costs] = {}
    print(_machine())
    print(_HEAD)
    for closings in asked.closings:
        figures[closings] = _measured(contestants, closings, asked.turns)
        for line in _table(closings, figures[closings]):
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
        default=[0, 1_000, 10_000],
        metavar="N",
        help="how many matters are newly closed; 0 is an idle run (0 1000 10000)",
    )
    parser.add_argument("--turns", type=int, default=5, metavar="N", help="of each contestant (5)")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write every figure of every turn to this file"
    )
    return parser.parse_args()


def _measured(contestants: Sequence[Contestant], closings: int, turns: int) -> Costs:
    costs: Costs = {contestant.name: [] for contestant in contestants}
    with serving(closings) as ends:
        for _ in range(turns):
            for contestant in contestants:
                with tempfile.TemporaryDirectory() as folder:
                    costs[contestant.name].append(contestant.run(Path(folder), ends))
    return costs


_HEAD = (
    f"{'closings':>9}  {'':<13}{'seconds':>8} {'(spread)':>15} {'ratio':>6} {'CPU':>7} {'ratio':>6}"
    f"{'MiB':>7}  {'servers':>7} {'Clio':>6} {'Broadly':>7} {'handed over':>12}"
)


def _table(closings: int, costs: Costs) -> Iterator[str]:
    """Yield a line for each contestant; `servers`: their CPU against the seconds on the clock."""
    loop = medians(costs[Loop().name])
    for name, several in costs.items():
        cost, walls = medians(several), sorted(one.wall for one in several)
        spread = f"({walls[0]:.2f}–{walls[-1]:.2f})"
        yield (
            f"{closings:>9,}  {name:<13}{cost.wall:>8.2f} {spread:>15}"
            f" {cost.wall / loop.wall:>6.2f} {cost.cpu:>7.2f} {cost.cpu / loop.cpu:>6.2f}"
            f"{cost.mib:>7.1f}  {cost.servers / cost.wall:>7.0%} {cost.clio:>6,.0f}"
            f" {cost.broadly:>7,.0f} {cost.items:>12,.0f}"
        )


def _machine() -> str:
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, "
        f"{os.cpu_count()} processors ({platform.machine()}), load {os.getloadavg()[0]:.1f}"
    )


def _object(figures: dict[int, Costs]) -> dict[str, object]:
    return {
        "machine": _machine(),
        "arguments": sys.argv[1:],
        "figures": [
            {"closings": closings, "contestant": name, "turns": [c._asdict() for c in several]}
            for closings, costs in figures.items()
            for name, several in costs.items()
        ],
    }


if __name__ == "__main__":
    main()
