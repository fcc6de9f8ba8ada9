"""Log lines on stderr, as text or as JSON. They name ids and counts, and never a person."""

import json
import logging
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import Literal, TextIO

from clio_broadly_sync.cli import output

_LOG = logging.getLogger("clio_broadly_sync")
about: ContextVar[str] = ContextVar("about", default="")
"""How a line begins of a run that is one of many in this process, so that it is known whose it is.
"""


def set_up(form: Literal["text", "json"], *, verbose: bool) -> None:
    """Send this program's log to stderr; warnings and errors only, unless `verbose`."""
    handler = _Handler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    _LOG.handlers = [handler]
    _LOG.propagate = False
    _LOG.setLevel(logging.INFO if verbose else logging.WARNING)


def error(text: str) -> None:
    """Print a sentence that a person has to read on stderr, in the form of the log.

    Where `set_up` was not called yet, that form is text.
    """
    if not _LOG.handlers:
        set_up("text", verbose=False)
    _LOG.error("%s", text)


def begun(text: str) -> None:
    """Print on stderr that a process has begun its work, in the form of the log.

    Whoever starts it waits for that line, so it is printed whether or not more is to be said.
    """
    record = _LOG.makeRecord(_LOG.name, logging.INFO, __file__, 0, text, (), None)
    _LOG.handle(record)


def around_each_line(wiped: Callable[[], AbstractContextManager[None]]) -> None:
    """Print each log line from now on within this context.

    It wipes the line of `cli/progress.py`, which may still stand on the terminal.
    """
    _Handler.around = staticmethod(wiped)


class _Handler(logging.StreamHandler[TextIO]):
    around: Callable[[], AbstractContextManager[None]] = staticmethod(nullcontext)
    """Each line is printed within it."""

    def emit(self, record: logging.LogRecord) -> None:
        with self.around():
            super().emit(record)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Write the level before the message, except for an error: that is a sentence to read."""
        level = "" if record.levelno >= logging.ERROR else f"{record.levelname} "
        return output.folded(
            f"clio-broadly-sync: {level}{about.get()}{record.getMessage()}", err=True
        )


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": about.get() + output.for_the_firm(record.getMessage()),
        }
        return json.dumps(entry, ensure_ascii=False)
