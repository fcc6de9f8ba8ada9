"""The lock of a state: whose it is, how long nothing was written under it, and where there is none.

Time passes by what the kernel notes of the files: they are made older.
"""

import errno
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from clio_broadly_sync.domain.errors import BusyError, HungError, StorageError
from clio_broadly_sync.store import FilePlace, Holder, Store, TokenStore, holder, locked
from clio_broadly_sync.store.lock import touch

HOST, PID = os.uname().nodename, os.getpid()
HOUR = 3600.0
SINCE = "2026-11-20T10:00:00+00:00"
OF_ANOTHER = {"command": "sync", "since": SINCE, "pid": 4711, "host": "office-pc"}
BUSY = "Another run is at work on this state; it was left alone."


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A state at rest."""
    made = tmp_path / "state" / "state.db"
    Store.open(made).__exit__(None, None, None)
    return made


def test_nothing_is_made_beside_the_state_of_another_user(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may make it, and the state's own user could then open neither lock nor notes."""
    before = sorted(path.parent.iterdir())
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    with pytest.raises(StorageError, match="belongs to another user"), locked(path):
        pass
    with pytest.raises(PermissionError):
        FilePlace(path).notes("told").write({"key": "value"})
    assert sorted(path.parent.iterdir()) == before


def lock_file(path: Path) -> Path:
    return Path(f"{path}.lock")


def now(path: Path) -> Holder:
    """Return who holds the state; fail where nobody does."""
    found = holder(path)
    assert found is not None
    return found


def is_nameless(found: Holder) -> bool:
    return found == Holder(found.quiet)


@contextmanager
def held_with(path: Path, line: str | bytes) -> Iterator[None]:
    """Hold the lock as somebody who has written this line into it, or nothing."""
    lock_file(path).write_bytes(line.encode() if isinstance(line, str) else line)
    with lock_file(path).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def written(ago: float, *files: Path) -> None:
    """Let these files have been written so many seconds ago, or in the future."""
    for file in files:
        os.utime(file, (time.time() - ago,) * 2)


def refusal(enter: AbstractContextManager[None]) -> BusyError:
    with pytest.raises(BusyError) as caught, enter:
        pass
    return caught.value


# Whose it is.


def test_it_bears_command_process_host_and_moment(path: Path) -> None:
    """In one line, which only the owner can read; nothing else is in it."""
    with locked(path, "outbox resend"):
        text = lock_file(path).read_text()
        found = now(path)
    said = json.loads(text)
    assert (text.count("\n"), text[-1]) == (1, "\n")
    assert said.pop("since") == f"{found.since:%Y-%m-%dT%H:%M:%S+00:00}"
    assert said == {"command": "outbox resend", "pid": PID, "host": HOST}
    assert found.since is not None
    assert timedelta(0) <= datetime.now(UTC) - found.since < timedelta(minutes=1)
    assert found == Holder(found.quiet, "outbox resend", found.since, PID, HOST)
    assert (lock_file(path).stat().st_mode & 0o777, found.hangs) == (0o600, False)


def test_a_run_that_has_ended_is_not_named(path: Path) -> None:
    """Its line stays, and the lock is free."""
    with locked(path, "sync"):
        pass
    assert lock_file(path).read_text() != ""
    assert holder(path) is None


def test_another_process(path: Path) -> None:
    """It is named by its own number, and nobody is once it was killed."""
    program = (
        "import sys\nfrom pathlib import Path\nfrom clio_broadly_sync.store import locked\n"
        "with locked(Path(sys.argv[1]), 'login'):\n    print('in', flush=True)\n    input()\n"
    )
    command = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"in\n"
        assert (now(path).command, now(path).pid) == ("login", child.pid)
        child.kill()
    assert holder(path) is None


def test_the_next_one_takes_the_place_of_the_one_before(path: Path) -> None:
    """Nothing of a longer line is left behind a shorter one; one without a name has none."""
    for command in ("a" * 60, "sync", None):
        with locked(path, command):
            assert lock_file(path).read_text().count("\n") == 1
            assert now(path).command == command


