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
    """Raise ConfigError where the token opens another account than the state's."""
    if pins is not None and pins.account not in (None, account.id):
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
    except (ValueError, OSError):
        return None


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
        fields = self._source.custom_fields(all_of_them=pinned is None)
        self._read_at = self._source.now()
        found = FieldIds(*(self._find(fields, role, pinned) for role in _ROLES))
        problems = [
            self._problem(role)
            for role, id_ in zip(_ROLES, found, strict=True)
            if id_ is None and self._is_needed(role, pinned)
        ]
        problems += self._wrong_optional(fields, found)
        if not problems and pinned is not None:
            problems = self._changed(pinned, found)
        if problems:
            raise ConfigError(*problems)
        return found

    def _name(self, role: "_Role") -> str:
        return self._wanted.opt_out_name if role is _OPT_OUT else self._wanted.opt_in_name

    def _is_needed(self, role: "_Role", pinned: FieldIds | None) -> bool:
        rule = self._wanted.rule
        if role is _OPT_IN:
            return rule.needs_opt_in
        return rule.needs_opt_out or (pinned is not None and pinned.opt_out is not None)

    def _is_read(self, role: "_Role") -> bool:
        return role is _OPT_OUT or self._wanted.rule.needs_opt_in

    def _find(
        self, fields: Sequence[CustomField], role: "_Role", pinned: FieldIds | None
    ) -> int | None:
        if not self._is_read(role):
            return None
        ids = [field.id for field in fields if _fits(field, role, self._name(role))]
        if len(ids) > 1:
            raise ConfigError(
                f"Clio has {len(ids)} checkboxes named “{self._name(role)}” on the {role.parent}: "
                "rename or delete all but one, so that it is clear which one counts."
            )
        return ids[0] if ids else None

    def _wrong_optional(self, fields: Sequence[CustomField], found: FieldIds) -> list[str]:
        """Under `opt-in` the opt-out may be missing; one made in the wrong way is a mistake."""
        if self._wanted.rule.needs_opt_out or found.opt_out is not None:
            return []
        name = self._wanted.opt_out_name
        wrong = any(field.name == name and not field.deleted for field in fields)
        return [self._problem(_OPT_OUT)] if wrong else []

    def _changed(self, pinned: FieldIds, found: FieldIds) -> list[str]:
        return [
            f"The checkbox “{self._name(role)}” on the {role.parent} is not the one that this "
            "state was made with (another id): it was made anew, and its boxes are blank. "
            + _ACCEPT
            for role, before, now in zip(_ROLES, pinned, found, strict=True)
            if before is not None and self._is_read(role) and now != before
        ]

    def _problem(self, role: "_Role") -> str:
        """Say what is wrong with a field that was not found, with all definitions at hand."""
        name = self._name(role)
        missing = f"Clio has no checkbox named “{name}” on the {role.parent}"
        fields = self._source.custom_fields(all_of_them=True)
        exact = [field for field in fields if field.name == name]
        here = [field for field in exact if field.parent == role.in_clio]
        if any(field.deleted for field in here):
            return f"{missing}: it was deleted. Restore it, or make a new one and run check."
        if here:
            return f"{missing}: the field of that name is a {_shown(here[0].type)}, not a checkbox."
        if exact:
            there = exact[0].parent.lower()
            return f"{missing}, but on the {there}: it must be made for the {role.parent}."
        near = _near_miss(name, [f for f in fields if not f.deleted and f.parent == role.in_clio])
        hint = f" Did you mean “{near}”? The name must match exactly." if near else ""
        return f"{missing}: create it, or rename it back.{hint}"


@dataclass(frozen=True, slots=True)
class _Role:
    parent: str
    in_clio: str


_OPT_OUT = _Role("contact", "Contact")
_OPT_IN = _Role("matter", "Matter")
_ROLES = (_OPT_OUT, _OPT_IN)
_ACCEPT = "If that is meant, run `clio-broadly-sync check --accept`."


def _fits(field: CustomField, role: _Role, name: str) -> bool:
    right = field.parent == role.in_clio and field.type == CHECKBOX
    return right and field.name == name and not field.deleted


def _near_miss(name: str, fields: Sequence[CustomField]) -> str | None:
    by_letters = {_letters(field.name): field.name for field in fields}
    close = difflib.get_close_matches(_letters(name), by_letters, n=1, cutoff=0.75)
    return _shown(by_letters[close[0]]) if close else None


def _letters(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())


def _shown(text: str) -> str:
    return "".join(c for c in text if c.isprintable())[:64]
