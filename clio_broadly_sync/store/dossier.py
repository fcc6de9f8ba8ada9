"""All that a state holds about one client, for whoever has to say so. This module only reads.

A client is known by the contact's id in Clio. It goes through the whole ledger: a person asks for
it now and then, a run never does.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from clio_broadly_sync.domain.model import Key
from clio_broadly_sync.domain.reasons import OF_CONTACT
from clio_broadly_sync.store import database, rows
from clio_broadly_sync.store.database import Connection, Row
from clio_broadly_sync.store.history import History, Story
from clio_broadly_sync.store.overview import PastRun, past_run_of


class RunKept(NamedTuple):
    """A run that took part in a decision, and by what it decided."""

    past: PastRun
    run_id: str
    """Its id in `--json`."""
    version: str | None
    """The program's version; None where it was not noted yet, as is all below."""
    rule: str | None
    opt_out_field: int | None
    """The id of the contact's checkbox; None also where it read none, as with the other two."""
    opt_in_field: int | None
    text_field: int | None
    opt_in_untouched: str | None


class ClosingKept(NamedTuple):
    """A closing of the client with its changes, and what is kept beside it."""

    story: Story
    hashes: int
    """How many keyed hashes of the person there are, of all its claims."""
    told_in_run: int | None
    """In which run it was told that the client opted out after it was sent; None where that was
    not told, or did not happen."""


class No(NamedTuple):
    """That the contact was read with the opt-out box checked."""

    read_at: datetime
    """When it was last read so, or was hidden, which changes nothing (aware UTC)."""
    hashes: int
    """How many keyed hashes of its e-mail address and phone number there are."""


class Dossier(NamedTuple):
    """What is stored about one client."""

    contact_id: int
    closings: Sequence[ClosingKept]
    """The one that was noticed last comes first."""
    no: No | None
    """None where no such reading is kept."""
    stopped: Sequence[Key]
    """The closings of other contacts that this one's no has stopped, or stops."""
    runs: Sequence[RunKept]
    """The runs that took part in the decisions on `closings`, the first first."""

    @property
    def is_empty(self) -> bool:
        return not (self.closings or self.no or self.stopped)


_HASHES: Final = """
    SELECT closing, count(*) AS number FROM people
    WHERE firm = :firm AND closing IN {numbers}
    GROUP BY closing
"""
_TOLD: Final = """
    SELECT closing, told_in_run FROM objections
    WHERE firm = :firm AND closing IN {numbers}
"""
_NO: Final = """
    SELECT max(read_at) AS at, count(*) AS number FROM noes
    WHERE firm = :firm AND contact_id = :id
"""
_STOPPED: Final = """
    SELECT matter_id, closed_on FROM closings
    WHERE firm = :firm AND number IN (
        SELECT closing FROM changes WHERE firm = :firm AND cause = :cause
    )
    ORDER BY number
"""
_RUNS: Final = "SELECT * FROM runs WHERE firm = :firm AND run IN {numbers} ORDER BY run"


class Dossiers:
    """What is stored about the clients of one firm. Every method may raise StorageError."""

    def __init__(self, connection: Connection, firm: int, history: History) -> None:
        self._connection = connection
        self._firm = firm
        self._history = history

    def of(self, contact_id: int) -> Dossier:
        """Return what is stored about this client, which may be nothing."""
        stories = self._history.of_client(contact_id)
        own = {story.closing.number for story in stories}
        about = {"id": contact_id, "cause": f"{OF_CONTACT}{contact_id}"}
        hashes: dict[int, int] = dict(map(tuple, self._found(_HASHES, own)))
        told: dict[int, int | None] = dict(map(tuple, self._found(_TOLD, own)))
        ((at, noes),) = self._found(_NO, about=about)
        return Dossier(
            contact_id=contact_id,
            closings=[
                ClosingKept(story, hashes.get(number, 0), told.get(number))
                for story in stories
                for number in [story.closing.number]
            ],
            no=None if at is None else No(rows.moment(at), noes),
            stopped=[rows.key_of(row) for row in self._found(_STOPPED, about=about)],
            runs=[_run(row) for row in self._found(_RUNS, set(_runs_of(stories)))],
        )

    def _found(
        self, statement: str, numbers: Collection[int] = (), about: Mapping[str, Any] | None = None
    ) -> list[Row]:
        listed, values = rows.among("number", numbers)
        sought = {"firm": self._firm, **values, **(about or {})}
        with database.transaction(self._connection) as connection:
            return connection.execute(statement.format(numbers=listed), sought).fetchall()


def _runs_of(stories: Iterable[Story]) -> Iterator[int]:
    """Yield the runs that changed a closing, or were the last to read it."""
    for story in stories:
        yield story.closing.read_in_run
        yield from (step.run for step in story.steps)


def _run(row: Row) -> RunKept:
    return RunKept(
        past=past_run_of(row),
        run_id=row["run_id"],
        version=row["version"],
        rule=row["rule"],
        opt_out_field=row["opt_out_field"],
        opt_in_field=row["opt_in_field"],
        text_field=row["text_field"],
        opt_in_untouched=row["opt_in_untouched"],
    )
