"""The six lines of the README that lead from an empty PostgreSQL to a first client."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from databases import own_server, program_folder
from rig import Sandbox
from surroundings import BUSY_SECONDS

from clio_broadly_sync.sandbox import Firm

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
CHAPTER = README.split("\n## Many firms\n")[1].split("\n## ")[0]
(BLOCK,) = re.findall(r"^```\n(.*?)^```", CHAPTER, re.MULTILINE | re.DOTALL)
A_PERIOD_LATER = "UPDATE firms SET next_at = now() WHERE good_at IS NOT NULL"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(Firm(contacts=0, matters=0), rule="opt-out") as running:
        yield running


def test_six_lines_lead_to_the_first_client(tmp_path: Path, sandbox: Sandbox) -> None:
    """They are typed into a shell, on a server where there is nothing yet."""
    assert len(BLOCK.splitlines()) == 6
    settings = (f"{name}={value}\n" for name, value in sandbox.settings().items())
    (tmp_path / "acme.env").write_text("".join(settings))
    with own_server(lasting=True) as address:
        here = surroundings(tmp_path, address)
        subprocess.run(["dropdb", "fleet"], env=here, check=True)
        typed = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", BLOCK],
            cwd=tmp_path,
            env=here,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            wait_for(typed, lambda: has_run(address))
            sandbox.firm.close(sandbox.firm.add_matter(sandbox.firm.add_contact()))
            with psycopg.connect(address, autocommit=True) as admin:
                admin.execute(A_PERIOD_LATER)
            wait_for(typed, lambda: bool(sandbox.broadly.accepted))
        finally:
            os.killpg(typed.pid, signal.SIGTERM)
            typed.wait(BUSY_SECONDS)
    assert len(sandbox.broadly.accepted) == 1


def surroundings(folder: Path, address: str) -> Mapping[str, str]:
    """Return the environment of somebody who has installed all, and may make databases."""
    (folder / "bin").mkdir()
    program = folder / "bin" / "clio-broadly-sync"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m clio_broadly_sync "$@"\n')
    program.chmod(0o700)
    host = parse_qs(urlsplit(address).query)["host"][0]
    paths = [str(folder / "bin"), str(program_folder()), os.environ["PATH"]]
    root = str(Path(__file__).parents[2])
    return {
        "PATH": os.pathsep.join(paths),
        "PYTHONPATH": root,
        "HOME": str(folder),
        "PGHOST": host,
        "PGUSER": "postgres",
    }


def has_run(address: str) -> bool:
    """Tell whether the firm has had the run that notes where it starts."""
    try:
        with psycopg.connect(address) as admin:
            return admin.execute("SELECT 1 FROM firms WHERE good_at IS NOT NULL").rowcount > 0
    except psycopg.Error:  # there is no database yet, or no table
        return False


def wait_for(typed: "subprocess.Popen[bytes]", happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 2 * BUSY_SECONDS
    while not happened():
        assert typed.poll() is None, "a line failed"
        assert time.monotonic() < end, "nothing came of it"
        time.sleep(0.1)
