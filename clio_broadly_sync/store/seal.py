"""What of a firm is secret, sealed, so that a copy of the database shows no token and no key.

Whoever has the database and the fleet's keys has everything; whoever has one of the two has
nothing. Source: Fernet and MultiFernet of the package cryptography.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from clio_broadly_sync.domain.credentials import Secret
from clio_broadly_sync.domain.errors import ConfigError

_FIRM: Final = "firm"
_CONTENT: Final = "content"


class Seal:
    """Seals and opens by the fleet's keys, of which the first is the newest."""

    def __init__(self, keys: Sequence[Secret]) -> None:
        self._fernet = MultiFernet([Fernet(key.reveal()) for key in keys])

    def close(self, firm: str, content: Mapping[str, str]) -> bytes:
        """Return this content of the firm with that name, sealed with the newest key."""
        return self._fernet.encrypt(json.dumps({_FIRM: firm, _CONTENT: content}).encode())

    def open(self, firm: str, sealed: bytes) -> dict[str, str]:
        """Return what was sealed for this firm.

        Raise ConfigError where none of the keys opens it, or where it is another firm's.
        """
        try:
            opened = json.loads(self._fernet.decrypt(sealed))
        except InvalidToken:
            raise ConfigError(
                f"None of FLEET_KEYS opens what is sealed of the firm {firm}: add the key with "
                "which it was sealed."
            ) from None
        if opened[_FIRM] != firm:
            raise ConfigError(
                f"What is sealed of the firm {firm} is another firm's: restore the database from "
                "a sound copy."
            )
        content: dict[str, str] = opened[_CONTENT]
        return content

    def renewed(self, firm: str, sealed: bytes) -> bytes:
        """Return the same content, sealed anew with the newest key; raise as `open` does."""
        return self.close(firm, self.open(firm, sealed))


def new_key() -> str:
    """Return a new key for FLEET_KEYS."""
    return Fernet.generate_key().decode()
