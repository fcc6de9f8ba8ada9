"""The settings: one file and the environment, checked once and frozen as `Settings`.

No run gets a setting from anywhere else. A problem never quotes a value, because a key may have
been pasted into the wrong line. `config.example.env` explains what each setting means.

python-dotenv reads the file. What a value must be is checked here without a library, because to
load pydantic takes longer than all the rest of a run that finds nothing to do.
"""

import difflib
import io
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from dotenv.parser import Binding, parse_stream

from clio_broadly_sync.domain.errors import ConfigError
from clio_broadly_sync.domain.model import Secret, SyncRule

BROADLY_FIELDS = ("first_name", "last_name", "company_name", "email", "phone")

_PREFIXES = ("CLIO_", "SYNC_", "BROADLY_", "PING_", "LOG_")
Parse = Callable[[str], Any]

_WORD = re.compile("[!-~]+")
_URL = re.compile(r"[A-Za-z0-9._~:/?\[\]@!$&'()*+,;=%-]+")
_PART = r"[a-z0-9_-]{1,63}"
_HOST_AND_PORT = re.compile(rf"({_PART}(\.{_PART})*|\[[0-9a-f:.]+\])(:\d{{1,5}})?", re.I)
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([ -~]+)")
_OWN_HEADERS = re.compile("connection|content-.*|host|idempotency-key|transfer-encoding", re.I)
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)")
_YES: Final = ("true", "yes", "on", "1", "t", "y")
_NO: Final = ("false", "no", "off", "0", "f", "n")


# How the text of a setting becomes its value. Each raises ValueError where it cannot.


def as_number(kind: Parse, least: float, most: float) -> Parse:
    """Return what reads an `int` or a `float` within these bounds, both included."""

    def parse(text: str) -> Any:
        value = kind(_fit(text, _NUMBER.fullmatch))
        if not least <= value <= most:
            raise ValueError
        return value

    return parse


def one_of(*words: str) -> Parse:
    return lambda text: _fit(text.lower(), words.__contains__)


def as_bool(text: str) -> bool:
    return _fit(text.lower(), (_YES + _NO).__contains__) in _YES


def as_word(text: str) -> str:
    return _fit(text, _WORD.fullmatch)


def as_secret(text: str) -> Secret:
    return Secret(as_word(text))


def as_box_name(text: str) -> str:
    """Return the name of a checkbox as it is; blanks at its ends count."""
    return _fit(text, lambda t: t.strip() and t.isprintable() and len(t) < 256)


def as_path(text: str) -> Path:
    return Path(_fit(text, os.path.isabs))


def as_zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (OSError, KeyError):  # it names a folder of zones, such as Europe, or no zone
        raise ValueError from None


def as_url(text: str) -> str:
    """Return an address that leads where it seems to lead, with nobody listening on the way."""
    parts = urlsplit(text)
    private = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname))
    well_made = _URL.fullmatch(text) and _HOST_AND_PORT.fullmatch(parts.netloc)
    return _fit(text, lambda _: private and well_made and parts.port != 0)


def as_origin(text: str) -> str:
    """Return scheme and host, in one spelling, of an address that has no path and no query."""
    parts = urlsplit(_fit(as_url(text), lambda t: "?" not in t))
    _fit(parts.path, ("", "/").__contains__)
    usual_port = ":443" if parts.scheme == "https" else ":80"
    return f"{parts.scheme}://{parts.netloc}".lower().removesuffix(usual_port)


def as_header(text: str) -> str:
    """Return a header with one place for the key, if it is none that the program itself sets."""
    match = _HEADER.fullmatch(text)
    sound = match and match[2].count("{key}") == 1 and not _OWN_HEADERS.fullmatch(match[1])
    return _fit(text, lambda _: sound)


def _fit(text: str, holds: Callable[[str], object]) -> str:
    """Return the text; raise ValueError where `holds` says no to it."""
    if not holds(text):
        raise ValueError
    return text


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False


def as_fields(text: str) -> tuple[str, ...]:
    """Return the names of a list in the order of `BROADLY_FIELDS`; one must be email or phone."""
    names = {name.strip() for name in text.split(",")} - {""}
    if not names <= set(BROADLY_FIELDS) or names.isdisjoint({"email", "phone"}):
        raise ValueError
    return tuple(name for name in BROADLY_FIELDS if name in names)


