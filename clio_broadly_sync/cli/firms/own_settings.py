"""The settings of a firm in a fleet: read from its file or from arguments, checked, and sealed."""

import os
import re
import secrets
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import click

from clio_broadly_sync.cli.one_firm import Fleet, firm_named
from clio_broadly_sync.cli.options import Options
from clio_broadly_sync.domain.errors import ConfigError
from clio_broadly_sync.settings import NAMES, OF_FLEET, Given, read_given, settings_path, texts_in
from clio_broadly_sync.settings.fleet import SECRETS, firm_settings, given_in, of_a_firm
from clio_broadly_sync.store.firms import HASH_KEY, NAME, REMOVED, Firms
from clio_broadly_sync.store.moving import move
from clio_broadly_sync.store.postgresql import Session
from clio_broadly_sync.transport.signals import Stop

NO_STATE: Final = "SYNC_STATE is not used: the state of a firm is in the database."
_KEY_BYTES: Final = 32
_NOT_PLAIN: Final = "What was typed is not plain text in UTF-8: nothing of it is taken."
_SETTING: Final = re.compile("[A-Z_]{1,40}")


class Own(NamedTuple):
    """A firm's own settings, by name in lower case, apart from what is the fleet's."""

    settings: dict[str, str]
    secrets: dict[str, str]
    """The same of those that are sealed; the key of the hashes may be among them."""

    @property
    def texts(self) -> dict[str, str]:
        """All of them that are settings."""
        every = {**self.settings, **self.secrets}
        return {name: text for name, text in every.items() if name != HASH_KEY}

    def changed(self, texts: Mapping[str, str]) -> "Own":
        """Return them with these texts in their places; an empty one takes a setting back."""
        every = {**self.settings, **self.secrets, **texts}
        return own({name: text for name, text in every.items() if text})


def own(texts: Mapping[str, str]) -> Own:
    sealed = {HASH_KEY, *(name.lower() for name in SECRETS)}
    return Own(
        {name: text for name, text in texts.items() if name not in sealed},
        {name: text for name, text in texts.items() if name in sealed},
    )


def check_file(file: Path, options: Options) -> None:
    """Raise UsageError where a firm's file would be read as the settings of the fleet as well."""
    of_fleet = settings_path(options.config_file, os.environ, Path.cwd())
    if os.path.exists(file) and os.path.exists(of_fleet) and file.samefile(of_fleet):
        raise click.UsageError(
            f"{str(file)!r} is read as the fleet's settings here: give the firm's file another "
            "name, such as acme.env."
        )


def read(file: Path, stop: Stop) -> Given:
    """Return what a firm's settings file says, or standard input where it is `-`.

    The environment is not asked: it is the fleet's. Raise ConfigError where it cannot be read.
    """
    if str(file) != "-":
        return read_given(file, {}, Path.cwd())
    with stop.at_once():
        typed = sys.stdin.buffer.read()
    try:
        return given_in(typed.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise ConfigError(_NOT_PLAIN) from None


def assigned(words: Sequence[str]) -> dict[str, str]:
    """Return the settings of arguments such as `SYNC_MAX_NEW=20`, by name in lower case.

    Raise UsageError for what is none of a firm's, and for a secret; no value is repeated.
    """
    given = {}
    for word in words:
        name, equals, text = word.partition("=")
        if problem := _problem(name, text if equals else None):
            raise click.UsageError(problem)
        given[name] = text
    kept = texts_in(given)
    return {name.lower(): kept.get(name.lower(), "") for name in given}


def _problem(name: str, text: str | None) -> str | None:
    if text is None:
        return "Write settings as NAME=value, for example SYNC_MAX_NEW=20."
    if name == "SYNC_STATE":
        return NO_STATE
    if name in OF_FLEET:
        return f"{name} is the fleet's: set it in the fleet's settings."
    if name not in NAMES:
        called = name if _SETTING.fullmatch(name) else "A name"  # it may be a pasted key
        return f"{called} is no setting: docs/settings.md has them all."
    if name in SECRETS and text.strip():
        return (
            f"{name} is secret, and others may read arguments: write it into a file and name that "
            f"with --config FILE, or type it after --config -."
        )
    return None


class Order(NamedTuple):
    """What is asked of whoever adds a firm."""

    name: str
    given: Given
    """What its settings file says."""
    state: Path | None = None
    """A ledger that is to be brought along."""
    period: timedelta = timedelta(minutes=15)


def add(known: Fleet, session: Session, order: Order) -> bool:
    """Add a firm, with its ledger; return whether it was taken up again after it had been removed.

    Raise UsageError for its name, ConfigError with every problem of its settings, and what `move`
    raises of its ledger.
    """
    if not NAME.fullmatch(order.name):
        raise click.UsageError(
            "A firm's name has small letters, digits and hyphens, begins with a letter or a digit, "
            "and has at most 63 of them."
        )
    firms = Firms(session)
    before = firms.named(order.name)
    if before is not None and before.state != REMOVED:
        raise _taken(order.name)
    texts, problems = of_a_firm(order.given)
    firm_settings(texts, known.settings.defaults, problems)
    kept = own(texts)

    def add_row(hash_key: str) -> int:
        sealed = known.seal.close(order.name, {**kept.secrets, HASH_KEY: hash_key})
        removed = None if before is None else before.secrets
        number = firms.add(order.name, kept.settings, sealed, order.period, removed=removed)
        if number is None:
            raise _taken(order.name)
        return number

    if order.state is not None:
        now = datetime.now(UTC)
        move(order.state, order.name, add_row, session=session, seal=known.seal, now=now)
    elif before is not None:
        add_row(known.secrets_of(before)[HASH_KEY])
    else:
        add_row(secrets.token_hex(_KEY_BYTES))
    return before is not None


def _taken(name: str) -> click.UsageError:
    return click.UsageError(f"There is a firm “{name}” already: `firms set` changes it.")


def change(
    known: Fleet,
    name: str,
    texts: Mapping[str, str],
    problems: Sequence[str],
    period: timedelta | None,
) -> tuple[Own, Own]:
    """Change what is given of a firm, once it is in order as a whole; return it before and after.

    Raise ConfigError with every problem, these among them.
    """
    with closing(known.connect()) as session, session.transaction():
        firms = Firms(session)
        firm = firm_named(firms, name, to_change=True)
        before = Own(dict(firm.settings), known.secrets_of(firm))
        after = before.changed(texts)
        firm_settings(after.texts, known.settings.defaults, problems)
        sealed = None if after.secrets == before.secrets else known.seal.close(name, after.secrets)
        firms.change(firm.number, settings=after.settings, secrets=sealed, period=period)
    return before, after
