"""Those who wait for a person's approval, in figures: how many, how old, edited how close together.

Clio does not tell who edited a matter; but many edits within minutes are one person's, or a
program's.
"""

import sqlite3
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, Final, NamedTuple

from clio_broadly_sync.domain.model import Approval
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.store import conditions, rows

IN_ONE_GO: Final = timedelta(minutes=10)
"""So close together are edits that are made in one go."""


class Crowd(NamedTuple):
    """What waits for a person's approval, in figures.

    `oldest`, `newest`: their close dates. `after_silence`: how many were noticed in a run whose
    watermark was stale. `together`: the most that were last edited in Clio within `IN_ONE_GO`,
    from `first_edit` to `last_edit`.
    """

    waiting: int
    oldest: date | None = None
    newest: date | None = None
    after_silence: int = 0
    together: int = 0
    first_edit: datetime | None = None
    last_edit: datetime | None = None


_WAITS: Final = f"{conditions.DUE_WITHOUT_FAULTS} AND {conditions.approval(Approval.WANTED)}"
_FIGURES: Final = f"""
    SELECT
        count(*) AS waiting,
        min(nullif(closed_on, '')) AS oldest,
        max(nullif(closed_on, '')) AS newest,
        count(*) FILTER (WHERE EXISTS (
            SELECT 1 FROM changes
            WHERE {conditions.OWN_CHANGES}
            AND changes.from_state IS NULL AND changes.reason = '{Reason.SURGE.value}'
        )) AS after_silence
    FROM closings WHERE {_WAITS}
"""
"""A closing that waited for approval from its first change on was noticed in a stale run."""
_MOST_EDITED_TOGETHER: Final = f"""
    SELECT
        updated_at AS first,
        count(*) OVER from_here AS together,
        max(updated_at) OVER from_here AS last
    FROM closings WHERE {_WAITS} AND updated_at IS NOT NULL
    WINDOW from_here AS (
        ORDER BY updated_at
        RANGE BETWEEN CURRENT ROW AND {int(IN_ONE_GO.total_seconds())} FOLLOWING
    )
    ORDER BY together DESC, first
    LIMIT 1
"""
"""Of all the windows that begin with an edit, the one that holds the most."""


def crowd_of(connection: sqlite3.Connection, values: Mapping[str, Any]) -> Crowd:
    """Return the figures of what is due by these values (`conditions.parameters`) and waits."""
    row = connection.execute(_FIGURES, values).fetchone()
    known = Crowd(row["waiting"], _day(row["oldest"]), _day(row["newest"]), row["after_silence"])
    edited = connection.execute(_MOST_EDITED_TOGETHER, values).fetchone()
    if edited is None:
        return known
    first, last = rows.moment(edited["first"]), rows.moment(edited["last"])
    return known._replace(together=edited["together"], first_edit=first, last_edit=last)


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
