"""`verify`: is the state sound, and did anything slip through?"""

import click

from clio_broadly_sync.cli.options import Options, common


@click.command()
@click.option(
    "--against-clio",
    "days",
    type=click.IntRange(1, 3650),
    metavar="DAYS",
    help="Read what closed in the last DAYS days from Clio once more; name what was never noticed.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@common
def verify(options: Options, days: int | None, as_json: bool) -> None:
    """Look whether the state is whole, private and free of contradictions. Nothing is changed.

    Ends with 74 where the state is damaged, and with 65 where a closing slipped through.

    Example: clio-broadly-sync verify --against-clio 14
    """
    from clio_broadly_sync.cli.verify import carry_out

    carry_out(options, days, as_json=as_json)
