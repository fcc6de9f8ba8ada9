"""How far closings come on the way from closed to accepted: the five steps that are counted.

At which step a reason takes a closing out is said in its row of `domain/reasons.py`.
"""

from enum import IntEnum


class Step(IntEnum):
    """A step; whatever reaches one has reached all before it."""

    CLOSED = 0
    """It is in the ledger."""
    IN_SCOPE = 1
    """Clio still shows it as closed, for a client, and not too long ago for this program."""
    COULD_BE_ASKED = 2
    """Its client can be reached, was not asked shortly before, and nobody ruled it out for good.
    The two boxes come later, so that what they leave out shows."""
    TRIED = 3
    """It was given to Broadly, whatever the answer was."""
    ACCEPTED = 4
    """Broadly has accepted it."""

    @property
    def word(self) -> str:
        """The step's word in JSON, such as `in_scope`."""
        return self.name.lower()
