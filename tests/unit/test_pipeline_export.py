"""A push into a file, between two ends in memory: who is in which, and what becomes of them."""

from pathlib import Path
from typing import Any

import pytest
from factories import NOW, for_backfill, make_policy
from runs import Runs

from clio_broadly_sync import pipeline
from clio_broadly_sync.domain.errors import ExportError, StoppedError, UnavailableError
from clio_broadly_sync.domain.model import Approval, Box, Policy, Profile
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.pipeline.context import RunContext
from clio_broadly_sync.sinks import csv_file
from clio_broadly_sync.sinks.csv_file import CsvFile
from clio_broadly_sync.sinks.dry_run import DryRun
from clio_broadly_sync.sinks.new_files import NewFiles
from clio_broadly_sync.transport.signals import Stop

PENDING, SENT, SKIPPED = State.PENDING, State.SENT, State.SKIPPED
INTO_FILES = make_policy(profile=Profile.CSV, max_new=1000)
BRAKED = make_policy(profile=Profile.CSV)


class Exports:
    """Runs of a firm whose clients go into files."""

    def __init__(self, runs: Runs, folder: Path) -> None:
        self.runs = runs
        self.folder = folder
        self.stop = Stop()
        folder.mkdir()

    def sync(self, policy: Policy = INTO_FILES, **changes: Any) -> RunContext:
        """Run a sync that writes files; return its context."""
        files = NewFiles(self.folder / "f.csv", self.runs.store.exports, self.stop)
        given: dict[str, Any] = {"sink": CsvFile(files), "into_file": True, "batch_size": 100}
        return self.runs.sync(policy, **given | changes)

    def left(self, **changes: Any) -> RunContext:
        """Run a sync that writes no file."""
        return self.runs.sync(BRAKED, sink=DryRun(), **changes)

    @property
    def files(self) -> dict[str, list[int]]:
        """Return the matters in each file."""
        return {
            path.name: [
                int(line.split("clio:matter:")[1].split(":")[0])
                for line in path.read_text("utf-8-sig").splitlines()[1:]
            ]
            for path in sorted(self.folder.iterdir())
        }


@pytest.fixture
def exports(runs: Runs, tmp_path: Path) -> Exports:
    return Exports(runs, tmp_path / "exports")


# A run that names no file.


def test_without_a_file(exports: Exports) -> None:
    """It decides by the matter, reads no client, and what may go is told to wait for a file."""
    exports.runs.close(1, 2)
    exports.runs.close(3, opted_in=Box.UNCHECKED)
    context = exports.left()
    assert "contacts" not in exports.runs.clio.requests
    assert context.report.kept_back is Reason.EXPORT
    assert (context.report.skipped, context.report.attention) == ({"not_opted_in": 1}, False)
    decided = {c.key.matter_id: (c.state, c.reason) for c in pipeline.decided(context)}
    assert decided[1] == decided[2] == (PENDING, Reason.EXPORT)
    assert exports.runs.row(1).reason is None


def test_idle_run_asks_once_however_many_wait(exports: Exports) -> None:
    """The checkboxes are looked at where something new is decided."""
    exports.runs.close(1)
    exports.left()
    exports.runs.clock.tick(hours=2)
    context = exports.left()
    assert exports.runs.clio.requests == ["page"]
    assert [c.reason for c in pipeline.decided(context)] == [Reason.EXPORT]


def test_many_that_gather_are_no_surge(exports: Exports) -> None:
    """Nobody is sent by a run without a file."""
    exports.runs.close(*range(1, 60))
    assert exports.left().report.surge == 0


def test_after_a_silence(exports: Exports) -> None:
    """What is noticed waits for a yes, which may come before there is a file."""
    exports.runs.clock.tick(days=4)
    exports.runs.close(1)
    context = exports.left()
    assert (context.report.surge, context.report.attention) == (1, True)
    assert exports.runs.row(1).approval is Approval.WANTED
    assert exports.left(approve=True).report.surge == 0
    assert exports.runs.row(1).approval is Approval.GIVEN


