"""What an option takes, and what it says of the rest."""

from datetime import datetime

import click
import pytest
from click.testing import CliRunner, Result

from clio_broadly_sync.cli.options import DAY


def given(text: str) -> Result:
    """Return how a command ends that was given this as a day."""

    @click.command()
    @click.option("--from", "first", type=DAY)
    def command(first: datetime) -> None:
        click.echo(first.date())

    return CliRunner().invoke(command, ["--from", text])


@pytest.mark.parametrize("text", ["2026-06-31", "2026-02-29", "31.01.2026", "yesterday", ""])
def test_no_day_of_the_calendar(text: str) -> None:
    """2, with the date and how one is written, instead of the letters of a format."""
    ran = given(text)
    assert ran.exit_code == 2
    assert f"“{text}” is no day of the calendar; write dates as 2026-01-31.\n" in ran.output
    assert "%Y" not in ran.output


def test_wrong_day_does_nothing_to_a_terminal() -> None:
    ran = given("\x1b[31m" + "x" * 500)
    assert "\x1b" not in ran.output
    assert "x" * 65 not in ran.output
