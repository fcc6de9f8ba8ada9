"""The settings: one file and the environment, checked once and frozen as a Config.

Nothing else reads the environment. No value ever appears in a problem, because a key may have
been pasted into the wrong line.

python-dotenv reads the file. What a value must be is said here, without a library: loading
pydantic took longer than all the rest of a run that finds nothing to do, SQLAlchemy apart.
"""

import os
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

from clio_broadly_sync import setting_values as values
from clio_broadly_sync import settings_file
from clio_broadly_sync.domain.errors import ConfigError
from clio_broadly_sync.domain.model import Secret, SyncRule

BROADLY_FIELDS = ("first_name", "last_name", "company_name", "email", "phone")

_YEARS = 36500
_SUBDOMAINS = {"us": "", "ca": "ca.", "eu": "eu.", "au": "au."}


def _setting(
    parse: values.Parse, must_be: str, default: Any = MISSING, *, shown: bool = True
) -> Any:
    """Declare a setting; `must_be` ends the sentence "NAME must be ..."."""
    return field(default=default, repr=shown, metadata={"parse": parse, "must_be": must_be})


def _number(
    default: float, least: float, most: float, of: str = "a whole number", kind: values.Parse = int
) -> Any:
    parse = values.number(kind, least, most)
    return _setting(parse, f"{of} from {least} to {most}", default)


def _narrowed(text: str) -> tuple[str, ...]:
    names = {name.strip() for name in text.split(",")} - {""}
    if not names <= set(BROADLY_FIELDS) or names.isdisjoint({"email", "phone"}):
        raise ValueError
    return tuple(name for name in BROADLY_FIELDS if name in names)


