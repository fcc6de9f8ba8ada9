"""What a state was made with, compared with the settings and with Clio.

A renamed field must not switch the opt-outs off, a field that was made anew has every box blank,
and practice settings must not meet the real state. So whatever has changed ends the run until a
person has looked and run `check --accept`, which accepts anything but another host or account.
"""

import hashlib
import hmac
import logging
import secrets
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from clio_broadly_sync.domain import checkboxes, rules
from clio_broadly_sync.domain.account import Account
from clio_broadly_sync.domain.consent import Untouched
from clio_broadly_sync.domain.errors import ConfigError, DeniedError
from clio_broadly_sync.domain.model import Destination, FieldIds, Pins, Profile, SyncRule
from clio_broadly_sync.pipeline.ports import Definitions

log = logging.getLogger("clio_broadly_sync.pins")


class Wanted(NamedTuple):
    """What the settings name, to be compared with the pins."""

    host: str
    """Clio's scheme and host."""
    destination: Destination
    rule: SyncRule
    opt_out_name: str
    """The name of the contact's checkbox."""
    opt_in_name: str
    """The name of the matter's checkbox."""
    text_name: str | None = None
    """The name of the contact's checkbox that allows text messages; None where none is read."""
    untouched: Untouched = Untouched.SKIP

    def boxes(self) -> list[checkboxes.Checkbox]:
        """Return those of the checkboxes that are read, the one for the opt-out first."""
        return checkboxes.read_by(self.rule, self.opt_out_name, self.opt_in_name, self.text_name)


def check_host(pins: Pins, wanted: Wanted) -> None:
    """Raise ConfigError where the settings name another Clio host; that is never accepted."""
    if pins.host != wanted.host:
        raise ConfigError(
            "CLIO_BASE_URL or CLIO_REGION changed: another Clio host needs a SYNC_STATE of its own."
        )


def check_settings(pins: Pins, wanted: Wanted) -> None:
    """Raise ConfigError where a setting is not the one that the state was made with."""
    check_host(pins, wanted)
    problems = []
    if not is_same(pins.destination, wanted.destination):
        changed = "BROADLY_URL changed"
        if pins.destination.profile is not wanted.destination.profile:
            was, now = pins.destination.profile, wanted.destination.profile
            changed = f"BROADLY_PROFILE changed from {was} to {now}"
        problems.append(f"{changed} since this state was made. {checkboxes.ACCEPT}")
    if pins.rule != wanted.rule:
        problems.append(f"SYNC_RULE changed from {pins.rule} to {wanted.rule}. {checkboxes.ACCEPT}")
    if pins.untouched != wanted.untouched:
        change = f"changed from {pins.untouched} to {wanted.untouched}"
        problems.append(f"SYNC_OPT_IN_UNTOUCHED {change}. {checkboxes.ACCEPT}")
    if (pins.fields.text is None) != (wanted.text_name is None):
        change = "is set, and this state was made without it"
        if wanted.text_name is None:
            change = "is not set, and this state was made with it"
        problems.append(f"SYNC_TEXT_FIELD {change}. {checkboxes.ACCEPT}")
    if problems:
        raise ConfigError(*problems)


def is_same(pinned: Destination, wanted: Destination) -> bool:
    """Tell whether the settings name the destination that is pinned."""
    if wanted.profile is Profile.WEBHOOK:
        key, _, _ = pinned.address.partition(":")
        wanted = _hashed(wanted, key)
    return pinned == wanted


def _kept(wanted: Destination) -> Destination:
    """Return a destination as a state may keep it."""
    is_secret = wanted.profile is Profile.WEBHOOK
    return _hashed(wanted, secrets.token_hex(16)) if is_secret else wanted


def _hashed(destination: Destination, key: str) -> Destination:
    hash_ = hmac.new(key.encode(), destination.address.encode(), hashlib.sha256).hexdigest()
    return destination._replace(address=f"{key}:{hash_}")


def check_account(pins: Pins | None, account: Account) -> None:
    """Raise ConfigError where the token opens another account than the state's, or may do so.

    It may do so where Clio does not say which account it is, while the state knows its own.
    """
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


def may_be_same(known: Pins | None, pins: Pins) -> bool:
    """Tell whether a state with these pins, or none, may be of the same firm as the other pins."""
    if known is None:
        return True
    untold = known.account is None or pins.account is None
    return known.host == pins.host and (untold or known.account == pins.account)


