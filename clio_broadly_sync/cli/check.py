"""`check`: are settings, custom fields and state in order; `--accept` takes changes over."""

import click

from clio_broadly_sync.cli.options import Options, common


@click.command()
@click.option(
    "--accept",
    is_flag=True,
    help="Take over a changed Broadly address, rule or custom field.",
)
@common
def check(options: Options, accept: bool) -> None:
    """Hold settings, sign-in and custom fields against what the state was made with.

    Example: clio-broadly-sync check
    """
    from clio_broadly_sync.cli.checking import carry_out

    carry_out(options, accept=accept)
