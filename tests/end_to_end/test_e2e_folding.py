"""What is said fits the terminal; a program that reads it gets whole lines."""

import pytest
from terminal import on_terminal
from world import World

WRONG = {"SYNC_RULE": "maybe", "BROADLY_URL": "nowhere"}


@pytest.mark.parametrize("command", ["sync", "status", "login"])
def test_errors_are_folded_on_a_terminal_only(world: World, command: str) -> None:
    """Between words; each begins with the program's name."""
    told = on_terminal(world, command, columns=60, **WRONG)
    assert told.code == 78
    assert max(map(len, told.out.splitlines())) <= 60
    whole = world.run(command, **WRONG).err
    assert whole.count("\n") == whole.count("clio-broadly-sync: ") == len(WRONG)
    assert " ".join(told.out.split()) == " ".join(whole.split())


@pytest.mark.parametrize("arguments", [["status"], ["sync"], ["outbox", "list"]])
def test_results_are_folded_on_a_terminal_only(world: World, arguments: list[str]) -> None:
    world.closings(2)
    world.sync(SYNC_MAX_NEW="0")
    told = on_terminal(world, *arguments, columns=70, SYNC_MAX_NEW="0").out
    assert max(map(len, told.splitlines())) <= 70


def test_dry_run_without_closings_has_no_table(world: World) -> None:
    """One line says that there was nothing."""
    assert world.sync("--dry-run").out.count("\n") == 1
