"""`check`: are settings, custom fields and state in order; `--accept` takes changes over."""

import click

from clio_broadly_sync.cli.options import Options, common


@click.command()
@click.option(
    "--accept",
    is_flag=True,
    help="Take over a changed Broadly address, rule or custom field.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@common
def check(options: Options, accept: bool, as_json: bool) -> None:
    """Look whether everything is in order, from the settings to cron; hand over nobody.

    Nothing is changed without --accept. The exit code is that of the worst that was found.

    Example: clio-broadly-sync check
    """
    from clio_broadly_sync.cli.check.command import carry_out

    carry_out(options, accept=accept, as_json=as_json)
