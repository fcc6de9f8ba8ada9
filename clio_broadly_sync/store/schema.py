"""The tables, and the steps from one version of them to the next.

The firm is the first column of every key. No name, e-mail address or phone number is in any of
them: `people` holds keyed hashes. Moments are whole seconds since 1970 in UTC; a close date is
`YYYY-MM-DD`, or empty where the matter has none.
"""

from collections.abc import Callable
from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    insert,
    inspect,
    select,
    text,
    update,
)

from clio_broadly_sync.errors import StorageError

metadata = MetaData()

schema_version = Table("schema_version", metadata, Column("version", Integer, nullable=False))

facts = Table(
    "facts",
    metadata,
    Column("firm", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    sqlite_with_rowid=False,
)

runs = Table(
    "runs",
    metadata,
    Column("firm", Text, primary_key=True),
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("run_id", Text, nullable=False),
    Column("command", Text, nullable=False),
    Column("started_at", Integer, nullable=False),
    Column("finished_at", Integer),
    Column("exit_code", Integer),
    sqlite_with_rowid=False,
)

closings = Table(
    "closings",
    metadata,
    Column("firm", Text, primary_key=True),
    Column("matter_id", BigInteger, primary_key=True, autoincrement=False),
    Column("closed_on", Text, primary_key=True),
    Column("contact_id", BigInteger),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("command", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("etag", Text, nullable=False),
    Column("noticed_at", Integer, nullable=False),
    Column("read_at", Integer, nullable=False),
    Column("read_in_run", Integer, nullable=False),
    Column("decided_in_run", Integer, nullable=False),
    Column("position", Integer, nullable=False),
    Column("marked", Integer, nullable=False),
    Column("resent", Integer, nullable=False),
    Column("approval", Integer, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("claimed_at", Integer),
    Column("claimed_in_run", Integer, nullable=False),
    Column("changed_at", Integer, nullable=False),
    Column("batch", Integer),
    Column("updated_at", Integer),
)
Index("closings_by_run", closings.c.firm, closings.c.decided_in_run)
Index("closings_by_claim", closings.c.firm, closings.c.claimed_at)

PENDING: Final = text("closings.state = 'pending'")
SENDING: Final = text("closings.state = 'sending'")
MARKED: Final = text("closings.marked = 1")
DEAD: Final = text("closings.state = 'dead'")
"""Conditions of the partial indexes: SQLite uses one only for a statement that repeats its
condition with the same literal, so no statement may bind these values. And it prefers one to the
primary key, which begins with the firm as well, only where more columns of it are given (so they
hold their own condition's column), and where the primary key is not the table itself."""

for name, columns, where in (
    (
        "closings_pending",
        ("firm", "state", "command", "noticed_at", "matter_id", "closed_on"),
        "state = 'pending'",
    ),
    ("closings_sending", ("firm", "state"), "state = 'sending'"),
    ("closings_marked", ("firm", "marked"), "marked = 1"),
    ("closings_dead", ("firm", "state"), "state = 'dead'"),
):
    Index(
        name,
        *(closings.c[column] for column in columns),
        sqlite_where=text(where),
    )

changes = Table(
    "changes",
    metadata,
    Column("firm", Text, primary_key=True),
    Column("matter_id", BigInteger, primary_key=True, autoincrement=False),
    Column("closed_on", Text, primary_key=True),
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("at", Integer, nullable=False),
    Column("from_state", Text),
    Column("to_state", Text, nullable=False),
    Column("reason", Text),
    Column("code", Text),
    Column("batch", Integer),
    ForeignKeyConstraint(
        ["firm", "matter_id", "closed_on"],
        ["closings.firm", "closings.matter_id", "closings.closed_on"],
        onupdate="CASCADE",
    ),
    sqlite_with_rowid=False,
)

people = Table(
    "people",
    metadata,
    Column("firm", Text, primary_key=True),
    Column("identity", LargeBinary, primary_key=True),
    Column("matter_id", BigInteger, primary_key=True, autoincrement=False),
    Column("closed_on", Text, primary_key=True),
    Column("claimed_at", Integer, nullable=False),
    sqlite_with_rowid=False,
)

due = Table(
    "due",
    MetaData(),
    Column("place", Integer, primary_key=True),
    Column("matter_id", BigInteger, nullable=False),
    Column("closed_on", Text, nullable=False),
    prefixes=["TEMPORARY"],
)
"""The closings of a push in the order of sending; temporary, so it lives outside the state."""


def _m002_batches(connection: Connection) -> None:
    for table, column in (("closings", "batch"), ("closings", "updated_at"), ("changes", "batch")):
        connection.execute(text(f"ALTER TABLE {table} ADD COLUMN {column} INTEGER"))
    dead = next(index for index in closings.indexes if index.name == "closings_dead")
    dead.create(connection)


STEPS: Final[tuple[Callable[[Connection], None], ...]] = (_m002_batches,)
"""From version 1 to 2, from 2 to 3, and so on; a new state is made as it is now."""
VERSION: Final = len(STEPS) + 1


def check(connection: Connection, *, is_new: bool) -> None:
    """Raise StorageError for a database that is empty, or another program's, or newer."""
    tables = inspect(connection).get_table_names()
    if tables and schema_version.name not in tables:
        raise StorageError("The state file belongs to another program; check SYNC_STATE.")
    if not tables and not is_new:
        raise StorageError(
            "The state file is empty, as if it had been cut off: restore a copy of it; "
            "or remove it, if nobody was handed over yet."
        )
    if tables and _version(connection) > VERSION:
        raise StorageError(
            "The state was made by a newer version of this program; install that version again."
        )


def migrate(connection: Connection) -> None:
    """Bring the tables to this program's version, all steps in the caller's transaction."""
    if not inspect(connection).get_table_names():
        metadata.create_all(connection)
        connection.execute(insert(schema_version).values(version=VERSION))
    elif (version := _version(connection)) < VERSION:
        for step in STEPS[version - 1 :]:
            step(connection)
        connection.execute(update(schema_version).values(version=VERSION))


def _version(connection: Connection) -> int:
    version: int = connection.execute(select(schema_version.c.version)).scalar_one()
    return version
