"""What the state says to a person: each sentence whole, as it is read in a mail from cron."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import test_store
from factories import NOW
from planting import sql
from test_store_integrity import BROKEN, flaws

from clio_broadly_sync.domain.errors import BusyError, StorageError
from clio_broadly_sync.domain.model import Grant
from clio_broadly_sync.store import Store, TokenStore, database, integrity, locked
from clio_broadly_sync.store import tokens as module

made = test_store.made
RESTORE = "Restore a sound copy of it (README, Recipes)."
MEND = "Restore a sound copy of the state (README, Recipes), or report this as a bug."
OWN_FOLDER = "give the state a folder of its own, with SYNC_STATE."
FLAWS = {
    "database": "The database is broken (CHECK constraint failed in closings).",
    "person": "Clients were handed over, but the hashes that recognise them are missing, so they "
    "could be asked again (1 in all).",
    "run": "Closings name a run that there never was (1 in all).",
    "runs": "Runs are missing from the list of runs.",
    "last_change": "Closings are not what the last of their changes says (1 in all).",
    "claim_change": "Closings were handed over, and their changes do not say so (1 in all).",
    "chain": "Changes are missing from the list (1 in all).",
    "orphans": "Changes or hashes belong to no closing (1 in all).",
    "objection": "Clients are noted as having opted out after being sent, and were not sent "
    "(1 in all).",
    "fields": "The id of a checkbox that the rule reads is missing.",
    "watermark": "The watermark lies in the future, so what closes until then would be passed "
    "over; see first that this machine's clock is right.",
    "start_day": "The start day lies before the first run.",
}


@pytest.mark.parametrize("name", FLAWS)
def test_each_flaw_says_what_is_wrong_and_what_to_do(path: Path, name: str) -> None:
    sql(path, BROKEN[name][0])
    said = {flaw.name: flaw.sentence for flaw in flaws(path)}
    assert said[name] == f"{FLAWS[name]} {MEND}"


def test_every_flaw_has_its_sentence_here() -> None:
    assert FLAWS.keys() == BROKEN.keys()


def test_start_day_to_come(path: Path) -> None:
    """The other way in which it can be wrong has words of its own."""
    sql(path, "UPDATE facts SET value = '2031-11-20' WHERE name = 'start_day'")
    (flaw,) = flaws(path)
    assert flaw.sentence == (
        f"The start day lies in the future, so what closes now is passed over. {MEND}"
    )


def test_folder_and_files_that_others_may_look_into(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named one by one, each with the command that mends it."""
    beside = path.with_name("state.db.old")
    beside.touch(mode=0o644)
    path.parent.chmod(0o750)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert integrity.files(path) == [
        ("owner", "state.db.old belongs to another user; give it to this one: chown.", (), True),
        ("mode", "Others may read state.db.old; make it private: chmod 600 on it.", (), True),
        (
            "folder",
            f"Others may look into {path.parent}; {OWN_FOLDER}",
            (),
            False,
        ),
    ]


# What is refused.


def others_may_read(path: Path) -> None:
    path.chmod(0o640)


def others_may_write(path: Path) -> None:
    path.chmod(0o620)


def others_may_read_and_write(path: Path) -> None:
    path.chmod(0o666)


def others_may_run(path: Path) -> None:
    path.chmod(0o611)


def of_a_version_without_its_tables(path: Path) -> None:
    sql(path, "DROP TABLE facts")


def of_version_0(path: Path) -> None:
    sql(path, "UPDATE schema_version SET version = 0")


def of_version_minus_5(path: Path) -> None:
    sql(path, "UPDATE schema_version SET version = -5")


def others_may_write_the_folder(path: Path) -> None:
    path.parent.chmod(0o720)


def everybody_uses_the_folder(path: Path) -> None:
    path.parent.chmod(0o1777)


def group_uses_the_folder(path: Path) -> None:
    path.parent.chmod(0o2770)


