"""What a state notes of a file, and what the next run makes of it after a kill."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from factories import NOW, make_candidate, make_closing
from ledgers import next_run, put, row
from planting import connection_of

from clio_broadly_sync.domain import lifecycle
from clio_broadly_sync.domain.errors import DamagedError
from clio_broadly_sync.domain.exports import Fate
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.store import Place, Store
from clio_broadly_sync.store.database import transaction
from clio_broadly_sync.store.exports import Begun, Exports

Left = Callable[[Path, Path], object]
"""What a killed run left: it does that with the temporary file and the file."""
recovered = partial(lifecycle.recovered, dedupes=False)


def claimed(store: Store, *matters: int) -> None:
    """Claim closings of these matters, which go into a file."""
    store.exports.begin()
    closings = [make_closing(matter, contact_id=1000 + matter) for matter in matters]
    put(store, *closings)
    rows = [row(store, closing.key.matter_id) for closing in closings]
    candidates = [make_candidate(closing) for closing in rows]
    store.ledger.claim(candidates, 10, whole=False, judge=lambda closing, asked: None, at=NOW)


def whole(store: Store, folder: Path) -> tuple[Path, Path]:
    """Write a file and note that it is whole; return its temporary path and its path."""
    temporary, file = folder / ".temporary", folder / "clients.csv"
    store.exports.name(temporary, file)
    temporary.write_text("Ada")
    found = temporary.stat()
    store.exports.seal(found.st_ctime_ns, found.st_ino)
    return temporary, file


def unlinked(temporary: Path, file: Path) -> None:
    """Nothing more."""


def linked(temporary: Path, file: Path) -> None:
    os.link(temporary, file)


def named(temporary: Path, file: Path) -> None:
    temporary.rename(file)


def named_and_gone(temporary: Path, file: Path) -> None:
    temporary.unlink()


def named_and_another(temporary: Path, file: Path) -> None:
    temporary.rename(file.with_name("elsewhere.csv"))
    file.write_text("mine")


def linked_and_gone(temporary: Path, file: Path) -> None:
    os.link(temporary, file)
    file.unlink()


def linked_and_moved(temporary: Path, file: Path) -> None:
    os.link(temporary, file)
    file.rename(file.with_name("elsewhere.csv"))


def folder_gone(temporary: Path, file: Path) -> None:
    temporary.unlink()
    temporary.parent.rmdir()


def no_file_any_more(temporary: Path, file: Path) -> None:
    temporary.unlink()
    temporary.symlink_to(file)


FATES: dict[str, tuple[Left, Fate, State]] = {
    "not linked": (unlinked, Fate.NOT_MADE, State.PENDING),
    "linked": (linked, Fate.MADE, State.SENT),
    "linked and moved": (linked_and_moved, Fate.MADE, State.SENT),
    "under its name alone": (named, Fate.MADE, State.SENT),
    "taken away from there": (named_and_gone, Fate.UNKNOWN, State.HELD),
    "another one has its name": (named_and_another, Fate.UNKNOWN, State.HELD),
    "taken away while it had both names": (linked_and_gone, Fate.UNKNOWN, State.HELD),
    "the folder is gone": (folder_gone, Fate.UNKNOWN, State.HELD),
    "something else is there": (no_file_any_more, Fate.UNKNOWN, State.HELD),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "exports"
    made.mkdir()
    return made


def test_nothing_was_written(store: Store) -> None:
    """Most runs write no file, and nothing is noted of them."""
    assert store.exports.fate() is None
    put(store, make_closing(1, state=State.SENDING))
    next_run(store)
    assert [c.state for c in store.recover(recovered, NOW)] == [State.HELD]


@pytest.mark.parametrize("named", [False, True])
def test_not_whole_yet(store: Store, folder: Path, named: bool) -> None:
    """Then nobody has it, whether or not there is a temporary file by now."""
    claimed(store, 1, 2)
    if named:
        store.exports.name(folder / "temporary", folder / "clients.csv")
        (folder / "temporary").write_text("Ada")
    assert [c.state for c in store.recover(recovered, NOW)] == [State.PENDING] * 2
    assert (row(store, 1).reason, row(store, 1).in_doubt) == (None, False)
    assert ([*folder.iterdir()], store.exports.fate()) == ([], None)


@pytest.mark.parametrize("how", FATES)
def test_fate(store: Store, folder: Path, how: str) -> None:
    """By the names that the file has, and nothing nameless stays."""
    left, fate, state = FATES[how]
    claimed(store, 1)
    temporary, file = whole(store, folder)
    left(temporary, file)
    others = [path for path in (folder.iterdir() if folder.exists() else ()) if path != temporary]
    assert store.exports.fate() is fate
    store.recover(recovered, NOW)
    assert row(store, 1).state is state
    assert [*(folder.iterdir() if folder.exists() else ())] == others
    assert store.exports.fate() is None
    assert store.recover(recovered, NOW) == []


def test_recovery_that_is_killed(store: Store, folder: Path) -> None:
    """It has found that a file was not made; the next one finds the same, and not the contrary."""
    claimed(store, 1)
    temporary, _ = whole(store, folder)
    assert store.exports.fate() is Fate.NOT_MADE
    assert not temporary.exists()
    assert store.exports.fate() is Fate.NOT_MADE
    store.recover(recovered, NOW)
    assert row(store, 1).state is State.PENDING


def test_run_that_was_overtaken_makes_it_in_the_end(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Just when the next one looks; then it is made, and nobody is given back."""
    claimed(store, 1)
    temporary, file = whole(store, folder)
    unlink = os.unlink

    def linking(path: str) -> None:
        os.link(temporary, file)
        unlink(path)

    with monkeypatch.context() as altered:
        altered.setattr(os, "unlink", linking)
        store.recover(recovered, NOW)
    assert (row(store, 1).state, file.exists(), temporary.exists()) == (State.SENT, True, False)


