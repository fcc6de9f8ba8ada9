"""`firms`: add, list, change, pause and remove the firms of a fleet.

What these commands need of libraries is loaded only when one of them is called.
"""

import sys
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import click

from clio_broadly_sync.cli import app, output
from clio_broadly_sync.cli.options import Options, common, json_option, with_options
from clio_broadly_sync.cli.output import PROGRAM, count, length, say

if TYPE_CHECKING:
    from clio_broadly_sync.cli.firms.own_settings import Own
    from clio_broadly_sync.cli.one_firm import Fleet
    from clio_broadly_sync.store.firms import Firm, Firms

_A_WEEK: Final = 7 * 24 * 60
_file_option = click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path, readable=False, allow_dash=True),
    metavar="FILE",
    help="The firm's own settings file; - is standard input.",
)
_every_option = click.option(
    "--every", type=click.IntRange(1, _A_WEEK), metavar="MINUTES", help="How often it is run."
)
_names_argument = click.argument("names", nargs=-1, metavar="[NAME]...")
_yes_option = click.option("--yes", is_flag=True, help="Do it; do not ask.")


@click.group()
def firms() -> None:
    """Add, list, change or remove the firms of a fleet.

    Example: clio-broadly-sync firms list
    """


@firms.command()
@click.argument("name", required=False)
@_file_option
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Add a firm for each file NAME.env in it, with the ledger NAME.db beside it.",
)
@click.option(
    "--state",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A ledger in a file, which is brought along.",
)
@_every_option
@with_options
def add(
    options: Options,
    name: str | None,
    file: Path | None,
    folder: Path | None,
    state: Path | None,
    every: int | None,
) -> None:
    """Add a firm by its settings file, or many at once.

    Only the file is read, and not the environment; what it does not set is as in the fleet's
    settings. What is secret is sealed. It is run every 15 minutes, unless --every says otherwise. A
    firm that was removed is taken up again, with its ledger.

    Example: clio-broadly-sync firms add acme --config acme.env
    """
    from clio_broadly_sync.cli.firms import adding, own_settings

    period = timedelta(minutes=15 if every is None else every)
    if folder is not None and (name, file, state) == (None, None, None):
        _carry_out(options, partial(adding.add_all, folder=folder, period=period))
    if name is None or file is None or folder is not None:
        raise click.UsageError("Name the firm and its file: NAME --config FILE; or --folder DIR.")
    own_settings.check_file(file, options)
    one = partial(adding.add_one, name=name, file=file, state=state, period=period)
    _carry_out(options, one)


@firms.command("list")
@json_option
@common
def list_(options: Options, as_json: bool) -> None:
    """Show the firms, when each is due, and how its last run ended.

    Example: clio-broadly-sync firms list
    """
    from clio_broadly_sync.cli.firms import listing

    find = partial(listing.find, options)
    app.carry_out(find, str, listing.object_of, as_json=as_json)


@firms.command()
@click.argument("name")
@json_option
@common
def show(options: Options, name: str, as_json: bool) -> None:
    """Show the settings of one firm, and how it stands.

    Of a secret it is said that it is set, and no more.

    Example: clio-broadly-sync firms show acme
    """
    from clio_broadly_sync.cli.firms import listing

    find = partial(listing.find_one, options, name)
    app.carry_out(find, listing.text_of, listing.object_of_one, as_json=as_json)


@firms.command("set")
@click.argument("name")
@click.argument("settings", nargs=-1, metavar="[SETTING=VALUE]...")
@_file_option
@_every_option
@with_options
def set_(
    options: Options,
    name: str,
    settings: tuple[str, ...],
    file: Path | None,
    every: int | None,
) -> None:
    """Change settings of a firm; what is not named stays. It is due at once.

    An empty value takes a setting back. A secret comes by a file or by standard input, because
    others may read arguments.

    Example: clio-broadly-sync firms set acme SYNC_MAX_NEW=20
    """
    from clio_broadly_sync.cli.firms import own_settings

    given = own_settings.assigned(settings)
    if not given and file is None and every is None:
        raise click.UsageError("Nothing to change: name SETTING=VALUE, --config FILE, or --every.")
    if file is not None:
        own_settings.check_file(file, options)
    period = None if every is None else timedelta(minutes=every)
    _carry_out(options, partial(_set, name=name, given=given, file=file, period=period))


def _set(
    known: "Fleet",
    call: app.Call,
    *,
    name: str,
    given: dict[str, str],
    file: Path | None,
    period: timedelta | None,
) -> None:
    from clio_broadly_sync.cli.firms import own_settings
    from clio_broadly_sync.settings.fleet import of_a_firm

    texts, problems = dict[str, str](), list[str]()
    if file is not None:
        read = own_settings.read(file, call.stop)
        texts, problems = of_a_firm(read)
        if "sync_state" in read.texts:
            say(own_settings.NO_STATE)
    before, after = own_settings.change(known, name, {**texts, **given}, problems, period)
    say(f"{name}: {_changed(before, after, period)}.")


