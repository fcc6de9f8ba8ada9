"""By what clients are grouped, and the groups to which a matter belongs in Clio."""

from enum import StrEnum
from typing import NamedTuple


class By(StrEnum):
    """By what clients are grouped."""

    ATTORNEY = "attorney"
    """By the matter's responsible attorney."""
    PRACTICE_AREA = "practice-area"
    """By the matter's practice area."""

    @property
    def words(self) -> str:
        return self.value.replace("-", " ")

    @property
    def none(self) -> str:
        """What the group is called whose matters have none."""
        return f"no {self.words}"


class Named(NamedTuple):
    """An attorney or a practice area in Clio; two of them may have the same name."""

    id: int
    name: str


Belonging = dict[By, Named | None]
"""To whom or what a matter belongs; None where it has none. What cannot be read is left out."""
