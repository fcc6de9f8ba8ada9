"""The settings file: where it is, its lines NAME=value, read by python-dotenv, and wrong lines.

And the names that are nearly those of settings, here and in the environment.
"""

import io
import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from clio_broadly_sync.domain.errors import ConfigError
from clio_broadly_sync.settings.values import as_path, is_on_disk, parsed

if TYPE_CHECKING:
    from dotenv.parser import Binding

CONFIG: Final = "CLIO_BROADLY_SYNC_CONFIG"
"""The variable of the environment that names the settings file."""
_ADVICE: Final = {
    "Is a directory": "name a file in it with --config.",
    "Permission denied": "run this as the user that owns it, or name another with --config.",
    "it is a pipe or a device": "put its text into a file, and name that with --config.",
}
_OTHERWISE: Final = "fix that, or name another with --config."
_OURS_ALONE: Final = ("CLIO_", "SYNC_", "BROADLY_")
_PREFIXES: Final = (*_OURS_ALONE, "PING_", "NOTIFY_", "LOG_", "FLEET_")


def find(config_file: Path | None, environ: Mapping[str, str], cwd: Path) -> Path | None:
    """Return the settings file that is named, or the usual one where it is there."""
    named = str(config_file or environ.get(CONFIG, "").strip())
    if not named:
        usual = cwd / "config.env"
        return usual if os.path.lexists(usual) else None
    path = cwd / os.path.expanduser(named)
    try:
        return path if os.path.lexists(path) else cwd / parsed(as_path, named)
    except ValueError as leftover:
        named_by = "--config" if config_file else CONFIG
        problem = f"{named_by} must be the path of a settings file; {leftover}."
    raise ConfigError(problem)


def folder_of(path: Path | None) -> Path | None:
    """Return the settings file's folder; links are followed, so that there is one ledger."""
    return None if path is None else Path(os.path.realpath(path)).parent


def usual_state(folder: Path | None) -> Path | None:
    """Return the usual path of the state, itself no link; None where there is no place for one."""
    usual = None if folder is None else folder / "state" / "state.db"
    return usual if usual is not None and is_on_disk(usual) else None


def read_file(path: Path, names: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Return the values by name, and a sentence for each line that is wrong.

    `names` are those of all settings. Raise ConfigError where the file cannot be read.
    """
    return lines_of(_text_of(path), names)


def _text_of(path: Path) -> str:
    """Return the text of an ordinary file: a pipe would be waited for, and read only once."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            return path.read_text(encoding="utf-8-sig")
        cause = "Is a directory" if stat.S_ISDIR(mode) else "it is a pipe or a device"
    except OSError as error:
        cause = error.strerror or "it cannot be opened"
    except ValueError:
        cause = ""
    problem = "is not plain text: save it anew, as plain text in UTF-8."
    if cause:
        problem = f"cannot be read ({cause}): {_ADVICE.get(cause, _OTHERWISE)}"
    raise ConfigError(f"The settings file {str(path)!r} {problem}")


def lines_of(text: str, names: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Return the values by name, and what is wrong with the other lines, quoting none of them.

    python-dotenv is loaded only here: where the environment sets everything, there is no file.
    """
    from dotenv.parser import parse_stream

    values: dict[str, str] = {}
    problems: list[str] = []
    for binding in parse_stream(io.StringIO(text)):
        text = binding.original.string
        line = binding.original.line + text.count("\n") - text.lstrip().count("\n")
        if problem := _problem_of(binding, values, names):
            problems.append(f"Line {line} of the settings file {problem}")
        elif binding.key and (binding.value or "").strip():
            values[binding.key] = binding.value or ""
    return values, problems


def _problem_of(binding: "Binding", before: Mapping[str, str], names: Sequence[str]) -> str | None:
    name, value = binding.key or "", binding.value
    nameless = name and (value is None or not re.fullmatch(r"\w+", name))
    if binding.error or nameless or "\0" in binding.original.string:
        return "does not read NAME=value: fix it, or put # before it."
    if name and name not in names:
        return _stray(name, names)
    if value and value.strip() and before.get(name, value) != value:
        return f"sets {name} a second time, to something else: keep one of the two."
    return None


def _stray(name: str, names: Sequence[str]) -> str | None:
    """Return what is wrong with a name that is misspelt or lacks its prefix.

    Return None for a name that has nothing to do with this program.
    """
    upper = name.upper()
    ours = upper.startswith(_PREFIXES)
    near = [prefix + upper for prefix in _PREFIXES if prefix + upper in names]
    near = near or _nearest(upper, names, 0.6 if ours else 0.85)
    if not ours and not near:
        return None
    if upper in names and name != upper:
        return f"is written in lower case; write it as {upper}."
    shown = name if re.fullmatch("[A-Z_]{1,40}", name) else "a name"  # it may be a pasted key
    fix = f"did you mean {' or '.join(near)}?" if near else "remove the line, or put # before it."
    return f"sets {shown}, which is no setting: {fix}"


def near_in_environment(name: str, names: Sequence[str]) -> str | None:
    """Return which of ours is meant by a name of the environment, which may be any program's.

    Return None for one of ours, and for one that is not nearly so: its prefix alone says little.
    """
    upper = name.upper().replace("-", "_")
    if name in names or name.startswith("_"):
        return None
    if "_" in upper and f"SYNC_{upper}" in names:
        return f"SYNC_{upper}"
    ours = upper.startswith(_OURS_ALONE)
    longer = [known for known in names if ours and upper.endswith(f"_{known}")]
    return next(iter(longer or _nearest(upper, names, 0.74 if ours else 0.85)), None)


def _nearest(name: str, names: Sequence[str], cutoff: float) -> list[str]:
    """Return that of the names which is nearest, by the ratio of difflib; none below `cutoff`.

    difflib is loaded only where one may be near enough, which is hardly ever so.
    """
    if not any(_may_be_near(name, known, cutoff) for known in names):
        return []
    import difflib

    return difflib.get_close_matches(name, names, n=1, cutoff=cutoff)


def _may_be_near(name: str, known: str, cutoff: float) -> bool:
    """Tell whether the names have letters enough in common, in whatever order."""
    least = cutoff * (len(name) + len(known)) / 2
    if min(len(name), len(known)) < least:
        return False
    return sum(min(name.count(sign), known.count(sign)) for sign in set(name)) >= least
