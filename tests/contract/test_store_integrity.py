"""What must hold in a state: nothing is found in what runs leave, and each break is found."""

import re
import shutil
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from itertools import combinations
from pathlib import Path

import psycopg
import pytest
from factories import NOW, PINS, make_closing
from golden_files import Golden
from ledgers import firm, put
from planting import sql
from watched import IN_POSTGRESQL, ON_A_FILE
from whole import LATER, REJECTED, WAITS

from clio_broadly_sync.domain import lifecycle
from clio_broadly_sync.domain.errors import StorageError
from clio_broadly_sync.domain.model import Command
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.store import FilePlace, Place, Selection, Store, integrity
from clio_broadly_sync.store.facts import PINNED, STARTED
from clio_broadly_sync.store.integrity import Flaw


def flaws(state: Place, now: datetime = LATER) -> list[Flaw]:
    with state.snapshot() as store:
        return store.flaws(now)


def names(state: Place, now: datetime = LATER) -> set[str]:
    return {flaw.name for flaw in flaws(state, now)}


def test_what_runs_leave_is_sound(state: Place) -> None:
    """Every end of a closing, and rows still on their way."""
    assert flaws(state) == []
    with state.snapshot() as store:
        states = {c.state for several in store.ledger.known(range(10)).values() for c in several}
        assert states == set(State)
        assert store.integrity.sizes() == (9, 24, 2)


def test_new_state_is_sound(place: Place) -> None:
    """One without any run."""
    with place.open():
        pass
    assert flaws(place) == []


def test_closing_without_a_client_or_a_close_date_is_sound(state: Place) -> None:
    """Clio has such matters, and the ledger their skips."""
    skipped = {"contact_id": None, "state": State.SKIPPED, "reason": Reason.NO_CLIENT}
    with state.open() as store:
        store.begin_run("sync", "r3", LATER)
        put(store, make_closing(10, None, **skipped))
    assert flaws(state) == []


def test_what_goes_on_in_another_run_is_sound(state: Place) -> None:
    """Each run counts its changes from the beginning; the last one is that of the last run."""
    with state.open() as store:
        store.begin_run("outbox", "r3", LATER)
        store.outbox.change(Selection(matters=[REJECTED]), lifecycle.resent, LATER)
    assert flaws(state) == []


def test_closing_of_a_state_without_runs(place: Place) -> None:
    """No run can have read it."""
    with place.open() as store:
        store.pin(PINS)
        put(store, make_closing())
    assert "run" in names(place)


def test_firms_do_not_answer_for_each_other(state: Place) -> None:
    """What is broken in the ledger of one is not told of another."""
    sql(state, "UPDATE closings SET read_in_run = 9", "DELETE FROM runs WHERE run = 1")
    with state.open() as store:
        other = firm(store)
        other.pin(PINS)
        put(other, make_closing())
        assert other.integrity.flaws(NOW) == []
        assert other.integrity.sizes() == (1, 1, 1)


