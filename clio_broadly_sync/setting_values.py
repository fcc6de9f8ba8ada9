"""A setting's text turned into its value: each raises ValueError for what cannot be one.

The words for the person are in `config`, beside the setting.
"""

import os
import re
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from clio_broadly_sync.domain.model import Secret

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


def number(kind: Parse, least: float, most: float) -> Parse:
    """Take an `int` or a `float` within these bounds."""

    def parse(text: str) -> Any:
        value = kind(_checked(text, _NUMBER.fullmatch))
        if not least <= value <= most:
            raise ValueError
        return value

    return parse


def one_of(*words: str) -> Parse:
    return lambda text: _checked(text.lower(), words.__contains__)


def yes_or_no(text: str) -> bool:
    return _checked(text.lower(), (_YES + _NO).__contains__) in _YES


def word(text: str) -> str:
    return _checked(text, _WORD.fullmatch)


def secret(text: str) -> Secret:
    return Secret(word(text))


def box(text: str) -> str:
    """Take the name of a checkbox."""
    return _checked(text, lambda t: t.strip() and t.isprintable() and len(t) < 256)


def path(text: str) -> Path:
    return Path(_checked(text, os.path.isabs))


def zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (OSError, KeyError):  # a folder of zones, such as Europe; no such zone
        raise ValueError from None


def url(text: str) -> str:
    """Take an address that leads where it seems to, with nobody listening on the way."""
    parts = urlsplit(text)
    private = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname))
    well_made = _URL.fullmatch(text) and _HOST_AND_PORT.fullmatch(parts.netloc)
    return _checked(text, lambda _: private and well_made and parts.port != 0)


def origin(text: str) -> str:
    """Reduce an address to scheme and host, in one spelling."""
    parts = urlsplit(_checked(url(text), lambda t: "?" not in t))
    _checked(parts.path, ("", "/").__contains__)
    usual_port = ":443" if parts.scheme == "https" else ":80"
    return f"{parts.scheme}://{parts.netloc}".lower().removesuffix(usual_port)


def header(text: str) -> str:
    """Take a header with the place of the key in it, and not one that is set here."""
    match = _HEADER.fullmatch(text)
    sound = match and match[2].count("{key}") == 1 and not _OWN_HEADERS.fullmatch(match[1])
    return _checked(text, lambda _: sound)


def _checked(text: str, holds: Callable[[str], object]) -> str:
    if not holds(text):
        raise ValueError
    return text


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False
