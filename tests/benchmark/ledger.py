"""Makes a ledger of many years, by putting millions of settled closings into a state."""

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.planting import unguarded

FIRST_MATTER = 100_000_000
"""Their matter ids are counted from here, beyond those that the canned Clio has."""
_DAY = "2026-01-01"
_AT = 1_767_225_600
_STATES = ((None, "pending"), ("pending", "sending"), ("sending", "sent"))
_NUMBERS = "WITH RECURSIVE t (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < :many)"
_CLOSINGS = f"""
    {_NUMBERS} INSERT INTO closings
        (firm, number, matter_id, closed_on, contact_id, state, command, rule, etag, noticed_at,
        read_at, read_in_run, updated_at, in_doubt, resent, approval, tries, claimed_at,
        claimed_in_run, batch, changed_at, changed_in_run, position)
    SELECT
        1, n, :first + n, '{_DAY}', :first + n, 'sent', 'sync', 'opt-out', '"' || n || '"', {_AT},
        {_AT}, 1, {_AT}, 0, 0, 0, 0, {_AT} + n / 50,
        1, n / 50, {_AT}, 1, n
    FROM t
"""
_CHANGES = f"""
    {_NUMBERS} INSERT INTO changes
        (firm, closing, run, position, at, from_state, to_state, batch)
    SELECT
        1, n, 1, n + :many * :step, {_AT}, :before, :after,
        CASE :after WHEN 'sending' THEN n / 50 END
    FROM t
"""
_HASHES = f"""
    CREATE TEMPORARY TABLE hashes AS {_NUMBERS.replace(":many", ":many * 3")}
    SELECT random() AS identity, (n + 2) / 3 AS number FROM t
"""
_PEOPLE = f"""
    INSERT INTO people (firm, identity, closing, claimed_at)
    SELECT 1, identity, number, {_AT} + number / 50
    FROM hashes ORDER BY identity
"""


def grow(state: Path, closings: int) -> None:
    """Let so many closings have been sent to Broadly long ago, each with a client of its own."""
    values = {"first": FIRST_MATTER, "many": closings}
    with closing(sqlite3.connect(state)) as connection, connection, unguarded(connection):
        connection.execute(_CLOSINGS, values)
        for step, (before, after) in enumerate(_STATES):
            changed = {"step": step, "before": before, "after": after}
            connection.execute(_CHANGES, values | changed)
        connection.execute(_HASHES, values)
        connection.execute(_PEOPLE, values)
