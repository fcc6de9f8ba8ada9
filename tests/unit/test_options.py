"""What an option takes, and what it says of the rest."""

from datetime import datetime
from typing import Literal

import click
import pytest
from click.testing import CliRunner, Result

from clio_broadly_sync.cli.options import DAY, ClioId


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


IN_CLIO = "https://app.clio.com/nc/#"


def id_of(kind: Literal["matter", "contact"], text: str) -> Result:
    """Return how a command ends that was given this as an id of that kind."""

    @click.command()
    @click.option("--id", "number", type=ClioId(kind))
    def command(number: int) -> None:
        click.echo(number)

    return CliRunner().invoke(command, ["--id", text])


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1234", 1234),
        (" 1234\n", 1234),
        (str(2**63 - 1), 2**63 - 1),
        (f"{IN_CLIO}/matters/1234", 1234),
        (f"{IN_CLIO}/matters/1234/documents?tab=2", 1234),
    ],
)
def test_id_or_the_address_of_its_page(text: str, number: int) -> None:
    """The same of a contact, whose pages have addresses of their own."""
    assert id_of("matter", text).output == f"{number}\n"
    assert id_of("contact", text.replace("/matters/", "/contacts/")).output == f"{number}\n"


NO_IDS = ["", "0", "-1", "x", "1.0", "1_000", "\u0661\u0662", str(2**63), "9" * 5000, "00012-Ortiz"]


@pytest.mark.parametrize(
    "text", [*NO_IDS, *(f"{IN_CLIO}/{page}" for page in ("contacts/12", "matters/", "matters/0"))]
)
def test_no_id(text: str) -> None:
    """What was typed may be a client's name, and is not repeated."""
    ran = id_of("matter", text)
    assert ran.exit_code == 2
    assert ran.output.endswith(
        "Invalid value for '--id': a matter's id is a number, the one in its address in Clio.\n"
    )
