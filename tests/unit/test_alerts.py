"""When cron's reader is told of a trouble, and what is remembered of it."""

import json
import os
import stat
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from clio_broadly_sync.cli.alerts import (
    SURGE,
    Alert,
    AlertLog,
    AlertThrottle,
    Memory,
    Trouble,
    tell,
)
from clio_broadly_sync.store.notebook import Notebook

START = datetime(2026, 11, 22, 8, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
DENIED = Trouble(77, "Clio refuses the sign-in.")
HUNG = Trouble(75, "`sync` has held this state.", hangs=True)
DOWN = Trouble(69, "Clio could not be reached.")


def _at(**time: float) -> datetime:
    return START + timedelta(**time)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "state.db.told"


def _hear(
    file: Path | None,
    now: datetime,
    *troubles: Trouble,
    success: bool = False,
    always: bool = False,
) -> bool:
    """Let a run of its own tell of the troubles; return whether they are printed."""
    notebook = AlertLog(Notebook(file)) if file is not None else None
    return AlertThrottle(notebook, always=always).hear(troubles, now, success=success).aloud


def _said(trouble: Trouble, *, days: int) -> list[timedelta]:
    """Let it be there in each run of some days; return how long after the first it was told."""
    memory: Memory = {}
    said = []
    for span in (n * QUARTER for n in range(96 * days)):
        due, memory = tell(memory, trouble, START + span)
        said += [span] if due else []
    return said


@pytest.mark.parametrize("code", [1, 74, 77, 78, 143])
def test_at_once_and_then_once_a_day(code: int) -> None:
    """Three days of the same: three times."""
    assert _said(Trouble(code, "the same"), days=3) == [timedelta(days=n) for n in range(3)]


def test_an_outage_after_six_hours_and_then_once_a_day(file: Path) -> None:
    """Whichever sentence it has."""
    after = timedelta(hours=6)
    assert _said(DOWN, days=3) == [after + timedelta(days=n) for n in range(3)]
    for hours in (0, 6):
        assert _hear(file, _at(hours=hours), DOWN) is bool(hours)
    assert not _hear(file, _at(hours=7), Trouble(69, "Broadly is busy."))


def test_a_success_begins_the_six_hours_anew(file: Path) -> None:
    """A short outage each day is nobody's mail."""
    assert not _hear(file, _at(hours=0), DOWN)
    assert not _hear(file, _at(hours=5.9), DOWN)
    assert not _hear(file, _at(hours=5.95), success=True)
    assert not _hear(file, _at(hours=6.1), DOWN)
    assert not _hear(file, _at(hours=12), DOWN)
    assert _hear(file, _at(hours=12.2), DOWN)


def test_another_trouble_does_not_begin_the_six_hours_anew(file: Path) -> None:
    """Only a success does; and it counts from the first run, however few there were."""
    assert not _hear(file, _at(hours=0), DOWN)
    assert _hear(file, _at(hours=3), DENIED)
    assert _hear(file, _at(hours=30), DOWN)


def test_since_when_is_told_of_an_outage_only(file: Path) -> None:
    """The person reads how long it has lasted."""
    teller = AlertThrottle(AlertLog(Notebook(file)), always=False)
    assert teller.hear([DOWN], START, success=False) == Alert(aloud=False)
    assert teller.hear([DENIED], START, success=False) == Alert(aloud=True)
    assert teller.hear([DOWN], _at(hours=7), success=False) == Alert(True, START)


def test_busy_is_never_told_and_touches_nothing(file: Path) -> None:
    """Another run is at work, which tells for itself."""
    assert _said(Trouble(75, "Another run is at work."), days=3) == []
    assert not _hear(file, START, Trouble(75, "Another run is at work."))
    assert not file.parent.exists()
    _hear(file, START, DENIED)
    before = file.read_bytes()
    _hear(file, _at(days=9), Trouble(75, "Another run is at work."))
    assert file.read_bytes() == before


def test_a_run_that_hangs_is_told_once_a_day(file: Path) -> None:
    """At once when it has hung long enough to be told from one that works; another one anew."""
    assert _said(HUNG, days=3) == [timedelta(days=n) for n in range(3)]
    assert not _hear(file, START, Trouble(75, "Another run is at work."))
    assert _hear(file, START, HUNG)
    assert not _hear(file, START + QUARTER, HUNG)
    assert _hear(file, START + QUARTER, HUNG._replace(sentence="`login` has held this state."))
    assert not _hear(file, START + 2 * QUARTER, HUNG)


def test_a_run_that_hung_has_ended(file: Path) -> None:
    """One that works meanwhile touches nothing; the first success forgets it."""
    assert _hear(file, START, HUNG)
    before = file.read_bytes()
    assert not _hear(file, START + QUARTER, Trouble(75, "Another run is at work."))
    assert file.read_bytes() == before
    assert not _hear(file, START + 2 * QUARTER, success=True)
    assert not file.exists()


def test_a_run_that_hangs_does_not_begin_the_six_hours_anew(file: Path) -> None:
    """An outage goes on behind it."""
    assert not _hear(file, START, DOWN)
    assert _hear(file, _at(hours=5), HUNG)
    assert _hear(file, _at(hours=6), DOWN)


@pytest.mark.parametrize(
    "other", [Trouble(78, DENIED.sentence), Trouble(77, "The key is refused.")]
)
def test_another_trouble_is_told_at_once(file: Path, other: Trouble) -> None:
    """Another code or another sentence; the first is not told again after it."""
    assert _hear(file, START, DENIED)
    assert _hear(file, START + QUARTER, other)
    assert not _hear(file, START + 2 * QUARTER, DENIED)


def test_after_a_success_it_is_told_anew(file: Path) -> None:
    """What was mended and breaks again is news; nothing is left of the file meanwhile."""
    assert _hear(file, START, DENIED)
    assert not _hear(file, START + QUARTER, success=True)
    assert not file.exists()
    assert _hear(file, START + 2 * QUARTER, DENIED)


def test_a_surge_once_a_day(file: Path) -> None:
    """65 in each run, which is a success beside it: the surge is remembered, the rest is not."""
    _hear(file, START, DENIED)
    spans = [timedelta(hours=n) for n in (0, 0.25, 1, 23, 24, 25)]
    said = [span for span in spans if _hear(file, START + span, SURGE, success=True)]
    assert said == [timedelta(0), timedelta(days=1)]
    assert _hear(file, _at(days=2), DENIED)
    assert not _hear(file, _at(days=2, hours=1), success=True)
    assert _hear(file, _at(days=2, hours=2), SURGE, success=True)


@pytest.mark.parametrize("troubles", [(DENIED, SURGE), (SURGE, DENIED)])
def test_one_that_is_due_is_enough(file: Path, troubles: Sequence[Trouble]) -> None:
    """Of several in one run."""
    assert _hear(file, START, DENIED)
    assert _hear(file, START + QUARTER, *troubles)
    assert not _hear(file, START + 2 * QUARTER, *troubles)


def test_a_clock_that_was_put_back_silences_nobody(file: Path) -> None:
    """What was told in a year to come was not told."""
    assert _hear(file, _at(days=365), DENIED)
    assert _hear(file, START, DENIED)
    assert not _hear(file, START + QUARTER, DENIED)


@pytest.mark.parametrize(
    "nonsense",
    [
        b"", b"\xff\xfe", b"[]", b"7", b"null", b"{", b'{"77": 5}', b'{"77": {}}', b"[" * 100_000,
        b'{"77": {"since": "2026-11-22", "told": null}}', b'{"77": {"since": 5, "told": null}}',
        b'{"77": {"since": "soon", "told": null}}',
    ],
)  # fmt: skip
def test_nonsense_counts_as_nothing(file: Path, nonsense: bytes) -> None:
    """The trouble is told, and the file is good again."""
    file.parent.mkdir()
    file.write_bytes(nonsense)
    assert _hear(file, START, DENIED)
    assert not _hear(file, START + QUARTER, DENIED)


def test_file_that_cannot_be_read(file: Path) -> None:
    """Never silent by accident."""
    file.mkdir(parents=True)
    for _ in range(2):
        assert _hear(file, START, DENIED)
        assert _hear(file, START, DOWN)


def test_file_that_cannot_be_written(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An outage that cannot be noted would never become six hours old."""

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert _hear(file, START, DOWN)
    assert _hear(file, START, DENIED)
    assert list(file.parent.iterdir()) == []


def test_no_place_for_a_file() -> None:
    """No settings at all: every run says so."""
    assert _hear(None, START, DENIED)
    assert _hear(None, START, DOWN)


def test_a_person_gets_an_answer_each_time(file: Path) -> None:
    """Which is no mail: cron's reader is told all the same. A success is one, whoever asked."""
    assert _hear(file, START, DENIED, always=True)
    assert _hear(file, START, DENIED)
    assert _hear(file, START, DENIED, always=True)
    assert _hear(file, START, Trouble(75), always=True)
    assert not _hear(file, START, DENIED)
    _hear(file, START, success=True, always=True)
    assert _hear(file, START, DENIED)


def test_a_persons_success_does_not_forget_the_surge(file: Path) -> None:
    """It is still there, and was told today."""
    assert _hear(file, START, SURGE, success=True)
    assert _hear(file, START, SURGE, success=True, always=True)
    assert not _hear(file, START + QUARTER, SURGE, success=True)


def test_file_is_private_and_tells_nothing(file: Path) -> None:
    """Codes, digests and times; nobody else may read even those."""
    _hear(file, START, DENIED, DOWN, SURGE)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]
    for key, entry in json.loads(file.read_text()).items():
        assert set(key) <= set("0123456789abcdef ")
        assert entry.keys() == {"since", "told"}


def test_file_stays_small(file: Path) -> None:
    """Sentences that differ in each run do not pile up."""
    for n in range(150):
        assert _hear(file, START + n * QUARTER, Trouble(78, f"trouble {n}"))
    assert len(json.loads(file.read_text())) <= 97


def _pipe(file: Path) -> None:
    os.mkfifo(file)


def _endless(file: Path) -> None:
    file.symlink_to("/dev/zero")


def _dangling(file: Path) -> None:
    file.symlink_to(file.parent / "nowhere" / "else")


def _huge(file: Path) -> None:
    with file.open("wb") as opened:
        opened.write(b"{")
        opened.truncate(2**40)


@pytest.mark.parametrize("make", [_pipe, _endless, _dangling, _huge])
def test_what_is_no_notebook_holds_up_no_run(file: Path, make: Callable[[Path], None]) -> None:
    """It is nonsense like any other: told at once, and a real one takes its place."""
    file.parent.mkdir(0o700)
    make(file)
    assert _hear(file, START, DENIED)
    assert stat.S_ISREG(file.lstat().st_mode)
    assert not _hear(file, START + QUARTER, DENIED)