def test_one_who_is_busy_leaves_the_line_alone(path: Path) -> None:
    """And the moment at which it was written."""
    with locked(path, "sync"):
        written(600, lock_file(path))
        before = lock_file(path).read_bytes(), lock_file(path).stat().st_mtime_ns
        assert str(refusal(locked(path, "login"))) == BUSY
        assert (lock_file(path).read_bytes(), lock_file(path).stat().st_mtime_ns) == before


@pytest.mark.parametrize(
    "line",
    [
        "", "\n", "4711", "null", "[]", '"sync"', "{", "{}", b"\xff\xfe", "sync 4711\n", "[" * 1000,
        json.dumps(OF_ANOTHER | {"host": "h" * 2000}),
        *(
            json.dumps(OF_ANOTHER | wrong)
            for wrong in (
                {"pid": "many"}, {"pid": None}, {"pid": 0}, {"pid": -1}, {"pid": 1e999},
                {"since": "soon"}, {"since": 5}, {"since": "0001-01-01T00:00:00+14:00"},
                {"host": None}, {"command": 7},
            )
        ),
    ],
)  # fmt: skip
def test_a_line_that_is_none_names_nobody(path: Path, line: str | bytes) -> None:
    """As the lock file of an earlier version, which is empty; held it is all the same."""
    with held_with(path, line):
        assert is_nameless(now(path))
        assert str(refusal(locked(path))) == BUSY


def test_what_is_shown_of_it_has_no_effects(path: Path) -> None:
    """Whoever wrote it."""
    line = OF_ANOTHER | {"command": "sy\x1b[31mnc\n", "host": "a\tb\x07"}
    with held_with(path, json.dumps(line)):
        assert (now(path).command, now(path).host) == ("sync ", "a b")


def test_a_line_that_may_not_be_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over SMB, what one has locked nobody else can read."""

    def refused(*_: object) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied")

    with locked(path, "sync"):
        monkeypatch.setattr(os, "pread", refused)
        assert is_nameless(now(path))


def test_no_room_for_the_line(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock is held; the run goes on, and says itself what it has no room for."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with locked(path, "sync"):
        assert (now(path).command, now(path).pid) == (None, None)


def test_whoever_only_looks_makes_no_run_busy(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They hold it for an instant, so it is asked for twice."""
    with held_with(path, ""):
        pass
    look = lock_file(path).open("rb")
    fcntl.flock(look, fcntl.LOCK_SH)
    monkeypatch.setattr(time, "sleep", lambda seconds: look.close())
    with locked(path):
        assert look.closed


# How long nothing was written.


@pytest.fixture
def beside(path: Path) -> dict[str, Path]:
    """The files of a state at which a run is at work, by the ends of their names."""
    files = {end: Path(f"{path}{end}") for end in ("", "-wal", ".lock")}
    for file in files.values():
        file.touch(0o600)
    return files


@pytest.mark.parametrize("latest", ["", "-wal", ".lock"])
def test_the_file_that_was_written_last_counts(
    path: Path, beside: dict[str, Path], latest: str
) -> None:
    """A commit changes the -wal, its end the state, and a beginning the lock."""
    with held_with(path, json.dumps(OF_ANOTHER)):
        written(9 * HOUR, *beside.values())
        assert timedelta(hours=8.9) < now(path).quiet < timedelta(hours=9.1)
        assert type(refusal(locked(path))) is HungError
        written(60, beside[latest])
        assert timedelta(seconds=59) < now(path).quiet < timedelta(seconds=100)
        assert str(refusal(locked(path))) == BUSY


def test_files_that_are_not_there(path: Path, beside: dict[str, Path]) -> None:
    """A sign-in before the first run: there is no state yet."""
    with held_with(path, ""):
        for end in ("", "-wal"):
            beside[end].unlink()
        written(3 * HOUR, beside[".lock"])
        assert now(path).hangs


@pytest.mark.parametrize(
    ("ago", "hangs"),
    [
        (0, False), (2 * HOUR - 60, False), (2 * HOUR + 1, True), (24 * HOUR, True),
        (-60, False), (-2 * HOUR + 60, False), (-2 * HOUR - 60, True), (-1e9, True),
    ],
)  # fmt: skip
def test_after_two_hours_it_hangs(
    path: Path, beside: dict[str, Path], ago: float, hangs: bool
) -> None:
    """And where the clock was set back, by more than that, and nothing was written since."""
    with held_with(path, json.dumps(OF_ANOTHER)):
        written(ago, *beside.values())
        assert now(path).hangs is hangs
        assert isinstance(refusal(locked(path)), HungError) is hangs


