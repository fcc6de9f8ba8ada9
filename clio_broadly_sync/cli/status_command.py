"""`status`: how far it has come, what waits, and what needs a person."""

import click

from clio_broadly_sync.cli.options import Options, common


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@common
def status(options: Options, as_json: bool) -> None:
    """Say how far it has come, what waits and why, and what needs a person.

    Asks neither Clio nor Broadly, and changes nothing. Ends with 65 while something waits for a
    person, else with 0.

    Example: clio-broadly-sync status
    """
    from clio_broadly_sync.cli.status_work import carry_out

    carry_out(options, as_json=as_json)
