"""The settings of a fleet: one database, and many firms in it. Loaded only where there is one.

Whatever else the settings file and the environment say are defaults for the firms, whose own
settings are in the database and win.
"""

import binascii
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from clio_broadly_sync.domain.credentials import Secret
from clio_broadly_sync.domain.errors import ConfigError
from clio_broadly_sync.settings import NAMES, OF_FLEET, Given, Settings, check_texts, texts_in
from clio_broadly_sync.settings.file import lines_of
from clio_broadly_sync.settings.values import Parse, as_number, as_url, is_loopback, parsed

SECRETS: Final = (
    "BROADLY_URL",
    "BROADLY_API_KEY",
    "BROADLY_WEBHOOK_SECRET",
    "CLIO_CLIENT_SECRET",
    "CLIO_ACCESS_TOKEN",
    "PING_URL",
    "PING_URL_VERIFY",
    "NOTIFY_URLS",
)
"""The settings of a firm that are kept sealed."""
OF_ONE_FIRM: Final = (
    "CLIO_ACCESS_TOKEN",
    "BROADLY_API_KEY",
    "BROADLY_URL",
    "BROADLY_WEBHOOK_SECRET",
    "SYNC_STATE",
)
"""What is no default: with it, one firm's clients could go out under another's key."""
KEY_BYTES: Final = 32
NOWHERE: Final = Path("/dev/null")
"""The path of the state of a firm in a database, which has none; nobody may use it."""


def _setting(parse: Parse, must_be: str, default: Any = None) -> Any:
    return field(default=default, repr=False, metadata={"parse": parse, "must_be": must_be})


def _number(default: int, least: int, most: int, of: str = "a whole number") -> Any:
    parse = as_number(int, least, most)
    return _setting(parse, f"{of} from {least} to {most}", default)


def _as_database(text: str) -> Secret:
    """Return an address of PostgreSQL to which nobody can listen on the way.

    What it does not name, PostgreSQL's own variables do (source: libpq, "Environment Variables").
    """
    parts = urlsplit(text)
    given = parse_qs(parts.query)
    host = given.get("host", [parts.hostname or ""])[-1] or os.environ.get("PGHOST", "")
    elsewhere = given.keys() & {"hostaddr", "service"} or os.environ.keys() & _ELSEWHERE
    is_here = all(map(_is_here, host.split(","))) and not elsewhere
    if parts.scheme not in ("postgresql", "postgres") or not text.isprintable():
        raise ValueError
    if not is_here and given.get("sslmode") != ["verify-full"]:
        raise ValueError
    return Secret(text)


_ELSEWHERE: Final = {"PGHOSTADDR", "PGSERVICE"}


def _is_here(host: str) -> bool:
    """Tell whether this is a socket, or a host that is this machine."""
    return not host or host.lower().startswith(("/", "%2f")) or is_loopback(host)


def _as_keys(text: str) -> tuple[Secret, ...]:
    """Return the keys of a list, each of which is 32 bytes in base64."""
    keys = [part.strip() for part in text.split(",")]
    try:
        sound = all(len(_decoded(key)) == KEY_BYTES for key in keys)
    except (binascii.Error, ValueError):
        sound = False
    if not sound:
        raise ValueError
    return tuple(map(Secret, keys))


def _decoded(key: str) -> bytes:
    """Return the bytes of a key; what follows its end is not passed over, it may be another key."""
    return binascii.a2b_base64(key.translate(_URL_SAFE), strict_mode=True)


_URL_SAFE: Final = str.maketrans("-_", "+/")


@dataclass(frozen=True, kw_only=True)
class FleetSettings:
    """The fleet's own settings, checked. An attribute has the name of its setting."""

    fleet_database: Secret = _setting(
        _as_database,
        "an address such as postgresql://user@host/fleet?sslmode=verify-full; only on this machine "
        "it may do without sslmode",
    )
    fleet_keys: tuple[Secret, ...] = _setting(
        _as_keys, "keys of `clio-broadly-sync fleet key`, the newest first, with commas between"
    )
    fleet_slots: int = _number(16, 1, 256)
    fleet_lease_seconds: int = _number(90, 5, 3600, "a whole number of seconds")
    fleet_silent_hours: int = _number(6, 1, 8760, "a whole number of hours")
    fleet_ping_url: str | None = _setting(as_url, "an address with https://, of a monitor")
    fleet_keep_idle_runs_days: int = _number(30, 1, 36500, "a whole number of days")

    defaults: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What a firm has of each setting that it does not set itself, by the names in lower case."""

    @property
    def lease(self) -> timedelta:
        """After so long a firm whose worker was lost is due again."""
        return timedelta(seconds=self.fleet_lease_seconds)


_FIELDS: Final = {f.name: f for f in fields(FleetSettings) if f.name != "defaults"}


def fleet_settings(given: Given) -> FleetSettings:
    """Return the settings of the fleet; raise ConfigError with every problem at once."""
    values: dict[str, Any] = {}
    read = [_read(name, given.texts.get(name), values) for name in _FIELDS]
    strays = [name for name in OF_ONE_FIRM if name.lower() in given.texts]
    problems = [*given.problems, *filter(None, read)]
    problems += [_OF_ONE_FIRM.format(name=name) for name in strays]
    if problems:
        raise ConfigError(*problems)
    defaults = {name: text for name, text in given.texts.items() if name.upper() in NAMES}
    return FleetSettings(**values, defaults=defaults)


_OF_ONE_FIRM: Final = (
    "{name} is one firm's: take it out of the fleet's settings, and give it to the firm by "
    "`firms add` or `firms set`."
)


def _read(name: str, text: str | None, values: dict[str, Any]) -> str | None:
    """Read one setting into `values`, or return what is wrong with it; None: it is not set."""
    described = _FIELDS[name].metadata
    if text is None:
        missing = f"{name.upper()} is not set; it must be {described['must_be']}."
        return missing if name in _NEEDED else None
    try:
        values[name] = parsed(described["parse"], text)
    except ValueError:
        return f"{name.upper()} must be {described['must_be']}."
    return None


_NEEDED: Final = ("fleet_database", "fleet_keys")


def given_in(text: str) -> Given:
    """Return what a text like that of a settings file says."""
    texts, problems = lines_of(text, (*NAMES, *OF_FLEET))
    return Given(texts_in(texts), None, problems)


def of_a_firm(given: Given) -> tuple[dict[str, str], list[str]]:
    """Return what a firm's own settings say, by the names in lower case, and what is wrong.

    Where its state is, they do not say: that is in the database.
    """
    names = {name.lower() for name in OF_FLEET}
    problems = [_OF_FLEET.format(name=name.upper()) for name in given.texts if name in names]
    own = {name: text for name, text in given.texts.items() if name not in {*names, "sync_state"}}
    return own, [*given.problems, *problems]


_OF_FLEET: Final = "{name} is the fleet's: take it out of the firm's settings."


def firm_settings(
    own: Mapping[str, str], defaults: Mapping[str, str], problems: Sequence[str] = ()
) -> Settings:
    """Return the settings of a firm in a database; raise ConfigError with every problem at once.

    Both are texts by the names of settings in lower case. Where the state is, these do not say
    (`NOWHERE`). The `problems` are those that are known already.
    """
    every = [*problems]
    texts = {name: text for name, text in {**defaults, **own}.items() if name != "sync_state"}
    settings = check_texts(texts, None, every, sync_state=NOWHERE)
    if settings is None:
        raise ConfigError(*every)
    return settings
