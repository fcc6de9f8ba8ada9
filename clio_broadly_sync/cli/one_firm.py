"""A firm of a fleet, as `--firm` names it: its settings and the place of its state.

Loaded only where FLEET_DATABASE is set.
"""

import os
from contextlib import closing
from dataclasses import fields
from datetime import timedelta
from pathlib import Path

import click

from clio_broadly_sync.cli import logs
from clio_broadly_sync.cli.options import Options
from clio_broadly_sync.domain.errors import shown
from clio_broadly_sync.settings import Given, Settings, read_given, salvage_settings
from clio_broadly_sync.settings.fleet import FleetSettings, firm_settings, fleet_settings
from clio_broadly_sync.store.firm import FirmPlace
from clio_broadly_sync.store.firms import HASH_KEY, PAUSED, REMOVED, Firm, Firms
from clio_broadly_sync.store.lock import HANGS_AFTER
from clio_broadly_sync.store.postgresql import WORKER, Session, connect
from clio_broadly_sync.store.seal import Seal
from clio_broadly_sync.store.sessions import Sessions


class FirmSettings(Settings):
    """The settings of a firm, and where its state is.

    `sync_state` of these is the path of nothing.
    """

    place: FirmPlace
    firm: str
    """The firm's name."""
    is_paused: bool
    silence: timedelta
    """After so long without a run, no worker seems to run it."""

    def __init__(
        self, settings: Settings, place: FirmPlace, *, is_paused: bool, silence: timedelta
    ) -> None:
        super().__init__(**{one.name: getattr(settings, one.name) for one in fields(Settings)})
        object.__setattr__(self, "place", place)
        object.__setattr__(self, "firm", place.name)
        object.__setattr__(self, "is_paused", is_paused)
        object.__setattr__(self, "silence", silence)


def fleet_of(options: Options) -> "Fleet":
    """Return the fleet that is set, and set up the log; raise ConfigError with every problem."""
    where = options.config_file, os.environ, Path.cwd()
    logs.set_up(salvage_settings(*where).log_format, verbose=options.verbose)
    return Fleet(read_given(*where))


class Fleet:
    """The fleet that is set: its settings, its keys, and its database.

    Raise ConfigError where the settings are not in order.
    """

    def __init__(self, given: Given) -> None:
        self.settings: FleetSettings = fleet_settings(given)
        self.seal = Seal(self.settings.fleet_keys)
        self.sessions = Sessions(self.address)

    @property
    def address(self) -> str:
        return self.settings.fleet_database.reveal()

    def connect(self, role: str | None = WORKER, name: str = "clio-broadly-sync fleet") -> Session:
        """Begin a session in which the fleet's own tables are read and written."""
        return connect(self.address, name, idle=HANGS_AFTER, role=role)

    def named(self, name: str) -> Firm:
        """Return the firm of that name; raise UsageError where there is none.

        In a database that was restored it counts as paused, before a worker has noted that.
        """
        with closing(self.connect()) as session:
            firms = Firms(session)
            found = firm_named(firms, name)
            return found._replace(state=PAUSED) if firms.is_restored() else found

    def settings_of(self, firm: Firm, place_sessions: Sessions | None = None) -> FirmSettings:
        """Return the settings of a firm, with its secrets, and the place of its state."""
        secrets = self.secrets_of(firm)
        place = self.place_of(firm, secrets.pop(HASH_KEY), place_sessions)
        settings = firm_settings({**firm.settings, **secrets}, self.settings.defaults)
        silence = max(2 * firm.period, timedelta(hours=self.settings.fleet_silent_hours))
        return FirmSettings(settings, place, is_paused=firm.state == PAUSED, silence=silence)

    def secrets_of(self, firm: Firm) -> dict[str, str]:
        """Return the secrets of a firm and the key of its hashes; raise ConfigError without key."""
        return self.seal.open(firm.name, firm.secrets)

    def place_of(
        self, firm: Firm, hash_key: str, place_sessions: Sessions | None = None
    ) -> FirmPlace:
        sessions = place_sessions or self.sessions
        return FirmPlace(sessions, firm.number, firm.name, hash_key=hash_key, seal=self.seal)


def firm_named(firms: Firms, name: str, *, to_change: bool = False) -> Firm:
    """Return the firm of that name, as `Firms.named`; raise UsageError where there is none."""
    found = firms.named(name, to_change=to_change)
    if found is None:
        raise click.UsageError(f"There is no firm “{shown(name)}”: see `firms list`.")
    if found.state == REMOVED:
        raise click.UsageError(f"The firm “{name}” was removed: `firms add` takes it up again.")
    return found
