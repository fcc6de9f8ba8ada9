"""Whoever holds the state, as `status` says it: who that is, since when, and whether it hangs."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from clio_broadly_sync.cli import output
from clio_broadly_sync.store import Holder


def hanging(holder: Holder | None) -> Iterator[str]:
    """Yield what is wrong and what to do, a line each, where the holder hangs."""
    if holder is not None and holder.hangs:
        quiet = output.length(holder.quiet)
        yield f"A run seems to hang (nothing was written for {quiet}); no other can work:"
        yield f"      → {holder.remedy}"


def lines(holder: Holder | None, ago: Callable[[datetime], str]) -> Iterator[str]:
    """Yield who holds the state, as far as that is known; `ago` returns a moment in words."""
    if holder is None:
        return
    name = holder.command or "a run"
    if holder.since is None:
        yield f"At work     {name}; its lock file does not say since when"
    else:
        yield f"At work     {name} since {ago(holder.since)}"
    if holder.process is not None:
        yield f"            {holder.process}"


def as_object(holder: Holder) -> dict[str, Any]:
    """Return the holder as `status --json` shows it."""
    return {
        "command": holder.command,
        "since": holder.since,
        "pid": holder.pid,
        "host": holder.host,
        "quiet_seconds": holder.quiet,
    }
