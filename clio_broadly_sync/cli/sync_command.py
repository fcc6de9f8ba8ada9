"""`sync`: what cron runs."""

import click

from clio_broadly_sync.cli.options import Options, for_a_run


@click.command()
@for_a_run
def sync(options: Options, dry_run: bool, as_json: bool, limit: int | None, yes: bool) -> None:
    """Hand over the clients of matters closed since the last run.

    The first run hands over nobody: it notes where to start. Run it every 15 minutes (cron/).

    Example: clio-broadly-sync sync --dry-run
    """
    from clio_broadly_sync import pipeline
    from clio_broadly_sync.cli.run import Run
    from clio_broadly_sync.domain.model import Command

    run = Run(Command.SYNC, options, dry_run=dry_run, as_json=as_json, limit=limit)
    run.carry_out(lambda context: pipeline.sync(context, approve=yes))