BROKEN = {
    "database": ["UPDATE closings SET state = 'Sent' WHERE matter_id = 2"],
    "person": [
        "DELETE FROM people WHERE closing = 2",
        "DELETE FROM people WHERE closing = 6",
        "UPDATE people SET claimed_at = claimed_at + 1 WHERE closing = 5",
    ],
    "run": [
        "UPDATE closings SET read_in_run = 3 WHERE matter_id = 1",
        "UPDATE closings SET changed_in_run = 3 WHERE matter_id = 1",
        "UPDATE closings SET claimed_in_run = -1 WHERE matter_id = 2",
    ],
    "runs": [
        "DELETE FROM runs WHERE run = 1",
        "UPDATE runs SET run = 3 WHERE run = 2",
        "UPDATE facts SET value = '3' WHERE name = 'watermark_run'",
    ],
    "last_change": [
        "DELETE FROM changes WHERE closing = 1",
        "DELETE FROM changes WHERE closing = 2 AND to_state = 'sent'",
        "UPDATE closings SET state = 'pending', reason = NULL WHERE matter_id = 2",
        "UPDATE closings SET reason = 'company' WHERE matter_id = 8",
        "UPDATE closings SET cause = 'timeout' WHERE matter_id = 5",
        "UPDATE changes SET to_state = 'skipped' WHERE closing = 1",
    ],
    "claim_change": [
        "DELETE FROM changes WHERE closing = 2 AND to_state = 'sending'",
        "UPDATE closings SET batch = 9 WHERE matter_id = 2",
        "UPDATE closings SET batch = NULL WHERE matter_id = 2",
        "UPDATE closings SET claimed_in_run = 2 WHERE matter_id = 2",
    ],
    "chain": [
        "DELETE FROM changes WHERE closing = 2 AND to_state = 'pending'",
        "UPDATE changes SET from_state = NULL WHERE closing = 6 AND from_state = 'held'",
        "UPDATE changes SET from_state = 'dead' WHERE closing = 6 AND from_state = 'held'",
    ],
    "orphans": [
        "DELETE FROM closings WHERE matter_id = 8",
        "INSERT INTO people VALUES (1, 5, 99, 1700000000)",
        "INSERT INTO objections VALUES (1, 99, 1700000000, NULL)",
    ],
    "objection": [
        "INSERT INTO objections SELECT 1, number, 1700000000, NULL FROM closings"
        " WHERE state = 'skipped' LIMIT 1",
    ],
    "fields": [
        "UPDATE facts SET value = '' WHERE name = 'opt_out_field'",
        "UPDATE facts SET value = '' WHERE name = 'opt_in_field'",
    ],
    "watermark": [
        "UPDATE facts SET value = '2031-01-01T00:00:00+00:00' WHERE name = 'watermark'",
    ],
    "start_day": [
        "UPDATE facts SET value = '2016-11-20' WHERE name = 'start_day'",
        "UPDATE facts SET value = '2031-11-20' WHERE name = 'start_day'",
    ],
}


REFUSED = set(BROKEN["database"])
"""Of these, what no hand can write to PostgreSQL, which checks its conditions at each change."""


def test_every_invariant_is_broken_here() -> None:
    assert {invariant.name for invariant in integrity.INVARIANTS} <= BROKEN.keys()


def test_each_break_is_found(path: Path, tmp_path: Path, golden: Golden) -> None:
    """By its name, which is that of a grave one, with what to do, and no value of the state."""
    said = []
    for number, (name, statement) in enumerate((n, one) for n in BROKEN for one in BROKEN[n]):
        broken = tmp_path / str(number) / "state.db"
        shutil.copytree(path.parent, broken.parent)
        sql(broken, statement)
        found = flaws(FilePlace(broken))
        assert name in {flaw.name for flaw in found if flaw.grave}
        said.append("\n".join([statement, *(f"  {flaw.sentence}" for flaw in found)]))
    golden("flaws_of_a_state", "\n".join(said))


@IN_POSTGRESQL
@pytest.mark.parametrize(
    ("name", "statement"), [(name, one) for name, several in BROKEN.items() for one in several]
)
def test_each_break_in_a_firm_is_found(state: Place, name: str, statement: str) -> None:
    """By the same name, unless the conditions of the tables let nobody make it."""
    try:
        sql(state, statement)
    except psycopg.errors.CheckViolation:
        assert statement in REFUSED
    else:
        assert statement not in REFUSED
        assert name in {flaw.name for flaw in flaws(state) if flaw.grave}


def test_matters_are_named_a_few_of_many(state: Place) -> None:
    """The first ones, and how many there are."""
    sql(state, "UPDATE closings SET read_in_run = 9")
    (flaw,) = [flaw for flaw in flaws(state) if flaw.name == "run"]
    assert flaw.matters == (1, 2, 3, 4, 5)
    assert "9 in all" in flaw.sentence


def test_matter_with_several_faults_of_a_kind_is_named_once(state: Place) -> None:
    """Each fault is counted."""
    sql(state, "UPDATE changes SET from_state = 'dead' WHERE closing = 6 AND to_state = 'pending'")
    (flaw,) = [flaw for flaw in flaws(state) if flaw.name == "chain"]
    assert flaw.matters == (6,)
    assert "2 in all" in flaw.sentence


