"""What the state was made with, held against the settings and against Clio's definitions."""

import logging
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from factories import DESTINATION, NOW

from clio_broadly_sync.domain.account import Account
from clio_broadly_sync.domain.consent import Untouched
from clio_broadly_sync.domain.errors import ConfigError, DeniedError
from clio_broadly_sync.domain.model import (
    CustomField,
    Destination,
    FieldIds,
    Pins,
    Profile,
    SyncRule,
)
from clio_broadly_sync.pipeline import pins

OPT_OUT = CustomField(11, "BroadlyOptOut", "Contact", "checkbox", False)
OPT_IN = CustomField(22, "SendBroadlyThankYou", "Matter", "checkbox", False)
OTHER = CustomField(33, "Retainer", "Matter", "currency", False)
PINNED = FieldIds(11, 22)
ELSEWHERE = Destination(Profile.BATCH, "https://other.test")
HOOK = Destination(Profile.WEBHOOK, "https://hook.test/s3cret")
FILE = Destination(Profile.CSV, "")


class Definitions:
    """Clio's definitions, as its API filters them."""

    def __init__(self, *fields: CustomField, account: Account | DeniedError | None = None) -> None:
        self.fields = fields
        self.clock = NOW
        self.requests = 0
        self._account = account or Account(7, "America/New_York")

    def now(self) -> datetime:
        return self.clock

    def asked_at(self) -> datetime:
        return self.clock

    def unbroken_since(self) -> datetime | None:
        return None

    def account(self) -> Account:
        if isinstance(self._account, DeniedError):
            raise self._account
        return self._account

    def custom_fields(self, *, all_of_them: bool = False) -> Sequence[CustomField]:
        self.requests += 1
        return [
            field
            for field in self.fields
            if all_of_them or (field.type == "checkbox" and not field.deleted)
        ]


def make_wanted(rule: SyncRule = SyncRule.BOTH, **changes: Any) -> pins.Wanted:
    wanted = pins.Wanted(
        host="https://app.clio.com",
        destination=DESTINATION,
        rule=rule,
        opt_out_name="BroadlyOptOut",
        opt_in_name="SendBroadlyThankYou",
    )
    return wanted._replace(**changes)


def make_pins(**changes: Any) -> Pins:
    made = Pins("https://app.clio.com", 7, DESTINATION, SyncRule.BOTH, PINNED)
    return made._replace(**changes)


def read(
    *fields: CustomField, rule: SyncRule = SyncRule.BOTH, pinned: FieldIds | None = None
) -> FieldIds:
    return pins.Fields(Definitions(*fields), make_wanted(rule)).read(pinned)


def problems(
    *fields: CustomField, rule: SyncRule = SyncRule.BOTH, pinned: FieldIds | None = None
) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        read(*fields, rule=rule, pinned=pinned)
    return caught.value.problems


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        (SyncRule.OPT_OUT, FieldIds(11, None)),
        (SyncRule.OPT_IN, FieldIds(11, 22)),
        (SyncRule.BOTH, FieldIds(11, 22)),
    ],
)
def test_fields_that_the_rule_reads(rule: SyncRule, found: FieldIds) -> None:
    """Opt-out reads the contact's box alone; the others read both where both are there."""
    assert read(OPT_OUT, OPT_IN, OTHER, rule=rule) == found
    assert read(OPT_OUT, OPT_IN, OTHER, rule=rule, pinned=found) == found


@pytest.mark.parametrize(
    ("rule", "fields", "named"),
    [
        (SyncRule.OPT_OUT, [OPT_IN], ["BroadlyOptOut"]),
        (SyncRule.OPT_IN, [OPT_OUT], ["SendBroadlyThankYou"]),
        (SyncRule.BOTH, [OPT_OUT], ["SendBroadlyThankYou"]),
        (SyncRule.BOTH, [OPT_IN], ["BroadlyOptOut"]),
        (SyncRule.BOTH, [], ["BroadlyOptOut", "SendBroadlyThankYou"]),
    ],
)
def test_missing(rule: SyncRule, fields: list[CustomField], named: list[str]) -> None:
    """A field that the rule needs and Clio has not is named, and so is every other one."""
    found = problems(*fields, rule=rule)
    assert len(found) == len(named)
    assert all(name in problem for name, problem in zip(named, found, strict=True))


