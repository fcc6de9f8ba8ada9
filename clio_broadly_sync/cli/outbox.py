"""What `outbox resend` and `outbox drop` do: say how many, ask, change all of them or none."""

import json
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, NoReturn

import click

from clio_broadly_sync.cli import app, asking
from clio_broadly_sync.cli.options import Options
from clio_broadly_sync.cli.outbox_listing import SHOWN
from clio_broadly_sync.cli.terminal import say
from clio_broadly_sync.domain import lifecycle
from clio_broadly_sync.domain.errors import ATTENTION, OK, StoppedError, SyncError, outcome_of
from clio_broadly_sync.domain.model import Closing
from clio_broadly_sync.domain.reasons import State
from clio_broadly_sync.settings import Settings
from clio_broadly_sync.store import Selection, Store
from clio_broadly_sync.transport.signals import Stop

Counts = Counter[State]
"""How many of the chosen rows there are in each state."""


@dataclass(frozen=True, slots=True)
class Change:
    """A way to put right the rows in these states."""

    name: str
    states: frozenset[State]
    after: Callable[[Closing], Closing]
    foretold: Callable[[Counts, bool], Iterator[str]]
    question: str
    done: str


def _resend_foretold(counts: Counts, dedupes: bool) -> Iterator[str]:
    held, dead = counts[State.HELD], counts[State.DEAD]
    if held + dead:
        number = " and ".join([f"{held} held"] * bool(held) + [f"{dead} dead"] * bool(dead))
        yield (
            f"To be sent again: {number}. The next `sync` reads each in Clio again and decides "
            "again: an opt-out still wins."
        )
    if held:
        twice = (
            "Broadly should refuse the second time, as BROADLY_DEDUPES says"
            if dedupes
            else "Broadly may ask them a second time"
        )
        yield f"Whoever is held may already have been asked. {twice}."
    if waiting := counts[State.PENDING]:
        yield (
            f"Left alone: {waiting} waiting. What waits goes by itself; after a surge with "
            "`sync --yes`, and what a backfill left with that `backfill`."
        )


def _drop_foretold(counts: Counts, dedupes: bool) -> Iterator[str]:
    if counts.total():
        number = ", ".join(f"{counts[s]} {word}" for s, word in SHOWN.items() if counts[s])
        yield (
            f"To be dropped for good: {number}. These clients are not asked for these closings, "
            "whatever is edited or backfilled later."
        )
    if counts[State.HELD]:
        yield "Whoever is held may already have been asked, and counts as asked from now on."


RESEND: Final = Change(
    name="resend",
    states=frozenset({State.HELD, State.DEAD}),
    after=lifecycle.resent,
    foretold=_resend_foretold,
    question="Send them again?",
    done="will be sent again by the next `sync`.",
)
DROP: Final = Change(
    name="drop",
    states=frozenset(SHOWN),
    after=lifecycle.dropped,
    foretold=_drop_foretold,
    question="Drop them for good?",
    done="dropped for good.",
)


_THERE: Final = frozenset({*SHOWN, State.SENDING})
"""What a run that was cut short left as sending comes back to the outbox when this one begins."""
_UNSEEN: Final = (
    "Nothing was changed, because a `--yes` from before cannot have meant them. Look at them "
    "(`outbox list --state held`), and run this again."
)


def carry_out(
    options: Options, change: Change, chosen: Selection, *, as_json: bool, asks: bool
) -> NoReturn:
    """Change what was chosen; exit with the code of what happened."""
    stop = app.stop_on_signals()
    task = _Task(change, chosen, stop, asks=asks, as_json=as_json)
    try:
        settings = app.settings_of(options)
        with app.opened(settings, writes=True) as store:
            code = task.carry_out(settings, store)
    except SyncError as error:
        code = app.fail(error)
        task.print(code, None)
    sys.exit(code)


