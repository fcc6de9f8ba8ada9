"""The values that move through the program. What they do is no more than to describe themselves.

All moments are aware UTC, and close dates are dates in the firm's zone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum, IntEnum, StrEnum
from typing import Final, NamedTuple

from clio_broadly_sync.domain.consent import Channels, Untouched
from clio_broadly_sync.domain.hours import SendingHours
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.states import State

MAX_ID: Final = 2**63 - 1
"""The largest id that a database can keep as a number."""


class SyncRule(StrEnum):
    """Which of the two checkboxes decides who is asked."""

    OPT_OUT = "opt-out"
    """A client is asked unless the contact's box is checked."""
    OPT_IN = "opt-in"
    """A client is asked where the matter's box is checked. The contact's box still says no, where
    Clio has that field."""
    BOTH = "both"
    """As `OPT_IN`, but both fields must exist."""

    @property
    def needs_opt_in(self) -> bool:
        return self is not SyncRule.OPT_OUT

    @property
    def needs_opt_out(self) -> bool:
        return self is not SyncRule.OPT_IN


class Profile(StrEnum):
    """To what kind of destination review requests go."""

    BATCH = "batch"
    """A receiver that takes batches and answers for each client (`broadly-batch/1`)."""
    WEBHOOK = "webhook"
    """One that only takes a POST for each client (`broadly-webhook/1`)."""
    CSV = "csv"
    """A file, which a person imports."""


class Command(StrEnum):
    """Which command made a closing pending; the closing belongs to that command."""

    SYNC = "sync"
    BACKFILL = "backfill"


class Verdict(StrEnum):
    """Whether a closing may be sent, is skipped, or waits."""

    SEND = "send"
    SKIP = "skip"
    WAIT = "wait"


class Approval(IntEnum):
    """Whether a person has to approve a closing before it may be sent (surge)."""

    NONE = 0
    """Nobody has approved it, and so far nobody has to."""
    WANTED = 1
    """It waits until a person approves it."""
    GIVEN = 2
    """A person has approved it, or has sent it again."""


class Box(Enum):
    """What a checkbox on a record in Clio says."""

    CHECKED = "checked"
    UNCHECKED = "unchecked"
    UNTOUCHED = "untouched"
    """Nobody ever checked or unchecked it."""
    UNREADABLE = "unreadable"
    """It does not say clearly what it is, and is never taken for unchecked."""


class FieldIds(NamedTuple):
    """The definition ids of the checkboxes; None for one that no run reads."""

    opt_out: int | None
    """The id of the contact's checkbox."""
    opt_in: int | None
    """The id of the matter's checkbox."""
    text: int | None = None
    """The id of the contact's checkbox that allows text messages."""


class CustomField(NamedTuple):
    """A custom field's definition in Clio."""

    id: int
    name: str
    parent: str
    """The kind of record that has it: `Contact` or `Matter`."""
    type: str
    """Clio's word for the type, such as `checkbox`."""
    deleted: bool
    displayed: bool | None = None
    """Whether a record shows it by default; None where Clio does not say."""
    required: bool | None = None
    """Whether a record cannot be saved without it; None where Clio does not say."""


class Matter(NamedTuple):
    """A matter as it was last read."""

    id: int
    etag: str
    """Clio's mark for this version of the matter; empty where it cannot be compared or kept."""
    closed: bool
    closed_on: date | None
    """The close date, which a person types; None where there is none that can be read."""
    client_id: int | None
    """The id of the client's contact; None where there is none that can be read."""
    opted_in: Box
    """The matter's checkbox."""
    updated_at: datetime | None
    """When the matter was last edited; None where Clio does not say."""
    readable: bool = True
    """False where a part, such as the client or the close date, could not be read."""


@dataclass(slots=True, repr=False)
class Contact:
    """A client as it was last read."""

    id: int
    is_company: bool = False
    first_name: str | None = None
    last_name: str | None = None
    company_name: str | None = None
    email: str | None = None
    """The primary e-mail address in normal form; None where there is none that can be used."""
    phone: str | None = None
    """The primary phone number as E.164; None where there is none that can be used."""
    unusable: frozenset[str] = frozenset()
    """Which of the two (`email`, `phone`) Clio shows although it cannot be used."""
    opted_out: Box = Box.UNCHECKED
    """The contact's checkbox."""
    texts: Box = Box.UNCHECKED
    """The contact's checkbox that allows text messages."""
    readable: bool = True
    """False where a part could not be read."""