def test_a_page_that_is_broken_is_all_that_is_told(path: Path) -> None:
    """Nothing follows from what such a database says of the rest."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'closings_by_claim'"
        ).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\x0a" + b"\xff" * (size - 1))
    (flaw,) = flaws(FilePlace(path))
    assert flaw.name == "database"
    assert re.fullmatch(
        r"The database is broken \((Page|Tree \d+ page) \d+: .+\)\. Restore .+", flaw.sentence
    )


def test_a_watermark_a_moment_ahead_passes_over_nobody(state: Place) -> None:
    """Clocks are never quite the same; the overlap covers so much."""
    assert flaws(state, NOW - timedelta(minutes=4)) == []
    assert flaws(state, NOW - timedelta(minutes=5)) == []
    assert names(state, NOW - timedelta(minutes=5, seconds=1)) == {"watermark"}


@pytest.mark.parametrize(
    ("days", "is_sound"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)]
)
def test_a_start_day_may_be_a_day_off(state: Place, days: int, is_sound: bool) -> None:
    """No firm's zone is further than a day from ours."""
    day = (NOW + timedelta(days=days)).date()
    sql(state, f"UPDATE facts SET value = '{day}' WHERE name = 'start_day'")  # noqa: S608
    assert names(state) == (set() if is_sound else {"start_day"})


UNREADABLE = {
    "watermark": ["noon", "2026-11-20T18:00:00"],
    "first_run": [""],
    "start_day": ["2026-02-30"],
    "sync_rule": ["never"],
    "clio_account": ["seven", "-7"],
    "opt_out_field": ["0"],
    "hash_key": ["zz", "00"],
    "doubts": ["1", "0 2026-11-20T18:00:00+00:00", "1 2026-11-20T18:00:00", "x y", "1 2 3"],
    "skipped_looked_at": ["noon", "2026-11-20T18:00:00", ""],
    "sent_looked_to": ["-1", "half", ""],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, one) for name, several in UNREADABLE.items() for one in several]
)
def test_facts_that_cannot_be_read(state: Place, name: str, value: str) -> None:
    """The state is not opened, for a run neither, and the value is not repeated."""
    if name == "hash_key" and not isinstance(state, FilePlace):
        pytest.skip("a firm's is sealed, and no fact")
    sql(state, f"UPDATE facts SET value = '{value}' WHERE name = '{name}'")  # noqa: S608
    for opening in (state.open, state.snapshot):
        with pytest.raises(StorageError, match=name) as caught:
            opening()
        assert not value or value not in str(caught.value).replace(name, "")


FACTS = sorted(PINNED | STARTED | {"hash_key"})


def lose(state: Place, *names: str) -> None:
    sql(state, f"DELETE FROM facts WHERE name IN ({', '.join(map(repr, names))})")  # noqa: S608


@pytest.mark.parametrize("number", range(1, len(FACTS) + 1))
def test_facts_that_are_gone(path: Path, number: int) -> None:
    """Whichever: a new key would recognise nobody, half the pins are none, and a state with rows
    does not begin anew. Each is named, the state is not opened, and nothing is put in its place."""
    for gone in combinations(FACTS, number):
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS kept AS SELECT * FROM facts")
            connection.execute("INSERT OR REPLACE INTO facts SELECT * FROM kept")
            connection.commit()
        lose(FilePlace(path), *gone)
        for opening in (Store.open, Store.snapshot) if number in (1, len(FACTS)) else (Store.open,):
            with pytest.raises(StorageError) as caught:
                opening(path)
            assert f"what it says of {', '.join(gone)} cannot be read" in str(caught.value)


ALONE = {
    "closings": ["changes", "people", "runs"],
    "changes": ["closings", "people", "runs"],
    "people": ["changes", "closings", "runs"],
    "runs of which one came through": ["changes", "closings", "people"],
}


@pytest.mark.parametrize("left", ALONE)
def test_rows_without_any_fact(state: Place, left: str) -> None:
    """Rows of one kind are enough: no run writes them before it has pinned what they are of."""
    sql(state, *(f"DELETE FROM {table}" for table in ALONE[left]), "DELETE FROM facts")  # noqa: S608
    with pytest.raises(StorageError, match="clio_host"):
        state.open()


def test_a_no_without_any_fact(tmp_path: Path) -> None:
    """Who said it could not be recognised any more."""
    place = FilePlace(tmp_path / "state.db")
    with place.open():
        pass
    lost = "INSERT INTO noes VALUES (1, random(), 1201, 1700000000)"
    sql(place, "DELETE FROM facts", lost)
    with pytest.raises(StorageError, match="hash_key"):
        place.open()


