"""`completion`: a real shell completes commands, options and file names."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from world import PACKAGE, World

from clio_broadly_sync.cli.main import COMMANDS

SHELLS = ("bash", "zsh", "fish")
COMPLETE = {
    "bash": """
        source ./script
        COMP_LINE="$*" COMP_POINT=${#COMP_LINE}
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        compopt() { echo compopt; }
        _clio_broadly_sync_completion clio-broadly-sync
        printf '%s\\n' "${COMPREPLY[@]}"
    """,
    "zsh": """
        compdef() { : }
        compadd() { print -l -- ${@[(i)-a]:+$completions} }
        _describe() { print -l -- ${completions_with_descriptions%%:*} }
        _path_files() { print -- compopt }
        source ./script
        words=("$@") CURRENT=$#
        _clio_broadly_sync_completion
    """,
    "fish": """
        source ./script
        complete --do-complete "$argv"
    """,
}
"""What each shell does at Tab, up to the words that it would offer."""


def complete(world: World, shell: str, *words: str) -> list[str]:
    """Return what the shell offers for the last of the words."""
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"{shell} is not installed here")
    script = world.run("completion", shell)
    assert (script.code, script.err) == (0, "")
    (world.folder / "script").write_text(script.out)
    program = world.folder / "bin" / "clio-broadly-sync"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m clio_broadly_sync "$@"\n')
    program.chmod(0o755)
    path = f"{program.parent}:{Path(found).parent}:{os.defpath}"
    quiet = {"bash": ["--norc", "-c", COMPLETE[shell], "bash"],
             "zsh": ["-f", "-c", COMPLETE[shell], "zsh"],
             "fish": ["--no-config", "-c", COMPLETE[shell]]}[shell]  # fmt: skip
    ran = subprocess.run(
        [found, *quiet, *(words if shell != "fish" else [" ".join(words)])],
        cwd=world.folder,
        env={"PATH": path, "HOME": str(world.folder / "home"), "PYTHONPATH": str(PACKAGE)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert ran.stderr == ""
    return [line.split("\t")[0] for line in ran.stdout.splitlines() if line]


@pytest.mark.parametrize("shell", SHELLS)
def test_commands_are_completed(fresh: World, shell: str) -> None:
    assert complete(fresh, shell, "clio-broadly-sync", "st") == ["status"]
    assert set(complete(fresh, shell, "clio-broadly-sync", "")) == set(COMMANDS)


@pytest.mark.parametrize("shell", SHELLS)
def test_options_are_completed(fresh: World, shell: str) -> None:
    assert complete(fresh, shell, "clio-broadly-sync", "--ver") == ["--verbose", "--version"]
    assert complete(fresh, shell, "clio-broadly-sync", "sync", "--dr") == ["--dry-run"]


@pytest.mark.parametrize("shell", SHELLS)
def test_after_config_come_files(fresh: World, shell: str) -> None:
    (fresh.folder / "office.env").touch()
    offered = complete(fresh, shell, "clio-broadly-sync", "sync", "--config", "off")
    assert offered in (["compopt"], ["office.env"])


def test_script_needs_no_shell_to_be_made(fresh: World) -> None:
    """Where no bash is found, that is not asked for its version."""
    without = fresh.run("completion", "bash", PATH=str(fresh.folder))
    assert (without.code, without.err) == (0, "")
    assert "complete -o nosort" in without.out
    assert fresh.run("completion", "csh").code == 2