WRONG = {
    "another type": (OPT_OUT._replace(type="text_line"), "is a text_line, not a checkbox"),
    "the wrong parent": (OPT_OUT._replace(parent="Matter"), "on the matter: it must be made for"),
    "deleted": (OPT_OUT._replace(deleted=True), "deleted"),
    "renamed, nearly the same": (
        OPT_OUT._replace(id=12, name="Broadly Opt-Out"),
        "Did you mean “Broadly Opt-Out”?",
    ),
    "case": (OPT_OUT._replace(id=12, name="broadlyoptout"), "Did you mean “broadlyoptout”?"),
    "a blank at the end": (
        OPT_OUT._replace(id=12, name="BroadlyOptOut "),
        "Did you mean “BroadlyOptOut ”?",
    ),
    "renamed, beyond guessing": (
        OPT_OUT._replace(name="No reviews please"),
        "is called “No reviews please”",
    ),
}


@pytest.mark.parametrize(("field", "words"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize(
    ("rule", "pinned"),
    [
        (SyncRule.OPT_OUT, FieldIds(11, None)),
        (SyncRule.BOTH, PINNED),
        (SyncRule.OPT_IN, PINNED),
    ],
    ids=str,
)
def test_pinned_field_that_is_not_in_order(
    field: CustomField, words: str, rule: SyncRule, pinned: FieldIds
) -> None:
    """Whatever became of a pinned field, the run ends and says what, under every rule."""
    (problem,) = problems(field, OPT_IN, OTHER, rule=rule, pinned=pinned)
    assert "“BroadlyOptOut”" in problem
    assert words in problem


def test_near_miss_is_looked_for_where_the_field_belongs() -> None:
    """A matter's field of nearly the same name is no hint for a contact's."""
    (problem,) = problems(OPT_OUT._replace(name="BroadlyOptOut2", parent="Matter"), OPT_IN)
    assert "Did you mean" not in problem


def test_doubled() -> None:
    """Two checkboxes of the name on one parent: nobody can tell which one counts."""
    (problem,) = problems(OPT_OUT, OPT_OUT._replace(id=12), OPT_IN)
    assert "2 checkboxes named “BroadlyOptOut”" in problem
    (problem,) = problems(OPT_OUT, OPT_OUT._replace(id=12), OPT_IN, pinned=PINNED)
    assert "2 checkboxes" in problem


def test_doubled_under_opt_in() -> None:
    """An optional field that is there twice is refused as well."""
    fields = (OPT_OUT, OPT_OUT._replace(id=12), OPT_IN)
    assert problems(*fields, rule=SyncRule.OPT_IN, pinned=FieldIds(None, 22))


def test_same_name_elsewhere_is_no_double() -> None:
    """A deleted one, another type or the other parent does not count."""
    others = [
        OPT_OUT._replace(id=12, deleted=True),
        OPT_OUT._replace(id=13, type="text_line"),
        OPT_OUT._replace(id=14, parent="Matter"),
    ]
    assert read(OPT_OUT, OPT_IN, *others, pinned=None) == PINNED
    assert read(OPT_OUT, OPT_IN, *others, pinned=PINNED) == PINNED


def test_made_anew() -> None:
    """Deleted and made again under its name, a field has every box blank."""
    (problem,) = problems(
        OPT_OUT._replace(deleted=True), OPT_OUT._replace(id=12), OPT_IN, pinned=PINNED
    )
    assert "made anew" in problem
    assert "check --accept" in problem


def test_every_problem_at_once() -> None:
    """A field made anew and one that is gone are both named."""
    assert len(problems(OPT_OUT._replace(id=12), pinned=PINNED)) == 2


# Opt-in, with the contact's box optional.


def test_opt_in_does_without_the_contacts_box() -> None:
    """Where the contact's field does not exist and is not pinned, nothing is missing."""
    assert read(OPT_IN, rule=SyncRule.OPT_IN) == FieldIds(None, 22)
    assert read(OPT_IN, rule=SyncRule.OPT_IN, pinned=FieldIds(None, 22)) == FieldIds(None, 22)


def test_opt_in_adopts_the_contacts_box_when_it_turns_up() -> None:
    """Made later, the contact's field counts from then on."""
    assert read(OPT_OUT, OPT_IN, rule=SyncRule.OPT_IN, pinned=FieldIds(None, 22)) == PINNED


@pytest.mark.parametrize(
    "wrong",
    [
        OPT_OUT._replace(type="text_line"),
        OPT_OUT._replace(parent="Matter"),
        OPT_OUT._replace(type="picklist", parent="Matter"),
    ],
    ids=str,
)
@pytest.mark.parametrize("pinned", [None, FieldIds(None, 22)], ids=["first run", "later"])
def test_opt_in_refuses_an_optional_box_made_in_the_wrong_way(
    wrong: CustomField, pinned: FieldIds | None
) -> None:
    """A firm that made the field meant it to count, whenever it was made."""
    (problem,) = problems(wrong, OPT_IN, rule=SyncRule.OPT_IN, pinned=pinned)
    assert "“BroadlyOptOut”" in problem


def test_opt_in_may_unpin_the_contacts_box() -> None:
    """`check --accept` reads without pins: a deleted optional field is then none."""
    assert read(OPT_OUT._replace(deleted=True), OPT_IN, rule=SyncRule.OPT_IN) == FieldIds(None, 22)


def test_names_of_others_are_shown_short_and_printable() -> None:
    """A near miss is shown without control characters, and never at any length."""
    odd = OPT_OUT._replace(id=11, name="x" * 500 + "\n\x1b[31m")
    (problem,) = problems(odd, OPT_IN, pinned=PINNED)
    assert "x" * 65 not in problem
    assert problem.isprintable()


def test_definitions_are_read_in_one_request() -> None:
    """Only a problem is worth a second one."""
    source = Definitions(OPT_OUT, OPT_IN)
    fields = pins.Fields(source, make_wanted())
    assert fields.older_than(timedelta.max)
    fields.read(PINNED)
    assert source.requests == 1
    assert not fields.older_than(timedelta(minutes=15))
    source.clock += timedelta(minutes=16)
    assert fields.older_than(timedelta(minutes=15))
    assert not fields.older_than(timedelta.max)


# Settings and account.


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"host": "https://eu.app.clio.com"}, "SYNC_STATE of its own"),
        ({"destination": ELSEWHERE}, "BROADLY_URL changed"),
        ({"destination": HOOK}, "BROADLY_PROFILE changed from batch to webhook"),
        ({"destination": FILE}, "BROADLY_PROFILE changed from batch to csv"),
        ({"rule": SyncRule.OPT_IN}, "SYNC_RULE"),
        ({"untouched": Untouched.SEND}, "SYNC_OPT_IN_UNTOUCHED changed from skip to send"),
        ({"text_name": "MayBeTexted"}, "SYNC_TEXT_FIELD is set, and this state was made without"),
    ],
)
def test_changed_setting(changed: dict[str, Any], word: str) -> None:
    """Each pinned setting that changed ends the run and is named."""
    with pytest.raises(ConfigError, match=word):
        pins.check_settings(make_pins(), make_wanted()._replace(**changed))


