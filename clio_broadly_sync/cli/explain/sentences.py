"""What became of a closing, said in one sentence to a person who has never seen this program.

Nothing is asked of anybody here: what is said depends only on the closing, its changes, those of
related closings, and the settings. There is a sentence for every state and every reason, and for
most of them another one that says what can be done. The words for the reasons are in
`domain/reasons.py`.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Final

from clio_broadly_sync.cli import app, output
from clio_broadly_sync.cli.output import PROGRAM
from clio_broadly_sync.domain import lifecycle, rules
from clio_broadly_sync.domain.about import About, OfCause
from clio_broadly_sync.domain.consent import Channels, Untouched
from clio_broadly_sync.domain.model import Closing, Command, Outcome, Policy, Profile
from clio_broadly_sync.domain.reasons import (
    ABOUT,
    FAULTS,
    LOOKED_AT_DAILY,
    NO_TEXTS,
    OF_CONTACT,
    TOLD,
    UNTOUCHED,
    Reason,
)
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.settings import Settings
from clio_broadly_sync.store import Store
from clio_broadly_sync.store.history import Step, Story


@dataclass(frozen=True, slots=True)
class Given:
    """What the sentences need, beside the closing."""

    policy: Policy
    """The policy of `sync`."""
    opt_out: str
    """The name of the contact's checkbox."""
    opt_in: str
    """The name of the matter's checkbox."""
    zone: tzinfo | None
    """The firm's zone, in which moments are shown; None stands for this machine's."""
    today: date
    """Today's date in the firm's zone."""
    opens: datetime
    """From when on somebody may be sent by the sending hours, which may be now (aware UTC)."""
    at_work: str | None = None
    """The command of the run that is at work; None where none is."""
    text: str = "SYNC_TEXT_FIELD"
    """The name of the contact's checkbox that allows text messages; where none is read, that of its
    setting."""


def given(settings: Settings, store: Store, now: datetime) -> Given:
    """Return what the sentences need at that moment (aware UTC)."""
    zone, policy = app.firm_zone(settings, store), app.policy(settings, Command.SYNC, store)
    return Given(
        policy=policy,
        opt_out=settings.sync_opt_out_field,
        opt_in=settings.sync_opt_in_field,
        zone=zone,
        today=now.astimezone(zone).date(),
        opens=policy.hours.next_open(now, zone),
        at_work=store.at_work,
        text=settings.sync_text_field or "SYNC_TEXT_FIELD",
    )


_CHANNELS: Final = {
    Channels.EMAIL: "e-mail",
    Channels.PHONE: "phone",
    Channels.BOTH: "e-mail and phone",
}


def sentence(story: Story, given: Given) -> str:
    """Return the sentence that says what became of the closing."""
    parts = _parts(story.closing, _last(story), given)
    return _sentence(story, given).format_map(parts)


def helps(story: Story, given: Given, *, is_noticed: bool = True) -> str | None:
    """Return a sentence that says what a person can do; None where there is nothing to do.

    `is_noticed` says whether the closing is in the ledger, or will be: no daily look sees another.
    """
    closing = story.closing
    text = _helps(closing, given)
    if not is_noticed and closing.reason in LOOKED_AT_DAILY:
        text = _about(closing.reason, closing.cause).out_of_sync
    return None if text is None else text.format_map(_parts(closing, _last(story), given))


def why(story: Story, given: Given) -> str | None:
    """Return the end of a sentence that says why it waits or is not sent; None without a reason."""
    closing = story.closing
    if closing.reason is None:
        return None
    parts = _parts(closing, _last(story), given)
    return _about(closing.reason, closing.cause).why.format_map(parts)


def channels(closing: Closing) -> str | None:
    """Return words that name what of the client was sent; None where it was not noted.

    They never hold the values.
    """
    if closing.channels is None or not (closing.state is State.SENT or closing.in_doubt):
        return None
    sent = "sent" if closing.state is State.SENT else "perhaps sent"
    return f"{sent}: {_CHANNELS[closing.channels]}"


def of_contact(reason: Reason, cause: str | None, read_at: datetime, given: Given) -> str:
    """Return the part of a sentence that says what speaks against a contact without a closing.

    `read_at` is when Clio was asked for the contact (aware UTC).
    """
    parts = {"read": output.moment(read_at, given.zone)}
    parts |= {"opt_out": given.opt_out, "text": given.text}
    return _about(reason, cause).why.format_map(parts)


