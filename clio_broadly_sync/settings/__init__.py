"""The settings: one file and the environment, checked once and frozen as `Settings`.

No run gets a setting from anywhere else. A problem never quotes a value, because a key may have
been pasted into the wrong line. `config.example.env` explains what each setting means.

How a text becomes a value is in `values.py`, how the file is read in `file.py`.
"""

import importlib.util
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

from clio_broadly_sync.domain.consent import Untouched
from clio_broadly_sync.domain.credentials import Secret
from clio_broadly_sync.domain.errors import ConfigError
from clio_broadly_sync.domain.hours import ALWAYS, SendingHours
from clio_broadly_sync.domain.model import Profile, SyncRule
from clio_broadly_sync.settings.file import (
    CONFIG,
    find,
    folder_of,
    near_in_environment,
    read_file,
    usual_state,
)
from clio_broadly_sync.settings.values import (
    BROADLY_FIELDS,
    LeftoverError,
    Parse,
    as_bool,
    as_box_name,
    as_day,
    as_days,
    as_fields,
    as_header,
    as_hours,
    as_notice_urls,
    as_number,
    as_origin,
    as_path,
    as_secret,
    as_url,
    as_webhook_secret,
    as_word,
    as_zone,
    one_of,
    parsed,
    placed,
)

# The settings that there are.

_YEARS = 36500
_SUBDOMAINS = {"us": "", "ca": "ca.", "eu": "eu.", "au": "au."}


def _setting(
    parse: Parse,
    must_be: str,
    default: Any = MISSING,
    *,
    shown: bool = True,
    needed_by: Collection[Profile] = (),
) -> Any:
    """Declare a setting. `must_be` ends "NAME must be …"; `repr` shows it where `shown` is true.

    Without a default it must be set, and for the profiles of `needed_by` in spite of one.
    """
    metadata = {"parse": parse, "must_be": must_be, "needed_by": needed_by}
    return field(default=default, repr=shown, metadata=metadata)


def _number(
    default: float | None, least: float, most: float, of: str = "a whole number", kind: Parse = int
) -> Any:
    parse = as_number(kind, least, most)
    return _setting(parse, f"{of} from {least} to {most}", default)


