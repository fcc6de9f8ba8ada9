"""A monitor that is told of each real `sync`, and never the reason why one fails."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import date

import pytest
from pinged import Pinged
from world import Ran, World

CRASHING = """
import sys
from clio_broadly_sync import pipeline
from clio_broadly_sync.cli import main

def sync(*arguments, **options):
    raise ValueError("ada@example.com")

pipeline.sync = sync
sys.argv = ["clio-broadly-sync", "sync"]
main()
"""


@pytest.fixture
def pinged(world: World) -> Iterator[Pinged]:
    """A monitor that the settings name."""
    with Pinged() as running:
        world.settings["PING_URL"] = running.address
        yield running
        assert not running.errors


def test_success(world: World, pinged: Pinged) -> None:
    """Start and end, with the summary; the mail stays empty."""
    world.closing()
    ran = world.sync()
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    start, end = pinged.told
    assert start == ("/start", "")
    assert end == ("", "1 closed matter looked at: 1 client sent to Broadly.")


def test_failure_in_each_run(world: World, pinged: Pinged) -> None:
    """The exit code and the sentence, also where cron's reader is told only once a day."""
    runs = [world.sync(CLIO_ACCESS_TOKEN="withdrawn") for _ in range(2)]
    assert [ran.code for ran in runs] == [77, 77]
    assert [bool(ran.err) for ran in runs] == [True, False]
    assert [end for end, _ in pinged.told] == ["/start", "/77"] * 2
    assert pinged.told[1] == pinged.told[3]
    assert runs[0].err == f"clio-broadly-sync: {pinged.told[1][1]}\n"


def test_what_needs_a_person(world: World, pinged: Pinged) -> None:
    """65 is no success; the numbers are told, whoever reads the output."""
    world.closing()
    world.broadly.rule("rejected")
    assert world.sync("--json").code == 65
    end, text = pinged.told[-1]
    assert end == "/65"
    assert text.startswith("Broadly rejected 1 client: ")


def test_busy(world: World, pinged: Pinged) -> None:
    """The run that finds another at work says so as well."""
    world.closing()
    seen: list[Ran] = []
    world.broadly.working = lambda request: seen.append(world.sync())
    assert world.sync().code == 0
    assert [(ran.code, ran.out, ran.err) for ran in seen] == [(75, "", "")]
    assert [end for end, _ in pinged.told] == ["/start", "/start", "/75", ""]


def test_dry_run_and_backfill_are_none_of_its_business(world: World, pinged: Pinged) -> None:
    """A person is there, and cron's next run would be missed no less."""
    world.closing()
    assert world.sync("--dry-run").code == 0
    march = date(2025, 3, 1), date(2025, 3, 31)
    assert world.backfill(*march, "--yes").code == 0
    assert pinged.told == []


def test_interrupted(world: World, pinged: Pinged) -> None:
    """The last ping is sent after a signal, too."""
    world.closing()
    children: list[subprocess.Popen[str]] = []
    world.broadly.working = lambda request: os.kill(children[0].pid, signal.SIGTERM)
    children.append(world.start(["sync"], {}))
    assert world.finish(children[0]).code == 143
    assert [end for end, _ in pinged.told] == ["/start", "/143"]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"SYNC_RULE": "perhaps"}, True),
        ({"SYNC_STATE": "/"}, True),
        ({"PING_URL": "nonsense"}, False),
    ],
)
def test_settings_that_are_not_in_order(
    world: World, pinged: Pinged, wrong: dict[str, str], told: bool
) -> None:
    """Pinged all the same, if the address itself can be read."""
    ran = world.sync(**wrong)
    assert ran.code == 78
    assert [end for end, _ in pinged.told] == (["/78"] if told else [])


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_bug(world: World, pinged: Pinged, form: str) -> None:
    """1 in each run; shown once a day, short, and without the data that met it."""
    world.secret("ada@example.com")
    runs = []
    for _ in range(2):
        runs.append(
            subprocess.run(
                [sys.executable, "-c", CRASHING],
                env=world._environment({"LOG_FORMAT": form}),
                cwd=world.folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
        )
    first, second = runs
    assert (first.returncode, second.returncode) == (1, 1)
    assert (first.stdout, second.stdout, second.stderr) == ("", "", "")
    said = first.stderr if form == "text" else json.loads(first.stderr)["message"]
    assert "builtins.ValueError" in said
    assert "ada@example.com" not in said
    assert len(said.splitlines()) <= 20
    assert [end for end, _ in pinged.told] == ["/start", "/1"] * 2
    assert pinged.told[1][1].splitlines()[-4:] == said.splitlines()[-4:]


WEEKLY = "verify", "--against-clio", "35"


@pytest.fixture
def weekly(world: World, pinged: Pinged) -> Pinged:
    """The same monitor, which is only that of the weekly look."""
    world.settings["PING_URL_VERIFY"] = world.settings.pop("PING_URL")
    return pinged


def test_weekly_look(world: World, weekly: Pinged) -> None:
    """Start and end, with what failed; `sync` does not tell this monitor, nor does a look at the
    state alone."""
    lost = world.closing().matter
    assert world.sync().code == 0
    assert world.run("verify").code == 0
    assert weekly.told == []
    assert world.run(*WEEKLY).code == 0
    assert weekly.told == [("/start", ""), ("", "")]
    world.later(days=1)
    assert world.sync().code == 0
    world.lose(lost)
    assert world.run(*WEEKLY, "--json").code == 65
    end, text = weekly.told[-1]
    assert end == "/65"
    assert "never noticed before: 1." in text


def test_weekly_look_that_fails(world: World, weekly: Pinged) -> None:
    """Whatever ends it, settings that are not in order among it."""
    assert world.run(*WEEKLY, CLIO_ACCESS_TOKEN="withdrawn").code == 77
    assert world.run(*WEEKLY, SYNC_RULE="perhaps").code == 78
    assert [end for end, _ in weekly.told] == ["/start", "/77", "/78"]
    assert weekly.told[-1][1].startswith("SYNC_RULE must be ")
