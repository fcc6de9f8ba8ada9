"""Whether a state holds what it must: its files, its database, its facts, its ledger.

This module only reads. SQLite finds a page that is broken. What a bug, a person's hand or half a
restored copy may break shows in facts and rows that no run could have written.
"""

import os
from collections.abc import Collection, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from clio_broadly_sync.domain.errors import StorageError
from clio_broadly_sync.domain.model import SyncRule
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.store import database, schema
from clio_broadly_sync.store.database import Connection
from clio_broadly_sync.store.facts import PINNED, STARTED, SWEPT, Facts
from clio_broadly_sync.store.rows import OWN_CHANGES, among
from clio_broadly_sync.store.tables import ASKED, IN_DOUBT
from clio_broadly_sync.store.writer import last_run

NAMED: Final = 5
"""At most so many matters are named with what is wrong about them."""
REMEDY: Final = "Restore a sound copy of the state (README, Recipes), or report this as a bug."


class Flaw(NamedTuple):
    """Something that does not hold in a state."""

    name: str
    """A word for it, for programs."""
    sentence: str
    """What does not hold, and what to do about it, for people."""
    matters: tuple[int, ...] = ()
    """The ids of the matters that it is about, of many only the first `NAMED`."""
    grave: bool = True
    """False where it does the state no harm."""


class Integrity:
    """The checks of one firm's state.

    `known` holds the facts about the state. Every method is one transaction and may raise
    StorageError.
    """

    def __init__(self, connection: Connection, firm: int, known: Facts) -> None:
        self._connection = connection
        self._firm = firm
        self._facts = known

    def flaws(self, now: datetime | None) -> list[Flaw]:
        """Return what does not hold; where the database is broken, return only that.

        `now` (aware UTC) is what the watermark and the start day are held against; None: no clock.
        """
        with self._transaction() as connection:
            if broken := _broken(connection):
                return [broken]
            return [
                *(Flaw(n, f"{words} {REMEDY}") for n, words in contradictions(self._facts, now)),
                *self._gaps(connection),
                *(
                    flaw
                    for invariant in INVARIANTS
                    for flaw in self._broken_by(connection, invariant)
                ),
            ]

    def sizes(self) -> tuple[int, int, int]:
        """Return how many closings, changes and runs there are."""
        with self._transaction() as connection:
            counted = [self._count(connection, table) for table in ("closings", "changes", "runs")]
        return counted[0], counted[1], counted[2]

    def matters_closed_since(self, day: date, of: Collection[int] | None = None) -> int:
        """Return how many matters, of these or of all, have a closing of this day or later.

        One that was skipped because the matter is not closed is none.
        """
        listed, values = among("matter", of or ())
        statement = f"""
            SELECT count(DISTINCT matter_id) FROM closings
            WHERE firm = :firm AND closed_on >= :day
            AND coalesce(reason, '') <> '{Reason.NOT_CLOSED}'
            {"" if of is None else f"AND matter_id IN {listed}"}
        """
        values |= {"firm": self._firm, "day": day.isoformat()}
        with self._transaction() as connection:
            return int(connection.execute(statement, values).fetchone()[0])

    def _broken_by(self, connection: Connection, invariant: "Invariant") -> Iterator[Flaw]:
        broken = f"FROM {invariant.rows} WHERE firm = :firm AND ({invariant.is_broken})"
        values = {"firm": self._firm}
        (number,) = connection.execute(f"SELECT count(*) {broken}", values).fetchone()
        if number:
            first = f"SELECT DISTINCT matter_id {broken} ORDER BY matter_id LIMIT {NAMED}"
            named = [matter for (matter,) in connection.execute(first, values)]
            matters = tuple(matter for matter in named if matter is not None)
            yield Flaw(invariant.name, f"{invariant.words} ({number} in all). {REMEDY}", matters)

    def _gaps(self, connection: Connection) -> Iterator[Flaw]:
        found = connection.execute(_COUNTED, {"firm": self._firm}).fetchone()
        known, first, last_known, swept = found
        last = last_run(connection, self._firm)
        moved_in = int(self._facts.get("watermark_run", 0))
        are_all = (known + int(swept), last_known) == (last, last) and first >= 1
        if not (are_all or (known, last) == (0, 0)) or moved_in > last:
            yield Flaw("runs", f"Runs are missing from the list of runs. {REMEDY}")

    def _count(self, connection: Connection, table: str) -> int:
        statement = f"SELECT count(*) FROM {table} WHERE firm = :firm"
        return int(connection.execute(statement, {"firm": self._firm}).fetchone()[0])

    def _transaction(self) -> database.Transaction:
        return database.transaction(self._connection)


