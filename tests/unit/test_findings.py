"""How findings are written, and which exit code they come to."""

import itertools
import os
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import click
import pytest

from clio_broadly_sync.cli import findings, standing
from clio_broadly_sync.cli.check import here
from clio_broadly_sync.cli.options import Options
from clio_broadly_sync.cli.report_words import error_lines
from clio_broadly_sync.domain.errors import ConfigError, DeniedError, StorageError, UnavailableError
from clio_broadly_sync.domain.model import Command

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


@pytest.mark.parametrize(
    ("of_a_run", "of_a_look"),
    [
        ("Clio is busy (status 503); the next run tries again.", "Clio is busy (status 503)."),
        ("The proxy is away: ask. The next run tries again.", "The proxy is away: ask."),
        (
            "Clio could not be reached; the next run tries again.",
            "Clio could not be reached: is this machine online, and is the address in the settings "
            "right?",
        ),
        ("Set SYNC_STATE.", "Set SYNC_STATE."),
    ],
)
def test_a_look_has_no_next_run(of_a_run: str, of_a_look: str) -> None:
    """Whoever looks, or runs a backfill, waits in vain for one."""
    (found,) = findings.failures("Clio", UnavailableError(of_a_run))
    assert found.says == of_a_look
    assert error_lines(UnavailableError(of_a_run), Command.BACKFILL) == [of_a_look]
    assert error_lines(UnavailableError(of_a_run), Command.SYNC) == [of_a_run]


def test_verdict_names_what_is_worst() -> None:
    """Each thing once, in the order in which it was found."""
    fine, odd = findings.ok("clock", "…"), findings.warning("cron", "…")
    broken = [findings.failed(about, "…", 78) for about in ("pins", "Broadly", "pins")]
    for found, says in (
        ([fine], "All well: everything is in order."),
        ([fine, odd], "Nothing failed. Worth a look: cron."),
        ([odd, *broken], "Not in order: settings, Broadly. What to do stands below."),
    ):
        assert click.unstyle(findings.verdict(found)) == says


@pytest.mark.parametrize("there_is_one", [False, True], ids=["no state", "a state"])
def test_state_that_could_not_be_written(
    there_is_one: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told without writing: by the folder, or by the nearest one above it that there is."""
    state = tmp_path / "state.db" if there_is_one else tmp_path / "a" / "b" / "state.db"
    if there_is_one:
        state.write_text("")
    standing.check_writable(state)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(StorageError, match="could not be written"):
        standing.check_writable(state)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != state)
    if there_is_one:
        with pytest.raises(StorageError, match="could not be written"):
            standing.check_writable(state)
    assert [path.name for path in tmp_path.iterdir()] == (["state.db"] if there_is_one else [])


@pytest.mark.parametrize("end", ["-wal", "-shm", ".lock"])
def test_file_beside_the_state_that_could_not_be_written(
    end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named: every run would fail at it, however well the state itself may be written."""
    state, beside = tmp_path / "state.db", tmp_path / f"state.db{end}"
    state.write_text("")
    beside.write_text("")
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != beside)
    with pytest.raises(StorageError, match=f"could not be written here: {beside};"):
        standing.check_writable(state)


def test_folder_that_may_not_be_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user's, say."""
    closed, stat = tmp_path / "closed", os.stat
    closed.mkdir()

    def refused(path: Path, **how: bool) -> os.stat_result:
        if closed in Path(path).parents:
            raise PermissionError
        return stat(path, **how)

    monkeypatch.setattr(os, "stat", refused)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != closed)
    with pytest.raises(StorageError, match="could not be written"):
        standing.check_writable(closed / "state.db")


ROOMY = {"f_blocks": 1 << 20, "f_bfree": 1 << 19, "f_bavail": 1 << 19, "f_frsize": 4096}
ROOMY |= {"f_files": 1 << 20, "f_ffree": 1 << 19, "f_favail": 1 << 19}
DISKS: dict[str, tuple[dict[str, int], int, bool]] = {
    "roomy": ({}, 1000, True),
    "full": ({"f_bfree": 0, "f_bavail": 0}, 1000, False),
    "nearly full": ({"f_bfree": 255, "f_bavail": 255}, 1000, False),
    "just room enough": ({"f_bfree": 256, "f_bavail": 256}, 1000, True),
    "full but for root": ({"f_bavail": 0}, 1000, False),
    "full but for root, who it is": ({"f_bavail": 0}, 0, True),
    "full of files": ({"f_ffree": 0, "f_favail": 0}, 1000, False),
    "full of files but for root": ({"f_favail": 2}, 1000, False),
    "full of files but for root, who it is": ({"f_favail": 0}, 0, True),
    "one that tells no size": ({"f_blocks": 0, "f_bfree": 0, "f_bavail": 0}, 1000, True),
    "one without a limit of files": ({"f_files": 0, "f_ffree": 0, "f_favail": 0}, 1000, True),
}


@pytest.mark.parametrize("there_is_one", [False, True], ids=["no state", "a state"])
@pytest.mark.parametrize("disk", DISKS)
def test_disk_without_room_for_a_run(
    disk: str, there_is_one: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found as one that cannot be written to is: by asking, not by writing."""
    changes, user, has_room = DISKS[disk]
    state = tmp_path / "state.db" if there_is_one else tmp_path / "a" / "b" / "state.db"
    if there_is_one:
        state.write_text("")
    monkeypatch.setattr(os, "statvfs", lambda place: SimpleNamespace(**(ROOMY | changes)))
    monkeypatch.setattr(os, "geteuid", lambda: user)
    with nullcontext() if has_room else pytest.raises(StorageError, match="make room on its disk"):
        standing.check_writable(state)


@pytest.mark.parametrize(
    ("mode", "may"),
    [
        (0o600, None),
        (0o400, None),
        (0o644, "read"),
        (0o640, "read"),
        (0o622, "write"),
        (0o602, "write"),
        (0o666, "read and write"),
        (0o642, "read and write"),
        (0o777, "read and write"),
        (0o711, "run"),
    ],
)
def test_what_others_may_do_with_the_settings_file(
    tmp_path: Path, mode: int, may: str | None
) -> None:
    """Who may write to it says where the clients' data goes."""
    file = tmp_path / "config.env"
    file.write_text("")
    file.chmod(mode)
    said = [finding.says for finding in here.settings_file(Options(file))]
    mend = f"{file}, which holds keys: make it private with `chmod 600`."
    assert said == ([] if may is None else [f"Others may {may} {mend}"])