def _sentence(story: Story, given: Given) -> str:
    closing, last = story.closing, _last(story)
    match closing.state:
        case State.PENDING:
            return _waits(closing, given)
        case State.SENDING:
            if given.at_work is not None:
                return "On its way to Broadly since {claimed}: a run is at work on it."
            return (
                "Perhaps sent: it was on its way to Broadly on {claimed} when a run was cut short; "
                "the next run finds out."
            )
        case State.SENT if last is not None and last.answer == Outcome.DUPLICATE.value:
            return "Sent to Broadly before: on {changed} it said that it had this client already."
        case State.SENT:
            return "Sent to Broadly on {claimed}; accepted."
        case State.SKIPPED:
            return _skipped(story)
        case State.DEAD if closing.reason is Reason.RETRY:
            return "Not sent: Broadly put it off {most} times, and it was given up on {changed}."
        case State.DEAD:
            return "Rejected by Broadly on {changed}{code}."
        case State.HELD:
            return _held(closing)


def _waits(closing: Closing, given: Given) -> str:
    if closing.reason is Reason.UNKNOWN_OUTCOME:
        return _in_doubt(closing, given)
    if closing.resent and closing.reason not in TOLD:
        return (
            "Not sent yet: a person asked on {changed} to send it again; the next `sync` reads it "
            "in Clio again and decides."
        )
    if closing.reason is not None:
        return f"Not sent yet: {_about(closing.reason, closing.cause).why}."
    if _may_be_taken(closing, given):
        return "Not sent yet: a `backfill` is at work, and may still take it."
    if closing.command is Command.BACKFILL:
        return (
            "Not sent yet: a `backfill` or `sync --matter` left it (it was stopped, had its "
            "--limit, or nobody said yes), and `sync` does not take it up."
        )
    return (
        "Not sent yet: nothing speaks against it; the next `sync` reads it in Clio again and sends "
        "it."
    )


def _in_doubt(closing: Closing, given: Given) -> str:
    begins = "Perhaps sent: Broadly's answer was lost"
    if closing.resent:
        return (
            f"{begins}, a person asked on {{changed}} to send it again, and the next `sync` reads "
            "it in Clio again and decides."
        )
    if given.policy.dedupes:
        return (
            f"{begins} on {{changed}}; the next run asks again, which Broadly recognises "
            "(try {tries} of {most})."
        )
    return f"{begins} on {{changed}}; the next run holds it back for a person to decide."


def _may_be_taken(closing: Closing, given: Given) -> bool:
    """Tell whether it waits for a backfill while one is at work."""
    return closing.command is Command.BACKFILL and given.at_work == Command.BACKFILL


def _skipped(story: Story) -> str:
    closing, reason = story.closing, story.closing.reason
    if reason is None:
        return "Not sent: it was left out on {changed}."
    why = _about(reason, closing.cause).why
    if reason is Reason.SUPPRESSED:
        return f"Not asked: {why}."
    if reason is Reason.DROPPED and closing.in_doubt:
        return f"Perhaps sent: Broadly's answer was lost, and {why}, so it is not sent again."
    # Before version 5 of the tables, what had no close date was skipped at once.
    waited = any(step.state is State.PENDING and step.reason is reason for step in story.steps)
    grew_old = reason in FAULTS and (waited or reason is not Reason.NO_CLOSE_DATE)
    too_old = ", and by then it was too old (SYNC_MAX_AGE_DAYS)" if grew_old else ""
    return f"Not sent: {why}{too_old}."


def _held(closing: Closing) -> str:
    reason = closing.reason
    if reason is None or reason is Reason.UNKNOWN_OUTCOME:
        return (
            "Perhaps sent: Broadly's answer was lost (noted on {changed}), so it is not "
            "sent again by itself."
        )
    return (
        "Perhaps sent: Broadly's answer was lost, and it is not sent again, because "
        f"{_about(reason, closing.cause).why}."
    )


def _about(reason: Reason, cause: str | None) -> About | OfCause:
    """Return what is said of the reason, or of its cause where there is more to say of that.

    What counts of a cause is what stands before an id, which is all of it where it names none.
    """
    about = ABOUT[reason]
    return about.by_cause.get("".join((cause or "").partition(":")[:2]), about)


