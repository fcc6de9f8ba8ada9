"""What nobody answered, and what may be used: words for consent, which the state keeps as well."""

from enum import StrEnum


class Untouched(StrEnum):
    """What becomes of a closing whose matter's checkbox nobody has touched."""

    SKIP = "skip"
    """It is skipped, as with an unchecked box."""
    SEND = "send"
    """It is sent, as with a checked box: consent by silence."""


class Channels(StrEnum):
    """By which of a client's addresses Broadly can reach the client: those that it was sent."""

    EMAIL = "email"
    PHONE = "phone"
    BOTH = "email,phone"
