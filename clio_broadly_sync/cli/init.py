"""`init`: a settings file after a few questions.

Each answer is checked by the rules of `settings/` as soon as it is given.
"""

import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

import click

from clio_broadly_sync.cli.options import Options, common
from clio_broadly_sync.cli.output import PROGRAM, say
from clio_broadly_sync.domain.errors import (
    OK,
    WRONG_USAGE,
    ConfigError,
    SyncError,
    UnavailableError,
)
from clio_broadly_sync.domain.model import Profile
from clio_broadly_sync.settings import NAMES, Settings, near_names, problem_of, settings_path

INTERRUPTED: Final = 130
PRACTICE_SECONDS: Final = 10.0
"""At most so long a running `sandbox` is waited for."""
_PLAIN = re.compile(r"[\w.:/@%&?+=,~-]+", re.ASCII)
"""A value that needs no quotes in the file."""
_REDIRECT: Final = Settings.clio_redirect_uri
"""The default of CLIO_REDIRECT_URI."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question about one setting."""

    name: str
    """The name of the setting."""
    text: str
    default: str = ""
    secret: bool = False
    """Whether a terminal must not show the answer."""
    asked_if: Callable[[Mapping[str, str]], bool] = lambda known: True
    """It returns whether to ask, given the settings known by then, those of the environment too."""


def _profile(known: Mapping[str, str]) -> Profile:
    named = known.get("BROADLY_PROFILE", "").strip().lower()
    return next((profile for profile in Profile if profile == named), Profile.BATCH)


QUESTIONS: Final = (
    Question(
        "CLIO_REGION",
        "Where is your account with Clio: us, ca (Canada), eu or au (Australia)?\n"
        "(To practise, end this with Ctrl-C and run `clio-broadly-sync init --practice`.)",
        default="us",
    ),
    Question(
        "SYNC_RULE",
        "Which checkbox in Clio decides who receives a thank-you and a review request?\n"
        "  opt-out   everybody, unless BroadlyOptOut is checked on the contact\n"
        "  opt-in    where SendBroadlyThankYou is checked on the matter, and BroadlyOptOut (where "
        "you have it) is not checked on the contact\n"
        "  both      as opt-in, but both fields must exist",
    ),
    Question(
        "CLIO_CLIENT_ID",
        "The key of your app in Clio's developer portal. The app needs the permission to read "
        "Matters, Contacts, Custom fields and Users, and this redirect address:\n"
        f"  {_REDIRECT}\n"
        "Without an app, leave it empty: you are then asked for an access token.",
    ),
    Question(
        "CLIO_CLIENT_SECRET",
        "The secret of that app.",
        secret=True,
        asked_if=lambda known: "CLIO_CLIENT_ID" in known,
    ),
    Question(
        "CLIO_ACCESS_TOKEN",
        "The access token for Clio. Leave it empty to fill it in later.",
        secret=True,
        asked_if=lambda known: "CLIO_CLIENT_ID" not in known,
    ),
    Question(
        "BROADLY_PROFILE",
        "To what are your clients sent? Most firms have a webhook.\n"
        "  webhook   an automation that starts when a webhook is received, also of Zapier, Make or "
        "n8n\n"
        "  csv       a file that you write with `sync --csv` and import by hand\n"
        "  batch     an address that takes batches, with a key; Broadly publishes none",
        default="webhook",
    ),
    Question(
        "BROADLY_URL",
        "The address to which they are sent. That of a webhook is a secret, like a password.",
        asked_if=lambda known: _profile(known) is not Profile.CSV,
    ),
    Question(
        "BROADLY_API_KEY",
        "Your key for it, from Broadly.",
        secret=True,
        asked_if=lambda known: _profile(known) is Profile.BATCH,
    ),
    Question(
        "BROADLY_WEBHOOK_SECRET",
        "The secret with which each POST is signed. Leave it empty where the automation looks at "
        "no signature.",
        secret=True,
        asked_if=lambda known: _profile(known) is Profile.WEBHOOK,
    ),
    Question(
        "SYNC_SETTLE_HOURS",
        "How many hours does a closed matter rest before its client is sent to Broadly?\n"
        "We recommend 24: a matter that was closed by mistake can then be reopened, and a "
        "forgotten box be checked, before anybody is asked. With 0, it is minutes.",
        default="24",
    ),
)


@click.command()
@click.option(
    "--practice", is_flag=True, help="Ask nothing: write the settings of a running `sandbox`."
)
@click.option(
    "--port",
    type=click.IntRange(1, 65534),
    metavar="N",
    help="The --port of that `sandbox`, where it was given one.",
)
@common
def init(options: Options, practice: bool, port: int | None) -> None:
    """Write a settings file after a few questions; every other setting is explained in it.

    A file that is there already is never changed. What the environment sets is not asked.

    Example: clio-broadly-sync init
    """
    if port is not None and not practice:
        raise click.UsageError("--port is for --practice.")
    for note in near_names(os.environ):
        say(f"{PROGRAM}: {note}", err=True)
    try:
        path = settings_path(options.config_file, os.environ, Path.cwd())
        check_place(path)
        say(f"This writes {path}. Ctrl-C ends it, and nothing is written.")
        answers = _of_the_sandbox(port) if practice else _ask_all(os.environ)
        write_settings_file(path, answers)
    except (click.Abort, KeyboardInterrupt):
        say("\nclio-broadly-sync: Not all was answered, so nothing was written.", err=True)
        sys.exit(INTERRUPTED if sys.stdin.isatty() else WRONG_USAGE)
    except SyncError as error:
        for line in str(error).splitlines():
            say(f"clio-broadly-sync: {line}", err=True)
        sys.exit(error.exit_code)
    for line in _what_next(options, {**answers, **os.environ}):
        say(line)
    sys.exit(OK)


