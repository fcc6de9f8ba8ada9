"""What `check` does: so far the pins, and `--accept`."""

import sys
import uuid
from collections.abc import Iterator
from typing import NoReturn

import click

from clio_broadly_sync import decide, pins
from clio_broadly_sync.cli import wiring, words
from clio_broadly_sync.cli.options import Options
from clio_broadly_sync.config import Config
from clio_broadly_sync.errors import SyncError
from clio_broadly_sync.model import Pins
from clio_broadly_sync.store import Store
from clio_broadly_sync.transport import Stop

PATIENCE_SECONDS = 60.0


def carry_out(options: Options, *, accept: bool) -> NoReturn:
    """Check, or with `accept` take changed pins over; exit with the code of what was found."""
    code = words.OK
    try:
        settings = wiring.load_settings(options)
        with wiring.opened(settings, writes=accept) as store:
            for line in _check(settings, store, accept):
                click.echo(line)
    except SyncError as error:
        code = wiring.fail(error)
    sys.exit(code)


def _check(settings: Config, store: Store, accept: bool) -> Iterator[str]:
    wanted, known = wiring.wanted(settings), store.pins()
    ends = wiring.Ends(settings, Stop(), lambda: PATIENCE_SECONDS)
    token, source = ends.tokens.access_token(), ends.source()
    if known is not None:
        pins.check_host(known, wanted)
    account = pins.read_account(source)
    pins.check_account(known, account)
    fields = pins.Fields(source, wanted)
    if known is None:
        fields.read(None)
        yield "ok: settings, sign-in and custom fields; nothing is pinned before the first sync."
    elif accept:
        found = pins.made_with(wanted, known, fields.read(None))
        facts = pins.seen(store.hash_of(token), account)
        if found.rule is not known.rule and store.start_day is not None:
            zone = settings.clio_time_zone or pins.zone_named(store.time_zone)
            zone = zone or pins.zone_of(account)
            facts["start_day"] = source.now().astimezone(zone).date().isoformat()
        if found.broadly_url != known.broadly_url:
            _hold_what_is_in_doubt(store)
        store.pin(pins.with_account(found, account), **facts)
        yield from _taken_over(known, found)
    else:
        pins.check_settings(known, wanted)
        fields.read(known.fields)
        yield "ok: settings, sign-in and custom fields are those of this state."


def _hold_what_is_in_doubt(store: Store) -> None:
    """Another receiver knows nothing of what the one before may have accepted."""
    at = wiring.now()
    store.begin_run("check", uuid.uuid4().hex, at)
    store.ledger.recover(lambda closing: decide.recovered(closing, dedupes=False), at)


def _taken_over(before: Pins, now: Pins) -> Iterator[str]:
    if before.broadly_url != now.broadly_url:
        yield "Taken over: the new BROADLY_URL."
    if before.rule is not now.rule:
        yield f"Taken over: SYNC_RULE {now.rule}; what closed before today is left to `backfill`."
    if before.fields != now.fields:
        yield "Taken over: the custom fields as they now are in Clio."
    if (before.broadly_url, before.rule, before.fields) == (now.broadly_url, now.rule, now.fields):
        yield "Nothing has changed: there was nothing to take over."
