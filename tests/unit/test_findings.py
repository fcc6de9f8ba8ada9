"""How findings are written, and which exit code they come to."""

import itertools
import os
from pathlib import Path

import pytest

from clio_broadly_sync.cli import findings
from clio_broadly_sync.cli.check import here
from clio_broadly_sync.domain.errors import ConfigError, DeniedError, StorageError

WORST_FIRST = [74, 78, 77, 69, 65]


@pytest.mark.parametrize(("worse", "better"), list(itertools.combinations(WORST_FIRST, 2)))
def test_the_worst_counts(worse: int, better: int) -> None:
    """In the order in which the exit codes are documented, whatever was found first."""
    found = [findings.failed("a", "…", code) for code in (better, worse)]
    assert findings.worst([*found, findings.warning("b", "…")]) == worse
    assert findings.worst(found[::-1]) == worse


def test_warnings_do_not_change_the_code() -> None:
    found = [findings.ok("a", "…"), findings.warning("b", "…"), findings.untested("c", "…")]
    assert findings.worst(found) == 0


def test_each_problem_of_an_error_is_a_finding() -> None:
    """With the code of the error."""
    several = findings.failures("settings", ConfigError("One.", "Two."))
    assert [(f.says, f.exit_code) for f in several] == [("One.", 78), ("Two.", 78)]
    (denied,) = findings.failures("sign-in", DeniedError("No."))
    assert denied.exit_code == 77


@pytest.mark.parametrize("there_is_one", [False, True], ids=["no state", "a state"])
def test_state_that_could_not_be_written(
    there_is_one: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told without writing: by the folder, or by the nearest one above it that there is."""
    state = tmp_path / "state.db" if there_is_one else tmp_path / "a" / "b" / "state.db"
    if there_is_one:
        state.write_text("")
    here.check_writable(state)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(StorageError, match="could not be written"):
        here.check_writable(state)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != state)
    if there_is_one:
        with pytest.raises(StorageError, match="could not be written"):
            here.check_writable(state)
    assert [path.name for path in tmp_path.iterdir()] == (["state.db"] if there_is_one else [])