@pytest.mark.parametrize("destination", [DESTINATION, HOOK, FILE])
def test_destination_is_the_one_that_was_pinned(destination: Destination) -> None:
    """Whatever its kind; the state does not hold the address of a webhook, which is a secret."""
    pinned = pins.current_pins(make_wanted(destination=destination), None, PINNED)
    pins.check_settings(pinned, make_wanted(destination=destination))
    assert destination is not HOOK or destination.address not in pinned.destination.address
    if destination is not FILE:
        other = destination._replace(address="https://other.test/hook")
        with pytest.raises(ConfigError, match="BROADLY_URL changed"):
            pins.check_settings(pinned, make_wanted(destination=other))


def test_the_same_webhook_stays_pinned_as_it_is() -> None:
    """So that it does not count as another destination, which would hold what is in doubt."""
    wanted = make_wanted(destination=HOOK)
    pinned = pins.current_pins(wanted, None, PINNED)
    assert pins.current_pins(wanted, pinned, PINNED) == pinned


def test_text_field_that_is_not_set_any_more() -> None:
    made_with = make_pins(fields=FieldIds(11, 22, 33))
    with pytest.raises(ConfigError, match="SYNC_TEXT_FIELD is not set, and this state was"):
        pins.check_settings(made_with, make_wanted())
    pins.check_settings(made_with, make_wanted(text_name="Whatever it is called now"))


