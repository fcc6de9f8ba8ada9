"""The reasons why a closing is not sent, or waits: one row of `ABOUT` says all about a reason."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, Self

from clio_broadly_sync.domain.about import About, OfCause
from clio_broadly_sync.domain.errors import Cause
from clio_broadly_sync.domain.states import Kind, State


class Reason(StrEnum):
    """Why a closing was skipped, or why it waits: its code in `--json`, and its label for people.

    A label may stand after a number, or alone in a table; `named` fills in what stands in braces.
    """

    label: str

    def __new__(cls, code: str, label: str = "") -> Self:
        reason = str.__new__(cls, code)
        reason._value_ = code
        reason.label = label
        return reason

    NOT_CLOSED = "not_closed", "not closed in Clio"
    NO_CLIENT = "no_client", "without a client"
    CLOSED_BEFORE_START = "closed_before_start", "closed before the start day"
    CLOSED_TOO_LONG_AGO = "closed_too_long_ago", "closed too long ago"
    NOT_OPTED_IN = "not_opted_in", "without {opt_in}"

    OPTED_OUT = "opted_out", "opted out"
    COMPANY = "company", "for a company"
    NO_CHANNEL = "no_channel", "without e-mail or phone"
    ASKED_RECENTLY = "asked_recently", "asked already"

    SUPPRESSED = "suppressed", "unsubscribed at Broadly"
    DROPPED = "dropped", "dropped by a person"

    SETTLING = "settling", "resting for a while"
    SURGE = "surge", "too many at once"
    UNAVAILABLE = "unavailable", "to be tried again"
    RETRY = "retry", "put off by Broadly"
    UNKNOWN_OUTCOME = "unknown_outcome", "answer lost"
    CONTACT_HIDDEN = "contact_hidden", "client hidden in Clio"
    UNREADABLE_FIELD = "unreadable_field", "unreadable in Clio"
    NO_CLOSE_DATE = "no_close_date", "without a close date"

    EXPORT = "export", "waiting for a file"

    OUTSIDE_HOURS = "outside_hours", "outside sending hours"

    def named(self, opt_in: str) -> str:
        """Return the label; `opt_in` is the name of the matter's checkbox."""
        return self.label.format(opt_in=opt_in)


OF_CONTACT: Final = "contact:"
"""How the cause of `opted_out` begins where it is another contact's no; its id follows."""
UNUSABLE: Final = "unusable_address"
"""The cause of `no_channel` where Clio shows an address that may be sent and cannot be used."""
NOT_IN_FIELDS: Final = "not_in_fields"
"""The cause of `no_channel` where Clio shows only an address that BROADLY_FIELDS leaves out."""
NO_TEXTS: Final = "no_texts"
"""The cause of `no_channel` where there is only a phone number, and the box that lets it be sent
(SYNC_TEXT_FIELD) is not checked."""
UNTOUCHED: Final = "untouched"
"""The cause of `not_opted_in` where nobody has touched the matter's box."""

_WITHOUT_REASON: Final = frozenset({State.PENDING, State.SENDING, State.SENT, State.DEAD})
"""The states in which a closing may be without a reason."""
EXPORT_BY: Final = "`clio-broadly-sync sync --csv FILE`"
"""The command that writes what waits for an export."""
_ACCESS: Final = "give the Clio user of this sign-in access to it"
_WITHIN_A_DAY: Final = (
    "`sync` looks at it anew within a day, unless the close date is too old by then "
    "(SYNC_MAX_AGE_DAYS)."
)
NOTHING_TO_DO: Final = "Nothing to do: "
"""So it begins in a report where there is nothing for a person to do."""
_BY_BACKFILL: Final = f"{NOTHING_TO_DO}only `clio-broadly-sync backfill` asks them."
_EVERY_DAY: Final = "The program looks again every day, for {max_age} days after closing."
_CHECK: Final = "Check the box in Clio, if this client is to be asked"


def _to_correct(how: str) -> tuple[str, str]:
    """Return `helps` and `out_of_sync` of what a person can correct in Clio."""
    return f"{how}: {_WITHIN_A_DAY}", f"{how}; then: {{anew}}"


