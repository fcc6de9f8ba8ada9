"""What a state was made with, held against the settings and against Clio.

A renamed field must not switch the opt-outs off, a field made anew has every box blank, and
practice settings must not meet the real state: whatever changed ends the run until a person
has looked (`check --accept`).
"""

import difflib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from clio_broadly_sync.errors import ConfigError, DeniedError
from clio_broadly_sync.model import Account, CustomField, FieldIds, Pins, SyncRule

log = logging.getLogger(__name__)

CHECKBOX = "checkbox"


class Definitions(Protocol):
    """The part of Clio that is needed here."""

    def now(self) -> datetime: ...

    def account(self) -> Account:
        """Return whose data the token opens; raise DeniedError 403 where Clio forbids it."""

    def custom_fields(self, *, all_of_them: bool = False) -> Sequence[CustomField]:
        """Return the checkbox definitions that are not deleted; or every definition."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the settings name, to be held against the pins."""

    host: str
    broadly_url: str
    rule: SyncRule
    opt_out_name: str
    opt_in_name: str


def check_host(pins: Pins, wanted: Wanted) -> None:
    """Raise ConfigError where the settings name another Clio host: that is never taken over."""
    if pins.host != wanted.host:
        raise ConfigError(
            "CLIO_BASE_URL or CLIO_REGION changed: another Clio host needs a SYNC_STATE of its own."
        )


def check_settings(pins: Pins, wanted: Wanted) -> None:
    """Raise ConfigError where a setting is not what the state was made with."""
    check_host(pins, wanted)
    problems = []
    if pins.broadly_url != wanted.broadly_url:
        problems.append(f"BROADLY_URL changed since this state was made. {_ACCEPT}")
    if pins.rule != wanted.rule:
        problems.append(f"SYNC_RULE changed from {pins.rule} to {wanted.rule}. {_ACCEPT}")
    if problems:
        raise ConfigError(*problems)


def check_account(pins: Pins | None, account: Account) -> None:
    """Raise ConfigError where the token opens another account than the state's, or may."""
    if pins is None or pins.account in (None, account.id):
        return
    if account.id is None:
        raise ConfigError(
            "Clio does not let this new sign-in say whose account it opens, and this state "
            "belongs to one: give the sign-in the Users permission, so that it can be checked."
        )
    raise ConfigError(
        "The Clio sign-in belongs to another account than this state: "
        "sign in to the right one, or give the other its own SYNC_STATE."
    )


def read_account(source: Definitions) -> Account:
    """Return whose data the token opens; nobody's, with a warning, where Clio forbids to ask."""
    try:
        return source.account()
    except DeniedError as error:
        if error.status != 403:
            raise
        log.warning(
            "Clio does not let this sign-in ask who it is (the Users permission is missing): "
            "the account is not checked."
        )
        return Account(None, None)


def zone_named(name: str | None) -> ZoneInfo | None:
    """Return the zone of that IANA name, None where there is none."""
    try:
        return ZoneInfo(name) if name else None
    except (KeyError, ValueError, OSError):  # no such zone, or no name of a zone at all
        return None


def seen(token_hash: str, account: Account) -> dict[str, str | None]:
    """Return what a state remembers of a sign-in whose account was checked."""
    zone = zone_named(account.time_zone)
    return {"token_seen": token_hash, "time_zone": zone.key if zone is not None else None}


def zone_of(account: Account) -> ZoneInfo | None:
    """Return the firm's zone as Clio names it; None, with a warning, where it does not."""
    zone = zone_named(account.time_zone)
    if zone is None:
        log.warning(
            "Clio does not tell the firm's time zone: this machine's is used for close dates; "
            "set CLIO_TIME_ZONE if that is another."
        )
    return zone


def made_with(wanted: Wanted, known: Pins | None, fields: FieldIds) -> Pins:
    """Return the pins of what the settings and Clio now say; the account as it was known."""
    account = known.account if known is not None else None
    return Pins(wanted.host, account, wanted.broadly_url, wanted.rule, fields)


def with_account(pins: Pins, account: Account | None) -> Pins:
    """Pin the account where none was known yet."""
    if pins.account is not None or account is None:
        return pins
    return replace(pins, account=account.id)


