"""The mark of a file whose state has moved into a firm of a fleet: nothing is sent from it again.

It is a fact of the state: the firm's name, and the fleet as long as the move goes on. An earlier
version of the program knows of no such fact, takes the file for a newer version's, and refuses it,
too.
"""

import sqlite3
from typing import Final

from clio_broadly_sync.domain.errors import ConfigError
from clio_broadly_sync.store.tables import MOVED_TO

_ABOVE: Final = 1_000_000
"""So much is added to the version of the state's tables."""
_READ: Final = f"SELECT value FROM facts WHERE name = '{MOVED_TO}'"
_WRITE: Final = f"INSERT INTO facts (firm, name, value) VALUES (1, '{MOVED_TO}', ?)"
_FORGET: Final = f"DELETE FROM facts WHERE name = '{MOVED_TO}'"
_ADD: Final = f"UPDATE schema_version SET version = version + {_ABOVE} WHERE version < {_ABOVE}"
_TAKE: Final = f"UPDATE schema_version SET version = version - {_ABOVE} WHERE version > {_ABOVE}"


def check(connection: sqlite3.Connection, own: str = "") -> None:
    """Raise ConfigError where the state has moved, or a move of it was cut short.

    Where its mark is the caller's `own`, it is a copy, and the mark is taken out of it.
    """
    found = _mark_of(connection)
    if found is None:
        return
    if found != own:
        raise refusal(found)
    connection.execute(_FORGET)
    connection.execute(_TAKE)


def refusal(mark: str) -> ConfigError:
    """Return what is said of a state with this mark."""
    firm, *fleet = mark.split()
    sentence = f"This state has moved to the firm {firm} of a fleet, and nobody is sent from here: "
    if fleet:
        return ConfigError(
            f"{sentence}name it with `--firm {firm}`; or where there is no such firm yet, because "
            f"the move was cut short, run the same `firms add {firm} --state` again."
        )
    return ConfigError(f"{sentence}set FLEET_DATABASE, and name it with `--firm {firm}`.")


def begin(connection: sqlite3.Connection, firm: str, fleet: str) -> None:
    """Mark the state, in a transaction of the caller's: its move goes on until `end`."""
    _write(connection, in_progress(firm, fleet))
    connection.execute(_ADD)


def end(connection: sqlite3.Connection, firm: str) -> None:
    """Note, in the same way, that the move has come to its end, and can never be made again.

    It would bring what was true long ago into a firm that was removed since.
    """
    _write(connection, firm)


def in_progress(firm: str, fleet: str) -> str:
    """Return the mark of a state that moves to this firm of that fleet."""
    return f"{firm} {fleet}"


def _mark_of(connection: sqlite3.Connection) -> str | None:
    found = connection.execute(_READ).fetchone()
    return None if found is None else str(found[0])


def _write(connection: sqlite3.Connection, mark: str) -> None:
    connection.execute(_FORGET)
    connection.execute(_WRITE, (mark,))
