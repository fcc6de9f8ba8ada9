"""What the reader of cron's mail is told, and when: the same trouble once a day, not in each run.

What was told is remembered in a small file beside the state, and not in it, because a state that
cannot be opened is a trouble as well. The file holds codes, digests of sentences, and times.
Whenever it cannot be read or written, everything is told.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final, NamedTuple

from clio_broadly_sync.domain.errors import ATTENTION, OK, BusyError, UnavailableError
from clio_broadly_sync.store.notebook import Notes

PATIENCE: Final = timedelta(hours=6)
"""Clio or Broadly may be out of reach for so long before anybody is told."""
A_DAY: Final = timedelta(hours=23, minutes=50)
"""After so long the same trouble is told again. It is less than a whole day, because cron does not
start its runs to the second."""


class Trouble(NamedTuple):
    """What went wrong in a run; two with the same `key` are the same trouble.

    One with the code OK is a note: it ends no run, and no success ends it.
    """

    code: int
    """The exit code that belongs to it."""
    sentence: str = ""
    """What is said of it."""
    hangs: bool = False
    """Of a busy state: whether the run that holds it seems to hang."""

    @property
    def is_silent(self) -> bool:
        """Whether it is never told: a run that is at work tells for itself, unless it hangs."""
        return self.code == BusyError.exit_code and not self.hangs

    @property
    def key(self) -> str:
        """The word by which it is remembered: two troubles with one key count as the same."""
        if self.code == UnavailableError.exit_code:  # the sentences of one outage differ
            return str(self.code)
        return f"{self.code} {sha256(self.sentence.encode()).hexdigest()[:16]}"


SURGE: Final = Trouble(ATTENTION, "surge")
"""The trouble of every surge, whatever its figures are."""


class Entry(NamedTuple):
    """What is remembered of a trouble. Its moments are aware."""

    since: datetime
    """When a run met it first."""
    told: datetime | None = None
    """When it was told last; None where it was not told yet."""


Memory = Mapping[str, Entry]
"""The entries of the troubles that last, by their keys."""


class Alert(NamedTuple):
    """Whether and how a run says what there is to say."""

    aloud: bool
    """Whether it is printed; otherwise it is at most worth log lines."""
    outage_since: datetime | None = None
    """When the outage began of which it is time to tell; None where there is none."""


def tell(memory: Memory, trouble: Trouble, now: datetime) -> tuple[bool, Memory]:
    """Return whether a trouble is to be told now, and what is to be remembered from now on.

    A busy state is told only where the run that holds it hangs.
    """
    if trouble.is_silent:
        return False, memory
    before = memory.get(trouble.key)
    # A moment in the future was noted by a clock that has been set back since, so nobody knows when
    # it really was.
    if before is None or max(before.since, before.told or now) > now:
        before = Entry(now)
    if before.told is not None:
        due = now - before.told >= A_DAY
    else:
        due = trouble.code != UnavailableError.exit_code or now - before.since >= PATIENCE
    return due, {**memory, trouble.key: before._replace(told=now) if due else before}


def kept(memory: Memory, troubles: Sequence[Trouble], now: datetime, *, success: bool) -> Memory:
    """Return the memory without the troubles that have ended.

    A run that succeeded has ended all but its own `troubles`. After any other run, those stay too
    that were told less than a day ago, and an outage; the rest would be told again anyway.
    """
    lasting = {trouble.key for trouble in troubles}
    recent = {k for k, e in memory.items() if e.told is not None and now - e.told < A_DAY}
    lasting |= {key for key in recent if not success or key.startswith(f"{OK} ")}
    if not success:
        lasting.add(Trouble(UnavailableError.exit_code).key)
    return {key: entry for key, entry in memory.items() if key in lasting}


class AlertLog:
    """What cron's reader was told, in these notes. Both methods may raise OSError."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes

    def read(self) -> Memory:
        """Return what they say; nothing where there are none or they cannot be understood."""
        try:
            return {key: _entry(value) for key, value in self._notes.read().items()}
        except (ValueError, TypeError, AttributeError, KeyError):
            return {}

    def write(self, memory: Memory) -> None:
        """Write all of the memory or nothing."""
        self._notes.write({key: _as_json(entry) for key, entry in memory.items()})


class AlertThrottle:
    """The decision whether a run prints what it has to say.

    `alert_log` is the file of what was told, and None where there is no place for one; then
    everything but a busy state is told. With `always`, everything is printed, because a person
    asked, on a terminal or for more words, and gets an answer each time.
    """

    def __init__(self, alert_log: AlertLog | None, *, always: bool) -> None:
        self._notebook = alert_log
        self._always = always

    def hear(self, troubles: Sequence[Trouble], now: datetime, *, success: bool) -> Alert:
        """Decide how a run with these troubles is told, and remember what the decision needs.

        `now` is aware UTC; `success` says whether the run ended with 0 or 65. With `always`,
        nothing counts as told to the reader of cron's mail, but a success ends troubles as usual.
        A file that cannot be read or written raises nothing: then the run is told.
        """
        if any(trouble.is_silent for trouble in troubles):
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


def is_news(alert_log: AlertLog | None, note: str, now: datetime) -> bool:
    """Tell whether cron's reader is to be told a note, which is then remembered for a day."""
    if alert_log is None:
        return True
    try:
        due, memory = tell(alert_log.read(), Trouble(OK, note), now)
        if due:
            alert_log.write(memory)
    except OSError:
        return True
    return due


def _as_json(entry: Entry) -> dict[str, str | None]:
    told = None if entry.told is None else entry.told.isoformat()
    return {"since": entry.since.isoformat(), "told": told}


def _entry(value: Any) -> Entry:
    told = value["told"]
    return Entry(moment_in(value["since"]), None if told is None else moment_in(told))


def moment_in(text: str) -> datetime:
    """Return the aware moment that a file names; raise ValueError where that is none."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError
    return found
