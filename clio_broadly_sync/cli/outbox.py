"""`outbox`: what waits, is held or was rejected; a person lists it, sends it again or drops it."""

import shutil
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NoReturn

import click

from clio_broadly_sync.cli import app, output
from clio_broadly_sync.cli.options import (
    STATES,
    Options,
    changing_rows,
    choosing_rows,
    common,
    json_option,
)
from clio_broadly_sync.cli.output import Column, batch_of, fitting, folded, say, table_line
from clio_broadly_sync.domain import lifecycle, rules
from clio_broadly_sync.domain.errors import ATTENTION, OK, StoppedError
from clio_broadly_sync.domain.model import Closing, Command
from clio_broadly_sync.domain.reasons import TOLD, Reason, State
from clio_broadly_sync.settings import Settings
from clio_broadly_sync.store import Listed, Selection, Store

SHOWN: Final = {state: word for word, state in STATES.items()}
"""The words of the command line for the states of the outbox."""
COLUMNS: Final = (
    Column("matter", 11, 9, lambda row: row["matter_id"]),
    Column("client", 11, 2, lambda row: row["contact_id"]),
    Column("closed on", 11, 7, lambda row: row["closed_on"]),
    Column("state", 7, 8, lambda row: row["state"]),
    Column("reason", 26, 6, lambda row: row["reason"]),
    Column("since", 11, 5, lambda row: row["since"]),
    Column("batch", 6, 4, lambda row: row["batch"]),
    Column("tries", 5, 3, lambda row: row["tries"]),
    Column("code", 4, 1, lambda row: row["code"]),
)


@click.group()
def outbox() -> None:
    """List, send again or leave out what waits, is held, or was rejected.

    waiting: goes by itself, or once a person says yes (surge). held: may already have been asked,
    so it does not go by itself. dead: Broadly rejected it, or put it off ten times.

    Example: clio-broadly-sync outbox list
    """


@outbox.command("list")
@choosing_rows
@json_option
@common
def list_(options: Options, as_json: bool, **chosen: Any) -> None:
    """Show what is in the outbox, and why. Nothing is changed.

    Example: clio-broadly-sync outbox list --state held
    """
    find = partial(_find, options, _selection(**chosen))
    app.carry_out(find, str, _object, as_json=as_json)


@outbox.command()
@changing_rows
def resend(options: Options, as_json: bool, yes: bool, everything: bool, **chosen: Any) -> None:
    """Let the next `sync` send held and dead ones again.

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


# The list.


def _find(options: Options, chosen: Selection, call: app.Call) -> Iterator[Any]:
    """Yield the rows for JSON, or the lines of the table."""
    settings = app.settings_of(options)
    with app.opened(settings, writes=False) as store:
        if call.as_json:
            yield from map(_entry, _told(settings, store, chosen))
        else:
            yield from _table(settings, store, chosen)


def _told(settings: Settings, store: Store, chosen: Selection) -> Iterator[Listed]:
    """Yield the chosen rows, those that wait with the reason that is told at this moment.

    A reason that is only told chooses among those.
    """
    policy, now = app.policy(settings, Command.SYNC, store), app.our_clock()
    zone, is_told = app.firm_zone(settings, store), chosen.reason in TOLD
    for listed in store.outbox.listed(chosen._replace(reason=None) if is_told else chosen):
        closing = rules.as_told(listed.closing, policy, now, zone)
        if not is_told or closing.reason is chosen.reason:
            yield listed._replace(closing=closing)


def _object(rows: Iterator[Any], call: app.Call) -> Iterator[tuple[str, Any]]:
    """Yield the outcome last, because it is known only when all rows were read."""
    yield "rows", rows
    yield "outcome", call.outcome


def _entry(listed: Listed) -> dict[str, Any]:
    closing = listed.closing
    return {
        "matter_id": closing.key.matter_id,
        "contact_id": closing.contact_id,
        "closed_on": closing.key.closed_on,
        "state": SHOWN[closing.state],
        "reason": closing.reason,
        "command": closing.command,
        "batch": batch_of(closing.claimed_in_run, closing.batch),
        "tries": closing.tries,
        "code": listed.code,
        "since": listed.since,
    }


def _table(settings: Settings, store: Store, chosen: Selection) -> Iterator[str]:
    zone = app.firm_zone(settings, store)
    columns = fitting(COLUMNS, shutil.get_terminal_size().columns if sys.stdout.isatty() else None)
    rows = 0
    for listed in _told(settings, store, chosen):
        if not rows:
            yield table_line((column.title, column.width) for column in columns)
        closed_on = output.day(listed.closing.key.closed_on)
        since = output.day(listed.since.astimezone(zone).date())
        reason = listed.closing.reason and listed.closing.reason.named(settings.sync_opt_in_field)
        entry = _entry(listed) | {"closed_on": closed_on, "since": since, "reason": reason}
        yield table_line((column.text(entry), column.width) for column in columns)
        rows += 1
    if not rows:
        yield "Nothing in the outbox fits." if chosen != Selection() else "The outbox is empty."
    elif left_out := [column.title for column in COLUMNS if column not in columns]:
        yield folded(f"Left out here: {', '.join(left_out)}; `--json` has all.")
    if sending := store.outbox.count_sending():
        if store.at_work is not None:
            more = output.count(sending, "more is", "more are")
            yield folded(f"{more} being sent at this moment.")
        else:
            more = output.count(sending, "more was", "more were")
            yield folded(f"{more} being sent when a run was cut short: the next run finds out.")


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
        number = " and ".join([f"{held} held"] * bool(held) + [f"{dead} dead"] * bool(dead))
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
        number = ", ".join(f"{counts[s]} {word}" for s, word in SHOWN.items() if counts[s])
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
    states=frozenset(SHOWN),
    after=lifecycle.dropped,
    foretold=_drop_foretold,
    question="Leave them out for good?",
    done="left out for good.",
)


_THERE: Final = frozenset({*SHOWN, State.SENDING})
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
        yield "found", {word: self._counts[state] for state, word in SHOWN.items()}
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
