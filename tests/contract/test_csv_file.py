"""The file of an export: its rows cell by cell, its size, its age, and how it comes to its name."""

import csv
import errno
import io
import os
import signal
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from clio_broadly_sync.domain.errors import (
    ExportError,
    StoppedError,
    StorageError,
    TooLateError,
    UnavailableError,
)
from clio_broadly_sync.domain.model import Key, Outcome, Receipt, ReviewRequest
from clio_broadly_sync.sinks import csv_file
from clio_broadly_sync.sinks.csv_file import COLUMNS, CsvFile
from clio_broadly_sync.sinks.new_files import NewFiles, StandardOutput, check_place
from clio_broadly_sync.transport.signals import Stop

FOR_EVER = 900.0
BOM = b"\xef\xbb\xbf"
HEADER = BOM + (",".join(COLUMNS) + "\r\n").encode()


class Notes:
    """Keeps what is noted, in its order, and lets somebody act at one of the notes."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.acts: dict[str, Callable[[], object]] = {}

    def begin(self) -> None:
        self._note("begin")

    def name(self, temporary: Path, file: Path) -> None:
        self._note("name")

    def seal(self, changed_ns: int = 0, inode: int = 0) -> None:
        self._note("seal")

    def _note(self, what: str) -> None:
        self.told.append(what)
        self.acts.get(what, lambda: None)()


class Export:
    """A file that is written with requests, and where it is to be."""

    def __init__(self, folder: Path, name: str = "clients.csv") -> None:
        self.path = folder / name
        self.notes, self.stop = Notes(), Stop()
        self.files = NewFiles(self.path, self.notes, self.stop)
        self.sink = CsvFile(self.files)
        self.left = FOR_EVER

    def send(self, *requests: ReviewRequest, left: float | None = None) -> list[Receipt]:
        seconds = (lambda: self.left) if left is None else (lambda: left)
        return [one for several in self.sink.send(requests, seconds) for one in several]

    def flush(self) -> list[Receipt]:
        return [receipt for receipts in self.sink.flush() for receipt in receipts]

    def write(self, *requests: ReviewRequest) -> bytes:
        assert self.send(*requests) == []
        assert [receipt.key for receipt in self.flush()] == [r.key for r in requests]
        return self.path.read_bytes()

    @property
    def names(self) -> list[str]:
        return sorted(path.name for path in self.path.parent.iterdir())


@pytest.fixture
def export(tmp_path: Path) -> Export:
    folder = tmp_path / "exports"
    folder.mkdir()
    return Export(folder)


def request(number: int = 1, **changes: Any) -> ReviewRequest:
    made = ReviewRequest(Key(number, date(2026, 11, 20)), 1000 + number, date(2026, 11, 20))
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def cells(content: bytes) -> list[list[str]]:
    """Return the rows below the first one, as Python's reader has them."""
    text = io.StringIO(content.decode("utf-8-sig"), newline="")
    return list(csv.reader(text, strict=True))[1:]


# The rows.


def test_bytes_of_a_file(export: Export) -> None:
    """As in the contract, to the byte."""
    whole = request(first_name="Ada", last_name="Lovelace", email="a@b.co", phone="+14155550123")
    firm = request(2, company_name='Smith, "Jones" & Co', email="c@d.co")
    assert export.write(whole, firm) == HEADER + (
        b"Ada,Lovelace,,a@b.co,+14155550123,clio:contact:1001,clio:matter:1:2026-11-20,2026-11-20"
        b'\r\n,,"Smith, ""Jones"" & Co",c@d.co,,clio:contact:1002,clio:matter:2:2026-11-20,'
        b"2026-11-20\r\n"
    )


