"""How the text of a setting becomes its value; a text that is none raises ValueError.

What a value must be is checked here without a library, because to load pydantic takes longer than
all the rest of a run that finds nothing to do.
"""

import binascii
import os
import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from clio_broadly_sync.domain.credentials import Secret

Parse = Callable[[str], Any]


class LeftoverError(ValueError):
    """Something is in a text that no person can have meant.

    Its words end a sentence about the setting, and quote nothing of the text.
    """


DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
BROADLY_FIELDS: Final = ("first_name", "last_name", "company_name", "email", "phone")

_WORD = re.compile("[!-~]+")
_SCHEME = "[A-Za-z][A-Za-z0-9+.-]*://"
_NOTICE_URL = re.compile(f"{_SCHEME}[!-~]+")
_BETWEEN_NOTICE_URLS = re.compile(rf"[\s,]+(?={_SCHEME})")
_URL = re.compile(r"[A-Za-z0-9._~:/?\[\]@!$&'()*+,;=%-]+")
_PART = "[A-Za-z0-9_-]{1,63}"
_HOST_AND_PORT = re.compile(rf"({_PART}(\.{_PART})*|\[[0-9A-Fa-f:.]+\])(:\d{{1,5}})?")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([ -~]+)")
_OWN_HEADERS = re.compile(
    "connection|content-.*|host|idempotency-key|transfer-encoding|webhook-.*", re.I
)
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)")
_HOURS = re.compile("([0-9]{1,2}) ?- ?([0-9]{1,2})")
_YES: Final = ("true", "yes", "on", "1", "t", "y")
_NO: Final = ("false", "no", "off", "0", "f", "n")

_MARKS: Final = dict.fromkeys(map(ord, "´‘’‚‛“”„‟‹›«»❛❜❝❞〝〞〟「」『』＂＇′″"), "'")
"""What else stands for a quotation mark; a pattern with all of them would be slow to compile."""
_MARK = "(?:\\\\?[\"'`]|&(?i:quot|apos|#34|#39);)"
_QUOTED = re.compile(f"{_MARK}(.*{_MARK})?", re.DOTALL)
_UNQUOTE: Final = "take off the quotation marks around it"
_NOT_KEPT: Final = "nothing that is written to /dev, /proc or /sys is kept"
_NO_DISK: Final = "/(dev(?!/shm/)|proc|sys)(/|$)"
_BLANK: Final = frozenset("\u2800\u115f\u1160\u3164\uffa0\ufffd")
"""Letters and signs, for Unicode, that nobody can see or tell."""
_PLAIN = re.compile(r"[\w./~-]+")
_SIGNS_IN_PATHS: Final = {
    _UNQUOTE: rf"^{_MARK}|{_MARK}$|/{_MARK}[^/]*{_MARK}/",
    "it has a sign that only looks like / or ~": "[\u2044\u2215\u29f8\uff0f]|^[\u02dc\u223c\uff5e]",
    "a backslash has no place in it": r"\\",
    "this is an address, or a pair of paths": (
        r"^[A-Za-z][\w+.-]*:|^:|:/"  # C:\, file:, host:/
        r"|:(?i:ro|rw|z)\b[\w,]*$"  # what Docker mounts
    ),
    "nothing has filled in the variable in it": r"\$[\w{(@*#?!$-]|%[\w%{(]|[`{}]",
    "this is a placeholder": r"[<>*?|]|@\w+@|(^|/)(\[[^/]*\]|…)(/|$)",
    "write it alone, with nothing around it": (
        r"^[–—=!@&,;#]|^(\w+\s+)*\w+\s*\+?=|^[\[(].*[\])]$"
        r"|[;,&]$|\s(#|;|&&)(\s|$)|(?i:\.db)(#|\s+[#-])|\s(--|[A-Za-z]+_\w*=)"
    ),
    "take away the blank beside a /": r"/\s|\s/",
}
"""What shells, unit files, containers, templates and other systems leave in a path, by the end of
the sentence about it. A plain path has none of it, and these patterns are slow to compile."""
_WORDS_IN_PATHS: Final = {
    _NOT_KEPT: f"^{_NO_DISK}",
    "this is a folder, so add the name of a file": r"^~$|(^|/)\.{0,2}$",
    "it has two / in a row, as an empty variable leaves them": "//",
    "this is a placeholder": (
        r"__[A-Za-z]\w*__|(^|/)\.{3,}(/|$)"
        r"|^/?(?i:(full/|absolute/)?path/to/|(your|my)/path\b)"
    ),
    "it has the word in it that a program writes for nothing": (
        r"(^|/)\(?(null|NULL|None|none(?=\))|undefined)\)?(/|$)"
        r"|^(?i:none|nil|nul|nan|n/a|unset|todo|changeme|true|false|yes|no|on|off|\d+)$"
    ),
    "write it alone, with nothing around it": "^-",
    "this is a file that lies beside a state": (
        r"(?i:\.(lock|told|notified|new)|-(wal|shm|journal))$"
    ),
}
"""The same of any path. A name that is only unusual fits nothing of either."""


