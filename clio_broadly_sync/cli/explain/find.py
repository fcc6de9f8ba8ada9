"""`explain --find`: which contacts in Clio have a name, and what are the ids of their matters.

The name is typed at a question, because a shell keeps the words of a command in its history; and it
is shown on a terminal only.
"""

import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import click

from clio_broadly_sync.cli import app, names, output
from clio_broadly_sync.cli.options import Options
from clio_broadly_sync.cli.output import PROGRAM, folded
from clio_broadly_sync.clio.records import Numbered
from clio_broadly_sync.domain.errors import shown

MOST: Final = 20
"""At most so many contacts are listed."""
LONGEST_NAME: Final = 100
"""No longer name is looked for."""
_NOBODY: Final = (
    "Clio finds no contact of this name. It finds a new one only some seconds after it was made."
)
_TOO_MANY: Final = f"These are the first {MOST}; there are more: give more of the name."


def check_usage(*, alone: bool) -> None:
    """Raise UsageError where `--find` is not alone, or has no terminal to ask and show on."""
    if not alone:
        raise click.UsageError(
            "--find stands alone: it asks for the name, and shows names on the terminal only."
        )
    if not (app.can_ask() and sys.stdout.isatty()):
        raise click.UsageError("There is no terminal to ask for the name on, and to show it.")


def find(options: Options, call: app.Call) -> Iterator[str]:
    """Ask for a name; yield a line for each contact that Clio finds by it, and for its matters."""
    settings = app.settings_of(options)
    name = _asked(call)
    if not name:
        yield "No name was given."
        return
    with app.opened(settings, writes=False) as store:
        clio = names.clio_of(settings, store, call.stop)
        found = clio.find_contacts(name, MOST + 1)
        for id_, called in list(found.items())[:MOST]:
            yield folded(f"{shown(called or 'No name')}: contact {id_}")
            matters = clio.matters_of(id_)
            yield from (folded(f"    {_matter(one)}") for one in matters)
            if not matters:
                yield "    no matter"
        if not found:
            yield folded(_NOBODY)
            return
        if len(found) > MOST:
            yield folded(_TOO_MANY)
        yield folded(f"Why was one asked, or not: `{PROGRAM} explain ID`, with a matter's number.")


def _asked(call: app.Call) -> str:
    """Return the name that a person types, or an empty text where nobody does.

    Raise StoppedError at a signal, and UsageError where Clio cannot be asked for such a name.
    """
    name = ""
    with suppress(click.Abort), output.patience(call.stop):
        name = str(click.prompt("Name of the client, or a part of it", err=True)).strip()
    if not name.isprintable() or len(name) > LONGEST_NAME:
        raise click.UsageError("That is no name that Clio could be asked for.")
    return name


def _matter(one: Numbered) -> str:
    matter = one.matter
    closed = f"closed on {output.day(matter.closed_on)}" if matter.closed_on else "closed"
    number = f" ({shown(one.number)})" if one.number else ""
    return f"matter {matter.id}{number}, {closed if matter.closed else 'not closed'}"
