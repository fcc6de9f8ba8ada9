"""A fleet beside a sandbox: the program has its settings, and each firm has a file of its own."""

from pathlib import Path
from typing import Any

import signing
from databases import KEY, Database
from world import Ran, World

ROWS = "SELECT matter_id, state, reason FROM closings WHERE firm = %s ORDER BY number"


class Fleet:
    """The program in a world, with the settings of a fleet and of no firm."""

    def __init__(self, world: World, database: Database) -> None:
        database.without_firms()
        self.world = world
        self.database = database
        self.of_firm = {n: text for n, text in world.settings.items() if n != "SYNC_STATE"}
        """The settings of a firm."""
        self.files = world.folder / "firms"
        self.files.mkdir()
        world.settings = {"FLEET_DATABASE": database.url, "FLEET_KEYS": KEY}
        world.secret(KEY, self.of_firm["BROADLY_URL"])

    def run(self, *arguments: str, **settings: str | None) -> Ran:
        return self.world.run(*arguments, **settings)

    def file(self, name: str, **changes: str | None) -> Path:
        """Write the settings file of a firm; a setting of None is left out."""
        given = {**self.of_firm, **changes}
        file = self.files / f"{name}.env"
        lines = [f"{n}={text}\n" for n, text in given.items() if text is not None]
        file.write_text("".join(lines), encoding="utf-8")
        file.chmod(0o600)
        return file

    def add(self, name: str, **changes: str | None) -> None:
        """Add a firm that has these settings beside the usual ones."""
        ran = self.run("firms", "add", name, "--config", str(self.file(name, **changes)))
        assert (ran.code, ran.err) == (0, "")

    def by_login(self, **changes: str | None) -> None:
        """Let firms sign in, in place of a token in their settings."""
        uri = f"http://127.0.0.1:{signing.free_port()}/callback"
        self.world.clio.oauth.redirect_uris = {uri}
        self.of_firm = self.world.sandbox.settings(login=True, CLIO_REDIRECT_URI=uri, **changes)
        self.of_firm.pop("SYNC_STATE", None)

    def closings(self, firm: int = 1) -> list[tuple[Any, ...]]:
        """Return matter, state and reason of each closing of a firm."""
        return self.database.read().execute(ROWS, (firm,)).fetchall()

    def row(self, column: str, name: str = "acme") -> Any:
        """Return what the row of a firm has in a column; None where there is no row."""
        asked = f"SELECT {column} FROM firms WHERE name = %s"  # noqa: S608  (written in a test)
        found = self.database.read().execute(asked.encode(), (name,)).fetchone()
        return found and found[0]
