"""What `init` does: each answer is checked by the settings' own rules as soon as it is given."""

import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NoReturn

import click

from clio_broadly_sync.cli import init_writing
from clio_broadly_sync.cli.init_questions import QUESTIONS, Question
from clio_broadly_sync.cli.options import Options
from clio_broadly_sync.cli.terminal import say
from clio_broadly_sync.domain.errors import OK, ConfigError, SyncError
from clio_broadly_sync.settings import NAMES, load_settings, settings_path

INTERRUPTED: Final = 130
WRONG_USAGE: Final = 2


def carry_out(options: Options) -> NoReturn:
    """Ask, write the file, say what comes next; or write nothing at all."""
    path = settings_path(options.config_file, os.environ, Path.cwd())
    try:
        init_writing.check_place(path)
        say(f"This writes {path}. Ctrl-C ends it, and nothing is written.")
        answers = _ask_all(os.environ)
        init_writing.write(path, answers)
    except (click.Abort, KeyboardInterrupt):
        click.echo("\nclio-broadly-sync: Not all was answered, so nothing was written.", err=True)
        sys.exit(INTERRUPTED if sys.stdin.isatty() else WRONG_USAGE)
    except SyncError as error:
        for line in str(error).splitlines():
            say(f"clio-broadly-sync: {line}", err=True)
        sys.exit(error.exit_code)
    for line in _what_next(options, {**answers, **os.environ}):
        click.echo(line)
    sys.exit(OK)


def _ask_all(environ: Mapping[str, str]) -> dict[str, str]:
    given = {name: environ[name] for name in NAMES if environ.get(name, "").strip()}
    answers: dict[str, str] = {}
    for question in QUESTIONS:
        if question.name in given:
            click.echo(f"\n{question.name} is set in the environment, which wins: not asked.")
        elif question.asked_if(answers | given):
            click.echo(f"\n{question.text}")
            name, answer = _ask(question, answers | given)
            if answer:
                answers[name] = answer
    return answers


def _ask(question: Question, known: Mapping[str, str]) -> tuple[str, str]:
    """Ask until the answer is one that the settings accept."""
    while True:
        answer = click.prompt(
            question.name,
            default=question.default,
            show_default=bool(question.default),
            # Without a terminal there is no echo, and getpass would look for another one.
            hide_input=question.secret and sys.stdin.isatty(),
        ).strip()
        practice = question.name == "CLIO_REGION" and "://" in answer
        name = "CLIO_BASE_URL" if practice else question.name
        problem = _problem(name, answer, known)
        if problem is None:
            return name, answer
        say(problem)


def _problem(name: str, answer: str, known: Mapping[str, str]) -> str | None:
    """Return what the settings say of this answer, as if it stood in an otherwise empty file."""
    try:
        load_settings(Path(os.devnull), {**known, name: answer}, Path.cwd())
    except ConfigError as error:
        return next((text for text in error.problems if text.startswith(f"{name} ")), None)
    return None


def _what_next(options: Options, known: Mapping[str, str]) -> Iterator[str]:
    program = "clio-broadly-sync"
    if options.config_file:
        program += f" --config {shlex.quote(str(options.config_file))}"
    yield "\nWritten; only you may read it. It explains every other setting as well. Next:\n"
    if not known.get("CLIO_ACCESS_TOKEN"):
        if not known.get("CLIO_CLIENT_ID"):
            yield "    (fill in CLIO_CLIENT_ID and CLIO_CLIENT_SECRET in the file)"
        yield f"    {program} login   (sign in to Clio in the browser)"
    yield f"    {program} check   (is everything in order?)"
    yield f"    {program} sync    (the first one hands over nobody)"
