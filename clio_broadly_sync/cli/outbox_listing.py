"""What `outbox list` does: a table for a person, or one JSON object."""

import json
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import tzinfo
from typing import Any, Final, NamedTuple, NoReturn

import click

from clio_broadly_sync.cli import app, times
from clio_broadly_sync.cli import report_words as words
from clio_broadly_sync.cli.options import Options
from clio_broadly_sync.cli.terminal import folded
from clio_broadly_sync.domain.errors import OK, SyncError, outcome_of
from clio_broadly_sync.domain.reasons import State
from clio_broadly_sync.store import Listed, Selection, Store

SHOWN: Final = {State.PENDING: "waiting", State.HELD: "held", State.DEAD: "dead"}
GAP: Final = "  "


class Column(NamedTuple):
    """A column of the table; where not all fit, those with the least `worth` are left out."""

    title: str
    width: int
    worth: int
    text: Callable[[dict[str, Any]], Any]


COLUMNS: Final = (
    Column("matter", 11, 9, lambda row: row["matter_id"]),
    Column("client", 11, 2, lambda row: row["contact_id"]),
    Column("closed on", 11, 7, lambda row: row["closed_on"]),
    Column("state", 7, 8, lambda row: row["state"]),
    Column("reason", 16, 6, lambda row: row["reason"]),
    Column("since", 11, 5, lambda row: row["since"]),
    Column("batch", 6, 4, lambda row: row["batch"]),
    Column("tries", 5, 3, lambda row: row["tries"]),
    Column("code", 4, 1, lambda row: row["code"]),
)


def carry_out(options: Options, chosen: Selection, *, as_json: bool) -> NoReturn:
    """List from a copy of the state: nothing is locked, nothing written."""
    code = OK
    if as_json:  # in pieces, because the rows may be many: how it ended is known last
        click.echo('{"command": "outbox list", "rows": [', nl=False)
    try:
        settings = app.settings_of(options)
        with app.opened(settings, writes=False) as store:
            zone = times.firm_zone(settings, store)
            pieces = _json(store, chosen) if as_json else _table(store, chosen, zone)
            for piece in pieces:
                click.echo(piece, nl=not as_json)
    except SyncError as error:
        code = app.fail(error)
    if as_json:
        click.echo(f'], "outcome": {json.dumps(outcome_of(code))}}}')
    sys.exit(code)


def _json(store: Store, chosen: Selection) -> Iterator[str]:
    for number, listed in enumerate(store.outbox.listed(chosen)):
        entry = _entry(listed) | {"since": times.iso(listed.since)}
        yield (", " if number else "") + json.dumps(entry)


def _entry(listed: Listed) -> dict[str, Any]:
    closing = listed.closing
    run, batch = closing.claimed_in_run, closing.batch
    return {
        "matter_id": closing.key.matter_id,
        "contact_id": closing.contact_id,
        "closed_on": closing.key.closed_on and closing.key.closed_on.isoformat(),
        "state": SHOWN[closing.state],
        "reason": closing.reason and str(closing.reason),
        "command": str(closing.command),
        "batch": None if batch is None else f"{run}.{batch}",
        "tries": closing.tries,
        "code": listed.code,
    }


def _table(store: Store, chosen: Selection, zone: tzinfo | None) -> Iterator[str]:
    columns = _columns(shutil.get_terminal_size().columns if sys.stdout.isatty() else None)
    rows = 0
    for listed in store.outbox.listed(chosen):
        if not rows:
            yield _line((column.title, column.width) for column in columns)
        closed_on = times.day(listed.closing.key.closed_on)
        since = times.day(listed.since.astimezone(zone).date())
        entry = _entry(listed) | {"closed_on": closed_on, "since": since}
        yield _line((column.text(entry), column.width) for column in columns)
        rows += 1
    if not rows:
        yield "Nothing in the outbox fits." if chosen != Selection() else "The outbox is empty."
    elif left_out := [column.title for column in COLUMNS if column not in columns]:
        yield folded(f"Left out here: {', '.join(left_out)}; `--json` has all.")
    if sending := store.outbox.count_sending():
        yield folded(
            f"{words.count(sending, 'more is', 'more are')} being handed over, or left so by a "
            "run that was cut short: the next run finds out."
        )


def _columns(width: int | None) -> list[Column]:
    """Return the columns that fit into the width."""
    columns = list(COLUMNS)
    while width is not None and len(columns) > 1 and _width(columns) > width:
        columns.remove(min(columns, key=lambda column: column.worth))
    return columns


def _width(columns: Iterable[Column]) -> int:
    widths = [column.width for column in columns]
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _line(cells: Iterable[tuple[Any, int]]) -> str:
    texts = (f"{'-' if value is None else value!s:<{width}}" for value, width in cells)
    return GAP.join(texts).rstrip()
