"""`completion`: the script that lets a shell complete commands, options and file names."""

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

_SHELLS: dict[str, type[ShellComplete]] = {
    "bash": BashComplete,
    "zsh": ZshComplete,
    "fish": FishComplete,
}
_PROGRAM = "clio-broadly-sync"
_VARIABLE = "_CLIO_BROADLY_SYNC_COMPLETE"
"""By this variable the script asks the program for completions. The name follows click's rule."""


@click.command()
@click.argument("shell", type=click.Choice(list(_SHELLS)))
def completion(shell: str) -> None:
    """Print the script that lets a shell complete commands, options and file names.

    \b
    bash: put the example into ~/.bashrc
    zsh:  the same with zsh instead of bash into ~/.zshrc,
          after compinit
    fish: write what is printed to
          ~/.config/fish/completions/clio-broadly-sync.fish

    Example: eval "$(clio-broadly-sync completion bash)"
    """
    complete = _SHELLS[shell](click.Command(_PROGRAM), {}, _PROGRAM, _VARIABLE)
    # `complete.source()` is not called because, for bash, it runs whichever bash there is, to ask
    # for its version.
    click.echo(ShellComplete.source(complete))