ABOUT: Final[Mapping[Reason, About]] = {
    Reason.NOT_CLOSED: About(
        Kind.MATTER,
        why="Clio did not show the matter as closed on {latest} (it is open, deleted or hidden)",
        helps="Once it is closed in Clio, the next `sync` looks at it anew.",
        out_of_sync=(
            "Once it is closed in Clio under a later date, the next `sync` looks at it; under this "
            "one: {anew}"
        ),
        in_report=f"{NOTHING_TO_DO}once closed, it is decided anew.",
    ),
    Reason.NO_CLIENT: About(
        Kind.MATTER,
        why="the matter had no client when read on {read}",
        helps="Name the client in Clio: the next `sync` then looks at it anew.",
        out_of_sync="Name the client in Clio; then: {anew}",
        in_report="Name the client on the matter in Clio.",
    ),
    Reason.CLOSED_BEFORE_START: About(
        Kind.MATTER,
        why="it closed on {closed_on}, before the start day of this program ({start_day})",
        helps="To send it all the same: {anew}",
        in_report=_BY_BACKFILL,
    ),
    Reason.CLOSED_TOO_LONG_AGO: About(
        Kind.MATTER,
        why="it closed on {closed_on}, more than {max_age} days ago (SYNC_MAX_AGE_DAYS)",
        helps="To send it all the same: {anew}",
        in_report=_BY_BACKFILL,
    ),
    Reason.NOT_OPTED_IN: About(
        Kind.MATTER,
        "the matter's {opt_in} box was not checked when read on {read}",
        *_to_correct(_CHECK),
        by_cause={
            UNTOUCHED: OfCause(
                "nobody had ever touched the matter's {opt_in} box when it was read on {read}",
                f"{_CHECK}: {_WITHIN_A_DAY} If silence is to count as a yes: "
                "SYNC_OPT_IN_UNTOUCHED.",
                _to_correct(_CHECK)[1],
            )
        },
        daily=True,
        in_report=f"Check it in Clio. {_EVERY_DAY}",
    ),
    Reason.OPTED_OUT: About(
        Kind.CONTACT,
        "the contact's {opt_out} box was checked when read on {read}",
        *_to_correct("If the box was checked by mistake, uncheck it in Clio"),
        daily=True,
        by_cause={
            OF_CONTACT: OfCause(
                "contact {other} in Clio, which has the same e-mail address or phone number, had "
                "the {opt_out} box checked when it was last read before {changed}",
                *_to_correct(
                    "If that is another person, or a mistake: correct contact {other} in Clio"
                ),
            )
        },
        in_report=NOTHING_TO_DO + "`{opt_out}` is checked, and stays respected.",
    ),
    Reason.COMPANY: About(
        Kind.CONTACT,
        why="the client is a company, and companies are not asked (SYNC_COMPANIES)",
        helps="If companies are to be asked: set SYNC_COMPANIES=true; then: {anew}",
        in_report=f"{NOTHING_TO_DO}`SYNC_COMPANIES` leaves companies out.",
    ),
    Reason.NO_CHANNEL: About(
        Kind.CONTACT,
        "the contact had no e-mail address or phone number that can be used when read on {read}",
        *_to_correct("Add one to the contact in Clio"),
        daily=True,
        by_cause={
            UNUSABLE: OfCause(
                "what Clio had as the contact's e-mail address or phone number when read on {read} "
                "cannot be used",
                *_to_correct(
                    "Correct it in Clio (one whole address; one number without extension or note, "
                    "from abroad with + and its country code)"
                ),
            ),
            NOT_IN_FIELDS: OfCause(
                "BROADLY_FIELDS leaves out the only one of e-mail address and phone number that "
                "the contact had when read on {read}",
                *_to_correct("Add the other one in Clio, or name this one in BROADLY_FIELDS"),
            ),
            NO_TEXTS: OfCause(
                "the contact had a phone number alone when read on {read}, and its {text} box, "
                "without which no phone number is sent, was not checked or could not be read",
                *_to_correct("Add an e-mail address in Clio, or check the box if they want texts"),
            ),
        },
        in_report=f"Add one to the contact in Clio. {_EVERY_DAY}",
    ),
    Reason.ASKED_RECENTLY: About(
        Kind.CONTACT,
        why=(
            "the same person had already been sent to Broadly when its turn came on {changed}; "
            "nobody is asked again within {reask} days (SYNC_REASK_DAYS)"
        ),
        in_report=NOTHING_TO_DO + "nobody is asked twice{within}.",
    ),
    Reason.SUPPRESSED: About(
        Kind.FINAL,
        why="Broadly said on {changed} that this client does not want to be asked{code}",
        helps="This is final: it is not sent again.",
        in_report=f"{NOTHING_TO_DO}the client does not want to be asked.",
    ),
    Reason.DROPPED: About(
        Kind.FINAL,
        why="a person took it out of the outbox on {changed}",
        helps="This is final: it is not looked at again.",
        in_report=f"{NOTHING_TO_DO}that is final.",
    ),
    Reason.SETTLING: About(
        Kind.WAITS,
        why=(
            "it rests until {settled} in case the matter is reopened (SYNC_SETTLE_HOURS), and is "
            "then read again"
        ),
        waits="they rest for a while (SYNC_SETTLE_HOURS), then go by themselves",
        waits_in_report=f"{NOTHING_TO_DO}after `SYNC_SETTLE_HOURS` they go by themselves.",
    ),
    Reason.SURGE: About(
        Kind.WAITS,
        why=(
            "it waits for a person's yes, because more matters closed in a day than the limit of "
            "{max_new} (SYNC_MAX_NEW), or because the program had not run for three days"
        ),
        waits="too many at once, or after a long silence: look first, then say yes",
        helps_waiting=(
            "To send all that waits: `clio-broadly-sync sync --yes`; to send this one alone: "
            "`clio-broadly-sync sync --matter {matter}`; to leave this one out: "
            "`clio-broadly-sync outbox drop {matter}`."
        ),
        to_do=(
            "look at them: `clio-broadly-sync outbox list --reason surge`",
            "send them: `clio-broadly-sync sync --yes`",
            "or leave them out: `clio-broadly-sync outbox drop --reason surge`",
        ),
        waits_in_report=(
            "Many closed at once, or the program was silent: look with "
            "`clio-broadly-sync sync --dry-run`, then say `clio-broadly-sync sync --yes`."
        ),
        waits_in_word="waits for a yes",
    ),
    Reason.UNAVAILABLE: About(
        Kind.WAITS,
        why="the try on {changed} broke off before Broadly took it; the next run tries again "
        "(should it fail, `clio-broadly-sync status` says why)",
        by_cause={
            Cause.PAUSE: OfCause(
                "nobody was sent to Broadly on {changed}, because an answer of Broadly's had been "
                "lost; a later run tries again (`clio-broadly-sync status` says from when on)"
            )
        },
        waits="the last try broke off, or Broadly has a pause; a later run tries again",
        waits_in_report="A later run tries again. If runs fail, `status` says why.",
    ),
    Reason.RETRY: About(
        Kind.TRIED,
        why=("Broadly asked on {changed} to try again later (try {tries} of {most})"),
        waits="Broadly asked to try again later",
        also=frozenset({State.DEAD}),
        waits_in_report=f"{NOTHING_TO_DO}a later run tries again.",
    ),
    Reason.UNKNOWN_OUTCOME: About(
        Kind.TRIED,
        why="Broadly's answer to it was lost on {changed}",
        waits="Broadly's answer was lost; they are tried again",
        also=frozenset({State.HELD}),
        waits_in_report=f"{NOTHING_TO_DO}the next run tries again.",
    ),
    Reason.CONTACT_HIDDEN: About(
        Kind.FAULT,
        why="Clio hid the contact from this sign-in when asked on {read}",
        helps="Give the Clio user of this sign-in access to the contact; then: {anew}",
        waits="Clio hides the contact from this sign-in",
        helps_waiting=(
            "Give the Clio user of this sign-in access to the contact. It is looked at again every "
            "20 hours until it is too old."
        ),
        to_do=(_ACCESS, "which: `clio-broadly-sync outbox list --reason contact_hidden`"),
        in_report=(
            "Give the program's Clio user access to the contact; then `clio-broadly-sync backfill`."
        ),
        waits_in_report=(
            "Clio hides the contact. Give the program's Clio user access to it; it is read again "
            "within a day."
        ),
        waits_in_word="hidden",
    ),
    Reason.UNREADABLE_FIELD: About(
        Kind.FAULT,
        why="a box, or another part of the record in Clio, could not be read on {read}",
        helps=("Give this sign-in the Custom Fields permission, or fix the record; then: {anew}"),
        waits="a box or a record in Clio cannot be read",
        helps_waiting=(
            "Give this sign-in the Custom Fields permission, or fix the record in Clio. It is "
            "looked at again every 20 hours until it is too old."
        ),
        to_do=(_ACCESS, "which: `clio-broadly-sync outbox list --reason unreadable_field`"),
        in_report=(
            "Open the contact and the matter in Clio and save them; then "
            "`clio-broadly-sync backfill`."
        ),
        waits_in_report=(
            "A box, or another part, could not be read. Open the contact and the matter in Clio "
            "and save them; they are read again within a day."
        ),
        waits_in_word="can't be read",
    ),
    Reason.NO_CLOSE_DATE: About(
        Kind.FAULT,
        why="the matter was closed without a close date when read on {read}",
        helps=(
            "Type the date in Clio: the next `sync` then looks at it anew; for a date before "
            "{start_day} or more than {max_age} days ago: {anew}"
        ),
        out_of_sync="Type the date in Clio; then: {anew}",
        waits="the matter was closed without a close date",
        helps_waiting=(
            "Type the close date in Clio: the next `sync` then goes on with it. Without one it "
            "waits for {max_age} days after it was noticed."
        ),
        to_do=(
            "type the close date in Clio; they then go by themselves",
            "which: `clio-broadly-sync outbox list --reason no_close_date`",
            "leave them out: `clio-broadly-sync outbox drop --reason no_close_date`",
        ),
        in_report="Type the close date in Clio.",
        waits_in_report="Type the close date in Clio; it then goes by itself.",
        waits_in_word="no close date",
    ),
    Reason.EXPORT: About(
        Kind.TOLD,
        why=(
            f"it waits until somebody writes a file for Broadly's import with {EXPORT_BY}, which "
            "reads it in Clio again"
        ),
        waits="they wait for a file for Broadly's import",
        waits_in_report=f"It is time: {EXPORT_BY} writes it.",
        waits_in_word="file is due",
    ),
    Reason.OUTSIDE_HOURS: About(
        Kind.TOLD,
        why=(
            "nobody is sent to Broadly outside of the sending hours (SYNC_SEND_DAYS, "
            "SYNC_SEND_HOURS), which begin on {opens}"
        ),
        waits="they wait for the sending hours",
        waits_in_report=f"{NOTHING_TO_DO}they go by themselves.",
    ),
}
"""The row of each reason."""


def _of(kind: Kind) -> frozenset[Reason]:
    return frozenset(reason for reason, about in ABOUT.items() if about.kind is kind)


def _of_state(state: State) -> frozenset[Reason | None]:
    found = {reason for reason, about in ABOUT.items() if state in about.kind.states | about.also}
    return frozenset(found | {None} if state in _WITHOUT_REASON else found)


FINAL: Final = _of(Kind.FINAL)
TRIED: Final = _of(Kind.TRIED)
LOOKED_AT_DAILY: Final = frozenset(reason for reason, about in ABOUT.items() if about.daily)
FAULTS: Final = _of(Kind.FAULT)
TOLD: Final = _of(Kind.TOLD)
OF_STATE: Final = {state: _of_state(state) for state in State}
"""The reasons that a closing in this state may have; None stands for no reason."""
