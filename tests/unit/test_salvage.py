"""What settings that are not in order still tell: where and how to say so."""

import os
from pathlib import Path

import pytest

from clio_broadly_sync.domain.errors import ConfigError
from clio_broadly_sync.settings import NAMES, Salvaged, load_settings, salvage_settings

PING = "https://ping.test/0b1c"


def _salvaged(folder: Path, text: str | None = None, **environ: str) -> Salvaged:
    """Salvage what `load` refuses."""
    if text is not None:
        (folder / "config.env").write_text(text)
    with pytest.raises(ConfigError):
        load_settings(None, environ, folder)
    return salvage_settings(None, environ, folder)


def test_good_ones_among_bad_ones(tmp_path: Path) -> None:
    """Of the file and of the environment, which wins."""
    text = (
        f"what is this\nSYNC_RULE=perhaps\nSYNC_STATE=mine.db\nPING_URL={PING}\nLOG_FORMAT=JSON\n"
    )
    assert _salvaged(tmp_path, text) == Salvaged(tmp_path / "mine.db", PING, "json")
    here = _salvaged(tmp_path, text, SYNC_STATE="/srv/s.db", LOG_FORMAT="text")
    assert here == Salvaged(Path("/srv/s.db"), PING, "text")


@pytest.mark.parametrize("text", ["", "SYNC_STATE=/\n", "SYNC_STATE=a/\nPING_URL=nonsense\n"])
def test_bad_ones_give_way_to_the_usual(tmp_path: Path, text: str) -> None:
    """The state beside the settings file, nobody to ping, plain text."""
    usual = tmp_path / "state" / "state.db"
    assert _salvaged(tmp_path, text + "LOG_FORMAT=xml\n") == Salvaged(usual, None, "text")


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_file_that_cannot_be_read(tmp_path: Path, content: bytes | None) -> None:
    """It says at least where it was."""
    file = tmp_path / "office" / "settings.env"
    file.parent.mkdir()
    if content is not None:
        file.write_bytes(content)
    found = salvage_settings(file, {"PING_URL": PING}, tmp_path)
    assert found == Salvaged(file.parent / "state" / "state.db", PING, "text")


def test_no_file_at_all(tmp_path: Path) -> None:
    """Then there is no usual place."""
    assert _salvaged(tmp_path) == Salvaged(None, None, "text")


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    """The environment may hold anything."""
    environ = dict.fromkeys(NAMES, os.fsdecode(b"\xff\xfe"))
    assert _salvaged(tmp_path, **environ) == Salvaged(None, None, "text")