def _check_there(store: Store, matters: Sequence[int]) -> None:
    """Whoever mistyped one of several ids means to change another one, which would be left."""
    known = store.ledger.known(matters)
    there = {m for m, closings in known.items() if any(c.state in _THERE for c in closings)}
    if absent := [str(matter) for matter in dict.fromkeys(matters) if matter not in there]:
        raise click.UsageError(
            f"Not in the outbox: {', '.join(absent)}. Nothing was changed; "
            "`clio-broadly-sync outbox list` shows what is there."
        )


class _Task:
    """One call of `resend` or `drop`."""

    def __init__(
        self, change: Change, chosen: Selection, stop: Stop, *, asks: bool, as_json: bool
    ) -> None:
        self._change = change
        self._chosen = chosen
        self._stop = stop
        self._asks = asks
        self._as_json = as_json
        self._counts: Counts = Counter()
        self._changed = 0

    def carry_out(self, settings: Settings, store: Store) -> int:
        """Put right first what an earlier run left, then what was chosen; return the exit code.

        Raise UsageError, and change nothing, where a matter that was named is not there.
        """
        _check_there(store, self._chosen.matters)
        store.begin_run("outbox", uuid.uuid4().hex, app.now())
        try:
            held = self._recover(store, settings.broadly_dedupes)
            self._counts = store.outbox.count(self._chosen)
            if held and self._change is RESEND and not self._asks:
                self._say(_UNSEEN)
            elif self._agreed(settings.broadly_dedupes):
                mine = replace(self._chosen, states=self._chosen.states & self._change.states)
                self._changed = store.outbox.change(mine, self._change.after, app.now())
            code = ATTENTION if held else OK
        except StoppedError as error:
            code = app.fail(error)
        store.finish_run(code, app.now())
        self.print(code, store)
        return code

    def print(self, code: int, store: Store | None) -> None:
        """Print the result for a person, or as one object."""
        if self._as_json:
            for piece in self._json(code, store):
                click.echo(piece, nl=False)
        elif self._changed:
            click.echo(f"{self._changed} {self._change.done}")

    def _json(self, code: int, store: Store | None) -> Iterator[str]:
        """Yield the object in pieces: the closings may be many."""
        figures = {
            "command": f"outbox {self._change.name}",
            "outcome": outcome_of(code),
            "found": {word: self._counts[state] for state, word in SHOWN.items()},
            "changed": self._changed,
        }
        yield json.dumps(figures).removesuffix("}") + ', "closings": ['
        keys = store.outbox.changed() if store is not None and self._changed else ()
        for number, key in enumerate(keys):
            entry = {"matter_id": key.matter_id, "closed_on": key.closed_on and str(key.closed_on)}
            yield (", " if number else "") + json.dumps(entry)
        yield "]}\n"

    def _recover(self, store: Store, dedupes: bool) -> int:
        """Return how many became held: a run had handed them over when it was cut short."""
        left = store.ledger.recover(partial(lifecycle.recovered, dedupes=dedupes), app.now())
        held = sum(closing.state is State.HELD for closing in left)
        if held:
            self._say(
                f"{held} became held just now: a run was cut short while Broadly had them, so "
                "these clients may already have been asked."
            )
        return held

    def _agreed(self, dedupes: bool) -> bool:
        """Say what is about to happen and ask; False where there is nothing to do, or a no."""
        for line in self._change.foretold(self._counts, dedupes):
            self._say(line)
        if not any(self._counts[state] for state in self._change.states):
            fits = self._counts.total() > 0
            self._say("Nothing was changed" + ("." if fits else ": nothing in the outbox fits."))
            return False
        agreed = not self._asks
        with suppress(click.Abort), asking.patience(self._stop):  # no answer is a no
            agreed = agreed or click.confirm(self._change.question, err=True)
        if not agreed:
            self._say("Nothing was changed.")
        return agreed

    def _say(self, line: str) -> None:
        """Say it where the question is asked; stdout may be a file."""
        say(line, err=self._as_json or self._asks)