def folder_in_its_place(path: Path) -> None:
    path.unlink()
    path.mkdir()


def two_facts_unreadable(path: Path) -> None:
    sql(path, "UPDATE facts SET value = 'x' WHERE name IN ('start_day', 'clio_account')")


def of_no_version(path: Path) -> None:
    sql(path, "DELETE FROM schema_version")


def of_two_versions(path: Path) -> None:
    sql(path, "INSERT INTO schema_version VALUES (1)")


def of_a_version_that_is_no_number(path: Path) -> None:
    sql(path, "DROP TABLE schema_version", "CREATE TABLE schema_version AS SELECT 'one' AS version")


NO_VERSION = (
    "The state is damaged: it does not say by which version it was made. Restore a sound copy of "
    "it (README, Recipes)."
)
REFUSED: dict[Callable[[Path], None], str] = {
    others_may_read: "Others may read the state file; make it private: chmod 600 {path}",
    others_may_write_the_folder: "Others may write to {path.parent}; make it private: chmod 700 "
    "{path.parent}",
    everybody_uses_the_folder: f"Others may write to {{path.parent}}; {OWN_FOLDER}",
    group_uses_the_folder: f"Others may write to {{path.parent}}; {OWN_FOLDER}",
    folder_in_its_place: "The state is not an ordinary file (a link, or a folder); check "
    "SYNC_STATE.",
    two_facts_unreadable: "The state is damaged: what it says of clio_account, start_day cannot "
    "be read. Restore a sound copy of it (README, Recipes).",
    others_may_write: "Others may write the state file; make it private: chmod 600 {path}",
    others_may_read_and_write: "Others may read and write the state file; make it private: chmod "
    "600 {path}",
    others_may_run: "Others may run the state file; make it private: chmod 600 {path}",
    test_store.not_a_database: f"The state is damaged (file is not a database). {RESTORE}",
    test_store.cut_short: f"The state is damaged (database disk image is malformed). {RESTORE}",
    of_a_version_without_its_tables: f"The state is damaged (no such table: facts). {RESTORE}",
    test_store.cut_to_nothing: "The state file is empty, as if it had been cut off: restore a copy "
    "of it; or remove it, if nobody was handed over yet.",
    test_store.another_programs: "The state file belongs to another program; check SYNC_STATE.",
    of_no_version: NO_VERSION,
    of_two_versions: NO_VERSION,
    of_version_0: NO_VERSION,
    of_version_minus_5: NO_VERSION,
    of_a_version_that_is_no_number: NO_VERSION,
    test_store.newer: "The state was made by a newer version of this program; install that "
    "version again.",
}


def said(refused: Callable[[], Any]) -> str:
    with pytest.raises(StorageError) as caught:
        refused()
    return str(caught.value)


@pytest.mark.parametrize("spoil", REFUSED, ids=lambda spoil: spoil.__name__)
@pytest.mark.parametrize("opened", [Store.open, Store.snapshot], ids=["open", "scratch"])
def test_state_that_is_refused(
    made: Path, spoil: Callable[[Path], None], opened: Callable[[Path], Store]
) -> None:
    """The cause, and the way out of it."""
    spoil(made)
    assert said(lambda: opened(made)) == REFUSED[spoil].format(path=made)


