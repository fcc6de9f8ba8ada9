"""Past runs, and closings counted in groups, as objects of `--json`."""

from collections.abc import Iterable
from typing import Any

from clio_broadly_sync.domain.errors import outcome_of
from clio_broadly_sync.store.overview import Group, PastRun


def run_object(run: PastRun) -> dict[str, Any]:
    ended = run.finished_at
    return {
        "run": run.run,
        "command": run.command,
        "started_at": run.started_at,
        "finished_at": ended,
        "seconds": ended and ended - run.started_at,
        "exit_code": run.exit_code,
        "outcome": None if run.exit_code is None else outcome_of(run.exit_code),
        "failure": run.failure,
    }


def objects_of(groups: Iterable[Group]) -> list[dict[str, Any]]:
    return [group._asdict() for group in groups]