def _helps(closing: Closing, given: Given) -> str | None:
    out = f"`{PROGRAM} outbox drop {{matter}}`"
    again = f"`{PROGRAM} outbox resend {{matter}}`"
    match closing.state:
        case State.PENDING if _may_be_taken(closing, given):
            return None
        case State.PENDING if closing.command is Command.BACKFILL:
            return f"To go on with it: {{anew}} Or leave it out: {out}."
        case State.PENDING:
            return ABOUT[closing.reason].helps_waiting if closing.reason else None
        case State.SKIPPED:
            return _helps_skipped(closing, given)
        case State.DEAD:
            return (
                f"Correct the client's e-mail or phone in Clio, then {again}; or leave it out: "
                f"{out}."
            )
        case State.HELD if closing.reason not in (None, Reason.UNKNOWN_OUTCOME):
            return f"If that is how it is to stay: {out}; if it has changed in Clio: {again}."
        case State.HELD:
            return (
                f"Ask Broadly whether it has this client. If not: {again} (the client may be asked "
                f"twice); if so: {out}."
            )
    return None


def _helps_skipped(closing: Closing, given: Given) -> str | None:
    reason = closing.reason
    if reason is None:
        return None
    if reason is Reason.NOT_OPTED_IN and not given.policy.rule.needs_opt_in:
        return "It was decided under SYNC_RULE={rule}; to decide it anew: {anew}"
    if closing.cause == UNTOUCHED and given.policy.untouched is Untouched.SEND:
        return "It was decided under SYNC_OPT_IN_UNTOUCHED=skip; to decide it anew: {anew}"
    if closing.cause == NO_TEXTS and not given.policy.text_box:
        return "It was decided while SYNC_TEXT_FIELD was set; to decide it anew: {anew}"
    about = _about(reason, closing.cause)
    if about.out_of_sync and _is_out_of_sync(closing, given):
        return about.out_of_sync
    return about.helps


def _is_out_of_sync(closing: Closing, given: Given) -> bool:
    """Tell whether `sync` leaves the closing alone because of the rule of then, or of its date.

    Before the first run, that holds for every date.
    """
    policy, closed_on = given.policy, closing.key.closed_on
    if policy.start_day is None or not lifecycle.is_by_these_rules(closing, policy):
        return True
    if closed_on is None:
        return closing.reason in LOOKED_AT_DAILY
    too_old = rules.is_too_old(closed_on, policy, given.today)
    return too_old or rules.is_before_start(closed_on, policy)


def _last(story: Story) -> Step | None:
    return story.steps[-1] if story.steps else None


def _parts(closing: Closing, last: Step | None, given: Given) -> dict[str, object]:
    """Return what the sentences may name, by the word that stands for it in braces."""
    policy, zone = given.policy, given.zone
    changed = last.at if last is not None else closing.read_at
    settled = closing.noticed_at + timedelta(hours=policy.settle_hours)
    return {
        "read": output.moment(closing.read_at, zone),
        "changed": output.moment(changed, zone),
        "latest": output.moment(max(changed, closing.read_at), zone),
        "claimed": output.moment(closing.claimed_at or changed, zone),
        "settled": output.moment(settled, zone),
        "opens": output.moment(given.opens, zone),
        "closed_on": output.day(closing.key.closed_on),
        "start_day": output.day(policy.start_day),
        "opt_out": given.opt_out,
        "opt_in": given.opt_in,
        "text": given.text,
        "other": (closing.cause or "").removeprefix(OF_CONTACT),
        "max_age": policy.max_age_days,
        "reask": policy.reask_days,
        "max_new": policy.max_new,
        "rule": closing.rule,
        "matter": closing.key.matter_id,
        "tries": closing.tries,
        "most": lifecycle.MAX_TRIES,
        "code": f" (its code: {last.answer})" if last is not None and last.answer else "",
        "anew": anew(closing, given),
    }


def unnoticed(closing: Closing, given: Given) -> str:
    """Return a sentence with the command for a closing that no `sync` will notice."""
    return f"To send it all the same: {anew(closing, given)}"


def anew(closing: Closing, given: Given) -> str:
    """Return the command that decides on its matter anew, with a full stop."""
    file = " --csv FILE" if given.policy.profile is Profile.CSV else ""
    return f"`{PROGRAM} sync --matter {closing.key.matter_id}{file}`."
