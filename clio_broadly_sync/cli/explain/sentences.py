"""What became of a closing, said in one sentence to a person who has never seen this program.

Pure words: what is said depends on the closing, its last change and the settings alone. For
every state and every reason there is a sentence, and for most a way on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Final

from clio_broadly_sync import rules
from clio_broadly_sync.cli import times
from clio_broadly_sync.model import FAULTS, Closing, Command, Outcome, Policy, Reason, State
from clio_broadly_sync.store.trail import Step, Story

PROGRAM: Final = "clio-broadly-sync"

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
        "the same person, or this matter under another close date, had already been handed over "
        "when its turn came on {changed} (SYNC_REASK_DAYS is {reask})"
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
"""Why a closing was not handed over, or waits, or is held: the part of the sentence after that."""

HELPS: Final[Mapping[Reason, str]] = {
    Reason.NOT_CLOSED: "Once it is closed in Clio, the next `sync` looks at it anew.",
    Reason.NO_CLIENT: "Name the client in Clio: the next `sync` then looks at it anew.",
    Reason.NO_CLOSE_DATE: "Type the date in Clio: the next `sync` then looks at it anew.",
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
"""What helps where a closing was skipped."""

BY_ITSELF: Final[Mapping[Reason, str]] = {
    Reason.SURGE: (
        f"If all that waits is right: `{PROGRAM} sync --yes`; "
        f"if this one is not: `{PROGRAM} outbox drop {{matter}}`."
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
"""What helps where a closing of `sync` waits; the others go by themselves."""


@dataclass(frozen=True, slots=True)
class Given:
    """What the words need of the settings: the policy of `sync`, the boxes' names, the zone."""

    policy: Policy
    opt_out: str
    opt_in: str
    zone: tzinfo | None


def sentence(story: Story, given: Given) -> str:
    """Say in one sentence what became of the closing."""
    closing, last = story.closing, _last(story)
    parts = _parts(closing, last, given)
    return _sentence(closing, last, given).format_map(parts)


def helps(story: Story, given: Given) -> str | None:
    """Say what a person can do about it; None where there is nothing to do."""
    closing = story.closing
    text = _helps(closing, given)
    return None if text is None else text.format_map(_parts(closing, _last(story), given))


def of_contact(reason: Reason, read_at: datetime, given: Given) -> str:
    """Say what speaks against a contact that has no closing, as the part of a sentence."""
    parts = {"read": times.moment(read_at, given.zone), "opt_out": given.opt_out}
    return WHY[reason].format_map(parts)


def _sentence(closing: Closing, last: Step | None, given: Given) -> str:
    match closing.state:
        case State.PENDING:
            return _waits(closing, given)
        case State.SENDING:
            return (
                "On its way to Broadly since {claimed}: a run is at work on it, or was cut short, "
                "and then the next run settles it."
            )
        case State.SENT if last is not None and last.answer == Outcome.DUPLICATE.value:
            return "Handed over to Broadly: it said on {changed} that it had this closing already."
        case State.SENT:
            return "Handed over to Broadly on {claimed}: it took the client."
        case State.SKIPPED:
            return _skipped(closing)
        case State.DEAD if closing.reason is Reason.RETRY:
            return (
                "Not handed over: Broadly put it off in {most} runs, and it was given up on "
                "{changed}."
            )
        case State.DEAD:
            return "Not handed over: Broadly rejected it on {changed}{code}."
        case State.HELD:
            return _held(closing)


def _waits(closing: Closing, given: Given) -> str:
    if closing.reason is Reason.UNKNOWN_OUTCOME:
        return _in_doubt(closing, given)
    if closing.resent:
        return (
            "Not handed over yet: a person sent it again on {changed}, and the next `sync` reads "
            "it again and decides."
        )
    if closing.reason is not None:
        return f"Not handed over yet: {WHY[closing.reason]}."
    if closing.command is Command.BACKFILL:
        return "Not handed over yet: the `backfill` that it belongs to did not come to its end."
    return (
        "Not handed over yet: nothing speaks against it, and the next `sync` reads it again and "
        "hands it over."
    )


