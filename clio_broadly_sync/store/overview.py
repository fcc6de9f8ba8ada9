"""How a state stands, in counts: its runs, what waits, what needs a person, what was sent.

This module only reads. Each count goes by an index, so that a ledger of many years is counted as
fast as a new one.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any, Final, NamedTuple

from clio_broadly_sync.domain.model import Approval, Command
from clio_broadly_sync.domain.reasons import FAULTS, OF_CONTACT, UNTOUCHED, Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.domain.told import told
from clio_broadly_sync.store import database, queue, rows
from clio_broadly_sync.store.database import Connection, Row
from clio_broadly_sync.store.rows import OF_FIRM
from clio_broadly_sync.store.tables import DEAD, HELD, PENDING, SENDING, quoted


class PastRun(NamedTuple):
    """A run, as the list of runs has it. Its moments are aware UTC."""

    run: int
    command: str
    started_at: datetime
    finished_at: datetime | None
    """None where the run is still at work, or was cut short."""
    exit_code: int | None
    """None where `finished_at` is."""
    failure: str | None = None
    """The sentence of the error that ended it; None where none did."""


class Group(NamedTuple):
    """The closings of one command that share a reason."""

    command: Command
    reason: Reason | None
    closings: int
    """How many there are."""
    oldest: datetime
    """When the first of them was noticed (aware UTC)."""


_GROUPS: Final = f"""
    SELECT command, reason, count(*) AS number, min(noticed_at) AS oldest
    FROM closings
    WHERE {OF_FIRM} AND {{condition}}
    GROUP BY command, reason
    ORDER BY number DESC, command, reason NULLS FIRST
"""
_WAITING: Final = f"""
    SELECT command, reason, settling, count(*) AS number, min(noticed_at) AS oldest
    FROM (
        SELECT
            command,
            reason,
            noticed_at,
            command = '{Command.SYNC.value}' AND resent = 0 AND noticed_at > :settled AS settling
        FROM closings WHERE {OF_FIRM} AND {PENDING}
    ) AS waiting
    GROUP BY command, reason, settling
"""
_HANDED_OVER: Final = f"""
    SELECT count(*) FROM closings
    WHERE {OF_FIRM} AND claimed_at >= :first AND claimed_at < :end
    AND state = '{State.SENT.value}'
"""
_OLDEST: Final = f"""
    SELECT min(nullif(closed_on, '')) FROM closings
    WHERE {OF_FIRM} AND {PENDING} AND command = '{Command.SYNC.value}' AND resent = 0
    AND in_doubt = 0 AND coalesce(reason NOT IN {quoted(FAULTS)}, true)
"""
_STOPPED_BY: Final = f"""
    SELECT CAST(substr(cause, {len(OF_CONTACT) + 1}) AS INTEGER) AS contact, count(*) AS number
    FROM closings
    WHERE {OF_FIRM} AND cause IS NOT NULL AND cause LIKE :like
    GROUP BY contact
    ORDER BY number DESC, contact
