"""Each command's `--help`: short, with an example that can be pasted."""

import shlex
from collections.abc import Iterator
from contextlib import nullcontext

import click
import pytest
from click.testing import CliRunner, Result
from folds import too_wide
from golden_files import Golden

from clio_broadly_sync import __version__
from clio_broadly_sync.cli import output
from clio_broadly_sync.cli.main import COMMANDS, cli
from clio_broadly_sync.cli.options import Options

PROGRAM = "clio-broadly-sync"


def root_context() -> click.Context:
    """Return the context of the program itself, on a terminal of 80 columns."""
    return click.Context(
        cli, info_name=PROGRAM, obj=Options(), terminal_width=80, **cli.context_settings
    )


def contexts(name: str) -> Iterator[click.Context]:
    """Yield the context of a command, and of each command below it."""
    root = root_context()
    command = cli.get_command(root, name)
    assert command is not None
    own = click.Context(command, parent=root, info_name=name)
    yield own
    if isinstance(command, click.Group):
        for part in command.list_commands(own):
            below = command.get_command(own, part)
            assert below is not None
            yield click.Context(below, parent=own, info_name=part)


def example(text: str) -> str:
    """Return the line after "Example:", which nothing wraps."""
    lines = text.splitlines()
    number = next(i for i, line in enumerate(lines) if line.startswith("  Example: "))
    assert lines[number + 1] == ""
    return lines[number].removeprefix("  Example: ")


def test_help_of_every_command(golden: Golden) -> None:
    """Word for word, in the order of the list of commands."""
    every = [root_context(), *(context for name in COMMANDS for context in contexts(name))]
    helped = [f"$ {one.command_path} --help\n\n{one.command.get_help(one)}" for one in every]
    golden("help", "\n\n\n".join(helped))


WRONG = (
    "stauts", "dance", "--config", "sync now", "sync --json --limit many", "sync --limit -1",
    "sync --nonsense", "backfill --from 2026-01-01", "backfill --from 2026-13-01 --to 2026-12-31",
    "backfill --from 2026-02-01 --to 2026-01-01 --yes",
    "backfill --from 2026-01-01 --to 2026-02-01", "explain", "explain 77 --contact 5",
    "explain --contact name", "explain ' '", "explain --offline 00077-X", "explain 77 78",
    "outbox resend --yes", "outbox drop --all --state dead --yes",
    "outbox drop --all", "outbox drop 0 --yes", "outbox list --batch 2", "outbox list --state sent",
    "outbox list --reason dropped", "verify --against-clio 0", "completion csh", "status 77",
)  # fmt: skip


def test_wrong_usage(golden: Golden) -> None:
    """2, and all that is said is on stderr."""
    said = []
    for line in WRONG:
        ran = _ran(line)
        assert (ran.exit_code, ran.stdout) == (2, ""), line
        said.append(f"$ {PROGRAM} {line}\n{ran.stderr}")
    golden("wrong_usage", "\n".join(said))


@pytest.mark.parametrize("line", ["", "outbox", "schedule"])
def test_a_group_without_a_command_shows_its_help(line: str) -> None:
    """As `--help` does, but with 2: nothing was done, and a script shall notice."""
    bare, helped = (_ran(line), _ran(f"{line} --help"))
    assert (bare.exit_code, bare.stdout, bare.stderr) == (2, "", helped.stdout)


def _ran(line: str) -> Result:
    return CliRunner().invoke(cli, shlex.split(line), prog_name=PROGRAM, terminal_width=80)


def test_wrong_usage_is_folded_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between words, with room for the one that stands before the sentence."""
    for line in WRONG:
        whole, narrow = _said(line), _said(line, monkeypatch)
        assert narrow.split() == whole.split(), line
        assert not too_wide(narrow, 60)
        assert whole.splitlines()[-1].startswith("Error: ")


def _said(line: str, on_a_terminal: pytest.MonkeyPatch | None = None) -> str:
    with on_a_terminal.context() if on_a_terminal else nullcontext() as patch:
        if patch is not None:
            patch.setattr(output, "width", lambda stream: 60)
        said: str = CliRunner().invoke(cli, shlex.split(line), terminal_width=60).stderr
    return said


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_a_narrow_terminal(name: str) -> None:
    for context in (root_context(), *contexts(name)):
        context.terminal_width = 60
        assert not too_wide(context.command.get_help(context), 60)


@pytest.mark.parametrize("name", COMMANDS)
def test_has_an_example_and_fits_a_terminal(name: str) -> None:
    """Of each command, of each group, and of the program itself."""
    for context in (root_context(), *contexts(name)):
        text = context.command.get_help(context)
        assert PROGRAM in example(text)
        assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_example_is_one_that_the_command_understands(name: str) -> None:
    for context in contexts(name):
        words = shlex.split(example(context.command.get_help(context)), comments=True)
        if words[0] != PROGRAM:
            assert words == ["eval", f"$({context.command_path} bash)"]
            continue
        words = words[: words.index(">")] if ">" in words else words
        path = context.command_path.split()
        assert words[: len(path)] == path
        assert isinstance(context.parent, click.Context)
        context.command.make_context(path[-1], words[len(path) :], parent=context.parent)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli(["--version"], prog_name=PROGRAM)
    assert not end.value.code
    assert capsys.readouterr().out == f"{PROGRAM}, version {__version__}\n"


@pytest.mark.parametrize(
    ("name", "value", "colour"),
    [("NO_COLOR", "1", False), ("NO_COLOR", "", None), ("TERM", "dumb", False)],
)
def test_colours_can_be_switched_off(
    name: str, value: str, colour: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None leaves it to whether there is a terminal."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(name, value)
    assert cli.callback is not None
    with click.Context(cli) as context:
        cli.callback(config_file=None, verbose=False)
        assert context.color is colour
