"""A fleet beside a sandbox: the program has its settings, and each firm has a file of its own."""

import subprocess
from pathlib import Path
from typing import Any

import signing
from databases import KEY, Database
from psycopg.sql import SQL, Identifier
from world import Ran, World

from clio_broadly_sync.domain.credentials import Grant, Secret
from clio_broadly_sync.store.firm import FirmPlace
from clio_broadly_sync.store.seal import Seal
from clio_broadly_sync.store.sessions import Sessions

FAILS = """
    UPDATE firms SET failures = 3, failing_since = now(), next_at = now() + INTERVAL '1 hour'
    WHERE name = %s
"""
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
        world.secret(KEY)

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

    def typed(self, text: str, *arguments: str) -> Ran:
        """Run the program with this text on its standard input."""
        child = self.world.start(arguments, {}, stdin=subprocess.PIPE)
        return self.world.finish(child, typed=text)

    def by_login(self) -> None:
        """Let firms sign in, in place of a token in their settings."""
        uri = f"http://127.0.0.1:{signing.free_port()}/callback"
        self.world.clio.oauth.redirect_uris = {uri}
        given = self.world.sandbox.settings(login=True)
        self.of_firm = {n: text for n, text in given.items() if n != "SYNC_STATE"}

    def place(self, name: str = "acme") -> FirmPlace:
        """Return the place of a firm's state, which is there to be held or signed in."""
        sessions, seal = Sessions(self.database.address), Seal([Secret(KEY)])
        return FirmPlace(sessions, self.row("firm", name), name, hash_key="", seal=seal)

    def keep_sign_in(self, name: str = "acme") -> None:
        """Keep what `login` would keep, without running it."""
        its = self.world.clio.oauth.issue()
        grant = Grant(self.world.clio.url, its.access, its.refresh, its.expires)
        self.place(name).sign_in().save(grant)

    def closings(self, firm: int = 1) -> dict[int, tuple[str, str | None]]:
        """Return state and reason of each matter of a firm."""
        rows = self.database.read().execute(ROWS, (firm,)).fetchall()
        return {matter: (state, reason) for matter, state, reason in rows}

    def row(self, column: str, name: str = "acme") -> Any:
        """Return what the row of a firm has in a column; None where there is no row."""
        asked = SQL("SELECT {} FROM firms WHERE name = %s").format(Identifier(column))
        found = self.database.read().execute(asked, (name,)).fetchone()
        return found and found[0]

    def secrets(self, name: str = "acme") -> dict[str, str]:
        """Return what is sealed of a firm."""
        return Seal([Secret(KEY)]).open(name, self.row("secrets", name))

    def fails(self, name: str = "acme") -> None:
        """Let a firm have failed, and not be due for an hour."""
        with self.database.read().transaction():
            self.database.read().execute(FAILS, (name,))

    @property
    def dump(self) -> str:
        """Return every value of every table, as a copy of the database has it."""
        read = self.database.read()
        rows = [*read.execute("SELECT * FROM firms"), *self.database.rows().values()]
        return str([[bytes(v) if isinstance(v, memoryview) else v for v in row] for row in rows])
