"""A file of a report is there as a whole, private, or not at all."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from clio_broadly_sync.cli.report import files
from clio_broadly_sync.domain.errors import ExportError, StoppedError
from clio_broadly_sync.transport.signals import Stop


def broken(error: Exception) -> Iterator[bytes]:
    yield b"one line"
    raise error


def test_whole(tmp_path: Path) -> None:
    files.write(tmp_path / "a.csv", [b"one, ", b"two"], Stop())
    assert (tmp_path / "a.csv").read_bytes() == b"one, two"
    assert stat.S_IMODE((tmp_path / "a.csv").stat().st_mode) == 0o600
    assert [*tmp_path.iterdir()] == [tmp_path / "a.csv"]


@pytest.mark.parametrize("error", [StoppedError(15), ValueError(), KeyError()])
def test_failure_leaves_nothing(tmp_path: Path, error: Exception) -> None:
    """Whatever it was, and not even a half of one."""
    with pytest.raises(type(error)):
        files.write(tmp_path / "a.csv", broken(error), Stop())
    assert [*tmp_path.iterdir()] == []


def test_signal_before_the_end(tmp_path: Path) -> None:
    """It ends the program, and no file is made."""
    stop = Stop()
    stop.ask(15)
    with pytest.raises(StoppedError):
        files.write(tmp_path / "a.csv", [b"one"], stop)
    assert [*tmp_path.iterdir()] == []


def test_somebody_was_faster(tmp_path: Path) -> None:
    """Their file stays."""

    def lines() -> Iterator[bytes]:
        (tmp_path / "a.csv").write_bytes(b"theirs")
        yield b"ours"

    with pytest.raises(ExportError, match="no file is overwritten"):
        files.write(tmp_path / "a.csv", lines(), Stop())
    assert (tmp_path / "a.csv").read_bytes() == b"theirs"
    assert [*tmp_path.iterdir()] == [tmp_path / "a.csv"]
