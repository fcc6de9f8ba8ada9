"""A question that nobody answers: it does not keep the state from cron's runs for ever."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import signing
from terminal import on_terminal
from world import PACKAGE, World

HASTE = "from clio_broadly_sync.cli import output\noutput.PATIENCE_SECONDS = 0.3\n"


@pytest.fixture
def hasty(world: World, tmp_path: Path) -> dict[str, Any]:
    """Return the settings of a program that waits for less than its ten minutes."""
    folder = tmp_path / "hasty"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(HASTE, encoding="utf-8")
    return {"PYTHONPATH": f"{folder}:{PACKAGE}"}


@pytest.mark.parametrize("verb", ["resend", "drop"])
def test_outbox_takes_silence_for_a_no(world: World, hasty: dict[str, Any], verb: str) -> None:
    """0, and nothing is changed."""
    matter = world.closing().matter
    world.broadly.rule("rejected")
    assert world.sync().code == 65
    ran = on_terminal(world, "outbox", verb, "--all", **hasty)
    assert (ran.code, "[y/N]: \r\nNothing was changed." in ran.out) == (0, True)
    assert world.ledger()[matter].state == "dead"


def test_backfill_takes_silence_for_a_no(world: World, hasty: dict[str, Any]) -> None:
    """0, nobody is handed over, and `sync` has the state again."""
    day = world.day(400)
    world.closing(on=day)
    ran = on_terminal(world, "backfill", "--from", str(day), "--to", str(day), **hasty)
    assert (ran.code, world.posts) == (0, [])
    assert "[y/N]: \r\nNobody was sent." in ran.out
    assert world.sync().code == 0


def test_login_ends_without_a_code(world: World, hasty: dict[str, Any]) -> None:
    """77: a code lasts no longer either."""
    signing.by_login(world)
    ran = on_terminal(world, "login", "--paste", **hasty)
    assert (ran.code, "\nclio-broadly-sync: No code was pasted" in ran.out) == (77, True)
    assert world.clio.oauth.codes == set()


@pytest.mark.parametrize(
    ("command", "code"),
    [("login --paste", 77), ("init", 2), ("outbox drop --all", 2), ("sync", 0)],
)
def test_no_input_at_all(world: World, tmp_path: Path, command: str, code: int) -> None:
    """Closed by the caller, as a supervisor may: the same as at its end, and no bug."""
    signing.keep_sign_in(world)
    closed = f'exec "{sys.executable}" -m clio_broadly_sync {command} <&-'
    child = subprocess.Popen(
        ["bash", "-c", closed],
        env={**os.environ, **world.settings, "PYTHONPATH": str(PACKAGE)},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert world.finish(child).code == code
