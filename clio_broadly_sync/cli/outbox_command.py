"""`outbox`: what waits, is held or was rejected, listed and put right by a person."""

import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from clio_broadly_sync.cli.options import Options, common
from clio_broadly_sync.domain.model import Command
from clio_broadly_sync.domain.reasons import FINAL, Reason, State

if TYPE_CHECKING:
    from clio_broadly_sync.store import Selection

STATES = {"waiting": State.PENDING, "held": State.HELD, "dead": State.DEAD}
REASONS = [reason.value for reason in Reason if reason not in FINAL]
LARGEST_ID = 2**63 - 1


class _Batch(click.ParamType[tuple[int, int]]):
    """A batch as this program names it."""

    name = "RUN.BATCH"

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"([0-9]{1,9})\.([0-9]{1,9})", value)
        if found is None:
            self.fail("a batch is named by its run and its number, e.g. 12.3.", param, context)
        return int(found[1]), int(found[2])


def choosing(command: Callable[..., None]) -> Callable[..., None]:
    """The ways to say which rows are meant; several of them together mean what fits all."""
    for option in (
        click.option(
            "--command",
            type=click.Choice([one.value for one in Command]),
            help="What belongs to this command.",
        ),
        click.option(
            "--batch", type=_Batch(), metavar="RUN.BATCH", help="Last handed over in this batch."
        ),
        click.option(
            "--reason",
            type=click.Choice(REASONS),
            metavar="REASON",
            help="With this reason, e.g. surge.",
        ),
        click.option("--state", type=click.Choice(list(STATES)), help="In this state."),
        click.argument(
            "matters", nargs=-1, type=click.IntRange(1, LARGEST_ID), metavar="[MATTER]..."
        ),
    ):
        command = option(command)
    return command


def changing(command: Callable[..., None]) -> Callable[..., None]:
    """The options of `resend` and `drop`."""
    everything = click.option("--all", "everything", is_flag=True, help="Everything there is.")
    yes = click.option("--yes", is_flag=True, help="Do it; do not ask.")
    return choosing(everything(yes(json_option(common(command)))))


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group()
def outbox() -> None:
    """List, resend or drop what waits, is held, or was rejected.

    waiting: goes by itself, or once a person says yes (surge). held: may already have been asked,
    so it does not go by itself. dead: Broadly rejected it, or put it off ten times.

    Example: clio-broadly-sync outbox list
    """


@outbox.command("list")
@choosing
@json_option
@common
def list_(options: Options, as_json: bool, **chosen: Any) -> None:
    """Show what is in the outbox, and why. Nothing is changed.

    Example: clio-broadly-sync outbox list --state held
    """
    from clio_broadly_sync.cli.outbox_listing import carry_out

    carry_out(options, _selection(**chosen), as_json=as_json)


@outbox.command()
@changing
def resend(options: Options, as_json: bool, yes: bool, everything: bool, **chosen: Any) -> None:
    """Send held and dead ones again, by the next `sync`.

    Each is read in Clio again and decided again before it goes: an opt-out still wins. A held one
    may already have been asked, and Broadly may ask that client twice.

    Example: clio-broadly-sync outbox resend 1234567
    """
    _check(chosen, everything=everything, asks=not yes)
    from clio_broadly_sync.cli.outbox import RESEND, carry_out

    carry_out(options, RESEND, _selection(**chosen), as_json=as_json, asks=not yes)


@outbox.command(short_help="Let them go for good.")
@changing
def drop(options: Options, as_json: bool, yes: bool, everything: bool, **chosen: Any) -> None:
    """Drop for good: these clients are not asked for these closings any more.

    A held one that is dropped counts as asked.

    Example: clio-broadly-sync outbox drop --reason surge
    """
    _check(chosen, everything=everything, asks=not yes)
    from clio_broadly_sync.cli.outbox import DROP, carry_out

    carry_out(options, DROP, _selection(**chosen), as_json=as_json, asks=not yes)


def _selection(
    matters: tuple[int, ...],
    state: str | None,
    reason: str | None,
    batch: tuple[int, int] | None,
    command: str | None,
) -> "Selection":
    from clio_broadly_sync.store import Selection

    return Selection(
        states=frozenset({STATES[state]} if state else STATES.values()),
        matters=matters,
        reason=Reason(reason) if reason else None,
        batch=batch,
        command=Command(command) if command else None,
    )


def _check(chosen: dict[str, Any], *, everything: bool, asks: bool) -> None:
    if any(chosen.values()) == everything:
        raise click.UsageError(
            "Say which: matter ids, --state, --reason, --batch, --command; or --all alone."
        )
    if asks and (sys.stdin is None or not sys.stdin.isatty()):
        raise click.UsageError("There is no terminal to ask on: add --yes.")
