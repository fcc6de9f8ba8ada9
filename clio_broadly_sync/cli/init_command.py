"""`init`: a settings file after a few questions."""

import click

from clio_broadly_sync.cli.options import Options, common


@click.command()
@common
def init(options: Options) -> None:
    """Write a settings file after a few questions; every other setting is explained in it.

    A file that is there already is never changed. What the environment sets is not asked.

    Example: clio-broadly-sync init
    """
    from clio_broadly_sync.cli.init import carry_out

    carry_out(options)
