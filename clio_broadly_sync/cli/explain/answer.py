"""An explanation as lines for a person, and as JSON, which never holds a name.

The sentences about a closing are made in `cli/explain/sentences.py`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any, Final, NamedTuple

from clio_broadly_sync.cli import output
from clio_broadly_sync.cli.app import Call
from clio_broadly_sync.cli.explain import sentences
from clio_broadly_sync.cli.output import batch_of
from clio_broadly_sync.domain.errors import shown
from clio_broadly_sync.domain.model import Decision
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.store.history import Step, Story

STATES: Final = {
    State.PENDING: "waiting",
    State.SENDING: "on its way to Broadly",
    State.SENT: "sent",
    State.SKIPPED: "not sent",
    State.DEAD: "rejected",
    State.HELD: "held",
}
"""The words for the states in the list of changes."""


@dataclass(frozen=True, slots=True)
class Told:
    """The answer about one closing, or about a matter or contact that has none."""

    says: str
    """What became of it, in one sentence."""
    more: tuple[str, ...] = ()
    """What can be done about it, and what else there is to know, in sentences."""
    story: Story | None = None
    """The closing with its changes; None where there is no closing."""
    now: Decision | None = None
    """What would be decided by Clio as it is now; None unless it waits, and where Clio was not
    asked."""
    opted_out: bool | None = None
    """Whether the client of a closing that was sent has opted out since; None where that is not
    known."""


@dataclass(frozen=True, slots=True, repr=False)
class Names:
    """The names from Clio, which only a terminal may show."""

    number: str | None = None
    """The matter's display number; None where it is not known."""
    clients: Mapping[int, str | None] = field(default_factory=dict)
    """The name of each contact, by the contact's id; None where Clio shows none."""
    missing: str | None = None
    """The message of the error because of which there are no names; None where there was none."""


class Explanation(NamedTuple):
    """The whole answer."""

    told: list[Told]
    """The answers about the closings, the latest first; there is at least one."""
    matter_id: int | None
    """The matter that was asked for; None where it was a contact, or is not known."""
    contact_id: int | None
    """The contact that was asked for; None where it was a matter."""
    known: bool
    """Whether the ledger knows it. If not, Clio was asked, unless with `--offline`."""
    names: Names = Names()
    zone: tzinfo | None = None
    """The firm's zone, in which moments are shown; None stands for this machine's."""
    opt_in: str = ""
    """The name of the matter's checkbox."""


def lines_of(answer: Explanation) -> Iterator[str]:
    """Yield of each closing the sentence first, then what helps, then how it came to that.

    The changes are left out where a contact was asked for.
    """
    for number, told in enumerate(answer.told):
        if number:
            yield ""
        yield told.says
        yield from told.more
        if about := _about(answer, told):
            yield f"  {about}"
        if told.story is not None and answer.contact_id is None:
            for step in told.story.steps:
                yield f"  {change(step, answer.zone, answer.opt_in)}"
    if answer.names.missing is not None:
        yield f"No name is shown: {answer.names.missing}"


def object_of(found: Iterator[Explanation], call: Call) -> Iterator[tuple[str, Any]]:
    """Yield what `--json` says; where there is no answer, that is no more than the outcome."""
    answer = next(iter([*found]), None)
    told = answer.told if answer is not None else []
    yield "outcome", call.outcome
    yield "matter_id", answer and answer.matter_id
    yield "contact_id", answer and answer.contact_id
    yield "in_ledger", answer and answer.known
    yield "says", told[0].says if told else None
    yield "closings", [_closing(one, one.story) for one in told if one.story is not None]
    yield "more", [text for one in told if one.story is None for text in one.more]


def _about(answer: Explanation, told: Told) -> str:
    """Return words that name matter, client, close date and what was sent, as far as is known."""
    closing = told.story.closing if told.story is not None else None
    matter_id = closing.key.matter_id if closing is not None else answer.matter_id
    contact_id = closing.contact_id if closing is not None else answer.contact_id
    parts = []
    if matter_id is not None:
        parts.append(f"matter {matter_id}" + _in_brackets(answer.names.number))
    if contact_id is not None:
        parts.append(f"client {contact_id}" + _in_brackets(answer.names.clients.get(contact_id)))
    if closing is not None and closing.key.closed_on is not None:
        parts.append(f"close date {output.day(closing.key.closed_on)}")
    if closing is not None and (channels := sentences.channels(closing)) is not None:
        parts.append(channels)
    return ", ".join(parts)


def _in_brackets(text: str | None) -> str:
    return f" ({shown(text)})" if text else ""


def change(step: Step, zone: tzinfo | None, opt_in: str) -> str:
    """Return a line about one change: when, in which run, from what to what, and why."""
    run = f"run {step.run}" + (f" ({step.command})" if step.command else "")
    before = "noticed" if step.before is None else STATES[step.before]
    same = step.before is step.state
    change = STATES[step.state] if same else f"{before} → {STATES[step.state]}"
    if same and step.reason is None:
        change += ", held back no longer"
    details = [
        f": {step.reason.named(opt_in)}" if step.reason is not None else "",
        f" ({_in_words(step.cause)})" if step.cause is not None else "",
        f", batch {batch_of(step.run, step.batch)}" if step.batch is not None else "",
        f", Broadly's answer: {step.answer}" if step.answer is not None else "",
    ]
    return f"{output.moment(step.at, zone):<18}  {run}: {change}{''.join(details)}"


def _in_words(cause: str) -> str:
    """Return a cause such as `http_503` or `contact:1207` for a person."""
    return cause.replace("_", " ").replace(":", " ")


def _closing(told: Told, story: Story) -> dict[str, Any]:
    closing = story.closing
    return {
        "matter_id": closing.key.matter_id,
        "contact_id": closing.contact_id,
        "closed_on": closing.key.closed_on,
        "state": closing.state,
        "reason": closing.reason,
        "cause": closing.cause,
        "says": told.says,
        "more": told.more,
        "now": told.now and {"decision": told.now.verdict, "reason": told.now.reason},
        "opted_out_since": told.opted_out,
        "command": closing.command,
        "noticed_at": closing.noticed_at,
        "read_at": closing.read_at,
        "batch": batch_of(closing.claimed_in_run, closing.batch),
        "channels": None if closing.channels is None else closing.channels.split(","),
        "changes": [step_object(step) for step in story.steps],
    }


def step_object(step: Step) -> dict[str, Any]:
    return {
        "at": step.at,
        "run": step.run,
        "command": step.command,
        "from": step.before,
        "to": step.state,
        "reason": step.reason,
        "batch": batch_of(step.run, step.batch),
        "answer": step.answer,
        "cause": step.cause,
    }
