"""The settings file: lines NAME=value, and what is wrong with the others.

No value ever appears in a problem, because a key may have been pasted into the wrong line.
"""

import difflib
import io
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from dotenv.parser import Binding, parse_stream

from clio_broadly_sync.domain.errors import ConfigError

_PREFIXES = ("CLIO_", "SYNC_", "BROADLY_", "PING_", "LOG_")


def read(path: Path, names: Collection[str]) -> tuple[dict[str, str], list[str]]:
    """Return the values by name, and a problem for each line that sets none of the `names`."""
    return _parse(_text(path), names)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        problem = f"cannot be read ({error.strerror}): mend that, or name another with --config."
    except ValueError:
        problem = "is not plain text: save it anew, as plain text in UTF-8."
    raise ConfigError(f"The settings file {str(path)!r} {problem}")


def _parse(text: str, names: Collection[str]) -> tuple[dict[str, str], list[str]]:
    """Read NAME=value lines; say what is wrong with the others, quoting none of them."""
    values: dict[str, str] = {}
    problems: list[str] = []
    for binding in parse_stream(io.StringIO(text)):
        text = binding.original.string
        line = binding.original.line + text.count("\n") - text.lstrip().count("\n")
        if problem := _problem(binding, values, names):
            problems.append(f"Line {line} of the settings file {problem}")
        elif binding.key and (binding.value or "").strip():
            values[binding.key] = binding.value or ""
    return values, problems


def _problem(binding: Binding, before: Mapping[str, str], names: Collection[str]) -> str | None:
    name, value = binding.key or "", binding.value
    nameless = name and (value is None or not re.fullmatch(r"\w+", name))
    if binding.error or nameless or "\0" in binding.original.string:
        return "does not read NAME=value: mend it, or put # before it."
    if name and name not in names:
        return _stray(name, names)
    if value and value.strip() and before.get(name, value) != value:
        return f"sets {name} a second time, to something else: keep one of the two."
    return None


def _stray(name: str, names: Collection[str]) -> str | None:
    """Tell a misspelt setting, or one without its prefix, from a name that is none of ours."""
    upper = name.upper()
    ours = upper.startswith(_PREFIXES)
    near = [prefix + upper for prefix in _PREFIXES if prefix + upper in names]
    near = near or difflib.get_close_matches(upper, names, n=1, cutoff=0.6 if ours else 0.85)
    if not ours and not near:
        return None
    shown = name if re.fullmatch("[A-Z_]{1,40}", name) else "a name"  # it may be a pasted key
    mend = f"did you mean {' or '.join(near)}?" if near else "remove the line, or put # before it."
    return f"sets {shown}, which is no setting: {mend}"
