"""What a report says of closings that came no further: why, in a few words, and what helps.

What stands between `backticks` is a command or the name of something. What needs a person does not
begin with “Nothing to do”.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from clio_broadly_sync.domain.reasons import Reason, State


class Names(NamedTuple):
    """What the firm calls things, for the words about them."""

    opt_in: str
    """The name of the matter's checkbox."""
    opt_out: str
    """The name of the contact's checkbox."""
    reask_days: int
    max_age_days: int


class Words(NamedTuple):
    """The words for closings that came no further for one reason."""

    why: str
    """At most 29 characters, with the usual names; in front of it stands how many they are."""
    helps: str
    word: str = ""
    """Of what waits for a person: one word, or a few, for its state."""


FEWEST: Final = 5
"""Of fewer, a percentage would say more than there is."""
NOTHING: Final = "Nothing to do: "
"""So it begins where there is nothing for a person to do."""
_PROGRAM: Final = "clio-broadly-sync"
_OUTBOX: Final = f"{_PROGRAM} outbox"
_AGAIN: Final = "The program looks again every day, for {max_age_days} days after closing."
_BACKFILL: Final = f"only `{_PROGRAM} backfill` asks them."

_SKIPPED: Final[Mapping[Reason, Words]] = {
    Reason.NOT_CLOSED: Words(
        "reopened, or gone from Clio", NOTHING + "once closed, it is decided anew."
    ),
    Reason.NO_CLIENT: Words("without a client", "Name the client on the matter in Clio."),
    Reason.CLOSED_BEFORE_START: Words("closed before the start day", NOTHING + _BACKFILL),
    Reason.CLOSED_TOO_LONG_AGO: Words(
        "closed too long ago ({max_age_days} days)", NOTHING + _BACKFILL
    ),
    Reason.NOT_OPTED_IN: Words("without `{opt_in}`", f"Check it in Clio. {_AGAIN}"),
    Reason.OPTED_OUT: Words("opted out", NOTHING + "`{opt_out}` is checked, and stays respected."),
    Reason.COMPANY: Words(
        "client is a company", NOTHING + "`SYNC_COMPANIES` leaves companies out."
    ),
    Reason.NO_CHANNEL: Words(
        "no usable e-mail or phone", f"Add one to the contact in Clio. {_AGAIN}"
    ),
    Reason.ASKED_RECENTLY: Words("{asked}", NOTHING + "nobody is asked twice in that time."),
    Reason.SUPPRESSED: Words(
        "left alone by Broadly", NOTHING + "the client does not want to be asked."
    ),
    Reason.DROPPED: Words("taken out by a person", NOTHING + "that is final."),
    Reason.CONTACT_HIDDEN: Words(
        "contact hidden for too long",
        f"Give the program's Clio user access to the contact; then `{_PROGRAM} backfill`.",
    ),
    Reason.UNREADABLE_FIELD: Words(
        "not readable for too long",
        f"Open the contact and the matter in Clio and save them; then `{_PROGRAM} backfill`.",
    ),
    Reason.NO_CLOSE_DATE: Words("without a close date too long", "Type the close date in Clio."),
}
_FILE: Final = "waiting for a file to import"
_WRITE: Final = f"`{_PROGRAM} sync --csv FILE` writes it"
_FILE_LATER: Final = Words(_FILE, f"{NOTHING}there is time yet; {_WRITE}.")
_NEXT_RUN: Final = Words("waiting for the next run", NOTHING + "they go by themselves.")
_WAITING: Final[Mapping[Reason, Words]] = {
    Reason.SETTLING: Words(
        "resting after closing", NOTHING + "after `SYNC_SETTLE_HOURS` they go by themselves."
    ),
    Reason.SURGE: Words(
        "waiting for a person's yes",
        f"Many closed at once, or the program was silent: look with `{_PROGRAM} sync --dry-run`, "
        f"then say `{_PROGRAM} sync --yes`.",
        "waits for a yes",
    ),
    Reason.UNAVAILABLE: Words(
        "waiting for another try",
        NOTHING + "Broadly could not be reached; a later run tries again.",
    ),
    Reason.RETRY: Words("put off by Broadly", NOTHING + "a later run tries again."),
    Reason.UNKNOWN_OUTCOME: Words("answer lost", NOTHING + "the next run tries again."),
    Reason.CONTACT_HIDDEN: Words(
        "contact hidden",
        "Clio hides the contact. Give the program's Clio user access to it; it is read again "
        "within a day.",
        "hidden",
    ),
    Reason.UNREADABLE_FIELD: Words(
        "not readable",
        "A box, or another part, could not be read. Open the contact and the matter in Clio and "
        "save them; they are read again within a day.",
        "can't be read",
    ),
    Reason.NO_CLOSE_DATE: Words(
        "without a close date",
        "Type the close date in Clio; it then goes by itself.",
        "no close date",
    ),
    Reason.EXPORT: Words(_FILE, f"It is time: {_WRITE}.", "file is due"),
    Reason.OUTSIDE_HOURS: Words(
        "waiting for the sending hours", NOTHING + "they go by themselves."
    ),
}
_LEFT: Final = Words(
    "left by a backfill",
    f"Run the same `{_PROGRAM} backfill` again, or let them go: "
    f"`{_OUTBOX} drop --command backfill`.",
    "left by a backfill",
)
_ON_THEIR_WAY: Final = Words("on their way", NOTHING + "a run sends them, or the next one looks.")
_HELD: Final = Words(
    "held: may have been asked",
    "Broadly's answer was lost. Look the client up in Broadly: if they were asked, "
    f"`{_OUTBOX} drop {{matter}}`; if not, `{_OUTBOX} resend {{matter}}`.",
    "held",
)
_REJECTED: Final = Words(
    "refused by Broadly",
    "Broadly refused this client. Correct the e-mail or phone in Clio, then "
    f"`{_OUTBOX} resend {{matter}}`.",
    "refused",
)
_PUT_OFF: Final = Words(
    "put off by Broadly too often",
    f"Broadly put this client off in ten runs. Try again: `{_OUTBOX} resend {{matter}}`.",
    "put off",
)


def of(
    state: State,
    told: Reason | None,
    names: Names,
    *,
    left: bool,
    needed: bool,
    matter: str = "MATTER",
) -> Words:
    """Return the words for closings in this state, which are told with this reason.

    `left` says whether a backfill has left them, `needed` whether they wait for a person, and
    `matter` is what stands in a command for the matter's id.
    """
    words = _LEFT if left else _template(state, told)
    if told is Reason.EXPORT and not (left or needed):
        words = _FILE_LATER
    asked = f"asked within {names.reask_days} days" if names.reask_days else "asked before"
    values = {**names._asdict(), "asked": asked, "matter": matter}
    return Words(*(text.format_map(values) for text in words))


def _template(state: State, told: Reason | None) -> Words:
    match state:
        case State.SENDING:
            return _ON_THEIR_WAY
        case State.HELD:
            return _HELD
        case State.DEAD:
            return _PUT_OFF if told is Reason.RETRY else _REJECTED
        case State.SKIPPED if told is not None:
            return _SKIPPED[told]
    return _NEXT_RUN if told is None else _WAITING[told]


def share(part: int, whole: int) -> str:
    """Return a share as a whole percentage; of fewer than 5, such as `3 of 4`.

    What is not none is at least `<1%`, and what is not all is at most `>99%`.
    """
    if whole < FEWEST:
        return f"{part:,} of {whole:,}"
    percent = round(100 * part / whole)
    if part > 0 and percent == 0:
        return "<1%"
    return ">99%" if part < whole and percent == 100 else f"{percent}%"