def _in_doubt(closing: Closing, given: Given) -> str:
    begins = "Perhaps handed over: Broadly's answer was lost"
    if closing.resent:
        return (
            f"{begins}, a person sent it again on {{changed}}, and the next `sync` reads it again "
            "and decides."
        )
    if given.policy.dedupes:
        return (
            f"{begins} on {{changed}}; the next run asks again, which Broadly recognises "
            "({tries} of {most} runs so far)."
        )
    return f"{begins} on {{changed}}; the next run holds it back for a person to decide."


def _skipped(closing: Closing) -> str:
    reason = closing.reason
    if reason is None:
        return "Not handed over: it was passed over on {changed}."
    if reason is Reason.SUPPRESSED:
        return f"Not asked: {WHY[reason]}."
    if reason is Reason.DROPPED and closing.marked:
        return (
            f"Perhaps handed over: Broadly's answer was lost, and {WHY[reason]}, so it is not sent "
            "again."
        )
    too_old = ", and by then it was too old (SYNC_MAX_AGE_DAYS)" if reason in FAULTS else ""
    return f"Not handed over: {WHY[reason]}{too_old}."


def _held(closing: Closing) -> str:
    reason = closing.reason
    if reason is None or reason is Reason.UNKNOWN_OUTCOME:
        return (
            "Perhaps handed over: Broadly's answer was lost (noted on {changed}), so it is not "
            "sent again by itself."
        )
    return (
        "Perhaps handed over, for Broadly's answer was lost; and it is not sent again, because "
        f"{WHY[reason]}."
    )


def _helps(closing: Closing, given: Given) -> str | None:
    out = f"`{PROGRAM} outbox drop {{matter}}`"
    again = f"`{PROGRAM} outbox resend {{matter}}`"
    match closing.state:
        case State.PENDING if closing.command is Command.BACKFILL:
            return f"Run the same `backfill` again: {{backfill}} Or take it out: {out}."
        case State.PENDING:
            return BY_ITSELF.get(closing.reason) if closing.reason else None
        case State.SKIPPED:
            return _helps_skipped(closing, given)
        case State.DEAD:
            return f"Put the client right in Clio, then {again}; or let it go: {out}."
        case State.HELD if closing.reason not in (None, Reason.UNKNOWN_OUTCOME):
            return f"If that is how it is to stay: {out}; if it has changed in Clio: {again}."
        case State.HELD:
            return (
                f"Ask Broadly whether it has this client. If not: {again} (the client may be asked "
                f"twice); if so: {out}."
            )
    return None


def _helps_skipped(closing: Closing, given: Given) -> str | None:
    if closing.reason is None:
        return None
    text = HELPS.get(closing.reason)
    if text is not None and "anew" in text and closing.rule is not given.policy.rule:
        return "It was decided under SYNC_RULE={rule}; to decide it anew: {backfill}"
    return text


def _last(story: Story) -> Step | None:
    return story.steps[-1] if story.steps else None


def _parts(closing: Closing, last: Step | None, given: Given) -> dict[str, object]:
    """Return what the sentences may name, by the word in braces."""
    policy, zone = given.policy, given.zone
    changed = last.at if last is not None else closing.read_at
    settled = closing.noticed_at + timedelta(hours=policy.settle_hours)
    return {
        "read": times.moment(closing.read_at, zone),
        "changed": times.moment(changed, zone),
        "latest": times.moment(max(changed, closing.read_at), zone),
        "claimed": times.moment(closing.claimed_at or changed, zone),
        "settled": times.moment(settled, zone),
        "closed_on": times.day(closing.key.closed_on),
        "start_day": times.day(policy.start_day),
        "opt_out": given.opt_out,
        "opt_in": given.opt_in,
        "max_age": policy.max_age_days,
        "reask": policy.reask_days,
        "max_new": policy.max_new,
        "rule": closing.rule,
        "matter": closing.key.matter_id,
        "tries": closing.tries,
        "most": rules.MAX_TRIES,
        "code": f" (its code: {last.answer})" if last is not None and last.answer else "",
        "backfill": _backfill(closing.key.closed_on),
    }


def left_to_backfill(closed_on: date | None) -> str:
    return f"To hand it over all the same: {_backfill(closed_on)}"


def _backfill(on: date | None) -> str:
    """Return the command for just this day; a closing without a date has none to ask for."""
    dates = "--from DATE --to DATE" if on is None else f"--from {on} --to {on}"
    return f"`{PROGRAM} backfill {dates}`."