_AN_URL = (
    "an address with https:// (http:// for this machine only), without user name, password or #"
)
_ALONE = "pasted alone, without blanks, line breaks or accents"
_AS_IN_CLIO = "the name of a checkbox, exactly as in Clio"
WEBHOOK_PER_MINUTE: Final = 60
MINUTES_AHEAD: Final = 10
"""At most what the pace sends in so many minutes is read at once."""
_INSTALL: Final = "-m pip install 'clio-broadly-sync[notify]'"
_NO_FILE = (
    "No settings file here (config.env): go to the folder where it is, name it with --config, or "
    "write one with `clio-broadly-sync init`."
)
_WITHOUT_ONE = (
    "Without one, the environment must set SYNC_RULE, SYNC_STATE, BROADLY_URL and BROADLY_API_KEY."
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Settings:
    """Every setting, checked. An attribute has the name of its setting, in lower case."""

    clio_region: str = _setting(one_of(*_SUBDOMAINS), "us, ca, eu or au", "us")
    clio_base_url: str = _setting(as_origin, f"{_AN_URL}, and without a path", "")
    clio_time_zone: ZoneInfo | None = _setting(
        as_zone, "a time zone that this machine knows, such as America/New_York", None
    )
    clio_client_id: str | None = _setting(as_word, f"the app's key, {_ALONE}", None)
    clio_client_secret: Secret | None = _setting(as_secret, f"the app's secret, {_ALONE}", None)
    clio_redirect_uri: str = _setting(as_url, _AN_URL, "http://127.0.0.1:8765/callback")
    clio_access_token: Secret | None = _setting(as_secret, f"the token, {_ALONE}", None)

    sync_rule: SyncRule = _setting(lambda t: SyncRule(t.lower()), "opt-out, opt-in or both")
    sync_opt_out_field: str = _setting(as_box_name, _AS_IN_CLIO, "BroadlyOptOut")
    sync_opt_in_field: str = _setting(as_box_name, _AS_IN_CLIO, "SendBroadlyThankYou")
    sync_opt_in_untouched: Untouched = _setting(
        lambda t: Untouched(t.lower()), "skip or send", Untouched.SKIP
    )
    sync_text_field: str | None = _setting(
        as_box_name, f"{_AS_IN_CLIO}, and not SYNC_OPT_OUT_FIELD's", None
    )
    sync_max_age_days: int = _number(30, 1, _YEARS, "a whole number of days")
    sync_reask_days: int = _number(180, 0, _YEARS, "a whole number of days")
    sync_settle_hours: float = _number(
        0.0, 0, 8760, "a number of hours below SYNC_MAX_AGE_DAYS,", float
    )
    sync_send_days: frozenset[int] = _setting(
        as_days, "days of the week, each once, such as mon-fri or mon,wed", frozenset(range(7))
    )
    sync_send_hours: tuple[int, int] = _setting(
        as_hours, "two full hours from 0 to 24, such as 9-17, or 22-6 for a night", (0, 24)
    )
    sync_max_new: int = _number(50, 0, 1_000_000)
    sync_companies: bool = _setting(as_bool, "true or false", True)
    sync_overlap_minutes: int = _number(60, 5, 43200, "a whole number of minutes")
    sync_run_minutes: float = _number(10.0, 0.01, 1440, "a number of minutes", float)
    sync_state: Path = _setting(
        as_path, "the path of a file, such as /var/lib/clio-broadly-sync/state.db"
    )

    broadly_profile: Profile = _setting(
        lambda t: Profile(t.lower()), "batch, webhook or csv", Profile.BATCH
    )
    broadly_url: str = _setting(
        as_url,
        f"{_AN_URL}, as Broadly gave it to you",
        "",
        shown=False,
        needed_by=(Profile.BATCH, Profile.WEBHOOK),
    )
    broadly_api_key: Secret | None = _setting(
        as_secret, f"the key, {_ALONE}", None, needed_by=(Profile.BATCH,)
    )
    broadly_webhook_secret: Secret | None = _setting(
        as_webhook_secret, "whsec_ and base64, or a text of 24 characters and more", None
    )
    broadly_per_minute: int | None = _number(None, 1, 6000)
    broadly_auth_header: str = _setting(
        as_header,
        'a header like "X-API-Key: {key}", with {key} once where the key belongs',
        "Authorization: Bearer {key}",
        shown=False,
    )
    broadly_batch_size: int = _number(50, 1, 500)
    broadly_fields: tuple[str, ...] = _setting(
        as_fields, f"some of {','.join(BROADLY_FIELDS)}, email or phone among them", BROADLY_FIELDS
    )
    broadly_dedupes: bool = _setting(as_bool, "true or false", False)

    ping_url: str | None = _setting(as_url, _AN_URL, None, shown=False)
    ping_url_verify: str | None = _setting(as_url, _AN_URL, None, shown=False)
    notify_urls: tuple[Secret, ...] | None = _setting(
        as_notice_urls, "addresses as apprise writes them, with a blank between two", None
    )
    notify_weekly: int | None = _setting(as_day, "a day of the week, such as mon", None)
    log_format: Literal["text", "json"] = _setting(one_of("text", "json"), "text or json", "text")

    @property
    def clients_at_once(self) -> int:
        """How many clients are claimed together: with `webhook` one, so that a kill leaves one."""
        return 1 if self.broadly_profile is Profile.WEBHOOK else self.broadly_batch_size

    @property
    def posts_per_minute(self) -> int | None:
        """How many POSTs to Broadly may begin in a minute; None where there is no limit."""
        if self.broadly_per_minute is None and self.broadly_profile is Profile.WEBHOOK:
            return WEBHOOK_PER_MINUTE
        return self.broadly_per_minute

    @property
    def read_at_once(self) -> int:
        """How many matters or contacts may be read at once, so that all can go in time."""
        pace = self.posts_per_minute
        return sys.maxsize if pace is None else pace * MINUTES_AHEAD * self.clients_at_once

    def sending_hours(self) -> SendingHours:
        """Return when closings may be sent to Broadly; a file may be written at any hour."""
        if self.broadly_profile is Profile.CSV:
            return ALWAYS
        return SendingHours(self.sync_send_days, *self.sync_send_hours)

    def broadly_headers(self) -> dict[str, str]:
        """Return the header that signs in to Broadly, with the key in it; none without a key."""
        if self.broadly_api_key is None:
            return {}
        name, _, value = self.broadly_auth_header.partition(":")
        return {name: value.strip().replace("{key}", self.broadly_api_key.reveal())}


_SETTINGS: Final = {setting.name: setting for setting in fields(Settings)}
NAMES = tuple(name.upper() for name in _SETTINGS)
OF_FLEET: Final = (
    "FLEET_DATABASE",
    "FLEET_KEYS",
    "FLEET_SLOTS",
    "FLEET_LEASE_SECONDS",
    "FLEET_SILENT_HOURS",
    "FLEET_PING_URL",
    "FLEET_KEEP_IDLE_RUNS_DAYS",
)
"""What is set where many firms are run; what it means is in `settings/fleet.py`."""


class Given(NamedTuple):
    """What the settings file and the environment say, before anything of it is checked."""

    texts: Mapping[str, str]
    """The values by the names of the settings, in lower case; the environment wins, and an empty
    value counts as not set."""
    path: Path | None
    """The settings file; None where there is none."""
    problems: Sequence[str]
    """A sentence for each line of the file that is wrong."""

    @property
    def names_fleet(self) -> bool:
        """Whether they name the database of many firms."""
        return "fleet_database" in self.texts


def read_given(config_file: Path | None, environ: Mapping[str, str], cwd: Path) -> Given:
    """Return what is set; raise ConfigError where the settings file cannot be read."""
    path = find(config_file, environ, cwd)
    texts, problems = read_file(path, (*NAMES, *OF_FLEET)) if path else ({}, [])
    return Given(texts_in(texts) | texts_in(environ), path, problems)


def load_settings(config_file: Path | None, environ: Mapping[str, str], cwd: Path) -> Settings:
    """Return the settings from the settings file and from `environ`, which wins.

    The path of the settings file starts from `cwd`. Otherwise as `checked`.
    """
    return checked(read_given(config_file, environ, cwd))


def checked(given: Given) -> Settings:
    """Return the settings of a firm whose state is a file, checked.

    The path of the state starts from the settings file's folder. Raise ConfigError with every
    problem at once.
    """
    path, problems = given.path, [*given.problems]
    if path is None and not given.texts:
        raise ConfigError(f"{_NO_FILE} {_WITHOUT_ONE}")
    config = check_texts(given.texts, folder_of(path), problems)
    if path is None and any(" is not set;" in problem for problem in problems):
        problems.insert(0, _NO_FILE)
    if config is None or problems:
        raise ConfigError(*problems)
    return config


def settings_path(config_file: Path | None, environ: Mapping[str, str], cwd: Path) -> Path:
    """Return where the settings file is or, where there is none, where it would be.

    Raise ConfigError where nobody can have meant the path that was named.
    """
    return find(config_file, environ, cwd) or cwd / "config.env"


def state_beside(config_file: Path | None, environ: Mapping[str, str], cwd: Path) -> Path | None:
    """Return where the state usually lies beside the settings file; None where there is no file."""
    return usual_state(folder_of(find(config_file, environ, cwd)))


def near_names(environ: Mapping[str, str]) -> list[str]:
    """Return a sentence for each name in the environment that is nearly one of ours."""
    said = []
    for name, value in environ.items():
        near = near_in_environment(name, (*NAMES, *OF_FLEET, CONFIG)) if value.strip() else None
        if near is not None:
            shown = name if re.fullmatch("[A-Za-z0-9_-]{1,40}", name) else "a name"
            said.append(f"The environment sets {shown}, which is no setting: did you mean {near}?")
    return said


def problem_of(name: str, environ: Mapping[str, str]) -> str | None:
    """Return what is wrong with one setting of these, whatever the others lack."""
    problems: list[str] = []
    check_texts(texts_in(environ), None, problems)
    return next((text for text in problems if text.startswith(f"{name} ")), None)


class Salvaged(NamedTuple):
    """What can be used of settings that are not in order: where and how to report that."""

    sync_state: Path | None
    ping_url: str | None
    log_format: Literal["text", "json"]
    ping_url_verify: str | None = None
    notify_urls: tuple[Secret, ...] | None = None


def salvage_settings(config_file: Path | None, environ: Mapping[str, str], cwd: Path) -> Salvaged:
    """Return what can be used of settings that `load_settings` refuses; never raise ConfigError."""
    path, texts = None, {}
    with suppress(ConfigError):
        path = find(config_file, environ, cwd)
        texts = read_file(path, NAMES)[0] if path else {}
    folder = folder_of(path)
    good, _ = _parsed(texts_in(texts) | texts_in(environ), folder)
    return Salvaged(
        sync_state=good.get("sync_state", usual_state(folder)),
        ping_url=good.get("ping_url"),
        ping_url_verify=good.get("ping_url_verify"),
        notify_urls=good.get("notify_urls"),
        log_format=good.get("log_format", "text"),
    )


def texts_in(source: Mapping[str, str]) -> dict[str, str]:
    """Return the settings that have a value."""
    names = (*NAMES, *OF_FLEET)
    given = {name.lower(): source[name] for name in names if source.get(name, "").strip()}
    for name in given.keys() - {"sync_opt_out_field", "sync_opt_in_field", "sync_text_field"}:
        given[name] = given[name].strip()  # those must match Clio's names exactly, blanks too
    return given


def check_texts(
    texts: Mapping[str, str], folder: Path | None, problems: list[str], **known: Any
) -> Settings | None:
    """Return the Settings, or None; add to `problems` a sentence for each setting at fault.

    `folder` is that of the settings file, and `known` are values beside those of the texts.
    """
    good, bad = _parsed(texts, folder)
    good |= known
    if "sync_state" not in texts and folder is not None:
        good["sync_state"] = usual_state(folder)
    profile = good.get("broadly_profile", Settings.broadly_profile)
    for name, setting in _SETTINGS.items():
        must_be = f"must be {setting.metadata['must_be']}"
        needed = setting.default is MISSING or profile in setting.metadata["needed_by"]
        if name in bad:
            problems.append(f"{name.upper()} {must_be}{bad[name]}.")
        elif name not in good and needed:
            problems.append(f"{name.upper()} is not set; it {must_be}.")
    return None if problems else Settings(**good)


def _parsed(texts: Mapping[str, str], folder: Path | None) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the settings that are in order, and how the sentences about the others end."""
    good: dict[str, Any] = {}
    bad: dict[str, str] = {}
    for name, text in texts.items():
        if name not in _SETTINGS:  # it is the fleet's
            continue
        try:
            value = parsed(_SETTINGS[name].metadata["parse"], text)
            good[name] = placed(value, folder) if isinstance(value, Path) else value
        except LeftoverError as leftover:
            bad[name] = f"; {leftover}"
        except ValueError:
            bad[name] = ""
    days = good.get("sync_max_age_days", Settings.sync_max_age_days)
    if good.get("sync_settle_hours", 0) >= 24 * days:  # each closing would be too old when due
        bad["sync_settle_hours"] = ""
    if good.get("broadly_dedupes") and good.get("broadly_profile") is Profile.WEBHOOK:
        bad["broadly_dedupes"] = "; with BROADLY_PROFILE=webhook it must be false"
    if good.get("notify_urls") and importlib.util.find_spec("apprise") is None:
        bad["notify_urls"] = f"; for them, install apprise: `{sys.executable} {_INSTALL}`"
        del good["notify_urls"]
    opt_out = good.get("sync_opt_out_field", Settings.sync_opt_out_field)
    if good.get("sync_text_field") == opt_out:  # one box cannot be a yes and a no
        bad["sync_text_field"] = ""
    subdomain = _SUBDOMAINS[good.get("clio_region", Settings.clio_region)]
    good.setdefault("clio_base_url", f"https://{subdomain}app.clio.com")
    return good, bad
