"""`completion`: what makes a shell complete this program's commands and options."""

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

_KINDS: dict[str, type[ShellComplete]] = {
    "bash": BashComplete,
    "zsh": ZshComplete,
    "fish": FishComplete,
}
_PROGRAM = "clio-broadly-sync"
_VARIABLE = "_CLIO_BROADLY_SYNC_COMPLETE"
"""How the script tells the program that it is asked for completions; click's own naming."""


@click.command()
@click.argument("shell", type=click.Choice(list(_KINDS)))
def completion(shell: str) -> None:
    """Print the script that lets a shell complete commands, options and file names.

    \b
    bash: put the example into ~/.bashrc
    zsh:  the same with zsh instead of bash into ~/.zshrc, after compinit
    fish: write what is printed to
          ~/.config/fish/completions/clio-broadly-sync.fish

    Example: eval "$(clio-broadly-sync completion bash)"
    """
    complete = _KINDS[shell](click.Command(_PROGRAM), {}, _PROGRAM, _VARIABLE)
    # Not `complete.source()`: for bash, that runs whichever bash there is, to ask its version.
    click.echo(ShellComplete.source(complete))
