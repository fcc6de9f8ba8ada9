"""A state made by an earlier version: brought to this one, with all that waited in it."""

import sqlite3
from datetime import date
from pathlib import Path

import pytest
from factories import NOW, make_candidate, make_due

from clio_broadly_sync.domain.model import Key
from clio_broadly_sync.domain.reasons import State
from clio_broadly_sync.store import Store

VERSION_1 = (Path(__file__).parent / "state_version_1.sql").read_text(encoding="utf-8")
"""Dumped from a state that version 1 made: one closing sent, two waiting."""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "state" / "state.db"
    path.parent.mkdir(mode=0o700)
    path.touch(mode=0o600)
    connection = sqlite3.connect(path)
    connection.executescript(VERSION_1)
    connection.close()
    return path


def described(path: Path) -> dict[str, object]:
    """Return tables, columns and indexes; and the version."""
    connection = sqlite3.connect(path)
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master")]
    tables = {n: connection.execute(f"PRAGMA table_info({n})").fetchall() for n in names}
    version = connection.execute("SELECT version FROM schema_version").fetchall()
    connection.close()
    return {"version": version, **tables}


def test_old_state_becomes_like_a_new_one(old: Path, tmp_path: Path) -> None:
    """Same tables, columns and indexes as in a state that was made today."""
    new = tmp_path / "new" / "state.db"
    for path in (old, new):
        with Store.open(path):
            pass
    assert described(old) == described(new)


def test_what_waited_goes_on_waiting(old: Path) -> None:
    """Closings, history and watermark are there, and what is due can be claimed."""
    with Store.open(old) as store:
        assert store.watermark == NOW
        store.begin_run("sync", "r2", NOW)
        assert store.ledger.line_up(make_due(), approved_only=False) == 2
        waiting = list(store.ledger.lined_up())
        candidates = [make_candidate(closing) for closing in waiting]
        claim = store.ledger.claim(candidates, 5, whole=False, judge=lambda *_: None, at=NOW)
        known = store.ledger.known([1, 2, 3])
    assert [candidate.closing.key.matter_id for candidate in claim.batch] == [2, 3]
    assert {id_: closing.state for id_, (closing,) in known.items()} == {
        1: State.SENT,
        2: State.SENDING,
        3: State.SENDING,
    }
    assert [known[id_][0].batch for id_ in (1, 2, 3)] == [None, 1, 1]
    assert known[1][0].key == Key(1, date(2026, 11, 18))


def test_a_look_does_not_upgrade(old: Path) -> None:
    """A copy is brought to this version for reading; the state itself stays as it was."""
    before = old.read_bytes()
    with Store.snapshot(old) as store:
        assert len(store.ledger.known([1, 2, 3])) == 3
    assert old.read_bytes() == before
