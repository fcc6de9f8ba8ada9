"""`schedule`: what cron or systemd needs to run the program, with the paths of this machine.

The text around the paths is in the folder `cron/` of the package.
"""

import os
import pwd
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import Final, NamedTuple

import click

from clio_broadly_sync.cli import app
from clio_broadly_sync.cli.options import Options, common
from clio_broadly_sync.cli.output import PROGRAM, say
from clio_broadly_sync.domain.errors import ConfigError, ExportError
from clio_broadly_sync.settings import NAMES, Settings, load_settings, read_given, settings_path

DAYS_BACK: Final = 35
"""The weekly `verify` looks back so many days, or further where SYNC_MAX_AGE_DAYS does."""
MORE_DAYS: Final = 5
"""Then it looks back so many days more than that."""
UNITS: Final = "/etc/systemd/system"
"""Where systemd looks for the units of a machine's own."""
_FROM_OUTSIDE: Final = (
    "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE"
)  # fmt: skip
"""What a run takes from the environment beside the settings; also in lower case."""
_UNIT_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")
_UNFIT: Final = "{!r} cannot stand in {}: give that folder another name."
_LIMIT: Final = ("-k", "60", "3600")
"""After how long `timeout` kills what it has asked to stop, and when it asks; in seconds."""


class Place(NamedTuple):
    """Where the program, its settings and its state are on this machine."""

    program: Sequence[str]
    """The words that call the program."""
    config: Path
    """The settings file."""
    user: str
    """The owner of the settings file, as whom the program runs."""
    settings: Settings

    def words(self, *command: str) -> list[str]:
        """Return the words that call a command of the program."""
        return [*self.program, "--config", str(self.config), *command]

    @property
    def verify(self) -> tuple[str, ...]:
        """The command of the weekly look."""
        days = max(DAYS_BACK, self.settings.sync_max_age_days + MORE_DAYS)
        return "verify", "--against-clio", str(min(days, 3650))


@click.group()
def schedule() -> None:
    """Print what cron or systemd needs to run it, with this machine's paths.

    Example: clio-broadly-sync schedule cron
    """


@schedule.command()
@common
def cron(options: Options) -> None:
    """Print the lines for a crontab.

    They run sync every 15 minutes, and verify once a week. They belong into the crontab of the user
    who owns the settings file.

    Example: clio-broadly-sync schedule cron
    """
    call = app.Call()
    with call.until_error():
        place = _place(options)
        click.echo(crontab(place), nl=False)
        _point_out(place, "the crontab")
    sys.exit(call.code)


@schedule.command()
@click.option(
    "--name",
    default=PROGRAM,
    show_default=True,
    metavar="NAME",
    help="How the units begin; a second office on this machine needs another.",
)
@click.option(
    "--into",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help=f"Write them there, e.g. into {UNITS}; those of the same name are replaced.",
)
@common
def systemd(options: Options, name: str, into: Path | None) -> None:
    """Print services and timers for systemd.

    They run sync every 15 minutes, and verify once a week, as the user who owns the settings file.
    Another unit tells, by mail, when one of them has failed.

    Example: clio-broadly-sync schedule systemd
    """
    if not _UNIT_NAME.fullmatch(name):
        raise click.UsageError("--name takes small letters, digits, - and _.")
    call = app.Call()
    with call.until_error():
        place = _place(options)
        made = units(place, name)
        if into is None:
            click.echo("\n".join(f"# {UNITS}/{unit}\n{text}" for unit, text in made.items()))
        else:
            _write(into, made)
        _point_out(place, f"a drop-in: `systemctl edit {name}`")
    sys.exit(call.code)


def _place(options: Options) -> Place:
    """Return where everything is; raise ConfigError where the settings file alone is not enough.

    Whatever runs the program by the clock does not see the environment of this shell.
    """
    config = settings_path(options.config_file, os.environ, Path.cwd())
    try:
        if read_given(options.config_file, os.environ, Path.cwd()).names_fleet:
            raise click.UsageError("FLEET_DATABASE is set: workers run the firms (`fleet worker`).")
        settings = load_settings(config, {}, Path.cwd())
    except ConfigError as error:
        alone = "Cron and systemd see the settings file alone, and not this shell's environment."
        raise ConfigError(*error.problems, *([alone] if _given(NAMES) else [])) from None
    config = Path(os.path.realpath(config.parent), config.name)
    owner = config.stat().st_uid
    try:
        user = pwd.getpwuid(owner).pw_name
    except KeyError:
        user = str(owner)
    return Place(_program(), config, user, settings)


def _program() -> list[str]:
    """Return the words that call this program, from any folder."""
    script = Path(sys.executable).with_name(PROGRAM)
    module = [sys.executable, "-m", "clio_broadly_sync"]
    return [str(script)] if os.access(script, os.X_OK) else module


def _given(names: Sequence[str]) -> list[str]:
    return [name for name in names if os.environ.get(name, "").strip()]