# The settings that there are.

_YEARS = 36500
_SUBDOMAINS = {"us": "", "ca": "ca.", "eu": "eu.", "au": "au."}


def _setting(parse: Parse, must_be: str, default: Any = MISSING, *, shown: bool = True) -> Any:
    """Declare a setting. `must_be` ends "NAME must be …"; `repr` shows it where `shown` is true."""
    return field(default=default, repr=shown, metadata={"parse": parse, "must_be": must_be})


def _number(
    default: float, least: float, most: float, of: str = "a whole number", kind: Parse = int
) -> Any:
    parse = as_number(kind, least, most)
    return _setting(parse, f"{of} from {least} to {most}", default)


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
    sync_max_age_days: int = _number(30, 1, _YEARS, "a whole number of days")
    sync_reask_days: int = _number(180, 0, _YEARS, "a whole number of days")
    sync_settle_hours: float = _number(
        0.0, 0, 8760, "a number of hours below SYNC_MAX_AGE_DAYS,", float
    )
    sync_max_new: int = _number(50, 0, 1_000_000)
    sync_companies: bool = _setting(as_bool, "true or false", True)
    sync_overlap_minutes: int = _number(60, 5, 43200, "a whole number of minutes")
    sync_run_minutes: float = _number(10.0, 0.01, 1440, "a number of minutes", float)
    sync_state: Path = _setting(
        as_path, "the path of a file, such as /var/lib/clio-broadly-sync/state.db"
    )

    broadly_url: str = _setting(as_url, f"{_AN_URL}, as Broadly gave it to you", shown=False)
    broadly_api_key: Secret = _setting(as_secret, f"the key, {_ALONE}")
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
    log_format: Literal["text", "json"] = _setting(one_of("text", "json"), "text or json", "text")

    def broadly_headers(self) -> dict[str, str]:
        """Return the header that signs in to Broadly, with the key in it."""
        name, _, value = self.broadly_auth_header.partition(":")
        return {name: value.strip().replace("{key}", self.broadly_api_key.reveal())}


_SETTINGS: Final = {setting.name: setting for setting in fields(Settings)}
NAMES = tuple(name.upper() for name in _SETTINGS)


def load_settings(config_file: Path | None, environ: Mapping[str, str], cwd: Path) -> Settings:
    """Return the settings from the settings file and from `environ`, which wins.

    A setting with an empty value counts as not set. Relative paths start from `cwd`, and in the
    file from its folder. Raise ConfigError with every problem at once.
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


def settings_path(config_file: Path | None, environ: Mapping[str, str], cwd: Path) -> Path:
    """Return where the settings file is or, where there is none, where it would be."""
    return _find(config_file, environ, cwd) or cwd / "config.env"


class Salvaged(NamedTuple):
    """What can be used of settings that are not in order: where and how to report that."""

    sync_state: Path | None
    ping_url: str | None
    log_format: Literal["text", "json"]


def salvage_settings(config_file: Path | None, environ: Mapping[str, str], cwd: Path) -> Salvaged:
    """Return what can be used of settings that `load_settings` refuses; never raise ConfigError."""
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


# Where a value comes from: the environment, or the file.


def _find(config_file: Path | None, environ: Mapping[str, str], cwd: Path) -> Path | None:
    named = config_file or environ.get("CLIO_BROADLY_SYNC_CONFIG", "").strip()
    if named:
        return cwd / os.path.expanduser(named)
    usual = cwd / "config.env"
    return usual if os.path.lexists(usual) else None


def _from_file(path: Path) -> tuple[dict[str, str], list[str]]:
    texts, problems = read_file(path)
    beside = Path(os.path.realpath(path)).parent
    return {"sync_state": str(_usual_state(path)), **_given(texts, beside)}, problems


def _usual_state(path: Path) -> Path:
    """Return the usual path of the state; links are followed, so that there is one ledger."""
    return Path(os.path.realpath(path)).parent / "state" / "state.db"


def _given(source: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return the settings that have a value; a relative path of the state starts from `folder`."""
    given = {name.lower(): source[name] for name in NAMES if source.get(name, "").strip()}
    for name in given.keys() - {"sync_opt_out_field", "sync_opt_in_field"}:
        given[name] = given[name].strip()  # those two must match Clio's names exactly, blanks too
    if "sync_state" in given:
        given["sync_state"] = _place(given["sync_state"], folder)
    return given