def files(path: Path) -> list[Flaw]:
    """Return what others may do with the state's folder and with the files beside the state.

    The state itself is looked at whenever it is opened. Raise StorageError where there is no state
    at all.
    """
    with database.storage_errors():
        if not database.exists(path):
            raise StorageError(
                "There is no state to verify; the first `sync` makes it. If there was one, check "
                "SYNC_STATE, or see “The state is lost” in docs/recipes.md."
            )
        folder = os.stat(path.parent).st_mode
        near = [f for f in sorted(path.parent.iterdir()) if f.name.startswith(path.name)]
        found = [flaw for file in near if file != path for flaw in _of_file(file)]
    if folder & 0o077:
        sentence = f"Others may look into {path.parent}; {database.privacy(path.parent)}"
        found.append(Flaw("folder", sentence, grave=bool(folder & 0o022)))
    return found


def _of_file(file: Path) -> Iterator[Flaw]:
    status = os.lstat(file)
    if status.st_uid != os.geteuid():
        yield Flaw("owner", f"{file.name} belongs to another user; give it to this one: chown.")
    if status.st_mode & 0o077:
        can = database.others_may(status.st_mode)
        yield Flaw("mode", f"Others may {can} {file.name}; make it private: `chmod 600` on it.")


def _broken(connection: Connection) -> Flaw | None:
    """Return the flaw where the database is found broken, else None.

    The flaw repeats what SQLite says, for that names tables, indexes and pages, but never a value.
    """
    said = schema.broken(connection)
    return None if said is None else Flaw("database", f"The database is broken ({said}). {REMEDY}")


# The facts: none may contradict another one, or the clock.

LEAST_OVERLAP: Final = timedelta(minutes=5)
"""The smallest overlap that the settings allow: a watermark that is ahead of the clock by no more
than this does not pass over anybody yet."""


def contradictions(facts: Facts, now: datetime | None) -> Iterator[tuple[str, str]]:
    """Yield what does not fit together or does not fit the clock, of facts that can be read.

    Each time that is a name for programs and a sentence for people. `now` is as in `flaws`.
    """
    if facts.keys() >= PINNED and _lacks_a_field(facts):
        yield "fields", "The id of a checkbox that the rule reads is missing."
    if facts.keys() >= STARTED:
        yield from _about_the_start(facts, now)


def _about_the_start(facts: Facts, now: datetime | None) -> Iterator[tuple[str, str]]:
    watermark, first_run = (
        datetime.fromisoformat(facts[name]) for name in ("watermark", "first_run")
    )
    start_day, a_day = date.fromisoformat(facts["start_day"]), timedelta(days=1)
    if now is not None and watermark > now + LEAST_OVERLAP:
        yield (
            "watermark",
            "The watermark lies in the future, so what closes until then would be passed over; "
            "see first that this machine's clock is right.",
        )
    if start_day < (first_run - a_day).date():
        yield "start_day", "The start day lies before the first run."
    if now is not None and start_day > (now + a_day).date():
        yield "start_day", "The start day lies in the future, so what closes now is passed over."


def _lacks_a_field(facts: Facts) -> bool:
    rule = SyncRule(facts["sync_rule"])
    lacks_opt_in = rule.needs_opt_in and not facts["opt_in_field"]
    return lacks_opt_in or (rule.needs_opt_out and not facts["opt_out_field"])


# What always holds in the ledger, and the tables themselves cannot say: as conditions that find the
# rows where it does not hold. Each goes through its table once; none brings rows into memory.


