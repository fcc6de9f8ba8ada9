"""The values that move through the program; no behaviour beyond what they say of themselves."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum, StrEnum
from typing import Final, NamedTuple

from clio_broadly_sync.domain.reasons import Reason, State

MAX_ID: Final = 2**63 - 1
"""The largest id that a database keeps as a number."""


class Secret:
    """A token or a key: shown nowhere, unless who needs it asks."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


class SyncRule(StrEnum):
    """Which of the two checkboxes governs."""

    OPT_OUT = "opt-out"
    OPT_IN = "opt-in"
    BOTH = "both"

    @property
    def needs_opt_in(self) -> bool:
        return self is not SyncRule.OPT_OUT

    @property
    def needs_opt_out(self) -> bool:
        return self is not SyncRule.OPT_IN


class Command(StrEnum):
    """Who made a closing pending; it belongs to that command."""

    SYNC = "sync"
    BACKFILL = "backfill"


class Verdict(StrEnum):
    SEND = "send"
    SKIP = "skip"
    WAIT = "wait"


class Approval(Enum):
    """Whether a person must say yes before a closing may go (surge)."""

    NONE = 0
    WANTED = 1
    GIVEN = 2


class Box(Enum):
    """What a checkbox in Clio says."""

    CHECKED = "checked"
    UNCHECKED = "unchecked"
    UNREADABLE = "unreadable"


class FieldIds(NamedTuple):
    """The definition ids of the custom fields that the rule reads; None where it reads none."""

    opt_out: int | None
    opt_in: int | None


class CustomField(NamedTuple):
    """A custom field's definition in Clio. `parent` is `Contact` or `Matter`.

    `displayed`: shown by default on a record. `required`: a record cannot be saved without it.
    None where Clio does not say.
    """

    id: int
    name: str
    parent: str
    type: str
    deleted: bool
    displayed: bool | None = None
    required: bool | None = None


class Account(NamedTuple):
    """Whose data the token opens; `time_zone` as Clio spells it.

    `user` and `firm`: the names of the Clio user that was signed in, and of the account.
    """

    id: int | None
    time_zone: str | None
    user: str | None = None
    firm: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Grant:
    """What a sign-in to Clio gave: an access token until `expires_at` (aware UTC), and a refresh
    token to get the next one with, if any. `host`: the only one that they may be sent to."""

    host: str
    access_token: str
    refresh_token: str | None
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Matter:
    """A matter as last read. `readable` is False where the client or the close date was not."""

    id: int
    etag: str
    closed: bool
    closed_on: date | None
    client_id: int | None
    opted_in: Box
    updated_at: datetime | None
    readable: bool = True


@dataclass(frozen=True, slots=True, repr=False)
class Contact:
    """A client as last read; e-mail and phone in normal form, None where they are none."""

    id: int
    is_company: bool = False
    first_name: str | None = None
    last_name: str | None = None
    company_name: str | None = None
    email: str | None = None
    phone: str | None = None
    opted_out: Box = Box.UNCHECKED
    readable: bool = True


class Page(NamedTuple):
    """One page of matters, how many rows it held on the wire, and Clio's `Date` of the answer."""

    matters: Sequence[Matter]
    received: int
    answered_at: datetime


class Key(NamedTuple):
    """What names a closing."""

    matter_id: int
    closed_on: date | None


class Closing(NamedTuple):
    """A row of the ledger.

    `noticed_at`: when a run first saw it. `read_at`, `read_in_run`: when its matter was last read
    and decided on. `in_doubt`: its outcome at Broadly was unknown once, so the client may have been
    asked. `resent`: a person sent it again. `tries`: runs that count towards giving up.
    `claimed_at`, `claimed_in_run`: its last claim; `batch`: which of that run's batches it was in.
    `updated_at`: when its matter was last edited, by what was read then.
    """

    key: Key
    contact_id: int | None
    state: State
    reason: Reason | None
    command: Command
    rule: SyncRule
    etag: str
    noticed_at: datetime
    read_at: datetime
    read_in_run: int
    in_doubt: bool = False
    resent: bool = False
    approval: Approval = Approval.NONE
    tries: int = 0
    claimed_at: datetime | None = None
    claimed_in_run: int = 0
    batch: int | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Candidate:
    """A closing that nothing speaks against but an earlier hand-over; `read_at`: the older of
    the readings of its matter and its contact."""

    closing: Closing
    request: "ReviewRequest"
    read_at: datetime


@dataclass(frozen=True, slots=True)
class Asked:
    """What the ledger knows about earlier hand-overs, seen from one closing.

    `person_at`: when the same contact, e-mail address or phone number was last handed over (or
    may have been). `matter_at`: when this matter was, under another close date.
    """

    person_at: datetime | None = None
    matter_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """Which pending closings are due for a push.

    Those noticed until `noticed_until`, a resent one at any time; a hidden or unreadable one
    when last read until `faults_until` (None: at any time); with a close date in the range.
    """

    command: Command
    noticed_until: datetime
    faults_until: datetime | None
    first: date | None = None
    last: date | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a closing, and why not."""

    verdict: Verdict
    reason: Reason | None = None


@dataclass(frozen=True, slots=True, repr=False)
class ReviewRequest:
    """What one contact receives; only what `BROADLY_FIELDS` lets through."""

    key: Key
    contact_id: int
    transaction_date: date
    first_name: str | None = None
    last_name: str | None = None
    company_name: str | None = None
    email: str | None = None
    phone: str | None = None

    @property
    def transaction_id(self) -> str:
        """The same for ever for one closing (Broadly contract)."""
        return f"clio:matter:{self.key.matter_id}:{self.key.closed_on}"


class Outcome(Enum):
    """What Broadly did with one review request."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    SUPPRESSED = "suppressed"
    REJECTED = "rejected"
    REFUSED = "refused"
    RETRY = "retry"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Receipt:
    """Broadly's answer about one request: REJECTED is its result for the item, REFUSED the
    refusal of a request that held nothing else. `code` is Broadly's, or None."""

    key: Key
    outcome: Outcome
    code: str | None = None

    @property
    def word(self) -> str | None:
        """What the ledger keeps of the answer: Broadly's code, or that it was no news to it."""
        return self.outcome.value if self.outcome is Outcome.DUPLICATE else self.code


@dataclass(frozen=True, slots=True)
class Pins:
    """What a state was made with."""

    host: str
    account: int | None
    broadly_url: str
    rule: SyncRule
    fields: FieldIds


@dataclass(frozen=True, slots=True)
class Policy:
    """What the rules may see of the settings; None switches a limit off."""

    command: Command
    rule: SyncRule
    start_day: date | None
    max_age_days: int | None
    reask_days: int
    settle_hours: float
    max_new: int
    companies: bool
    fields: frozenset[str]
    dedupes: bool
