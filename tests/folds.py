"""Whether what is printed fits a terminal."""

import re

COMMAND = re.compile(r"`[^`]*`|^ *Example: .*|^Try .*")
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def too_wide(printed: str, columns: int) -> list[str]:
    """Return the lines that are wider, and have a blank at which they could have been broken.

    A command is there to be copied, and an address or a path is one word: these stay whole.
    """
    lines = ESCAPES.sub("", printed).splitlines()
    return [line for line in lines if len(line) > columns and " " in COMMAND.sub("x", line).strip()]
