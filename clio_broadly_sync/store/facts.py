"""The facts about a state, by name: which there must be, and whether they can be read."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Final

from clio_broadly_sync.domain.consent import Untouched
from clio_broadly_sync.domain.daily_look import Part
from clio_broadly_sync.domain.errors import ATTENTION, OK, DamagedError
from clio_broadly_sync.domain.model import Profile, SyncRule
from clio_broadly_sync.domain.rules import Doubts
from clio_broadly_sync.store import exports
from clio_broadly_sync.store.database import Connection
from clio_broadly_sync.store.schema import OF_ANY_VERSION, RESTORE
from clio_broadly_sync.store.tables import FIRM

Facts = Mapping[str, str]

PINNED: Final = frozenset(
    {"clio_host", "clio_account", "broadly_url", "sync_rule", "opt_out_field", "opt_in_field"}
)
STARTED: Final = frozenset({"watermark", "first_run", "start_day"})
SWEPT: Final = "runs_swept"
"""The fact of how many rows of `runs` were deleted (`store/sweep.py`); a file never has it."""
_BEFORE_ROWS: Final = PINNED | {"hash_key"}
_AFTER_A_SYNC: Final = _BEFORE_ROWS | STARTED
_NUMBER: Final = frozenset({"run"})

_ROWS: Final = " OR ".join(
    f"EXISTS (SELECT 1 FROM {table} WHERE firm = :firm)"
    for table in ("closings", "changes", "people", "noes")
)
_SYNCED: Final = f"""
    EXISTS (
        SELECT 1 FROM runs WHERE firm = :firm AND command = 'sync' AND (
            exit_code IN ({OK}, {ATTENTION})
            OR run IN (SELECT changed_in_run FROM closings WHERE firm = :firm)
        )
    )
"""
_UNFINISHED: Final = """
    SELECT command, run FROM runs
    WHERE {0} AND finished_at IS NULL AND run = (SELECT max(run) FROM runs WHERE {0})
"""
_BEGUN: Final = f"""
    SELECT {_ROWS}, {_SYNCED}, EXISTS (SELECT 1 FROM runs WHERE firm = :firm)
"""
"""Whether there are rows that no run writes without pins, whether a `sync` has started, and whether
there was a run at all."""


WRITE: Final = """
    INSERT INTO facts (firm, name, value) VALUES (:firm, :name, :value)
    ON CONFLICT (firm, name) DO UPDATE SET value = excluded.value
"""


def read(connection: Connection, firm: int) -> dict[str, str]:
    """Return all facts about a firm's state, by name."""
    statement = "SELECT name, value FROM facts WHERE firm = :firm"
    rows = connection.execute(statement, {"firm": firm})
    return {row["name"]: row["value"] for row in rows}


def _needed(connection: Connection, firm: int, facts: Facts) -> frozenset[str]:
    """Return the facts that a state with these facts, and with its rows, must have.

    Each run takes its number first. The pins come before the first row, and the start in the first
    `sync` before all else.
    """
    if facts.keys() >= _AFTER_A_SYNC | _NUMBER:
        return _AFTER_A_SYNC
    has_rows, has_synced, has_run = connection.execute(_BEGUN, {"firm": firm}).fetchone()
    number = _NUMBER if has_run else frozenset()
    if has_synced or STARTED & facts.keys():
        return _AFTER_A_SYNC | number
    return (_BEFORE_ROWS if has_rows or PINNED & facts.keys() else frozenset()) | number


def check(connection: Connection, firm: int, facts: Facts) -> None:
    """Raise DamagedError for facts that no run could have written, before anything uses them."""
    needed = _needed(connection, firm, facts)
    unreadable = {name for name, read in _READERS.items() if not _can_be_read(facts, name, read)}
    unreadable |= needed - facts.keys()
    if unreadable:
        raise DamagedError(
            f"The state is damaged: what it says of {', '.join(sorted(unreadable))} cannot be "
            f"read. {RESTORE}"
        )


def _aware(text: str) -> None:
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError


def doubts(text: str) -> Doubts | None:
    """Return the doubts that a fact tells of; raise ValueError where it cannot be read."""
    if not text:
        return None
    in_a_row, last_at = text.split()
    _aware(last_at)
    if int(in_a_row) < 1:
        raise ValueError
    return Doubts(int(in_a_row), datetime.fromisoformat(last_at))


def _number(text: str) -> None:
    if int(text) < 0:
        raise ValueError


def _id(text: str) -> None:
    if text and int(text) <= 0:
        raise ValueError


def _key(text: str) -> None:
    if len(bytes.fromhex(text)) < 32:
        raise ValueError


_READERS: Final[Mapping[str, Callable[[str], object]]] = {
    "hash_key": _key,
    "run": _id,
    SWEPT: _number,
    "watermark": _aware,
    "first_run": _aware,
    "start_day": date.fromisoformat,
    "watermark_run": int,
    "broadly_profile": Profile,
    "sync_rule": SyncRule,
    "clio_account": _id,
    "opt_out_field": _id,
    "opt_in_field": _id,
    "text_field": _id,
    "opt_in_untouched": Untouched,
    "since_run": int,
    "sign_in_expires_at": _aware,
    "doubts": doubts,
    exports.FACT: exports.Begun.read,
    **{f"{part}_looked_at": _aware for part in Part},
    **{f"{part}_looked_to": _number for part in Part},
}


def _can_be_read(facts: Facts, name: str, read: Callable[[str], object]) -> bool:
    try:
        if name in facts:
            read(facts[name])
    except ValueError:
        return False
    return True


def unfinished(
    connection: Connection, firm: int, of_firm: str = "firm = :firm"
) -> tuple[object, ...] | None:
    """Return the last run where it has not ended: its command and its number."""
    found = connection.execute(_UNFINISHED.format(of_firm), {"firm": firm}).fetchone()
    return None if found is None else tuple(found)


def unfinished_of_any_version(connection: Connection) -> tuple[object, ...] | None:
    """Return the same of a file of any version."""
    return unfinished(connection, FIRM, OF_ANY_VERSION)