def parsed(parse: Parse, text: str) -> Any:
    """Return what `parse` makes of a text that has no quotation marks around it."""
    if _QUOTED.fullmatch(text.strip().translate(_MARKS)):
        raise LeftoverError(_UNQUOTE)
    return parse(text)


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


def as_notice_urls(text: str) -> tuple[Secret, ...]:
    """Return the addresses of a list; a comma within one is not followed by another address."""
    return tuple(
        Secret(_fit(part, _NOTICE_URL.fullmatch))
        for part in _BETWEEN_NOTICE_URLS.split(text.strip(" ,"))
    )


def as_webhook_secret(text: str) -> Secret:
    """Return a secret that signs; after `whsec_` comes base64 (source: Standard Webhooks)."""
    encoded = text.removeprefix("whsec_")
    if encoded == text:
        return Secret(_fit(as_word(text), lambda t: len(t) >= 24))
    try:
        return Secret(_fit(text, lambda _: binascii.a2b_base64(encoded, strict_mode=True)))
    except binascii.Error:
        raise ValueError from None


def as_box_name(text: str) -> str:
    """Return the name of a checkbox as it is; blanks at its ends count."""
    return _fit(text, lambda t: t.strip() and t.isprintable() and len(t) < 256)


def as_path(text: str) -> Path:
    """Return the path of a file, which may be relative; raise LeftoverError for what is none.

    A path that nobody can have meant would lead to another ledger, where nobody was asked yet.
    """
    if not _PLAIN.fullmatch(text):
        _check_for(_SIGNS_IN_PATHS, text.translate(_MARKS))
    _check_for(_WORDS_IN_PATHS, text)
    if not (text.isprintable() and _BLANK.isdisjoint(text)):
        raise LeftoverError("it has a character that cannot be seen")
    home = os.environ.get("HOME", "/") if re.match("~(/|$)", text) else "/"
    path = os.path.expanduser(text)
    if path.startswith("~") or not home.startswith("/"):
        raise LeftoverError("this machine knows no such home, so begin it with /")
    return Path(path)


def _check_for(left: Mapping[str, str], text: str) -> None:
    """Raise LeftoverError where one of these patterns is in the text, by its sentence."""
    for why, pattern in left.items():
        if re.search(pattern, text):
            raise LeftoverError(why)


def placed(path: Path, folder: Path | None) -> Path:
    """Return the whole path, with its links followed; a relative one starts from `folder`."""
    if folder is None and not path.is_absolute():
        raise LeftoverError("begin with /, because there is no settings file to start from")
    named = path if folder is None else folder / path
    if any(os.path.islink(p) and not os.path.exists(p) for p in (named, *named.parents)):
        raise LeftoverError("a link in it leads nowhere, as one to a disk that is not mounted")
    whole = Path(os.path.realpath(named))
    if not is_on_disk(whole):
        raise LeftoverError(_NOT_KEPT)
    if whole.parent == Path("/"):
        raise LeftoverError("it lies in no folder, as one with an empty variable does")
    return whole


def is_on_disk(path: Path) -> bool:
    """Tell whether what is written there may still be there tomorrow."""
    return not re.match(_NO_DISK, str(path))


def as_zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (OSError, KeyError):  # it names a folder of zones, such as Europe, or no zone
        raise ValueError from None


def as_url(text: str) -> str:
    """Return an address that leads where it seems to lead, with nobody listening on the way."""
    parts = urlsplit(text)
    private = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))
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


def is_loopback(host: str | None) -> bool:
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


def as_days(text: str) -> frozenset[int]:
    """Return the days of the week in a list of days and ranges of them, of which Monday is 0.

    A range may go over the week's end. No day may be named twice.
    """
    named = [day for part in text.lower().split(",") for day in _days_in(part)]
    _fit(text, lambda _: len(named) == len(set(named)))
    return frozenset(named)


def as_day(text: str) -> int:
    """Return a day of the week, of which Monday is 0."""
    return DAYS.index(text.lower())


def _days_in(part: str) -> list[int]:
    first, *last = (DAYS.index(day.strip()) for day in part.split("-"))
    if not last:
        return [first]
    (end,) = last
    _fit(part, lambda _: end != first)
    return [day % 7 for day in range(first, first + (end - first) % 7 + 1)]


def as_hours(text: str) -> tuple[int, int]:
    """Return the full hours at which a time of the day begins and ends, which may be over midnight.

    It begins before 24, and does not end at the hour at which it begins.
    """
    found = _HOURS.fullmatch(text)
    begin, end = (int(found[1]), int(found[2])) if found else (24, 24)
    _fit(text, lambda _: begin < 24 and end <= 24 and begin != end)
    return begin, end
