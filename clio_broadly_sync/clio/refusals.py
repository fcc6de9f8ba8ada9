"""What a refusal means that came from Clio, or from something that answers in Clio's place.

Clio's JSON for an error has a word in one of two shapes: as `error.type`, or as `error` itself.
Beside the first there is a sentence, `error.message`. Source: Clio's OpenAPI document and guides.
"""

import re
from typing import Final

from clio_broadly_sync.clio import records
from clio_broadly_sync.domain.errors import (
    ConfigError,
    DeniedError,
    RefusedError,
    SyncError,
    UnavailableError,
    because,
)
from clio_broadly_sync.transport.client import read_json

_OF_THE_REQUEST: Final = frozenset({400, 409, 410, 413, 422})
_WHOEVER_ANSWERS: Final = _OF_THE_REQUEST | {401, 407}
"""The statuses that are told the same whether or not they are Clio's own."""
_INVALID_FIELDS: Final = "InvalidFields"
"""Clio's word for a field that it does not know (source: two clients that are in use)."""
_NAME: Final = re.compile(r"\b[a-z_]+\b")
_ASKED_FOR: Final = frozenset(_NAME.findall(" ".join(records.EVERY_FIELD)))


class InvalidFieldsError(ConfigError):
    """Clio does not know one of the fields that were asked for."""


def word_in(body: bytes) -> str | None:
    """Return Clio's word for an error; None where the body is not what Clio answers with."""
    error = _error_in(body)
    word = error.get("type") if isinstance(error, dict) else error
    return word if isinstance(word, str) else None


def in_place_of_clio(error: DeniedError | RefusedError) -> UnavailableError | None:
    """Return the error for a refusal by something in between; None where Clio may have refused.

    A 403, or a status that Clio does not document, is Clio's own only with Clio's JSON for an
    error, because a firewall answers with a page of its own.
    """
    if error.status in _WHOEVER_ANSWERS or word_in(error.body) is not None:
        return None
    in_between = UnavailableError(
        f"Something between this machine and Clio answers in its place (status {error.status}): "
        "ask whoever runs the network to let this machine through to Clio."
    )
    return because(f"http_{error.status}", in_between)


def of_the_api(error: DeniedError | RefusedError) -> SyncError:
    """Return what the refusal of a request to the API means."""
    if error.status not in _OF_THE_REQUEST:
        return in_place_of_clio(error) or error
    word = word_in(error.body) or ""
    why = [f"status {error.status}"]
    if word.isascii() and word.isidentifier() and len(word) <= 40:
        why.append(word)
    kind = ConfigError
    if word == _INVALID_FIELDS:
        kind = InvalidFieldsError
        why += _fields_in(error.body)
    sentence = (
        f"Clio refuses the request itself ({', '.join(why)}): "
        "this program and Clio's API no longer fit; look for a newer version."
    )
    return because(f"http_{error.status}", kind(sentence))


def _fields_in(body: bytes) -> list[str]:
    """Return the fields that Clio's sentence for an error names, if this program asks for them.

    No other word of the sentence is returned, because it may name a client.
    """
    error = _error_in(body)
    sentence = error.get("message") if isinstance(error, dict) else None
    words = _NAME.findall(sentence) if isinstance(sentence, str) else []
    return [word for word in dict.fromkeys(words) if word in _ASKED_FOR]


def _error_in(body: bytes) -> object:
    try:
        found = read_json(body)
    except ValueError:
        return None
    return found.get("error") if isinstance(found, dict) else None
