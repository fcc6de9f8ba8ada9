"""What `check` finds here: the settings file, the state, its runs, and what waits.

The state is read from a copy, so nothing is written beside it. What is found at Clio is in
`cli/check/clio.py`, and at other addresses in `cli/check/addresses.py`.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from clio_broadly_sync.cli import app, findings, output
from clio_broadly_sync.cli.check import file_systems
from clio_broadly_sync.cli.findings import Finding
from clio_broadly_sync.cli.options import Options
from clio_broadly_sync.cli.output import PROGRAM
from clio_broadly_sync.cli.second_state import another_state
from clio_broadly_sync.cli.standing import Status, check_writable, closings_in, read_status
from clio_broadly_sync.domain.errors import (
    ATTENTION,
    OK,
    PAUSED,
    ConfigError,
    words_of,
)
from clio_broadly_sync.domain.hours import ALWAYS
from clio_broadly_sync.domain.model import Pins
from clio_broadly_sync.settings import Settings, near_names, settings_path
from clio_broadly_sync.store.database import others_may
from clio_broadly_sync.store.integrity import Flaw
from clio_broadly_sync.store.overview import PastRun

if TYPE_CHECKING:
    from clio_broadly_sync.cli.clients import Clients


class Known(NamedTuple):
    """What the state says, where it can be used."""

    pins: Pins | None
    """None where nothing is pinned yet."""
    status: Status
    """What `status` says."""


def where_settings_are(options: Options) -> Finding:
    """Return where the settings, which are in order, were read from."""
    path = _settings_file(options)
    where = str(path) if os.path.exists(path) else "the environment alone"
    if options.firm is not None:
        where = f"the database, and the fleet's from {where}"
    return findings.ok("settings", f"They are in order; read from {where}.")


def settings_file(options: Options) -> Iterator[Finding]:
    """Yield warnings where others may use the settings file, which holds keys and says where data
    goes, and of names in the environment that are nearly those of settings."""
    path = None
    with suppress(ConfigError):  # it is not even said where it is
        path = _settings_file(options)
    if path is not None and os.path.isfile(path) and (mode := path.stat().st_mode) & 0o077:
        yield findings.warning(
            "settings",
            f"Others may {others_may(mode)} {path}, which holds keys: make it private with "
            "`chmod 600`.",
        )
    for note in near_names(os.environ):
        yield findings.warning("settings", note)


def read_state(settings: Settings) -> tuple[list[Flaw], Known | None]:
    """Return the state's flaws, as `verify` finds them, and what it says where none is grave.

    The watermark is held against the clock only as a run does it. Raise StorageError where a run
    could not use the state: where it could not be read or written.
    """
    place, now = app.place_of(settings), app.our_clock()
    path = settings.sync_state if place.folder is not None else None
    flaws = place.flaws() if path is not None and os.path.exists(path) else []
    with app.opened(settings, writes=False) as store:
        store.check_watermark(now)
        flaws += store.flaws(None)
        if any(flaw.grave for flaw in flaws):
            return flaws, None
        if path is not None:
            check_writable(path)
        return flaws, Known(store.pins(), read_status(settings, store, now))


def is_seen(settings: Settings, clients: "Clients") -> bool:
    """Tell whether the account of this sign-in was checked before; may raise SyncError."""
    with app.opened(settings, writes=False) as store:
        return store.has_seen(clients.tokens.access_token())


def state(options: Options, settings: Settings, status: Status) -> Iterator[Finding]:
    """Yield where the state is that was read, or where the first `sync` makes it; and a warning
    where that is on a file system of a network. Of a firm in a fleet it is said how it stands."""
    if status.firm is not None:
        begun = status.first_run is not None
        says = "It is sound, and of this version." if begun else "The first `sync` begins it."
        yield findings.ok("state", f"It is in the database. {says}")
        if status.is_paused:
            says = f"It is paused: `{PROGRAM} firms resume {status.firm}`."
            yield findings.warning("firm", says)
        return
    path = settings.sync_state
    if (kind := file_systems.of_a_network(path.parent.resolve())) is not None:
        yield findings.warning(
            "state",
            f"It lies on a network folder ({kind}), where two runs may work at once, and another "
            "machine may damage it: move it to a disk of this machine, and set SYNC_STATE to that.",
        )
    if path.exists():
        yield findings.ok("state", f"It is private, sound, and of this version: {path}.")
        return
    yield findings.ok("state", f"There is none yet; the first `sync` makes it: {path}.")
    if (other := another_state(options, settings)) is not None:
        yield findings.warning(
            "state",
            f"Beside the settings file lies a state already, {other}: unless that is of another "
            "Clio account, the first `sync` stops. Set SYNC_STATE to it, or move it away.",
        )


def daily_look(status: Status) -> Iterator[Finding]:
    """Yield a warning where no daily look has come to its end for days."""
    if (since := status.not_looked_since) is not None:
        yield findings.warning(
            "daily look",
            f"None has come to its end since {output.moment(since, status.zone)}, so nobody "
            "noticed a box that was checked or unchecked since then: see with `clio-broadly-sync "
            f"status` how the last runs ended, and let {_runner(status)} run `sync`.",
        )


def runs(status: Status) -> Iterator[Finding]:
    """Yield how the last `sync` ended, and warnings where a run hangs or cron seems to run none.

    Where the very last run has not come to its end and is no `sync`, it comes first.
    """
    if status.running is not None and status.running.hangs:
        yield findings.warning("lock", status.running.sentence)
    latest, sync = next(iter(status.runs), None), status.last_sync
    if latest is not None and latest.finished_at is None and latest != sync:
        yield _ended(latest, status)
    if sync is None:
        yield findings.ok(
            "last run", "There was no `sync` yet; the first one notes where to start."
        )
        return
    yield _ended(sync, status)
    if status.cron_seems_to_run is False and status.firm is not None:
        yield findings.warning(
            "worker",
            f"The last `sync` began {output.length(status.now - sync.started_at)} ago: no worker "
            f"seems to run the firm. See `{PROGRAM} fleet status`.",
        )
    elif status.cron_seems_to_run is False:
        yield findings.warning(
            "cron",
            f"The last `sync` began {output.length(status.now - sync.started_at)} ago: cron does "
            "not seem to run it. Look at its line with `crontab -l`.",
        )


def _runner(status: Status) -> str:
    return "cron" if status.firm is None else "a worker"


def pause(status: Status) -> Iterator[Finding]:
    """Yield a warning where nobody is sent to Broadly for a while after a lost answer."""
    if (until := status.paused_until) is not None:
        says = PAUSED.format(until=output.moment(until, status.zone))
        yield findings.warning("pause", says)


def hours(settings: Settings, status: Status) -> Iterator[Finding]:
    """Yield what the sending hours mean at this moment, and for the brake; nothing where they never
    end."""
    given, about = settings.sending_hours(), "sending hours"
    if given == ALWAYS:
        return
    says = "Clients may be sent at this moment."
    if status.opens_at is not None:
        says = f"Nobody is sent until {output.moment(status.opens_at, status.zone)}."
    if (gap := given.longest_gap()) > timedelta(days=1):
        says += (
            f" Up to {gap // timedelta(hours=1)} hours lie between them, and what closes in that "
            f"time counts as one day: more than {settings.sync_max_new} (SYNC_MAX_NEW) wait for a "
            "person's yes."
        )
    yield findings.ok(about, says)


def outbox(status: Status) -> Finding:
    """Return how much waits, for a person or for a later run."""
    if status.for_a_person:
        need = output.count(status.for_a_person, "closed matter needs", "closed matters need")
        return findings.warning("outbox", f"{need} a person: see `clio-broadly-sync status`.")
    if later := closings_in(status.waiting):
        waits = output.count(later, "closed matter waits", "closed matters wait")
        return findings.ok("outbox", f"Nothing needs a person; {waits} for a later run.")
    return findings.ok("outbox", "Nothing waits.")


def _settings_file(options: Options) -> Path:
    return settings_path(options.config_file, os.environ, Path.cwd())


def _ended(run: PastRun, status: Status) -> Finding:
    name = f"`{run.command}` of {output.moment(run.started_at, status.zone)}"
    if run.exit_code == OK:
        return findings.ok("last run", f"The {name} ended well.")
    if run.exit_code == ATTENTION:
        needed = f"something needed a person ({run.exit_code})"
        return findings.ok("last run", f"The {name} came through; {needed}.")
    if run.exit_code is not None:
        ended = f"The {name} ended with exit code {run.exit_code} ({words_of(run.exit_code)})"
        unless = "if nothing above explains it, run it once by hand."
        said = f". It said: {run.failure}" if run.failure else f": {unless}"
        return findings.warning("last run", ended + said)
    if status.at_work and run == status.runs[0]:
        return findings.ok("last run", f"The {name} is at work.")
    return findings.warning(
        "last run",
        f"The {name} did not come to its end (it was killed, or the machine went down); "
        "the next one puts in order what it left.",
    )
