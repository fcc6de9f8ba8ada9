"""States as earlier versions of the tables made them, with every state and every reason in them."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from itertools import count, pairwise
from pathlib import Path
from typing import Any, Final

from planting import untriggered

from clio_broadly_sync.domain.reasons import OF_STATE, Reason
from clio_broadly_sync.domain.states import State

Row = dict[str, Any]
AT: Final = 1795197600
"""When everything began, as a moment of the ledger: 2026-11-20 18:00 UTC."""
_FOLDER: Final = Path(__file__).parent
_DUMP: Final = (_FOLDER / "state_version_1.sql").read_text(encoding="utf-8")
_VERSION_1: Final = re.sub(r'INSERT INTO "(?!schema_version).*\n', "", _DUMP)
_VERSION_2: Final = """
    ALTER TABLE closings ADD COLUMN batch INTEGER;
    ALTER TABLE closings ADD COLUMN updated_at INTEGER;
    ALTER TABLE changes ADD COLUMN batch INTEGER;
    CREATE INDEX closings_dead ON closings (firm, state) WHERE state = 'dead';
"""
_VERSION_3: Final = """
    ALTER TABLE closings ADD COLUMN cause TEXT;
    ALTER TABLE changes ADD COLUMN cause TEXT;
    ALTER TABLE runs ADD COLUMN failure TEXT;
    CREATE TABLE noes (
        firm TEXT NOT NULL,
        identity BLOB NOT NULL,
        contact_id BIGINT NOT NULL,
        read_at INTEGER NOT NULL,
        PRIMARY KEY (firm, identity, contact_id)
    ) WITHOUT ROWID;
    CREATE INDEX closings_by_cause ON closings (firm, cause) WHERE cause IS NOT NULL;
    CREATE INDEX noes_by_contact ON noes (firm, contact_id);
