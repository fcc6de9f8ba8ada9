"""Whether a state holds what it must: its files, its database, its facts, its ledger.

This module only reads. SQLite finds a page that is broken. What a bug, a person's hand or half a
restored copy may break shows in facts and rows that no run could have written.
"""

import os
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from clio_broadly_sync.domain.errors import StorageError
from clio_broadly_sync.domain.model import Approval, Command, SyncRule
from clio_broadly_sync.domain.reasons import FAULTS, FINAL, Reason, State
from clio_broadly_sync.store import database
from clio_broadly_sync.store.people import HASH_BYTES
from clio_broadly_sync.store.rows import OWN_CHANGES, marks, words
from clio_broadly_sync.store.schema import MARKED

Facts = Mapping[str, str]

NAMED: Final = 5
"""At most so many matters are named with what is wrong about them."""
MEND: Final = "Restore a sound copy of the state (README, Recipes), or report this as a bug."


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

    def __init__(self, connection: sqlite3.Connection, firm: str, known: Facts) -> None:
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
                *(Flaw(n, f"{words} {MEND}") for n, words in contradictions(self._facts, now)),
                *self._gaps(connection),
                *_orphans(connection),
                *(
                    flaw
                    for invariant in _invariants()
                    for flaw in self._broken_by(connection, invariant)
                ),
            ]

    def sizes(self) -> tuple[int, int, int]:
        """Return how many closings, changes and runs there are."""
        with self._transaction() as connection:
            counted = [self._count(connection, table) for table in ("closings", "changes", "runs")]
        return counted[0], counted[1], counted[2]

    def matters_closed_since(self, day: date, among: Collection[int] | None = None) -> int:
        """Return how many matters, of those `among`, have a closing of this day or later.

        One that was skipped because the matter is not closed is none.
        """
        of_them = "" if among is None else f"AND matter_id IN {marks(among)}"
        statement = f"""
            SELECT count(DISTINCT matter_id) FROM closings
            WHERE firm = ? AND closed_on >= ? AND {_REASON} != '{Reason.NOT_CLOSED}' {of_them}
        """
        values = (self._firm, day.isoformat(), *(among or ()))
        with self._transaction() as connection:
            return int(connection.execute(statement, values).fetchone()[0])

    def _broken_by(self, connection: sqlite3.Connection, invariant: "Invariant") -> Iterator[Flaw]:
        broken = f"FROM {invariant.rows} WHERE firm = :firm AND ({invariant.is_broken})"
        values = {"firm": self._firm}
        (number,) = connection.execute(f"SELECT count(*) {broken}", values).fetchone()
        if number:
            first = f"SELECT DISTINCT matter_id {broken} ORDER BY matter_id LIMIT {NAMED}"
            named = [matter for (matter,) in connection.execute(first, values)]
            matters = tuple(matter for matter in named if matter is not None)
            yield Flaw(invariant.name, f"{invariant.words} ({number} in all). {MEND}", matters)

    def _gaps(self, connection: sqlite3.Connection) -> Iterator[Flaw]:
        numbers = "SELECT count(*), min(run), max(run) FROM runs WHERE firm = ?"
        count, first, last = connection.execute(numbers, (self._firm,)).fetchone()
        moved_in = int(self._facts.get("watermark_run", 0))
        if (count and (first, last) != (1, count)) or moved_in > (last or 0):
            yield Flaw("runs", f"Runs are missing from the list of runs. {MEND}")

    def _count(self, connection: sqlite3.Connection, table: str) -> int:
        statement = f"SELECT count(*) FROM {table} WHERE firm = ?"
        return int(connection.execute(statement, (self._firm,)).fetchone()[0])

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
                "SYNC_STATE, or see “The state is lost” in the README."
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
        yield Flaw("mode", f"Others may {can} {file.name}; make it private: chmod 600 on it.")


