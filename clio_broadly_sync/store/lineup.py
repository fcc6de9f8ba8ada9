"""The order of sending: due closings, put in a row once and then read a chunk at a time.

A client's place is that of its first due closing; all its due closings stand together.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    delete,
    func,
    insert,
    select,
)

from clio_broadly_sync.model import State
from clio_broadly_sync.store import rows
from clio_broadly_sync.store.schema import closings, due


def put(connection: Connection, condition: ColumnElement[bool]) -> int:
    """Put the closings that meet the condition in a row; return how many there are."""
    connection.execute(delete(due))
    statement = insert(due).from_select(list(due.c), _in_order(condition))
    return connection.execute(statement).rowcount


def chunk(connection: Connection, firm: str, after: int, size: int) -> Sequence[Row[Any]]:
    """Return what follows that place and is still pending."""
    return connection.execute(_CHUNK, {"firm": firm, "after": after, "size": size}).all()


_CHUNK: Select[Any] = (
    select(*rows.COLUMNS, due.c.place)
    .select_from(due)
    .join(
        closings,
        and_(
            closings.c.firm == bindparam("firm"),
            closings.c.matter_id == due.c.matter_id,
            closings.c.closed_on == due.c.closed_on,
        ),
    )
    .where(due.c.place > bindparam("after"), closings.c.state == State.PENDING.value)
    .order_by(due.c.place)
    .limit(bindparam("size"))
)


def _in_order(condition: ColumnElement[bool]) -> Select[Any]:
    client = func.coalesce(closings.c.contact_id, -closings.c.matter_id)
    own = (closings.c.noticed_at, closings.c.matter_id, closings.c.closed_on)

    def of_first(column: ColumnElement[int]) -> ColumnElement[int]:
        return func.first_value(column).over(partition_by=client, order_by=own)

    found = (
        select(
            *own,
            client.label("client"),
            of_first(closings.c.noticed_at).label("first_noticed"),
            of_first(closings.c.matter_id).label("first_matter"),
        )
        .where(condition)
        .subquery()
        .c
    )
    place = func.row_number().over(
        order_by=(
            found.first_noticed,
            found.first_matter,
            found.client,
            found.noticed_at,
            found.matter_id,
            found.closed_on,
        )
    )
    return select(place, found.matter_id, found.closed_on)