def _point_out(place: Place, where: str) -> None:
    """Say what is missing yet, what this shell sets that a scheduled run will not see, and where
    nothing that is scheduled runs for long."""
    with suppress(OSError):  # whoever may not look there is told nothing of it
        if not place.settings.sync_state.exists():
            say("\nBefore that, run `login`, `check` and the first `sync` by hand.", err=True)
    if settings := _given(NAMES):
        words = f"put it into {place.config}, which is all that a scheduled run sees."
        say(f"\nThis shell sets {', '.join(settings)}: {words}", err=True)
    if others := _given([*_FROM_OUTSIDE, *map(str.lower, _FROM_OUTSIDE)]):
        words = f"a scheduled run does not see that; set it in {where}."
        say(f"\nThis shell sets {', '.join(others)}: {words}", err=True)
    if "microsoft" in os.uname().release.lower():
        say(_IN_WSL, err=True)


_IN_WSL: Final = (
    "\nWindows ends WSL soon after its last window is closed, and what is scheduled there with it: "
    "see “In WSL” in docs/when-it-fails.md."
)


# Cron.


def crontab(place: Place) -> str:
    """Return the lines for a crontab; raise ConfigError where a path cannot stand in one."""
    timeout = shutil.which("timeout")
    limit = [timeout, *_LIMIT] if timeout else []
    sync, verify = ([*limit, *place.words(*command)] for command in (("sync",), place.verify))
    return _filled_in(
        "crontab",
        user=place.user,
        days=place.verify[-1],
        sync=_for_cron(sync),
        verify=_for_cron(verify),
    )


def _for_cron(words: Sequence[str]) -> str:
    r"""Return the words as cron passes them to a shell, which takes \% for % wherever it stands."""
    for word in words:
        if not word.isprintable() or "\\" in word:  # crons differ in what they do with a backslash
            raise ConfigError(_UNFIT.format(word, "a crontab"))
    return shlex.join(words).replace("%", r"\%")


# Systemd.


def units(place: Place, name: str) -> dict[str, str]:
    """Return the units by their file names, which begin with `name`."""
    failed, verify = f"{name}-failed", f"{name}-verify"
    success = _filled_in("success")
    says = {
        name: "Send the clients of matters closed in Clio to Broadly",
        verify: "Look whether anything that closed in Clio slipped through",
    }
    made = {}
    for unit, command, ends, when in (
        (name, ("sync",), success, "*:0/15"),
        (verify, place.verify, "", "Mon 06:17"),
    ):
        made[f"{unit}.service"] = _filled_in(
            "service",
            name=unit,
            description=says[unit],
            failed=failed,
            command=_command_line(place.words(*command)),
            user=place.user,
            success=ends,
            folder=_for_systemd(str(place.settings.sync_state.parent)),
        )
        made[f"{unit}.timer"] = _filled_in("timer", description=says[unit], when=when)
    made[f"{failed}@.service"] = _filled_in("failed", failed=failed)
    return made


def _command_line(words: Sequence[str]) -> str:
    """Return an ExecStart=; what begins like a variable is one in every word but the first.

    In the first one systemd takes no quotation mark and no backslash.
    """
    if not {"'", '"', "\\"}.isdisjoint(words[0]):
        raise ConfigError(_UNFIT.format(words[0], "a unit"))
    program, *others = map(_for_systemd, words)
    return " ".join([program, *(word.replace("$", "$$") for word in others)])


def _for_systemd(word: str) -> str:
    """Return a word in systemd's quotes, with nothing in it that means something there."""
    if not word.isprintable():
        raise ConfigError(_UNFIT.format(word, "a unit"))
    if re.fullmatch(r"[\w./:=@+,-]+", word):
        return word
    escaped = word.replace("\\", r"\\").replace('"', r"\"").replace("%", "%%")
    return f'"{escaped}"'


def _write(folder: Path, made: Mapping[str, str]) -> None:
    """Write the units into the folder, and say what is left to do; raise ExportError."""
    try:
        for unit, text in made.items():
            (folder / unit).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ExportError(
            f"{folder} cannot be written ({error.strerror}): run this as root, or name another "
            "folder."
        ) from None
    timers = " ".join(unit for unit in made if unit.endswith(".timer"))
    for line in _next(folder, made, timers):
        say(line)


def _next(folder: Path, made: Mapping[str, str], timers: str) -> Iterator[str]:
    yield f"Written into {folder}: {', '.join(made)}. Next, as root:"
    yield "    `systemctl daemon-reload`"
    yield f"    `systemctl enable --now {timers}`"


def _filled_in(template: str, **values: str) -> str:
    """Return the template with each <name> replaced; what stands in a value is not looked at."""
    text = resources.files("clio_broadly_sync").joinpath("cron", template).read_text("utf-8")
    return re.sub("<([a-z]+)>", lambda found: values[found[1]], text)
