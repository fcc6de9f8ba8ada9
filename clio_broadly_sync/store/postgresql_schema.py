"""The tables in PostgreSQL's own words, for any number of firms; and a copy of what is one firm's.

What the tables are is described in `store/tables.py`; SQLite's words are in `store/schema.py`. They
are made once, by whoever sets the database up, and no run changes them.
"""

from collections.abc import Iterator
from typing import Final

from psycopg import sql

from clio_broadly_sync.domain.errors import StorageError
from clio_broadly_sync.store import access, tables
from clio_broadly_sync.store.firms import FIRST_MARK
from clio_broadly_sync.store.postgresql import OWNER, Session, storage_errors
from clio_broadly_sync.store.schema import VERSION, index
from clio_broadly_sync.store.tables import Column, Condition, Day, Table

_MAKING: Final = 0x74626C73
"""The number of the lock under which tables are made."""
_FOUND: Final = "SELECT to_regclass('schema_version') IS NOT NULL"
_VERSION: Final = "SELECT version FROM schema_version"
_FUNCTIONS: Final = (
    f"""
    CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO changes ({", ".join(tables.NOTED)}) VALUES ({", ".join(tables.NOTED.values())});
        RETURN NULL;
    END $$
    """,
    f"""
    CREATE FUNCTION keep_rows() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE' AND current_user = '{OWNER}' THEN
            RETURN old;
        END IF;
        RAISE EXCEPTION '% are kept as they are', TG_TABLE_NAME
            USING ERRCODE = 'integrity_constraint_violation';
    END $$
    """,
)
"""What the triggers do. Of a closing that is new, nothing is known of the row before it. Only the
owner deletes: a firm that is removed for good, and no run."""


def make(session: Session) -> None:
    """Make roles and tables where there are none; raise StorageError for those of another version.

    The session's role must be one that may make roles, and tables in this database. Two that do it
    at once do it one after the other.
    """
    with session.transaction():
        session.execute("SELECT pg_advisory_xact_lock(?)", (_MAKING,))
        for statement in access.roles():
            session.raw.execute(statement.encode())
        session.execute(f"SET LOCAL ROLE {OWNER}")
        (found,) = session.execute(_FOUND).fetchone()
        if not found:
            for statement in statements():
                session.raw.execute(statement.encode())
            session.execute("INSERT INTO schema_version (version) VALUES (?)", (VERSION,))
            session.execute(FIRST_MARK)
    check(session)


def check(session: Session) -> None:
    """Raise StorageError unless the tables are of this program's version."""
    with storage_errors():
        found = [version for (version,) in session.execute(_VERSION)]
    if found != [VERSION]:
        raise StorageError(
            "The tables in the database are of another version of this program: install that "
            "version again, or bring the tables to this one."
        )


FIRMS: Final = (
    f"""
    CREATE TABLE firms (
        firm BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY CHECK (firm < {2**31}),
        name TEXT COLLATE "C" NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9][a-z0-9-]{{0,62}}$'),
        settings JSONB NOT NULL,
        secrets BYTEA NOT NULL,
        sign_in BYTEA,
        account TEXT COLLATE "C",
        state TEXT NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'paused', 'removed')),
        state_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        period INTERVAL NOT NULL DEFAULT '15 minutes' CHECK (period >= INTERVAL '1 second'),
        next_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        added_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        failures INTEGER NOT NULL DEFAULT 0,
        failing_since TIMESTAMPTZ,
        last_exit INTEGER,
        last_said TEXT,
        started_at TIMESTAMPTZ,
        ended_at TIMESTAMPTZ,
        good_at TIMESTAMPTZ,
        worker TEXT
    ) WITH (fillfactor = 50, toast_tuple_target = 128)
    """,
    "CREATE UNIQUE INDEX firms_by_account ON firms (account) WHERE state <> 'removed'",
    """
    CREATE TABLE fleet (
        one BOOLEAN PRIMARY KEY DEFAULT true CHECK (one),
        mark TEXT NOT NULL,
        restored_at TIMESTAMPTZ,
        watched_at TIMESTAMPTZ,
        swept_at TIMESTAMPTZ,
        queue TEXT
    )
    """,
)
"""The firms, and what is the fleet's: the mark of the server on which it ran last, when another one
was found (`restored_at`), when its workers did last what one of them does for all, and the version
of the engine's queue. A lock has room for a firm's number of 31 bits.

Each run changes a firm's row three times, and every index would be written as often where one of
them had a column of those changes; so there is none by which to find who is due. What is sealed
lies apart, so that the rows are short enough to be gone through each second."""


