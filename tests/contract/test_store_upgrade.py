"""A state made by an earlier version: brought to this one, with all that it held, or left alone."""

import os
import signal
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import old_states
import pytest
from factories import NOW, make_candidate, make_due
from ledgers import allow, claim
from old_states import Row
from planting import sql

from clio_broadly_sync.domain.consent import Untouched
from clio_broadly_sync.domain.errors import StorageError
from clio_broadly_sync.domain.reasons import OF_STATE
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.store import Store

THEN: Final = datetime.fromtimestamp(old_states.AT, UTC)


@pytest.fixture(params=old_states.VERSIONS)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "state" / "state.db"
    old_states.make(path, request.param)
    return path


def upgrade(path: Path) -> None:
    with Store.open(path):
        pass


def schema_of(path: Path) -> set[tuple[str, str, str]]:
    """Return tables, indexes and triggers, word for word."""
    with closing(sqlite3.connect(path)) as connection:
        return set(connection.execute("SELECT type, name, sql FROM sqlite_master"))


def sorted_rows(rows: Iterator[Row]) -> list[list[tuple[str, Any]]]:
    return sorted((sorted(row.items()) for row in rows), key=repr)


def test_old_state_becomes_like_a_new_one(old: Path, tmp_path: Path) -> None:
    """The same tables, indexes and triggers as in a state that was made today, and no flaw."""
    new = tmp_path / "new" / "state.db"
    upgrade(old)
    upgrade(new)
    assert schema_of(old) == schema_of(new)
    assert old_states.read(old)["schema_version"] == old_states.read(new)["schema_version"]
    with Store.open(old) as store:
        assert store.integrity.flaws(THEN) == []
        assert store.integrity.sizes()[0] == sum(map(len, OF_STATE.values()))


def test_state_of_version_4(tmp_path: Path) -> None:
    """It had all but one index."""
    old, new = tmp_path / "old" / "state.db", tmp_path / "new" / "state.db"
    upgrade(old)
    upgrade(new)
    sql(old, "DROP INDEX closings_skipped", "UPDATE schema_version SET version = 4")
    upgrade(old)
    assert schema_of(old) == schema_of(new)
    assert old_states.read(old)["schema_version"] == old_states.read(new)["schema_version"]


# What was in it.

KEY: Final = ("matter_id", "closed_on")


def of_its_closing(row: Row, closings: Mapping[int, Row]) -> Row:
    """Return a row with the matter and the date of its closing in place of its number."""
    own = closings[row["closing"]]
    return {n: value for n, value in row.items() if n != "closing"} | {n: own[n] for n in KEY}


def with_keys(tables: Mapping[str, list[Row]], table: str) -> list[Row]:
    """Return the rows of a table, of which no one names its closing by a number."""
    closings = {row.get("number", 0): row for row in tables["closings"]}
    found = tables.get(table, [])
    return [of_its_closing(r, closings) if "closing" in r else r for r in found]


def as_of_now(row: Row, names: Iterator[str]) -> Row:
    """Return an old row as it is to be: with the new names, the firm's number, short hashes."""
    found = {
        name: row[name] if name in row else row.get(old_states.RENAMED.get(name, name))
        for name in names
    } | {"firm": 1}
    if isinstance(identity := found.get("identity"), bytes):
        found["identity"] = old_states.short(identity)
    return found


@pytest.mark.parametrize("table", ["closings", "changes", "people", "noes", "runs", "facts"])
def test_everything_is_kept(old: Path, table: str) -> None:
    """Each row, with each of its values; of a hash its beginning, and the mark under a new name."""
    before = with_keys(old_states.read(old), table)
    upgrade(old)
    after = with_keys(old_states.read(old), table)
    if table == "facts" and "run" not in {row["name"] for row in before}:
        before.append({"name": "run", "value": "2"})
    added = {"number", "code"} if table == "closings" else set()
    found = [{n: value for n, value in row.items() if n not in added} for row in after]
    expected = (as_of_now(row, iter(found[0])) for row in before)
    assert sorted_rows(iter(found)) == sorted_rows(expected)


def test_codes_and_numbers(old: Path) -> None:
    """A closing has the code of its last change, and a number in the order of noticing."""
    upgrade(old)
    closings = old_states.read(old)["closings"]
    assert {row["code"] for row in closings if row["state"] == "dead"} == {"bad_email"}
    assert {row["code"] for row in closings if row["state"] == "sent"} == {"duplicate"}
    noticed = sorted(closings, key=lambda row: row["noticed_at"])
    assert [row["number"] for row in noticed] == list(range(1, len(closings) + 1))


def test_what_waited_goes_on_waiting(old: Path) -> None:
    """What is due can be claimed, and the run goes on counting."""
    with Store.open(old) as store:
        assert (store.watermark, store.begin_run("sync", "r3", NOW)) == (THEN, 3)
        assert store.ledger.line_up(make_due(faults_until=None), approved_only=False) > 0
        first = next(store.ledger.lined_up())
        (taken,) = claim(store, [make_candidate(first)], judge=allow).batch
        assert store.ledger.known([taken.closing.key.matter_id])
        assert store.integrity.flaws(NOW) == []


