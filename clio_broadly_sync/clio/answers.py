"""What an answer of Clio's says as a whole: its list, the next page, how many there are in all.

What its records say is in `clio/records.py`.
"""

from collections.abc import Mapping
from typing import Any

from clio_broadly_sync.domain.errors import Cause, UnavailableError, because

Row = Mapping[str, Any]


def unreadable(what: str) -> UnavailableError:
    """Return the error for an answer that cannot be read because of `what`."""
    sentence = f"Clio answered what cannot be read: {what}. The next run tries again."
    return because(Cause.UNREADABLE, UnavailableError(sentence))


def rows(body: Row) -> list[Row]:
    """Return the records of a list; raise UnavailableError where it is not made of records."""
    found = body.get("data")
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise unreadable("a list has no rows")
    return found


def next_page(body: Row, *, is_full: bool) -> object:
    """Return what the answer has for the address of the next page; None after the last page.

    An absent key means that there is no next page. But a full page that says nothing about paging
    raises UnavailableError.
    """
    meta = part(body, "meta")
    found = part(meta, "paging").get("next")
    if found is None and "paging" not in meta and is_full:
        raise unreadable("a full page does not tell whether there is another")
    return found


def total(body: Row) -> int | None:
    """Return how many records the whole list has; None where the answer does not say so.

    Several clients go by `meta.records`; Clio's guides do not name it.
    """
    meta = body.get("meta")
    found = meta.get("records") if isinstance(meta, dict) else None
    return found if type(found) is int and found >= 0 else None


def part(body: Row, key: str) -> Row:
    """Return the object under the key, or an empty one where there is none."""
    found = body.get(key)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise unreadable("a list does not tell whether there is more")
    return found