def test_backfill_without_a_file(exports: Exports) -> None:
    """It notes what there is, and asks nobody."""
    exports.runs.close(1, updated_at=None)
    policy = for_backfill(profile=Profile.CSV)
    context = exports.runs.backfill(policy, confirm=lambda lot: 1 / 0 == 0)
    assert exports.runs.states == {1: PENDING}
    assert context.report.kept_back is Reason.EXPORT


# A run that names one.


def test_one_file(exports: Exports) -> None:
    """Settled once it is there."""
    exports.runs.close(1, 2, 3)
    exports.runs.client(1002, opted_out=Box.CHECKED)
    context = exports.sync()
    assert exports.files == {"f.csv": [1, 3]}
    assert exports.runs.states == {1: SENT, 2: SKIPPED, 3: SENT}
    assert (context.report.sent, context.report.kept_back) == (2, None)


def test_second_closing_of_a_client(exports: Exports) -> None:
    """It is decided in the same run, once the first is settled."""
    exports.runs.close(1, 2, client_id=1001)
    exports.runs.close(3)
    context = exports.sync()
    assert exports.runs.states == {1: SENT, 2: SKIPPED, 3: SENT}
    assert context.report.skipped == {"asked_recently": 1}
    assert exports.files == {"f.csv": [1, 3]}


def test_second_closing_that_may_go(exports: Exports) -> None:
    """No file has two rows of one client."""
    exports.runs.close(1, 2, client_id=1001)
    exports.sync(INTO_FILES._replace(reask_days=0))
    assert exports.files == {"f.csv": [1], "f-2.csv": [2]}


def test_limit(exports: Exports) -> None:
    exports.runs.close(1, 2, 3)
    exports.sync(limit=2)
    assert exports.files == {"f.csv": [1, 2]}
    assert exports.runs.states[3] is PENDING


