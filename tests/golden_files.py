"""Golden files: what the program prints, as plain text in `golden`, so that a diff shows changes.

A test makes a text and compares it with its file. With `pytest --update` it writes the file.
"""

import ast
import difflib
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
FOLDER = TESTS / "golden"
WHAT_TO_DO = "run pytest --update, and look at the diff before you commit it"


class Golden:
    """Compares texts with the files of a folder, or writes them there."""

    def __init__(self, folder: Path, *, update: bool, suffix: str = ".txt") -> None:
        self._folder = folder
        self._update = update
        self._suffix = suffix

    def __call__(self, name: str, text: str) -> None:
        """Fail, and show the differences, unless the file of that name holds this text.

        With `--update` write the file instead. White space at the end of the text does not count.
        """
        file = self._folder / f"{name}{self._suffix}"
        said = f"{text.rstrip()}\n"
        if self._update:
            file.write_text(said, encoding="utf-8")
            return
        kept = file.read_text(encoding="utf-8") if file.exists() else ""
        if kept != said:
            pytest.fail("\n".join(_difference(file.name, kept, said)), pytrace=False)


@pytest.fixture(scope="session")
def golden(request: pytest.FixtureRequest) -> Golden:
    """Return what compares a text with its golden file, as in `golden("help", text)`."""
    return Golden(FOLDER, update=request.config.getoption("--update"))


def names_held() -> list[str]:
    """Return the name of the file in each call of `golden` that is written in a test."""
    return [name for file in sorted(TESTS.rglob("test_*.py")) for name in _names_in(file)]


def _names_in(file: Path) -> Iterator[str]:
    source = file.read_text(encoding="utf-8")
    if "golden(" in source:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "golden":
                yield ast.literal_eval(node.args[0])


def _difference(name: str, kept: str, said: str) -> Iterator[str]:
    yield f"This is not what {name} says: {WHAT_TO_DO}."
    lines = kept.splitlines(), said.splitlines()
    yield from difflib.unified_diff(*lines, "as it is kept", "as it is now", lineterm="")
