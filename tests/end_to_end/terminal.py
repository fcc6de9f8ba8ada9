"""Runs the program on a terminal of its own, with somebody who answers its questions."""

import fcntl
import os
import pty
import select
import signal
import struct
import termios
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from world import Ran, World

PATIENCE_SECONDS = 30
"""How long the program may print nothing before that counts as a failure."""


def on_terminal(
    world: World,
    *arguments: str,
    answers: Mapping[str, str] | None = None,
    signalled: signal.Signals | None = None,
    columns: int = 80,
    **settings: str | None,
) -> Ran:
    """Run the program on a terminal with so many columns, and return what came of it.

    `answers` says what is typed after each question, in the order of the questions. A signal, where
    one is given, is sent after the last answer. A setting of None is taken away.
    """
    with _pair(columns) as (ours, theirs):
        child = world.start(arguments, settings, theirs)
        os.close(theirs)
        printed = b""
        for question, answer in (answers or {}).items():
            seen = len(printed)
            while question.encode() not in printed[seen:]:
                more = _read(ours)
                assert more, f"it ended before it asked for {question}"
                printed += more
            os.write(ours, answer.encode() + b"\n")
        if signalled:
            child.send_signal(signalled)
        return world.finish(child, printed=(printed + _rest(ours)).decode())


def left(printed: str) -> list[str]:
    """Return the lines that are on the terminal in the end, when others were written over."""
    lines = []
    for line in printed.replace("\r\n", "\n").split("\n"):
        cells: list[str] = []
        for part in line.split("\r"):
            cells[: len(part)] = part
        lines.append("".join(cells).rstrip())
    return lines[:-1]


@contextmanager
def _pair(columns: int) -> Iterator[tuple[int, int]]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    try:
        yield ours, theirs
    finally:
        os.close(ours)


def _rest(ours: int) -> bytes:
    printed = b""
    while more := _read(ours):
        printed += more
    return printed


def _read(ours: int) -> bytes:
    """Wait for what is printed next; return nothing once the other end is closed."""
    ready, _, _ = select.select([ours], [], [], PATIENCE_SECONDS)
    assert ready, "the program neither prints nor ends"
    try:
        return os.read(ours, 4096)
    except OSError:
        return b""
