"""How the values of checkboxes are read from a record of Clio's.

A box that does not say clearly what it is counts as unreadable, never as unchecked or untouched.
Sources: Clio's OpenAPI document and guides.
"""

from collections.abc import Mapping
from typing import Any, Final

from clio_broadly_sync.domain.checkboxes import CHECKBOX
from clio_broadly_sync.domain.model import Box

BOX_FIELDS: Final = "custom_field_values{id,field_name,field_type,value,soft_deleted,custom_field}"
_CHECKED: Final = (True, "true", 1, "1")
_UNCHECKED: Final = (False, "false", 0, "0", "")

Row = Mapping[str, Any]


def box(row: Row, field_id: int | None, name: str = "") -> Box:
    """Read a checkbox by its definition id; where that is None, no box is read: unchecked.

    What may be about this box and does not say so clearly makes it unreadable: an entry without a
    definition id, one of another id that is checked and bears the field's `name`, or two that
    differ. Without any entry, or with one that holds nothing, nobody has touched the box.
    """
    if field_id is None:
        return Box.UNCHECKED
    entries = row.get("custom_field_values")
    if not isinstance(entries, list):
        return Box.UNREADABLE
    states = {_box_state(entry, field_id, name) for entry in entries} - {None}
    if states == {Box.UNTOUCHED, Box.UNCHECKED}:
        return Box.UNCHECKED
    if len(states) > 1:
        return Box.UNREADABLE
    return (states.pop() if states else None) or Box.UNTOUCHED


def withheld(row: Row) -> bool:
    """Tell whether the record has a custom field's value that the token may not read.

    Clio then gives the entry without name and type.
    """
    entries = row.get("custom_field_values")
    return isinstance(entries, list) and any(
        isinstance(e, dict) and e.get("field_name") is None and e.get("field_type") is None
        for e in entries
    )


def _definition_id(entry: object) -> int | None:
    definition = entry.get("custom_field") if isinstance(entry, dict) else None
    id_ = definition.get("id") if isinstance(definition, dict) else None
    return id_ if type(id_) is int else None  # a bool is no id


def _box_state(entry: Any, field_id: int, name: str) -> Box | None:
    """Return what an entry says of this box; None where it is about another one."""
    id_ = _definition_id(entry)
    if id_ is not None and id_ != field_id:
        is_checked_namesake = name and entry.get("field_name") == name
        is_checked_namesake = is_checked_namesake and entry.get("value") not in (None, *_UNCHECKED)
        return Box.UNREADABLE if is_checked_namesake else None
    if id_ is None or "value" not in entry:
        return Box.UNREADABLE
    if not isinstance(entry.get("field_name"), str) or entry.get("field_type") != CHECKBOX:
        return Box.UNREADABLE  # where the token may not read custom fields, everything is null
    return Box.UNREADABLE if entry.get("soft_deleted") else _state_of(entry["value"])


def _state_of(value: Any) -> Box:
    if value is None:
        return Box.UNTOUCHED
    if isinstance(value, float | list | dict):
        return Box.UNREADABLE
    if value in _CHECKED:
        return Box.CHECKED
    return Box.UNCHECKED if value in _UNCHECKED else Box.UNREADABLE
