"""What `outbox list` shows: the rows for JSON, or a table, with names below each where wanted."""

import shutil
import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Final

from clio_broadly_sync.cli import app, names, output
from clio_broadly_sync.cli.names import Whose
from clio_broadly_sync.cli.options import SPOKEN, Options
from clio_broadly_sync.cli.output import Column, batch_of, fitting, folded, table_line
from clio_broadly_sync.domain import rules
from clio_broadly_sync.domain.model import Command
from clio_broadly_sync.domain.reasons import TOLD
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.settings import Settings
from clio_broadly_sync.store import Listed, Selection, Store
from clio_broadly_sync.transport.signals import Stop

CODES: Final = {State.PENDING: "waiting", State.HELD: "held", State.DEAD: "dead"}
"""What JSON calls the states of the outbox."""
COLUMNS: Final = (
    Column("matter", 10, 9, lambda row: row["matter_id"]),
    Column("client", 10, 2, lambda row: row["contact_id"]),
    Column("closed on", 11, 7, lambda row: row["closed_on"]),
    Column("state", 8, 8, lambda row: row["state"]),
    Column("reason", 22, 6, lambda row: row["reason"]),
    Column("since", 11, 5, lambda row: row["since"]),
    Column("batch", 6, 4, lambda row: row["batch"]),
    Column("tries", 5, 3, lambda row: row["tries"]),
    Column("code", 4, 1, lambda row: row["code"]),
)


def find(options: Options, chosen: Selection, with_names: bool, call: app.Call) -> Iterator[Any]:
    """Yield the rows for JSON, or the lines of the table."""
    settings = app.settings_of(options)
    with app.opened(settings, writes=False) as store:
        if call.as_json:
            yield from map(_entry, _told(settings, store, chosen))
        else:
            yield from _table(settings, store, chosen, call.stop if with_names else None)


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


def object_of(rows: Iterator[Any], call: app.Call) -> Iterator[tuple[str, Any]]:
    """Yield the outcome last, because it is known only when all rows were read."""
    yield "rows", rows
    yield "outcome", call.outcome


def _entry(listed: Listed) -> dict[str, Any]:
    closing = listed.closing
    return {
        "matter_id": closing.key.matter_id,
        "contact_id": closing.contact_id,
        "closed_on": closing.key.closed_on,
        "state": CODES[closing.state],
        "reason": closing.reason,
        "command": closing.command,
        "batch": batch_of(closing.claimed_in_run, closing.batch),
        "tries": closing.tries,
        "code": listed.code,
        "since": listed.since,
    }


def _table(
    settings: Settings, store: Store, chosen: Selection, names_until: Stop | None
) -> Iterator[str]:
    """Yield the lines of the table; with names below each, until it is stopped, where a Stop is
    given."""
    columns = fitting(COLUMNS, shutil.get_terminal_size().columns if sys.stdout.isatty() else None)
    lines = _rows(settings, store, chosen, columns)
    if first := next(lines, None):
        yield table_line((column.title, column.width) for column in columns)
        clio = None if names_until is None else names.clio_of(settings, store, names_until)
        yield from names.with_names(chain([first], lines), clio)
    yield from _remarks(store, columns, chosen, any_row=first is not None)


def _rows(
    settings: Settings, store: Store, chosen: Selection, columns: Sequence[Column]
) -> Iterator[Whose]:
    zone = app.firm_zone(settings, store)
    for listed in _told(settings, store, chosen):
        key = listed.closing.key
        since = output.day(listed.since.astimezone(zone).date())
        entry = _entry(listed) | {
            "closed_on": output.day(key.closed_on),
            "since": since,
            "state": SPOKEN[listed.closing.state],
            "reason": _reason(listed, settings.sync_opt_in_field),
        }
        line = table_line((column.text(entry), column.width) for column in columns)
        yield Whose(line, key.matter_id, listed.closing.contact_id)


def _reason(listed: Listed, opt_in: str) -> str | None:
    """Return in words why it is in the outbox; of what was rejected, Broadly's own code."""
    closing = listed.closing
    if closing.reason is not None:
        return closing.reason.named(opt_in)
    if closing.state is State.PENDING:
        return (
            "left by a backfill"
            if closing.command is Command.BACKFILL
            else "goes with the next run"
        )
    return listed.code


def _remarks(
    store: Store, columns: Sequence[Column], chosen: Selection, *, any_row: bool
) -> Iterator[str]:
    """Yield what is to be said below the table."""
    if not any_row:
        yield "Nothing in the outbox fits." if chosen != Selection() else "The outbox is empty."
    yield from output.no_room(COLUMNS, columns if any_row else COLUMNS)
    if sending := store.outbox.count_sending():
        if store.at_work is not None:
            more = output.count(sending, "more is", "more are")
            yield folded(f"{more} being sent at this moment.")
        else:
            more = output.count(sending, "more was", "more were")
            yield folded(f"{more} being sent when a run was cut short: the next run finds out.")
