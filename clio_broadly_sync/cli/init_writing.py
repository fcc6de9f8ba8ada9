"""A new settings file: the example that comes with the program, with answers put in place."""

import os
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import click

from clio_broadly_sync.domain.errors import ConfigError

_PLAIN = re.compile(r"[\w.:/@%&?+=,~-]+", re.ASCII)


def check_place(path: Path) -> None:
    """Raise before anything is asked, where a file cannot be written or is there already."""
    if os.path.lexists(path):
        raise _there_already(path)
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise ConfigError(f"{path} cannot be written: make its folder, or name another file.")


def write(path: Path, answers: Mapping[str, str]) -> None:
    """Write the whole file, for its owner's eyes only, or none."""
    text = filled_in(answers)
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise _there_already(path) from None
    except OSError as error:
        raise _unwritten(path, error) from None
    try:
        with open(number, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        path.unlink()
        raise _unwritten(path, error) from None
    except KeyboardInterrupt:
        path.unlink()
        raise


def filled_in(answers: Mapping[str, str]) -> str:
    """Return the example's text; each answer stands on its setting's line, as it is read back."""
    text = resources.files("clio_broadly_sync").joinpath("config.example.env").read_text("utf-8")
    for name, value in answers.items():
        text = _put(text, name, _spelled(value))
    return text


def _put(text: str, name: str, value: str) -> str:
    before, after = re.split(f"^#?{name}=.*$", text, flags=re.MULTILINE)
    return f"{before}{name}={value}{after}"


def _spelled(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _there_already(path: Path) -> click.UsageError:
    return click.UsageError(
        f"{path} is there already and stays as it is: edit it, or name another with --config."
    )


def _unwritten(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"{path} cannot be written ({error.strerror}): name another with --config.")
