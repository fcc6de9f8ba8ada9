"""How it stands: how far the runs have come, what waits, and what needs a person.

It is read from the settings and the state; `status` and `check` say it.
"""

import os
import resource
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Final

from clio_broadly_sync.cli import app, exports
from clio_broadly_sync.cli.days import sent_by_day
from clio_broadly_sync.domain import daily_look, rules
from clio_broadly_sync.domain.daily_look import Part
from clio_broadly_sync.domain.errors import NOT_SIGNED_IN, StorageError, SyncError
from clio_broadly_sync.domain.model import Command, SyncRule
from clio_broadly_sync.domain.reasons import ABOUT, Reason
from clio_broadly_sync.settings import Settings
from clio_broadly_sync.store import Holder, Store
from clio_broadly_sync.store.objections import Objection
from clio_broadly_sync.store.overview import Group, PastRun

RUNS: Final = 5
"""At most so many runs are listed."""
SILENCE: Final = timedelta(hours=2)
"""After so long without a `sync`, cron does not seem to run it."""
BESIDE: Final = ("-wal", "-shm", ".lock")
"""How the names of the files end that a run writes beside the state."""
ROOM_BYTES: Final = 1 << 20
"""A run needs at least so much room for them."""


@dataclass(frozen=True, slots=True)
class Status:
    """How it stands at a moment."""

    now: datetime
    """The moment for which all of it is said (aware UTC)."""
    zone: tzinfo | None
    """The firm's zone; None stands for this machine's."""
    rule: SyncRule
    """The rule that is pinned; that of the settings where nothing is pinned yet."""
    first_run: datetime | None
    """The moment of the first `sync` (aware UTC); None where there was none yet."""
    start_day: date | None
    """A date in the firm's zone; None where no `sync` has run yet."""
    watermark: datetime | None
    """The watermark (aware UTC); None where no `sync` has run yet."""
    paused_until: datetime | None
    """Until when nobody is sent to Broadly after a lost answer (aware UTC); None: no pause."""
    opens_at: datetime | None
    """When the sending hours begin next (aware UTC); None where it is within them."""
    last_sync: PastRun | None
    """The last `sync`, however it ended; None where there was none yet."""
    runs: list[PastRun]
    """The last runs, the latest first."""
    at_work: bool
    """Whether the last run has not come to its end because it is still under way."""
    running: Holder | None
    """Whoever holds the state at this moment, also a command that is no run; None: nobody."""
    waiting: list[Group]
    sending: list[Group]
    held: list[Group]
    dead: list[Group]
    export: exports.Waiting | None
    """What waits for a file; None where the destination is none."""
    stopped_by: list[tuple[int, int]]
    """How many closings each contact stops whose no is not their own, the most first."""
    objections: list[Objection]
    """Who has opted out after they were sent, the first first."""
    looked_at: datetime | None
    """When the daily look last came to its end (aware UTC); None where it never did."""
    not_looked_since: datetime | None
    """Since when no daily look has come to its end, where that is worth a word (aware UTC)."""
    days: list[tuple[date, int]]
    """How many closings were sent to Broadly on each of the last days, the latest first."""
    untouched: int = 0
    """How many closings were skipped because nobody had touched the matter's checkbox."""
    opt_in: str = ""
    """The name of the matter's checkbox."""
    firm: str | None = None
    """The firm's name in a fleet, whose workers run it; None where cron runs it."""
    is_paused: bool = False
    """Whether the firm is paused, so that no worker runs it."""
    silence: timedelta = SILENCE
    hindrance: str | None = None
    """What keeps every run from its work, as far as that can be told without asking or writing."""

    @property
    def cron_seems_to_run(self) -> bool | None:
        """Whether cron, or a worker of the fleet, seems to run `sync`; None: that cannot be told.

        A `sync` that finds the state held leaves nothing behind.
        """
        if self.last_sync is None or self.is_paused:
            return None
        if self.now - self.last_sync.started_at <= self.silence:
            return True
        return False if self.running is None else None

    @property
    def for_a_person(self) -> int:
        """How many closings go no further until a person has done something."""
        waiting = [group for group in self.waiting if self.is_for_a_person(group)]
        return closings_in([*self.held, *self.dead, *waiting])

    @property
    def needs_a_person(self) -> bool:
        return self.for_a_person > 0 or (self.running is not None and self.running.hangs)

    def is_left(self, group: Group) -> bool:
        """Tell whether a backfill has left these closings, which go no further by themselves.

        A backfill that is at work may still take them.
        """
        backfills = self.at_work and self.runs[0].command == Command.BACKFILL
        return group.command is Command.BACKFILL and not backfills

    def is_for_file(self, group: Group) -> bool:
        """Tell whether these closings wait for the file of a `sync`."""
        return group.reason is Reason.EXPORT and group.command is Command.SYNC

    def is_for_a_person(self, group: Group) -> bool:
        """Tell whether these closings go no further until a person has done something."""
        is_due = self.export is not None and self.export.is_due and self.is_for_file(group)
        return is_due or self.is_left(group) or bool(to_do(group))