def test_unchanged_settings() -> None:
    """Nothing changed, no error."""
    pins.check_settings(make_pins(), make_wanted())


@pytest.mark.parametrize(
    ("now", "otherwise"),
    [
        ({}, False),
        ({"rule": SyncRule.OPT_IN}, True),
        ({"untouched": Untouched.SEND}, True),
        ({"fields": FieldIds(11, 22, 33)}, True),
        ({"fields": FieldIds(12, 23)}, False),
        ({"destination": ELSEWHERE, "account": 8}, False),
    ],
)
def test_what_lets_others_be_asked(now: dict[str, Any], otherwise: bool) -> None:
    """A box that was made anew is another matter: nobody is asked who was not before."""
    assert pins.decides_otherwise(make_pins(), make_pins(**now)) is otherwise
    assert pins.decides_otherwise(make_pins(**now), make_pins()) is otherwise


# The box for text messages.

TEXTS = CustomField(33, "MayBeTexted", "Contact", "checkbox", False)
NO_TEXTS = {
    "missing": ([], "no checkbox named “MayBeTexted”"),
    "renamed": ([TEXTS._replace(name="Texts?")], "is called “Texts?”"),
    "nearly the same": ([TEXTS._replace(name="may be texted")], "“may be texted”"),
    "deleted": ([TEXTS._replace(deleted=True)], "it was deleted"),
    "doubled": ([TEXTS, TEXTS._replace(id=34)], "2 checkboxes named “MayBeTexted”"),
    "another type": ([TEXTS._replace(type="text_line")], "is a text_line, not a checkbox"),
    "on the matter": ([TEXTS._replace(parent="Matter")], "must be made for the contact"),
    "made anew": ([TEXTS._replace(id=34)], "was made anew"),
}


@pytest.mark.parametrize(("fields", "words"), NO_TEXTS.values(), ids=NO_TEXTS)
@pytest.mark.parametrize("rule", SyncRule)
def test_box_for_texts_that_is_not_in_order(
    fields: list[CustomField], words: str, rule: SyncRule
) -> None:
    """Whatever the rule, the run ends and says what; and so does a first one, where it can."""
    wanted = make_wanted(rule, text_name="MayBeTexted")
    clio = Definitions(OPT_OUT, OPT_IN, *fields)
    with pytest.raises(ConfigError, match=re.escape(words)):
        pins.Fields(clio, wanted).read(FieldIds(11, 22, 33))
    if words != "was made anew":
        with pytest.raises(ConfigError, match="MayBeTexted"):
            pins.Fields(clio, wanted).read(None)


@pytest.mark.parametrize("pinned", [None, FieldIds(11, 22, 33)], ids=str)
def test_box_for_texts_that_is_in_order(pinned: FieldIds | None) -> None:
    clio = Definitions(OPT_OUT, OPT_IN, TEXTS, TEXTS._replace(id=34, parent="Matter"))
    found = pins.Fields(clio, make_wanted(text_name="MayBeTexted")).read(pinned)
    assert found == FieldIds(11, 22, 33)


