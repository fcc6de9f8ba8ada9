"""The tables of a state, described once: their columns, and what must hold for every row.

`store/schema.py` makes them in SQLite from this. Every table but `schema_version` has the firm as
its first column: 1 where the state is a file of one firm. No table holds a name, an e-mail address
or a phone number: people are known by keyed hashes. Moments are whole seconds since 1970 in UTC. A
close date is `YYYY-MM-DD`, or empty where the matter has none.
"""

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Final, Literal, NamedTuple

from clio_broadly_sync.domain.consent import Channels
from clio_broadly_sync.domain.model import Approval, Command, SyncRule
from clio_broadly_sync.domain.reasons import FINAL, OF_STATE
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.domain.transitions import TRANSITIONS

FIRM: Final = 1
"""The number of the firm whose state is a file."""
IDENTITY_BYTES: Final = 8
"""So many bytes of a keyed hash stand for a person. That one of three million people is taken for
another has a chance of 2⁻⁴², and then somebody is not asked who might have been."""
MOVED_TO: Final = "moved_to"
"""The name of the fact that a state has moved (`store/moved.py`)."""
LAST_SECOND: Final = 253_402_300_799
"""The last second of the year 9999."""


class Column(NamedTuple):
    """A column of a table."""

    name: str
    type: Literal["integer", "text"]
    """An integer has 64 bits."""
    may_be_null: bool = False


class OneOf(NamedTuple):
    """The condition that an expression gives one of these words."""

    expression: str
    words: tuple[str, ...]


class Day(NamedTuple):
    """The condition that a text column holds a date, or nothing."""

    column: str


Condition = str | OneOf | Day
"""A condition in SQL that every database understands, or one that each has its own words for."""


