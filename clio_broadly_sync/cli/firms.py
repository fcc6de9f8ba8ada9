"""`firms`: the firms of a fleet."""

import click


@click.group()
def firms() -> None:
    """Add, list, change or remove the firms of a fleet.

    Example: clio-broadly-sync firms list
    """