"""
_OF_CAUSE: Final = f"SELECT count(*) FROM closings WHERE {OF_FIRM} AND cause = :cause"


class Overview:
    """The counts of one firm. Every method is one transaction and may raise StorageError."""

    def __init__(self, connection: Connection, firm: int) -> None:
        self._connection = connection
        self._firm = firm

    def last_runs(self, number: int) -> list[PastRun]:
        """Return the last runs, at most `number` of them, the latest first."""
        return self._runs("firm = :firm ORDER BY run DESC LIMIT :number", number=number)

    def last_sync(self) -> PastRun | None:
        """Return the last `sync`, however it ended; None where there was none yet."""
        is_sync = "firm = :firm AND command = :command ORDER BY run DESC LIMIT 1"
        found = self._runs(is_sync, command=Command.SYNC.value)
        return found[0] if found else None

    def waiting(self, kept_back: Reason | None, settled: datetime) -> list[Group]:
        """Count what waits, by command and the reason that is told; the largest group comes first.

        `kept_back` is why nobody may be claimed at this moment (`domain/told.py`), and what `sync`
        noticed after `settled` still rests.
        """
        found: dict[tuple[Command, Reason | None], Group] = {}
        values = {"firm": self._firm, "settled": rows.seconds(settled)}
        with database.transaction(self._connection) as connection:
            for row in connection.execute(_WAITING, values):
                group = _group(row)
                reason = told(group.reason, kept_back, settling=bool(row["settling"]))
                group = group._replace(reason=reason)
                key = group.command, reason
                found[key] = _together(found[key], group) if key in found else group
        return sorted(found.values(), key=lambda g: (-g.closings, g.command, g.reason or ""))

    def oldest_for_export(self) -> date | None:
        """Return the earliest close date of what waits for `sync` and grows too old; None where
        there is none."""
        with database.transaction(self._connection) as connection:
            (found,) = connection.execute(_OLDEST, {"firm": self._firm}).fetchone()
        return date.fromisoformat(found) if found else None

    def sending(self) -> list[Group]:
        """Count what is being sent to Broadly, or was when a run was cut short."""
        return self._groups(SENDING)

    def held(self) -> list[Group]:
        """Count what may have been sent to Broadly and is not sent again by itself."""
        return self._groups(HELD)

    def dead(self) -> list[Group]:
        """Count what Broadly rejected, or put off until it was given up."""
        return self._groups(DEAD)

    def stopped_by(self) -> list[tuple[int, int]]:
        """Count the closings that are stopped by the no of another contact, by that contact's id.

        The contact that stops most comes first.
        """
        values = {"firm": self._firm, "like": f"{OF_CONTACT}%"}
        with database.transaction(self._connection) as connection:
            return [tuple(row) for row in connection.execute(_STOPPED_BY, values)]

    def untouched(self) -> int:
        """Count the closings that were skipped because nobody had touched the matter's checkbox."""
        values = {"firm": self._firm, "cause": UNTOUCHED}
        with database.transaction(self._connection) as connection:
            return int(connection.execute(_OF_CAUSE, values).fetchone()[0])

    def handed_over(self, bounds: Sequence[datetime]) -> list[int]:
        """Count the closings sent to Broadly between each two neighbours of `bounds`.

        What counts is the moment of the claim. The first bound is included, the second is not.
        """
        moments = [rows.seconds(bound) for bound in bounds]
        with database.transaction(self._connection) as connection:
            return [self._handed_over(connection, first, end) for first, end in pairwise(moments)]

    def _handed_over(self, connection: Connection, first: int, end: int) -> int:
        values = {"firm": self._firm, "first": first, "end": end}
        return int(connection.execute(_HANDED_OVER, values).fetchone()[0])

    def _groups(self, condition: str) -> list[Group]:
        statement = _GROUPS.format(condition=condition)
        with database.transaction(self._connection) as connection:
            return [_group(row) for row in connection.execute(statement, {"firm": self._firm})]

    def _runs(self, which: str, **values: object) -> list[PastRun]:
        statement = f"SELECT * FROM runs WHERE {which}"
        with database.transaction(self._connection) as connection:
            found = connection.execute(statement, {"firm": self._firm, **values})
            return [past_run_of(row) for row in found]


def _group(row: Row) -> Group:
    reason = Reason(row["reason"]) if row["reason"] else None
    return Group(Command(row["command"]), reason, row["number"], rows.moment(row["oldest"]))


def _together(one: Group, other: Group) -> Group:
    oldest = min(one.oldest, other.oldest)
    return one._replace(closings=one.closings + other.closings, oldest=oldest)


def past_run_of(row: Row) -> PastRun:
    """Return the run of a row that has all columns of its table."""
    finished = row["finished_at"]
    return PastRun(
        run=row["run"],
        command=row["command"],
        started_at=rows.moment(row["started_at"]),
        finished_at=None if finished is None else rows.moment(finished),
        exit_code=row["exit_code"],
        failure=row["failure"],
    )


# The closings that wait for a person's approval: how many there are, how old they are, and how
# close together they were edited. Clio does not say who edited a matter, but many edits within
# minutes come from one person or from a program.

IN_ONE_GO: Final = timedelta(minutes=10)
"""Edits that lie no further apart than this count as made in one go."""


class SurgeFigures(NamedTuple):
    """What waits for a person's approval, in figures."""

    waiting: int
    """How many closings wait."""
    oldest: date | None = None
    """The earliest of their close dates; None where none of them has one."""
    newest: date | None = None
    """The latest of their close dates; None where none of them has one."""
    after_silence: int = 0
    """How many of them were noticed in a run whose watermark was stale."""
    together: int = 0
    """The most of them that were last edited in Clio within `IN_ONE_GO`."""
    first_edit: datetime | None = None
    """When the first of these edits was made (aware UTC); None where no edit is known."""
    last_edit: datetime | None = None
    """When the last of these edits was made (aware UTC); None where no edit is known."""


_WAITS: Final = f"{queue.DUE_WITHOUT_FAULTS} AND {queue.approval(Approval.WANTED)}"
_FIGURES: Final = f"""
    SELECT
        count(*) AS waiting,
        min(nullif(closed_on, '')) AS oldest,
        max(nullif(closed_on, '')) AS newest,
        count(*) FILTER (WHERE EXISTS (
            SELECT 1 FROM changes
            WHERE {rows.OWN_CHANGES}
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
"""Of all windows that begin with an edit, this finds the one that holds the most edits."""


def surge_figures(connection: Connection, values: Mapping[str, Any]) -> SurgeFigures:
    """Return the figures of what is due and waits for approval.

    `values` says what is due; it comes from `queue.parameters`.
    """
    row = connection.execute(_FIGURES, values).fetchone()
    known = SurgeFigures(
        row["waiting"], _day(row["oldest"]), _day(row["newest"]), row["after_silence"]
    )
    edited = connection.execute(_MOST_EDITED_TOGETHER, values).fetchone()
    if edited is None:
        return known
    first, last = rows.moment(edited["first"]), rows.moment(edited["last"])
    return known._replace(together=edited["together"], first_edit=first, last_edit=last)


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
