"""The tables in SQLite's own words, and the steps from one version of them to the next.

What the tables are is described in `store/tables.py`.
"""

import sqlite3
from collections.abc import Callable, Iterator
from typing import Final

from clio_broadly_sync.domain.errors import DamagedError, StorageError
from clio_broadly_sync.store import tables
from clio_broadly_sync.store.tables import Column, Condition, Day, Index, Table

RESTORE: Final = "Restore a sound copy of it (README, Recipes)."
"""What to do about a state that is damaged."""
OF_ANY_VERSION: Final = "firm IN (:firm, 'default')"
"""The condition of the firm's rows in a table of any version; before version 4, the one firm of a
file was called `default`."""

DUE: Final = (
    "CREATE TEMPORARY TABLE IF NOT EXISTS due (place INTEGER PRIMARY KEY, "
    "closing INTEGER NOT NULL)",
    "CREATE TEMPORARY TABLE IF NOT EXISTS due_noticed (place INTEGER PRIMARY KEY, "
    "closing INTEGER, client INTEGER)",
    "CREATE TEMPORARY TABLE IF NOT EXISTS due_clients (place INTEGER PRIMARY KEY, "
    "client INTEGER UNIQUE)",
)
"""The closings of a push in the order of sending, and what that is made of: the order in which they
were noticed, and that of their clients. The tables are temporary, so they live outside the state,
and a run makes them only where something is due."""


