"""The checkboxes that decide who is asked and how, looked for among Clio's custom fields.

Pure functions find which of Clio's definitions are meant, what is wrong with them, and what the
people who set them up should know. Names must match exactly. How the value of a box is read from a
record is in `clio/boxes.py`.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from clio_broadly_sync.domain.errors import shown
from clio_broadly_sync.domain.model import CustomField, FieldIds, SyncRule

CHECKBOX: Final = "checkbox"
"""Clio's word for this type of custom field."""
ACCEPT: Final = "If that is meant, run `clio-broadly-sync check --accept`."
"""How a problem ends where a person may accept what has changed."""
OPT_OUT, OPT_IN, TEXT = range(3)
"""The places of the checkboxes in `FieldIds`."""
_SETTINGS: Final = ("SYNC_OPT_OUT_FIELD", "SYNC_OPT_IN_FIELD", "SYNC_TEXT_FIELD")


class Checkbox(NamedTuple):
    """One of the checkboxes as it should be in Clio."""

    name: str
    """Its name, exactly as in Clio."""
    parent: str
    """The kind of record that has it: `contact` or `matter`."""
    place: int
    """The place of its id in `FieldIds`."""
    needed: bool
    """Whether no run may do without it."""

    def __str__(self) -> str:
        return f"“{self.name}” on the {self.parent}"

    def pinned_in(self, pins: FieldIds | None) -> int | None:
        """Return the id under which the checkbox is pinned; None where it is not."""
        return pins[self.place] if pins is not None else None

    def found_in(self, fields: Sequence[CustomField]) -> list[CustomField]:
        """Return the checkboxes of this name and parent that are not deleted."""
        return [field for field in fields if field.name == self.name and self._fits(field)]

    def is_wrong(self, fields: Sequence[CustomField], pins: FieldIds | None) -> bool:
        """Tell whether no run may go on with this checkbox.

        That is so where Clio has more than one of it or not the pinned one. It is also so where
        Clio has none, although it is needed or pinned, or another field has its name.
        """
        found, before = self.found_in(fields), self.pinned_in(pins)
        if not found:
            in_the_wrong_way = any(f.name == self.name and not f.deleted for f in fields)
            return self.needed or before is not None or in_the_wrong_way
        return len(found) > 1 or before not in (None, found[0].id)

    def problem(self, fields: Sequence[CustomField], pins: FieldIds | None) -> str:
        """Return the sentence that says what is wrong with it.

        Call it where `is_wrong` is true, with every definition that Clio has, of whatever type.
        """
        found = self.found_in(fields)
        if len(found) > 1:
            return (
                f"Clio has {len(found)} checkboxes named {self}: "
                "rename or delete all but one, so that it is clear which one counts."
            )
        if found:
            return (
                f"The checkbox {self} is not the one that this state was made with "
                f"(another id): it was made anew, and its boxes are blank. {ACCEPT}"
            )
        missing = f"Clio has no checkbox named {self}"
        return missing + self._why_missing(fields, self.pinned_in(pins))

    def cautions(self, field: CustomField) -> Iterator[str]:
        """Yield a sentence for each thing in Clio that keeps people from ticking the checkbox.

        The program can go on all the same.
        """
        if field.required:
            yield (
                f"The checkbox {self} is marked as required in Clio, so staff may be unable to "
                f"save a {self.parent} without it: untick Required on the field."
            )
        if field.displayed is False:
            yield (
                f"The checkbox {self} is not shown by default in Clio, so nobody sees it until "
                f"it is added to a {self.parent} by hand: tick Default on the field."
            )

    def near_miss(self, fields: Sequence[CustomField]) -> str | None:
        """Return the name, fit to print, of a field on the same parent that is nearly the same.

        Return None where there is no such field.
        """
        import difflib  # only what is wrong, or not there, needs it

        by_letters = {_letters(f.name): f.name for f in fields if self._is_here(f)}
        close = difflib.get_close_matches(_letters(self.name), by_letters, n=1, cutoff=0.75)
        return shown(by_letters[close[0]]) if close else None

    def did_you_mean(self, fields: Sequence[CustomField]) -> str:
        """Return the question whether a nearly equal name is meant, with a blank before it.

        Return an empty text where no name is nearly equal.
        """
        near = self.near_miss(fields)
        return f" Did you mean “{near}”? {self._either_way()}" if near else ""

    def _fits(self, field: CustomField) -> bool:
        return self._is_here(field) and field.type == CHECKBOX

    def _is_here(self, field: CustomField) -> bool:
        return field.parent == self.parent.capitalize() and not field.deleted

    def _why_missing(self, fields: Sequence[CustomField], pinned: int | None) -> str:
        """Return how the sentence ends that begins with "Clio has no checkbox named …".

        It was renamed, has another type, is on the other parent, was deleted, or was never made.
        """
        here = [field for field in fields if self._is_here(field)]
        renamed = next((field.name for field in here if field.id == pinned), None)
        if renamed is not None and renamed != self.name:
            pinned_one = f"the one that this state was made with is called “{shown(renamed)}”"
            return f": {pinned_one}. {self._either_way()}"
        other_type = next((field.type for field in here if field.name == self.name), None)
        if other_type is not None:
            return f": the field of that name is a {shown(other_type)}, not a checkbox."
        named = [field for field in fields if field.name == self.name]
        elsewhere = next((field.parent for field in named if not field.deleted), None)
        if elsewhere is not None:
            there = shown(elsewhere).lower()
            return f", but on the {there}: it must be made for the {self.parent}."
        if any(field.parent == self.parent.capitalize() for field in named):
            return ": it was deleted. Restore it; or make it anew, and run `check --accept`."
        if question := self.did_you_mean(fields):
            return f".{question}"
        return f": create it, or put the name that it has in Clio into {self._setting}."

    @property
    def _setting(self) -> str:
        return _SETTINGS[self.place]

    def _either_way(self) -> str:
        """Name both ways to fix it, for either Clio's name or the setting may be the wrong one."""
        fix = f"Put that into {self._setting}, or rename it in Clio"
        return f"{fix}: capital letters and blanks count."


def read_by(
    rule: SyncRule, opt_out_name: str, opt_in_name: str, text_name: str | None = None
) -> list[Checkbox]:
    """Return the checkboxes that are read, needed or not; the one for the opt-out comes first.

    That is always one of them; under `opt-in` it counts where Clio has it. The one that allows text
    messages is read where it has a name.
    """
    boxes = [Checkbox(opt_out_name, "contact", OPT_OUT, rule.needs_opt_out)]
    if rule.needs_opt_in:
        boxes.append(Checkbox(opt_in_name, "matter", OPT_IN, needed=True))
    if text_name is not None:
        boxes.append(Checkbox(text_name, "contact", TEXT, needed=True))
    return boxes


def ids(boxes: Sequence[Checkbox], fields: Sequence[CustomField]) -> FieldIds:
    """Return the ids of the checkboxes; None for one that Clio does not have exactly once."""
    found = FieldIds(None, None)
    for box in boxes:
        if len(several := box.found_in(fields)) == 1:
            found = found._replace(**{FieldIds._fields[box.place]: several[0].id})
    return found


def _letters(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())
