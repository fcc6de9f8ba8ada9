"""Options that several commands share."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Any, Final

import click

from clio_broadly_sync.domain.errors import shown


class _Day(click.DateTime):
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


DAY: Final = _Day()


@dataclass(frozen=True, slots=True)
class Options:
    """What was said before the command, or after it."""

    config_file: Path | None = None
    verbose: bool = False


def common(command: Callable[..., None]) -> Callable[..., None]:
    """Accept `--config` and `-v` after the command as well; pass `options` first."""

    @wraps(command)
    def with_options(*, config_file: Path | None, verbose: bool, **others: Any) -> None:
        before: Options = click.get_current_context().obj
        options = Options(config_file or before.config_file, verbose or before.verbose)
        command(options, **others)

    verbose = click.option("-v", "--verbose", is_flag=True, help="Say more, on stderr.")
    config = click.option(
        "--config",
        "config_file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The settings file.",
    )
    return config(verbose(with_options))


def for_a_run(command: Callable[..., None]) -> Callable[..., None]:
    """The options of `sync` and `backfill`."""
    for option in (
        click.option("--yes", is_flag=True, help="Approve all that waits for a yes; do not ask."),
        click.option(
            "--limit",
            type=click.IntRange(min=0),
            metavar="N",
            help="Hand over at most N closings; the rest waits.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
        click.option(
            "--dry-run", is_flag=True, help="Decide everything; hand over nobody and write nothing."
        ),
    ):
        command = option(command)
    return common(command)
