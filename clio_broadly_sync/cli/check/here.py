"""What `check` finds on this machine: the settings file, the state, its runs, and what waits.

The state is read once, from a copy: nothing is written beside it.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from clio_broadly_sync.cli import app, findings, times
from clio_broadly_sync.cli import report_words as words
from clio_broadly_sync.cli import status_standing as standing
from clio_broadly_sync.cli.findings import Finding
from clio_broadly_sync.cli.options import Options
from clio_broadly_sync.cli.status_standing import Standing
from clio_broadly_sync.domain.errors import ATTENTION, OK, StorageError, outcome_of
from clio_broadly_sync.domain.model import Pins
from clio_broadly_sync.settings import Settings, settings_path
from clio_broadly_sync.store.overview import PastRun

_DAMAGED: Final = (
    "The state file is damaged: put the last good copy of it in its place before the next `sync`."
)


class Known(NamedTuple):
    """What the state says."""

    pins: Pins | None
    standing: Standing


def where_settings_are(options: Options) -> Finding:
    """Say where the settings come from, which are in order."""
    path = _settings_file(options)
    where = path if os.path.exists(path) else "the environment alone"
    return findings.ok("settings", f"They are in order; read from {where}")


def settings_file(options: Options) -> Iterator[Finding]:
    """Warn where others may read the settings file, which holds keys."""
    path = _settings_file(options)
    if os.path.exists(path) and path.stat().st_mode & 0o077:
        yield findings.warning(
            "settings", f"Others may read {path}, which holds keys: make it private with chmod 600."
        )


def read_state(settings: Settings) -> Known:
    """Return what the state says; raise StorageError where a run could not use it."""
    path = settings.sync_state
    with app.opened(settings, writes=False) as store:
        if not store.is_sound():
            raise StorageError(_DAMAGED)
        check_writable(path)
        return Known(store.pins(), standing.read(settings, store, app.now()))


def is_seen(settings: Settings, ends: app.Ends) -> bool:
    """Tell whether a run has checked the account of this sign-in."""
    with app.opened(settings, writes=False) as store:
        return store.has_seen(ends.tokens.access_token())


def state(settings: Settings) -> Finding:
    """Say where the state is that was read."""
    path = settings.sync_state
    if not path.exists():
        return findings.ok("state", f"There is none yet; the first `sync` makes it: {path}")
    return findings.ok("state", f"It is private, sound, and of this version: {path}")


def runs(stands: Standing) -> Iterator[Finding]:
    """Say how the last `sync` ended, what was cut short, and whether cron seems to run at all."""
    latest, sync = next(iter(stands.runs), None), stands.last_sync
    if latest is not None and latest.finished_at is None and latest != sync:
        yield _ended(latest, stands)
    if sync is None:
        yield findings.ok("last run", "There was no `sync` yet; the first one sets the start day.")
        return
    yield _ended(sync, stands)
    if stands.is_silent:
        yield findings.warning(
            "cron",
            f"The last `sync` began {times.length(stands.now - sync.started_at)} ago: cron does "
            "not seem to run it. Look at its line with `crontab -l`.",
        )


def outbox(stands: Standing) -> Finding:
    """Say how much waits, for a person or for a later run."""
    if stands.for_a_person:
        waits = words.count(stands.for_a_person, "closing waits", "closings wait")
        return findings.warning("outbox", f"{waits} for a person: see `clio-broadly-sync status`.")
    if later := standing.count(stands.waiting):
        waits = words.count(later, "closing waits", "closings wait")
        return findings.ok("outbox", f"Nothing waits for a person; {waits} for a later run.")
    return findings.ok("outbox", "Nothing waits.")


def _settings_file(options: Options) -> Path:
    return settings_path(options.config_file, os.environ, Path.cwd())


def _ended(run: PastRun, stands: Standing) -> Finding:
    name = f"`{run.command}` of {times.moment(run.started_at, stands.zone)}"
    if run.exit_code == OK:
        return findings.ok("last run", f"The {name} ended well.")
    if run.exit_code == ATTENTION:
        waited = f"something waited for a person ({run.exit_code})"
        return findings.ok("last run", f"The {name} came through; {waited}.")
    if run.exit_code is not None:
        return findings.warning(
            "last run",
            f"The {name} ended with exit code {run.exit_code} ({outcome_of(run.exit_code)}): "
            "if nothing above explains it, run it once by hand.",
        )
    if stands.at_work and run == stands.runs[0]:
        return findings.ok("last run", f"The {name} is at work.")
    return findings.warning(
        "last run",
        f"The {name} did not come to its end (it was killed, or the machine went down); "
        "the next one puts in order what it left.",
    )


def check_writable(path: Path) -> None:
    """Ask only: nothing is written to find out."""
    folder = path.parent
    while not folder.exists():
        folder = folder.parent
    usable = os.access(folder, os.W_OK | os.X_OK)
    if not usable or (path.exists() and not os.access(path, os.W_OK)):
        raise StorageError(
            f"The state could not be written here: {path}; run this as the user that owns it, "
            "or check SYNC_STATE."
        )
