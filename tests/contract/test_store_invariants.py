"""What the database itself forbids: rows that cannot be, ways that no closing goes, and any change
of the list of changes. The cases are made from the tables and the words of the domain."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

import psycopg
import pytest
from factories import NOW, make_closing
from ledgers import put, row
from planting import connection_of, sql, untriggered
from watched import IN_POSTGRESQL
from whole import HELD, LATER, SENDING, SENT, SKIPPED, WAITS

from clio_broadly_sync.domain.errors import StorageError
from clio_broadly_sync.domain.model import Key
from clio_broadly_sync.domain.reasons import OF_STATE, Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.domain.transitions import TRANSITIONS
from clio_broadly_sync.store import Place, Store, tables
from clio_broadly_sync.store.database import transaction

EVERY_REASON: Final = (None, *Reason)


def flaws(path: Path) -> set[str]:
    with Store.snapshot(path) as store:
        return {flaw.name for flaw in store.integrity.flaws(LATER)}


# Reasons and ways.


@pytest.mark.parametrize("reason", EVERY_REASON)
@pytest.mark.parametrize("state", State)
def test_reasons_of_a_state(store: Store, state: State, reason: Reason | None) -> None:
    """Those that it may have are written; the others are not."""
    made = make_closing(state=state, reason=reason)
    if reason in OF_STATE[state]:
        put(store, made)
        assert (row(store).state, row(store).reason) == (state, reason)
        assert "database" not in {flaw.name for flaw in store.integrity.flaws(NOW)}
    else:
        with pytest.raises(StorageError, match="the reason of a state"):
            put(store, made)
        assert store.integrity.sizes() == (0, 0, 1)


@pytest.mark.parametrize("after", State)
@pytest.mark.parametrize("before", TRANSITIONS, ids=str)
def test_ways_of_a_closing(store: Store, before: State | None, after: State) -> None:
    """One that is a way is gone and noted; no other is."""
    old = None
    if before is not None:
        put(store, make_closing(state=before))
        old = row(store)
    known = store.integrity.sizes()
    goes = make_closing(state=after, number=old.number if old else 0)
    goes = goes._replace(key=Key(goes.key.matter_id, NOW.date()))
    if after in TRANSITIONS[before]:
        store.ledger.record([(old, goes)], NOW)
        assert store.history.of_matter(77)[0].steps[-1][3:5] == (before, after)
    else:
        with pytest.raises(StorageError, match="a way that a closing goes"):
            store.ledger.record([(old, goes)], NOW)
        assert store.integrity.sizes() == known
        assert old is None or row(store) == old


NEVER: Final = {
    *((State.SENT, state) for state in State),
    *((state, State.SENDING) for state in (None, *State) if state is not State.PENDING),
    *((state, State.SENT) for state in (None, *State) if state is not State.SENDING),
    *((state, State.DEAD) for state in (None, *State) if state is not State.SENDING),
    *((state, State.HELD) for state in (None, State.SKIPPED, State.DEAD, State.HELD)),
    (State.SKIPPED, State.DEAD),
}
"""What sends somebody twice or against their will, or loses somebody, whatever the table says."""


def test_ways_that_no_table_may_allow() -> None:
    """And those without which nobody would be sent."""
    allowed = {(before, after) for before, several in TRANSITIONS.items() for after in several}
    assert not allowed & NEVER
    assert allowed >= {(None, State.PENDING), (State.PENDING, State.SENDING)}
    assert (State.SENDING, State.SENT) in allowed


# Conditions.

Broken = tuple[int, str]
"""A closing's number, and what is set in its row."""
LATE: Final = tables.LAST_SECOND + 1
CLOSINGS: Final[Mapping[str, tuple[Broken, ...]]] = {
    "the reason of a state": ((WAITS, "reason = 'perhaps'"), (SKIPPED, "reason = NULL")),
    "a command": ((WAITS, "command = 'check'"),),
    "a rule": ((WAITS, "rule = 'never'"),),
    "a yes or no": ((SENT, "in_doubt = 2"), (WAITS, "resent = -1")),
    "an approval": ((WAITS, "approval = 7"), (WAITS, "approval = -1")),
    "an id": ((WAITS, "matter_id = -1"), (WAITS, "contact_id = -1")),
    "a close date": ((WAITS, "closed_on = '2026-02-30'"), (WAITS, "closed_on = 'today'")),
    "a moment": tuple(
        (SENT, f"{column} = {value}")
        for column in ("noticed_at", "read_at", "updated_at", "claimed_at", "changed_at")
        for value in (-1, LATE)
    ),
    "a client who was sent": ((SENT, "contact_id = NULL"), (SENDING, "contact_id = NULL")),
    "a claim": (
        (SENT, "claimed_at = NULL"),
        (SENT, "claimed_at = NULL, claimed_in_run = 0"),
        (WAITS, "claimed_in_run = 1"),
        (WAITS, "in_doubt = 1"),
    ),
    "the channels of a claim": ((SENT, "channels = 'fax'"), (SENT, "channels = 'phone,email'")),
    "channels without a claim": ((WAITS, "channels = 'email'"),),
    "a held closing in doubt": ((HELD, "in_doubt = 0"),),
    "a closing in doubt that is not let go": (
        (SKIPPED, "in_doubt = 1, claimed_at = 1, claimed_in_run = 1"),
    ),
}
RUNS: Final[Mapping[str, tuple[Broken, ...]]] = {
    "the moments of a run": ((1, "started_at = -1"), (1, f"finished_at = {LATE}")),
    "the end of a run": ((1, "finished_at = NULL"), (1, "exit_code = NULL")),
}
CHANGES: Final[Mapping[str, tuple[Broken, ...]]] = {
    "a way that a closing goes": ((SENT, "from_state = 'sent'"), (WAITS, "to_state = 'dead'")),
}
BREAKS: Final = {"closings": CLOSINGS, "runs": RUNS, "changes": CHANGES}
TYPES: Final = ("read_at = 'noon'", "changed_at = 1.5", "state = NULL", "etag = x'00'")
"""What no column takes."""


