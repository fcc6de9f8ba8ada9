"""A second ledger of one firm, begun by mistake: another state lies where it usually is."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from clio_broadly_sync.cli.options import Options
from clio_broadly_sync.domain.errors import ConfigError, StorageError
from clio_broadly_sync.domain.model import Pins
from clio_broadly_sync.pipeline import pins
from clio_broadly_sync.settings import Settings, state_beside
from clio_broadly_sync.store import FilePlace


def another_state(options: Options, settings: Settings) -> Path | None:
    """Return the state that lies beside the settings file under the usual name.

    Return None where there is none, where it is the one that the settings name, and for a firm.
    """
    usual = state_beside(options.config_file, os.environ, Path.cwd())
    if usual is None or usual == settings.sync_state or options.firm is not None:
        return None
    try:
        usual.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return usual  # it may be there
    with suppress(OSError):
        if usual.samefile(settings.sync_state):
            return None
    return usual


def may_be_same(other: Path, wanted: Pins) -> bool:
    """Tell whether another state may be of the same Clio account; one that does not say may be."""
    try:
        with FilePlace(other).snapshot() as store:
            return pins.may_be_same(store.pins(), wanted)
    except StorageError:
        return True


def check_beginning(
    options: Options, settings: Settings, asks: Callable[[str], bool] | None, begun: Pins
) -> None:
    """Raise ConfigError where a state pinned like this may be a second ledger of one firm.

    Unless a person on a terminal says that it is to be one, whom `asks` asks (None: nobody).
    """
    other = another_state(options, settings)
    if other is None or not may_be_same(other, begun):
        return
    lies = f"Beside the settings file lies a state already, {other}"
    question = f"{lies}. Begin another, which does not know who was asked?"
    if asks is not None and sys.stdin is not None and sys.stdin.isatty() and asks(question):
        return
    raise ConfigError(
        f"{lies}: set SYNC_STATE to it, or move it away if it is none of this firm, because a "
        "second one does not know who was asked."
    )
