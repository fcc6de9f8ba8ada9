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

from world import Child, Ran, World

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
    with begun_on_terminal(world, *arguments, columns=columns, **settings) as run:
        for question, answer in (answers or {}).items():
            run.until(question)
            run.type(answer)
        if signalled:
            run.child.send_signal(signalled)
        return run.end()


class OnTerminal:
    """A run on a terminal, and what that has shown up to now."""

    def __init__(self, world: World, child: Child, terminal: int) -> None:
        self.child = child
        self._world = world
        self._terminal = terminal
        self._shown = b""
        self._seen = 0

    def until(self, text: str) -> None:
        """Await that the terminal shows this, after what was awaited before."""
        while text.encode() not in self._shown[self._seen :]:
            more = _read(self._terminal)
            assert more, f"it ended before it printed {text}"
            self._shown += more
        self._seen = len(self._shown)

    def type(self, line: str) -> None:
        os.write(self._terminal, line.encode() + b"\n")

    def end(self) -> Ran:
        """Await the end."""
        while more := _read(self._terminal):
            self._shown += more
        return self._world.finish(self.child, printed=self._shown.decode())


@contextmanager
def begun_on_terminal(
    world: World, *arguments: str, columns: int = 80, **settings: str | None
) -> Iterator[OnTerminal]:
    """Begin a run on a terminal of this width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    try:
        child = world.start(arguments, settings, theirs)
        os.close(theirs)
        yield OnTerminal(world, child, ours)
    finally:
        os.close(ours)


def left(printed: str) -> list[str]:
    """Return the lines that are on the terminal in the end, when others were written over."""
    lines = []
    for line in printed.replace("\r\n", "\n").split("\n"):
        cells: list[str] = []
        for part in line.split("\r"):
            cells[: len(part)] = part
        lines.append("".join(cells).rstrip())
    return lines[:-1]


def _read(ours: int) -> bytes:
    """Wait for what is printed next; return nothing once the other end is closed."""
    ready, _, _ = select.select([ours], [], [], PATIENCE_SECONDS)
    assert ready, "the program neither prints nor ends"
    try:
        return os.read(ours, 4096)
    except OSError:
        return b""
