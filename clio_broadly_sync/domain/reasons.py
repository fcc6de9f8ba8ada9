"""The states of a closing and the reasons for them, with the words in which a person is told.

`cli/explain/sentences.py` fills in what stands in braces.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from clio_broadly_sync.domain.errors import Cause


class State(StrEnum):
    """Where a closing stands in the ledger."""

    PENDING = "pending"
    """It waits to be sent to Broadly."""
    SENDING = "sending"
    """It was claimed, and what became of it has not been settled yet."""
    SENT = "sent"
    """Broadly has accepted it; nothing leaves this state."""
    SKIPPED = "skipped"
    """It is not sent, for a reason."""
    DEAD = "dead"
    """It is a dead letter, which Broadly rejected or put off too often. Only a person moves it."""
    HELD = "held"
    """It may have been sent. Only a person moves it."""


class Reason(StrEnum):
    """Why a closing was skipped, or why it waits. The words appear in the output and in `--json`.

    First come the reasons by the matter, then those by the contact, those that are final, and those
    for which a closing waits.
    """

    NOT_CLOSED = "not_closed"
    NO_CLIENT = "no_client"
    NO_CLOSE_DATE = "no_close_date"
    CLOSED_BEFORE_START = "closed_before_start"
    CLOSED_TOO_LONG_AGO = "closed_too_long_ago"
    NOT_OPTED_IN = "not_opted_in"

    OPTED_OUT = "opted_out"
    COMPANY = "company"
    NO_CHANNEL = "no_channel"
    ASKED_RECENTLY = "asked_recently"

    SUPPRESSED = "suppressed"
    DROPPED = "dropped"

    SETTLING = "settling"
    SURGE = "surge"
    UNAVAILABLE = "unavailable"
    RETRY = "retry"
    UNKNOWN_OUTCOME = "unknown_outcome"
    CONTACT_HIDDEN = "contact_hidden"
    UNREADABLE_FIELD = "unreadable_field"


FINAL = frozenset({Reason.SUPPRESSED, Reason.DROPPED})
"""Reasons to skip a closing that no run decides on anew."""
FAULTS = frozenset({Reason.CONTACT_HIDDEN, Reason.UNREADABLE_FIELD})
"""Reasons to wait that are faults of the record in Clio, not decisions."""
_WAITS: Final = frozenset({Reason.SETTLING, Reason.SURGE, Reason.UNAVAILABLE, Reason.RETRY})
_SKIPS: Final = frozenset(Reason) - _WAITS - {Reason.UNKNOWN_OUTCOME}
OF_STATE: Final[Mapping[State, frozenset[Reason | None]]] = {
    State.PENDING: FAULTS | _WAITS | {Reason.NO_CLOSE_DATE, Reason.UNKNOWN_OUTCOME, None},
    State.SENDING: frozenset({None}),
    State.SENT: frozenset({None}),
    State.SKIPPED: _SKIPS,
    State.DEAD: frozenset({Reason.RETRY, None}),
    State.HELD: (_SKIPS - FINAL) | {Reason.UNKNOWN_OUTCOME},
}
"""The reasons that a closing in this state may have; None stands for no reason."""

OF_CONTACT: Final = "contact:"
"""How the cause of `opted_out` begins where it is another contact's no; its id follows."""

UNUSABLE: Final = "unusable_address"
"""The cause of `no_channel` where Clio shows an address that may be sent and cannot be used."""
NOT_IN_FIELDS: Final = "not_in_fields"
"""The cause of `no_channel` where Clio shows only an address that BROADLY_FIELDS leaves out."""

