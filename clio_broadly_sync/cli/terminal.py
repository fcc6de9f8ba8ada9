"""Sentences for a person, on stdout or stderr."""

import sys

import click

from clio_broadly_sync.cli import folding


def say(line: str, *, err: bool = False) -> None:
    """Print a line, folded where a terminal is too narrow for it."""
    click.echo(folded(line, err=err), err=err)


def folded(line: str, *, err: bool = False) -> str:
    """Return a line as `say` prints it."""
    return folding.fold(line, folding.width(sys.stderr if err else sys.stdout))
