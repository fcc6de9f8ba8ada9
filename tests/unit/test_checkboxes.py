"""The checkboxes: which of Clio's definitions are meant, and what a person should know of them.

What makes a run stop is tested with the pins (`test_pins`).
"""

import pytest

from clio_broadly_sync.domain import checkboxes
from clio_broadly_sync.domain.model import CustomField, FieldIds, SyncRule

OPT_OUT = CustomField(11, "BroadlyOptOut", "Contact", "checkbox", False, True, False)
OPT_IN = CustomField(22, "SendBroadlyThankYou", "Matter", "checkbox", False, True, False)
TEXTS = CustomField(33, "MayBeTexted", "Contact", "checkbox", False, True, False)
NAMES = ("BroadlyOptOut", "SendBroadlyThankYou")


def contacts_box(rule: SyncRule = SyncRule.BOTH) -> checkboxes.Checkbox:
    return checkboxes.read_by(rule, *NAMES)[0]


def test_what_each_rule_reads() -> None:
    """The contact's box always, needed but under opt-in; the matter's where the rule needs it."""
    boxes = {rule: checkboxes.read_by(rule, *NAMES) for rule in SyncRule}
    read = {rule: [(box.parent, box.needed) for box in several] for rule, several in boxes.items()}
    assert read == {
        SyncRule.OPT_OUT: [("contact", True)],
        SyncRule.OPT_IN: [("contact", False), ("matter", True)],
        SyncRule.BOTH: [("contact", True), ("matter", True)],
    }


def test_box_for_texts() -> None:
    """It is read under every rule, and needed, where it has a name; it comes last."""
    for rule in SyncRule:
        box = checkboxes.read_by(rule, *NAMES, "MayBeTexted")[-1]
        assert (box.name, box.parent, box.needed) == ("MayBeTexted", "contact", True)
        assert box.pinned_in(FieldIds(11, 22, 33)) == 33


@pytest.mark.parametrize(
    ("definitions", "id_"),
    [
        ([TEXTS], 33),
        ([], None),
        ([TEXTS, TEXTS._replace(id=34)], None),
        ([TEXTS._replace(parent="Matter")], None),
        ([TEXTS._replace(deleted=True), TEXTS._replace(id=34)], 34),
    ],
)
def test_id_of_the_box_for_texts(definitions: list[CustomField], id_: int | None) -> None:
    boxes = checkboxes.read_by(SyncRule.OPT_OUT, *NAMES, "MayBeTexted")
    assert checkboxes.ids(boxes, [OPT_OUT, *definitions]) == FieldIds(11, None, id_)


@pytest.mark.parametrize(
    ("definitions", "ids"),
    [
        ([OPT_OUT, OPT_IN], FieldIds(11, 22)),
        ([OPT_IN], FieldIds(None, 22)),
        ([OPT_OUT, OPT_OUT._replace(id=12), OPT_IN], FieldIds(None, 22)),
        ([OPT_OUT._replace(deleted=True), OPT_IN._replace(parent="Contact")], FieldIds(None, None)),
    ],
)
def test_ids(definitions: list[CustomField], ids: FieldIds) -> None:
    """None for what is missing, and for what nobody can tell apart."""
    assert checkboxes.ids(checkboxes.read_by(SyncRule.BOTH, *NAMES), definitions) == ids


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, []),
        ({"required": True}, ["untick Required"]),
        ({"displayed": False}, ["tick Default"]),
        ({"displayed": False, "required": True}, ["untick Required", "tick Default"]),
        ({"displayed": None, "required": None}, []),
    ],
    ids=str,
)
def test_cautions(changed: dict[str, bool], words: list[str]) -> None:
    """What Clio does not say is nothing to be warned of."""
    said = list(contacts_box().cautions(OPT_OUT._replace(**changed)))
    assert len(said) == len(words)
    assert all(word in caution for word, caution in zip(words, said, strict=True))


@pytest.mark.parametrize(
    ("field", "asked"),
    [
        (OPT_OUT._replace(name="broadly opt-out"), "Did you mean “broadly opt-out”?"),
        (OPT_OUT._replace(name=" BroadlyOptOut"), "Did you mean “ BroadlyOptOut”?"),
        (OPT_OUT._replace(name="BroadlyOptOt"), "Did you mean “BroadlyOptOt”?"),
        (OPT_OUT._replace(name="broadlyoptout", deleted=True), ""),
        (OPT_OUT._replace(name="broadlyoptout", parent="Matter"), ""),
        (OPT_OUT._replace(name="Referred By"), ""),
    ],
)
def test_did_you_mean(field: CustomField, asked: str) -> None:
    """Case, blanks and a slip of the finger; only where the field would have to be."""
    said = contacts_box().did_you_mean([field, OPT_IN])
    assert said.strip().startswith(asked)
    assert bool(said) == bool(asked)