def read_account(source: Definitions, *, told: bool = False) -> Account:
    """Return the account that the token opens; an empty one where Clio forbids the question.

    That, or an account without an id, is logged as a warning. Where it was said before (`told`), it
    is logged as information only, because a token that has been renewed is no news. Any other
    failure raises SyncError.
    """
    why = "Clio does not tell whose account this sign-in opens"
    try:
        account = source.account()
    except DeniedError as error:
        if error.status != 403:
            raise
        account = Account(None, None)
        why = "Clio does not let this sign-in ask who it is (the Users permission is missing)"
    if account.id is None:
        level = logging.INFO if told else logging.WARNING
        log.log(level, "%s: the account is not checked.", why)
    return account


def zone_named(name: str | None) -> ZoneInfo | None:
    """Return the zone of that IANA name; None where there is no such zone."""
    try:
        return ZoneInfo(name) if name else None
    except (KeyError, ValueError, OSError):  # no such zone, or no name of a zone at all
        return None


def seen(token_hash: str, account: Account) -> dict[str, str | None]:
    """Return the facts that a state remembers of a sign-in whose account was checked.

    They are the hash of its token, and the name of the firm's zone where Clio says it.
    """
    return {"token_seen": token_hash, "time_zone": account.time_zone}


def zone_of(account: Account, *, told: bool = False) -> ZoneInfo | None:
    """Return the firm's zone as Clio names it; None where it is not known.

    That is logged as a warning, and as information only where it was said before (`told`).
    """
    zone = zone_named(account.time_zone)
    if zone is None:
        log.log(logging.INFO if told else logging.WARNING, "%s", no_zone(account.named_zone))
    return zone


def no_zone(named: str | None) -> str:
    """Say that the firm's zone is not known; `named` is what Clio calls it, None: nothing."""
    why = "Clio does not tell the firm's time zone"
    if named is not None:
        why = f"Clio calls the firm's time zone “{named}”, which this machine does not know"
    return f"{why}: this machine's is used for close dates; set CLIO_TIME_ZONE if that is another."


def current_pins(wanted: Wanted, known: Pins | None, ids: FieldIds) -> Pins:
    """Return the pins of what the settings and Clio now say, with the account as it was known."""
    account, destination = None, None
    if known is not None:
        account = known.account
        destination = known.destination if is_same(known.destination, wanted.destination) else None
    destination = destination or _kept(wanted.destination)
    return Pins(wanted.host, account, destination, wanted.rule, ids, wanted.untouched)


def decides_otherwise(before: Pins, now: Pins) -> bool:
    """Tell whether the new pins let other clients be asked, or in another way, by themselves.

    Then what closed before is left to `backfill`.
    """
    return (before.rule, before.untouched, before.fields.text) != (
        now.rule,
        now.untouched,
        now.fields.text,
    )


def with_account(pins: Pins, account: Account | None) -> Pins:
    """Return the pins with this account, where they had none yet."""
    if pins.account is not None or account is None:
        return pins
    return pins._replace(account=account.id)


class Fields:
    """The ids of the checkboxes, compared with Clio's definitions and with the pins."""

    def __init__(self, source: Definitions, wanted: Wanted) -> None:
        self._source = source
        self.wanted = wanted
        self._read_at: datetime | None = None

    def older_than(self, age: timedelta) -> bool:
        """Tell whether this run last read the definitions longer ago than that, or never.

        They are older than any age where time has passed unseen since then.
        """
        if self._read_at is None or self._source.now() - self._read_at > age:
            return True
        return rules.is_broken(self._read_at, self._source.unbroken_since())

    def read(self, pinned: FieldIds | None) -> FieldIds:
        """Read the definitions and return the ids; raise ConfigError unless they are in order.

        With pins, they are in order only where the ids are the pinned ones. A contact's checkbox
        that turns up under `opt-in` without being pinned counts from then on.
        """
        boxes = self.wanted.boxes()
        all_of_them = any(box.pinned_in(pinned) is None for box in boxes)
        found = self._source.custom_fields(all_of_them=all_of_them)
        self._read_at = self._source.asked_at()
        wrong = [box for box in boxes if box.is_wrong(found, pinned)]
        if wrong:
            found = found if all_of_them else self._source.custom_fields(all_of_them=True)
            raise ConfigError(*(box.problem(found, pinned) for box in wrong))
        return checkboxes.ids(boxes, found)
