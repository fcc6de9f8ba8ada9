"""`outbox`: what waits, is held or was rejected; a person lists it, sends it again or drops it."""

import sys
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NoReturn

import click

from clio_broadly_sync.cli import app, outbox_list, output
from clio_broadly_sync.cli.options import (
    SPOKEN,
    STATES,
    Options,
    changing_rows,
    choosing_rows,
    json_option,
    names_option,
    of_a_firm,
)
from clio_broadly_sync.cli.outbox_list import CODES
from clio_broadly_sync.cli.output import say
from clio_broadly_sync.domain import lifecycle
from clio_broadly_sync.domain.errors import ATTENTION, OK, StoppedError
from clio_broadly_sync.domain.model import Closing, Command
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.settings import Settings
from clio_broadly_sync.store import Selection, Store


@click.group()
def outbox() -> None:
    """List, send again or leave out what waits, is held, or was rejected.

    waiting: goes by itself, or once a person says yes (surge). held: may already have been asked,
    so it does not go by itself. rejected: by Broadly, or put off ten times.

    Example: clio-broadly-sync outbox list
    """


@outbox.command("list")
@choosing_rows
@names_option
@json_option
@of_a_firm
def list_(options: Options, names: bool, as_json: bool, **chosen: Any) -> None:
    """Show what is in the outbox, and why. Nothing is changed.

    Example: clio-broadly-sync outbox list --state held
    """
    if names:
        from clio_broadly_sync.cli.names import check_usage

        check_usage(as_json=as_json)
    find = partial(outbox_list.find, options, _selection(**chosen), names)
    app.carry_out(find, str, outbox_list.object_of, as_json=as_json)


@outbox.command()
@changing_rows
def resend(options: Options, as_json: bool, yes: bool, everything: bool, **chosen: Any) -> None:
    """Let the next `sync` send held and rejected ones again.

    Each is read in Clio again and decided again before it goes: an opt-out still wins. A held one
    may already have been asked, and Broadly may ask that client twice.

    Example: clio-broadly-sync outbox resend 1234567
    """
    _check(chosen, everything=everything, asks=not yes)
    _change(options, RESEND, _selection(**chosen), as_json=as_json, asks=not yes)


@outbox.command(short_help="Leave them out for good.")
@changing_rows
def drop(options: Options, as_json: bool, yes: bool, everything: bool, **chosen: Any) -> None:
    """Leave out for good: these clients are not asked for these closed matters.

    A held one that is dropped counts as asked.

    Example: clio-broadly-sync outbox drop --reason surge
    """
    _check(chosen, everything=everything, asks=not yes)
    _change(options, DROP, _selection(**chosen), as_json=as_json, asks=not yes)


def _selection(
    matters: tuple[int, ...],
    state: str | None,
    reason: str | None,
    batch: tuple[int, int] | None,
    command: str | None,
) -> Selection:
    return Selection(
        states=frozenset({STATES[state]} if state else STATES.values()),
        matters=matters,
        reason=Reason(reason) if reason else None,
        batch=batch,
        command=Command(command) if command else None,
    )


def _check(chosen: dict[str, Any], *, everything: bool, asks: bool) -> None:
    """Raise UsageError unless rows were chosen and, where that is needed, somebody can be asked."""
    if any(chosen.values()) == everything:
        raise click.UsageError(
            f"Name the matters, for example `{app.called()} 5007`, or `--state held`; or `--all` "
            "alone."
        )
    if asks and (sys.stdin is None or not sys.stdin.isatty()):
        raise click.UsageError("There is no terminal to ask on: add --yes.")


# What is changed.

Counts = Counter[State]
"""How many of the chosen rows are in each state."""


@dataclass(frozen=True, slots=True)
class Remedy:
    """What a person can do with rows of the outbox."""

    states: frozenset[State]
    """The states of the rows with which it can be done."""
    after: Callable[[Closing], Closing]
    """It returns what becomes of a row."""
    foretold: Callable[[Counts, bool], Iterator[str]]
    """It yields what will happen, in sentences, given the counts and whether Broadly dedupes."""
    question: str
    done: str
    """The end of the sentence that says what was done; it begins with a number of closings."""


