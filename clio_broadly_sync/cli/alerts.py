"""What cron's reader is told, and when: the same trouble once a day, not in each of 96 runs.

What was told is remembered in a small file beside the state, and not in it, because a state that
cannot be opened is a trouble as well. The file holds codes, digests of sentences, and times.
Whenever it cannot be read or written, everything is told.
"""

import json
import os
import stat
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from clio_broadly_sync.domain.errors import ATTENTION, BusyError, UnavailableError

PATIENCE: Final = timedelta(hours=6)
"""So long Clio or Broadly may be away before anybody is told."""
A_DAY: Final = timedelta(hours=23, minutes=50)
"""Until the same is told again: not a whole day, because cron is not that punctual."""
LARGEST_BYTES: Final = 1_000_000
"""Fifty times what a day of troubles that are never the same would take."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What went wrong in a run; two with the same `key` are the same trouble."""

    code: int
    sentence: str = ""

    @property
    def key(self) -> str:
        if self.code == UnavailableError.exit_code:  # one outage has many sentences
            return str(self.code)
        return f"{self.code} {sha256(self.sentence.encode()).hexdigest()[:16]}"


SURGE: Final = Trouble(ATTENTION, "surge")


@dataclass(frozen=True, slots=True)
class Entry:
    """Since when a trouble lasts, and when it was told last."""

    since: datetime
    told: datetime | None = None


Memory = Mapping[str, Entry]


@dataclass(frozen=True, slots=True)
class Alert:
    """Whether to say what there is to say; `outage_since` where that is of an outage that lasts."""

    aloud: bool
    outage_since: datetime | None = None


def tell(memory: Memory, trouble: Trouble, now: datetime) -> tuple[bool, Memory]:
    """Decide whether a trouble is to be told now; return what to remember, too."""
    if trouble.code == BusyError.exit_code:
        return False, memory
    before = memory.get(trouble.key)
    # A moment to come was noted by a clock that has been put back: who knows when that was.
    if before is None or max(before.since, before.told or now) > now:
        before = Entry(now)
    if before.told is not None:
        due = now - before.told >= A_DAY
    else:
        due = trouble.code != UnavailableError.exit_code or now - before.since >= PATIENCE
    return due, {**memory, trouble.key: replace(before, told=now) if due else before}


def kept(memory: Memory, troubles: Sequence[Trouble], now: datetime, *, success: bool) -> Memory:
    """Forget what a success has ended, and what would be told again anyway."""
    lasting = {trouble.key for trouble in troubles}
    if not success:
        lasting.add(Trouble(UnavailableError.exit_code).key)
        lasting |= {k for k, e in memory.items() if e.told is not None and now - e.told < A_DAY}
    return {key: entry for key, entry in memory.items() if key in lasting}


class AlertLog:
    """The file, readable by nobody else. Both methods may raise OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Memory:
        """Return what it holds; nothing where there is none, or nonsense."""
        try:
            if not stat.S_ISREG(self._path.lstat().st_mode):
                return {}  # a pipe would be waited for
            with self._path.open("rb") as file:
                found = json.loads(file.read(LARGEST_BYTES))
            return {key: _entry(value) for key, value in found.items()}
        except (FileNotFoundError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
            return {}

    def write(self, memory: Memory) -> None:
        """Write all of it or nothing; where nothing is to be remembered, there is no file."""
        if not memory:
            self._path.unlink(missing_ok=True)
            return
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=self._path.parent, prefix=f"{self._path.name}.")
        try:
            with open(handle, "w", encoding="utf-8") as file:
                json.dump({key: _as_json(entry) for key, entry in memory.items()}, file)
            os.replace(draft, self._path)
        except BaseException:
            with suppress(OSError):
                os.unlink(draft)
            raise


class AlertThrottle:
    """Decides for a run whether what it has to say is printed.

    `alert_log`: where it is remembered, None where there is no place for one. `always`: a person
    asked, on a terminal or for more words, and gets an answer each time.
    """

    def __init__(self, alert_log: AlertLog | None, *, always: bool) -> None:
        self._notebook = alert_log
        self._always = always

    def hear(self, troubles: Sequence[Trouble], now: datetime, *, success: bool) -> Alert:
        """Decide, and remember what was told to cron's reader, or that a success ended it."""
        if any(trouble.code == BusyError.exit_code for trouble in troubles):
            return Alert(self._always)
        if self._notebook is None:
            return Alert(aloud=True)
        try:
            return self._hear(self._notebook, troubles, now, success)
        except OSError:
            return Alert(aloud=True)

    def _hear(
        self, alert_log: AlertLog, troubles: Sequence[Trouble], now: datetime, success: bool
    ) -> Alert:
        before = alert_log.read()
        memory = kept(before, troubles, now, success=success)
        due = []
        for trouble in () if self._always else troubles:
            is_due, memory = tell(memory, trouble, now)
            due += [trouble] if is_due else []
        if memory != before:
            alert_log.write(memory)
        since = [
            memory[trouble.key].since
            for trouble in due
            if trouble.code == UnavailableError.exit_code
        ]
        return Alert(self._always or bool(due), since[0] if since else None)


def _as_json(entry: Entry) -> dict[str, str | None]:
    told = None if entry.told is None else entry.told.isoformat()
    return {"since": entry.since.isoformat(), "told": told}


def _entry(value: Any) -> Entry:
    told = value["told"]
    return Entry(_moment(value["since"]), None if told is None else _moment(told))


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError
    return found
