"""What is said fits the terminal; a program that reads it gets whole lines."""

import signal
from datetime import date

import pytest
import signing
from folds import ESCAPES, too_wide
from terminal import on_terminal
from world import Ran, World

from clio_broadly_sync.cli.main import COMMANDS

WRONG = {"SYNC_RULE": "maybe", "BROADLY_URL": "nowhere"}


@pytest.mark.parametrize("command", ["sync", "status", "login"])
def test_errors_are_folded_on_a_terminal_only(world: World, command: str) -> None:
    """Between words; each begins with the program's name."""
    told = on_terminal(world, command, columns=60, **WRONG)
    assert told.code == 78
    assert max(map(len, told.out.splitlines())) <= 60
    whole = world.run(command, **WRONG).err
    assert whole.count("\n") == whole.count("clio-broadly-sync: ") == len(WRONG)
    assert " ".join(told.out.split()) == " ".join(whole.split())


SHOWN = (
    "sync --dry-run", "sync --yes", "status", "check", "verify",
    "verify --against-clio 60", "outbox list", "explain 5001", "explain --contact 1001", "logout",
    "report", "report --list", "explain 5999", "sync --limit many", "explain", "stauts",
    "outbox drop --all --state dead",
    "outbox list --batch 2", "backfill --from 2026-02-01 --to 2026-01-01", "schedule cron",
    "--help", "--version", "firms list", "fleet status",
)  # fmt: skip
ASKED = {
    "sync": {"[y/N]": "n"},
    "-v sync": {"[y/N]": "n"},
    "backfill --from 2020-01-01 --to 2099-12-31": {"[y/N]": "n"},
    "outbox resend --all": {"[y/N]": "n"},
    "outbox drop --all": {"[y/N]": "n"},
    "login --paste": {"address:": "nothing"},
    "init": {
        "CLIO_REGION [us]": "mars", "CLIO_REGION [us]:": "us", "SYNC_RULE": "both",
        "CLIO_CLIENT_ID": "", "CLIO_ACCESS_TOKEN": "", "BROADLY_PROFILE": "batch",
        "BROADLY_URL:": "nowhere", "BROADLY_URL": "https://broadly.test/customers",
        "BROADLY_API_KEY": "key", "SYNC_SETTLE_HOURS": "24",
    },
}  # fmt: skip


@pytest.mark.parametrize("command", [*SHOWN, *ASKED])
def test_every_command_fits(world: World, command: str) -> None:
    """What it says and what it asks, be it done, waiting or wrong."""
    _full_outbox(world)
    answers = ASKED.get(command)
    unset = dict.fromkeys(world.settings) if command == "init" else {}
    told = on_terminal(world, *command.split(), columns=60, answers=answers, **unset)
    assert told.out
    assert not too_wide(told.out, 60)


def _full_outbox(world: World) -> None:
    """Let one be rejected, others wait as a surge, and one be too old; and sign in."""
    world.closing()
    world.closing(on=date(2020, 1, 1))
    world.broadly.rule("rejected")
    assert world.sync().code == 65
    world.closings(2)
    assert world.sync(SYNC_MAX_NEW="0").code == 65
    signing.keep_sign_in(world)


@pytest.mark.parametrize("columns", [60, 80])
def test_demo_breaks_no_word(fresh: World, columns: int) -> None:
    told = on_terminal(fresh, "demo", columns=columns)
    assert (told.code, too_wide(told.out, columns)) == (0, [])
    assert ESCAPES.sub("", told.out).split() == fresh.run("demo").out.split()


def _sandbox(world: World, columns: int, port: int) -> Ran:
    return on_terminal(
        world,
        "sandbox",
        "--port",
        str(port),
        columns=columns,
        answers={"Then `sync` again.": "", "checked.": ""},
        signalled=signal.SIGINT,
    )


@pytest.mark.parametrize("columns", [60, 80])
def test_sandbox_breaks_no_word(fresh: World, columns: int) -> None:
    """Nor a line that stands there to be copied; and what is a comment stays one."""
    port = signing.free_port()
    told = _sandbox(fresh, columns, port)
    assert (told.code, too_wide(told.out, columns)) == (0, [])
    assert "\n# CLIO_ACCESS_TOKEN=" in told.out
    assert f"`clio-broadly-sync init --practice --port {port}`" in told.out


def test_no_command_is_forgotten() -> None:
    """Of a script that is printed for a shell, no line is a person's."""
    tested = {command.removeprefix("-v ").split()[0] for command in (*SHOWN, *ASKED)}
    assert set(COMMANDS) - tested == {"demo", "sandbox", "completion"}


def test_dry_run_without_closings_has_no_table(world: World) -> None:
    """One line says that there was nothing."""
    assert world.sync("--dry-run").out.count("\n") == 1
