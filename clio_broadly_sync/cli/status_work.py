"""What `status` does: counts, tells, and says by its code whether a person is needed."""

import json
import sys
from typing import NoReturn

import click

from clio_broadly_sync.cli import app, status
from clio_broadly_sync.cli import report_words as words
from clio_broadly_sync.cli import status_standing as standing
from clio_broadly_sync.cli.options import Options
from clio_broadly_sync.cli.terminal import say
from clio_broadly_sync.domain.errors import SyncError


def carry_out(options: Options, *, as_json: bool) -> NoReturn:
    """Count and tell; exit with 65 where something waits for a person."""
    found = None
    try:
        settings = app.load_settings(options)
        with app.opened(settings, writes=False) as store:
            found = standing.read(settings, store, app.now())
        code = words.ATTENTION if found.for_a_person else words.OK
    except SyncError as error:
        code = app.fail(error)
    if as_json:
        click.echo(json.dumps(status.as_object(found, words.outcome(code))))
    elif found is not None:
        for line in status.lines(found):
            say(line)
    sys.exit(code)