UPDATE: Final = {
    "closings": "UPDATE closings SET {} WHERE number = {}",
    "runs": "UPDATE runs SET {} WHERE run = {}",
    "changes": "UPDATE changes SET {} WHERE closing = {}",
}
STATEMENTS: Final = [
    pytest.param(name, UPDATE[table].format(change, key), id=f"{name}: {change}")
    for table, conditions in BREAKS.items()
    for name, several in conditions.items()
    for key, change in several
]


def test_every_condition_has_a_row_that_breaks_it() -> None:
    found = {table.name: table.checks.keys() for table in tables.TABLES if table.checks}
    assert found == {table: conditions.keys() for table, conditions in BREAKS.items()}


@pytest.mark.parametrize(("name", "statement"), STATEMENTS)
def test_row_that_cannot_be(path: Path, name: str, statement: str) -> None:
    """It is refused by its name; planted all the same, it is found."""
    with (
        closing(sqlite3.connect(path)) as connection,
        untriggered(connection),
        pytest.raises(sqlite3.IntegrityError, match=f"^CHECK constraint failed: {name}$"),
    ):
        connection.execute(statement)
    sql(path, statement)
    assert flaws(path) == {"database"}


@IN_POSTGRESQL
@pytest.mark.parametrize(("name", "statement"), STATEMENTS)
def test_row_that_cannot_be_in_a_firm(state: Place, name: str, statement: str) -> None:
    """It is refused by the same name, and nobody can plant it."""
    with pytest.raises(psycopg.errors.CheckViolation, match=f'check constraint "{name}"'):
        sql(state, statement)


@IN_POSTGRESQL
@pytest.mark.parametrize("change", TYPES[::2])
def test_value_of_another_type_in_a_firm(state: Place, change: str) -> None:
    """What must be there is, and a word is no number."""
    with pytest.raises(psycopg.Error, match=r"invalid input|not-null"):
        sql(state, UPDATE["closings"].format(change, WAITS))


@IN_POSTGRESQL
@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("UPDATE changes SET at = at + 1", "changes"),
        ("DELETE FROM changes WHERE closing = 1", "changes"),
        ("DELETE FROM closings WHERE number = 1", "closings"),
    ],
)
def test_nothing_is_taken_back_of_a_firm(state: Place, statement: str, name: str) -> None:
    """Whoever tries hears it as of any row that cannot be."""
    with (
        state.open() as store,
        pytest.raises(StorageError, match=f"{name} are kept as they are"),
        transaction(connection_of(store)) as connection,
    ):
        connection.execute(statement)


@pytest.mark.parametrize("change", TYPES)
def test_value_of_another_type(path: Path, change: str) -> None:
    """No type is guessed, and what must be there is."""
    with (
        closing(sqlite3.connect(path)) as connection,
        pytest.raises(sqlite3.IntegrityError, match=r"cannot store|NOT NULL"),
    ):
        connection.execute(UPDATE["closings"].format(change, WAITS))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE changes SET at = at + 1",
        "DELETE FROM changes WHERE closing = 1",
        "DELETE FROM closings WHERE number = 1",
    ],
)
def test_nothing_is_taken_back(path: Path, statement: str) -> None:
    """Neither what is written in the list of changes, nor a closing."""
    with (
        closing(sqlite3.connect(path)) as connection,
        pytest.raises(sqlite3.IntegrityError, match="kept as they are"),
    ):
        connection.execute(statement)


def test_index_or_trigger_that_is_gone(path: Path) -> None:
    """Each is missed; without its trigger, whatever is written afterwards may be wrong."""
    made = "SELECT type, name, sql FROM sqlite_master WHERE type <> 'table' AND sql IS NOT NULL"
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute(made).fetchall()
    assert len(found) == len(tables.INDEXES) + 5
    for kind, name, statement in found:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"DROP {kind} {name}")
            assert flaws(path) == {"database"}
            connection.execute(statement)
    assert flaws(path) == set()


def test_statistics_are_no_flaw(path: Path) -> None:
    """A tool for databases may keep some, in a table of SQLite's own."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ANALYZE")
        connection.commit()
    assert flaws(path) == set()
