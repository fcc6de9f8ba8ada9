"""`demo` and `sandbox`: the whole job on practice servers, to be watched or to be tried.

The practice servers themselves are in `sandbox/`.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from shutil import which
from types import FrameType
from typing import Any

import click

from clio_broadly_sync.cli.output import PROGRAM, folded, say
from clio_broadly_sync.sandbox import Firm, Sandbox, Webhook

CLIO_PORT = 8711
AT_ONCE = 3
"""Each Enter closes so many matters."""
TOKEN = "practice-token"  # noqa: S105  (the practice Clio's own)
WEBHOOK_SECRET = "practice-secret-of-a-webhook"  # noqa: S105  (the practice automation's own)
SETTINGS = (
    "CLIO_BASE_URL",
    "SYNC_RULE",
    "CLIO_CLIENT_ID",
    "CLIO_CLIENT_SECRET",
    "BROADLY_PROFILE",
    "BROADLY_URL",
    "BROADLY_API_KEY",
    "BROADLY_WEBHOOK_SECRET",
    "SYNC_SETTLE_HOURS",
    "SYNC_STATE",
)
"""The settings that are printed, and that `init --practice` writes, where the servers have them."""
WORDS = {
    None: "sent",
    "opted_out": "not sent: BroadlyOptOut is checked on the contact",
    "not_opted_in": "not sent: SendBroadlyThankYou is not checked on the matter",
    "no_channel": "not sent: neither e-mail nor phone",
    "asked_recently": "not sent: asked already, for another matter",
    "contact_hidden": "waits: Clio hides this contact from the sign-in",
}
"""What `demo` says of a decision, by its reason; None is that of a decision to send."""


@dataclass(frozen=True, slots=True)
class _Case:
    """A closed matter of the practice firm, and its client."""

    name: str
    """The client's name."""
    matter: int
    """The id of the matter."""


@click.command()
def demo() -> None:
    """Show the whole job on the practice servers: no account, no network, nothing left behind.

    Closes matters in a practice Clio, runs `sync` on them as cron would, twice, and shows who was
    sent, who was not, and why.

    Example: clio-broadly-sync demo
    """
    with tempfile.TemporaryDirectory() as folder, Sandbox(matters=0, dedupes=False) as servers:
        settings = servers.settings(SYNC_STATE=str(Path(folder, "state", "state.db")))
        say("A practice Clio and a practice Broadly are up on this machine.")
        _heading("1. The first sync: it notes where to start, and sends nobody")
        say(_run(settings, folder).strip())

        _heading("2. The firm closes matters in Clio")
        cases = _close_matters(servers)
        say(f"{len(cases)} matters were closed.")

        _heading("3. Cron runs sync: who is sent to Broadly, who is not, and why")
        _show_decisions(cases, json.loads(_run(settings, folder, "-v", "--json")))
        accepted = len(servers.broadly.accepted)
        say(f"\nBroadly has received {accepted} clients in {_posts(servers)}.")

        _heading("4. Cron runs sync again: nothing is left to do")
        say(_run(settings, folder).strip() or "(sync printed nothing: nobody is sent twice)")
        again = len(servers.broadly.accepted) - accepted
        say(f"Broadly has received {again} more clients, in {_posts(servers)} all told.")
        if again:
            raise click.ClickException("The second run sent somebody again: a bug.")
    say("\nThe practice servers are stopped, and nothing of it is left.")
    _heading("Next")
    program = _as_called()
    say(
        f"Try it yourself:                `{program} sandbox`\n"
        f"The same with a webhook:        `{program} sandbox --profile webhook`\n"
        f"With your own Clio and Broadly: `{program} init`"
    )


def _as_called(*, anywhere: bool = False) -> str:
    """Return how the program can be called: by its name, or by the path by which it was.

    With `anywhere` that is a path which holds in other folders, too.
    """
    path = sys.argv[0]
    if which(PROGRAM) is None and Path(path).name == PROGRAM:
        return shlex.quote(str(Path(path).absolute()) if anywhere else path)
    return PROGRAM


def _heading(text: str) -> None:
    click.echo()
    click.secho(folded(text), bold=True)


def _posts(servers: Sandbox) -> str:
    posts = servers.broadly.batches
    return f"{posts} batch" if posts == 1 else f"{posts} batches"


def _run(settings: dict[str, str], folder: str, *options: str) -> str:
    """Run `sync` as a program of its own, and return what it printed on stdout.

    Exit code 65 is in order, because a client waits for a person. Any other but 0 raises
    ClickException.
    """
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
    """Return the environment without this program's settings.

    The real settings must not reach the demo.
    """
    own = ("BROADLY_", "CLIO_", "FLEET_", "LOG_", "NOTIFY_", "PING_", "SYNC_")
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
        label = f"{case.name:<{width}}  matter {case.matter}  "
        line = folded(label + words)
        click.echo(line[: len(label)] + click.style(line[len(label) :], fg=colour))