WHY: Final[Mapping[Reason, str]] = {
    Reason.NOT_CLOSED: (
        "Clio did not show the matter as closed on {latest} (it is open, deleted or hidden)"
    ),
    Reason.NO_CLIENT: "the matter had no client when read on {read}",
    Reason.NO_CLOSE_DATE: "the matter was closed without a close date when read on {read}",
    Reason.CLOSED_BEFORE_START: (
        "it closed on {closed_on}, before the start day of this program ({start_day})"
    ),
    Reason.CLOSED_TOO_LONG_AGO: (
        "it closed on {closed_on}, longer ago than SYNC_MAX_AGE_DAYS allows ({max_age} days)"
    ),
    Reason.NOT_OPTED_IN: "the matter's {opt_in} box was not checked when read on {read}",
    Reason.OPTED_OUT: "the contact's {opt_out} box was checked when read on {read}",
    Reason.COMPANY: "the client is a company, and SYNC_COMPANIES leaves companies out",
    Reason.NO_CHANNEL: (
        "the contact had no e-mail address or phone number that can be used when read on {read}"
    ),
    Reason.ASKED_RECENTLY: (
        "the same person had already been handed over when its turn came on {changed} "
        "(SYNC_REASK_DAYS is {reask})"
    ),
    Reason.SUPPRESSED: "Broadly said on {changed} that this client does not want to be asked{code}",
    Reason.DROPPED: "a person took it out of the outbox on {changed}",
    Reason.SETTLING: (
        "it rests until {settled} in case the matter is reopened (SYNC_SETTLE_HOURS), and is then "
        "read again"
    ),
    Reason.SURGE: (
        "it waits for a person's yes, because more matters closed than SYNC_MAX_NEW ({max_new}) "
        "lets go in a day, or because the program had not run for three days"
    ),
    Reason.UNAVAILABLE: (
        "the try on {changed} broke off before Broadly had it, and the next run tries again"
    ),
    Reason.RETRY: (
        "Broadly asked on {changed} to try again later, which was done in {tries} of {most} runs"
    ),
    Reason.UNKNOWN_OUTCOME: "Broadly's answer to it was lost on {changed}",
    Reason.CONTACT_HIDDEN: "Clio hid the contact from this sign-in when asked on {read}",
    Reason.UNREADABLE_FIELD: (
        "a box, or another part of the record in Clio, could not be read on {read}"
    ),
}
"""The end of the sentence that says why a closing was not sent, waits, or is held."""

WHY_BY_CAUSE: Final[Mapping[tuple[Reason, str], str]] = {
    (Reason.OPTED_OUT, OF_CONTACT): (
        "contact {other} in Clio, which has the same e-mail address or phone number, had the "
        "{opt_out} box checked when it was last read before {changed}"
    ),
    (Reason.NO_CHANNEL, UNUSABLE): (
        "what Clio had as the contact's e-mail address or phone number when read on {read} cannot "
        "be used"
    ),
    (Reason.UNAVAILABLE, Cause.PAUSE): (
        "nobody was handed over on {changed}, because an answer of Broadly's had been lost before, "
        "and a later run tries again (`clio-broadly-sync status` says from when on)"
    ),
    (Reason.NO_CHANNEL, NOT_IN_FIELDS): (
        "BROADLY_FIELDS leaves out the only one of e-mail address and phone number that the "
        "contact had when read on {read}"
    ),
}
"""The same for a reason with a cause of which there is more to say. The key has of the cause what
comes before an id."""

PAUSED: Final = (
    "Broadly's last answer was lost, so nobody is handed over until {until}, and then one client "
    "alone; see whether Broadly is out of order, or try one client at once: "
    "`clio-broadly-sync sync --yes` on a terminal."
)
"""What is said of a pause after a lost answer."""

HELPS_BY_CAUSE: Final[Mapping[tuple[Reason, str], str]] = {
    (Reason.OPTED_OUT, OF_CONTACT): (
        "If that is another person, or the box was checked by mistake: put contact {other} right "
        "in Clio; then: {backfill}"
    ),
    (Reason.NO_CHANNEL, UNUSABLE): (
        "Correct it in Clio (one whole address; one number without extension or note, from abroad "
        "with + and its country code); then: {backfill}"
    ),
    (Reason.NO_CHANNEL, NOT_IN_FIELDS): (
        "Add the other one to the contact in Clio, or name this one in BROADLY_FIELDS; then: "
        "{backfill}"
    ),
}
"""What a person can do then."""

