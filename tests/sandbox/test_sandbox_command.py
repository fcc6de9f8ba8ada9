"""What the `sandbox` command says to the person at its terminal."""

import io
import sys

import pytest

from clio_broadly_sync.cli import practice as command
from clio_broadly_sync.cli.init import QUESTIONS
from clio_broadly_sync.sandbox import Firm


def test_settings_are_answers_in_the_order_of_the_questions() -> None:
    """All but the last, of which `init` does not ask; the region's question takes the URL."""
    asked = [question.name for question in QUESTIONS if question.name in command.SETTINGS]
    assert list(command.SETTINGS) == ["CLIO_BASE_URL", *asked, "SYNC_STATE"]


def test_enter_closes_three_matters_as_long_as_there_are_some(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is left to wonder whether the key was seen."""
    firm = Firm(contacts=0, matters=0)
    matters = [firm.add_matter(None) for _ in range(command.AT_ONCE + 1)]
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n\n\n"))
    command._close_on_enter(firm)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(";")[0] for line in lines] == [
        *(f"Closed matter {matter}" for matter in matters),
        "No open matter is left.",
    ]
    assert firm.matter_ids("Open") == []
