"""`fleet status`: whether all firms are served, which of them fail, and where something waits.

It reads the database alone, and asks nobody.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, NamedTuple

import click

from clio_broadly_sync.cli import app, output
from clio_broadly_sync.cli.one_firm import fleet_of
from clio_broadly_sync.cli.options import Options
from clio_broadly_sync.cli.output import PROGRAM, count, folded
from clio_broadly_sync.domain.errors import (
    ATTENTION,
    BUG,
    OK,
    UnavailableError,
    outcome_of,
    words_of,
)
from clio_broadly_sync.store.firms import ACTIVE, PAUSED, REMOVED
from clio_broadly_sync.store.fleet_overview import Behind, Failing, FleetOverview, Standing, Worker

NAMED: Final = 20
"""At most so many firms are named of each kind."""
_STATUS: Final = f"`{PROGRAM} status --firm NAME`"
_SHOW: Final = f"`{PROGRAM} firms show NAME`"
_PAUSE: Final = f"`{PROGRAM} firms pause NAME`"
_SERVER: Final = "the database's host"


class Found(NamedTuple):
    """How the firms stand, and after how many hours one is silent."""

    standing: Standing
    hours: int


def show(options: Options, *, as_json: bool) -> None:
    """Print how the firms stand, and exit."""
    app.carry_out(partial(_find, options), _text, _object, as_json=as_json)


def _find(options: Options, call: app.Call) -> Iterator[Found]:
    fleet = fleet_of(options)
    hours = fleet.settings.fleet_silent_hours
    with closing(fleet.connect()) as session:
        found = Found(FleetOverview(session).read(timedelta(hours=hours)), hours)
    call.code = exit_code(found.standing)
    yield found


def exit_code(standing: Standing) -> int:
    """Return 69 where a firm is silent, 65 where one needs somebody, else 0."""
    if standing.silent:
        return UnavailableError.exit_code
    return ATTENTION if _in_need(standing) or standing.paused_after_restore else OK


def _in_need(standing: Standing) -> set[str]:
    """Return the firms that need a person, by name."""
    failing = {firm.name for firm in standing.failing}
    return failing.union(standing.held, standing.rejected, standing.awaiting)


# What `--json` prints.


def _object(found: Iterator[Found], call: app.Call) -> Iterator[tuple[str, Any]]:
    every = [*found]
    yield "outcome", call.outcome
    for one in every:
        yield from _figures(one.standing).items()


def _figures(standing: Standing) -> dict[str, Any]:
    return {
        "firms": standing.firms,
        "failing": [
            {"firm": firm.name, "outcome": _outcome(firm.exit_code), "since": firm.since}
            for firm in standing.failing
        ],
        "late": [_behind(firm) for firm in standing.late],
        "silent": [_behind(firm) for firm in standing.silent],
        "held": standing.held,
        "rejected": standing.rejected,
        "awaiting": standing.awaiting,
        "paused_after_restore": {
            "firms": standing.paused_after_restore,
            "since": standing.restored_at,
        },
        "workers": [worker._asdict() for worker in standing.workers],
    }


def _behind(firm: Behind) -> dict[str, Any]:
    return {"firm": firm.name, "since": firm.since}


def _outcome(code: int) -> str:
    """Return the word of an exit code; that of a bug has none elsewhere, as it ends a command."""
    return "bug" if code == BUG else outcome_of(code)


# What a person reads: a verdict, then short tables.


def _text(found: Found) -> str:
    said = [*_verdict(found)]
    colour = _colour(found.standing)
    first = click.style(folded("\n".join(said)), fg=colour)
    return "\n".join([first, *map(folded, _lines(found.standing))])


def _colour(standing: Standing) -> str:
    if standing.silent or standing.paused_after_restore:
        return "red"
    return "yellow" if _in_need(standing) or standing.late else "green"


def _verdict(found: Found) -> Iterator[str]:
    """Yield what is not well, with what to do; one line where all is well."""
    active = found.standing.firms[ACTIVE]
    problems = [*_problems(found)]
    yield from problems
    if not problems and active:
        yield f"All well: {count(active, 'firm is', 'firms are')} served; none needs a person."
    elif not problems:
        yield f"No firm is active. Next: `{PROGRAM} firms add`."


def _problems(found: Found) -> Iterator[str]:
    standing = found.standing
    if paused := standing.paused_after_restore:
        are = count(paused, "firm is", "firms are")
        yield f"The database was restored, and {are} paused since: see → below."
    if silent := len(standing.silent):
        have = count(silent, "firm has", "firms have")
        yield f"{have} had no good run for {found.hours} hours or longer: see → below."
    if in_need := len(_in_need(standing)):
        yield f"{count(in_need, 'firm needs', 'firms need')} a person ({_why(standing)})."
    if late := len(standing.late):
        are = count(late, "firm is", "firms are")
        yield f"{are} late: see that enough workers are at work (`{PROGRAM} fleet worker`)."


def _why(standing: Standing) -> str:
    kinds: Mapping[str, Sequence[object] | Mapping[str, int]] = {
        "failing": standing.failing,
        "with held clients": standing.held,
        "with rejected ones": standing.rejected,
        "waiting for a yes": standing.awaiting,
    }
    return ", ".join(f"{len(firms)} {kind}" for kind, firms in kinds.items() if firms)


def _lines(standing: Standing) -> Iterator[str]:
    """Yield what follows the verdict: how many there are, and the firms by what is with them."""
    yield ""
    counted = ", ".join(f"{standing.firms[state]} {state}" for state in (ACTIVE, PAUSED, REMOVED))
    yield f"Firms  {counted}"
    yield from _workers(standing)
    yield from _restored(standing)
    silent = {firm.name: f"since {_ago(firm.since, standing.now)}" for firm in standing.silent}
    yield from _table("No good run", silent, f"why: {_SHOW}; until that is mended: {_PAUSE}")
    failing = {firm.name: _failing(firm, standing.now) for firm in standing.failing}
    yield from _table("Failing", failing, f"why: {_SHOW}")
    late = {firm.name: f"due since {_ago(firm.since, standing.now)}" for firm in standing.late}
    yield from _table("Late", late)
    yield from _table("Held: Broadly's answer was lost", standing.held, f"what to do: {_STATUS}")
    yield from _table("Rejected by Broadly", standing.rejected, f"what to do: {_STATUS}")
    look = f"look first, then `{PROGRAM} sync --firm NAME --yes`"
    yield from _table("Waiting for a yes", standing.awaiting, look)


def _table(title: str, rows: Mapping[str, object], to_do: str | None = None) -> Iterator[str]:
    """Yield the lines of some firms, and what to do; nothing where there is none."""
    if not rows:
        return
    yield from ("", title)
    shown = [*rows.items()][:NAMED]
    width = max(len(name) for name, _ in shown)
    for name, value in shown:
        yield f"  {output.table_line([(name, width), (value, 0)])}"
    if (more := len(rows) - len(shown)) > 0:
        yield f"  … and {more} more: --json"
    if to_do is not None:
        yield f"      → {to_do}"


def _workers(standing: Standing) -> Iterator[str]:
    workers = {worker.name: _worker(worker, standing.now) for worker in standing.workers}
    if workers:
        yield from _table("Workers", workers)
    elif standing.firms[ACTIVE]:
        yield f"No worker is at work: start one with `{PROGRAM} fleet worker`."


def _worker(worker: Worker, now: datetime) -> str:
    at_work = f"{count(worker.firms, 'firm')} at work"
    if not worker.connected:
        return f"{at_work}; gone, so they are run again after the lease"
    if worker.since is None:
        return at_work
    return f"{at_work}; on {worker.host or _SERVER}, since {_ago(worker.since, now)}"


def _restored(standing: Standing) -> Iterator[str]:
    if standing.restored_at is not None:
        since = _ago(standing.restored_at, standing.now)
        yield from ("", f"Paused since {since}, as the database was restored")
        yield "      → what was sent after the copy was made is forgotten: see docs/fleet.md"
        yield f"      → then: `{PROGRAM} firms resume --all`"


def _failing(firm: Failing, now: datetime) -> str:
    return f"{words_of(firm.exit_code)} ({firm.exit_code}), since {_ago(firm.since, now)}"


def _ago(at: datetime, now: datetime) -> str:
    return f"{output.moment(at, None)} ({output.length(now - at)} ago)"
