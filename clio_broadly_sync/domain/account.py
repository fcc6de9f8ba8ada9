"""Whose data a token opens, and what a sign-in gave."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple


class Account(NamedTuple):
    """The account that the token opens; a value is None where Clio does not say."""

    id: int | None
    time_zone: str | None
    """The firm's zone by its IANA name; None where Clio names none that this machine knows."""
    user: str | None = None
    """The name of the Clio user who is signed in."""
    firm: str | None = None
    """The name of the account."""
    named_zone: str | None = None
    """The firm's zone as Clio spells it."""


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
