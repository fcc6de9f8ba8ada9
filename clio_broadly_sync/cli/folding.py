"""Lines folded at the width of the terminal; what is no terminal gets each line whole."""

import re
import shutil
import textwrap
from typing import Final, TextIO

WIDEST: Final = 100
"""Longer lines are hard to read, however wide the terminal is."""

_COMMAND: Final = re.compile(r"`[^`]*`")
_KEPT: Final = "\x1f"
"""Stands for a blank at which no line may break."""
_INDENT: Final = re.compile(r" *(?:\S+(?: \S+){0,3} {2,})?")
_DEEPEST: Final = 24


def width(stream: TextIO | None) -> int | None:
    """Return how wide a line may be; None where no terminal shows it."""
    if stream is None or not stream.isatty():
        return None
    return min(shutil.get_terminal_size().columns, WIDEST)


def fold(line: str, columns: int | None) -> str:
    """Break between words, but not inside a `command`, which is there to be copied.

    What is folded stands below the text that follows the indent, or a label and its gap.
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
