"""Names and display numbers: read in Clio when a terminal is to show them, and forgotten at once.

They never go into a file, a log line or JSON.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from clio_broadly_sync.cli import app, output
from clio_broadly_sync.cli.output import Column, fitting, table_line
from clio_broadly_sync.domain.errors import StoppedError, SyncError, shown
from clio_broadly_sync.domain.model import Closing, Verdict
from clio_broadly_sync.pipeline import pins
from clio_broadly_sync.pipeline.context import Lot
from clio_broadly_sync.pipeline.report import decision_of
from clio_broadly_sync.settings import Settings
from clio_broadly_sync.store import Store
from clio_broadly_sync.transport.signals import Stop

if TYPE_CHECKING:
    from clio_broadly_sync.clio.source import Clio

FIRST: Final = 20
"""A question shows the names of so many clients."""
AT_ONCE: Final = 100
"""So many contacts or matters are read by one request."""
PATIENCE_SECONDS: Final = 60.0
"""At most so many seconds are spent on one wait for Clio."""


COLUMNS: Final = (
    Column("matter", 10, 3, lambda row: row["matter"]),
    Column("client", 10, 1, lambda row: row["client"]),
    Column("closed on", 11, 2, lambda row: row["closed on"]),
    Column("decision", 32, 4, lambda row: row["decision"]),
)
_VERDICTS: Final = {Verdict.SEND: "send", Verdict.SKIP: "not", Verdict.WAIT: "wait"}
NO_NAMES: Final = "No name is shown: {error}"


class Whose(NamedTuple):
    """A line about a closing, below which its names are to stand."""

    line: str
    matter_id: int
    contact_id: int | None


class _Read(NamedTuple):
    """What Clio showed; None for whoever or whatever has no name."""

    names: dict[int, str | None]
    numbers: dict[int, str | None]

    def of(self, matter_id: int, contact_id: int | None) -> str:
        """Return the client's name and the display number, as far as they are known."""
        parts = self.names.get(contact_id or 0), self.numbers.get(matter_id)
        return ", ".join(shown(part) for part in parts if part)


_NOBODY: Final = _Read({}, {})


def check_usage(*, as_json: bool, err: bool = False) -> None:
    """Raise UsageError where `--names` cannot be followed: names are for a terminal only.

    `err` says that the lines go to stderr, because stdout gets a file.
    """
    if as_json:
        raise click.UsageError("--json holds no names: leave out --names, or --json.")
    if not (sys.stderr if err else sys.stdout).isatty():
        raise click.UsageError("Names are shown on a terminal only: leave out --names here.")


def clio_of(
    settings: Settings,
    store: Store,
    stop: Stop,
    patience: float = PATIENCE_SECONDS,
    waiting: Callable[[str, float], object] = lambda what, seconds: None,
) -> "Clio":
    """Return what asks the state's own Clio, and spends so many seconds on one wait at most.

    `waiting` is called before each (`app.connect`). Raise ConfigError where host or account are
    others: there, the same ids are other people's.
    """
    clients = app.connect(settings, stop, lambda: patience, waiting)
    source, known = clients.source(store.time_zone), store.pins()
    if known is not None:
        pins.check_host(known, app.wanted(settings))
        clients.check_account(known, store, source)
    return source


def with_names(lines: Iterable[Whose], clio: "Clio | None") -> Iterator[str]:
    """Yield the lines, each with the names of its closing in another line below it.

    Without a `clio` there are no names. Where Clio cannot be asked, the lines stand alone, and the
    SyncError is raised after the last.
    """
    if clio is None:
        yield from (one.line for one in lines)
        return
    failure: SyncError | None = None
    rest = iter(lines)
    while some := list(islice(rest, AT_ONCE)):
        read = _NOBODY
        try:
            if failure is None:
                read = _read(clio, [(one.matter_id, one.contact_id) for one in some])
        except StoppedError:
            raise
        except SyncError as error:
            failure = error
        for one in some:
            yield one.line
            if names := read.of(one.matter_id, one.contact_id):
                yield f"    {names}"
    if failure is not None:
        raise failure


def table(closings: Iterable[Closing], clio: "Clio | None", opt_in: str) -> Iterator[str]:
    """Yield the table of what a run decided, with names unless `clio` is None.

    Where Clio cannot be asked, it says so below. `opt_in` is the name of the matter's checkbox.
    """
    columns = fitting(COLUMNS, output.width(sys.stdout))
    lines = (
        Whose(_decided(one, opt_in, columns), one.key.matter_id, one.contact_id) for one in closings
    )
    try:
        for number, line in enumerate(with_names(lines, clio)):
            if not number:
                yield table_line((column.title, column.width) for column in columns)
            yield line
    except StoppedError:
        raise
    except SyncError as error:
        yield NO_NAMES.format(error=error)


def _decided(closing: Closing, opt_in: str, columns: Sequence[Column]) -> str:
    """Return a line that says what was decided, with ids only."""
    decision = decision_of(closing)
    why = f": {decision.reason.named(opt_in)}" if decision.reason else ""
    row = {
        "matter": closing.key.matter_id,
        "client": closing.contact_id,
        "closed on": output.day(closing.key.closed_on),
        "decision": _VERDICTS[decision.verdict] + why,
    }
    return table_line((column.text(row), column.width) for column in columns)


def of_lot(lot: Lot, clio: "Clio") -> Iterator[str]:
    """Yield lines that name the first clients of whom a person is asked, and how many more.

    Where Clio cannot be asked they are named by their ids.
    """
    first = _first_clients(lot.in_order)
    read = _NOBODY
    try:
        read = _read(clio, [(closing.key.matter_id, closing.contact_id) for closing in first])
    except StoppedError:
        raise
    except SyncError as error:
        yield NO_NAMES.format(error=error)
    for closing in first:
        yield f"  {_line(closing, read.of(closing.key.matter_id, closing.contact_id))}"
    if lot.clients > len(first):
        yield f"  and {lot.clients - len(first)} more"


def _read(clio: "Clio", closings: Sequence[tuple[int, int | None]]) -> _Read:
    """Ask for the display numbers and names of closings, given by matter and contact."""
    contacts = {contact_id for _, contact_id in closings if contact_id is not None}
    names = clio.names_of(contacts) if contacts else {}
    numbers = clio.numbers_of({matter_id for matter_id, _ in closings})
    return _Read(names, numbers)


def _first_clients(closings: Iterable[Closing]) -> list[Closing]:
    """Return the first closing of each of the first clients."""
    first: dict[int, Closing] = {}
    for closing in closings:
        first.setdefault(closing.contact_id or -closing.key.matter_id, closing)
        if len(first) == FIRST:
            break
    return list(first.values())


def _line(closing: Closing, names: str) -> str:
    who = names or f"client {closing.contact_id or 'unknown'}"
    on = closing.key.closed_on
    when = "without a close date" if on is None else f"closed on {output.day(on)}"
    return f"{who}: matter {closing.key.matter_id}, {when}"
