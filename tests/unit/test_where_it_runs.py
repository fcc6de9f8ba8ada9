"""Where the program cannot run it says so in a sentence: an old Python or SQLite, or Windows."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import clio_broadly_sync

PACKAGE = Path(clio_broadly_sync.__file__).parent
RUN = "import runpy; runpy.run_module('clio_broadly_sync', run_name='__main__')"
OLD = f"import sys; sys.version_info = (3, 9, 18, 'final', 0); {RUN}"
OLD_SQLITE = f"import sqlite3; sqlite3.sqlite_version_info = (3, 36, 0); {RUN}"
NO_SQLITE = f"import sys; sys.modules['_sqlite3'] = None; {RUN}"
WINDOWS = f"import sys; sys.modules['fcntl'] = None; {RUN}"


@pytest.mark.parametrize(
    ("where", "says"),
    [
        (OLD, "Python 3.9 is too old: use 3.11 or newer."),
        (OLD_SQLITE, "which this Python has, is too old: use a Python with SQLite 3.37 or newer"),
        (NO_SQLITE, "This Python has no SQLite: use a Python with SQLite 3.37 or newer"),
        (WINDOWS, "install it in WSL"),
    ],
)
def test_one_sentence_and_no_trace(where: str, says: str) -> None:
    """(Without the environment no coverage is counted in it, which would need SQLite itself.)"""
    words, at = [sys.executable, "-c", where], PACKAGE.parent
    ran = subprocess.run(words, capture_output=True, text=True, env={}, cwd=at)
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (78, "", 1)
    assert ran.stderr.startswith("clio-broadly-sync: ")
    assert says in ran.stderr


@pytest.mark.parametrize("name", ["__init__.py", "__main__.py"])
def test_old_python_can_read_what_it_loads_first(name: str) -> None:
    """Or it would stop at a trace before the sentence."""
    ast.parse((PACKAGE / name).read_text(encoding="utf-8"), feature_version=(3, 7))
