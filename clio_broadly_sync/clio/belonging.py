"""To which attorney and practice area a matter belongs. No run reads that, so no run loads this."""

from collections.abc import Iterable
from typing import Final

from clio_broadly_sync.clio import records
from clio_broadly_sync.clio.answers import Row
from clio_broadly_sync.clio.records import Params
from clio_broadly_sync.domain.errors import UnavailableError
from clio_broadly_sync.domain.grouping import Belonging, By, Named

_FIELDS: Final = {By.ATTORNEY: records.ATTORNEY, By.PRACTICE_AREA: records.PRACTICE_AREA}


def asked_by(by: Iterable[By]) -> Params:
    """Ask for the groups to which a matter belongs, and for nothing else of it."""
    groups = [f"{_FIELDS[one]}{{{records.NAME_FIELDS}}}" for one in by]
    return records.fields_and_box(",".join(["id", *groups]), None)


def belonging(row: Row, by: Iterable[By]) -> Belonging:
    """Return to whom or what a matter belongs; what cannot be read is left out."""
    found: Belonging = {}
    for one in by if records.is_whole(row) else ():
        field = _FIELDS[one]
        named = _named(row.get(field))
        if named is not None or (field in row and row[field] is None):
            found[one] = named
    return found


def _named(value: object) -> Named | None:
    """Return who or what this is; None where it is nobody, or the id or the name is missing."""
    name = records.name(value) if isinstance(value, dict) else None
    if not isinstance(value, dict) or name is None:
        return None
    try:
        return Named(records.id_of(value), name)
    except UnavailableError:
        return None
