"""The group of commands, the options of all of them, and what a bug prints."""

import importlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clio_broadly_sync import __version__
from clio_broadly_sync.cli import logs, output
from clio_broadly_sync.cli.options import Options
from clio_broadly_sync.cli.output import Output, OutputError
from clio_broadly_sync.domain.errors import ConfigError, StoppedError, StorageError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS = {
    "sync": "Send the clients of newly closed matters to Broadly (what cron runs).",
    "backfill": "Send the clients of matters closed in a range of dates.",
    "init": "Write a settings file after a few questions.",
    "login": "Sign in to Clio in the browser.",
    "logout": "Sign out of Clio and forget the tokens.",
    "check": "Is everything in order, from the settings to cron? What to do next?",
    "status": "Is all well? How far it has come, what waits, what needs a person.",
    "report": "Whom the firm asked in a period, whom not, and why.",
    "explain": "Why was this matter's client sent to Broadly, or not?",
    "verify": "Is the state sound, and did anything slip through?",
    "outbox": "List, send again or leave out what waits, is held, or was rejected.",
    "schedule": "Print what cron or systemd needs, with this machine's paths.",
    "firms": "Add, list, change or remove the firms of a fleet (many firms, one database).",
    "fleet": "Set up and run many firms from one PostgreSQL database.",
    "sandbox": "Run a practice Clio and a practice Broadly on this machine.",
    "demo": "Show the whole job on the practice servers: no account, no network.",
    "completion": "Print the shell's completion for this program.",
}

_MODULES = {
    "backfill": "sync",
    "logout": "login",
    "check": "check.command",
    "report": "report.command",
    "explain": "explain.command",
    "firms": "firms.command",
    "sandbox": "practice",
    "demo": "practice",
}
"""The modules of those commands that are not in a module of their own name."""


_OF_A_FLEET = ("cryptography", "procrastinate", "psycopg", "psycopg_pool")
"""The libraries that one firm alone does without."""
_INSTALL = "-m pip install 'clio-broadly-sync[fleet]'"


class _LazyGroup(click.Group):
    """The commands by name and one line; a command's module is loaded only when it is called.

    The libraries of all commands take long to load, and `--help` and completion must not wait for
    them.
    """

    def make_context(self, *arguments: Any, **named: Any) -> click.Context:
        with output.errors_folded():
            return super().make_context(*arguments, **named)

    def invoke(self, context: click.Context) -> Any:
        try:
            with output.errors_folded():
                return super().invoke(context)
        except KeyboardInterrupt:  # of a command that notes no signals itself
            click.echo(err=True)
            stopped = StoppedError(signal.SIGINT)
            logs.error(str(stopped))
            sys.exit(stopped.exit_code)

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            from difflib import get_close_matches

            near = get_close_matches(name, COMMANDS, n=1)
            if near and not context.resilient_parsing:
                context.fail(f"No such command '{name}'. Did you mean '{near[0]}'?")
            return None
        module = importlib.import_module(f"clio_broadly_sync.cli.{_MODULES.get(name, name)}")
        command: click.Command = getattr(module, name)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def shell_complete(self, context: click.Context, incomplete: str) -> "list[CompletionItem]":
        from click.shell_completion import CompletionItem

        found = [
            CompletionItem(name, help=text)
            for name, text in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return found + click.Command.shell_complete(self, context, incomplete)


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help="The settings file; else $CLIO_BROADLY_SYNC_CONFIG, else ./config.env.",
)
@click.option("-v", "--verbose", is_flag=True, help="Say more, on stderr.")
@click.version_option(__version__, prog_name="clio-broadly-sync")
@click.pass_context
def cli(context: click.Context, config_file: Path | None, verbose: bool) -> None:
    """Send the clients of closed Clio matters to Broadly, once, and only those who may be asked.

    Without any account, the whole job on practice servers:

    Example: clio-broadly-sync demo
    """
    context.obj = Options(config_file, verbose)
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        context.color = False


def main() -> None:
    """Run the command line and exit.

    Of a bug it is printed where it is, and never the data that met it. Output that cannot be
    written ends the program with 74.
    """
    sys.excepthook = _print_bug
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # whoever started the program has closed it
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
        # The terminal's character set may lack letters of what is printed.
        getattr(sys, name).reconfigure(errors="replace")
        if mode == "w":
            setattr(sys, name, Output(getattr(sys, name)))
    try:
        cli(prog_name="clio-broadly-sync")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _OF_A_FLEET:
            raise
        logs.error(f"Many firms need more libraries: `{sys.executable} {_INSTALL}`.")
        sys.exit(ConfigError.exit_code)
    except OutputError as error:
        logs.error(str(error))
        sys.exit(StorageError.exit_code)


def _print_bug(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    logs.error("\n".join(output.bug_lines(error)))
