"""What is said where the libraries of a fleet are not installed."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
sys.modules[sys.argv.pop(1)] = None
from clio_broadly_sync.cli.main import main
main()
"""


@pytest.mark.parametrize("library", ["psycopg", "cryptography"])
@pytest.mark.parametrize(
    "line", ["firms list", "fleet init", "sync --firm acme", "status --firm acme"]
)
def test_library_that_is_missing(library: str, line: str) -> None:
    """78, and how to install it, which is no bug."""
    given = {"FLEET_DATABASE": "postgresql:///fleet", "FLEET_KEYS": "x"}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, library, *line.split()],
        capture_output=True,
        text=True,
        env=given,
    )
    assert (ran.returncode, ran.stdout) == (78, "")
    assert ran.stderr == (
        "clio-broadly-sync: Many firms need more libraries: "
        f"`{sys.executable} -m pip install 'clio-broadly-sync[fleet]'`.\n"
    )