# The practice servers alone, for a person to try the program on.


@click.command()
@click.option(
    "--seed", default=1, show_default=True, metavar="N", help="Another number, another firm."
)
@click.option(
    "--contacts", default=40, show_default=True, metavar="N", help="How many contacts it has."
)
@click.option(
    "--matters", default=60, show_default=True, metavar="N", help="How many matters it has."
)
@click.option(
    "--port",
    type=click.IntRange(1, 65534),
    default=CLIO_PORT,
    show_default=True,
    metavar="N",
    help="Where Clio listens; Broadly listens on the next port.",
)
@click.option(
    "--profile",
    type=click.Choice(["batch", "webhook"]),
    default="batch",
    show_default=True,
    help="What receives the clients: Broadly, or an automation.",
)
def sandbox(seed: int, contacts: int, matters: int, port: int, profile: str) -> None:
    """Run a practice Clio and a practice Broadly on this machine, until Ctrl-C.

    `init --practice` writes their settings, which are also printed on stdout. On a terminal, each
    Enter closes three matters. With --profile webhook an automation stands in Broadly's place, and
    what it receives is printed on stderr.

    Example: clio-broadly-sync sandbox
    """
    firm = Firm(seed, contacts, matters)
    servers = _practice_servers(firm, port, profile)
    stopped = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    try:
        servers.start()
    except OSError:
        raise _taken(port) from None
    try:
        servers.clio.practice = _settings_of(servers)
        _print_settings(servers, port)
        if sys.stdin.isatty():
            threading.Thread(target=_close_on_enter, args=(firm,), daemon=True).start()
        stopped.wait()
    finally:
        servers.stop()


def _taken(port: int) -> click.UsageError:
    other = port + 100 if port < 65000 else CLIO_PORT
    return click.UsageError(
        f"Ports {port} and {port + 1} are taken, perhaps by another `sandbox`: end that one, or "
        f"take others, as by `sandbox --port {other}`."
    )


def _practice_servers(firm: Firm, port: int, profile: str) -> Sandbox:
    servers = Sandbox(
        firm,
        access_token=TOKEN,
        api_key="practice-key",
        dedupes=False,
        clio_port=port,
        broadly_port=port + 1,
        profile=profile,
        webhook_secret=WEBHOOK_SECRET,
    )
    if isinstance(servers.broadly, Webhook):
        servers.broadly.arrived = _say_what_arrived
    servers.clio.oauth.client_secret = "practice-secret"  # noqa: S105  (the practice Clio's own)
    return servers


def _settings_of(servers: Sandbox) -> dict[str, str]:
    state = "practice-state/state.db"
    settings = servers.settings(login=True, SYNC_SETTLE_HOURS="0", SYNC_STATE=state)
    return {name: settings[name] for name in SETTINGS if name in settings}


def _print_settings(servers: Sandbox, port: int) -> None:
    is_webhook = isinstance(servers.broadly, Webhook)
    who = (
        "A practice Clio and an automation"
        if is_webhook
        else "A practice Clio and a practice Broadly"
    )
    say(f"{who} are up; Ctrl-C ends them.", err=True)
    program = _as_called(anywhere=True)
    if sys.stdout.isatty():
        at = "" if port == CLIO_PORT else f" --port {port}"
        say(
            f"In another terminal, in an empty folder, run `{program} init --practice{at}`, which "
            "writes these settings:\n"
        )
    for name, value in servers.clio.practice.items():
        click.echo(f"{name}={value}")
    # Two lines, because one that is folded would be half a comment and half a setting.
    click.echo(f"# Instead of CLIO_CLIENT_ID, its secret and `login`:\n# CLIO_ACCESS_TOKEN={TOKEN}")
    sys.stdout.flush()
    say(
        f"\nThen run `{program} login`, `check` and `sync` there. The first `sync` notes where to "
        "start, and sends nobody. After it, press Enter here: that closes three matters. Then "
        "`sync` again.",
        err=True,
    )


def _say_what_arrived(item: Mapping[str, Any], holds: bool | None) -> None:
    signature = {True: "holds", False: "does not hold", None: "is not looked at"}[holds]
    say(f"Received {json.dumps(item, ensure_ascii=False)}; its signature {signature}.", err=True)


def _close_on_enter(firm: Firm) -> None:
    for _ in sys.stdin:
        matters = firm.matter_ids("Open")[:AT_ONCE]
        if not matters:
            say("No open matter is left.", err=True)
        for number, matter in enumerate(matters):
            firm.set_thank_you(matter, number > 0)
            firm.close(matter)
            box = "checked" if number > 0 else "not checked"
            say(f"Closed matter {matter}; its SendBroadlyThankYou is {box}.", err=True)
