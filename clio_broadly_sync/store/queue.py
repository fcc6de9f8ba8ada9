"""What is due, as conditions on the ledger's rows; and the order of sending.

Closings are put in order once and then read a chunk at a time. A client's place is that of their
first closing, and all their closings stand together.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from clio_broadly_sync.domain.model import Approval, Closing, Due
from clio_broadly_sync.domain.reasons import FAULTS, TRIED
from clio_broadly_sync.store import rows, schema
from clio_broadly_sync.store.database import Connection
from clio_broadly_sync.store.rows import OF_FIRM
from clio_broadly_sync.store.tables import ASKED, PENDING, quoted

_FAULTS: Final = quoted(FAULTS)
_TRIED: Final = quoted(TRIED)

IS_FAULT: Final = f"coalesce(closings.reason IN {_FAULTS}, false)"


def approval(*approvals: Approval) -> str:
    """Return the condition that a closing has one of these approvals."""
    return f"closings.approval IN {quoted(approvals)}"


AWAITING: Final = (
    f"{OF_FIRM} AND {PENDING} AND closings.command = :command AND {approval(Approval.WANTED)}"
)
"""What waits, of a command, for a person to approve it, due or not."""

OF_COMMAND: Final = f"""
    {OF_FIRM} AND {PENDING} AND closings.command = :command
    AND (closings.closed_on = '' OR CAST(:first AS TEXT) IS NULL OR closings.closed_on >= :first)
    AND (closings.closed_on = '' OR CAST(:last AS TEXT) IS NULL OR closings.closed_on <= :last)
"""
"""What waits, of a command and in its range of close dates, due or not. A closing without a close
date is in every range."""

_OF_MATTER: Final = f"{OF_FIRM} AND closings.matter_id = :matter_id AND NOT (NOT {PENDING})"
"""What waits of one matter, of either command. The state is spelled so that no index of it is taken
for the key, which finds the matter."""
_IS_DUE: Final = f"""
    (closings.noticed_at <= :noticed_until OR closings.resent = 1)
    AND NOT (closings.changed_in_run = :run AND {IS_FAULT})
    AND NOT (closings.claimed_in_run = :run AND coalesce(closings.reason IN {_TRIED}, false))
    AND (
        CAST(:faults_until AS INTEGER) IS NULL OR NOT {IS_FAULT}
        OR closings.read_at <= :faults_until
    )
"""
"""Of what waits, what is due; without what was already tried or looked at in this run."""
DUE: Final = f"{OF_COMMAND} AND {_IS_DUE}"
DUE_WITHOUT_FAULTS: Final = f"{DUE} AND NOT {IS_FAULT}"

HANDED_OVER: Final = f"""
    {OF_FIRM} AND closings.claimed_at > :since AND closings.command = :command
    AND closings.approval != {Approval.GIVEN.value}
    AND closings.state IN {ASKED}
"""
"""What was claimed after `:since` without a person's approval, and was sent, may have been sent, or
is on its way."""


class SurgeCounts(NamedTuple):
    """What says whether there is a surge, in closings."""

    unapproved: int
    """Those that are due, without faults, and that no person approved."""
    awaiting: int
    """Those of them that wait for a person to approve them."""
    recent: int
    """Those that went without a person's approval not long ago, or may have gone."""


def surge_counts(connection: Connection, values: Mapping[str, Any]) -> SurgeCounts:
    """Return the counts for these parameters, of which `since` says what is recent."""
    return SurgeCounts(*connection.execute(_SURGE, values).fetchone())


_SURGE: Final = "SELECT " + ", ".join(
    f"(SELECT count(*) FROM closings WHERE {counted})"
    for counted in (
        f"{DUE_WITHOUT_FAULTS} AND {approval(Approval.NONE, Approval.WANTED)}",
        f"{DUE_WITHOUT_FAULTS} AND {approval(Approval.WANTED)}",
        HANDED_OVER,
    )
)


def waiting(wanted: Due) -> str:
    """Return the condition of what waits of the command, or of either for one matter, due or
    not."""
    return OF_COMMAND if wanted.matter_id is None else _OF_MATTER


def due(wanted: Due) -> str:
    """Return the condition of what is due of that."""
    return f"{waiting(wanted)} AND {_IS_DUE}"


def parameters(wanted: Due, firm: int, run: int) -> dict[str, Any]:
    """Return the parameters of `waiting` and of `due`."""
    until = wanted.faults_until
    return {
        "firm": firm,
        "command": wanted.command.value,
        "first": rows.day(wanted.first) or None,
        "last": rows.day(wanted.last) or None,
        "matter_id": wanted.matter_id,
        "noticed_until": rows.seconds(wanted.noticed_until),
        "run": run,
        "faults_until": None if until is None else rows.seconds(until),
    }


# The order of sending.

CHUNK: Final = 500
"""At most so many rows are in memory at a time."""

_OWN: Final = "noticed_at, matter_id, closed_on"
_NOTICE: Final = f"""
    INSERT INTO due_noticed (closing, client)
    SELECT number, coalesce(contact_id, -matter_id) FROM closings
    WHERE {{condition}} ORDER BY {_OWN}
"""
_CLIENTS: Final = """
    INSERT INTO due_clients (client) SELECT client FROM due_noticed WHERE true ORDER BY place
    ON CONFLICT DO NOTHING
"""
_PUT: Final = """
    INSERT INTO due (closing)
    SELECT closing FROM due_noticed JOIN due_clients USING (client)
    ORDER BY due_clients.place, due_noticed.place
"""
"""SQLite numbers the rows of all three in the order in which they are put there. (Windows over the
closings of each client take three times as long.)"""
_CHUNK: Final = f"""
    SELECT {rows.SELECTED}, due.place
    FROM due JOIN closings ON {OF_FIRM} AND closings.number = due.closing
    WHERE due.place > :after
    ORDER BY due.place
    LIMIT {CHUNK}
"""


def put(connection: Connection, condition: str, values: Mapping[str, Any]) -> int:
    """Put the closings that meet the condition in order; return how many there are.

    They take the place of those that were put in order before.
    """
    for table in schema.DUE:
        connection.execute(table)
    for table in ("due", "due_clients", "due_noticed"):
        connection.execute(f"DELETE FROM {table}")
    connection.execute(_NOTICE.format(condition=condition), values)
    connection.execute(_CLIENTS)
    return connection.execute(_PUT).rowcount


def clients(connection: Connection) -> int:
    """Return how many clients the closings have that were put in order."""
    return int(connection.execute("SELECT count(*) FROM due_clients").fetchone()[0])


def chunk(connection: Connection, firm: int, after: int) -> tuple[list[Closing], int | None]:
    """Return the closings that come next after the place `after`, and the place of the last one.

    In place of the last, None says that no more follow.
    """
    found = connection.execute(_CHUNK, {"firm": firm, "after": after}).fetchall()
    last = found[-1]["place"] if len(found) == CHUNK else None
    return [rows.closing_of(row) for row in found], last
