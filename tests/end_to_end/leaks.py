"""What the program must neither print nor leave behind, and the few places that may hold it."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from fnmatch import fnmatch
from functools import cache
from urllib.parse import quote

from rig import Sandbox, Webhook


class Kind(StrEnum):
    """What a word that must not be seen is; the values stand in sentences."""

    NAME = "a client's name"
    CHANNEL = "a client's e-mail address or phone number"
    KEY = "a key of the settings, or a sign-in's code"
    SIGN_IN = "a token of a sign-in"


Words = Mapping[Kind, set[str]]
ON_A_TERMINAL = "a terminal where names are shown"
"""The name of the place for what `explain`, a question or `--names` prints on a terminal."""
MAY_HOLD = {
    "*/state.db": {Kind.SIGN_IN},
    "*/state.db-wal": {Kind.SIGN_IN},
    "*.env": {Kind.KEY},
    "*/exports/*": {Kind.NAME, Kind.CHANNEL},
    ON_A_TERMINAL: {Kind.NAME},
}
"""What may be where. No other place holds any such thing, and these hold nothing else."""
SECRET_SETTINGS = (
    "CLIO_ACCESS_TOKEN",
    "CLIO_CLIENT_SECRET",
    "BROADLY_API_KEY",
    "BROADLY_WEBHOOK_SECRET",
    "PING_URL",
    "PING_URL_VERIFY",
    "NOTIFY_URLS",
)
EMPTY_ROOM = re.compile(b"\0{2,}")
"""The unused bytes in a database."""
SHORTEST = 4
"""Shorter names are not searched for, because they occur within other words."""


def keys_in(environment: Mapping[str, str]) -> set[str]:
    """Return the values that only the settings may hold; a short one is no real key."""
    values = {value for name in SECRET_SETTINGS for value in environment.get(name, "").split()}
    return {value for value in values if len(value) >= 8}


def of(sandbox: Sandbox, keys: set[str]) -> dict[Kind, set[str]]:
    """Return every word to search for: all that the sandbox has given so far, and these keys."""
    oauth = sandbox.clio.oauth
    people = {word for word in sandbox.people() if len(word) >= SHORTEST}
    channels = {word for word in people if "@" in word or any(c.isdigit() for c in word)}
    keys = keys | {sandbox.clio.token, sandbox.broadly.key, oauth.client_secret} | oauth.codes
    if isinstance(sandbox.broadly, Webhook) and sandbox.broadly.secret:
        keys = keys | {sandbox.broadly.secret}
    return {
        Kind.NAME: people - channels,
        Kind.CHANNEL: channels,
        Kind.KEY: keys,
        Kind.SIGN_IN: oauth.tokens - keys,
    }


def found(places: Mapping[str, bytes], words: Words) -> list[str]:
    """Return a sentence for each word in a place that may not hold it, with its kind."""
    return [
        f"{place} holds {kind}: {word!r}"
        for place, content in places.items()
        for kind, word in _in(_text(content), words)
        if kind not in _allowed(place)
    ]


def _text(content: bytes) -> str:
    """Return a place's content in lower case, without empty room, in which there is no word."""
    return EMPTY_ROOM.sub(b"\0", content).decode("utf-8", "surrogateescape").lower()


def _in(content: str, words: Words) -> Iterator[tuple[Kind, str]]:
    for kind, some in words.items():
        for word in some:
            if any(form in content for form in _forms(word)):
                yield kind, word


def _allowed(place: str) -> set[Kind]:
    return set().union(*(kinds for where, kinds in MAY_HOLD.items() if fnmatch(place, where)))


@cache
def _forms(word: str) -> Iterable[str]:
    """Return the lower-case forms in which a word may occur: plain, in JSON, in an address."""
    return {word.lower(), json.dumps(word)[1:-1].lower(), quote(word, safe="").lower()}