HELPS: Final[Mapping[Reason, str]] = {
    Reason.NOT_CLOSED: "Once it is closed in Clio, the next `sync` looks at it anew.",
    Reason.NO_CLIENT: "Name the client in Clio: the next `sync` then looks at it anew.",
    Reason.NO_CLOSE_DATE: (
        "Type the date in Clio: the next `sync` then looks at it anew; for a date before "
        "{start_day} or more than {max_age} days ago: {backfill}"
    ),
    Reason.CLOSED_BEFORE_START: "To hand it over all the same: {backfill}",
    Reason.CLOSED_TOO_LONG_AGO: "To hand it over all the same: {backfill}",
    Reason.NOT_OPTED_IN: (
        "Check the box in Clio, if this client is to be asked: the next `sync` then looks at it "
        "anew, unless the close date is too old by then (SYNC_MAX_AGE_DAYS)."
    ),
    Reason.OPTED_OUT: "If the box was checked by mistake, uncheck it in Clio; then: {backfill}",
    Reason.COMPANY: "If companies are to be asked: set SYNC_COMPANIES=true; then: {backfill}",
    Reason.NO_CHANNEL: "Add one to the contact in Clio; then: {backfill}",
    Reason.SUPPRESSED: "This is final: it is not sent again.",
    Reason.DROPPED: "This is final: it is not looked at again.",
    Reason.CONTACT_HIDDEN: (
        "Give the Clio user of this sign-in access to the contact; then: {backfill}"
    ),
    Reason.UNREADABLE_FIELD: (
        "Give this sign-in the Custom Fields permission, or mend the record; then: {backfill}"
    ),
}
"""What a person can do where a closing was skipped."""

OUT_OF_SYNC: Final[Mapping[Reason, str]] = {
    Reason.NOT_CLOSED: (
        "Once it is closed in Clio under a later date, the next `sync` looks at it; under this "
        "one: {backfill}"
    ),
    Reason.NO_CLIENT: "Name the client in Clio; then: {backfill}",
    Reason.NO_CLOSE_DATE: "Type the date in Clio; then: {backfill}",
    Reason.NOT_OPTED_IN: "Check the box in Clio, if this client is to be asked; then: {backfill}",
}
"""What a person can do instead, where the next `sync` would not look at the closing anew, or would
skip it because of its date."""

BY_ITSELF: Final[Mapping[Reason, str]] = {
    Reason.SURGE: (
        "If all that waits is right: `clio-broadly-sync sync --yes`; "
        "if this one is not: `clio-broadly-sync outbox drop {matter}`."
    ),
    Reason.CONTACT_HIDDEN: (
        "Give the Clio user of this sign-in access to the contact. It is looked at again every "
        "20 hours until it is too old."
    ),
    Reason.UNREADABLE_FIELD: (
        "Give this sign-in the Custom Fields permission, or mend the record in Clio. It is looked "
        "at again every 20 hours until it is too old."
    ),
}
"""What a person can do where a closing of `sync` waits; those with another reason go by
themselves."""

WAITS: Final[Mapping[Reason | None, str]] = {
    None: "nothing speaks against them; they go with the next run",
    Reason.SETTLING: "they rest for SYNC_SETTLE_HOURS, then go by themselves",
    Reason.SURGE: "too many at once, or after a long silence: a person looks first",
    Reason.UNAVAILABLE: "the last try broke off, or Broadly has a pause; a later run tries again",
    Reason.RETRY: "Broadly asked to try again later",
    Reason.UNKNOWN_OUTCOME: "Broadly's answer was lost; they are tried again",
    Reason.CONTACT_HIDDEN: "Clio hides the contact from this sign-in",
    Reason.UNREADABLE_FIELD: "a box or a record in Clio cannot be read",
}
"""Why closings wait, by their reason, in the words of a list."""
