"""What is said of a bug: where it is, and never the data that met it."""

import traceback
from pathlib import PurePath

from clio_broadly_sync.cli.output import OutputError

FRAMES = 18
"""With a line before them and one after, no more than cron's mail may hold."""


def lines(bug: BaseException) -> list[str]:
    """Return where it is and the kind of error; its message may hold a client's data.

    Output that could not be written is no bug, and has a sentence of its own.
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
