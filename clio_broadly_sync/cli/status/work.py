"""What `status` does: counts, tells, and says by its code whether a person is needed."""

import json
import sys
from typing import NoReturn

import click

from clio_broadly_sync.cli import wiring, words
from clio_broadly_sync.cli.options import Options
from clio_broadly_sync.cli.status import standing, standing_words
from clio_broadly_sync.cli.terminal import say
from clio_broadly_sync.errors import SyncError


def carry_out(options: Options, *, as_json: bool) -> NoReturn:
    """Count and tell; exit with 65 where something waits for a person."""
    found = None
    try:
        settings = wiring.load_settings(options)
        with wiring.opened(settings, writes=False) as store:
            found = standing.read(settings, store, wiring.now())
        code = words.ATTENTION if found.for_a_person else words.OK
    except SyncError as error:
        code = wiring.fail(error)
    if as_json:
        click.echo(json.dumps(standing_words.as_object(found, words.outcome(code))))
    elif found is not None:
        for line in standing_words.lines(found):
            say(line)
    sys.exit(code)