NAMES = [
    "Ada", "=1+1", "=HYPERLINK(\"http://x\")", "+1 415", "-Ada", "@ada", "\t=1", "\r=1", "'quoted'",
    'say "hi"', "a,b", "a;b", "two\nlines", "two\r\nlines", " outer ", "Zoë", "Zoe\u0308", "محمد",
    "🦊", "\ud800half", "x" * 300, '"' * 255, "\ufeffmark", "001", "1e5", "\x00nul", "𝔄" * 255,
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("field", ["first_name", "last_name", "company_name"])
def test_names(export: Export, field: str, name: str) -> None:
    """Each comes back as the other destinations get it, but what begins like a formula."""
    content = export.write(request(**{field: name}))
    column = ["first_name", "last_name", "company_name"].index(field)
    ((*found,),) = cells(content)
    expected = csv_file.name_of(name)
    assert found[column] == ("'" * (expected[:1] in tuple("=+-@\t\r")) + expected)
    assert not found[column].startswith(tuple("=+-@\t\r"))
    assert [cell for n, cell in enumerate(found[:5]) if n != column] == [""] * 4
    assert len(content.split(b"\r\n")[1]) < csv_file.LONGEST_ROW


def test_longest_row(export: Export) -> None:
    """No request can have a longer one than a file makes room for."""
    name, email = "𝔄" * 255, "é" * 248 + "@b.com"
    most = request(2**62, first_name=name, last_name=name, company_name=name, email=email)
    most.phone = "+123456789012345"
    content = export.write(most)
    assert len(content) - len(HEADER) < csv_file.LONGEST_ROW


def test_cells_with_line_breaks_are_quoted() -> None:
    """Should a name ever have one: names have none by then."""
    assert csv_file._spelled(["a\r\nb", "c"]) == b'"a\r\nb",c\r\n'


# Its name.


def test_steps_to_a_name(export: Export) -> None:
    """It is noted under which name it will be, when it is whole, and when it is settled."""
    assert export.send(request()) == []
    (temporary,) = export.names
    assert temporary.startswith(".clio-broadly-sync-")
    assert (export.path.parent / temporary).stat().st_mode & 0o777 == 0o600
    seen: list[list[str]] = []
    export.notes.acts["seal"] = lambda: seen.append(export.names)
    export.flush()
    assert seen == [[temporary]]
    assert (export.names, export.notes.told) == (["clients.csv"], ["name", "seal", "begin"])
    assert export.path.stat().st_mode & 0o777 == 0o600
    assert export.sink.close() == []


def test_nobody_makes_no_file(export: Export) -> None:
    assert (export.flush(), export.sink.close(), export.names) == ([], [], [])


def test_what_is_not_flushed_is_let_go(export: Export) -> None:
    export.send(request())
    assert export.sink.close() == []
    assert export.names == []


def test_umask_takes_nothing_away(export: Export) -> None:
    before = os.umask(0o777)
    try:
        export.write(request())
    finally:
        os.umask(before)
    assert export.path.stat().st_mode & 0o777 == 0o600


def test_size(export: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file ends where another batch might not fit; each is settled before the next begins."""
    monkeypatch.setattr(csv_file, "MOST_BYTES", 101 * csv_file.LONGEST_ROW)
    receipts: list[Receipt] = []
    for first in range(1, 401, 100):
        requests = [request(n, last_name="x" * 30) for n in range(first, first + 100)]
        receipts += export.send(*requests)
    receipts += export.flush()
    assert [receipt.key.matter_id for receipt in receipts] == list(range(1, 401))
    assert export.names == ["clients-2.csv", "clients-3.csv", "clients-4.csv", "clients.csv"]
    assert [file.name for file in export.files.made] == [
        "clients.csv", "clients-2.csv", "clients-3.csv", "clients-4.csv"
    ]  # fmt: skip
    for file in export.files.made:
        content = file.read_bytes()
        assert content.startswith(HEADER)
        assert len(content) <= csv_file.MOST_BYTES
    assert sum(len(cells(file.read_bytes())) for file in export.files.made) == 400


def test_five_million_bytes(export: Export) -> None:
    """The longest rows there can be, and the real limit."""
    name, number = "𝔄" * 255, 0
    while len(export.files.made) < 2:
        batch = [
            request(n, first_name=name, last_name=name, company_name=name)
            for n in range(number, number + 100)
        ]
        number += 100
        export.send(*batch)
    sizes = [file.stat().st_size for file in export.files.made]
    assert all(4_500_000 < size <= 5_000_000 for size in sizes)


@pytest.mark.parametrize(
    ("name", "second"),
    [("a.csv", "a-2.csv"), ("a.b.csv", "a.b-2.csv"), ("a", "a-2"), (".csv", ".csv-2")],
)
def test_further_names(tmp_path: Path, name: str, second: str) -> None:
    export = Export(tmp_path, name)
    export.write(request())
    export.send(request(2))
    export.flush()
    assert export.names == sorted([name, second])


# Its age.


def test_old_soon(export: Export) -> None:
    """What may wait only minutes more is made at once; the next goes into another file."""
    (receipt,) = export.send(request(), left=csv_file.LEAST_SECONDS - 1)
    assert (receipt.outcome, export.names) == (Outcome.ACCEPTED, ["clients.csv"])
    assert export.send(request(2)) == []
    assert len(export.flush()) == 1


def test_age_of_the_oldest(export: Export) -> None:
    """Of several batches the oldest counts, whichever came first."""
    export.send(request(), left=800)
    assert len(export.send(request(2), left=200)) == 2
    export.send(request(3), left=400)
    assert len(export.send(request(4), left=200)) == 2


@pytest.mark.parametrize("when", ["send", "flush"])
def test_too_old(export: Export, when: str) -> None:
    """Then there is no file, and everybody has to be read again."""
    export.send(request())
    export.left = 0
    with pytest.raises(TooLateError):
        export.send(request(2), left=FOR_EVER) if when == "send" else export.flush()
    assert (export.names, export.flush(), export.sink.close()) == ([], [], [])
    export.left = FOR_EVER
    assert export.send(request()) == []
    assert len(export.flush()) == 1


# What goes wrong.


def test_signal_before_the_name(export: Export) -> None:
    """It gives all back."""
    export.send(request())
    export.stop.ask(signal.SIGINT)
    with pytest.raises(StoppedError):
        export.flush()
    assert "seal" not in export.notes.told
    assert (export.sink.close(), export.names) == ([], [])


def test_signal_after_the_name_is_noted(export: Export) -> None:
    """From then on it is made."""
    export.send(request())
    export.notes.acts["seal"] = lambda: export.stop.ask(signal.SIGINT)
    assert len(export.flush()) == 1


def test_somebody_takes_the_name(export: Export) -> None:
    """Whatever was done last moment is left alone, and nothing of ours stays."""
    export.send(request())
    export.notes.acts["seal"] = lambda: export.path.write_text("mine")
    with pytest.raises(ExportError, match="exists already"):
        export.flush()
    assert export.notes.told[-1] == "name"
    assert (export.sink.close(), export.names) == ([], ["clients.csv"])
    assert export.path.read_text() == "mine"


def test_second_name_is_taken(export: Export) -> None:
    """What is in the first one is settled."""
    (export.path.parent / "clients-2.csv").write_text("mine")
    export.write(request())
    with pytest.raises(ExportError, match=r"clients-2\.csv exists already"):
        export.send(request(2))
    assert (export.sink.close(), export.names) == ([], ["clients-2.csv", "clients.csv"])


def failing(call: str, number: int, error: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the call with this number fail, which the others do not."""
    real, calls = getattr(os, call), []

    def fail(*arguments: Any, **named: Any) -> Any:
        calls.append(arguments)
        if len(calls) == number:
            raise OSError(error, os.strerror(error))
        return real(*arguments, **named)

    monkeypatch.setattr(os, call, fail)


FAILURES = [
    ("write", 1, errno.ENOSPC, "make room"),
    ("write", 2, errno.EDQUOT, "make room"),
    ("write", 2, errno.EIO, "another folder"),
    ("fsync", 1, errno.EIO, "another folder"),
    ("fsync", 2, errno.EIO, "another folder"),
    ("link", 1, errno.EPERM, "second name"),
    ("link", 1, errno.EOPNOTSUPP, "second name"),
    ("link", 1, errno.EROFS, "another folder"),
    ("open", 1, errno.EROFS, "another folder"),
    ("open", 1, errno.EMFILE, "another folder"),
]


@pytest.mark.parametrize(("call", "number", "error", "advice"), FAILURES)
def test_system_refuses(
    export: Export, monkeypatch: pytest.MonkeyPatch, call: str, number: int, error: int, advice: str
) -> None:
    """74 with what to do, and nothing is left; the next file is made."""
    failing(call, number, error, monkeypatch)
    with pytest.raises(ExportError, match=advice) as raised:
        export.write(request())
    assert raised.value.exit_code == 74
    assert (export.sink.close(), export.names) == ([], [])
    again = Export(export.path.parent)
    again.write(request())
    assert again.names == ["clients.csv"]


@pytest.mark.parametrize("error", [errno.EINVAL, errno.EOPNOTSUPP])
def test_folder_that_cannot_be_synced(
    export: Export, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    """Some file systems have no such thing."""
    failing("fsync", 2, error, monkeypatch)
    export.write(request())


@pytest.mark.parametrize(("call", "number"), [("unlink", 1), ("fsync", 3), ("close", 3)])
def test_trouble_once_it_has_its_name(
    export: Export, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    """Nobody may be given back then, so the error is one that leaves it to the next run."""
    failing(call, number, errno.EIO, monkeypatch)
    export.send(request())
    with pytest.raises(StorageError, match="is there"):
        export.flush()
    assert export.path.exists()
    assert export.notes.told[-1] == "seal"


def test_answer_lost_by_a_network_folder(export: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says that the name is there already, which it has just given."""
    link = os.link

    def linked(*paths: Any) -> None:
        link(*paths)
        link(*paths)

    monkeypatch.setattr(os, "link", linked)
    export.write(request())
    assert export.names == ["clients.csv"]


def test_temporary_file_that_cannot_go(export: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is left to the next run, which knows its name."""
    export.send(request())
    failing("unlink", 1, errno.EACCES, monkeypatch)
    assert export.sink.close() == []
    assert export.notes.told == ["name"]


# Where it is to be.


def test_places(tmp_path: Path) -> None:
    """Each that is no place is told apart, before anybody is read."""
    (tmp_path / "file").write_text("")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    for name, says in {
        "file": "exists already",
        "fifo": "exists already",
        "dangling": "exists already",
        "folder": "is a folder",
        ".": "is a folder",
        "absent/clients.csv": "make it",
        "file/clients.csv": "make it",
    }.items():
        with pytest.raises(ExportError, match=says):
            check_place(tmp_path / name)
    check_place(tmp_path / "new.csv")
    check_place(tmp_path / "folder" / "new.csv")


def test_folder_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *arguments: False)
    with pytest.raises(ExportError, match="may not be written"):
        check_place(tmp_path / "new.csv")


def test_disk_without_second_names(export: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as FAT on an USB stick: what to do is said."""
    failing("link", 1, errno.EPERM, monkeypatch)
    export.send(request())
    with pytest.raises(ExportError, match="copy it from there"):
        export.flush()
    export.sink.close()
    assert export.names == []


# Standard output.


class Piped:
    """A file on standard output, of which somebody reads the other end."""

    def __init__(self) -> None:
        self.reader, writer = os.pipe()
        self.notes, self.stop = Notes(), Stop()
        self.target = StandardOutput(writer, self.notes, self.stop)
        self.sink = CsvFile(self.target)
        self.writer = writer

    def send(self, *requests: ReviewRequest) -> list[Receipt]:
        sent = self.sink.send(requests, lambda: FOR_EVER)
        return [receipt for receipts in sent for receipt in receipts]

    def flush(self) -> list[Receipt]:
        return [receipt for receipts in self.sink.flush() for receipt in receipts]


@pytest.fixture
def piped() -> Iterator[Piped]:
    made = Piped()
    yield made
    for descriptor in (made.reader, made.writer):
        try:
            os.close(descriptor)
        except OSError:
            continue


def test_standard_output(piped: Piped) -> None:
    """Nothing is written before all of it may go."""
    piped.send(request(first_name="Ada"))
    os.set_blocking(piped.reader, False)
    with pytest.raises(BlockingIOError):
        os.read(piped.reader, 1)
    assert len(piped.flush()) == 1
    assert cells(os.read(piped.reader, 10_000))[0][0] == "Ada"
    assert piped.notes.told == ["seal", "begin"]
    assert piped.sink.close() == []


def test_one_file_only(piped: Piped) -> None:
    """What comes after it waits for another run."""
    piped.send(request())
    piped.flush()
    with pytest.raises(UnavailableError, match="one file"):
        piped.send(request(2))
    assert piped.sink.close() == []


def test_reader_is_gone(piped: Piped) -> None:
    """Before anything was written: nobody is in doubt."""
    os.close(piped.reader)
    piped.send(request())
    with pytest.raises(ExportError, match="standard output"):
        piped.flush()
    assert piped.sink.close() == []


def test_reader_goes_half_way(piped: Piped, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was written by then may be anywhere, and nobody else."""
    write, sizes = os.write, [30_000, 20_000]

    def some(descriptor: int, data: bytes) -> int:
        if not sizes:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")
        return write(descriptor, bytes(data[: sizes.pop(0)]))

    piped.send(*(request(number, first_name="x" * 255) for number in range(300)))
    monkeypatch.setattr(os, "write", some)
    with pytest.raises(ExportError, match="Broken pipe"):
        piped.flush()
    in_doubt = piped.sink.close()
    assert {receipt.outcome for receipt in in_doubt} == {Outcome.UNKNOWN}
    begun = os.read(piped.reader, 100_000).split(b"\r\n")[1:]
    assert [receipt.key.matter_id for receipt in in_doubt] == list(range(len(begun)))


def test_signal_while_the_reader_sleeps(piped: Piped) -> None:
    """It ends the wait; whoever may have been written is in doubt."""
    piped.send(*(request(number, first_name="x" * 255) for number in range(900)))
    signal.signal(signal.SIGALRM, piped.stop.ask)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    with pytest.raises(StoppedError):
        piped.flush()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    in_doubt = piped.sink.close()
    assert 200 < len(in_doubt) < 600
