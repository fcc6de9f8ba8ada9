"""`sync` and `backfill`; what the two have in common is in `cli/run.py`."""

import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

import click

from clio_broadly_sync import pipeline
from clio_broadly_sync.cli import app, exports
from clio_broadly_sync.cli.options import DAY, ClioId, Options, for_a_run
from clio_broadly_sync.cli.output import say
from clio_broadly_sync.cli.run import Run
from clio_broadly_sync.domain.model import Command
from clio_broadly_sync.pipeline.context import Lot


@click.command()
@click.option(
    "--matter",
    "matter_id",
    type=ClioId("matter"),
    metavar="ID",
    help="Decide on this one matter anew and send it, however long ago it closed.",
)
@for_a_run
def sync(
    options: Options,
    matter_id: int | None,
    dry_run: bool,
    as_json: bool,
    limit: int | None,
    yes: bool,
    csv: Path | None,
    names: bool,
) -> None:
    """Send the clients of matters closed since the last run to Broadly.

    The first run sends nobody: it notes where to start. Run it every 15 minutes (schedule).

    Example: clio-broadly-sync sync --dry-run
    """
    _check_names(names, csv, dry_run=dry_run, as_json=as_json)
    if matter_id is not None:
        _sync_matter(
            matter_id, options, dry_run=dry_run, as_json=as_json, limit=limit, yes=yes, csv=csv,
            names=names,
        )  # fmt: skip
    run = Run(
        Command.SYNC, options, dry_run=dry_run, as_json=as_json, limit=limit, file=csv, names=names
    )
    at_once = yes and app.has_terminal()
    run.carry_out(lambda context: pipeline.sync(context, approve=yes, at_once=at_once))


def _sync_matter(
    matter_id: int, options: Options, *, yes: bool, csv: Path | None, **given: Any
) -> NoReturn:
    """Send one closing on the terms of a backfill, whatever its date; asks on a terminal."""
    from clio_broadly_sync.cli.one_matter import MatterRun

    asks = not (yes or given["dry_run"])
    _check_asks(asks=asks)
    run = MatterRun(matter_id, Command.BACKFILL, options, file=csv, **given)
    run.carry_out(lambda context: pipeline.sync_matter(context, _confirm(run, asks=asks)))


@click.command()
@click.option(
    "--from",
    "first",
    type=DAY,
    required=True,
    metavar="DATE",
    help="The first close date, e.g. 2026-01-01.",
)
@click.option(
    "--to",
    "last",
    type=DAY,
    required=True,
    metavar="DATE",
    help="The last close date; it is included.",
)
@for_a_run
def backfill(
    options: Options,
    first: datetime,
    last: datetime,
    dry_run: bool,
    as_json: bool,
    limit: int | None,
    yes: bool,
    csv: Path | None,
    names: bool,
) -> None:
    """Send the clients of matters closed in a range of dates, both ends included.

    Says how many there are and asks before it sends anybody. The same range again does no harm:
    whoever was sent is not sent again.

    Example: clio-broadly-sync backfill --from 2026-01-01 --to 2026-03-31
    """
    asks = not (yes or dry_run)
    _check_names(names, csv, dry_run=dry_run, as_json=as_json)
    if first > last:
        raise click.UsageError("--from is later than --to: swap the two dates.")
    _check_asks(asks=asks)
    run = Run(
        Command.BACKFILL,
        options,
        dry_run=dry_run,
        as_json=as_json,
        limit=limit,
        file=csv,
        close_dates=(first.date(), last.date()),
        names=names,
    )
    run.carry_out(lambda context: pipeline.backfill(context, _confirm(run, asks=asks)))


def _confirm(run: Run, *, asks: bool) -> Callable[[Lot], bool]:
    """Return what asks whether the closings that were found may go; without `asks`, they may."""

    def confirm(lot: Lot) -> bool:
        if not asks or run.questions.may_they_go(lot, run.limit):
            return True
        say("Nobody was sent.", err=True)
        return False

    return confirm


def _check_names(names: bool, csv: Path | None, *, dry_run: bool, as_json: bool) -> None:
    """Raise UsageError where names cannot be shown, or need no option."""
    if not names:
        return
    if not dry_run:
        raise click.UsageError(
            "--names is for --dry-run: a run that sends shows names where it asks."
        )
    from clio_broadly_sync.cli.names import check_usage

    check_usage(as_json=as_json, err=exports.File(csv).is_stdout)


def _check_asks(*, asks: bool) -> None:
    if asks and (sys.stdin is None or not sys.stdin.isatty()):
        raise click.UsageError("There is no terminal to ask on: add --yes, or --dry-run to look.")