def test_two_changed_settings_are_both_named() -> None:
    """URL and rule are reported together."""
    with pytest.raises(ConfigError) as caught:
        pins.check_settings(make_pins(), make_wanted(SyncRule.OPT_IN, destination=ELSEWHERE))
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(
    ("pinned", "account", "fits"),
    [(7, 7, True), (7, 8, False), (None, 8, True), (None, None, True), (7, None, False)],
)
def test_account(pinned: int | None, account: int | None, fits: bool) -> None:
    """Another account than the pinned one is refused, and so is one that cannot be told."""
    known = make_pins(account=pinned)
    if fits:
        pins.check_account(known, Account(account, None))
        return
    with pytest.raises(ConfigError):
        pins.check_account(known, Account(account, None))


def test_account_that_clio_will_not_tell(caplog: pytest.LogCaptureFixture) -> None:
    """A 403 leaves the account unpinned, with a warning."""
    source = Definitions(account=DeniedError("no", status=403))
    with caplog.at_level(logging.WARNING):
        account = pins.read_account(source)
    assert account == Account(None, None)
    assert "not checked" in caplog.text
    assert pins.with_account(make_pins(account=None), account).account is None


@pytest.mark.parametrize("told", [True, False])
def test_account_that_clio_does_not_name(caplog: pytest.LogCaptureFixture, told: bool) -> None:
    """Who is signed in and the zone are known all the same; it is a warning the first time."""
    nameless = Account(None, "Etc/UTC", "Pat")
    with caplog.at_level(logging.INFO):
        account = pins.read_account(Definitions(account=nameless), told=told)
    assert account == nameless
    assert [record.levelname for record in caplog.records] == ["INFO" if told else "WARNING"]
    assert "does not tell whose account" in caplog.text


def test_refused_sign_in_is_no_missing_permission() -> None:
    """A 401 ends the run."""
    with pytest.raises(DeniedError):
        pins.read_account(Definitions(account=DeniedError("no", status=401)))


def test_account_is_pinned_once() -> None:
    """The first account that is known is pinned; no other replaces it."""
    assert pins.with_account(make_pins(account=None), Account(9, None)).account == 9
    assert pins.with_account(make_pins(), Account(9, None)).account == 7
    assert pins.with_account(make_pins(account=None), None).account is None


def test_made_with() -> None:
    """The pins are what settings and Clio say; a known account is kept."""
    assert pins.current_pins(make_wanted(), make_pins(), PINNED) == make_pins()
    assert pins.current_pins(make_wanted(), None, PINNED).account is None


@pytest.mark.parametrize(
    ("name", "named", "says"),
    [
        ("Nowhere/Land", None, "CLIO_TIME_ZONE"),
        ("../etc/passwd", None, "CLIO_TIME_ZONE"),
        ("America", None, "CLIO_TIME_ZONE"),
        ("", None, "CLIO_TIME_ZONE"),
        (None, None, "Clio does not tell the firm's time zone: "),
        (None, "Mars", "zone “Mars”, which this machine "),
    ],
)
def test_zone_that_is_none(
    name: str | None, named: str | None, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Where Clio names no zone that exists, this machine's is used; the warning says so."""
    assert pins.zone_of(Account(7, name, named_zone=named)) is None
    assert says in caplog.text


@pytest.mark.parametrize(
    ("known", "same"),
    [
        (None, True),
        (("https://clio.test", 7), True),
        (("https://clio.test", None), True),
        (("https://clio.test", 8), False),
        (("https://eu.clio.test", 7), False),
        (("https://eu.clio.test", None), False),
    ],
)
def test_a_state_is_anothers_only_if_it_says_so(
    known: tuple[str, int | None] | None, same: bool
) -> None:
    """By another host or another account; one that does not say whose it is may be the firm's."""
    ours = Pins("https://clio.test", 7, DESTINATION, SyncRule.BOTH, PINNED)
    other = None if known is None else ours._replace(host=known[0], account=known[1])
    assert pins.may_be_same(other, ours) is same
    untold = ours._replace(account=None)
    assert pins.may_be_same(other, untold) is (other is None or other.host == ours.host)