class Page(NamedTuple):
    """One page of matters."""

    matters: Sequence[Matter]
    received: int
    """How many records the page had on the wire; some of them may not have been asked for."""
    answered_at: datetime
    """The `Date` of Clio's answer."""


class Key(NamedTuple):
    """What identifies a closing."""

    matter_id: int
    closed_on: date | None
    """The close date; None where the matter was closed without one."""


class Closing(NamedTuple):
    """A closing of a matter, as a row of the ledger has it."""

    key: Key
    contact_id: int | None
    """The id of the client's contact; None where the matter has no client."""
    state: State
    reason: Reason | None
    """Why it was skipped, waits or is held; None where there is no reason."""
    command: Command
    """The command to which it belongs while it is pending."""
    rule: SyncRule
    """The rule under which it was decided."""
    etag: str
    """The `Matter.etag` of the last reading."""
    noticed_at: datetime
    """When a run first saw it."""
    read_at: datetime
    """When it was last read and decided on."""
    read_in_run: int
    """The run in which its matter was last read and decided on."""
    in_doubt: bool = False
    """Whether the outcome of a try was ever unknown, so that the client may have been asked."""
    resent: bool = False
    """Whether a person sent it again."""
    approval: Approval = Approval.NONE
    tries: int = 0
    """How many runs count towards giving up (`MAX_TRIES` in `domain/lifecycle.py`)."""
    claimed_at: datetime | None = None
    """When it was last claimed; None where it never was."""
    claimed_in_run: int = 0
    """The run that last claimed it; 0 where none did."""
    batch: int | None = None
    """Which of that run's batches it was in."""
    updated_at: datetime | None = None
    """When its matter was last edited, as Clio said at the last reading."""
    cause: str | None = None
    """What stands behind the reason: one of the causes in `domain/reasons.py`, or, of an unknown
    outcome and of a try that broke off, what became of it (`errors.Cause`)."""
    channels: Channels | None = None
    """What was sent when it was last claimed; None where it never was, or nobody noted it."""
    number: int = 0
    """The number of its row in the ledger; 0 where it is not in the ledger yet."""


@dataclass(slots=True, repr=False)
class Candidate:
    """A closing that may be sent, unless what the ledger knows of others speaks against it."""

    closing: Closing
    contact: Contact
    """The contact as it was read; what it has counts even where it is not sent."""
    request: "ReviewRequest"
    """What would be sent."""
    read_at: datetime
    """When its matter or its contact was read, whichever was earlier."""


class Asked(NamedTuple):
    """What the ledger knows about what was sent before, seen from one closing."""

    person_at: datetime | None = None
    """When another closing of the same contact, e-mail address or phone number was last sent, or
    may have been; None where there is none."""
    matter_at: datetime | None = None
    """When this matter was last sent (or may have been) or dropped under another close date."""
    matter_dates: frozenset[date] = frozenset()
    """The other close dates under which that happened, whenever it was."""
    no_of: int | None = None
    """The id of another contact that shares an e-mail address or phone number with this one, and
    whose opt-out box was checked when it was last read; None where there is none."""


class Due(NamedTuple):
    """Which pending closings of a command are due for a push."""

    command: Command
    noticed_until: datetime
    """Those noticed at this moment or earlier are due; what a person resent always is."""
    faults_until: datetime | None
    """A hidden or unreadable one must also have been last read at this moment or earlier; None
    means at any time."""
    first: date | None = None
    """The first close date; None where there is no limit. A closing without one is in any range."""
    last: date | None = None
    """The last close date, which is included; None where there is no limit."""
    matter_id: int | None = None
    """Where it is given, only closings of this matter, and those of either command."""


class Decision(NamedTuple):
    """What becomes of a closing, and why it is not sent."""

    verdict: Verdict
    reason: Reason | None = None
    """Why it is skipped or waits; None where there is no reason."""
    cause: str | None = None
    """What stands behind the reason (`Closing.cause`)."""


