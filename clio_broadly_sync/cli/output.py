"""How all commands print and ask: lines, tables, dates, questions, and what is said of a bug.

What a run or a command says is in its own module; log lines are in `cli/logs.py`.
"""

import json
import os
import re
import shutil
import sys
import textwrap
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import date, datetime, timedelta
from pathlib import PurePath
from typing import Any, Final, NamedTuple, TextIO

import click

from clio_broadly_sync.domain.errors import StoppedError
from clio_broadly_sync.domain.errors import day as day
from clio_broadly_sync.domain.errors import moment as moment
from clio_broadly_sync.transport.signals import Stop, time_limit

GAP: Final = "  "
"""What stands between two columns of a table."""
PROGRAM: Final = "clio-broadly-sync"
PATIENCE_SECONDS: Final = 600.0
"""A question is left open at most so long, because meanwhile cron's runs find the state busy."""
FRAMES: Final = 18
"""At most so many lines of a bug's traceback are printed. With the line before them and the one
after, they are no more than `cli/run.py` lets cron mail."""
WIDEST: Final = 100
"""Longer lines are hard to read, however wide the terminal is."""

_HELP_SHOWN: Final = getattr(click.exceptions, "NoArgsIsHelpError", ())
"""The help as an error, where a group is called without a command; click 8.1 has no such one."""
_COMMAND: Final = re.compile(r"`[^`]*`")
_WHOLE_COMMAND: Final = re.compile(
    r"(`clio-broadly-sync (?!(?:fleet|firms|init|schedule|sandbox|demo)\b)(?![^`]*--firm)[^`]+)`"
)
"""A command that is there to be copied; those that are excepted know no firm."""
_FIRM: Final = f"{__name__}.firm"
_KEPT: Final = "\x1f"
"""It stands for a blank at which no line may break."""
_INDENT: Final = re.compile(r" *(?:\S+(?: \S+){0,3} {2,})?")
"""The indent of a line, with the label after it, if there is one: at most four words and then two
blanks or more."""
_DEEPEST: Final = 24
"""Where the indent is deeper than this, the further lines begin at the left margin."""


class OutputError(OSError):
    """Output could not be written: the disk is full, or whoever read stdout or stderr has gone."""

    def __str__(self) -> str:
        return f"The output could not be written ({self.strerror})."


