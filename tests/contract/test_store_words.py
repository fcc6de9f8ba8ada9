"""What the state says to a person: each sentence whole, as it is read in a mail from cron."""

import os
import shlex
import shutil
import sqlite3
import stat
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import test_store
from golden_files import Golden
from planting import sql

from clio_broadly_sync.domain.errors import StorageError
from clio_broadly_sync.store import Store, TokenStore, database, integrity

made = test_store.made
OWN_FOLDER = "give the state a folder of its own, with SYNC_STATE."


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
        ("mode", "Others may read state.db.old; make it private: `chmod 600` on it.", (), True),
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


REFUSED: tuple[Callable[[Path], None], ...] = (
    others_may_read, others_may_write, others_may_read_and_write, others_may_run,
    others_may_write_the_folder, everybody_uses_the_folder, group_uses_the_folder,
    folder_in_its_place, two_facts_unreadable, of_a_version_without_its_tables, of_no_version,
    of_two_versions, of_version_0, of_version_minus_5, of_a_version_that_is_no_number,
    test_store.not_a_database, test_store.cut_short, test_store.cut_to_nothing,
    test_store.another_programs, test_store.newer,
)  # fmt: skip
OF_THIS_VERSION = (of_a_version_without_its_tables, two_facts_unreadable)
"""What is found only once it was opened."""


def copied(state: Path, folder: Path) -> Path:
    """Return a copy of a state at rest, in a folder like its own, to be broken."""
    shutil.copytree(state.parent, folder)
    return folder / state.name


def said(refused: Callable[[], Any]) -> str:
    with pytest.raises(StorageError) as caught:
        refused()
    return str(caught.value)


def test_states_that_are_refused(made: Path, tmp_path: Path, golden: Golden) -> None:
    """The cause, and the way out of it; what is no state of ours is left as it is."""
    told = []
    for spoil in REFUSED:
        state = copied(made, tmp_path / spoil.__name__)
        spoil(state)
        before = test_store.listing(state.parent)
        sentence = said(lambda state=state: Store.snapshot(state))  # type: ignore[misc]
        assert said(lambda state=state: Store.open(state)) == sentence  # type: ignore[misc]
        assert spoil in OF_THIS_VERSION or test_store.listing(state.parent) == before
        told.append(f"{spoil.__name__}\n  {sentence.replace(str(state.parent), '/srv/ledger')}")
    golden("states_that_are_refused", "\n".join(told))


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
    sentence = f"Others may look into {path.parent}; make it private: `chmod 700 {path.parent}`."
    assert integrity.files(path) == [("folder", sentence, (), False)]


def test_command_that_helps_can_be_copied(made: Path, tmp_path: Path) -> None:
    """Also where a folder's name has a blank in it."""
    state = copied(made, tmp_path / "our firm's")
    state.chmod(0o644)
    for mode in (0o700, 0o777):
        state.parent.chmod(mode)
        command = said(lambda: Store.open(state)).split("`")[1]
        subprocess.run(shlex.split(command), check=True)
    assert stat.S_IMODE(state.stat().st_mode) == 0o600
    assert stat.S_IMODE(state.parent.stat().st_mode) == 0o700
    with Store.open(state):
        pass  # and nothing more is wrong


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
            "The state is damaged (it holds what is no text). Restore a sound copy of it (README, "
            "Recipes)."
        )


def test_no_state_to_verify(made: Path) -> None:
    """Perhaps there never was one, perhaps it is lost."""
    assert said(lambda: integrity.files(made.with_name("other.db"))) == (
        "There is no state to verify; the first `sync` makes it. If there was one, check "
        "SYNC_STATE, or see “The state is lost” in docs/recipes.md."
    )
