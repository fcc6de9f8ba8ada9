"""What one worker does now and then for all firms: the alarm about silent ones, and the sweep.

Every worker calls both every minute or so. Whose turn it is, the database says, so that of several
workers one does it, and one worker is enough.
"""

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from clio_broadly_sync.domain.errors import ATTENTION, OK, UnavailableError
from clio_broadly_sync.monitor import MAX_LINES, Monitor
from clio_broadly_sync.settings.fleet import FleetSettings
from clio_broadly_sync.store.firms import Firms, Work
from clio_broadly_sync.store.fleet_overview import Behind, FleetOverview, Standing
from clio_broadly_sync.store.postgresql import Session
from clio_broadly_sync.store.sweep import Sweep
from clio_broadly_sync.transport.signals import Stop

log = logging.getLogger(__name__)

WATCHES_EVERY: Final = timedelta(minutes=5)
"""The monitor is told so often. It should raise the alarm where it hears nothing for three times as
long: then no worker is left, or none reaches the database."""
SWEEPS_EVERY: Final = timedelta(days=1)


def watch(session: Session, settings: FleetSettings) -> None:
    """Tell the monitor of the fleet, and the log, whether firms are silent, if it is our turn.

    May raise StorageError; a monitor that is away raises nothing.
    """
    if not Firms(session).is_turn(Work.WATCH, WATCHES_EVERY):
        return
    hours = settings.fleet_silent_hours
    code, lines = alarm(FleetOverview(session).read(timedelta(hours=hours)), hours)
    for line in lines[:1]:
        log.warning("%s", line)
    Monitor(settings.fleet_ping_url).ended(code, lines)


def alarm(standing: Standing, hours: int) -> tuple[int, list[str]]:
    """Return the exit code with which the monitor is told how the firms stand, and the lines.

    A firm that fails raises no alarm: many failures mend themselves, the firm's own PING_URL and
    NOTIFY_URLS tell of it, and `fleet status` does. Once it is silent somebody has to see to it,
    whatever the cause is, for that may be one of all firms; whoever knows of it pauses the firm.
    """
    if standing.silent:
        return UnavailableError.exit_code, _silent(standing.silent, hours)
    if standing.restored_at is not None:
        return ATTENTION, [RESTORED]
    return OK, []


RESTORED: Final = (
    "The database was restored, so its firms are paused: see what docs/fleet.md says of that, "
    "then `clio-broadly-sync firms resume --all`."
)


def _silent(silent: Sequence[Behind], hours: int) -> list[str]:
    """Return lines with the names of some firms, and how many others there are."""
    room = MAX_LINES - 2
    names = [firm.name for firm in silent[:room]]
    more = [f"… and {len(silent) - room} more"] if len(silent) > room else []
    return [f"Firms without a good run for {hours} hours: {len(silent)}.", *names, *more]


def sweep(session: Session, settings: FleetSettings, stop: Stop) -> None:
    """Sweep the list of runs of every firm (`store/sweep.py`), if it is our turn.

    Raise StoppedError at a signal, between two firms. May raise StorageError.
    """
    if not Firms(session).is_turn(Work.SWEEP, SWEEPS_EVERY):
        return
    swept = 0
    try:
        for rows in Sweep(session).all(timedelta(days=settings.fleet_keep_idle_runs_days)):
            swept += rows
            stop.check()
    finally:
        log.info("rows of idle runs swept: %d", swept)
