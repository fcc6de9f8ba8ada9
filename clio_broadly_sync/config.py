"""The settings: one file and the environment, checked once and frozen as a Config.

Nothing else reads the environment. No value ever appears in a problem, because a key may have
been pasted into the wrong line.

python-dotenv reads the file and pydantic checks it. Not pydantic-settings: it expands `${...}`
inside a key, passes over lines that it cannot read, and takes this process's environment only.
"""

import os
import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
)

from clio_broadly_sync import settings_file
from clio_broadly_sync.errors import ConfigError
from clio_broadly_sync.model import SyncRule

BROADLY_FIELDS = ("first_name", "last_name", "company_name", "email", "phone")

_YEARS = 36500
_SUBDOMAINS = {"us": "", "ca": "ca.", "eu": "eu.", "au": "au."}
_WORD = re.compile("[!-~]+")
_URL = re.compile(r"[A-Za-z0-9._~:/?\[\]@!$&'()*+,;=%-]+")
_PART = r"[a-z0-9_-]{1,63}"
_HOST_AND_PORT = re.compile(rf"({_PART}(\.{_PART})*|\[[0-9a-f:.]+\])(:\d{{1,5}})?", re.I)
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([ -~]+)")
_OWN_HEADERS = re.compile("connection|content-.*|host|idempotency-key|transfer-encoding", re.I)


def _that(holds: Callable[[Any], object]) -> AfterValidator:
    def check(value: Any) -> Any:
        if not holds(value):
            raise ValueError  # the words are in the field's description
        return value

    return AfterValidator(check)


def _number(default: float, least: float, most: float, of: str = "a whole number") -> Any:
    return Field(default, ge=least, le=most, description=f"{of} from {least} to {most}")


def _zone(value: object) -> object:
    try:
        return ZoneInfo(value) if isinstance(value, str) else value
    except (OSError, KeyError):  # a folder of zones, such as Europe; no such zone
        raise ValueError from None


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False


def _is_url(value: str) -> bool:
    """Accept an address that leads where it seems to, with nobody listening on the way."""
    parts = urlsplit(value)
    private = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname))
    well_made = _URL.fullmatch(value) and _HOST_AND_PORT.fullmatch(parts.netloc)
    return bool(private and well_made and parts.port != 0)


def _origin(value: str) -> str:
    """Reduce an address to scheme and host, in one spelling."""
    parts = urlsplit(value)
    if not _is_url(value) or parts.path not in ("", "/") or "?" in value:
        raise ValueError
    usual_port = ":443" if parts.scheme == "https" else ":80"
    return f"{parts.scheme}://{parts.netloc}".lower().removesuffix(usual_port)


def _is_header(value: str) -> bool:
    match = _HEADER.fullmatch(value)
    return bool(match and match[2].count("{key}") == 1 and not _OWN_HEADERS.fullmatch(match[1]))


def _split(names: object) -> object:
    return [n.strip() for n in names.split(",") if n.strip()] if isinstance(names, str) else names


def _narrowed(names: tuple[str, ...]) -> tuple[str, ...]:
    if not set(names) <= set(BROADLY_FIELDS) or {"email", "phone"}.isdisjoint(names):
        raise ValueError
    return tuple(name for name in BROADLY_FIELDS if name in names)


def _due_before_too_old(hours: float, others: ValidationInfo) -> float:
    if hours >= 24 * others.data.get("sync_max_age_days", _YEARS):
        raise ValueError
    return hours


_LowerCase = BeforeValidator(lambda text: str(text).lower())
_Word = Annotated[str, _that(_WORD.fullmatch)]
_Secret = Annotated[SecretStr, _that(lambda secret: _WORD.fullmatch(secret.get_secret_value()))]
_Box = Annotated[str, _that(lambda name: name.strip() and name.isprintable() and len(name) < 256)]
_Url = Annotated[str, _that(_is_url)]
_Origin = Annotated[str, AfterValidator(_origin)]
_Names = Annotated[tuple[str, ...], BeforeValidator(_split), AfterValidator(_narrowed)]
_Hours = Annotated[float, AfterValidator(_due_before_too_old)]

_AN_URL = (
    "an address with https:// (http:// for this machine only), without user name, password or #"
)
_ALONE = "pasted alone, without blanks, line breaks or accents"
_AS_IN_CLIO = "the name of a checkbox, exactly as in Clio"
_NO_FILE = "No settings file: write one with `clio-broadly-sync init`, or name it with --config."


