"""Transcripts: what was typed and what came of it, as plain text that is the same each time.

The firm's clock stands still in a year to come, and so does the program's in each run: so every
date and every time of day is the same. What still differs has a fixed word.
"""

import json
import re
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from terminal import left, on_terminal
from world import Ran, World

HOUR = datetime(2099, 11, 20, 18, 0, 30, tzinfo=UTC)
"""It is ten in the morning in the firm's zone, and 30 seconds before the next minute."""
VARIES = (
    (r"\b[0-9a-f]{32}\b", "RUN-ID"),
    (r"(T\d\d:\d\d):\d\dZ", r"\1:SSZ"),
    (r'("(?:bytes|seconds|watermark_age_seconds)": )[\d.]+', r"\1N"),
    (r"\b\d+ seconds?\b", "N seconds"),
    (r"\b(in|after) [\d.]+ s\b", r"\1 N s"),
    (r"(127\.0\.0\.1|localhost)(:|%3A)\d{5}\b", r"\1\2PORT"),
    (r"\bstate=[\w-]{43}", "state=STATE"),
)
"""What differs from time to time, and what stands in its place."""


def stand_still(world: World) -> World:
    """Let both clocks stand still, at the hour at which all transcripts begin.

    If the program's went on, a run that is slow to begin would call two minutes 119 seconds.
    """
    world.firm.clock.freeze(HOUR)
    world.stands_still = True
    world.later()
    world.settings["TZ"] = "UTC"
    return world


class Transcript:
    """What was done in a world, line by line.

    `# ` stands before what happens there, and `$ ` before a command.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._lines: list[str] = []

    def note(self, what: str) -> None:
        """Add a line which says what happens, or what the next commands are about."""
        self._lines += ["", f"# {what}"]

    def run(self, *arguments: str, **settings: str | None) -> Ran:
        """Run the program, and add what came of it."""
        return self.add(self._world.run(*arguments, **settings), *arguments, **settings)

    def on_terminal(
        self, *arguments: str, answers: Mapping[str, str] | None = None, **settings: str | None
    ) -> Ran:
        """Run the program on a terminal of 80 columns, and add what came of it.

        `answers` says what is typed after each question.
        """
        ran = on_terminal(self._world, *arguments, answers=answers, **settings)
        shown = Ran(ran.code, "\n".join(left(ran.out)), "")
        return self.add(shown, *arguments, where="  # on a terminal", **settings)

    def add(self, ran: Ran, *arguments: str, where: str = "", **settings: str | None) -> Ran:
        """Add what came of a run that was made in any way; then let a minute pass."""
        given = [f"{name}={value or ''}" for name, value in settings.items()]
        typed = shlex.join([*given, "clio-broadly-sync", *arguments])
        self._lines += ["", f"$ {typed}{where}", f"exit code {ran.code}"]
        self._lines += [f"out  {line}".rstrip() for line in _readable(ran.out)]
        self._lines += [f"err  {line}".rstrip() for line in ran.err.splitlines()]
        self._world.later(minutes=1)
        return ran

    @property
    def text(self) -> str:
        """Return the whole transcript."""
        return settled("\n".join(self._lines).strip(), self._world)


def settled(text: str, world: World) -> str:
    """Return the text with fixed words in place of all that differs from time to time."""
    places = (
        (world.folder, "/office"), (world.clio.url, "https://clio.test"),
        (world.broadly.url, "https://broadly.test"), (world.sandbox.clio.token, "CLIO-TOKEN"),
    )  # fmt: skip
    for place, word in places:
        text = text.replace(str(place), word)
    for pattern, word in VARIES:
        text = re.sub(pattern, word, text)
    return text


def shape(*values: Any) -> Any:
    """Return the keys and types that JSON values of one kind have.

    The values must have the same keys. Of lists, it is one list with the shape of all items.
    """
    if all(isinstance(value, dict) for value in values):
        return {key: shape(*(value[key] for value in values)) for key in values[0]}
    if all(isinstance(value, list) for value in values):
        items = [item for value in values for item in value]
        return [shape(*items)] if items else []
    return " or ".join(sorted({_kind(value) for value in values}))


def _kind(value: Any) -> str:
    if isinstance(value, str):
        as_moment = re.fullmatch(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?", value)
        return "text" if as_moment is None else ("moment" if as_moment[1] else "day")
    return {bool: "true or false", int: "whole number", float: "number"}.get(type(value), "null")


def spread(value: Any, indent: str = "") -> str:
    """Return a JSON value as text that people can read.

    There is a line for each part; a value whose parts have no parts of their own stands on one
    line.
    """
    parts: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        parts = [(f"{json.dumps(key)}: ", part) for key, part in value.items()]
    elif isinstance(value, list):
        parts = [("", part) for part in value]
    if not any(isinstance(part, dict | list) for _, part in parts):
        return json.dumps(value, ensure_ascii=False)
    inner, (begin, end) = f"{indent}  ", "{}" if isinstance(value, dict) else "[]"
    lines = [f"{inner}{name}{spread(part, inner)}" for name, part in parts]
    return f"{begin}\n" + ",\n".join(lines) + f"\n{indent}{end}"


def _readable(out: str) -> list[str]:
    """Return the lines that were printed; a JSON object is spread over several."""
    try:
        return spread(json.loads(out)).splitlines()
    except ValueError:
        return out.splitlines()
