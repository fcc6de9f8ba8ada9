"""`fleet`: many firms in one database; its tables, its keys, its workers.

What these commands need of libraries is loaded only when one of them is called.
"""

import sys
from contextlib import closing

import click

from clio_broadly_sync.cli import app
from clio_broadly_sync.cli.options import Options, common, json_option
from clio_broadly_sync.cli.output import count, say


@click.group()
def fleet() -> None:
    """Run many firms from one PostgreSQL database (FLEET_DATABASE).

    How to set that up: docs/fleet.md.

    Example: clio-broadly-sync fleet status
    """


@fleet.command()
def key() -> None:
    """Print a new key for FLEET_KEYS, which seals what is secret.

    Example: clio-broadly-sync fleet key
    """
    from clio_broadly_sync.store.seal import new_key

    click.echo(new_key())


@fleet.command()
@common
def init(options: Options) -> None:
    """Make the tables and the roles in the database; again after an upgrade.

    Example: clio-broadly-sync fleet init
    """
    from clio_broadly_sync.cli.one_firm import fleet_of
    from clio_broadly_sync.fleet import engine
    from clio_broadly_sync.store import postgresql_schema
    from clio_broadly_sync.store.due import make_queue
    from clio_broadly_sync.store.firms import check_durable

    call = app.Call()
    with call.until_error(), closing(fleet_of(options).connect(role=None)) as session:
        check_durable(session)
        postgresql_schema.make(session)
        make_queue(session, engine.VERSION, engine.schema())
        say("The database is ready. Add a firm with `clio-broadly-sync firms add`.")
    sys.exit(call.code)


@fleet.command()
@common
def rekey(options: Options) -> None:
    """Seal everything anew with the first of FLEET_KEYS; the others may then be taken out.

    Example: clio-broadly-sync fleet rekey
    """
    from clio_broadly_sync.cli.one_firm import fleet_of
    from clio_broadly_sync.store.firms import Firms

    call = app.Call()
    with call.until_error():
        known = fleet_of(options)
        with closing(known.connect()) as session:
            renewed = Firms(session).rekey(known.seal.renewed)
        say(f"Sealed anew: {count(renewed, 'firm')}.")
    sys.exit(call.code)


@fleet.command()
@click.option(
    "--slots",
    type=click.IntRange(1, 256),
    metavar="N",
    help="Run so many firms at a time; else FLEET_SLOTS.",
)
@common
def worker(options: Options, slots: int | None) -> None:
    """Run the firms that are due, until SIGTERM or Ctrl-C; any number of workers share them.

    Example: clio-broadly-sync fleet worker --slots 16
    """
    from clio_broadly_sync.cli.one_firm import fleet_of
    from clio_broadly_sync.cli.worker import Worker

    call = app.Call()
    with call.until_error():
        known = fleet_of(options)
        call.code = Worker(known, slots or known.settings.fleet_slots).work(call.stop)
    sys.exit(call.code)


@fleet.command()
@json_option
@common
def status(options: Options, as_json: bool) -> None:
    """Say whether all firms are served, which of them fail, and where something waits.

    Asks nobody, and changes nothing. Ends with 69 where a firm has had no good run for
    FLEET_SILENT_HOURS, with 65 where one needs a person, else with 0.

    Example: clio-broadly-sync fleet status
    """
    from clio_broadly_sync.cli import fleet_status

    fleet_status.show(options, as_json=as_json)
