"""Whose data a token opens."""

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
