"""`sync` and `backfill`; what the two have in common is in `cli/run.py`."""

import sys
from datetime import date, datetime
from pathlib import Path

import click

from clio_broadly_sync import pipeline
from clio_broadly_sync.cli import app, output
from clio_broadly_sync.cli.options import DAY, Options, for_a_run
from clio_broadly_sync.cli.output import say
from clio_broadly_sync.cli.run import Run
from clio_broadly_sync.domain.model import Command


@click.command()
@for_a_run
def sync(
    options: Options,
    dry_run: bool,
    as_json: bool,
    limit: int | None,
    yes: bool,
    csv: Path | None,
) -> None:
    """Send the clients of matters closed since the last run to Broadly.

    The first run sends nobody: it notes where to start. Run it every 15 minutes (schedule).

    Example: clio-broadly-sync sync --dry-run
    """
    run = Run(Command.SYNC, options, dry_run=dry_run, as_json=as_json, limit=limit, file=csv)
    at_once = yes and app.has_terminal()
    run.carry_out(lambda context: pipeline.sync(context, approve=yes, at_once=at_once))


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
) -> None:
    """Send the clients of matters closed in a range of dates, both ends included.

    Says how many there are and asks before it sends anybody. The same range again does no harm:
    whoever was sent is not sent again.

    Example: clio-broadly-sync backfill --from 2026-01-01 --to 2026-03-31
    """
    _check_dates(first.date(), last.date(), asks=not (yes or dry_run))

    run = Run(
        Command.BACKFILL,
        options,
        dry_run=dry_run,
        as_json=as_json,
        limit=limit,
        file=csv,
        close_dates=(first.date(), last.date()),
    )

    def confirm(closings: int) -> bool:
        who = output.count(closings, "client")
        question = f"Send {who} to Broadly now? (to look first: --dry-run)"
        if csv is not None:
            question = f"Write {who} into the file now? (to look first: --dry-run)"
        if yes or dry_run or run.ask(question):
            return True
        say("Nobody was sent.", err=True)
        return False

    run.carry_out(lambda context: pipeline.backfill(context, confirm))


def _check_dates(first: date, last: date, *, asks: bool) -> None:
    if first > last:
        raise click.UsageError("--from is later than --to: swap the two dates.")
    if asks and (sys.stdin is None or not sys.stdin.isatty()):
        raise click.UsageError("There is no terminal to ask on: add --yes, or --dry-run to look.")
