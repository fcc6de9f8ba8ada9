"""The line that a terminal shows while a run takes long; time is moved by hand."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from golden_files import Golden

from clio_broadly_sync.cli.progress import Drawn

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class _Terminal:
    """What a person sees of what is written, at a time that only moves when told."""

    def __init__(self, width: int = 80) -> None:
        self.seconds = 100.0
        self.written = ""
        self.line = Drawn(
            "Handing over",
            write=self._write,
            monotonic=lambda: self.seconds,
            local_time=lambda: NOON + timedelta(seconds=self.seconds - 100),
            width=lambda: width,
        )

    def _write(self, text: str) -> None:
        self.written += text

    def after(self, seconds: float) -> str:
        """Let time pass, and a tick come."""
        self.seconds += seconds
        self.line.tick()
        return self.seen

    @property
    def seen(self) -> str:
        cells: list[str] = []
        at = 0
        for char in self.written:
            if char == "\r":
                at = 0
                continue
            cells[at : at + 1] = [char]
            at += 1
        return "".join(cells).rstrip()


def test_nothing_before_two_seconds() -> None:
    """A run that is over by then leaves no trace on the terminal."""
    terminal = _Terminal()
    terminal.line.matters_read(200)
    terminal.line.closings_due(5)
    terminal.line.closings_done(5)
    terminal.line.waiting("Clio", 0.5)
    terminal.after(1.9)
    terminal.line.finish()
    with terminal.line.wiped():
        assert terminal.written == ""


def test_a_first_answer_that_takes_long() -> None:
    """There is something to see, although nothing has happened yet."""
    assert _Terminal().after(2) == "Asking Clio"


STEPS: tuple[Callable[[Drawn], object], ...] = (
    lambda line: line.matters_read(200),
    lambda line: line.waiting("Clio's rate limit", 48),
    lambda line: line.closings_due(4),
    lambda line: line.closings_done(1),
    lambda line: line.closings_done(9),
    lambda line: line.closings_due(2),
    lambda line: line.closings_due(0),
)


def test_how_far_it_has_come(golden: Golden) -> None:
    """Matters are counted, then closings, each walk anew; a wait says until when."""
    terminal = _Terminal()
    seen = [terminal.after(2)]
    for step in STEPS:
        step(terminal.line)
        seen.append(terminal.seen or "(nothing)")
    golden("progress_line", "\n".join(seen))


def test_a_wait_that_is_over() -> None:
    """A long one is said at once; when it is over, the line is what it was before."""
    terminal = _Terminal()
    terminal.line.matters_read(200)
    terminal.line.waiting("Clio", 48)
    waiting = terminal.seen
    assert waiting
    assert terminal.after(47.9) == waiting
    assert terminal.after(0.2) == "Closed matters looked at: 200"


def test_what_comes_meanwhile_ends_the_wait() -> None:
    """Nobody waits any more once something was read."""
    terminal = _Terminal()
    terminal.line.waiting("Broadly", 60)
    terminal.line.matters_read(400)
    assert terminal.seen == "Closed matters looked at: 400"


def test_finished_line_is_wiped_out() -> None:
    """Before a question or the results; it comes back with the next that there is to tell."""
    terminal = _Terminal()
    terminal.after(3)
    terminal.line.waiting("Clio", 60)
    terminal.line.finish()
    assert terminal.seen == ""
    assert terminal.written.endswith("\r")
    assert terminal.after(5) == ""
    terminal.line.closings_due(1)
    assert terminal.seen.startswith("Handing over")


def test_cleared_line_comes_back() -> None:
    """A line of the log was printed in its place."""
    terminal = _Terminal()
    terminal.after(2)
    with terminal.line.wiped():
        assert terminal.seen == ""
    assert terminal.after(0.5) == "Asking Clio"


def test_nothing_is_drawn_into_a_line_of_the_log() -> None:
    """The thread that keeps the line up to date waits until the other one is printed."""
    terminal = _Terminal()
    terminal.after(2)
    ticking = threading.Thread(target=terminal.line.tick)
    with terminal.line.wiped():
        ticking.start()
        ticking.join(0.1)
        assert terminal.seen == ""
    ticking.join()
    assert terminal.seen == "Asking Clio"


def test_the_same_is_not_drawn_again() -> None:
    """Half a second later nothing is written where nothing has changed."""
    terminal = _Terminal()
    terminal.after(2)
    before = terminal.written
    terminal.after(0.5)
    assert terminal.written == before


def test_narrow_terminal() -> None:
    """A line that would break could not be wiped out."""
    terminal = _Terminal(width=20)
    terminal.after(2)
    terminal.line.closings_due(300)
    assert len(terminal.seen) == 19