"""
_VERSION_4: Final = (_FOLDER / "state_version_4.sql").read_text(encoding="utf-8")
_BY_STEPS: Final = (_VERSION_1, _VERSION_2, _VERSION_3)
"""What makes the tables of version 3, of which the earlier ones are a part."""
VERSIONS: Final = range(1, 5)
RENAMED: Final = {"in_doubt": "marked", "changed_in_run": "decided_in_run"}
"""How columns were called before version 4."""
_FACTS: Final = {
    "broadly_url": "https://broadly.test",
    "clio_account": "7",
    "clio_host": "https://app.clio.com",
    "first_run": "2026-11-20T18:00:00+00:00",
    "hash_key": "84bbe850ce06416b78a7a383d5fad04e11066372bbdd109aece31447b6819e08",
    "opt_in_field": "22",
    "opt_out_field": "11",
    "start_day": "2026-11-20",
    "sync_rule": "both",
    "watermark": "2026-11-20T18:00:00+00:00",
}
_WAY: Final = {
    State.PENDING: (State.PENDING,),
    State.SKIPPED: (State.PENDING, State.SKIPPED, State.SKIPPED),
    State.SENDING: (State.PENDING, State.SENDING),
    State.SENT: (State.PENDING, State.PENDING, State.SENDING, State.SENT),
    State.DEAD: (State.PENDING, State.SENDING, State.DEAD),
    State.HELD: (State.PENDING, State.SENDING, State.HELD),
}
"""How closings came to their states; with `unknown_outcome` one waits after it was sent."""
_CODES: Final = {State.SENT: "duplicate", State.DEAD: "bad_email"}
_CAUSES: Final = {Reason.OPTED_OUT: "contact:55", Reason.UNKNOWN_OUTCOME: "timeout"}


def make(path: Path, version: int, **facts: str) -> None:
    """Make a state of this version, in which one run has ended and another is at work.

    `facts` are more facts about it, such as a sign-in.
    """
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.touch(mode=0o600)
    with closing(sqlite3.connect(path)) as connection:
        for statements in [_VERSION_4] if version == 4 else _BY_STEPS[:version]:
            connection.executescript(statements)
        connection.execute("UPDATE schema_version SET version = ?", (version,))
        rows = _rows(_FACTS | facts)
        with untriggered(connection):
            for table, row in _as_version_4(rows) if version == 4 else rows:
                has = {name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")}
                kept = {"firm": "default"} | {name: row[name] for name in row.keys() & has}
                if has:
                    _insert(connection, table, kept)
        connection.commit()


def _as_version_4(rows: Iterator[tuple[str, Row]]) -> Iterator[tuple[str, Row]]:
    """Yield the rows as version 4 keeps them: numbered, of firm 1, and with short hashes."""
    several = list(rows)
    codes = {row["matter_id"]: row.get("code") for table, row in several if table == "changes"}
    for table, row in [*several, ("facts", {"name": "run", "value": "2"})]:
        new = row | {"firm": 1} | {now: row.get(then) for now, then in RENAMED.items()}
        if "matter_id" in row:  # they are numbered as they were noticed
            new |= {"closing": 1 + len(codes) - row["matter_id"]}
        if "identity" in row:
            new |= {"identity": short(row["identity"])}
        if table == "closings":
            new |= {"number": new["closing"], "code": codes[row["matter_id"]]}
        if table == "runs":
            new |= {"version": "0.9", "rule": "both", "opt_out_field": 11, "opt_in_field": 22}
        yield table, new


def short(hash_: bytes) -> int:
    """Return a hash as version 4 keeps it."""
    return int.from_bytes(hash_[:8], "big", signed=True)


def _insert(connection: sqlite3.Connection, table: str, row: Row) -> None:
    marks = ", ".join("?" * len(row))
    connection.execute(
        f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})",  # noqa: S608
        tuple(row.values()),
    )


def _rows(facts: dict[str, str]) -> Iterator[tuple[str, Row]]:
    """Yield each row with its table; a version leaves out the columns that it does not have."""
    for name, value in facts.items():
        yield "facts", {"name": name, "value": value}
    own = {"command": "sync", "started_at": AT, "failure": None}
    yield "runs", own | {"run": 1, "run_id": "r1", "finished_at": AT + 60, "exit_code": 75}
    yield "runs", own | {"run": 2, "run_id": "r2", "command": "backfill", "failure": "No."}
    several = [(state, reason) for state in State for reason in sorted(OF_STATE[state], key=str)]
    position = count(1)
    for matter, (state, reason) in enumerate(several, 1):
        yield from _closing(matter, state, reason, position)
    for contact in (55, 56):
        yield "noes", {"identity": _hash(contact), "contact_id": contact, "read_at": AT}


def _closing(
    matter: int, state: State, reason: Reason | None, position: Iterator[int]
) -> Iterator[tuple[str, Row]]:
    """Yield a closing with its changes, of which the last was made in the second run."""
    in_doubt = reason is Reason.UNKNOWN_OUTCOME or state is State.HELD
    way = (*_WAY[State.HELD][:2], state) if in_doubt else _WAY[state]
    own = {"matter_id": matter, "closed_on": "" if matter % 9 == 0 else "2026-11-18"}
    claimed = State.SENDING in way
    now = {"reason": reason, "cause": _CAUSES.get(reason) if reason else None}
    for number, (before, after) in enumerate(pairwise((None, *way)), 1):
        is_last = number == len(way)
        change = own | {"run": 1 + is_last, "position": next(position), "at": AT + number}
        change |= {"from_state": before, "to_state": after}
        change |= {"batch": 4 if after is State.SENDING else None}
        yield "changes", change | (now | {"code": _CODES.get(state)} if is_last else {})
    run = 1 + (way[-1] is State.SENDING) if claimed else 0
    yield "closings", own | now | {
        "contact_id": None if reason is Reason.NO_CLIENT else 1200 + matter,
        "state": state, "command": "sync", "rule": "both", "etag": f"of {matter}",
        "noticed_at": AT - matter, "read_at": AT, "read_in_run": 1,
        "decided_in_run": 0 if way[1:] == (State.SENDING, State.PENDING) else 2,
        "position": change["position"], "changed_at": change["at"],
        "marked": in_doubt, "resent": matter % 2, "approval": matter % 3, "tries": matter % 5,
        "claimed_at": AT + 2 if claimed else None, "claimed_in_run": run,
        "batch": 4 if claimed else None, "updated_at": AT - 5,
    }  # fmt: skip
    if claimed:
        for about in (f"contact:{1200 + matter}", f"email:{matter}"):
            yield "people", own | {"identity": _hash(about), "claimed_at": AT + 2}


def _hash(about: object) -> bytes:
    """Return a hash as long as the earlier versions kept it."""
    return sha256(str(about).encode()).digest()[:16]


def read(path: Path) -> dict[str, list[Row]]:
    """Return the rows of each table, in the order of their columns' values."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        names = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        return {
            name: [dict(row) for row in connection.execute(f"SELECT * FROM {name}")]  # noqa: S608
            for (name,) in connection.execute(names).fetchall()
        }