class Fields:
    """The ids of the two checkboxes, held against Clio's definitions and the pins."""

    def __init__(self, source: Definitions, wanted: Wanted) -> None:
        self._source = source
        self._wanted = wanted
        self._read_at: datetime | None = None

    def older_than(self, age: timedelta) -> bool:
        """Tell whether the definitions were last read, by this run, longer ago; or never."""
        return self._read_at is None or self._source.now() - self._read_at > age

    def read(self, pinned: FieldIds | None) -> FieldIds:
        """Read the definitions and return the ids; raise ConfigError unless they are in order.

        With pins, in order means the same ids; a checkbox for opting out that turns up under
        `opt-in` without being pinned counts from then on.
        """
        roles = [role for role in _ROLES if self._is_read(role)]
        all_of_them = any(role.pinned_in(pinned) is None for role in roles)
        fields = self._source.custom_fields(all_of_them=all_of_them)
        self._read_at = self._source.now()
        found = {role: self._named(fields, role) for role in roles}
        wrong = [role for role in roles if self._is_wrong(role, found[role], fields, pinned)]
        if wrong:
            fields = fields if all_of_them else self._source.custom_fields(all_of_them=True)
            raise ConfigError(*(self._problem(role, fields, pinned) for role in wrong))
        return FieldIds(*(found[role][0].id if found.get(role) else None for role in _ROLES))

    def _name(self, role: "_Role") -> str:
        return self._wanted.opt_out_name if role is _OPT_OUT else self._wanted.opt_in_name

    def _is_read(self, role: "_Role") -> bool:
        return role is _OPT_OUT or self._wanted.rule.needs_opt_in

    def _is_needed(self, role: "_Role", pinned: FieldIds | None) -> bool:
        rule = self._wanted.rule
        by_the_rule = rule.needs_opt_out if role is _OPT_OUT else rule.needs_opt_in
        return by_the_rule or role.pinned_in(pinned) is not None

    def _named(self, fields: Sequence[CustomField], role: "_Role") -> list[CustomField]:
        name = self._name(role)
        return [field for field in fields if field.name == name and _fits(field, role)]

    def _is_wrong(
        self,
        role: "_Role",
        found: Sequence[CustomField],
        fields: Sequence[CustomField],
        pinned: FieldIds | None,
    ) -> bool:
        """Missing, doubled, or not the pinned one; or optional, and made in the wrong way."""
        if not found:
            name = self._name(role)
            in_the_wrong_way = any(f.name == name and not f.deleted for f in fields)
            return self._is_needed(role, pinned) or in_the_wrong_way
        before = role.pinned_in(pinned)
        return len(found) > 1 or before not in (None, found[0].id)

    def _problem(
        self, role: "_Role", fields: Sequence[CustomField], pinned: FieldIds | None
    ) -> str:
        """Say what is wrong with a field, with all definitions at hand."""
        name = self._name(role)
        found = self._named(fields, role)
        if len(found) > 1:
            return (
                f"Clio has {len(found)} checkboxes named “{name}” on the {role.parent}: "
                "rename or delete all but one, so that it is clear which one counts."
            )
        if found:
            return (
                f"The checkbox “{name}” on the {role.parent} is not the one that this state was "
                f"made with (another id): it was made anew, and its boxes are blank. {_ACCEPT}"
            )
        missing = f"Clio has no checkbox named “{name}” on the {role.parent}"
        return missing + _why_missing(name, role, fields, role.pinned_in(pinned))


@dataclass(frozen=True, slots=True)
class _Role:
    """One of the two checkboxes; its parent in our words and in Clio's."""

    parent: str
    in_clio: str
    place: int

    def pinned_in(self, pins: FieldIds | None) -> int | None:
        return pins[self.place] if pins is not None else None


_OPT_OUT = _Role("contact", "Contact", 0)
_OPT_IN = _Role("matter", "Matter", 1)
_ROLES = (_OPT_OUT, _OPT_IN)
_ACCEPT = "If that is meant, run `clio-broadly-sync check --accept`."


def _fits(field: CustomField, role: _Role) -> bool:
    return field.parent == role.in_clio and field.type == CHECKBOX and not field.deleted


def _why_missing(name: str, role: _Role, fields: Sequence[CustomField], pinned: int | None) -> str:
    """Return how the sentence ends: deleted, of another type, elsewhere, renamed, or never made."""
    alive = [field for field in fields if not field.deleted]
    here = [field for field in alive if field.parent == role.in_clio]
    renamed = next((field.name for field in here if field.id == pinned), None)
    if renamed is not None and renamed != name:
        return f": it is now called “{_shown(renamed)}”. Rename it back; the name must match."
    other_type = next((field.type for field in here if field.name == name), None)
    if other_type is not None:
        return f": the field of that name is a {_shown(other_type)}, not a checkbox."
    elsewhere = next((field.parent for field in alive if field.name == name), None)
    if elsewhere is not None:
        there = _shown(elsewhere).lower()
        return f", but on the {there}: it must be made for the {role.parent}."
    if any(field.name == name and field.parent == role.in_clio for field in fields):
        return ": it was deleted. Restore it; or make it anew, and run `check --accept`."
    near = _near_miss(name, here)
    hint = f" Did you mean “{near}”? The name must match exactly." if near else ""
    return f": create it, or rename it back.{hint}"


def _near_miss(name: str, fields: Sequence[CustomField]) -> str | None:
    by_letters = {_letters(field.name): field.name for field in fields}
    close = difflib.get_close_matches(_letters(name), by_letters, n=1, cutoff=0.75)
    return _shown(by_letters[close[0]]) if close else None


def _letters(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())


def _shown(text: str) -> str:
    return "".join(c for c in text if c.isprintable())[:64]
