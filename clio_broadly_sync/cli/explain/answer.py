"""An explanation as lines for a person, and as JSON, which never holds a name."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any, Final, NamedTuple

from clio_broadly_sync.cli import output
from clio_broadly_sync.cli.output import batch_of
from clio_broadly_sync.domain.errors import shown
from clio_broadly_sync.domain.reasons import State
from clio_broadly_sync.store.history import Step, Story

STATES: Final = {
    State.PENDING: "waiting",
    State.SENDING: "on its way to Broadly",
    State.SENT: "handed over",
    State.SKIPPED: "not handed over",
    State.DEAD: "dead letter",
    State.HELD: "held",
}


@dataclass(frozen=True, slots=True)
class Told:
    """The answer about one closing, or about what has none (`story` None)."""

    says: str
    more: tuple[str, ...] = ()
    story: Story | None = None


class Explanation(NamedTuple):
    """The whole answer, the latest closing first; `told` is never empty.

    `known`: the ledger knew it; what it does not know was asked of Clio, or not (`--offline`).
    """

    told: list[Told]
    matter_id: int | None
    contact_id: int | None
    known: bool


@dataclass(frozen=True, slots=True, repr=False)
class Names:
    """What a terminal may show: the matter's display number, names by contact; or why not."""

    number: str | None = None
    clients: Mapping[int, str | None] = field(default_factory=dict)
    missing: str | None = None


def lines_of(answer: Explanation, names: Names, zone: tzinfo | None) -> Iterator[str]:
    """Yield the sentence first, then what helps, then how it came to that."""
    for number, told in enumerate(answer.told):
        if number:
            yield ""
        yield told.says
        yield from told.more
        if about := _about(answer, told, names):
            yield f"  {about}"
        if told.story is not None and answer.contact_id is None:
            for step in told.story.steps:
                yield f"  {_change(step, zone)}"
    if names.missing is not None:
        yield f"No name is shown: {names.missing}"


def object_of(answer: Explanation | None, outcome: str) -> dict[str, Any]:
    """Return the JSON object; an answer that failed is empty."""
    told = answer.told if answer is not None else []
    return {
        "command": "explain",
        "outcome": outcome,
        "matter_id": answer and answer.matter_id,
        "contact_id": answer and answer.contact_id,
        "in_ledger": answer and answer.known,
        "says": told[0].says if told else None,
        "closings": [_closing(one, one.story) for one in told if one.story is not None],
        "more": [text for one in told if one.story is None for text in one.more],
    }


def _about(answer: Explanation, told: Told, names: Names) -> str:
    """Say which matter and client it is; names where there are any."""
    closing = told.story.closing if told.story is not None else None
    matter_id = closing.key.matter_id if closing is not None else answer.matter_id
    contact_id = closing.contact_id if closing is not None else answer.contact_id
    parts = []
    if matter_id is not None:
        parts.append(f"matter {matter_id}" + _in_brackets(names.number))
    if contact_id is not None:
        parts.append(f"client {contact_id}" + _in_brackets(names.clients.get(contact_id)))
    if closing is not None and closing.key.closed_on is not None:
        parts.append(f"close date {output.day(closing.key.closed_on)}")
    return ", ".join(parts)


def _in_brackets(text: str | None) -> str:
    return f" ({shown(text)})" if text else ""


def _change(step: Step, zone: tzinfo | None) -> str:
    """Say one change: when, in which run, from what to what, and why."""
    run = f"run {step.run}" + (f" ({step.command})" if step.command else "")
    before = "noticed" if step.before is None else STATES[step.before]
    same = step.before is step.state
    change = STATES[step.state] if same else f"{before} → {STATES[step.state]}"
    details = [
        f": {step.reason}" if step.reason is not None else "",
        f" ({step.cause})" if step.cause is not None else "",
        f", batch {batch_of(step.run, step.batch)}" if step.batch is not None else "",
        f", Broadly's answer: {step.answer}" if step.answer is not None else "",
    ]
    return f"{output.moment(step.at, zone):<18}  {run}: {change}{''.join(details)}"


def _closing(told: Told, story: Story) -> dict[str, Any]:
    closing = story.closing
    return {
        "matter_id": closing.key.matter_id,
        "contact_id": closing.contact_id,
        "closed_on": closing.key.closed_on and closing.key.closed_on.isoformat(),
        "state": closing.state,
        "reason": closing.reason,
        "cause": closing.cause,
        "says": told.says,
        "more": list(told.more),
        "command": closing.command,
        "noticed_at": output.iso(closing.noticed_at),
        "read_at": output.iso(closing.read_at),
        "batch": batch_of(closing.claimed_in_run, closing.batch),
        "changes": [_step(step) for step in story.steps],
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "at": output.iso(step.at),
        "run": step.run,
        "command": step.command,
        "from": step.before,
        "to": step.state,
        "reason": step.reason,
        "batch": batch_of(step.run, step.batch),
        "answer": step.answer,
        "cause": step.cause,
    }
