"""Options that several commands share."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click


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
        click.option("--yes", is_flag=True, help="Approve what waits for a person; do not ask."),
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
