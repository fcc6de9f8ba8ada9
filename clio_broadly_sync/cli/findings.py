"""What `check` and `verify` find: a line each, an object in JSON, and one exit code for all."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final, TypeVar

import click

from clio_broadly_sync.cli import app
from clio_broadly_sync.cli.output import folded
from clio_broadly_sync.domain.errors import (
    OK,
    WORST_FIRST,
    StorageError,
    SyncError,
    without_next_run,
)
from clio_broadly_sync.store.integrity import Flaw

T = TypeVar("T")


class Level(StrEnum):
    """How bad a finding is. The words appear in the output and in `--json`."""

    OK = "ok"
    WARNING = "warning"
    """A person should look at it; it does not change the exit code."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, and what came of it."""

    about: str
    """What was looked at, in a word or two."""
    level: Level
    says: str
    """What was found, in whole sentences."""
    exit_code: int | None = None
    """The exit code of what is wrong; None unless it failed."""


def ok(about: str, says: str) -> Finding:
    return Finding(about, Level.OK, says)


def warning(about: str, says: str) -> Finding:
    return Finding(about, Level.WARNING, says)


def untested(about: str, why: str) -> Finding:
    """Return a warning that this could not be looked at, which is no failure of its own."""
    return warning(about, f"Not tested: {why}")


def failed(about: str, says: str, exit_code: int) -> Finding:
    return Finding(about, Level.FAILED, says, exit_code)


def failures(about: str, error: SyncError) -> Iterator[Finding]:
    """Yield a failed finding for each line of the error, with the error's exit code."""
    for line in str(error).splitlines():
        yield failed(about, without_next_run(line), error.exit_code)


def of_flaw(flaw: Flaw) -> Finding:
    """Return the finding about a flaw of the state, which names the first matters it is about."""
    which = ", ".join(map(str, flaw.matters))
    says = flaw.sentence + (f" The first matters: {which}." if which else "")
    if not flaw.grave:
        return warning(flaw.name, says)
    return failed(flaw.name, says, StorageError.exit_code)


def worst(found: Iterable[Finding]) -> int:
    """Return the exit code of the worst finding; 0 where nothing failed."""
    codes = {finding.exit_code for finding in found if finding.exit_code is not None}
    return min(codes, key=WORST_FIRST.index, default=OK)


_COLOURS: Final = {Level.OK: "green", Level.WARNING: "yellow", Level.FAILED: "red"}
_SHOWN: Final = {"pins": "settings", "not in the ledger": "not recorded"}
"""What stands for people in place of a word that programs know."""


def line(finding: Finding) -> str:
    """Return a finding as a line for a person, folded and coloured on a terminal."""
    said, width = folded(f"{finding.level:<9}{_about(finding)}: {finding.says}"), len(finding.level)
    return click.style(said[:width], fg=_COLOURS[finding.level]) + said[width:]


def verdict(found: Sequence[Finding]) -> str:
    """Return one line about all that was found, coloured on a terminal."""
    says = {
        Level.FAILED: "Not in order: {}. What to do stands below.",
        Level.WARNING: "Nothing failed. Worth a look: {}.",
    }
    for level, words in says.items():
        if about := dict.fromkeys(_about(one) for one in found if one.level is level):
            return click.style(folded(words.format(", ".join(about))), fg=_COLOURS[level])
    return click.style("All well: everything is in order.", fg=_COLOURS[Level.OK])


def _about(finding: Finding) -> str:
    return _SHOWN.get(finding.about, finding.about)


def judged(things: Iterator[T], call: app.Call) -> Iterator[T]:
    """Yield the things; the command ends with the exit code of the worst finding among them."""
    found: list[Finding] = []
    for thing in things:
        if isinstance(thing, Finding):
            found.append(thing)
            call.code = worst(found)
        yield thing


def object_of(found: Iterator[Finding], call: app.Call) -> Iterator[tuple[str, Any]]:
    """Yield what `--json` says of the findings; the error that ended the command is one more."""
    objects = [asdict(finding) for finding in found]
    if call.error is not None:
        objects += map(asdict, failures(app.called(), call.error))
    yield "outcome", call.outcome
    yield "findings", objects
