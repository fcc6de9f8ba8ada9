"""`login`: sign in to Clio, in the browser or by a code that is pasted."""

import click

from clio_broadly_sync.cli.options import Options, common


@click.command()
@click.option(
    "--paste",
    is_flag=True,
    help="For a machine without a browser: use one anywhere, and paste what it ended on.",
)
@common
def login(options: Options, paste: bool) -> None:
    """Sign in to Clio in the browser; the tokens are kept in the state, and nowhere else.

    Example: clio-broadly-sync login
    """
    from clio_broadly_sync.cli.login import log_in

    log_in(options, paste=paste)
