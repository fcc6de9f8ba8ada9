"""The closings of a report one by one: as JSON, as lines of a CSV file, and as a table."""

import csv
import io
import shutil
import sys
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from clio_broadly_sync.cli import output
from clio_broadly_sync.cli.names import Whose, with_names
from clio_broadly_sync.cli.output import Column, fitting, table_line
from clio_broadly_sync.domain.funnel import Step, missed
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.report import words
from clio_broadly_sync.report.reading import Given
from clio_broadly_sync.store.periods import Told

if TYPE_CHECKING:
    from clio_broadly_sync.clio.source import Clio

COLUMNS: Final = (
    Column("matter", 10, 9, lambda row: row["matter_id"]),
    Column("client", 10, 3, lambda row: row["contact_id"]),
    Column("closed on", 11, 7, lambda row: row["closed_on"]),
    Column("noticed on", 11, 1, lambda row: row["noticed_at"]),
    Column("result", 32, 8, lambda row: row["result"]),
    Column("sent on", 11, 5, lambda row: row["sent_at"]),
    Column("channels", 11, 2, lambda row: row["channels"]),
    Column("opted out on", 12, 4, lambda row: row["opted_out_at"]),
)
_DAYS: Final = ("closed_on", "noticed_at", "sent_at", "opted_out_at")
"""What a table shows as days."""
_CSV: Final = {
    "matter_id": "Matter ID",
    "contact_id": "Contact ID",
    "closed_on": "Closed On",
    "noticed_at": "Noticed On",
    "state": "State",
    "reason": "Reason",
    "step": "Last Step",
    "sent_at": "Sent On",
    "channels": "Channels",
    "opted_out_at": "Opted Out On",
}
"""The columns of the file, by what stands in them."""


def row_of(told: Told, given: Given) -> dict[str, Any]:
    """Return a closing as JSON has it."""
    closing = told.closing
    step = missed(closing.state, closing.reason, in_doubt=closing.in_doubt)
    last = Step.ACCEPTED if step is None else Step(step - 1)
    is_tried = last >= Step.TRIED
    return {
        "matter_id": closing.key.matter_id,
        "contact_id": closing.contact_id,
        "closed_on": closing.key.closed_on,
        "noticed_at": closing.noticed_at,
        "state": closing.state,
        "reason": closing.reason,
        "step": last.word,
        "sent_at": closing.claimed_at if is_tried else None,
        "channels": closing.channels if is_tried else None,
        "opted_out_at": told.objected_at,
    }


def csv_lines(found: Iterator[Told], given: Given) -> Iterator[bytes]:
    """Yield the lines of a file, the titles first; a moment becomes its day in the firm's zone."""
    yield spelled([*_CSV.values()]).encode("utf-8")
    for told in found:
        row = row_of(told, given)
        yield spelled([_cell(row[name], given) for name in _CSV]).encode("utf-8")


def _cell(value: Any, given: Given) -> str:
    if isinstance(value, datetime):
        value = value.astimezone(given.zone).date()
    return "" if value is None else str(value)


def spelled(cells: Sequence[str]) -> str:
    """Return a line of a CSV file."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    return line.getvalue()


def table_lines(found: Iterator[Told], given: Given, clio: "Clio | None" = None) -> Iterator[str]:
    """Yield the lines of a table, without the columns for which the terminal has no room.

    Where there is a `clio`, names stand below each closing.
    """
    columns = fitting(COLUMNS, shutil.get_terminal_size().columns if sys.stdout.isatty() else None)
    lines = (_line(told, given, columns) for told in found)
    first = next(lines, None)
    if first is None:
        yield "No closed matter is known of these days."
        return
    yield table_line((column.title, column.width) for column in columns)
    yield from with_names(chain([first], lines), clio)
    yield from output.no_room(COLUMNS, columns)


def _line(told: Told, given: Given, columns: Sequence[Column]) -> Whose:
    row = row_of(told, given)
    row |= {name: _shown(row[name], given) for name in _DAYS}
    row["result"] = _result(told, given)
    line = table_line((column.text(row), column.width) for column in columns)
    return Whose(line, told.closing.key.matter_id, told.closing.contact_id)


def _result(told: Told, given: Given) -> str:
    """Return in words what became of it, and why it came no further."""
    closing = told.closing
    if closing.state is State.SENT:
        return "sent"
    left = given.attention.is_left(closing.state, closing.command)
    return _in_words(closing.state, closing.reason, given.names, left)


@lru_cache
def _in_words(state: State, reason: Reason | None, names: words.Names, left: bool) -> str:
    why = words.of(state, reason, names, left=left, needed=False).why.replace("`", "")
    if state is State.SKIPPED:
        return f"not: {why}"
    return f"waits: {why}" if state is State.PENDING and reason and not left else why


def _shown(value: date | datetime | None, given: Given) -> str | None:
    """Return a date, or the day of a moment, as a person reads it."""
    on = value.astimezone(given.zone).date() if isinstance(value, datetime) else value
    return None if on is None else output.day(on)