class Table(NamedTuple):
    """A table: its columns, its key, and the conditions that each of its rows meets."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    """The columns of the primary key; a key of one integer is numbered by the database."""
    unique: tuple[str, ...] = ()
    """The columns of another key."""
    checks: Mapping[str, Condition] = {}
    """The conditions, by a name that says what is wrong where one of them is not met."""


class Index(NamedTuple):
    """An index that holds the rows of a table that meet a condition."""

    name: str
    table: str
    columns: tuple[str, ...]
    condition: str = ""


def quoted(members: Iterable[Enum]) -> str:
    """Return the members' values as a list in brackets, for a statement that never changes.

    This is only for the program's own words: nothing in them is escaped.
    """
    return f"({', '.join(sorted(repr(member.value) for member in members))})"


def _integers(*names: str) -> tuple[Column, ...]:
    """Return integer columns; one whose name ends with a question mark may be null."""
    return tuple(Column(name.rstrip("?"), "integer", name.endswith("?")) for name in names)


def _texts(*names: str) -> tuple[Column, ...]:
    """Return text columns; one whose name ends with a question mark may be null."""
    return tuple(Column(name.rstrip("?"), "text", name.endswith("?")) for name in names)


def _word(member: Enum | None) -> str:
    return "" if member is None else str(member.value)


def _one_of(column: str, words: Iterable[Enum | None]) -> OneOf:
    return OneOf(column, tuple(map(_word, words)))


def _moments(*columns: str) -> str:
    return " AND ".join(f"coalesce({c}, 0) BETWEEN 0 AND {LAST_SECOND}" for c in columns)


PENDING: Final = "closings.state = 'pending'"
SENDING: Final = "closings.state = 'sending'"
IN_DOUBT: Final = "closings.in_doubt = 1"
DEAD: Final = "closings.state = 'dead'"
SKIPPED: Final = "closings.state = 'skipped'"
HELD: Final = f"{IN_DOUBT} AND closings.state = 'held'"
"""These six are the conditions of the partial indexes. SQLite uses such an index only for a
statement that repeats its condition with the same literal, so no statement may bind these values.
Every other key begins with the firm as well. SQLite prefers a partial index to it only where more
columns of that index are given, so each holds the column of its own condition."""
ASKED: Final = quoted([State.SENDING, State.SENT, State.HELD])
"""In these states a closing was sent to Broadly, may have been, or is on its way."""


_STATES_WITH_REASONS: Final = tuple(
    f"{state.value} {reason}"
    for state, reasons in OF_STATE.items()
    for reason in sorted(map(_word, reasons))
)
_WAYS: Final = tuple(
    f"{_word(before)} {after}"
    for before, following in TRANSITIONS.items()
    for after in sorted(map(_word, following))
)
"""Each way that a closing may go, as `before after`; a new closing comes from the empty word."""

FACTS: Final = Table("facts", (*_integers("firm"), *_texts("name", "value")), key=("firm", "name"))
RUNS: Final = Table(
    "runs",
    (
        *_integers("firm", "run"),
        *_texts("run_id", "command", "version?", "rule?"),
        *_integers("opt_out_field?", "opt_in_field?", "text_field?"),
        *_texts("opt_in_untouched?"),
        *_integers("started_at", "finished_at?", "exit_code?"),
        *_texts("failure?"),
    ),
    key=("firm", "run"),
    checks={
        "the moments of a run": _moments("started_at", "finished_at"),
        "the end of a run": "(finished_at IS NULL) = (exit_code IS NULL)",
    },
)
CLOSINGS: Final = Table(
    "closings",
    (
        *_integers("firm", "number", "matter_id"),
        *_texts("closed_on"),
        *_integers("contact_id?"),
        *_texts("state", "reason?", "cause?", "code?", "command", "rule", "etag"),
        *_integers("noticed_at", "read_at", "read_in_run", "updated_at?"),
        *_integers("in_doubt", "resent", "approval", "tries"),
        *_integers("claimed_at?", "claimed_in_run", "batch?"),
        *_texts("channels?"),
        *_integers("changed_at", "changed_in_run", "position"),
    ),
    key=("number",),
    unique=("firm", "matter_id", "closed_on"),
    checks={
        "the reason of a state": OneOf(
            "state || ' ' || coalesce(reason, '')", _STATES_WITH_REASONS
        ),
        "a command": _one_of("command", Command),
        "a rule": _one_of("rule", SyncRule),
        "a yes or no": "in_doubt IN (0, 1) AND resent IN (0, 1)",
        "an approval": f"approval BETWEEN 0 AND {max(a.value for a in Approval)}",
        "an id": "matter_id >= 0 AND coalesce(contact_id, 0) >= 0",
        "a close date": Day("closed_on"),
        "a moment": _moments("noticed_at", "read_at", "updated_at", "claimed_at", "changed_at"),
        "a client who was sent": (
            f"contact_id IS NOT NULL OR state NOT IN {quoted([State.SENDING, State.SENT])}"
        ),
        "a claim": (
            "(claimed_at IS NULL) = (claimed_in_run = 0) AND "
            f"(claimed_at IS NOT NULL OR (in_doubt = 0 AND state NOT IN {ASKED}))"
        ),
        "the channels of a claim": _one_of("coalesce(channels, '')", (None, *Channels)),
        "channels without a claim": "claimed_at IS NOT NULL OR channels IS NULL",
        "a held closing in doubt": f"in_doubt = 1 OR state <> '{State.HELD.value}'",
        "a closing in doubt that is not let go": (
            f"in_doubt = 0 OR state <> '{State.SKIPPED.value}' OR reason IN {quoted(FINAL)}"
        ),
    },
)
CHANGES: Final = Table(
    "changes",
    (
        *_integers("firm", "closing", "run", "position", "at"),
        *_texts("from_state?", "to_state", "reason?", "cause?", "code?"),
        *_integers("batch?"),
    ),
    key=("firm", "closing", "run", "position"),
    checks={
        "a way that a closing goes": OneOf("coalesce(from_state, '') || ' ' || to_state", _WAYS),
    },
)
NOTED: Final[Mapping[str, str]] = {
    "firm": "new.firm",
    "closing": "new.number",
    "run": "new.changed_in_run",
    "position": "new.position",
    "at": "new.changed_at",
    "from_state": "old.state",
    "to_state": "new.state",
    "reason": "new.reason",
    "cause": "new.cause",
    "code": "new.code",
    "batch": f"CASE WHEN new.state = '{State.SENDING.value}' THEN new.batch END",
}
"""What the triggers note in `changes` of a closing that changed, by its column there."""
TELLING: Final = ("state", "reason", "cause", "closed_on")
"""A closing has changed where one of these columns of it has."""
PEOPLE: Final = Table(
    "people",
    _integers("firm", "identity", "closing", "claimed_at"),
    key=("firm", "identity", "closing"),
)
NOES: Final = Table(
    "noes",
    _integers("firm", "identity", "contact_id", "read_at"),
    key=("firm", "identity", "contact_id"),
)
OBJECTIONS: Final = Table(
    "objections",
    _integers("firm", "closing", "read_at", "told_in_run?"),
    key=("firm", "closing"),
)
"""Closings that were sent, whose client was read with the opt-out box checked after that."""
SCHEMA_VERSION: Final = Table("schema_version", _integers("version"))

TABLES: Final = (SCHEMA_VERSION, FACTS, RUNS, CLOSINGS, CHANGES, PEOPLE, NOES, OBJECTIONS)
OF_FIRM: Final = tuple(table.name for table in TABLES if table is not SCHEMA_VERSION)
"""The names of the tables whose rows are each a firm's."""
INDEXES: Final = (
    Index("closings_by_claim", "closings", ("firm", "claimed_at"), "claimed_at IS NOT NULL"),
    Index("closings_by_cause", "closings", ("firm", "cause"), "cause IS NOT NULL"),
    Index(
        "closings_pending",
        "closings",
        ("firm", "state", "command", "noticed_at", "matter_id", "closed_on"),
        "state = 'pending'",
    ),
    Index("closings_sending", "closings", ("firm", "state"), "state = 'sending'"),
    Index("closings_in_doubt", "closings", ("firm", "in_doubt"), "in_doubt = 1"),
    Index("closings_dead", "closings", ("firm", "state"), "state = 'dead'"),
    Index("closings_skipped", "closings", ("firm", "state", "closed_on"), "state = 'skipped'"),
    Index("noes_by_contact", "noes", ("firm", "contact_id")),
)
