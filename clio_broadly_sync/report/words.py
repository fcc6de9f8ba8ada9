"""What a report says of closings that came no further: why, in a few words, and what helps.

What stands between `backticks` is a command or the name of something. What needs a person does not
begin with “Nothing to do”.
"""

from typing import Final, NamedTuple

from clio_broadly_sync.domain.reasons import ABOUT, EXPORT_BY, NOTHING_TO_DO, Reason
from clio_broadly_sync.domain.states import State


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
_OUTBOX: Final = "clio-broadly-sync outbox"
_FILE_LATER: Final = f"{NOTHING_TO_DO}there is time yet; {EXPORT_BY} writes it."
_NEXT_RUN: Final = Words("waiting for the next run", f"{NOTHING_TO_DO}they go by themselves.")
_LEFT: Final = Words(
    "left by a backfill",
    "Run the same `clio-broadly-sync backfill` again, or let them go: "
    f"`{_OUTBOX} drop --command backfill`.",
    "left by a backfill",
)
_ON_THEIR_WAY: Final = Words(
    "on their way", f"{NOTHING_TO_DO}a run sends them, or the next one looks."
)
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
    values = {
        "opt_out": names.opt_out,
        "max_age": names.max_age_days,
        "within": within,
        "matter": matter,
    }
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
    why, about = told.named(f"`{names.opt_in}`"), ABOUT[told]
    if state is State.SKIPPED:
        return Words(why, about.in_report)
    return Words(why, about.waits_in_report, about.waits_in_word)


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