def test_several_files(exports: Exports, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is settled before the next begins."""
    monkeypatch.setattr(csv_file, "BATCH", 2)
    monkeypatch.setattr(csv_file, "MOST_BYTES", 2 * csv_file.LONGEST_ROW)
    exports.runs.close(*range(1, 6))
    exports.sync(batch_size=2)
    assert exports.files == {"f.csv": [1, 2], "f-2.csv": [3, 4], "f-3.csv": [5]}


def test_long_reading(exports: Exports) -> None:
    """A file is made before what it holds grows old, and the next is begun."""
    exports.runs.close(*range(1, 151))
    exports.runs.clio.meanwhile("contacts", exports.runs.clock.after(minutes=11))
    exports.sync(batch_size=50)
    assert [len(matters) for matters in exports.files.values()] == [50, 50, 50]
    assert set(exports.runs.states.values()) == {SENT}


@pytest.mark.parametrize("kind", ["contacts", "matters"])
def test_too_long_a_reading(exports: Exports, kind: str) -> None:
    """What grew old meanwhile is given back and read again, and all are in files in the end."""
    runs = exports.runs
    runs.waiting(*range(1, 151))
    runs.close(*range(1, 151), etag="after")
    runs.clio.meanwhile(kind, lambda: None, runs.clock.after(minutes=20))
    context = exports.sync(batch_size=50)
    assert set(runs.states.values()) == {SENT}
    matters = [matter for file in exports.files.values() for matter in file]
    assert sorted(matters) == [*range(1, 151)]
    assert context.report.to_send == context.report.sent == 150


def test_machine_that_slept(exports: Exports, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the last reading and the file: everybody is read again."""
    runs, slept = exports.runs, []
    runs.close(1, 2)
    flush = CsvFile.flush

    def late(sink: CsvFile) -> Any:
        if not slept:
            slept.append(True)
            runs.clock.sleeping(hours=1)()
        return flush(sink)

    monkeypatch.setattr(CsvFile, "flush", late)
    exports.sync()
    assert exports.files == {"f.csv": [1, 2]}
    assert runs.clio.requests.count("contacts") == 2


def test_always_too_late(exports: Exports, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends after some rounds, and everybody waits."""
    runs, flush = exports.runs, CsvFile.flush
    runs.close(1)

    def late(sink: CsvFile) -> Any:
        runs.clock.tick(hours=1)
        return flush(sink)

    monkeypatch.setattr(CsvFile, "flush", late)
    with pytest.raises(UnavailableError):
        exports.sync()
    assert (exports.files, runs.states) == ({}, {1: PENDING})


def test_too_late_while_somebody_waits(exports: Exports, monkeypatch: pytest.MonkeyPatch) -> None:
    """For another closing of the same client, which is not in the file yet."""
    runs, flush, slept = exports.runs, CsvFile.flush, []
    runs.close(1, 2, client_id=1001)

    def late(sink: CsvFile) -> Any:
        if not slept:
            slept.append(True)
            runs.clock.tick(hours=1)
        return flush(sink)

    monkeypatch.setattr(CsvFile, "flush", late)
    exports.sync()
    assert runs.states == {1: SENT, 2: SKIPPED}


# What ends it before there is a file.


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (UnavailableError("Clio is away."), Reason.UNAVAILABLE),
        (StoppedError(15), None),
        (ExportError("No room."), None),
    ],
)
def test_everybody_is_given_back(exports: Exports, error: Exception, reason: Reason | None) -> None:
    """Whatever it is; what is told is that they wait for a file."""
    runs = exports.runs
    runs.close(*range(1, 151))

    def fail() -> None:
        raise error

    runs.clio.meanwhile("contacts", lambda: None, fail)
    with pytest.raises(type(error)):
        exports.sync(batch_size=50)
    assert exports.files == {}
    assert {(runs.row(n).state, runs.row(n).reason) for n in range(1, 101)} == {(PENDING, reason)}
    assert runs.context is not None
    told = {c.reason for c in map(runs.context.as_told, [runs.row(1)])}
    assert told == {Reason.EXPORT}
    exports.sync()
    assert sum(map(len, exports.files.values())) == 150


def test_file_that_is_there(exports: Exports) -> None:
    """Nobody waits less than before, and nothing is left."""
    (exports.folder / "f.csv").write_text("mine\n")
    exports.runs.close(1)
    with pytest.raises(ExportError):
        exports.sync()
    assert exports.runs.states == {1: PENDING}
    assert [path.name for path in exports.folder.iterdir()] == ["f.csv"]


def test_place_is_looked_at_first(exports: Exports) -> None:
    """Before anything is pulled."""
    exports.runs.close(1)

    def refuse() -> None:
        raise ExportError("is a folder")

    with pytest.raises(ExportError):
        exports.sync(check_file=refuse)
    assert exports.runs.clio.requests == []


# The brake.


def test_surge_that_is_agreed_to(exports: Exports) -> None:
    """Who named the file on a terminal is asked with how many there are."""
    exports.runs.close(*range(1, 61))
    asked: list[int] = []
    context = exports.sync(BRAKED, asks=lambda lot: not asked.append(lot.closings))
    assert (asked, context.report.sent, context.report.surge) == ([60], 60, 0)


def test_surge_that_is_not(exports: Exports) -> None:
    exports.runs.close(*range(1, 61))
    context = exports.sync(BRAKED, asks=lambda lot: False)
    assert (context.report.surge, context.report.attention, exports.files) == (60, True, {})
    assert exports.sync(BRAKED, approve=True).report.sent == 60


def test_old_doubts_are_of_another_destination(exports: Exports) -> None:
    """A pause is none of a file's."""
    exports.runs.close(1)
    exports.runs.store.note_doubt(NOW)
    exports.sync()
    assert exports.files == {"f.csv": [1]}
