"""`firms add`: one firm by its settings file, or many by a folder of them."""

from collections.abc import Iterable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Final

import click

from clio_broadly_sync.cli import app, logs
from clio_broadly_sync.cli.firms.own_settings import NO_STATE, Order, add, read
from clio_broadly_sync.cli.one_firm import Fleet
from clio_broadly_sync.cli.output import PROGRAM, count, say
from clio_broadly_sync.domain.errors import (
    OK,
    WORST_FIRST,
    WRONG_USAGE,
    StoppedError,
    SyncError,
    shown,
    without_next_run,
)

_WORST_FIRST: Final = (*WORST_FIRST, WRONG_USAGE)
_LEFT_BEHIND: Final = (
    f"{NO_STATE} A ledger that has asked clients already must come along (--state FILE, or NAME.db "
    "in the folder), or they may be asked again."
)


def add_one(
    known: Fleet, call: app.Call, *, name: str, file: Path, state: Path | None, period: timedelta
) -> None:
    """Add a firm, and say what comes next."""
    order = Order(name, read(file, call.stop), state, period)
    with closing(known.connect()) as session:
        again = add(known, session, order)
    _say_what_is_left_behind([order])
    signs_in = "clio_access_token" not in order.given.texts
    following = f"`{PROGRAM} {'login' if signs_in else 'check'} --firm {name}`"
    say(f"{_done(name, again=again)} Next: {following}.")


def add_all(known: Fleet, call: app.Call, *, folder: Path, period: timedelta) -> None:
    """Add a firm for each file of the folder; what is wrong with some does not hinder the others.

    The call ends with the worst code. Raise UsageError where there is none.
    """
    names = sorted({file.stem for kind in ("env", "db") for file in folder.glob(f"*.{kind}")})
    if not names:
        raise click.UsageError(f"There is no file NAME.env in {str(folder)!r}.")
    added, codes = list[Order](), set[int]()
    with closing(known.connect()) as session:
        for name in names:
            call.stop.check()
            state = folder / f"{name}.db"
            try:
                given = read(folder / f"{name}.env", call.stop)
                order = Order(name, given, state if state.exists() else None, period)
                again = add(known, session, order)
            except StoppedError:
                raise
            except (SyncError, click.UsageError) as error:
                codes.add(_told(name, error))
            else:
                say(_done(name, again=again))
                added.append(order)
    _say_what_is_left_behind(added)
    say(f"Added {len(added)} of {count(len(names), 'firm')}.")
    call.code = min(codes, key=_WORST_FIRST.index, default=OK)


def _told(name: str, error: SyncError | click.UsageError) -> int:
    """Say what is wrong with a firm, a line for each problem; return the exit code."""
    is_usage = isinstance(error, click.UsageError)
    text = error.format_message() if isinstance(error, click.UsageError) else str(error)
    for line in text.splitlines():
        logs.error(f"{shown(name)}: {without_next_run(line)}")
    return WRONG_USAGE if is_usage else error.exit_code


def _done(name: str, *, again: bool) -> str:
    return f"Taken up again, with its ledger: {name}." if again else f"Added: {name}."


def _say_what_is_left_behind(added: Iterable[Order]) -> None:
    if any("sync_state" in order.given.texts and order.state is None for order in added):
        say(_LEFT_BEHIND)
