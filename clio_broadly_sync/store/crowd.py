"""Those who wait for a person's approval, in figures: how many, how old, edited how close together.

Clio does not tell who edited a matter; but many edits within minutes are one person's, or a
program's.
"""

from datetime import date, datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, func, select

from clio_broadly_sync.model import Reason
from clio_broadly_sync.store import conditions, rows
from clio_broadly_sync.store.schema import changes, closings

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


def crowd_of(connection: Connection, condition: ColumnElement[bool]) -> Crowd:
    """Return the figures of the closings that meet the condition."""
    row = connection.execute(_figures(condition)).one()
    known = Crowd(row.waiting, _day(row.oldest), _day(row.newest), row.after_silence)
    edited = connection.execute(_most_edited_together(condition)).one_or_none()
    if edited is None:
        return known
    first, last = rows.moment(edited.updated_at), rows.moment(edited.last)
    return known._replace(together=edited.together, first_edit=first, last_edit=last)


def _figures(condition: ColumnElement[bool]) -> Select[int, Any, Any, int]:
    """A closing that waited for approval from its first change on was noticed in a stale run."""
    day = func.nullif(closings.c.closed_on, rows.day(None))
    from_the_first = and_(changes.c.from_state.is_(None), changes.c.reason == Reason.SURGE.value)
    stale = select(changes.c.run).where(*conditions.OWN_CHANGES, from_the_first).exists()
    return select(
        func.count().label("waiting"),
        func.min(day).label("oldest"),
        func.max(day).label("newest"),
        func.count().filter(stale).label("after_silence"),
    ).where(condition)


def _most_edited_together(condition: ColumnElement[bool]) -> Select[Any]:
    """Of all the windows that begin with an edit, the one that holds the most."""
    edited = closings.c.updated_at
    window = (0, int(IN_ONE_GO.total_seconds()))
    found = (
        select(
            edited,
            func.count().over(order_by=edited, range_=window).label("together"),
            func.max(edited).over(order_by=edited, range_=window).label("last"),
        )
        .where(condition, edited.is_not(None))
        .subquery()
    )
    return select(found).order_by(found.c.together.desc(), found.c.updated_at).limit(1)


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
