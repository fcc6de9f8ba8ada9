"""A file for Broadly's import wizard, as a sink: a row for each client, receipts once it is there.

Its columns, and how a cell is spelled, are those of “A CSV file” in
`docs/where-it-can-send.md`.
How a file comes to its name is in `sinks/new_files.py`.
"""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

from clio_broadly_sync.domain.errors import TooLateError
from clio_broadly_sync.domain.exports import BATCH
from clio_broadly_sync.domain.model import Outcome, Receipt, ReviewRequest
from clio_broadly_sync.domain.rules import FORMULA
from clio_broadly_sync.sinks.customers import external_id, name_of

COLUMNS: Final = (
    "First Name",
    "Last Name",
    "Company",
    "Email",
    "Phone",
    "External ID",
    "Transaction ID",
    "Transaction Date",
)
MOST_BYTES: Final = 5_000_000
"""A file has at most so many bytes."""
LONGEST_ROW: Final = 4_500
"""No row has more bytes: three names of 255 characters, an address of 254, all of four bytes each,
and what else there is."""
LEAST_SECONDS: Final = 300.0
"""A file is made while what it holds may be sent for so long still, because the next reading may
take time."""

SecondsLeft = Callable[[], float]


class Target(Protocol):
    """Where the bytes of a file go, which is there as a whole or not at all."""

    def begin(self) -> None:
        """Begin a new file. Raise ExportError where there can be none."""

    def write(self, data: bytes) -> None:
        """Add to the file. Raise ExportError where it cannot be written."""

    def finish(self) -> None:
        """Let the file be there. Raise ExportError where it cannot be, and StoppedError where a
        signal came before."""

    def settled(self) -> None:
        """Take in that what the last file holds is settled."""

    def drop(self) -> None:
        """Let go of the file that was begun; without one, do nothing."""

    def handed_out(self) -> int:
        """Return how many bytes of the file that was begun somebody may have got all the same."""


class CsvFile:
    """A `Sink` that writes one file, and further ones where one grows too large or too old."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._rows: list[tuple[ReviewRequest, int]] = []
        """What the open file holds, each with the place in it where its row begins."""
        self._size = 0
        """The bytes of the open file; 0 where none is open."""
        self._left: SecondsLeft = _always
        """It returns for how long what was read first may still be sent."""

    def ready_in(self) -> float:
        """Return that a file can be written at once."""
        return 0.0

    def send(
        self, batch: Sequence[ReviewRequest], seconds_left: SecondsLeft
    ) -> Iterator[list[Receipt]]:
        """Write the rows of a batch; yield receipts where that makes the file whole.

        Raise TooLateError where something in the file has grown too old: then all of it waits.
        """
        self._left = min(self._left, seconds_left, key=lambda left: left())
        self._check_age()
        if not self._size:
            self._target.begin()
            self._write(_spelled(COLUMNS, first=True))
        for request in batch:
            self._rows.append((request, self._size))
            self._write(_row(request))
        is_full = self._size + BATCH * LONGEST_ROW > MOST_BYTES
        if is_full or self._left() < LEAST_SECONDS:
            yield from self.flush()

    def flush(self) -> Iterator[list[Receipt]]:
        """Make the file that was begun, and yield a receipt for everybody in it."""
        if not self._rows:
            return
        self._check_age()
        self._target.finish()
        receipts = [Receipt(request.key, Outcome.ACCEPTED) for request, _ in self._rows]
        self._forget()
        yield receipts
        self._target.settled()

    def close(self) -> list[Receipt]:
        """Let go of a file that was begun; return receipts of whom somebody may have got in it."""
        got = self._target.handed_out()
        in_doubt = [request for request, begins in self._rows if begins < got]
        self._target.drop()
        self._forget()
        return [Receipt(request.key, Outcome.UNKNOWN) for request in in_doubt]

    def _write(self, data: bytes) -> None:
        self._target.write(data)
        self._size += len(data)

    def _check_age(self) -> None:
        if self._left() > 0:
            return
        self._target.drop()
        self._forget()
        raise TooLateError("What was read for the file has grown too old.")

    def _forget(self) -> None:
        self._rows, self._size, self._left = [], 0, _always


def _always() -> float:
    return float("inf")


def _row(request: ReviewRequest) -> bytes:
    return _spelled(
        (
            _text(request.first_name),
            _text(request.last_name),
            _text(request.company_name),
            request.email or "",
            request.phone or "",
            external_id(request),
            request.transaction_id,
            request.transaction_date.isoformat(),
        )
    )


def _text(name: str | None) -> str:
    """Return a name as a cell that no spreadsheet takes for a formula."""
    cell = name_of(name)
    return f"'{cell}" if cell[:1] in FORMULA else cell


def _spelled(cells: Sequence[str], *, first: bool = False) -> bytes:
    """Return a row as bytes; the `first` one of a file says that they are UTF-8."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    return line.getvalue().encode("utf-8-sig" if first else "utf-8")
