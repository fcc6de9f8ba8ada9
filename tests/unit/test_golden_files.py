"""Golden files can fail, can be written anew, and are each held by one test."""

from pathlib import Path

import pytest
from golden_files import FOLDER, WHAT_TO_DO, Golden, names_held


def test_every_golden_file_is_held_by_one_test() -> None:
    """None is left over, and no two tests write the same one."""
    names = names_held()
    assert {file.name for file in FOLDER.iterdir()} <= {f"{name}.txt" for name in names}
    assert len(names) == len(set(names))


def test_a_difference_is_shown_line_by_line(tmp_path: Path) -> None:
    """With what to do about it, and nothing is written."""
    (tmp_path / "words.txt").write_text("one\ntwo\n")
    held = Golden(tmp_path, update=False)
    held("words", "one\ntwo\n")
    with pytest.raises(pytest.fail.Exception) as failed:
        held("words", "one\nthree\n")
    assert WHAT_TO_DO in str(failed.value)
    assert str(failed.value).splitlines()[-3:] == [" one", "-two", "+three"]
    assert (tmp_path / "words.txt").read_text() == "one\ntwo\n"


def test_a_file_that_is_not_there_is_a_difference(tmp_path: Path) -> None:
    with pytest.raises(pytest.fail.Exception, match=r"\+one"):
        Golden(tmp_path, update=False)("words", "one")
    assert list(tmp_path.iterdir()) == []


def test_update_writes_what_is_held_then(tmp_path: Path) -> None:
    Golden(tmp_path, update=True)("words", "one\ntwo")
    Golden(tmp_path, update=False)("words", "one\ntwo")
