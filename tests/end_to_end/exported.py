"""The files of `--csv`, as the tests read them."""

import csv
import io
from pathlib import Path

from world import World

COLUMNS = [
    "First Name", "Last Name", "Company", "Email", "Phone", "External ID", "Transaction ID",
    "Transaction Date",
]  # fmt: skip
SETTINGS: dict[str, str | None] = {
    "BROADLY_PROFILE": "csv", "BROADLY_URL": None, "BROADLY_API_KEY": None
}  # fmt: skip
"""For a run whose destination is a file."""


def folder(world: World) -> Path:
    """Return the folder in which a person has the files made."""
    made = world.folder / "exports"
    made.mkdir(exist_ok=True)
    return made


def rows(content: bytes) -> list[dict[str, str]]:
    """Return the rows of a file, read as Python reads CSV."""
    text = io.StringIO(content.decode("utf-8-sig"), newline="")
    first, *others = csv.reader(text, strict=True)
    assert first == COLUMNS
    return [dict(zip(COLUMNS, row, strict=True)) for row in others]


def matters(content: bytes) -> list[int]:
    """Return the ids of the matters in a file."""
    return [int(row["Transaction ID"].split(":")[2]) for row in rows(content)]


def names(world: World) -> list[str]:
    """Return the names of all that lies in the folder."""
    return sorted(path.name for path in folder(world).iterdir())
