"""The order of sending: closings, put in a row once and then read a chunk at a time.

A client's place is that of its first closing; all its closings stand together.
"""

import sqlite3
from collections.abc import Mapping
from typing import Any, Final

from clio_broadly_sync.domain.model import Closing
from clio_broadly_sync.store import rows
from clio_broadly_sync.store.conditions import OF_FIRM

CHUNK: Final = 500
"""Rows held in memory at a time."""

_OWN: Final = "noticed_at, matter_id, closed_on"
_PUT: Final = f"""
    INSERT INTO due (place, matter_id, closed_on)
    SELECT
        row_number() OVER (ORDER BY first_noticed, first_matter, client, {_OWN}),
        matter_id,
        closed_on
    FROM (
        SELECT
            {_OWN},
            coalesce(contact_id, -matter_id) AS client,
            first_value(noticed_at) OVER of_client AS first_noticed,
            first_value(matter_id) OVER of_client AS first_matter
        FROM closings
        WHERE {{condition}}
        WINDOW of_client AS (PARTITION BY coalesce(contact_id, -matter_id) ORDER BY {_OWN})
    )
"""
_CHUNK: Final = f"""
    SELECT {rows.SELECTED}, due.place
    FROM due JOIN closings
        ON {OF_FIRM}
        AND closings.matter_id = due.matter_id
        AND closings.closed_on = due.closed_on
    WHERE due.place > :after
    ORDER BY due.place
    LIMIT {CHUNK}
"""


def put(connection: sqlite3.Connection, condition: str, values: Mapping[str, Any]) -> int:
    """Put the closings that meet the condition in a row; return how many there are."""
    connection.execute("DELETE FROM due")
    return connection.execute(_PUT.format(condition=condition), values).rowcount


def chunk(
    connection: sqlite3.Connection, firm: str, after: int
) -> tuple[list[Closing], int | None]:
    """Return what follows that place, and the place of the last; None: there is no more."""
    found = connection.execute(_CHUNK, {"firm": firm, "after": after}).fetchall()
    last = found[-1]["place"] if len(found) == CHUNK else None
    return [rows.closing_of(row) for row in found], last