_AN_URL = (
    "an address with https:// (http:// for this machine only), without user name, password or #"
)
_ALONE = "pasted alone, without blanks, line breaks or accents"
_AS_IN_CLIO = "the name of a checkbox, exactly as in Clio"
_NO_FILE = "No settings file: write one with `clio-broadly-sync init`, or name it with --config."
_WITHOUT_ONE = (
    "Without one, the environment must set SYNC_RULE, SYNC_STATE, BROADLY_URL and BROADLY_API_KEY."
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Every setting, checked; an attribute is the setting's name in lower case."""

    clio_region: str = _setting(values.one_of(*_SUBDOMAINS), "us, ca, eu or au", "us")
    clio_base_url: str = _setting(values.origin, f"{_AN_URL}, and without a path", "")
    clio_time_zone: ZoneInfo | None = _setting(
        values.zone, "a time zone that this machine knows, such as America/New_York", None
    )
    clio_client_id: str | None = _setting(values.word, f"the app's key, {_ALONE}", None)
    clio_client_secret: Secret | None = _setting(values.secret, f"the app's secret, {_ALONE}", None)
    clio_redirect_uri: str = _setting(values.url, _AN_URL, "http://127.0.0.1:8765/callback")
    clio_access_token: Secret | None = _setting(values.secret, f"the token, {_ALONE}", None)

    sync_rule: SyncRule = _setting(lambda t: SyncRule(t.lower()), "opt-out, opt-in or both")
    sync_opt_out_field: str = _setting(values.box, _AS_IN_CLIO, "BroadlyOptOut")
    sync_opt_in_field: str = _setting(values.box, _AS_IN_CLIO, "SendBroadlyThankYou")
    sync_max_age_days: int = _number(30, 1, _YEARS, "a whole number of days")
    sync_reask_days: int = _number(180, 0, _YEARS, "a whole number of days")
    sync_settle_hours: float = _number(
        0.0, 0, 8760, "a number of hours below SYNC_MAX_AGE_DAYS,", float
    )
    sync_max_new: int = _number(50, 0, 1_000_000)
    sync_companies: bool = _setting(values.yes_or_no, "true or false", True)
    sync_overlap_minutes: int = _number(60, 5, 43200, "a whole number of minutes")
    sync_run_minutes: float = _number(10.0, 0.01, 1440, "a number of minutes", float)
    sync_state: Path = _setting(
        values.path, "the path of a file, such as /var/lib/clio-broadly-sync/state.db"
    )

    broadly_url: str = _setting(values.url, f"{_AN_URL}, as Broadly gave it to you", shown=False)
    broadly_api_key: Secret = _setting(values.secret, f"the key, {_ALONE}")
    broadly_auth_header: str = _setting(
        values.header,
        'a header like "X-API-Key: {key}", with {key} once where the key belongs',
        "Authorization: Bearer {key}",
        shown=False,
    )
    broadly_batch_size: int = _number(50, 1, 500)
    broadly_fields: tuple[str, ...] = _setting(
        _narrowed, f"some of {','.join(BROADLY_FIELDS)}, email or phone among them", BROADLY_FIELDS
    )
    broadly_dedupes: bool = _setting(values.yes_or_no, "true or false", False)

    ping_url: str | None = _setting(values.url, _AN_URL, None, shown=False)
    log_format: Literal["text", "json"] = _setting(
        values.one_of("text", "json"), "text or json", "text"
    )

    def broadly_headers(self) -> dict[str, str]:
        """Spell the header that signs in to Broadly, with the key in it."""
        name, _, value = self.broadly_auth_header.partition(":")
        return {name: value.strip().replace("{key}", self.broadly_api_key.reveal())}


_SETTINGS: Final = {setting.name: setting for setting in fields(Config)}
NAMES = tuple(name.upper() for name in _SETTINGS)


def load(config_file: Path | None, environ: Mapping[str, str], cwd: Path) -> Config:
    """Read the settings file and the environment, which wins.

    Raise ConfigError with every problem at once. An empty value counts as not set.
    """
    path = _find(config_file, environ, cwd)
    texts, problems = _from_file(path) if path else ({}, [])
    given = _given(environ, cwd)
    if path is None and not given:
        raise ConfigError(f"{_NO_FILE} {_WITHOUT_ONE}")
    config = _checked(texts | given, problems)
    if path is None and any(" is not set;" in problem for problem in problems):
        problems.insert(0, _NO_FILE)
    if config is None or problems:
        raise ConfigError(*problems)
    return config


def place(config_file: Path | None, environ: Mapping[str, str], cwd: Path) -> Path:
    """Return where the settings file is, or would be."""
    return _find(config_file, environ, cwd) or cwd / "config.env"


class Salvaged(NamedTuple):
    """What settings that are not in order still tell: where and how to say so."""

    sync_state: Path | None
    ping_url: str | None
    log_format: Literal["text", "json"]


def salvage(config_file: Path | None, environ: Mapping[str, str], cwd: Path) -> Salvaged:
    """Return what can be used of settings that `load` refuses; never raise ConfigError."""
    path = _find(config_file, environ, cwd)
    usual = _usual_state(path) if path else None
    try:
        texts = _from_file(path)[0] if path else {}
    except ConfigError:
        texts = {}
    good, _ = _parsed(texts | _given(environ, cwd))
    return Salvaged(
        sync_state=good.get("sync_state", usual),
        ping_url=good.get("ping_url"),
        log_format=good.get("log_format", "text"),
    )


def _find(config_file: Path | None, environ: Mapping[str, str], cwd: Path) -> Path | None:
    named = config_file or environ.get("CLIO_BROADLY_SYNC_CONFIG", "").strip()
    if named:
        return cwd / os.path.expanduser(named)
    usual = cwd / "config.env"
    return usual if os.path.lexists(usual) else None


def _from_file(path: Path) -> tuple[dict[str, str], list[str]]:
    texts, problems = settings_file.read(path, NAMES)
    beside = Path(os.path.realpath(path)).parent
    return {"sync_state": str(_usual_state(path)), **_given(texts, beside)}, problems


def _usual_state(path: Path) -> Path:
    """Return the state beside the settings file: one ledger, whichever link led there."""
    return Path(os.path.realpath(path)).parent / "state" / "state.db"


def _given(source: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Pick the settings that have a value; a relative state path starts from the folder."""
    given = {name.lower(): source[name] for name in NAMES if source.get(name, "").strip()}
    for name in given.keys() - {"sync_opt_out_field", "sync_opt_in_field"}:
        given[name] = given[name].strip()  # the two match exactly what Clio has, blanks too
    if "sync_state" in given:
        given["sync_state"] = _place(given["sync_state"], folder)
    return given


def _place(value: str, folder: Path) -> str:
    """Make a path whole; nothing is left of what cannot name a file, and Config refuses that."""
    path = os.path.expanduser(value)
    if path.startswith("~") or path.endswith("/") or "://" in path or not path.isprintable():
        return ""
    return os.path.realpath(folder / path)


def _checked(texts: Mapping[str, str], problems: list[str]) -> Config | None:
    """Make a Config; where that fails, add a sentence for each setting at fault."""
    good, bad = _parsed(texts)
    for name, setting in _SETTINGS.items():
        must_be = f"must be {setting.metadata['must_be']}."
        if name in bad:
            problems.append(f"{name.upper()} {must_be}")
        elif name not in good and setting.default is MISSING:
            problems.append(f"{name.upper()} is not set; it {must_be}")
    return None if problems else Config(**good)


def _parsed(texts: Mapping[str, str]) -> tuple[dict[str, Any], set[str]]:
    """Return the settings that are in order, and the names of those that are not."""
    good: dict[str, Any] = {}
    bad: set[str] = set()
    for name, text in texts.items():
        try:
            good[name] = _SETTINGS[name].metadata["parse"](text)
        except ValueError:
            bad.add(name)
    days = good.get("sync_max_age_days", Config.sync_max_age_days)
    if good.get("sync_settle_hours", 0) >= 24 * days:  # each closing would be due too late
        bad.add("sync_settle_hours")
    subdomain = _SUBDOMAINS[good.get("clio_region", Config.clio_region)]
    good.setdefault("clio_base_url", f"https://{subdomain}app.clio.com")
    return good, bad
