"""What the sandbox's Broadly accepts: the rules of `broadly-batch/1`, item by item."""

import json
import re
import unicodedata
from collections.abc import Iterator
from datetime import date
from typing import Any, NamedTuple

REQUIRED = ("externalId", "transactionId", "transactionDate")
LENGTHS = {"firstName": 255, "lastName": 255, "companyName": 255, "email": 254}
KNOWN = (*REQUIRED, *LENGTHS, "phone")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_PHONE = re.compile(r"\+[1-9]\d{6,14}")
_EMAIL = re.compile(r"[^@\s]+@(?:[^@\s.A-Z]+\.)+[^@\s.A-Z]{2,}")


class Problem(NamedTuple):
    at: int | None
    field: str
    code: str


def parse(body: bytes) -> Any:
    """Return the JSON; a ValueError where it is none, or names a key twice."""
    return json.loads(body, object_pairs_hook=_unique)


def problems(document: Any) -> Iterator[Problem]:
    """Yield everything that is wrong with a batch, the whole first, then each item."""
    if not isinstance(document, dict):
        yield Problem(None, "", "not_an_object")
        return
    for key in document.keys() - {"source", "customers"}:
        yield Problem(None, key, "unknown_field")
    if not isinstance(document.get("source"), str) or not document["source"]:
        yield Problem(None, "source", "missing")
    customers = document.get("customers")
    if not isinstance(customers, list) or not customers:
        yield Problem(None, "customers", "missing")
        return
    seen: set[Any] = set()
    for index, item in enumerate(customers):
        for field, code in _item(item):
            yield Problem(index, field, code)
        external = item.get("externalId") if isinstance(item, dict) else None
        if isinstance(external, str) and external in seen:
            yield Problem(index, "externalId", "twice_in_batch")
        seen.add(external if isinstance(external, str) else None)


def _item(item: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(item, dict):
        yield "", "not_an_object"
        return
    yield from ((key, "missing") for key in REQUIRED if key not in item)
    for key, value in item.items():
        code = _flaw(key, value)
        if code is not None:
            yield key, code
    if "companyName" in item and ("firstName" in item or "lastName" in item):
        yield "companyName", "company_and_person"


def _flaw(key: str, value: Any) -> str | None:
    if key not in KNOWN:
        return "unknown_field"
    if value is None or value == "":
        return "empty"
    if not isinstance(value, str):
        return "not_a_string"
    if len(value) > LENGTHS.get(key, 255):
        return "too_long"
    if not _clean(value):
        return "not_clean"
    return _malformed(key, value)


def _malformed(key: str, value: str) -> str | None:
    if key == "transactionDate" and not _is_date(value):
        return "invalid_date"
    if key == "phone" and not _PHONE.fullmatch(value):
        return "invalid_phone"
    if key == "email" and not _EMAIL.fullmatch(value):
        return "invalid_email"
    return None


def _clean(value: str) -> bool:
    """Is the text trimmed, NFC, and free of control characters?"""
    control = any(unicodedata.category(char) == "Cc" for char in value)
    return value == value.strip() and not control and unicodedata.is_normalized("NFC", value)


def _is_date(value: str) -> bool:
    try:
        return _DATE.fullmatch(value) is not None and bool(date.fromisoformat(value))
    except ValueError:
        return False


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice")
    return found
