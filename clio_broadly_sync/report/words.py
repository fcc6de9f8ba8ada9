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
    """The reason's label, or that of the state; in front of it stands how many they are."""
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

_HELPS: Final[Mapping[Reason, str]] = {
    Reason.NOT_CLOSED: NOTHING + "once closed, it is decided anew.",
    Reason.NO_CLIENT: "Name the client on the matter in Clio.",
    Reason.CLOSED_BEFORE_START: NOTHING + _BACKFILL,
    Reason.CLOSED_TOO_LONG_AGO: NOTHING + _BACKFILL,
    Reason.NOT_OPTED_IN: f"Check it in Clio. {_AGAIN}",
    Reason.OPTED_OUT: NOTHING + "`{opt_out}` is checked, and stays respected.",
    Reason.COMPANY: NOTHING + "`SYNC_COMPANIES` leaves companies out.",
    Reason.NO_CHANNEL: f"Add one to the contact in Clio. {_AGAIN}",
    Reason.ASKED_RECENTLY: NOTHING + "nobody is asked twice{within}.",
    Reason.SUPPRESSED: NOTHING + "the client does not want to be asked.",
    Reason.DROPPED: NOTHING + "that is final.",
    Reason.CONTACT_HIDDEN: (
        f"Give the program's Clio user access to the contact; then `{_PROGRAM} backfill`."
    ),
    Reason.UNREADABLE_FIELD: (
        f"Open the contact and the matter in Clio and save them; then `{_PROGRAM} backfill`."
    ),
    Reason.NO_CLOSE_DATE: "Type the close date in Clio.",
}
"""What helps where a closing is skipped."""
_WRITE: Final = f"`{_PROGRAM} sync --csv FILE` writes it"
_FILE_LATER: Final = f"{NOTHING}there is time yet; {_WRITE}."
_NEXT_RUN: Final = Words("waiting for the next run", NOTHING + "they go by themselves.")
_HELPS_WAITING: Final[Mapping[Reason, tuple[str, str]]] = {
    Reason.SETTLING: (NOTHING + "after `SYNC_SETTLE_HOURS` they go by themselves.", ""),
    Reason.SURGE: (
        f"Many closed at once, or the program was silent: look with `{_PROGRAM} sync --dry-run`, "
        f"then say `{_PROGRAM} sync --yes`.",
        "waits for a yes",
    ),
    Reason.UNAVAILABLE: ("A later run tries again. If runs fail, `status` says why.", ""),
    Reason.RETRY: (NOTHING + "a later run tries again.", ""),
    Reason.UNKNOWN_OUTCOME: (NOTHING + "the next run tries again.", ""),
    Reason.CONTACT_HIDDEN: (
        "Clio hides the contact. Give the program's Clio user access to it; it is read again "
        "within a day.",
        "hidden",
    ),
    Reason.UNREADABLE_FIELD: (
        "A box, or another part, could not be read. Open the contact and the matter in Clio and "
        "save them; they are read again within a day.",
        "can't be read",
    ),
    Reason.NO_CLOSE_DATE: (
        "Type the close date in Clio; it then goes by itself.",
        "no close date",
    ),
    Reason.EXPORT: (f"It is time: {_WRITE}.", "file is due"),
    Reason.OUTSIDE_HOURS: (NOTHING + "they go by themselves.", ""),
}
"""What helps where it waits; and the word for its state, where it waits for a person."""
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
    "rejected by Broadly",
    "Broadly rejected this client. Correct the e-mail or phone in Clio, then "
    f"`{_OUTBOX} resend {{matter}}`.",
    "rejected",
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
    words = _LEFT if left else _template(state, told, names)
    if told is Reason.EXPORT and not (left or needed):
        words = words._replace(helps=_FILE_LATER)
    within = f" within {names.reask_days} days" if names.reask_days else ""
    values = {**names._asdict(), "within": within, "matter": matter}
    return words._replace(helps=words.helps.format_map(values))


def _template(state: State, told: Reason | None, names: Names) -> Words:
    match state:
        case State.SENDING:
            return _ON_THEIR_WAY
        case State.HELD:
            return _HELD
        case State.DEAD:
            return _PUT_OFF if told is Reason.RETRY else _REJECTED
    if told is None:
        return _NEXT_RUN
    why = told.named(f"`{names.opt_in}`")
    if state is State.SKIPPED:
        return Words(why, _HELPS[told])
    return Words(why, *_HELPS_WAITING[told])


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
