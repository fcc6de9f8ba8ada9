"""What `status` does: counts, tells, and says by its code whether a person is needed."""

import json
import sys
from typing import NoReturn

import click

from clio_broadly_sync.cli import app, status
from clio_broadly_sync.cli import status_standing as standing
from clio_broadly_sync.cli.options import Options
from clio_broadly_sync.cli.terminal import say
from clio_broadly_sync.domain.errors import ATTENTION, OK, SyncError, outcome_of


def carry_out(options: Options, *, as_json: bool) -> NoReturn:
    """Count and tell; exit with 65 where something waits for a person."""
    found = None
    try:
        settings = app.settings_of(options)
        with app.opened(settings, writes=False) as store:
            found = standing.read(settings, store, app.now())
        code = ATTENTION if found.for_a_person else OK
    except SyncError as error:
        code = app.fail(error)
    if as_json:
        click.echo(json.dumps(status.as_object(found, outcome_of(code))))
    elif found is not None:
        for line in status.lines(found):
            say(line)
    sys.exit(code)
