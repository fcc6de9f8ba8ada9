"""Signing in to Clio; for now with an access token from the settings."""

from pydantic import SecretStr

from clio_broadly_sync.errors import DeniedError


class GivenToken:
    """`CLIO_ACCESS_TOKEN`; nothing can be got in its place."""

    def __init__(self, token: SecretStr | None) -> None:
        self._token = token

    def access_token(self) -> str:
        """Return the token; raise DeniedError where none is set."""
        if self._token is None:
            raise DeniedError("Not signed in to Clio: set CLIO_ACCESS_TOKEN.")
        return self._token.get_secret_value()

    def refresh(self) -> bool:
        return False
