"""Keys and tokens: what is shown nowhere."""

from dataclasses import dataclass
from datetime import datetime


class Secret:
    """A token or a key. It is shown nowhere; whoever needs it has to ask for it (`reveal`)."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text


@dataclass(frozen=True, slots=True, repr=False)
class Grant:
    """What a sign-in to Clio gave."""

    host: str
    """The only host (with its scheme) to which the tokens may be sent."""
    access_token: str
    refresh_token: str | None
    """What the next access token is got with; None where Clio gave none."""
    expires_at: datetime
    """When the access token ends."""
