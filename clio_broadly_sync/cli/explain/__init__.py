"""`explain`: why was this client handed over, or not?"""

import re
from typing import Final

import click

from clio_broadly_sync.cli.options import Options, common

LONGEST_NUMBER = 255
LARGEST_ID = 2**63 - 1
_IN_ADDRESS: Final = re.compile(r"/matters/(\d+)(?!\w)", re.ASCII)


@click.command()
@click.argument("matter", required=False, metavar="[ID]")
@click.option(
    "--contact",
    type=int,
    metavar="ID",
    help="All closings of this contact, instead of one matter.",
)
@click.option("--offline", is_flag=True, help="Ask the ledger only, not Clio.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, without names.")
@common
def explain(
    options: Options, matter: str | None, contact: int | None, offline: bool, as_json: bool
) -> None:
    """Say why the client of a matter was handed over, or not.

    ID is the matter's id (the number in its address in Clio), that address, or its display
    number. Says it in one sentence, and then how it came to that. Changes nothing.

    Example: clio-broadly-sync explain 1234567890
    """
    if (matter is None) == (contact is None):
        raise click.UsageError("Name one matter, or one contact with --contact.")
    if contact is not None and not 0 < contact <= LARGEST_ID:
        raise click.UsageError("--contact wants the contact's id, a number.")
    number = (matter or "").strip()
    if matter is not None and not _is_number(number):
        raise click.UsageError("ID is a matter's id or its display number, as Clio shows it.")
    if offline and contact is None and _id_in(number) is None:
        raise click.UsageError(
            "The ledger knows a matter by its id only: give that, or leave out --offline."
        )
    from clio_broadly_sync.cli.explain.command import Question, carry_out

    carry_out(options, Question(_id_in(number), number, contact, offline), as_json=as_json)


def _is_number(text: str) -> bool:
    return bool(text) and text.isprintable() and len(text) <= LONGEST_NUMBER


def _id_in(text: str) -> int | None:
    """Return the id that a text may be, or that stands in the pasted address of a matter; a
    display number may be all digits, too."""
    address = _IN_ADDRESS.search(text)
    text = address[1] if address else text
    is_id = text.isascii() and text.isdecimal() and len(text) < 20
    return int(text) if is_id and 0 < int(text) <= LARGEST_ID else None