def read_status(settings: Settings, store: Store, now: datetime) -> Status:
    """Return how it stands at the moment `now` (aware UTC)."""
    overview, known = store.overview, store.pins()
    zone, policy = app.firm_zone(settings, store), app.policy(settings, Command.SYNC, store)
    last_runs, hours = overview.last_runs(RUNS), policy.hours
    settled = now - timedelta(hours=policy.settle_hours)
    waiting = overview.waiting(rules.kept_back(policy, now, zone), settled)
    until = rules.paused_until(None if policy.dedupes else store.doubts, now)
    looks = {part: store.looked(part) for part in Part}
    return Status(
        now=now,
        zone=zone,
        rule=settings.sync_rule if known is None else known.rule,
        first_run=store.first_run,
        start_day=store.start_day,
        watermark=store.watermark,
        paused_until=until and hours.next_open(until, zone),
        opens_at=None if hours.are_open(now, zone) else hours.next_open(now, zone),
        last_sync=overview.last_sync(),
        runs=last_runs,
        at_work=store.at_work is not None,
        running=app.place_of(settings).holder(),
        waiting=waiting,
        sending=overview.sending(),
        held=overview.held(),
        dead=overview.dead(),
        export=exports.waiting(settings, store, waiting, now.astimezone(zone).date()),
        stopped_by=overview.stopped_by(),
        objections=store.ledger.objections.listed(now),
        looked_at=daily_look.done_at(looks),
        not_looked_since=daily_look.overdue_since(looks, store.first_run, now),
        days=sent_by_day(store, now, zone),
        untouched=overview.untouched(),
        opt_in=settings.sync_opt_in_field,
        firm=app.firm_of(settings),
        is_paused=app.is_paused(settings),
        silence=getattr(settings, "silence", SILENCE),  # `cli/one_firm.py`
        hindrance=_hindrance(settings),
    )


def _hindrance(settings: Settings) -> str | None:
    place = app.place_of(settings)
    try:
        if place.folder is not None:
            check_writable(settings.sync_state)
        is_signed_in = settings.clio_access_token is not None or place.sign_in().read() is not None
    except SyncError as error:
        return str(error)
    return None if is_signed_in else NOT_SIGNED_IN


def closings_in(groups: Iterable[Group]) -> int:
    return sum(group.closings for group in groups)


def to_do(group: Group) -> tuple[str, ...]:
    """Return what a person can do about closings that wait; nothing where they go by themselves."""
    return ABOUT[group.reason].to_do if group.reason else ()


def check_writable(path: Path) -> None:
    """Raise StorageError where the state in this file could not be written.

    Permissions and room are looked at, and nothing is written to find that out.
    """
    folder = path.parent
    while not os.path.exists(folder):  # not `Path.exists`, which raises where we may not look
        folder = folder.parent
    usable = os.access(folder, os.W_OK | os.X_OK)
    files = [path, *(Path(f"{path}{end}") for end in BESIDE)]
    locked = [file for file in files if os.path.exists(file) and not os.access(file, os.W_OK)]
    if not usable or locked:
        raise StorageError(
            f"The state could not be written here: {[*locked, path][0]}; run this as the user that "
            "owns it, or check its permissions and SYNC_STATE."
        )
    if not _has_room(path, folder):
        raise StorageError(
            f"There is no room to write the state: {path}; make room on its disk, or name a place "
            "on another one with SYNC_STATE."
        )


def _has_room(path: Path, folder: Path) -> bool:
    """Tell whether disk and user limits leave a run the room that it needs at least.

    A disk that tells no size, or has no limit to its number of files, has room.
    """
    disk = os.statvfs(folder)
    free, files = disk.f_bavail, disk.f_favail
    if os.geteuid() == 0:  # some is kept back for root alone
        free, files = disk.f_bfree, disk.f_ffree
    full = disk.f_blocks > 0 and free * disk.f_frsize < ROOM_BYTES
    full = full or (disk.f_files > 0 and files < len(BESIDE))
    most, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = path.stat().st_size if os.path.exists(path) else 0
    return not full and (most == resource.RLIM_INFINITY or size + ROOM_BYTES <= most)
