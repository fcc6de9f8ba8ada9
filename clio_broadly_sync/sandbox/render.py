"""From rows to JSON: parses `fields` as Clio does and draws exactly what was asked for."""

import re
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from clio_broadly_sync.sandbox.firm import Firm
from clio_broadly_sync.sandbox.records import (
    JSON,
    MISSING,
    Box,
    Contact,
    CustomField,
    Matter,
    Sight,
)
from clio_broadly_sync.sandbox.shapes import SHAPES, Getter, Named, Shape, Value, display_number

Spec: TypeAlias = list[tuple[str, list[str] | None]]
Draw: TypeAlias = Callable[[Any], JSON]

_ITEM = re.compile(r"([a-z_]+)(?:\{([a-z_,]*)\})?(?:,|$)")
PRACTICES = ("Family", "Real Estate", "Estate Planning", "Immigration", "Personal Injury")
AREAS = [Named(41 + number, name) for number, name in enumerate(PRACTICES)]
DOLLARS = Named(1, "USD")
STAGES = [Named(61, "Intake", {"order": 1}), Named(62, "In Progress", {"order": 2})]
STAFF = [Named(952 + n, name, {"enabled": True}) for n, name in enumerate(("Partner", "Associate"))]


class InvalidFieldError(Exception):
    """A name that Clio doesn't know, or braces where it allows none."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not a valid field")


def parse_fields(text: str | None) -> Spec | None:
    """Return the names asked for, None where nothing was; braces below level 1 are refused."""
    if not text:
        return None
    spec: Spec = []
    position = 0
    while position < len(text):
        item = _ITEM.match(text, position)
        if item is None:
            raise InvalidFieldError(text[position:].split(",")[-1])
        inner = item[2]
        spec.append((item[1], None if inner is None else inner.split(",")))
        position = item.end()
    return spec


class Renderer:
    """Draws rows for one request; `stripped` nulls the custom field values, as for a token that
    may not read them."""

    def __init__(self, firm: Firm, *, field_ids: frozenset[int] | None, stripped: bool) -> None:
        self.firm = firm
        self.stripped = stripped
        rows = [row for row in firm.fields if field_ids is None or row.id in field_ids]
        self._definitions = {
            parent: [row for row in rows if row.parent_type == parent]
            for parent in ("Contact", "Matter")
        }

    def plan(self, shape_name: str, spec: Spec | None) -> Draw:
        """Check the names and return what draws a row of this shape."""
        shape = SHAPES[shape_name]
        names = spec if spec is not None else [(name, None) for name in shape.default]
        getters = [(name, self._getter(shape_name, shape, name, inner)) for name, inner in names]

        def draw(row: Any) -> JSON:
            drawn = {name: getter(row) for name, getter in getters}
            raw = getattr(row, "raw", None)
            if raw:
                drawn.update((name, raw[name]) for name in drawn if name in raw)
            return {name: value for name, value in drawn.items() if value is not MISSING}

        return _guarded(draw) if shape_name == "contact" else draw

    def _getter(self, shape_name: str, shape: Shape, name: str, inner: list[str] | None) -> Getter:
        if name in shape.nested:
            return self._nested(shape_name, name, shape.nested[name], inner)
        if name not in shape.plain or inner is not None:
            raise InvalidFieldError(name)
        if shape_name == "matter" and name == "display_number":
            return lambda row: display_number(row, self._client(row))
        if shape_name == "matter" and name == "description":
            return lambda row: f"{AREAS[row.id % len(AREAS)].name} matter of {self._name(row)}"
        return shape.plain[name]

    def _nested(self, owner: str, name: str, shape: str, inner: list[str] | None) -> Getter:
        spec: Spec | None = None if inner is None else [(part, None) for part in inner]
        draw = self.plan(shape, spec)
        find = _currency if name == "currency" else self._sources(owner).get(name, _nothing)
        if name == "client":
            draw = _client_drawer(draw)

        def get(row: Any) -> JSON:
            found: Any = find(row)
            if found is None or found is MISSING:
                return found
            return [draw(part) for part in found] if isinstance(found, list) else draw(found)

        return get

    def _sources(self, owner: str) -> dict[str, Callable[[Any], Any]]:
        if owner == "matter":
            return {
                "client": self._client,
                "custom_field_values": lambda row: list(self._values(row, "Matter")),
                "practice_area": lambda row: AREAS[row.id % len(AREAS)],
                "matter_stage": lambda row: STAGES[row.id % len(STAGES)],
                "responsible_attorney": lambda row: STAFF[row.id % len(STAFF)],
                "originating_attorney": lambda row: STAFF[row.id % len(STAFF)],
                "responsible_staff": lambda row: STAFF[1],
            }
        if owner == "contact":
            return {
                "custom_field_values": lambda row: list(self._values(row, "Contact")),
                "email_addresses": lambda row: _reachable(row, "address", row.email),
                "phone_numbers": lambda row: _reachable(row, "number", row.phone),
            }
        if owner == "value":
            return {"custom_field": lambda row: MISSING if row.bare else row.definition}
        if owner == "who":
            return {"account": lambda row: row.more["account"]}
        return {}

    def _client(self, row: Matter) -> Contact | None:
        return self.firm.contacts.get(row.client_id)

    def _name(self, row: Matter) -> str:
        client = self._client(row)
        return client.name if client else "nobody"

    def _values(self, row: Contact | Matter, parent: str) -> Iterator[Value]:
        for definition in self._definitions[parent]:
            value = _value(row, definition)
            if value is not None:
                yield _strip(value, row.id) if self.stripped else value


def _value(row: Contact | Matter, definition: CustomField) -> Value | None:
    """Return what the record shows of one field, None where it shows no entry."""
    state = row.boxes.get(definition.id, Box.UNTOUCHED)
    if state is Box.UNTOUCHED:
        shown = definition.displayed and not definition.deleted
        state = Box.PLACEHOLDER if shown else Box.ABSENT
    if state is Box.ABSENT:
        return None
    value_id = None if state is Box.PLACEHOLDER else _value_id(row.id, definition)
    value = None if isinstance(state, Box) else state
    if state in (Box.UNREADABLE, Box.UNREADABLE_BARE):
        return Value(value_id, definition, None, None, None, state is Box.UNREADABLE_BARE)
    return Value(value_id, definition, value, definition.name, definition.field_type)


def _strip(value: Value, row_id: int) -> Value:
    return Value(_value_id(row_id, value.definition), value.definition, None, None, None)


def _value_id(row_id: int, definition: CustomField) -> str:
    return f"{definition.field_type}-{row_id}{definition.id:04d}"


def _reachable(row: Contact, key: str, value: str | None) -> list[Named]:
    if value is None:
        return []
    return [Named(row.id * 10, "Work", {key: value, "primary": True})]


def _guarded(draw: Draw) -> Draw:
    """Show only the id of a contact that is redacted."""

    def guarded(row: Contact) -> JSON:
        return _redacted(row) if row.sight is Sight.REDACTED else draw(row)

    return guarded


def _client_drawer(draw: Draw) -> Draw:
    def drawn(row: Contact) -> JSON:
        seen = row.sight in (Sight.FULL, Sight.HIDDEN)
        return draw(row) if seen else _redacted(row)

    return drawn


def _redacted(row: Contact) -> JSON:
    return {"id": row.raw.get("id", row.id), "redacted": True}


def _currency(row: Any) -> Any:
    return DOLLARS


def _nothing(row: Any) -> Any:
    return None