def _place(value: str, folder: Path) -> str:
    """Return the whole path; empty for what cannot name a file, which `as_path` then refuses."""
    path = os.path.expanduser(value)
    if path.startswith("~") or path.endswith("/") or "://" in path or not path.isprintable():
        return ""
    return os.path.realpath(folder / path)


def _checked(texts: Mapping[str, str], problems: list[str]) -> Settings | None:
    """Return the Settings, or None; add to `problems` a sentence for each setting at fault."""
    good, bad = _parsed(texts)
    for name, setting in _SETTINGS.items():
        must_be = f"must be {setting.metadata['must_be']}."
        if name in bad:
            problems.append(f"{name.upper()} {must_be}")
        elif name not in good and setting.default is MISSING:
            problems.append(f"{name.upper()} is not set; it {must_be}")
    return None if problems else Settings(**good)


def _parsed(texts: Mapping[str, str]) -> tuple[dict[str, Any], set[str]]:
    """Return the settings that are in order, and the names of those that are not."""
    good: dict[str, Any] = {}
    bad: set[str] = set()
    for name, text in texts.items():
        try:
            good[name] = _SETTINGS[name].metadata["parse"](text)
        except ValueError:
            bad.add(name)
    days = good.get("sync_max_age_days", Settings.sync_max_age_days)
    if good.get("sync_settle_hours", 0) >= 24 * days:  # each closing would be too old when due
        bad.add("sync_settle_hours")
    subdomain = _SUBDOMAINS[good.get("clio_region", Settings.clio_region)]
    good.setdefault("clio_base_url", f"https://{subdomain}app.clio.com")
    return good, bad


# The file: its lines NAME=value, and what is wrong with the others.


def read_file(path: Path) -> tuple[dict[str, str], list[str]]:
    """Return the values by name, and a sentence for each line that is wrong.

    Raise ConfigError where the file cannot be read.
    """
    return _lines_of(_text_of(path))


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        problem = f"cannot be read ({error.strerror}): mend that, or name another with --config."
    except ValueError:
        problem = "is not plain text: save it anew, as plain text in UTF-8."
    raise ConfigError(f"The settings file {str(path)!r} {problem}")


def _lines_of(text: str) -> tuple[dict[str, str], list[str]]:
    """Return the values by name, and what is wrong with the other lines, quoting none of them."""
    values: dict[str, str] = {}
    problems: list[str] = []
    for binding in parse_stream(io.StringIO(text)):
        text = binding.original.string
        line = binding.original.line + text.count("\n") - text.lstrip().count("\n")
        if problem := _problem_of(binding, values):
            problems.append(f"Line {line} of the settings file {problem}")
        elif binding.key and (binding.value or "").strip():
            values[binding.key] = binding.value or ""
    return values, problems


def _problem_of(binding: Binding, before: Mapping[str, str]) -> str | None:
    name, value = binding.key or "", binding.value
    nameless = name and (value is None or not re.fullmatch(r"\w+", name))
    if binding.error or nameless or "\0" in binding.original.string:
        return "does not read NAME=value: mend it, or put # before it."
    if name and name not in NAMES:
        return _stray(name)
    if value and value.strip() and before.get(name, value) != value:
        return f"sets {name} a second time, to something else: keep one of the two."
    return None


def _stray(name: str) -> str | None:
    """Return what is wrong with a name that is misspelt or lacks its prefix.

    Return None for a name that has nothing to do with this program.
    """
    upper = name.upper()
    ours = upper.startswith(_PREFIXES)
    near = [prefix + upper for prefix in _PREFIXES if prefix + upper in NAMES]
    near = near or difflib.get_close_matches(upper, NAMES, n=1, cutoff=0.6 if ours else 0.85)
    if not ours and not near:
        return None
    shown = name if re.fullmatch("[A-Z_]{1,40}", name) else "a name"  # it may be a pasted key
    mend = f"did you mean {' or '.join(near)}?" if near else "remove the line, or put # before it."
    return f"sets {shown}, which is no setting: {mend}"