@dataclass(slots=True, repr=False)
class ReviewRequest:
    """What Broadly is sent about one client; of their data only what `BROADLY_FIELDS` allows."""

    key: Key
    contact_id: int
    transaction_date: date
    """The close date, but never one in the future."""
    first_name: str | None = None
    last_name: str | None = None
    company_name: str | None = None
    email: str | None = None
    phone: str | None = None
    sample: str = ""
    """What sets the id of a made-up client apart from every other; empty for a real one."""

    @property
    def is_sample(self) -> bool:
        return bool(self.sample)

    @property
    def transaction_id(self) -> str:
        """The closing's id at Broadly, the same for ever (source: `broadly-batch/1`)."""
        return f"clio:matter:{self.key.matter_id}:{self.key.closed_on}{self.sample}"

    @property
    def channels(self) -> Channels:
        """By what the client can be reached."""
        if self.email is None:
            return Channels.PHONE
        return Channels.EMAIL if self.phone is None else Channels.BOTH


class Outcome(Enum):
    """What Broadly did with one review request."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    """It had accepted this transactionId before."""
    SUPPRESSED = "suppressed"
    """It does not ask this client, who does not want to be asked."""
    REJECTED = "rejected"
    """Its result for the item is that the item is bad."""
    REFUSED = "refused"
    """It refused a whole POST that held nothing else, or named this item as the reason."""
    WITHHELD = "withheld"
    """It refused the item, and whether that counts is not known before the push is over."""
    RETRY = "retry"
    """It wants another try in a later run."""
    UNKNOWN = "unknown"
    """No result for the item can be read, so the client may have been asked."""


class Receipt(NamedTuple):
    """Broadly's answer about one review request."""

    key: Key
    """The closing that the request was for."""
    outcome: Outcome
    code: str | None = None
    """Broadly's code for the outcome; None where it gave none that may be kept."""
    cause: str | None = None
    """Why the outcome is unknown: the `cause` of the error; None for every other outcome."""

    @property
    def word(self) -> str | None:
        """What the ledger keeps of the answer: Broadly's code, or that it was a duplicate."""
        return self.outcome.value if self.outcome is Outcome.DUPLICATE else self.code


class Destination(NamedTuple):
    """Where review requests go; a state belongs to one destination."""

    profile: Profile
    address: str
    """The full address, empty where there is none; in the pins, of a webhook a keyed hash of it,
    because whoever knows the address can post to it."""


class Pins(NamedTuple):
    """What a state was made with (see `pipeline/pins.py`)."""

    host: str
    """Clio's scheme and host."""
    account: int | None
    """The id of the account in Clio; None as long as Clio has not said it."""
    destination: Destination
    rule: SyncRule
    fields: FieldIds
    untouched: Untouched = Untouched.SKIP


class Policy(NamedTuple):
    """What the rules may see of the settings and of the state."""

    command: Command
    rule: SyncRule
    start_day: date | None
    """Closings before this date are left to `backfill`; None where there is no such limit."""
    max_age_days: int | None
    """Closings that are older than this are skipped; None where there is no such limit."""
    reask_days: int
    """A client is asked again after so many days at the earliest; 0 switches this off."""
    settle_hours: float
    """A closing becomes due so many hours after it was noticed."""
    hours: SendingHours
    """Nobody is claimed outside of these."""
    max_new: int
    """More unapproved closings than this within `SURGE_WINDOW` are a surge."""
    companies: bool
    """Whether clients that are companies are asked."""
    fields: frozenset[str]
    """The names, of those in `BROADLY_FIELDS`, that may be sent to Broadly."""
    dedupes: bool
    """Whether Broadly refuses for ever a transactionId that it has accepted."""
    profile: Profile = Profile.BATCH
    """To what kind of destination review requests go."""
    untouched: Untouched = Untouched.SKIP
    """What becomes of a closing whose matter's box nobody has touched."""
    text_box: bool = False
    """Whether a phone number is sent only where the contact's box allows text messages."""
    since_run: int = 0
    """The first run that decided by these rules; they leave alone what was skipped before it."""
    one_matter: bool = False
    """Whether a person named the matter: then what waits for either command is decided anew."""
