"""The power fails at every commit and every POST: the log is cut wherever it may then be cut.

A kill loses nothing that was committed. A power cut may lose all that was written after the last
transaction that lasts (`store/database.py`), but keeps the order: what is left is a beginning of
the log. While the machine is off a client opts out and a matter is reopened.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import exported
import pytest
from drill import Drill, MakeDrill, told

CLIENTS = 6
BATCH = 2
PAGE = 4
SHARES = 4
"""Each test takes every fourth point, so that all cores have work."""
HEADER, FRAME_HEADER = 32, 24
"""The bytes of the log's header and of each frame's, before its page. Source: SQLite's file format,
4.1 and 4.2."""


def _crowd(drill: Drill) -> tuple[int, int]:
    """Close matters on several pages; return the client who opts out later, and the matter that is
    reopened."""
    drill.clio.cap_pages("matter", PAGE)
    drill.settings["BROADLY_BATCH_SIZE"] = str(BATCH)
    closings = [drill.closing() for _ in range(CLIENTS)]
    drill.closing(opt_out=True)
    drill.closing(thank_you=False)
    return closings[-1].contact, closings[-2].matter


def _commits(log: bytes) -> Iterator[int]:
    """Yield where each transaction ends in the log: its last frame says how large the file is."""
    frame = FRAME_HEADER + int.from_bytes(log[8:12], "big")
    for start in range(HEADER, len(log) - frame + 1, frame):
        if int.from_bytes(log[start + 4 : start + 8], "big"):
            yield start + frame


def _cuts(log: bytes, lasting: int) -> list[int]:
    """Return where the log may be cut: after each transaction that does not last, and within."""
    ends = [end for end in _commits(log) if end >= lasting]
    return [lasting, *ends, *(end - 1 for end in ends if end > lasting)]


def _log(drill: Drill) -> Path:
    return drill.state.with_name(f"{drill.state.name}-wal")


def _cut(drill: Drill, length: int) -> None:
    """Leave so many bytes of the log; its index lives in memory, so nothing is left of that."""
    _log(drill).write_bytes(_log(drill).read_bytes()[:length])
    drill.state.with_name(f"{drill.state.name}-shm").unlink()


def _fail_everywhere(
    make_drill: MakeDrill,
    share: int,
    steps: tuple[str, ...],
    begin: Callable[[Drill], tuple[int, int]],
    command: Callable[[Drill], Sequence[str]],
    recover: Callable[[Drill], None],
) -> None:
    """Fail after each of the steps, leaving each log that may be left, and let it recover."""
    with make_drill() as drill:
        begin(drill)
        names = drill.points(*command(drill))
    points = [number for number, name in enumerate(names, 1) if name.endswith(steps)]
    assert points, names
    for point in points[share::SHARES]:
        tried, cuts = 0, 1
        while tried < cuts:
            with told(f"cut {tried} at {names[point - 1]} ({point})"), make_drill() as drill:
                client, matter = begin(drill)
                assert drill.kill(point, *command(drill)), "it was not killed"
                lengths = _cuts(_log(drill).read_bytes(), drill.lasting())
                _cut(drill, lengths[tried])
                drill.judge()
                drill.later(minutes=20)
                drill.firm.set_opt_out(client)
                drill.firm.reopen(matter)
                recover(drill)
            tried, cuts = tried + 1, len(lengths)


@pytest.mark.parametrize("share", range(SHARES))
def test_log_cut_beside_a_file(make_drill: MakeDrill, share: int) -> None:
    """Nobody is in two files, nobody is lost, and nobody is held."""

    def begin(drill: Drill) -> tuple[int, int]:
        drill.write_files()
        drill.settings |= {"FILES": "yes", "SMALL_FILES": "4"}
        drill.removes_files = False
        return _crowd(drill)

    def recover(drill: Drill) -> None:
        assert drill.run(*drill.export()).code in (0, 65)
        drill.rest("sync")
        assert not [row for row in drill.rows() if row.state == "held"]
        assert all(name.endswith(".csv") for name in exported.names(drill))

    steps = ("commit: done", "link: done", "unlink: done", "fsync: done")
    _fail_everywhere(make_drill, share, steps, begin, Drill.export, recover)


@pytest.mark.parametrize("share", range(SHARES))
def test_log_cut_wherever_it_may_be(make_drill: MakeDrill, share: int) -> None:
    """Nobody is asked twice, nobody is lost, and at most one batch is in doubt."""

    def recover(drill: Drill) -> None:
        drill.rest("sync")
        held = [row for row in drill.rows() if row.state == "held"]
        assert len(held) <= BATCH, f"{held} are held"

    steps = ("commit: done", ": unread")
    _fail_everywhere(make_drill, share, steps, _crowd, lambda drill: ["sync"], recover)
