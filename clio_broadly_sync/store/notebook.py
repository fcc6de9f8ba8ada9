"""A small JSON file beside a state, or a fact of a firm: what was told to whom, and since when.

It is not part of a file's state, because a state that cannot be opened is told of as well.
"""

import json
import os
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

LARGEST_BYTES: Final = 1_000_000
"""No more of the file is read. It is fifty times what a day of troubles that are never the same
would take."""


class Notes(Protocol):
    """What is remembered of what was told. Both methods may raise OSError."""

    def read(self) -> dict[str, Any]:
        """Return what was written; nothing where nothing was, or where it cannot be understood."""

    def write(self, content: Mapping[str, Any]) -> None:
        """Write all of the content or nothing; forget what was written where there is none."""


class Notebook:
    """A small JSON file, which only its owner can read (`Notes`); nothing is written beside the
    state of another user."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, Any]:
        try:
            if not stat.S_ISREG(self._path.lstat().st_mode):
                return {}  # reading a pipe would wait for somebody to write to it
            with self._path.open("rb") as file:
                return understood(file.read(LARGEST_BYTES))
        except FileNotFoundError:
            return {}

    def write(self, content: Mapping[str, Any]) -> None:
        with suppress(FileNotFoundError):
            if self._path.with_suffix("").lstat().st_uid != os.geteuid():
                raise PermissionError("The state's own user could not read it.")
        if not content:
            self._path.unlink(missing_ok=True)
            return
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=self._path.parent, prefix=f"{self._path.name}.")
        try:
            with open(handle, "w", encoding="utf-8") as file:
                json.dump(content, file)
            os.replace(draft, self._path)
        except BaseException:
            with suppress(OSError):
                os.unlink(draft)
            raise


def understood(text: bytes | str) -> dict[str, Any]:
    """Return the JSON object that a text is; an empty one where it is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
