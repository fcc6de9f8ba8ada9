"""`--csv FILE`: where the file goes, and what is said of it and of what waits for one.

How it is written is in `sinks/csv_file.py`, which is loaded only where one is.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from clio_broadly_sync.cli import app, output
from clio_broadly_sync.domain.errors import ExportError
from clio_broadly_sync.domain.model import Command, Profile
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.pipeline.report import Report
from clio_broadly_sync.settings import Settings
from clio_broadly_sync.store import Store
from clio_broadly_sync.store.overview import Group
from clio_broadly_sync.transport.signals import Stop

if TYPE_CHECKING:
    from clio_broadly_sync.sinks.csv_file import Target

STDOUT: Final = Path("-")
"""How standard output is named."""
IN_TIME: Final = timedelta(days=7)
"""A person is told that what waits for a file grows too old so long before, or half the maximum age
where that is less."""
_SYNC: Final = "clio-broadly-sync sync --csv FILE"


def check_usage(file: Path | None, *, as_json: bool) -> None:
    """Raise UsageError where standard output would get both the file and JSON."""
    if file == STDOUT and as_json:
        raise click.UsageError("--json and --csv - both want standard output: name a file.")


def check_settings(file: Path | None, settings: Settings) -> None:
    """Raise UsageError where these settings have no file, or where it would lie with the state."""
    profile = settings.broadly_profile
    if file is not None and profile is not Profile.CSV:
        raise click.UsageError(
            f"--csv is for BROADLY_PROFILE=csv, and it is {profile} here: leave --csv out."
        )
    if file is not None and file != STDOUT and lies_with_state(settings, file):
        raise click.UsageError(
            "--csv names a file in the folder of the state, which is the program's own: name one "
            "in another folder."
        )


def lies_with_state(settings: Settings, file: Path) -> bool:
    """Tell whether a file would lie in the folder of the state."""
    folder = app.place_of(settings).folder
    there = os.path.realpath(Path.cwd() / file.parent)
    return folder is not None and there == os.path.realpath(folder)


class File:
    """The file of one run, as the person named it; `name` is None where none was named."""

    def __init__(self, name: Path | None) -> None:
        self.name = name
        self._made: Sequence[Path] = ()

    @property
    def is_stdout(self) -> bool:
        return self.name == STDOUT

    @property
    def made(self) -> list[str]:
        """The paths of the files that are there by now."""
        return [str(path) for path in self._made]

    def check_place(self) -> None:
        """Raise ExportError where no file can be made under this name."""
        if self.is_stdout and sys.__stdout__ is None:
            raise ExportError("Standard output is closed: name a file.")
        if self.name is not None and not self.is_stdout:
            from clio_broadly_sync.sinks import new_files

            new_files.check_place(Path.cwd() / self.name)

    def target(self, store: Store, stop: Stop) -> "Target":
        """Return where its bytes go."""
        from clio_broadly_sync.sinks.new_files import NewFiles, StandardOutput

        if self.name is None or self.is_stdout:
            stdout = sys.__stdout__
            descriptor = -1 if stdout is None else stdout.fileno()
            return StandardOutput(descriptor, store.exports, stop)
        files = NewFiles(Path.cwd() / self.name, store.exports, stop)
        self._made = files.made
        return files


# What a run says.


def files_of(report: Report) -> Iterator[str]:
    """Yield which files were made, and what is to be done with them."""
    if report.recovered:
        count = output.count(report.recovered, "client counts", "clients count")
        yield f"The file of a run that was cut short is whole: its {count} as sent."
    if report.files:
        holds = "holds" if len(report.files) == 1 else "hold"
        it = "it" if len(report.files) == 1 else "them"
        yield (
            f"{' and '.join(map(str, report.files))} {holds} client data: import {it} in Broadly, "
            f"then remove {it}."
        )


def lines_of(report: Report, command: Command) -> Iterator[str]:
    """Yield which files were made, and what waits for one."""
    yield from files_of(report)
    if report.kept_back is Reason.EXPORT and report.waiting:
        waits = output.count(report.waiting, "client waits", "clients wait")
        again = "run the same backfill with --csv FILE"
        how = again if command is Command.BACKFILL else f"`{_SYNC}`"
        yield f"{waits} for a file for Broadly's import. To write it: {how}."


# What `status` says.


class Waiting(NamedTuple):
    """What waits for a file."""

    closings: int
    """How many closings of `sync` there are."""
    oldest_closed_on: date | None
    """The earliest close date of those that grow too old; None where there is none."""
    until: date | None
    """The last day (in the firm's zone) on which that one may still go; None as above."""
    is_due: bool
    """Whether it is time for a person to write the file."""

    def to_do(self) -> Iterator[str]:
        """Yield what a person can do, in short lines."""
        if self.until is not None:
            yield f"the oldest may go until {output.day(self.until)} (SYNC_MAX_AGE_DAYS)"
        yield f"write the file, import it, remove it: `{_SYNC}`"


def waiting(
    settings: Settings, store: Store, groups: Sequence[Group], today: date
) -> Waiting | None:
    """Return what waits for a file, which is among these groups; None where none is written.

    `today` is the date in the firm's zone.
    """
    if settings.broadly_profile is not Profile.CSV:
        return None
    mine = [g for g in groups if g.reason is Reason.EXPORT and g.command is Command.SYNC]
    closings = sum(group.closings for group in mine)
    oldest = store.overview.oldest_for_export() if closings else None
    if oldest is None:
        return Waiting(closings, None, None, is_due=False)
    age = timedelta(days=settings.sync_max_age_days)
    until = oldest + age
    return Waiting(closings, oldest, until, is_due=today >= until - min(IN_TIME, age / 2))
