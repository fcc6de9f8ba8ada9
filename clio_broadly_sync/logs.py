"""Log lines on stderr, as text or as JSON. What they say names ids and counts, never a person."""

import json
import logging
import sys
import time
from typing import Literal


def set_up(form: Literal["text", "json"], *, verbose: bool) -> None:
    """Send this program's log to stderr; warnings only, unless `verbose`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text("%(levelname)s %(message)s"))
    log = logging.getLogger("clio_broadly_sync")
    log.handlers = [handler]
    log.propagate = False
    log.setLevel(logging.INFO if verbose else logging.WARNING)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return f"clio-broadly-sync: {super().format(record)}"


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        return json.dumps(entry, ensure_ascii=False)
