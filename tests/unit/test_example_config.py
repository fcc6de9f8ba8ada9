"""config.example.env and the code say the same."""

import re
from importlib import resources
from pathlib import Path

import pytest

from clio_broadly_sync.settings import NAMES, Settings, load_settings

EXAMPLE = Path(__file__).parents[2] / "config.example.env"
FILLED_IN = {
    "SYNC_RULE": "both",
    "BROADLY_URL": "https://broadly.test/v1/batches",
    "BROADLY_API_KEY": "key",
}
SIGN_IN = ("CLIO_CLIENT_ID", "CLIO_CLIENT_SECRET")
SETTING = re.compile(r"^(#?)([A-Z_]+)=(.*)$", re.MULTILINE)


def loaded(folder: Path, text: str) -> Settings:
    file = folder / "config.env"
    file.write_text(text)
    return load_settings(file, FILLED_IN, folder)


@pytest.fixture
def text() -> str:
    return EXAMPLE.read_text()


def test_names_every_setting_once_and_no_other(text: str) -> None:
    assert sorted(name for _, name, _ in SETTING.findall(text)) == sorted(NAMES)


def test_what_is_to_be_filled_in_comes_first_and_empty(text: str) -> None:
    """Nobody's data goes to an address that this project made up."""
    found = SETTING.findall(text)
    open_lines = [(name, value) for comment, name, value in found if not comment]
    assert [(name, value) for _, name, value in found[: len(open_lines)]] == open_lines
    assert open_lines == [(name, "") for name in [*FILLED_IN, *SIGN_IN]]


def test_program_brings_it_along(text: str) -> None:
    """`init` fills it in where nothing but the program is installed."""
    carried = resources.files("clio_broadly_sync").joinpath("config.example.env")
    assert carried.read_text("utf-8") == text


def test_loads_once_it_is_filled_in(tmp_path: Path, text: str) -> None:
    """The lines to fill in are enough, as they stand in the file."""
    filled = text
    for name, value in FILLED_IN.items():
        filled = filled.replace(f"\n{name}=\n", f"\n{name}={value}\n")
    file = tmp_path / "config.env"
    file.write_text(filled)
    assert vars(load_settings(file, {}, tmp_path)) == vars(loaded(tmp_path, ""))


def test_each_value_shown_is_the_default(tmp_path: Path, text: str) -> None:
    """Removing the # from a line changes nothing yet."""
    shown = [(name, value) for comment, name, value in SETTING.findall(text) if comment]
    defaults = loaded(tmp_path, "")
    for name, value in shown:
        assert vars(loaded(tmp_path, f"{name}={value}\n")) == vars(defaults), name
        assert bool(value) == (getattr(defaults, name.lower()) is not None), name


def test_recommends_a_day_of_rest_and_a_private_file(text: str) -> None:
    assert "We recommend 24" in text
    assert "chmod 600 config.env" in text