def test_state_of_another_user(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a byte of it is touched: what root writes, its owner may not read any more."""
    before = test_store.listing(made.parent)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    for refused in (lambda: Store.open(made), lambda: Store.snapshot(made), TokenStore(made).read):
        assert said(refused) == "The state file belongs to another user; run this as that user."
    assert test_store.listing(made.parent) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder away")
def test_folder_of_another_user(made: Path) -> None:
    """Who runs this could not make it private, and its owner may need it as it is."""
    made.parent.chmod(0o777)
    os.chown(made.parent, 65534, -1)
    assert said(lambda: Store.open(made)) == f"Others may write to {made.parent}; {OWN_FOLDER}"


def test_folder_that_others_may_only_look_into(path: Path) -> None:
    """It does no harm, and is named with what to do all the same."""
    path.parent.chmod(0o750)
    sentence = f"Others may look into {path.parent}; make it private: chmod 700 {path.parent}"
    assert integrity.files(path) == [("folder", sentence, (), False)]


def test_failure_of_the_system_is_told_without_a_path_or_a_statement(made: Path) -> None:
    """The cause in its own words, and no more of it."""
    (made.parent / "file").touch()
    assert said(lambda: Store.open(made.parent / "file" / "state.db")) == (
        "The state could not be used (File exists); what was recorded before is kept. "
        "Check SYNC_STATE, its permissions and the room on its disk."
    )
    with Store.open(made) as store:
        test_store.fill(store)
        assert said(lambda: store.pin(test_store.PINS, start_day="x" * 100_000)) == (
            "The state could not be used (database or disk is full); what was recorded before is "
            "kept. Check SYNC_STATE, its permissions and the room on its disk."
        )


def test_state_that_another_program_holds(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither its permissions nor a copy of it are the matter."""
    monkeypatch.setattr(database, "PRAGMAS", ("PRAGMA busy_timeout = 0",))
    with closing(sqlite3.connect(made, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert said(lambda: Store.open(made)) == (
            "The state could not be used (database is locked); what was recorded before is kept. "
            "Another program holds it: end that program, and try again."
        )


def test_text_that_is_none(path: Path) -> None:
    """Python says so, and not SQLite; it repeats the text, which may be a token."""
    sql(path, "UPDATE closings SET etag = CAST(x'ff' AS TEXT) WHERE matter_id = 1")
    with Store.snapshot(path) as store:
        assert said(lambda: store.ledger.known([1])) == (
            f"The state is damaged (it holds what is no text). {RESTORE}"
        )


def test_closing_that_cannot_be_read(path: Path) -> None:
    """The command that tells more is named."""
    sql(path, "UPDATE closings SET state = 'perhaps' WHERE matter_id = 1")
    with Store.snapshot(path) as store:
        assert said(lambda: store.ledger.known([1])) == (
            "The state is damaged: a closing in it cannot be read; "
            "`clio-broadly-sync verify` tells more."
        )


def test_no_state_to_verify(made: Path) -> None:
    """Perhaps there never was one, perhaps it is lost."""
    assert said(lambda: integrity.files(made.with_name("other.db"))) == (
        "There is no state to verify; the first `sync` makes it. If there was one, check "
        "SYNC_STATE, or see “The state is lost” in the README."
    )


def test_another_run_is_at_work(made: Path) -> None:
    """No fault: cron will be back."""
    with locked(made), pytest.raises(BusyError) as caught, locked(made):
        pass
    assert str(caught.value) == "Another run is at work on this state; it was left alone."


def test_sign_in_that_cannot_be_used(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Damaged; still read by another program when it was to be forgotten; being renewed."""
    sign_in = TokenStore(made)
    sign_in.save(Grant("https://app.clio.com", "access", None, NOW))
    sql(made, "DELETE FROM facts WHERE name = 'sign_in_host'")
    assert said(sign_in.read) == (
        "The sign-in in the state is damaged: restore a sound copy of the state, or run "
        "`clio-broadly-sync login`."
    )
    monkeypatch.setattr(module, "_PATIENT", "PRAGMA busy_timeout = 0")
    with closing(sqlite3.connect(made, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM facts").fetchall()
        assert said(sign_in.erase) == (
            "The sign-in was forgotten, but another program is reading the state, so traces of it "
            "may be left in its files: end that program, and run this again."
        )
    monkeypatch.setattr(module, "ALONE_SECONDS", 0.0)
    with sign_in.alone(), pytest.raises(BusyError) as caught, TokenStore(made).alone():
        pass
    assert str(caught.value) == (
        "Another run has been renewing the sign-in to Clio for too long; the next run tries again."
    )