@pytest.mark.parametrize("exit_code", [0, 65])
def test_start_that_is_gone_after_a_sync_that_came_through(state: Place, exit_code: int) -> None:
    """Also where that run noticed nobody, and the pins are still there."""
    sql(state, "DELETE FROM changes", "DELETE FROM people", "DELETE FROM closings")
    sql(state, f"UPDATE runs SET exit_code = {exit_code} WHERE run = 1")  # noqa: S608
    lose(state, *STARTED)
    with pytest.raises(StorageError, match="watermark"):
        state.open()


def test_start_that_is_gone_after_a_sync_that_was_killed(state: Place) -> None:
    """What it decided says that it had begun."""
    sql(state, "UPDATE runs SET exit_code = NULL, finished_at = NULL")
    lose(state, *STARTED)
    with pytest.raises(StorageError, match="start_day"):
        state.open()


@pytest.mark.parametrize("exit_code", [69, 78, 143, None])
def test_runs_that_came_to_nothing_are_no_start(place: Place, exit_code: int | None) -> None:
    """A `sync` that was refused, or killed before it pinned anything: the next is the first."""
    with place.open() as store:
        store.begin_run("sync", "r1", NOW)
        if exit_code is not None:
            store.finish_run(exit_code, NOW)
    assert flaws(place) == []
    with place.open() as store:
        assert (store.pins(), store.watermark) == (None, None)


def test_backfill_before_the_first_sync_is_sound(place: Place) -> None:
    """It sets the pins only, and its closings are rows without a start."""
    with place.open() as store:
        store.begin_run("backfill", "r1", NOW)
        store.pin(PINS)
        store.ledger.record([(None, make_closing(command=Command.BACKFILL))], NOW)
        store.finish_run(0, NOW)
        store.begin_run("sync", "r2", NOW)
        store.finish_run(78, NOW)
    assert flaws(place) == []


@ON_A_FILE
@pytest.mark.parametrize("column", ["state", "reason", "command", "rule", "closed_on", "read_at"])
def test_a_row_that_cannot_be_read_is_no_bug(state: Place, column: str) -> None:
    """74 for whoever meets it, instead of a traceback."""
    value = 2**62 if column == "read_at" else "'2026-02-30'"
    sql(state, f"UPDATE closings SET {column} = {value} WHERE matter_id = 1")  # noqa: S608
    words = "a closing in it cannot be read; `clio-broadly-sync verify` tells more."
    with state.snapshot() as store, pytest.raises(StorageError, match=words):
        store.ledger.known([WAITS])


def test_files_of_the_state_are_private(path: Path) -> None:
    """Each beside it, whatever it is called behind; and the folder, which is not as grave."""
    assert integrity.files(path) == []
    for name in ("state.db-wal", "state.db.lock", "state.db.old"):
        other = path.parent / name
        other.touch(mode=0o600)
        assert integrity.files(path) == []
        other.chmod(0o644)
        (flaw,) = integrity.files(path)
        assert (flaw.name, flaw.grave) == ("mode", True)
        assert name in flaw.sentence
        other.unlink()
    (path.parent / "notes.txt").touch(mode=0o644)
    assert integrity.files(path) == []
    for mode, grave in ((0o755, False), (0o770, True)):
        path.parent.chmod(mode)
        (flaw,) = integrity.files(path)
        assert (flaw.name, flaw.grave) == ("folder", grave)
    path.parent.chmod(0o700)


def test_matters_that_clio_should_show(store: Store) -> None:
    """Each counts once, from its day on; not where it was no longer closed, or has no date."""
    day = NOW.date()
    reopened = {"state": State.SKIPPED, "reason": Reason.NOT_CLOSED}
    known = [
        make_closing(1, day),
        make_closing(1, day + timedelta(days=1)),
        make_closing(2, day - timedelta(days=1)),
        make_closing(3, day, state=State.SKIPPED, reason=Reason.OPTED_OUT),
        make_closing(4, day, **reopened),
        make_closing(5, None),
    ]
    put(store, *known)
    counted = store.integrity.matters_closed_since
    assert (counted(day), counted(day - timedelta(days=1))) == (2, 3)
    assert (counted(day, [1, 2]), counted(day, [4, 5]), counted(day, [])) == (1, 0, 0)
    assert firm(store).integrity.matters_closed_since(day) == 0
