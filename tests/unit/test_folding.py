"""How lines are folded on a terminal."""

from collections.abc import Sequence

import click
import pytest

from clio_broadly_sync.cli import names, outbox_list, output
from clio_broadly_sync.cli.output import Column, fitting, fold, folded
from clio_broadly_sync.cli.report import rows

PATH = "/var/lib/" + "x" * 60


def test_off_a_terminal_a_line_stays_whole() -> None:
    """A program that reads it, and a mail, get one line."""
    assert fold("word " * 100, None).count("\n") == 0


def test_what_fits_stays_as_it_is() -> None:
    """Also its blanks."""
    assert fold("  a   table    row", 18) == "  a   table    row"


@pytest.mark.parametrize(
    ("line", "indent"),
    [
        (f"ok       state: It is private, sound and of this version: {PATH}", 9),
        (f"  22 Nov 2026, 11:45  run 3 (sync): noticed, and then this: {PATH}", 22),
        (f"Watermark  22 Nov 2026, 11:45; all that is before it is recorded in {PATH}", 11),
        (f"      → look at them all of them before anything is done with them: {PATH}", 6),
        (f"A sentence without any label, which begins at the left and ends: {PATH}", 0),
        (f"A sentence that somebody gave  a gap far away from its beginning: {PATH}", 0),
    ],
)
def test_folded_lines_stand_below_the_text(line: str, indent: int) -> None:
    """Below what follows a label or an indent; a path stays in one piece."""
    first, *others = fold(line, 40).splitlines()
    assert len(first) <= 40
    assert line.startswith(first)
    assert all(len(other) - len(other.lstrip()) == indent for other in others)
    assert others[-1].strip() == PATH


@pytest.mark.parametrize("columns", [40, 60, 80, 100])
def test_a_command_is_never_broken(columns: int) -> None:
    """Half of it, copied, would do something else."""
    command = "`clio-broadly-sync backfill --from 2026-11-22 --to 2026-11-22`"
    folded = fold(
        f"If the box was checked by mistake, uncheck it in Clio; then: {command}.", columns
    )
    assert command in folded


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let stdout and stderr be terminals of 40 columns."""
    monkeypatch.setattr(output, "width", lambda stream: 40)


@pytest.mark.usefixtures("narrow")
def test_each_line_of_several_is_folded_by_itself() -> None:
    """An empty one stays, and so does a gap."""
    text = "\nname   words that go on until there is no more room for them\n\n  end"
    first, label, more, empty, end = folded(text).split("\n")
    assert (first, empty, end) == ("", "", "  end")
    assert label.startswith("name   words")
    assert more.startswith("       ")
    assert max(len(label), len(more)) <= 40


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("kind", [click.ClickException, click.UsageError, click.BadParameter])
def test_errors_of_click_are_folded(kind: type[click.ClickException]) -> None:
    """What is no usage error, too; the exit code stays."""
    words = "word " * 20
    with pytest.raises(click.ClickException) as caught, output.errors_folded():
        raise kind(words.strip())
    lines = f"Error: {caught.value.format_message()}".splitlines()
    assert max(map(len, lines)) <= 40
    assert caught.value.exit_code == kind.exit_code
    assert caught.value.format_message().split()[-20:] == words.split()


@pytest.mark.parametrize(
    ("columns", "kept", "longest"),
    [
        (outbox_list.COLUMNS, "matter closed_on state reason", "outside sending hours"),
        (rows.COLUMNS, "matter closed_on result", "not: without SendBroadlyThankYou"),
        (names.COLUMNS, "matter closed_on decision", "not: without SendBroadlyThankYou"),
    ],
)
def test_a_narrow_table_keeps_what_a_person_looks_for(
    columns: Sequence[Column], kept: str, longest: str
) -> None:
    """Which matter it is, what became of it and why, also the longest usual reason."""
    shown = fitting(columns, 60)
    assert " ".join(column.title.replace(" ", "_") for column in shown) == kept
    assert shown[-1].width >= len(longest)
