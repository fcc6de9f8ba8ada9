"""A question to a person who may have left: meanwhile it keeps the state from cron's runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import click

from clio_broadly_sync.domain.errors import StoppedError
from clio_broadly_sync.transport.signals import Stop, time_limit

PATIENCE_SECONDS: Final = 600.0


@contextmanager
def patience(stop: Stop) -> Iterator[None]:
    """Let a signal end the wait for an answer at once, and ten minutes without one as well: that
    is click.Abort, as the end of the input is."""
    try:
        with time_limit(PATIENCE_SECONDS), stop.at_once():
            yield
    except StoppedError:
        click.echo(err=True)  # the question's line is still open
        raise
    except TimeoutError:
        raise click.Abort from None
