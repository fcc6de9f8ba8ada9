"""`logout`: withdraw the sign-in at Clio, and forget its tokens."""

import click

from clio_broadly_sync.cli.options import Options, common


@click.command()
@common
def logout(options: Options) -> None:
    """Sign out of Clio and erase the tokens here, also when Clio does not answer.

    Example: clio-broadly-sync logout
    """
    from clio_broadly_sync.cli.login import log_out

    log_out(options)