def test_a_run_that_works_where_the_clock_was_set_back(path: Path, beside: dict[str, Path]) -> None:
    """Its next commit is of the new clock; what was written before lies ahead for ever."""
    with held_with(path, json.dumps(OF_ANOTHER)):
        written(-9 * HOUR, *beside.values())
        written(0, beside["-wal"])
        assert not now(path).hangs


def test_a_run_that_waits_goes_on(path: Path, beside: dict[str, Path]) -> None:
    """It says so and writes nothing; where its lock file is gone, that is no trouble of its own."""
    with held_with(path, json.dumps(OF_ANOTHER)):
        written(3 * HOUR, *beside.values())
        assert now(path).hangs
        touch(path)
        assert not now(path).hangs
    lock_file(path).unlink()
    touch(path)
    assert not lock_file(path).exists()


def test_what_is_said_of_one_that_hangs(path: Path, beside: dict[str, Path]) -> None:
    """The same words each time, because the same trouble is told once a day."""
    held = "has held this state since 2026-11-20 10:00 UTC and has written nothing for two hours"
    after = "the next run puts in order what it left."
    own = json.dumps(OF_ANOTHER | {"host": HOST})
    nameless = json.dumps(OF_ANOTHER | {"command": None})
    for line, said in {
        json.dumps(OF_ANOTHER): f"`sync` (process 4711 on office-pc) {held}, so that no other run "
        f"can work: end process 4711 on office-pc; {after}",
        own: f"`sync` (process 4711 on {HOST}) {held}, so that no other run can work: end it with "
        f"`kill -9 4711`; {after}",
        nameless: f"A run (process 4711 on office-pc) {held}, so that no other run can work: end "
        f"process 4711 on office-pc; {after}",
        "": "A run has held this state and has written nothing for two hours, so that no other run "
        "can work: look for a window where the program waits or was stopped, and end it; " + after,
    }.items():
        with held_with(path, line):
            for hours in (3, 30):
                written(hours * HOUR, *beside.values())
                assert str(refusal(locked(path))) == said


def test_renewing_the_sign_in_may_hang_as_well(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dry run that was stopped in the middle of it; others write the state meanwhile."""
    monkeypatch.setattr("clio_broadly_sync.store.tokens.ALONE_SECONDS", 0.0)
    with TokenStore(path).alone():
        assert type(refusal(TokenStore(path).alone())) is BusyError
        written(3 * HOUR, Path(f"{path}.sign-in.lock"))
        written(0, path)
        said = refusal(TokenStore(path).alone())
    assert type(said) is HungError
    assert str(said).startswith(f"A run (process {PID} on {HOST}) has held this state since ")


# Where no lock is to be had.

LOCKS: list[Callable[[Path], AbstractContextManager[object]]] = [
    locked,
    lambda path: TokenStore(path).alone(),
    lambda path: closing(lock_file(path).open()) if holder(path) is None else locked(path),
]


@pytest.mark.parametrize("take", LOCKS, ids=["to work", "to renew the sign-in", "to look"])
@pytest.mark.parametrize(
    "number",
    [
        errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EIO, errno.ESTALE,
        errno.EREMOTEIO,
    ],
)  # fmt: skip
def test_the_file_system_gives_none(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    take: Callable[[Path], AbstractContextManager[object]],
) -> None:
    """Neither the permissions nor the room on the disk are the matter."""
    lock_file(path).touch(0o600)

    def flock(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(StorageError) as caught, take(path):
        pass
    assert str(caught.value) == (
        f"The file system on which the state lies gives no lock ({os.strerror(number)}), and "
        "without one two runs could work at once: move the state to a disk of this machine, and "
        "name it with SYNC_STATE."
    )


@pytest.mark.parametrize("number", [errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK])
def test_another_holds_it_by_whatever_number(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A network file system that locks by fcntl(2) may say EACCES."""

    def flock(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    lock_file(path).touch(0o600)
    monkeypatch.setattr(fcntl, "flock", flock)
    assert str(refusal(locked(path))) == BUSY
    assert holder(path) is not None