class Invariant(NamedTuple):
    """Something that always holds for every row of a table."""

    name: str
    """A word for a row where it does not hold, for programs."""
    words: str
    """The same for people; how many rows there are and what to do is added to it."""
    is_broken: str
    """The condition of a row where it does not hold; it may name the parameter `:firm`."""
    rows: str = "closings"
    """A table, or a selection in brackets; it has the columns `firm` and `matter_id`."""


_COUNTED: Final = f"""
    SELECT count(*), min(run), max(run),
        (SELECT coalesce(max(value), '0') FROM facts WHERE firm = :firm AND name = '{SWEPT}')
    FROM runs WHERE firm = :firm
"""
"""The runs that are known and how many were swept (`store/sweep.py`), as they are at one moment."""
_RUNS: Final = "SELECT run FROM runs WHERE firm = :firm"
_WAS_SENT: Final = f"(state IN {ASKED} OR {IN_DOUBT})"
"""The closing was sent to Broadly, or it may have been."""
_TOLD: Final = "{0}.{1}state || ' ' || coalesce({0}.reason, '') || ' ' || coalesce({0}.cause, '')"
_LINKED: Final = f"""(
    SELECT
        changes.firm,
        closings.matter_id,
        coalesce(changes.from_state, '') AS from_state,
        coalesce(lag(changes.to_state) OVER (
            PARTITION BY changes.closing ORDER BY changes.run, changes.position
        ), '') AS before
    FROM changes LEFT JOIN closings ON {OWN_CHANGES}
    WHERE changes.firm = :firm
) AS linked"""
"""Each change, beside the state in which the change before it ended."""
_OWNED: Final = """(
    SELECT owned.firm, closings.number, NULL AS matter_id
    FROM (
        SELECT firm, closing FROM changes UNION SELECT firm, closing FROM people
        UNION SELECT firm, closing FROM objections
    ) AS owned
    LEFT JOIN closings ON closings.firm = owned.firm AND closings.number = owned.closing
) AS owned"""
"""What belongs to closings, beside the number of its closing."""
_OBJECTING: Final = """(
    SELECT objections.firm, closings.matter_id, closings.state
    FROM objections
    JOIN closings ON closings.firm = objections.firm AND closings.number = objections.closing
) AS objecting"""
"""The closings whose client has opted out after being sent."""

INVARIANTS: Final = (
    Invariant(
        "person",
        "Clients were sent, but the hashes that recognise them are missing, so they could "
        "be asked again",
        # This subquery runs only once, because `people` has no index by closing.
        f"""{_WAS_SENT} AND (number, claimed_at) NOT IN
            (SELECT closing, claimed_at FROM people WHERE firm = :firm)""",
    ),
    Invariant(
        "run",
        "Closings name a run that there never was",
        " OR ".join(
            f"({column} <> 0 AND {column} NOT IN ({_RUNS}))"
            for column in ("read_in_run", "changed_in_run", "claimed_in_run")
        ),
    ),
    Invariant(
        "last_change",
        "Closings are not what the last of their changes says",
        f"""coalesce({_TOLD.format("closings", "")} <> (
            SELECT {_TOLD.format("changes", "to_")} FROM changes WHERE {OWN_CHANGES}
            ORDER BY changes.run DESC, changes.position DESC LIMIT 1
        ), true)""",
    ),
    Invariant(
        "claim_change",
        "Closings were sent, and their changes do not say so",
        f"""claimed_in_run > 0 AND NOT EXISTS (
            SELECT 1 FROM changes WHERE {OWN_CHANGES}
            AND changes.run = closings.claimed_in_run
            AND changes.to_state = '{State.SENDING.value}'
            AND coalesce(changes.batch, 0) = coalesce(closings.batch, 0)
        )""",
    ),
    Invariant("chain", "Changes are missing from the list", "before <> from_state", _LINKED),
    Invariant("orphans", "Changes or hashes belong to no closing", "number IS NULL", _OWNED),
    Invariant(
        "objection",
        "Clients are noted as having opted out after being sent, and were not sent",
        f"state <> '{State.SENT.value}'",
        _OBJECTING,
    ),
)
