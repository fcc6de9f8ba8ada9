"""A firm in PostgreSQL, in the place of a state's file."""

import json
import os
from pathlib import Path
from typing import Final

from databases import Database

ROWS: Final = "rows.json"
"""The name of a copy of the rows, in a folder with whatever else was copied."""


class FirmState:
    """Stands where the path of a state stands: a firm's rows, and a folder for all the rest."""

    def __init__(self, folder: Path, database: Database) -> None:
        self.parent = folder
        self.name = "state.db"
        self.database = database

    def exists(self) -> bool:
        """Tell whether anything of the firm was written."""
        return bool(self.database.rows()["facts"])

    def save(self, folder: Path) -> None:
        """Write the rows beside the rest of a copy."""
        file = os.open(folder / ROWS, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        with open(file, "w") as copy:
            json.dump(self.database.rows(), copy)

    def put(self, folder: Path) -> None:
        """Let the rows be those of a copy."""
        self.database.put(json.loads((folder / ROWS).read_text()))
