"""Options and arguments that several commands share."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import click

from clio_broadly_sync.cli.output import name_firm
from clio_broadly_sync.domain.errors import shown
from clio_broadly_sync.domain.model import MAX_ID, Command
from clio_broadly_sync.domain.reasons import FINAL, TOLD, Reason
from clio_broadly_sync.domain.states import State


class _Day(click.DateTime):
    """A date such as 2026-01-31, as a datetime at its midnight without a zone."""

    def __init__(self) -> None:
        super().__init__(["%Y-%m-%d"])

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            wrong = f"“{shown(str(value))}” is no day of the calendar"
            self.fail(f"{wrong}; write dates as 2026-01-31.", param, ctx)


_Kind = Literal["matter", "contact"]


class ClioId(click.ParamType[int]):
    """The id of a matter or a contact, as a number or in the address of its page in Clio."""

    name = "ID"

    def __init__(self, kind: _Kind) -> None:
        self._kind: _Kind = kind

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> int:
        found = id_in(str(value), self._kind)
        if found is None:
            wanted = f"a {self._kind}'s id is a number, the one in its address in Clio."
            self.fail(wanted, param, context)
        return found


def id_in(text: str, kind: _Kind) -> int | None:
    """Return the id that a text is, or that stands in a pasted address; None where it is neither.

    A matter's address is like `https://app.clio.com/nc/#/matters/123`.
    """
    address = re.search(rf"/{kind}s/(\d+)(?!\w)", text, re.ASCII)
    text = address[1] if address else text.strip()
    is_id = text.isascii() and text.isdecimal() and len(text) < 20
    return int(text) if is_id and 0 < int(text) <= MAX_ID else None


STATES: Final = {
    "waiting": State.PENDING,
    "held": State.HELD,
    "rejected": State.DEAD,
    "dead": State.DEAD,
}
"""The states of the outbox, by the words of the command line. JSON calls a rejected one dead, so
that word is taken as well."""
SPOKEN: Final = {State.PENDING: "waiting", State.HELD: "held", State.DEAD: "rejected"}
"""The words for these states wherever a person reads."""
REASONS: Final = [reason.value for reason in Reason if reason not in FINAL | TOLD]
"""The reasons that rows of the outbox may have; one with a final reason is never there."""
LISTED: Final = [*REASONS, *sorted(reason.value for reason in TOLD)]
"""The reasons by which rows can be looked for; those that are only told change nothing by chance of
the hour."""
DAY: Final = _Day()
"""The type of an option that takes a date."""
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")

names_option = click.option(
    "--names", is_flag=True, help="Show the clients' names, read from Clio; on a terminal only."
)


class Options(NamedTuple):
    """The options of all commands, which may stand before the command or after it."""

    config_file: Path | None = None
    """The settings file that was named; None where none was."""
    verbose: bool = False
    firm: str | None = None
    """The firm of a fleet that was named; None where none was."""


def of_a_firm(command: Callable[..., None]) -> Callable[..., None]:
    """Let the command, which has to do with a state, take `--firm` and what `common` adds."""
    firm = click.option(
        "--firm", metavar="NAME", help="The firm, where many are in one database (FLEET_DATABASE)."
    )
    return common(firm(command))


def common(command: Callable[..., None]) -> Callable[..., None]:
    """Let the command take `--config` and `-v` after its name as well.

    The command gets Options as its first argument. A settings file named after the command wins
    over one named before it.
    """
    config = click.option(
        "--config",
        "config_file",
        type=click.Path(path_type=Path, readable=False),
        metavar="FILE",
        help="The settings file.",
    )
    return config(with_options(command))


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Let the command take `-v` after its name as well, and get Options as its first argument.

    That is for a command whose own `--config` is no settings file of the program.
    """

    @wraps(command)
    def with_all(
        *,
        config_file: Path | None = None,
        verbose: bool,
        firm: str | None = None,
        **others: Any,
    ) -> None:
        before: Options = click.get_current_context().obj
        if firm is not None:
            name_firm(firm)
        options = Options(config_file or before.config_file, verbose or before.verbose, firm)
        command(options, **others)

    return click.option("-v", "--verbose", is_flag=True, help="Say more, on stderr.")(with_all)


def for_a_run(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of `sync` and `backfill`, those of all commands included."""
    for option in (
        click.option("--yes", is_flag=True, help="Approve all that waits for a yes; do not ask."),
        click.option(
            "--limit",
            type=click.IntRange(min=0),
            metavar="N",
            help="Send at most N clients; the rest waits.",
        ),
        click.option(
            "--csv",
            "csv",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Write them into this new file (BROADLY_PROFILE=csv); - is standard output.",
        ),
        json_option,
        click.option(
            "--names",
            is_flag=True,
            help="With --dry-run on a terminal: show the clients' names, read from Clio.",
        ),
        click.option(
            "--dry-run", is_flag=True, help="Decide everything; send nobody and write nothing."
        ),
    ):
        command = option(command)
    return of_a_firm(command)


class _Batch(click.ParamType[tuple[int, int]]):
    """A batch as this program names it, such as 12.3: the run's number and the batch's in it."""

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


def choosing_rows(
    command: Callable[..., None], reasons: Sequence[str] = LISTED
) -> Callable[..., None]:
    """Add the ways to choose rows of the outbox; several of them choose the rows that fit all."""
    for option in (
        click.option(
            "--command",
            type=click.Choice([one.value for one in Command]),
            help="What belongs to this command.",
        ),
        click.option(
            "--batch", type=_Batch(), metavar="RUN.BATCH", help="Last sent in this batch."
        ),
        click.option(
            "--reason",
            type=click.Choice(reasons),
            metavar="REASON",
            help="With this reason, e.g. surge.",
        ),
        click.option(
            "--state",
            type=click.Choice(list(STATES)),
            metavar="STATE",
            help="In this state: waiting, held or rejected.",
        ),
        click.argument("matters", nargs=-1, type=ClioId("matter"), metavar="[MATTER]..."),
    ):
        command = option(command)
    return command


def changing_rows(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of `resend` and `drop`, those of all commands included."""
    everything = click.option("--all", "everything", is_flag=True, help="Everything there is.")
    yes = click.option("--yes", is_flag=True, help="Do it; do not ask.")
    return choosing_rows(everything(yes(json_option(of_a_firm(command)))), REASONS)
