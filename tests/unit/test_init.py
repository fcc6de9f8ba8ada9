"""A settings file that `init` writes is read back as it was answered."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clio_broadly_sync.cli import init
from clio_broadly_sync.domain.errors import ConfigError
from clio_broadly_sync.settings import NAMES
from clio_broadly_sync.settings.file import read_file

IN_PLACE = {"SYNC_RULE": "both"}
printable = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1)
awkward = st.text("'\"#$\\ ={}`!%;~\u00e9a", min_size=1)
values = st.one_of(printable, awkward).filter(str.strip)


@given(st.dictionaries(st.sampled_from(NAMES), values))
@example({"BROADLY_API_KEY": "'a\\", "CLIO_CLIENT_SECRET": "'b'", "SYNC_RULE": '"'})
def test_whatever_is_put_in_comes_out(answers: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "config.env")
        init.write_settings_file(path, answers)
        assert read_file(path, NAMES) == (answers, [])


def test_a_file_that_came_in_between_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "config.env"
    path.write_text("mine")
    with pytest.raises(Exception, match="is there already"):
        init.write_settings_file(path, IN_PLACE)
    assert path.read_text() == "mine"


def test_a_full_disk_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = "/dev/full"
    if not os.path.exists(full):
        pytest.skip("this system has no /dev/full to write to")
    opened = os.open

    def on_full_disk(path: Path, *how: int) -> int:
        os.close(opened(path, *how))
        return opened(full, os.O_WRONLY)

    monkeypatch.setattr(init.os, "open", on_full_disk)
    with pytest.raises(ConfigError, match="No space left"):
        init.write_settings_file(tmp_path / "config.env", IN_PLACE)
    assert list(tmp_path.iterdir()) == []