def _changed(before: "Own", after: "Own", period: timedelta | None) -> str:
    """Return in words what was changed; no value, for one may be secret."""
    old, new = before.texts, after.texts
    differ = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    kept = [name.upper() for name in differ if name in new]
    back = [name.upper() for name in differ if name not in new]
    said = [f"set {', '.join(kept)}"] if kept else []
    said += [f"taken back {', '.join(back)}"] if back else []
    said += [f"run every {length(period)}"] if period else []
    return "; ".join(said) or "nothing has changed"


@firms.command()
@_names_argument
@click.option("--all", "everything", is_flag=True, help="Every firm.")
@common
def pause(options: Options, names: tuple[str, ...], everything: bool) -> None:
    """Let no more runs of these firms begin.

    One that is at work comes to its end. All that only looks goes on, and so do login and outbox.

    Example: clio-broadly-sync firms pause acme
    """
    _check_named(names, everything)
    _carry_out(options, partial(_pause, names=names))


def _pause(known: "Fleet", call: app.Call, *, names: Sequence[str]) -> None:
    from clio_broadly_sync.store.firms import ACTIVE, Firms

    with closing(known.connect()) as session:
        table = Firms(session)
        paused = table.pause(_numbers(table, names, ACTIVE))
    say(f"Paused: {count(paused, 'firm')}. To go on: `{PROGRAM} firms resume`.")


@firms.command()
@_names_argument
@click.option("--all", "everything", is_flag=True, help="Every firm that is paused.")
@_yes_option
@common
def resume(options: Options, names: tuple[str, ...], everything: bool, yes: bool) -> None:
    """Let runs of these firms begin again; they are due at once.

    Example: clio-broadly-sync firms resume acme
    """
    _check_named(names, everything)
    asks = everything and not yes
    _check_can_ask(asks=asks)
    _carry_out(options, partial(_resume, names=names, asks=asks))


def _resume(known: "Fleet", call: app.Call, *, names: Sequence[str], asks: bool) -> None:
    from clio_broadly_sync.store.firms import PAUSED, Firms

    with closing(known.connect()) as session:
        table = Firms(session)
        table.check_mark()  # else the first worker to find a restore would pause them again
        numbers = _numbers(table, names, PAUSED)
    if (
        asks
        and numbers
        and not _agreed(call, _RESUME_ALL.format(firms=count(len(numbers), "firm")))
    ):
        return
    with closing(known.connect()) as session:  # a session does not wait for an answer
        resumed = Firms(session).resume(numbers)
    say(f"Due at once: {count(resumed, 'firm')}.")


_RESUME_ALL: Final = (
    "Resume {firms}? If they were paused because the database was restored: whoever was sent since "
    "that copy was made may be asked again."
)


@firms.command()
@click.argument("name")
@click.option("--erase", is_flag=True, help="Erase its ledger as well, for good.")
@_yes_option
@common
def remove(options: Options, name: str, erase: bool, yes: bool) -> None:
    """Remove a firm; its ledger is kept, unless you say otherwise.

    Its sign-in is withdrawn at Clio, and its settings are erased. With its ledger, nobody is asked
    twice if the firm is added again.

    Example: clio-broadly-sync firms remove acme
    """
    from clio_broadly_sync.cli.firms import removing

    _check_can_ask(asks=not yes)
    question = removing.question(name, erase=erase)

    def agrees(call: app.Call) -> bool:
        return yes or _agreed(call, question)

    _carry_out(options, partial(removing.remove, name=name, erase=erase, agrees=agrees))


def _carry_out(options: Options, work: Callable[["Fleet", app.Call], None]) -> NoReturn:
    """Do the work on the fleet that is set, and exit with the code of what happened."""
    from clio_broadly_sync.cli.one_firm import fleet_of

    call = app.Call()
    with call.until_error():
        work(fleet_of(options), call)
    sys.exit(call.code)


def _numbers(table: "Firms", names: Sequence[str], state: str) -> list[int]:
    """Return the numbers of these firms; without names, of all that are in this state."""
    from clio_broadly_sync.cli.one_firm import firm_named

    if names:
        found: list[Firm] = [firm_named(table, name) for name in names]
        return [firm.number for firm in found]
    return [firm.number for firm in table.all() if firm.state == state]


def _check_named(names: Sequence[str], everything: bool) -> None:
    if bool(names) == everything:
        raise click.UsageError("Name the firms, or --all alone.")


def _check_can_ask(*, asks: bool) -> None:
    if asks and not app.can_ask():
        raise click.UsageError("There is no terminal to ask on: add --yes.")


def _agreed(call: app.Call, question: str) -> bool:
    """Ask a person; no answer is a no."""
    with suppress(click.Abort), output.patience(call.stop):
        if output.agreed(question):
            return True
    say("Nothing was changed.", err=True)
    return False
