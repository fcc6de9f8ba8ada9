"""`demo`: the whole job, shown on the practice servers."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from clio_broadly_sync.sandbox import Sandbox

WORDS = {
    None: "handed over",
    "opted_out": "not handed over: BroadlyOptOut is checked on the contact",
    "not_opted_in": "not handed over: SendBroadlyThankYou is not checked on the matter",
    "no_channel": "not handed over: neither e-mail nor phone",
    "asked_recently": "not handed over: asked already, for another matter",
    "contact_hidden": "waits: Clio hides this contact from the sign-in",
}


@dataclass(frozen=True, slots=True)
class _Case:
    """A client of the practice firm, and what was done about one matter of his."""

    name: str
    matter: int


@click.command()
def demo() -> None:
    """Show the whole job on the practice servers: no account, no network, nothing left behind.

    Closes matters in a practice Clio, runs `sync` on them as cron would, twice, and shows who was
    handed over, who was not, and why.

    Example: clio-broadly-sync demo
    """
    with tempfile.TemporaryDirectory() as folder, Sandbox(matters=0, dedupes=False) as servers:
        settings = servers.settings(SYNC_STATE=str(Path(folder, "state", "state.db")))
        click.echo("A practice Clio and a practice Broadly are up on this machine.")
        _heading("1. The first sync: it notes where to start, and hands over nobody")
        click.echo(_run(settings, folder).strip())

        _heading("2. The firm closes matters in Clio")
        cases = _close_matters(servers)
        click.echo(f"{len(cases)} matters were closed.")

        _heading("3. Cron runs sync: who is handed over, who is not, and why")
        _show_decisions(cases, json.loads(_run(settings, folder, "-v", "--json")))
        accepted = len(servers.broadly.accepted)
        click.echo(f"\nBroadly has received {accepted} clients in {_posts(servers)}.")

        _heading("4. Cron runs sync again: nothing is left to do")
        click.echo(_run(settings, folder).strip() or "(sync printed nothing)")
        again = len(servers.broadly.accepted) - accepted
        click.echo(f"Broadly has received {again} more clients, in {_posts(servers)} all told.")
        if again:
            raise click.ClickException("The second run handed somebody over again: a bug.")
    click.echo("\nThe servers are stopped and everything is removed again.")


def _heading(text: str) -> None:
    click.echo()
    click.secho(text, bold=True)


def _posts(servers: Sandbox) -> str:
    posts = len(servers.broadly.posts)
    return f"{posts} batch" if posts == 1 else f"{posts} batches"


def _run(settings: dict[str, str], folder: str, *options: str) -> str:
    """Run `sync` as a program of its own; 65 is right where a client waits for a person."""
    command = [sys.executable, "-m", "clio_broadly_sync", "sync", *options]
    done = subprocess.run(  # noqa: S603  (this very program)
        command,
        env={**_foreign_to_us(os.environ), **settings},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if "-v" in options else None,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 65):
        raise click.ClickException(f"sync ended with exit code {done.returncode}.")
    return done.stdout


def _foreign_to_us(environ: Mapping[str, str]) -> dict[str, str]:
    """Leave the real settings out: nothing of them may reach the demo."""
    own = ("BROADLY_", "CLIO_", "LOG_", "PING_", "SYNC_")
    return {name: value for name, value in environ.items() if not name.startswith(own)}


def _close_matters(servers: Sandbox) -> list[_Case]:
    firm = servers.firm
    firm.clock.advance(timedelta(minutes=5))
    plain = [firm.add_contact() for _ in range(3)]
    company = firm.add_contact(type="Company")
    opted_out = firm.add_contact(opt_out=True)
    silent = firm.add_contact(email=None, phone=None)
    hidden = firm.add_contact()
    not_asked = firm.add_contact()
    firm.hide_contact(hidden)
    clients = [*plain, company, opted_out, silent, hidden, plain[0]]
    cases = [_case(servers, client, thank_you=True) for client in clients]
    cases.append(_case(servers, not_asked, thank_you=False))
    firm.clock.advance(timedelta(minutes=10))
    return cases


def _case(servers: Sandbox, client: int, *, thank_you: bool) -> _Case:
    firm = servers.firm
    matter = firm.add_matter(client, thank_you=thank_you)
    firm.close(matter)
    return _Case(firm.name_of(client), matter)


def _show_decisions(cases: Sequence[_Case], report: dict[str, Any]) -> None:
    decided = {entry["matter_id"]: entry for entry in report["decisions"]}
    width = max(len(case.name) for case in cases)
    for case in cases:
        entry = decided[case.matter]
        colour = {"send": "green", "skip": "yellow", "wait": "cyan"}[entry["decision"]]
        words = WORDS.get(entry["reason"], entry["reason"])
        click.echo(f"{case.name:<{width}}  matter {case.matter}  ", nl=False)
        click.secho(words, fg=colour)
