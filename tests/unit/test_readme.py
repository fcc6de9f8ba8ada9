"""What the README lists is what there is."""

import re
from pathlib import Path

from clio_broadly_sync.cli.main import COMMANDS
from clio_broadly_sync.domain.errors import OUTCOMES
from clio_broadly_sync.domain.model import SyncRule
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.settings import NAMES

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """Return the text under a heading."""
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def first_cells(text: str) -> set[str]:
    """Return what stands in backquotes in the first cell of each row of the tables."""
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("|")]
    return {word for row in rows for word in re.findall(r"`([^`]+)`", row)}


def test_settings() -> None:
    """Each setting has its row, and no row is of something else."""
    assert first_cells(section("Set it up")) == set(NAMES)


def test_reasons() -> None:
    """Each public reason is explained."""
    explained = first_cells(section("Why was a client not handed over?"))
    assert explained == {str(reason) for reason in Reason}


def test_rules() -> None:
    """Each rule has its row."""
    rows = first_cells(section("Which box counts: `SYNC_RULE`")) - {"SYNC_RULE"}
    assert rows == {str(rule) for rule in SyncRule}


def test_commands() -> None:
    """Each command is named in the table of commands."""
    named = {words.split()[0] for words in first_cells(section("The commands"))}
    assert named == set(COMMANDS)


def test_exit_codes() -> None:
    """Each exit code has its row and its word."""
    text = section("When it fails")
    for code, word in OUTCOMES.items():
        assert f"| {code} | `{word}` |" in text