def _ask_all(environ: Mapping[str, str]) -> dict[str, str]:
    """Ask what the environment does not set; return the answers that are not empty, by setting."""
    given = {name: environ[name] for name in NAMES if environ.get(name, "").strip()}
    answers: dict[str, str] = {}
    for question in QUESTIONS:
        if question.name in given:
            say(f"\n{question.name} is set in the environment, which wins: not asked.")
        elif question.asked_if(answers | given):
            say(f"\n{question.text}")
            name, answer = _ask(question, answers | given)
            if answer:
                answers[name] = answer
    return answers


def _of_the_sandbox(port: int | None) -> dict[str, str]:
    """Return the settings that a running `sandbox` tells, but what the environment sets.

    Raise UnavailableError where none is running at this port (None: the usual one), and ConfigError
    where the environment would mix them with the firm's own.
    """
    from http.client import HTTPConnection, HTTPException

    from clio_broadly_sync.cli.practice import CLIO_PORT
    from clio_broadly_sync.sandbox.clio import PRACTICE

    if of_firm := [name for name in _OF_THE_FIRM if os.environ.get(name, "").strip()]:
        raise ConfigError(_NO_MIXTURE.format(", ".join(of_firm), " ".join(of_firm)))
    at = HTTPConnection("127.0.0.1", port or CLIO_PORT, timeout=PRACTICE_SECONDS)
    try:
        with closing(at):
            at.request("GET", PRACTICE)
            told = json.load(at.getresponse())
        settings = {name: str(told[name]) for name in told if name in NAMES}
        if not settings:
            raise ValueError
    except (OSError, ValueError, TypeError, HTTPException):
        raise UnavailableError(_NO_SANDBOX.format(port=port or CLIO_PORT)) from None
    for name in [name for name in settings if os.environ.get(name, "").strip()]:
        say(f"{name} is set in the environment, which wins: not written.")
        del settings[name]
    return settings


_OF_THE_FIRM: Final = (
    "CLIO_BASE_URL", "CLIO_ACCESS_TOKEN", "CLIO_CLIENT_ID", "CLIO_CLIENT_SECRET", "SYNC_STATE",
    "BROADLY_PROFILE", "BROADLY_URL", "BROADLY_API_KEY", "BROADLY_WEBHOOK_SECRET", "PING_URL",
    "PING_URL_VERIFY", "NOTIFY_URLS",
)  # fmt: skip
"""What says whose data it is, where it goes, and who is told."""
_NO_MIXTURE: Final = (
    "Set in the environment, which wins over the file: {}. Practice would then use the firm's own. "
    "In this shell, run `unset {}`, and try again."
)
_NO_SANDBOX: Final = (
    "No practice servers answer at port {port}: in another terminal, run "
    "`clio-broadly-sync sandbox`, leave it running, and run here what it says."
)


def _ask(question: Question, known: Mapping[str, str]) -> tuple[str, str]:
    """Ask until the answer is one that the settings accept; return the setting and the answer.

    An address as the answer about CLIO_REGION belongs to CLIO_BASE_URL.
    """
    while True:
        answer = click.prompt(
            question.name,
            default=question.default,
            show_default=bool(question.default),
            # Without a terminal nothing is echoed, and getpass would look for another terminal.
            hide_input=question.secret and sys.stdin.isatty(),
        ).strip()
        practice = question.name == "CLIO_REGION" and "://" in answer
        name = "CLIO_BASE_URL" if practice else question.name
        problem = problem_of(name, {**known, name: answer})
        if problem is None:
            return name, answer
        say(problem)


def _what_next(options: Options, known: Mapping[str, str]) -> Iterator[str]:
    program = "clio-broadly-sync"
    if options.config_file:
        program += f" --config {shlex.quote(str(options.config_file))}"
    yield "\nWritten; only you may read it. It explains every other setting as well. Next:\n"
    if not known.get("CLIO_ACCESS_TOKEN"):
        if not known.get("CLIO_CLIENT_ID"):
            yield "    (fill in CLIO_CLIENT_ID and CLIO_CLIENT_SECRET in the file)"
        yield f"    `{program} login`   (sign in to Clio)"
    yield f"    `{program} check`   (is everything in order?)"
    yield f"    `{program} sync`    (the first one sends nobody)"


# The file is the example that comes with the program, with the answers put in their places.


def check_place(path: Path) -> None:
    """Raise an error where the file is there already or cannot be written.

    That is a UsageError in the first case and a ConfigError in the second. It is called before
    anything is asked.
    """
    if os.path.lexists(path):
        raise _there_already(path)
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise ConfigError(f"{path} cannot be written: make its folder, or name another file.")


def write_settings_file(path: Path, answers: Mapping[str, str]) -> None:
    """Write the settings file as a whole, or no file; only its owner may read it.

    Raise UsageError where it is there already, and ConfigError where it cannot be written.
    """
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
    """Return the text of the example with each answer on the line of its setting.

    The answers are spelled so that `settings/` reads the same values back.
    """
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
