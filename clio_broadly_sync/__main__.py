"""The program: `python -m clio_broadly_sync`, and the command that is installed.

A Python that is too old for the rest must be able to read this file, and then to say so.
"""

import gc
import sys

NO_PLACE = 78
"""The exit code where the program cannot run; that of settings that are not in order."""

gc.disable()  # loading makes no garbage, and looking for it took a sixth of an idle run


def _refuse(sentence: str) -> None:
    sys.stderr.write(f"clio-broadly-sync: {sentence}\n")
    sys.exit(NO_PLACE)


if sys.version_info < (3, 11):  # noqa: UP036  (no pip stands between this file and an old Python)
    _refuse(f"Python {sys.version_info[0]}.{sys.version_info[1]} is too old: use 3.11 or newer.")

try:
    import fcntl as _fcntl  # noqa: F401  (it is what Windows lacks: the lock of a state)
except ImportError:
    _refuse("It runs on Linux and macOS; on Windows, install it in WSL, which is a Linux.")

_WANTED = "use a Python with SQLite 3.37 or newer (README, Where it runs)."
"""The first SQLite with STRICT tables. Source: its release notes."""

try:
    import sqlite3
except ImportError:
    _refuse(f"This Python has no SQLite: {_WANTED}")
if sqlite3.sqlite_version_info < (3, 37):
    _refuse(f"SQLite {sqlite3.sqlite_version}, which this Python has, is too old: {_WANTED}")

from clio_broadly_sync.cli import main  # noqa: E402

if __name__ == "__main__":
    main()