def _resend_foretold(counts: Counts, dedupes: bool) -> Iterator[str]:
    held, dead = counts[State.HELD], counts[State.DEAD]
    if held + dead:
        number = " and ".join([f"{held} held"] * bool(held) + [f"{dead} rejected"] * bool(dead))
        yield (
            f"To be sent again: {number}. The next `sync` reads each in Clio and decides anew: an "
            "opt-out still wins."
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
        number = ", ".join(f"{counts[s]} {word}" for s, word in SPOKEN.items() if counts[s])
        yield (
            f"To be left out for good: {number}. These clients are not asked for these closed "
            "matters, whatever is edited or backfilled later."
        )
    if counts[State.HELD]:
        yield "Whoever is held may already have been asked, and counts as asked from now on."


RESEND: Final = Remedy(
    states=frozenset({State.HELD, State.DEAD}),
    after=lifecycle.resent,
    foretold=_resend_foretold,
    question="Send them again?",
    done="will be sent again by the next `sync`.",
)
DROP: Final = Remedy(
    states=frozenset(SPOKEN),
    after=lifecycle.dropped,
    foretold=_drop_foretold,
    question="Leave them out for good?",
    done="left out for good.",
)


_THERE: Final = frozenset({*SPOKEN, State.SENDING})
"""The states in which a matter may be named. What a run that was cut short left as sending comes
back to the outbox when this command begins."""
_UNSEEN: Final = (
    "Nothing was changed, because a `--yes` from before cannot have meant them. Look at them "
    "(`outbox list --state held`), and run this again."
)


def _check_there(store: Store, matters: Sequence[int]) -> None:
    """Raise UsageError where one of these matters has no row in the outbox.

    Whoever mistyped one of several ids means another matter, which would be left unchanged.
    """
    known = store.ledger.known(matters)
    there = {m for m, closings in known.items() if any(c.state in _THERE for c in closings)}
    if absent := [str(matter) for matter in dict.fromkeys(matters) if matter not in there]:
        raise click.UsageError(
            f"Not in the outbox: {', '.join(absent)}. Nothing was changed; "
            "`clio-broadly-sync outbox list` shows what is there."
        )


def _change(
    options: Options, remedy: Remedy, chosen: Selection, *, as_json: bool, asks: bool
) -> NoReturn:
    """Change what was chosen, and exit with the code of what happened."""
    call = app.Call(as_json=as_json)
    task = _Task(remedy, chosen, call, asks=asks)
    with call.until_error():
        settings = app.settings_of(options)
        with app.opened(settings, writes=True) as store:
            task.carry_out(settings, store)
    if call.error is not None:
        task.print(None)
    sys.exit(call.code)


class _Task:
    """One call of `resend` or `drop`; it asks before it changes anything where `asks` is true."""

    def __init__(self, remedy: Remedy, chosen: Selection, call: app.Call, *, asks: bool) -> None:
        self._remedy = remedy
        self._chosen = chosen
        self._call = call
        self._asks = asks
        self._counts: Counts = Counter()
        self._changed = 0

    def carry_out(self, settings: Settings, store: Store) -> None:
        """Recover what an earlier run left, change what was chosen, and print the result.

        Raise UsageError, and change nothing, where a matter that was named is not in the outbox.
        """
        _check_there(store, self._chosen.matters)
        store.begin_run("outbox", uuid.uuid4().hex, app.our_clock())
        try:
            dedupes = app.dedupes(settings)
            held = self._recover(store, dedupes)
            self._counts = store.outbox.count(self._chosen)
            if held and self._remedy is RESEND and not self._asks:
                self._say(_UNSEEN)
            elif self._agreed(dedupes):
                mine = self._chosen._replace(states=self._chosen.states & self._remedy.states)
                self._changed = store.outbox.change(mine, self._remedy.after, app.our_clock())
            self._call.code = ATTENTION if held else OK
        except StoppedError as error:
            self._call.code = app.fail(error)
        store.finish_run(self._call.code, app.our_clock())
        self.print(store)

    def print(self, store: Store | None) -> None:
        """Print the result for a person or as one JSON object; `store` is None where it failed."""
        if self._call.as_json:
            output.print_json(self._object(store))
        elif self._changed:
            say(f"{self._changed} {self._remedy.done}")

    def _object(self, store: Store | None) -> Iterator[tuple[str, Any]]:
        yield "command", app.called()
        yield "outcome", self._call.outcome
        yield "found", {word: self._counts[state] for state, word in CODES.items()}
        yield "changed", self._changed
        keys = store.outbox.changed() if store is not None and self._changed else iter(())
        yield "closings", (key._asdict() for key in keys)

    def _recover(self, store: Store, dedupes: bool) -> int:
        """Recover what earlier runs left; return how many rows became held.

        Those were being sent to Broadly when a run was cut short.
        """
        left = store.recover(partial(lifecycle.recovered, dedupes=dedupes), app.our_clock())
        held = sum(closing.state is State.HELD for closing in left)
        if held:
            self._say(
                f"{held} became held just now: a run was cut short while they were on the way to "
                "Broadly, so these clients may already have been asked."
            )
        return held

    def _agreed(self, dedupes: bool) -> bool:
        """Say what is about to happen, ask, and return whether to do it.

        It is not to be done where there is nothing to do, or where the answer is no.
        """
        for line in self._remedy.foretold(self._counts, dedupes):
            self._say(line)
        if not any(self._counts[state] for state in self._remedy.states):
            fits = self._counts.total() > 0
            self._say("Nothing was changed" + ("." if fits else ": nothing in the outbox fits."))
            return False
        agreed = not self._asks
        with suppress(click.Abort), output.patience(self._call.stop):  # no answer is a no
            agreed = agreed or output.agreed(self._remedy.question)
        if not agreed:
            self._say("Nothing was changed.")
        return agreed

    def _say(self, line: str) -> None:
        """Print a line for a person: on stderr where stdout holds JSON, or a question is asked.

        A question is asked on stderr too, because stdout may be a file.
        """
        say(line, err=self._call.as_json or self._asks)