def check(connection: sqlite3.Connection, *, is_new: bool, mark: str = "") -> None:
    """Raise StorageError for a database that is empty, another program's, damaged, or newer.

    Raise ConfigError for one that has moved, unless it is a copy with this `mark` (`moved.check`).
    With `is_new`, an empty one is in order.
    """
    found = _tables(connection)
    if found and "schema_version" not in found:
        raise StorageError("The state file belongs to another program; check SYNC_STATE.")
    if not found and not is_new:
        raise DamagedError(
            "The state file is empty, as if it had been cut off: restore a copy of it; "
            "or remove it, if nobody was sent yet."
        )
    if found and _version(connection) > VERSION:
        from clio_broadly_sync.store import moved  # which no run needs

        moved.check(connection, mark)
    if found and _version(connection) > VERSION:
        raise StorageError(
            "The state was made by a newer version of this program; install that version again."
        )


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables to this program's version; make them where there are none.

    The caller opens the transaction, so that either all steps are made or none. Raise StorageError
    where a row of an earlier version is none that the program can have written.
    """
    if not _tables(connection):
        for statement in statements():
            connection.execute(statement)
        connection.execute("INSERT INTO schema_version (version) VALUES (?)", (VERSION,))
    elif (version := _version(connection)) < VERSION:
        try:
            for step in STEPS[version - 1 :]:
                step(connection)
        except sqlite3.IntegrityError as error:
            raise StorageError(
                f"The state of an earlier version is damaged, so it was left as it is ({error}). "
                f"{RESTORE}"
            ) from None
        connection.execute("UPDATE schema_version SET version = ?", (VERSION,))


def broken(connection: sqlite3.Connection | object) -> str | None:
    """Return what SQLite finds broken, in its own words; None where all is whole."""
    if not isinstance(connection, sqlite3.Connection):
        return None  # no query tells that of PostgreSQL, which stops where it reads a broken page
    (said,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if said != "ok":
        return str(said).splitlines()[-1]
    return None if is_as_made(connection) else "its tables are not as this program makes them"


def is_as_made(connection: sqlite3.Connection) -> bool:
    """Tell whether tables, indexes and triggers are as this version makes them.

    SQLite's own, such as the statistics that a tool may have made, do not count.
    """
    found = connection.execute(
        "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite%'"
    )
    return {sql for (sql,) in found} == set(statements())


def statements() -> Iterator[str]:
    """Yield the statements that make a new state: its tables, its indexes, its triggers."""
    yield from map(table, tables.TABLES)
    yield from map(index, tables.INDEXES)
    yield from triggers()


def table(described: Table) -> str:
    """Return the statement that makes a table.

    A table without a number of its own is kept in the order of its key.
    """
    numbered = len(described.key) == 1
    parts = [
        f"{column.name} {_type(column)}{' PRIMARY KEY' if described.key == (column.name,) else ''}"
        for column in described.columns
    ]
    if described.key and not numbered:
        parts.append(f"PRIMARY KEY ({', '.join(described.key)})")
    if described.unique:
        parts.append(f"UNIQUE ({', '.join(described.unique)})")
    parts += [
        f'CONSTRAINT "{name}" CHECK ({_condition(condition)})'
        for name, condition in described.checks.items()
    ]
    kind = "STRICT" if numbered or not described.key else "STRICT, WITHOUT ROWID"
    return f"CREATE TABLE {described.name} (\n    {(',' + chr(10) + '    ').join(parts)}\n) {kind}"


def index(described: Index) -> str:
    """Return the statement that makes an index."""
    where = f" WHERE {described.condition}" if described.condition else ""
    columns = ", ".join(described.columns)
    return f"CREATE INDEX {described.name} ON {described.table} ({columns}){where}"


def triggers() -> Iterator[str]:
    """Yield the statements that make the triggers.

    They write the list of changes, so that no code can forget it, and no closing goes a way that
    the list refuses; and they let nobody alter the list, or take a closing away.
    """
    differs = " OR ".join(f"old.{column} IS NOT new.{column}" for column in tables.TELLING)
    on_change = f"AFTER UPDATE OF {', '.join(tables.TELLING)} ON closings WHEN {differs}"
    yield _trigger("closings_added", "AFTER INSERT ON closings", _noting("NULL"))
    yield _trigger("closings_changed", on_change, _noting("old.state"))
    for event, name in (("UPDATE", "changes"), ("DELETE", "changes"), ("DELETE", "closings")):
        stop = f"SELECT RAISE(ABORT, '{name} are kept as they are')"
        yield _trigger(f"{name}_kept_at_{event.lower()}", f"BEFORE {event} ON {name}", stop)


def _noting(before: str) -> str:
    """Return the statement that notes a change; `before` is the expression of the state before."""
    noted = {**tables.NOTED, "from_state": before}
    return f"INSERT INTO changes ({', '.join(noted)}) VALUES ({', '.join(noted.values())})"


def _trigger(name: str, event: str, step: str) -> str:
    return f"CREATE TRIGGER {name} {event} BEGIN {step}; END"


def _type(column: Column) -> str:
    return f"{column.type.upper()}{'' if column.may_be_null else ' NOT NULL'}"


def _condition(condition: Condition) -> str:
    """Return a condition in SQL; a list of words is searched as one text, which is fast."""
    if isinstance(condition, str):
        return condition
    if isinstance(condition, Day):
        # Only with a step, be it of no days, SQLite tells 30 February from a day that there is.
        same = f"date({condition.column}, '+0 days') IS {condition.column}"
        return f"{condition.column} = '' OR {same}"
    return f"instr('|{'|'.join(condition.words)}|', '|' || {condition.expression} || '|') > 0"


# The steps from one version to the next.


def remake(connection: sqlite3.Connection, described: Table, source: str, **columns: str) -> None:
    """Make a table anew from a selection; its columns have their own names there, but for some.

    `columns` are the expressions of those others. No index and no trigger is made.
    """
    taken = {column.name: columns.get(column.name, column.name) for column in described.columns}
    connection.execute(table(described))
    connection.execute(
        f"INSERT INTO {described.name} ({', '.join(taken)}) SELECT {', '.join(taken.values())} "
        f"FROM {source}"
    )


def _m002_batches(connection: sqlite3.Connection) -> None:
    for name, column in (("closings", "batch"), ("closings", "updated_at"), ("changes", "batch")):
        connection.execute(f"ALTER TABLE {name} ADD COLUMN {column} INTEGER")


def _m003_causes_and_noes(connection: sqlite3.Connection) -> None:
    for name, column in (("closings", "cause"), ("changes", "cause"), ("runs", "failure")):
        connection.execute(f"ALTER TABLE {name} ADD COLUMN {column} TEXT")
    connection.execute(
        "CREATE TABLE noes (firm TEXT, identity BLOB, contact_id INTEGER, read_at INTEGER)"
    )


def _m004_numbers_and_triggers(connection: sqlite3.Connection) -> None:
    """Number the firm, closings and people; forbid what cannot be; let triggers write changes."""
    connection.create_function("identity_of", 1, _identity_of, deterministic=True)
    for name in _OLD:
        connection.execute(f"ALTER TABLE {name} RENAME TO old_{name}")
    for described, source, columns in _FROM_OLD:
        remake(connection, described, source, **columns)
    connection.execute(_RUN_AS_FACT)
    for name in _OLD:
        connection.execute(f"DROP TABLE old_{name}")
    for statement in (*map(index, tables.INDEXES), *triggers()):
        connection.execute(statement)


def _m005_channels_and_rules(connection: sqlite3.Connection) -> None:
    """Note what was sent of a client, and by which fields and rules a run decided."""
    if is_as_made(connection):
        return  # the step before makes the tables as they are now
    for described, added in ((tables.CLOSINGS, _OF_NO_CLOSING), (tables.RUNS, _OF_NO_RUN)):
        connection.execute(f"ALTER TABLE {described.name} RENAME TO old_{described.name}")
        remake(connection, described, f"old_{described.name}", **added)
        connection.execute(f"DROP TABLE old_{described.name}")
    kept = {sql for (sql,) in connection.execute("SELECT sql FROM sqlite_master")}
    for statement in (*map(index, tables.INDEXES), *triggers()):
        if statement not in kept:
            connection.execute(statement)


_OF_NO_CLOSING: Final = {"channels": "NULL"}
_OF_NO_RUN: Final = dict.fromkeys(("text_field", "opt_in_untouched"), "NULL")
"""What no version before 5 has noted, by the column."""
_OLD: Final = ("changes", "closings", "people", "noes", "runs", "facts", "schema_version")
_FIRM: Final = str(tables.FIRM)
_NOTICED: Final = "noticed_at, matter_id, closed_on"
_FROM_OLD: Final[tuple[tuple[Table, str, dict[str, str]], ...]] = (
    (tables.SCHEMA_VERSION, "old_schema_version", {}),
    (tables.FACTS, "old_facts", {"firm": _FIRM}),
    (
        tables.RUNS,
        "old_runs",
        {"firm": _FIRM}
        | dict.fromkeys(("version", "rule", "opt_out_field", "opt_in_field"), "NULL")
        | _OF_NO_RUN,
    ),
    (
        tables.CLOSINGS,
        f"old_closings ORDER BY {_NOTICED}",
        {
            "firm": _FIRM,
            "number": f"row_number() OVER (ORDER BY {_NOTICED})",
            "code": """(
                SELECT code FROM old_changes AS change
                WHERE change.firm = old_closings.firm
                AND change.matter_id = old_closings.matter_id
                AND change.closed_on = old_closings.closed_on
                ORDER BY run DESC, position DESC LIMIT 1
            )""",
            "in_doubt": "marked",
            "changed_in_run": "decided_in_run",
        }
        | _OF_NO_CLOSING,
    ),
    (
        tables.CHANGES,
        "old_changes LEFT JOIN closings USING (matter_id, closed_on)",
        {column.name: f"old_changes.{column.name}" for column in tables.CHANGES.columns}
        | {"firm": _FIRM, "closing": "closings.number"},
    ),
    (
        tables.PEOPLE,
        "old_people LEFT JOIN closings USING (matter_id, closed_on)",
        {
            "firm": _FIRM,
            "identity": "identity_of(old_people.identity)",
            "closing": "closings.number",
            "claimed_at": "old_people.claimed_at",
        },
    ),
    (tables.NOES, "old_noes", {"firm": _FIRM, "identity": "identity_of(identity)"}),
    (tables.OBJECTIONS, "closings WHERE false", {"closing": "number", "told_in_run": "NULL"}),
)
"""Which table is made of what, in the order in which they are made."""
_RUN_AS_FACT: Final = f"""
    INSERT INTO facts (firm, name, value)
    SELECT {_FIRM}, 'run', CAST(last AS TEXT) FROM (SELECT max(run) AS last FROM runs)
    WHERE last IS NOT NULL
"""


def _identity_of(hash_: object) -> int:
    """Return the first 8 bytes of a hash as the number by which version 4 knows it."""
    if not isinstance(hash_, bytes) or len(hash_) < tables.IDENTITY_BYTES:
        raise ValueError
    return int.from_bytes(hash_[: tables.IDENTITY_BYTES], "big", signed=True)


STEPS: Final[tuple[Callable[[sqlite3.Connection], None], ...]] = (
    _m002_batches,
    _m003_causes_and_noes,
    _m004_numbers_and_triggers,
    _m005_channels_and_rules,
)
"""The first step leads from version 1 to 2, the next from 2 to 3, and so on. A new state takes none
of them: it is made as `store/tables.py` describes it."""
VERSION: Final = len(STEPS) + 1


def _tables(connection: sqlite3.Connection) -> set[str]:
    found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return {name for (name,) in found}


def _version(connection: sqlite3.Connection) -> int:
    found = connection.execute("SELECT version FROM schema_version").fetchall()
    version = found[0][0] if len(found) == 1 else None
    if not isinstance(version, int) or version < 1:
        raise DamagedError(
            f"The state is damaged: it does not say by which version it was made. {RESTORE}"
        )
    return version