class Config(BaseModel, frozen=True, extra="forbid", hide_input_in_errors=True):
    """Every setting, checked; an attribute is the setting's name in lower case.

    The description of each ends the sentence "NAME must be ...".
    """

    clio_region: Annotated[Literal["us", "ca", "eu", "au"], _LowerCase] = Field(
        "us", description="us, ca, eu or au"
    )
    clio_base_url: _Origin = Field(
        default_factory=lambda ok: f"https://{_SUBDOMAINS[ok['clio_region']]}app.clio.com",
        description=f"{_AN_URL}, and without a path",
    )
    clio_time_zone: Annotated[ZoneInfo | None, BeforeValidator(_zone)] = Field(
        None, description="a time zone that this machine knows, such as America/New_York"
    )
    clio_client_id: _Word | None = Field(None, description=f"the app's key, {_ALONE}")
    clio_client_secret: _Secret | None = Field(None, description=f"the app's secret, {_ALONE}")
    clio_redirect_uri: _Url = Field("http://127.0.0.1:8765/callback", description=_AN_URL)
    clio_access_token: _Secret | None = Field(None, description=f"the token, {_ALONE}")

    sync_rule: Annotated[SyncRule, _LowerCase] = Field(description="opt-out, opt-in or both")
    sync_opt_out_field: _Box = Field("BroadlyOptOut", description=_AS_IN_CLIO)
    sync_opt_in_field: _Box = Field("SendBroadlyThankYou", description=_AS_IN_CLIO)
    sync_max_age_days: int = _number(30, 1, _YEARS, "a whole number of days")
    sync_reask_days: int = _number(180, 0, _YEARS, "a whole number of days")
    sync_settle_hours: _Hours = _number(0.0, 0, 8760, "a number of hours below SYNC_MAX_AGE_DAYS,")
    sync_max_new: int = _number(50, 0, 1_000_000)
    sync_companies: bool = Field(True, description="true or false")
    sync_overlap_minutes: int = _number(60, 5, 43200, "a whole number of minutes")
    sync_run_minutes: float = _number(10.0, 0.01, 1440, "a number of minutes")
    sync_state: Annotated[Path, _that(Path.is_absolute)] = Field(
        description="the path of a file, such as /var/lib/clio-broadly-sync/state.db"
    )

    broadly_url: _Url = Field(repr=False, description=f"{_AN_URL}, as Broadly gave it to you")
    broadly_api_key: _Secret = Field(description=f"the key, {_ALONE}")
    broadly_auth_header: Annotated[str, _that(_is_header)] = Field(
        "Authorization: Bearer {key}",
        repr=False,
        description='a header like "X-API-Key: {key}", with {key} once where the key belongs',
    )
    broadly_batch_size: int = _number(50, 1, 500)
    broadly_fields: _Names = Field(
        BROADLY_FIELDS, description=f"some of {','.join(BROADLY_FIELDS)}, email or phone among them"
    )
    broadly_dedupes: bool = Field(False, description="true or false")

    ping_url: _Url | None = Field(None, repr=False, description=_AN_URL)
    log_format: Annotated[Literal["text", "json"], _LowerCase] = Field(
        "text", description="text or json"
    )

    def broadly_headers(self) -> dict[str, str]:
        """Spell the header that signs in to Broadly, with the key in it."""
        name, _, value = self.broadly_auth_header.partition(":")
        return {name: value.strip().replace("{key}", self.broadly_api_key.get_secret_value())}


NAMES = tuple(field.upper() for field in Config.model_fields)


def load(config_file: Path | None, environ: Mapping[str, str], cwd: Path) -> Config:
    """Read the settings file and the environment, which wins.

    Raise ConfigError with every problem at once. An empty value counts as not set.
    """
    path = _find(config_file, environ, cwd)
    values, problems = _from_file(path) if path else ({}, [])
    config = _checked(values | _given(environ, cwd), problems)
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
        values = _from_file(path)[0] if path else {}
    except ConfigError:
        values = {}
    values |= _given(environ, cwd)
    try:
        Config.model_validate(values)
    except ValidationError as failed:
        for error in failed.errors(include_url=False, include_context=False, include_input=False):
            values.pop(str(error["loc"][0]), None)
    state, ping_url = values.get("sync_state", usual), values.get("ping_url")
    return Salvaged(
        sync_state=Path(str(state)) if state else None,
        ping_url=str(ping_url) if ping_url else None,
        log_format="json" if str(values.get("log_format")).lower() == "json" else "text",
    )


def _find(config_file: Path | None, environ: Mapping[str, str], cwd: Path) -> Path | None:
    named = config_file or environ.get("CLIO_BROADLY_SYNC_CONFIG", "").strip()
    if named:
        return cwd / os.path.expanduser(named)
    usual = cwd / "config.env"
    return usual if os.path.lexists(usual) else None


def _from_file(path: Path) -> tuple[dict[str, object], list[str]]:
    values, problems = settings_file.read(path, NAMES)
    beside = Path(os.path.realpath(path)).parent
    return {"sync_state": _usual_state(path), **_given(values, beside)}, problems


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


def _checked(values: Mapping[str, object], problems: list[str]) -> Config | None:
    """Make a Config; where that fails, add a sentence for each setting at fault."""
    try:
        return Config.model_validate(values)
    except ValidationError as failed:
        errors = failed.errors(include_url=False, include_context=False, include_input=False)
    for error in errors:
        field = str(error["loc"][0])
        must_be = f"must be {Config.model_fields[field].description}."
        if error["type"] == "missing":
            problems.append(f"{field.upper()} is not set; it {must_be}")
        elif error["type"] != "default_factory_not_called":  # follows from an error before it
            problems.append(f"{field.upper()} {must_be}")
    return None