def statements() -> Iterator[str]:
    """Yield the statements that make the tables, their indexes and their triggers."""
    yield from map(table, tables.TABLES)
    yield from map(index, tables.INDEXES)
    yield from _FUNCTIONS
    yield from triggers()
    yield from FIRMS
    yield from access.rights()


def table(described: Table) -> str:
    """Return the statement that makes a table."""
    parts = [f"{column.name} {_type(column, described)}" for column in described.columns]
    if described.key:
        parts.append(f"PRIMARY KEY ({', '.join(described.key)})")
    if described.unique:
        parts.append(f"UNIQUE ({', '.join(described.unique)})")
    parts += [
        f'CONSTRAINT "{name}" CHECK ({_condition(condition)})'
        for name, condition in described.checks.items()
    ]
    return f"CREATE TABLE {described.name} (\n    {(',' + chr(10) + '    ').join(parts)}\n)"


def triggers() -> Iterator[str]:
    """Yield the statements that make the triggers, which do what those of SQLite do."""
    differs = " OR ".join(f"old.{c} IS DISTINCT FROM new.{c}" for c in tables.TELLING)
    on_change = f"AFTER UPDATE OF {', '.join(tables.TELLING)} ON closings"
    note = "EXECUTE FUNCTION note_change()"
    yield f"CREATE TRIGGER closings_added AFTER INSERT ON closings FOR EACH ROW {_NEW} {note}"
    yield f"CREATE TRIGGER closings_changed {on_change} FOR EACH ROW WHEN ({differs}) {note}"
    for event, name in (("UPDATE", "changes"), ("DELETE", "changes"), ("DELETE", "closings")):
        on_event = f"{name}_kept_at_{event.lower()} BEFORE {event} ON {name}"
        yield f"CREATE TRIGGER {on_event} FOR EACH ROW EXECUTE FUNCTION keep_rows()"


MOVING: Final = "fleet.moving"
"""With this setting on, the owner brings closings along with their changes (`store/moving.py`)."""
_NEW: Final = f"""
    WHEN (current_user <> '{OWNER}' OR coalesce(current_setting('{MOVING}', true), '') <> 'on')
"""


def _type(column: Column, described: Table) -> str:
    """Return the type of a column; texts are compared byte by byte, whatever the database does."""
    if described.key == (column.name,):
        return "BIGINT GENERATED BY DEFAULT AS IDENTITY"
    kind = "BIGINT" if column.type == "integer" else 'TEXT COLLATE "C"'
    return f"{kind}{'' if column.may_be_null else ' NOT NULL'}"


def _condition(condition: Condition) -> str:
    if isinstance(condition, str):
        return condition
    if isinstance(condition, Day):
        return _DAY.format(day=condition.column)
    words = ", ".join(f"'{word}'" for word in condition.words)
    return f"{condition.expression} IN ({words})"


_DAY: Final = """{day} = '' OR CASE
        WHEN {day} ~ '^(?!0000)[0-9]{{4}}-(0[1-9]|1[0-2])-[0-9]{{2}}$'
        THEN CAST(substr({day}, 9) AS INT) BETWEEN 1 AND extract(
            day FROM CAST(substr({day}, 1, 8) || '01' AS DATE) + INTERVAL '1 month -1 day'
        )
        ELSE false
    END"""
"""A cast would end a statement with an error that is none of a condition."""


def copy(session: Session, firm: int) -> None:
    """Copy what is a firm's, as it is at one moment, into tables that only this session has.

    They bear the names of the real ones and are found before them, so that nothing that is done
    from then on reaches those. They go when the session ends.
    """
    with session.transaction():
        session.raw.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        # Whoever reads a long list on a terminal holds up nobody.
        session.raw.execute("SET idle_in_transaction_session_timeout = 0")
        (schema,) = session.execute("SELECT current_schema()").fetchone()
        for described in tables.TABLES:
            _copy(session, described, sql.Identifier(schema, described.name), firm)
        session.execute(_NUMBER_ON)
        for trigger in triggers():
            session.raw.execute(trigger.encode())


def _copy(session: Session, described: Table, real: sql.Identifier, firm: int) -> None:
    copied = sql.Identifier("pg_temp", described.name)
    of_firm = sql.SQL("WHERE firm = {}" if described.columns[0].name == "firm" else "").format(firm)
    make = sql.SQL("CREATE TEMPORARY TABLE {} (LIKE {} INCLUDING ALL)")
    session.raw.execute(make.format(sql.Identifier(described.name), real))
    session.raw.execute(sql.SQL("INSERT INTO {} SELECT * FROM {} {}").format(copied, real, of_firm))


_NUMBER_ON: Final = """
    SELECT setval(pg_get_serial_sequence('pg_temp.closings', 'number'), max(number))
    FROM closings HAVING max(number) IS NOT NULL
"""