def test_what_was_not_noted_then(old: Path) -> None:
    """Nobody knows what of a client was sent; a run of then had none of the newer settings."""
    upgrade(old)
    tables = old_states.read(old)
    assert {row["channels"] for row in tables["closings"]} == {None}
    assert {(row["text_field"], row["opt_in_untouched"]) for row in tables["runs"]} == {
        (None, None)
    }
    with Store.open(old) as store:
        pins = store.pins()
        assert pins is not None
        assert (pins.fields.text, pins.untouched, store.since_run) == (None, Untouched.SKIP, 0)


def test_a_look_does_not_upgrade(old: Path) -> None:
    """A copy is brought to this version for reading; the state itself stays as it was."""
    before = old.read_bytes()
    with Store.snapshot(old) as store:
        assert store.integrity.flaws(THEN) == []
    assert old.read_bytes() == before


# Cut short at each of its statements.


class CutError(Exception):
    """What ends an upgrade in a test."""


class Counting(sqlite3.Connection):
    """A connection that is cut off before one of its statements."""

    left = 0
    cut: Callable[[], None]

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        type(self).left -= 1
        if type(self).left == 0:
            self.cut()
        return super().execute(*arguments)


def raises(self: Counting) -> None:
    raise CutError


def is_killed(self: Counting) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def cut_at(statement: int, path: Path, patch: pytest.MonkeyPatch, how: Any) -> None:
    """Upgrade until just before that statement."""
    with patch.context() as inside:
        inside.setattr(Counting, "left", statement)
        inside.setattr(Counting, "cut", how, raising=False)
        inside.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Counting))
        if how is raises:
            with pytest.raises(CutError):
                upgrade(path)
        elif child := os.fork():
            assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
        else:
            try:
                upgrade(path)
            finally:
                os._exit(1)


@pytest.mark.parametrize(("version", "least"), [(1, 40), (4, 20)])
@pytest.mark.parametrize("how", [raises, is_killed], ids=["error", "kill"])
def test_upgrade_that_is_cut_short(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    how: Callable[[Counting], None],
    version: int,
    least: int,
) -> None:
    """Wherever that is, the state is as it was before, until all is done; and then it goes on."""
    path = tmp_path / "state" / "state.db"
    old_states.make(path, version)
    before = old_states.read(path)
    statements = 0
    while old_states.read(path) == before:
        statements += 1
        cut_at(statements, path, monkeypatch, how)
    assert statements > least
    with Store.open(path) as store:
        assert store.integrity.flaws(THEN) == []


# What no version can have written.

IMPOSSIBLE: Final = {
    "change of no closing": "UPDATE changes SET matter_id = 999 WHERE matter_id = 1",
    "hash of no closing": "UPDATE people SET matter_id = 999",
    "short hash": "UPDATE OR IGNORE people SET identity = x'00112233'",
    "hash that is text": "UPDATE OR IGNORE people SET identity = 'many letters'",
    "unknown state": "UPDATE closings SET state = 'Sent' WHERE state = 'sent'",
    "unknown reason": "UPDATE closings SET reason = 'perhaps' WHERE matter_id = 1",
    "reason of another state": "UPDATE closings SET reason = 'surge' WHERE state = 'sent'",
    "held without doubt": "UPDATE closings SET marked = 0 WHERE state = 'held'",
    "sent, and nobody knows when": "UPDATE closings SET claimed_at = NULL WHERE state = 'sent'",
    "text for a moment": "UPDATE closings SET read_at = 'noon' WHERE matter_id = 1",
    "no moment at all": "UPDATE closings SET read_at = 1e15 WHERE matter_id = 1",
    "day that is none": "UPDATE closings SET closed_on = '2026-02-30' WHERE matter_id = 9",
    "unknown version": "UPDATE schema_version SET version = 'one'",
}


SEEN_TO: Final = frozenset(
    {
        *("change of no closing", "hash of no closing", "short hash", "hash that is text"),
        *("text for a moment", "unknown version"),
    }
)
"""What the tables of version 4 keep out by themselves, or what no later step touches."""
BEFORE: Final = [
    pytest.param(version, statement.replace("marked", "in_doubt" if version > 3 else "marked"))
    for version in old_states.VERSIONS
    for name, statement in IMPOSSIBLE.items()
    if version < 4 or name not in SEEN_TO
]


@pytest.mark.parametrize(("old", "statement"), BEFORE, indirect=["old"])
def test_row_that_no_version_can_have_written(old: Path, statement: str) -> None:
    """It is not guessed what was meant: 74, and the state is as it was before."""
    sql(old, statement)
    before, schema = old_states.read(old), schema_of(old)
    with pytest.raises(StorageError, match="damaged") as caught:
        Store.open(old)
    assert caught.value.exit_code == 74
    assert (old_states.read(old), schema_of(old)) == (before, schema)


def test_every_state_is_in_an_old_one(old: Path) -> None:
    """So that none is upgraded untried."""
    found = {(row["state"], row["reason"]) for row in old_states.read(old)["closings"]}
    assert found == {(state, reason) for state in State for reason in OF_STATE[state]}
