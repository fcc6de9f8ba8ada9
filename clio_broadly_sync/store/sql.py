"""Lists within a statement."""

from collections.abc import Iterable, Sized
from enum import Enum


def words(members: Iterable[Enum]) -> str:
    """Return a list of the members' values as literals, for a statement that never changes.

    Only for our own words: nothing in them is escaped.
    """
    return f"({', '.join(sorted(repr(member.value) for member in members))})"


def marks(values: Sized) -> str:
    """Return a list of so many parameters as there are values."""
    return f"({', '.join('?' * len(values))})"
