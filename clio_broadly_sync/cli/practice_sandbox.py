"""`sandbox`: a practice Clio and a practice Broadly on this machine."""

import signal
import sys
import threading
from types import FrameType

import click

from clio_broadly_sync.sandbox import Firm, Sandbox

CLIO_PORT = 8711
AT_ONCE = 3
TOKEN = "practice-token"  # noqa: S105  (the practice Clio's own)
SETTINGS = (
    "CLIO_BASE_URL",
    "SYNC_RULE",
    "CLIO_CLIENT_ID",
    "CLIO_CLIENT_SECRET",
    "BROADLY_URL",
    "BROADLY_API_KEY",
    "SYNC_SETTLE_HOURS",
    "SYNC_STATE",
)
"""What is printed, in the order in which `init` asks; it does not ask for the last."""


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
def sandbox(seed: int, contacts: int, matters: int, port: int) -> None:
    """Run a practice Clio and a practice Broadly on this machine, until Ctrl-C.

    Their settings are printed on stdout: the answers for `init`, or a settings file if you write
    them to one. On a terminal, each Enter closes three matters.

    Example: clio-broadly-sync sandbox
    """
    firm = Firm(seed, contacts, matters)
    servers = Sandbox(
        firm,
        access_token=TOKEN,
        api_key="practice-key",
        dedupes=False,
        clio_port=port,
        broadly_port=port + 1,
    )
    servers.clio.oauth.client_secret = "practice-secret"  # noqa: S105  (the practice Clio's own)
    stopped = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    try:
        servers.start()
    except OSError:
        raise click.ClickException(f"Ports {port} and {port + 1} are taken; try --port.") from None
    try:
        _print_settings(servers)
        if sys.stdin.isatty():
            threading.Thread(target=_close_on_enter, args=(firm,), daemon=True).start()
        stopped.wait()
    finally:
        servers.stop()


def _print_settings(servers: Sandbox) -> None:
    click.echo("Practice Clio and Broadly are up; Ctrl-C ends them.", err=True)
    if sys.stdout.isatty():
        click.echo(
            "In another terminal, in an empty folder, run `clio-broadly-sync init`, and answer\n"
            "with these, top down (SYNC_STATE is not asked for):\n"
        )
    state = "practice-state/state.db"
    settings = servers.settings(login=True, SYNC_SETTLE_HOURS="0", SYNC_STATE=state)
    for name in SETTINGS:
        click.echo(f"{name}={settings[name]}")
    click.echo(f"# Instead of CLIO_CLIENT_ID, its secret and `login`: CLIO_ACCESS_TOKEN={TOKEN}")
    sys.stdout.flush()
    click.echo(
        "\nThen come `login`, `check` and `sync`. The first `sync` notes where to start; after\n"
        "it, close matters here, three with each Enter, and `sync` again.",
        err=True,
    )


def _close_on_enter(firm: Firm) -> None:
    for _ in sys.stdin:
        matters = firm.matter_ids("Open")[:AT_ONCE]
        if not matters:
            click.echo("No open matter is left.", err=True)
        for number, matter in enumerate(matters):
            firm.set_thank_you(matter, number > 0)
            firm.close(matter)
            box = "checked" if number > 0 else "not checked"
            click.echo(f"Closed matter {matter}; its SendBroadlyThankYou is {box}.", err=True)