class Output:
    """Stdout or stderr, wrapped so that it raises OutputError where it cannot be written.

    After such an error it is not flushed any more, because the interpreter flushes it at its very
    end, and a failure there would print a traceback.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_lost = False

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            raise self._lost(error) from None
        except StoppedError:
            self._drop()
            raise

    def flush(self) -> None:
        if self._is_lost:
            return
        try:
            self._stream.flush()
        except OSError as error:
            raise self._lost(error) from None
        except StoppedError:
            self._drop()
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _drop(self) -> None:
        """Let what is not written yet lead nowhere, where a signal came and nobody reads on.

        Not on stderr, where it is still to be said that a signal came.
        """
        if self._stream is sys.__stderr__:
            return
        self._is_lost = True
        with open(os.devnull, "wb") as nowhere, suppress(OSError):
            os.dup2(nowhere.fileno(), self._stream.fileno())

    def _lost(self, error: OSError) -> OutputError:
        self._is_lost = True
        return OutputError(error.errno, error.strerror)


# Lines for a person. On a terminal they are folded at its width; elsewhere each line stays whole.


def say(text: str, *, err: bool = False) -> None:
    """Print a line, or several, on stdout or on stderr (`err`), each folded where the terminal is
    too narrow."""
    click.echo(folded(text, err=err), err=err)


def folded(text: str, *, err: bool = False) -> str:
    """Return a line, or several, as `say` prints them."""
    columns = width(sys.stderr if err else sys.stdout)
    return "\n".join(fold(line, columns) for line in for_the_firm(text).split("\n"))


def name_firm(name: str) -> None:
    """Let whole commands that are printed from now on name this firm, as the call itself does."""
    click.get_current_context().meta[_FIRM] = name


def for_the_firm(text: str) -> str:
    """Return a text with `--firm` in each whole command, where the call names one."""
    context = click.get_current_context(silent=True)
    return text if context is None else with_firm(text, context.meta.get(_FIRM))


def with_firm(text: str, name: str | None) -> str:
    """Return a text with `--firm` and this name in each whole command that is about a firm."""
    if name is None:
        return text
    return _WHOLE_COMMAND.sub(lambda found: f"{found[1]} --firm {name}`", text)


def width(stream: TextIO | None) -> int | None:
    """Return how many columns a line may have; None where the stream is no terminal."""
    if stream is None or not stream.isatty():
        return None
    return min(shutil.get_terminal_size().columns, WIDEST)


def fold(line: str, columns: int | None) -> str:
    """Return the line, broken between words into lines of at most `columns`; None: not broken.

    It is not broken inside a `command`, which is there to be copied. The further lines begin below
    the text that follows the indent of the first one, or its label and the gap after that.
    """
    if columns is None or len(line) <= columns:
        return line
    folded = textwrap.fill(
        _COMMAND.sub(lambda found: found[0].replace(" ", _KEPT), line),
        columns,
        subsequent_indent=" " * _indent(line),
        break_on_hyphens=False,
        break_long_words=False,
    )
    return folded.replace(_KEPT, " ")


def _indent(line: str) -> int:
    found = _INDENT.match(line)
    indent = len(found[0]) if found is not None else 0
    return indent if indent <= _DEEPEST else 0


# Tables.


class Column(NamedTuple):
    """A column of a table."""

    title: str
    width: int
    worth: int
    """Where not all columns fit, those with the least worth are left out."""
    text: Callable[[dict[str, Any]], Any]
    """It returns what stands in the column, given the object of a row in `--json`."""


def fitting(columns: Iterable[Column], width: int | None) -> list[Column]:
    """Return the columns that fit into `width`, but at least one; None: all of them."""
    columns = list(columns)
    while width is not None and len(columns) > 1 and _width_of(columns) > width:
        columns.remove(min(columns, key=lambda column: column.worth))
    return columns


def no_room(columns: Iterable[Column], shown: Collection[Column]) -> Iterator[str]:
    """Yield a remark about the columns that are not shown, where there are any."""
    if missing := [column.title for column in columns if column not in shown]:
        yield folded(
            f"No room for: {', '.join(missing)}. A wider window shows more, and `--json` all."
        )


def _width_of(columns: Iterable[Column]) -> int:
    widths = [column.width for column in columns]
    return sum(widths) + len(GAP) * (len(widths) - 1)


def table_line(cells: Iterable[tuple[Any, int]]) -> str:
    """Return a line of a table; a cell is what stands in it (None: “-”) and its width."""
    texts = (f"{'-' if value is None else value!s:<{width}}" for value, width in cells)
    return GAP.join(texts).rstrip()


# Numbers and lengths of time as a person reads them; `moment` and `day` are for errors as well, so
# they are in `domain/errors.py`.


def count(number: int, one: str, many: str | None = None) -> str:
    """Return words such as `1 closing waits` or `3 closings wait`, of which `number` is the figure.

    Where `many` is None, the plural is `one` with an s.
    """
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def batch_of(run: int, batch: int | None) -> str | None:
    """Return the name of a batch, such as `12.3`: the run's number and the batch's in it."""
    return None if batch is None else f"{run}.{batch}"


def length(time: timedelta) -> str:
    """Return words such as `40 minutes`, in the largest unit of which there are at least two."""
    seconds = max(0, int(time.total_seconds()))
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}s"
    return f"{seconds} second" + ("" if seconds == 1 else "s")


# What `--json` prints.


def print_json(pairs: Iterable[tuple[str, Any]]) -> None:
    """Print one JSON object on stdout; a value that is an iterator becomes an array.

    Such an array may be long, so nothing is gathered: each pair and each item is taken only when
    all before it has been written.
    """
    for piece in _object(pairs):
        sys.stdout.write(piece)
    sys.stdout.flush()


def _object(pairs: Iterable[tuple[str, Any]]) -> Iterator[str]:
    before = "{"
    for key, value in pairs:
        yield f'{before}"{key}": '
        yield from _array(value) if isinstance(value, Iterator) else [_spelled(value)]
        before = ", "
    yield "}\n"


def _array(items: Iterator[Any]) -> Iterator[str]:
    yield "["
    for number, item in enumerate(items):
        yield (", " if number else "") + _spelled(item)
    yield "]"


def _spelled(value: Any) -> str:
    return for_the_firm(json.dumps(value, default=_plain))


def _plain(value: date | timedelta) -> str | int:
    """Return a moment (aware UTC) as in `2026-11-20T22:05:00Z`, a date as in `2026-11-20`, and a
    length of time in whole seconds."""
    if isinstance(value, timedelta):
        return int(value.total_seconds())
    return f"{value:%Y-%m-%dT%H:%M:%SZ}" if isinstance(value, datetime) else value.isoformat()


# Questions, wrong usage, and bugs.


def agreed(question: str) -> bool:
    """Ask for a yes or a no, folded as what is said; Enter alone is a no."""
    asked = folded(f"{question} [y/N]:", err=True)
    return click.confirm(asked, show_default=False, prompt_suffix=" ", err=True)


@contextmanager
def errors_folded() -> Iterator[None]:
    """Let what click says of wrong usage be folded, as all that is said is.

    The help that it shows where a group is called without a command is as it should be.
    """
    try:
        yield
    except _HELP_SHOWN:
        raise
    except click.UsageError as error:
        raise click.UsageError(_folded_message(error), error.ctx) from None
    except click.ClickException as error:
        raise click.ClickException(_folded_message(error)) from None


def _folded_message(error: click.ClickException) -> str:
    """Return its sentence, with room for the word that click puts before it."""
    before = "Error: "
    return folded(before + error.format_message(), err=True).removeprefix(before)


@contextmanager
def patience(stop: Stop) -> Iterator[None]:
    """Let a signal end the wait for an answer at once, and `PATIENCE_SECONDS` without one too.

    Raise StoppedError at the signal, and click.Abort after that time, which is also what click
    raises at the end of the input.
    """
    try:
        with time_limit(PATIENCE_SECONDS), stop.at_once():
            yield
    except (StoppedError, TimeoutError, click.Abort) as error:
        click.echo(err=True)  # the cursor is still on the line of the question
        raise (click.Abort if isinstance(error, TimeoutError) else error) from None


def bug_lines(bug: BaseException) -> list[str]:
    """Return lines that say where the bug is and which kind of error it raised.

    The error's message is left out, because it may hold a client's data. Output that could not be
    written is no bug, and has a sentence of its own.
    """
    if isinstance(bug, OutputError):
        return [str(bug)]
    kind = type(bug)
    return [
        "A bug in clio-broadly-sync; nothing more was done. Please report these lines:",
        *map(_line, traceback.extract_tb(bug.__traceback__)[-FRAMES:]),
        f"{kind.__module__}.{kind.__qualname__}",
    ]


def _line(frame: traceback.FrameSummary) -> str:
    file = PurePath(*PurePath(frame.filename).parts[-3:])
    return f"  {file}:{frame.lineno} in {frame.name}"