def test_standard_output(store: Store) -> None:
    """What was being written there may be anywhere; before that, nobody has it."""
    claimed(store, 1)
    store.exports.seal()
    store.recover(recovered, NOW)
    assert (row(store, 1).state, row(store, 1).reason) == (State.HELD, Reason.UNKNOWN_OUTCOME)


def test_what_is_not_of_the_file(store: Store, folder: Path) -> None:
    """What is in doubt of a try before stays so."""
    put(store, make_closing(2, in_doubt=True, reason=Reason.UNKNOWN_OUTCOME))
    claimed(store, 1)
    linked(*whole(store, folder))
    assert {c.key.matter_id: c.state for c in store.recover(recovered, NOW)} == {
        1: State.SENT, 2: State.HELD
    }  # fmt: skip


@pytest.mark.parametrize("how", FATES)
def test_copy_only_looks(store: Store, folder: Path, how: str) -> None:
    """A dry run finds what the real one does, and touches no file."""
    left, fate, _ = FATES[how]
    left(*whole(store, folder))
    there = sorted(folder.iterdir()) if folder.exists() else []
    noted = connection_of(store).execute("SELECT name, value FROM facts WHERE name = 'export'")
    saved: list[object] = []
    copy = Exports(dict(map(tuple, noted)), saved.append, looks_only=True)
    assert copy.fate() is fate
    copy.clear()
    assert (sorted(folder.iterdir()) if folder.exists() else [], saved) == (there, [])


def test_temporary_file_that_cannot_be_removed(
    store: Store,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whoever runs the program is told once."""
    claimed(store, 1)
    store.exports.name(folder / "temporary", folder / "clients.csv")

    def refuse(path: str) -> None:
        raise PermissionError(path)

    with monkeypatch.context() as altered:
        altered.setattr(os, "unlink", refuse)
        store.recover(recovered, NOW)
    assert f"remove {folder / 'temporary'}" in caplog.text
    assert store.exports.fate() is None


@pytest.mark.parametrize("path", ["/a/b", "/ä/🦊", os.fsdecode(b"/\xff\xfe"), '/"quoted"\n'])
def test_paths(store: Store, path: str) -> None:
    """Whatever a path has in it comes back."""
    store.exports.name(Path(path), Path(path))
    (text,) = (
        connection_of(store).execute("SELECT value FROM facts WHERE name = 'export'").fetchone()
    )
    assert Begun.read(text) == Begun(path, path)


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "1",
        "{}",
        "[]",
        '["a"]',
        '["a", "b", 1]',
        '[1, "b", 1, 1]',
        '["a", "b", "c", 1]',
        '["a", "b", 1, null]',
    ],
)
def test_fact_that_cannot_be_read(place: Place, text: str) -> None:
    """The state is damaged then."""
    with place.open() as store, transaction(connection_of(store)) as connection:
        connection.execute("INSERT INTO facts VALUES (1, 'export', ?)", (text,))
    with pytest.raises(DamagedError, match="export"):
        place.open()