def _broken(connection: sqlite3.Connection) -> Flaw | None:
    """Return the flaw where SQLite finds the database broken, else None.

    The flaw repeats what SQLite says, for that names tables, indexes and pages, but never a value.
    """
    (said,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if said == "ok":
        return None
    return Flaw("database", f"The database is broken ({said.splitlines()[-1]}). {MEND}")


def _orphans(connection: sqlite3.Connection) -> Iterator[Flaw]:
    if connection.execute("PRAGMA foreign_key_check").fetchone() is not None:
        yield Flaw("orphans", f"Changes belong to no closing. {MEND}")


# The facts: none may contradict another one, or the clock.

LEAST_OVERLAP: Final = timedelta(minutes=5)
"""The smallest overlap that the settings allow: a watermark that is ahead of the clock by no more
than this does not pass over anybody yet."""

PINNED: Final = frozenset(
    {"clio_host", "clio_account", "broadly_url", "sync_rule", "opt_out_field", "opt_in_field"}
)
STARTED: Final = frozenset({"watermark", "first_run", "start_day"})


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


# What always holds in the ledger, as conditions that find the rows where it does not hold. Each of
# them goes through its table once; none brings rows into memory.

_LAST_SECOND: Final = 253_402_300_799  # of the year 9999
_IN_DOUBT: Final = Reason.UNKNOWN_OUTCOME
_WAITS: Final = {Reason.SETTLING, Reason.SURGE, Reason.UNAVAILABLE, Reason.RETRY}
_SKIPS: Final = frozenset(Reason) - _WAITS - {_IN_DOUBT}
_REASONS: Final[Mapping[State, frozenset[Reason | None]]] = {
    State.PENDING: FAULTS | _WAITS | {_IN_DOUBT, None},
    State.SENDING: frozenset({None}),
    State.SENT: frozenset({None}),
    State.SKIPPED: _SKIPS,
    State.DEAD: frozenset({Reason.RETRY, None}),
    State.HELD: (_SKIPS - FINAL) | {_IN_DOUBT},
}
_WAYS: Final[Mapping[State | None, frozenset[State]]] = {
    None: frozenset({State.PENDING, State.SKIPPED}),
    State.PENDING: frozenset({State.PENDING, State.SENDING, State.SKIPPED, State.HELD}),
    State.SENDING: frozenset(State) - {State.SENDING},
    State.SENT: frozenset(),
    State.SKIPPED: frozenset({State.SKIPPED, State.PENDING}),
    State.DEAD: frozenset({State.PENDING, State.SKIPPED}),
    State.HELD: frozenset({State.PENDING, State.SKIPPED}),
}


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


def _invariants() -> tuple[Invariant, ...]:
    return (
        Invariant("closing", "Closings hold a word, a number or a date that is none", _malformed()),
        Invariant("reason", "The reason of closings is not one of their state", _odd()),
        Invariant(
            "claim", "Closings were handed over, but not when, by whom or to whom", _UNCLAIMED
        ),
        Invariant(
            "mark",
            "Closings that may have been asked were let go, or are held without having been in "
            "doubt",
            _LET_GO,
        ),
        Invariant(
            "person",
            "Clients were handed over, but the hashes that recognise them are missing, so they "
            "could be asked again",
            _FORGOTTEN,
        ),
        Invariant("run", "Closings name a run that there never was", _RUNLESS),
        Invariant("last_change", "Closings are not what the last of their changes says", _UNTOLD),
        Invariant(
            "claim_change",
            "Closings were handed over, and their changes do not say so",
            _CLAIM_UNTOLD,
        ),
        Invariant(
            "way",
            "Changes lead where no closing may go, such as away from sent",
            _no_way(),
            "changes",
        ),
        Invariant("chain", "Changes are missing from the list", _UNCHAINED, _LINKED),
        Invariant("hash", "Hashes of people are cut", _CUT, "people"),
        Invariant("hash", "Hashes of contacts that say no are cut", _CUT, _NOES),
    )


def _malformed() -> str:
    words_of = (("state", State), ("command", Command), ("rule", SyncRule), ("approval", Approval))
    moments = ("noticed_at", "read_at", "changed_at", "claimed_at", "updated_at")
    return _any(
        *(f"{column} NOT IN {words(members)}" for column, members in words_of),
        *(f"{column} NOT IN (0, 1)" for column in ("marked", "resent")),
        "closed_on != '' AND date(closed_on, '+0 days') IS NOT closed_on",
        *(_no_whole_number(column, 2**63 - 1) for column in ("matter_id", "contact_id")),
        *(_no_whole_number(column, _LAST_SECOND) for column in moments),
    )


def _no_whole_number(column: str, most: int) -> str:
    no_number = f"typeof({column}) != 'integer' OR {column} NOT BETWEEN 0 AND {most}"
    return f"{column} IS NOT NULL AND ({no_number})"


def _odd() -> str:
    return _none(
        f"state = '{state.value}' AND {_REASON} IN {_words(reasons)}"
        for state, reasons in _REASONS.items()
    )


def _no_way() -> str:
    return _none(
        f"coalesce(from_state, '') IN {_words([state])} AND to_state IN {words(following)}"
        for state, following in _WAYS.items()
    )


def _words(members: Iterable[Reason | State | None]) -> str:
    """Return a list of literals, with the empty word for None."""
    return f"({', '.join(repr(member.value if member else '') for member in members)})"


def _any(*conditions: str) -> str:
    return " OR ".join(f"({condition})" for condition in conditions)


def _none(conditions: Iterable[str]) -> str:
    return f"NOT ({_any(*conditions)})"


_REASON: Final = "coalesce(reason, '')"
_HANDED_OVER: Final = words([State.SENDING, State.SENT, State.HELD])
_WAS_HANDED_OVER: Final = f"(state IN {_HANDED_OVER} OR {MARKED})"
"""The closing was sent to Broadly, or it may have been."""
_UNCLAIMED: Final = f"""
    (state IN {words([State.SENDING, State.SENT])} AND contact_id IS NULL)
    OR ({_WAS_HANDED_OVER} AND claimed_at IS NULL)
    OR (claimed_at IS NULL) != (claimed_in_run = 0)
"""
_LET_GO: Final = f"""
    (state = '{State.HELD.value}' AND marked = 0)
    OR (marked = 1 AND state = '{State.SKIPPED.value}' AND {_REASON} NOT IN {words(FINAL)})
"""
_FORGOTTEN: Final = f"""
    {_WAS_HANDED_OVER} AND (matter_id, closed_on, claimed_at) NOT IN
        (SELECT matter_id, closed_on, claimed_at FROM people WHERE firm = :firm)
"""
"""The subquery is written so that it runs only once, because `people` has no index by matter."""
_RUNLESS: Final = _any(
    *(
        f"{column} NOT BETWEEN 0 AND (SELECT coalesce(max(run), 0) FROM runs WHERE firm = :firm)"
        for column in ("read_in_run", "decided_in_run", "claimed_in_run")
    )
)
_UNTOLD: Final = f"""
    state || ' ' || {_REASON} IS NOT (
        SELECT changes.to_state || ' ' || coalesce(changes.reason, '')
        FROM changes WHERE {OWN_CHANGES}
        ORDER BY changes.run DESC, changes.position DESC
        LIMIT 1
    )
"""
_CLAIM_UNTOLD: Final = f"""
    claimed_in_run > 0 AND NOT EXISTS (
        SELECT 1 FROM changes
        WHERE {OWN_CHANGES}
        AND changes.run = closings.claimed_in_run
        AND changes.to_state = '{State.SENDING.value}'
        AND changes.batch IS closings.batch
    )
"""
_NOES: Final = "(SELECT firm, NULL AS matter_id, identity FROM noes)"
_LINKED: Final = """(
    SELECT
        firm,
        matter_id,
        from_state,
        lag(to_state) OVER (
            PARTITION BY firm, matter_id, closed_on ORDER BY run, position
        ) AS before
    FROM changes
)"""
"""Each change, beside the state in which the change before it ended."""
_UNCHAINED: Final = "before IS NOT from_state"
_CUT: Final = f"length(identity) != {HASH_BYTES}"
