"""`fleet status`: what people read of many firms, what programs do, and the exit code."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
from databases import KEY, Database, url_of
from golden_files import Golden
from world import PACKAGE

from clio_broadly_sync.store import postgresql
from clio_broadly_sync.store.fleet_overview import WORKS_AS
from clio_broadly_sync.store.postgresql import WORKER

Status = Callable[..., "subprocess.CompletedProcess[str]"]

WHEN = r"\d+ [A-Z][a-z]{2} \d{4}, \d\d:\d\d UTC"
MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
RESTORED = "UPDATE fleet SET mark = 'another'"
_FIRMS = """
    TRUNCATE firms RESTART IDENTITY;
    INSERT INTO firms (name, settings, secrets, good_at) VALUES
        ('ash', '{}', '', now()), ('birch', '{}', '', now()),
        ('cedar-and-daughters', '{}', '', now()), ('elm', '{}', '', now()),
        ('fir', '{}', '', now()), ('gum', '{}', '', now());
    UPDATE firms SET state = 'paused' WHERE name = 'fir';
    UPDATE firms SET state = 'removed' WHERE name = 'gum';
"""
_FAILING = """
    UPDATE firms SET failures = 3, last_exit = 77, failing_since = now() - INTERVAL '150 minutes'
    WHERE name = 'birch';
    UPDATE firms SET failures = 1, last_exit = 1, failing_since = now() - INTERVAL '150 minutes'
    WHERE name = 'elm';
"""
_LATE = "UPDATE firms SET next_at = now() - INTERVAL '45 minutes' WHERE name = 'elm'"
_SILENT = """
    UPDATE firms SET good_at = now() - INTERVAL '20 hours', added_at = now() - INTERVAL '3 days',
        state_at = now() - INTERVAL '3 days'
    WHERE name IN ('cedar-and-daughters', 'fir')
"""
_WAITING = """
    INSERT INTO closings (firm, matter_id, closed_on, contact_id, state, reason, command, rule,
        etag, noticed_at, read_at, read_in_run, in_doubt, resent, approval, tries, claimed_at,
        claimed_in_run, changed_at, changed_in_run, position)
    SELECT firm, matter, '2026-11-20', 1, state, reason, 'sync', 'both', '', 1, 1, 1, doubt, 0,
        wanted, 1, claimed, coalesce(claimed, 0), 1, 1, 1
    FROM (VALUES
        (1, 1, 'held', 'unknown_outcome', 1, 0, 1), (1, 2, 'dead', NULL, 0, 0, 1),
        (1, 3, 'dead', NULL, 0, 0, 1), (3, 1, 'pending', 'surge', 0, 1, NULL),
        (3, 2, 'pending', NULL, 0, 0, NULL), (5, 1, 'dead', NULL, 0, 0, 1)
    ) AS made (firm, matter, state, reason, doubt, wanted, claimed)
"""


@pytest.fixture
def fleet(database: Database) -> Iterator[Database]:
    """Yield a database with four firms that are active, and a worker that has one at work."""
    database.emptied()
    database.read().execute(_FIRMS)
    database.read().execute("UPDATE firms SET worker = 'host-1' WHERE name = 'ash'")
    name, idle = f"{WORKS_AS}host-1", timedelta(days=1)
    with closing(postgresql.connect(database.address, name, idle=idle, role=WORKER)):
        yield database


@pytest.fixture
def status(fleet: Database) -> Status:
    """Return what calls `fleet status`."""
    return lambda *options: run(url_of(fleet.address), "fleet", "status", *options)


def run(address: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    own = {"FLEET_DATABASE": address, "FLEET_KEYS": KEY, "TZ": "UTC", "PYTHONPATH": str(PACKAGE)}
    command = [sys.executable, "-m", "clio_broadly_sync", *arguments]
    env = {"PATH": os.environ["PATH"], **own}
    return subprocess.run(command, env=env, cwd="/", capture_output=True, text=True, check=False)


def spoil(fleet: Database, *statements: str) -> None:
    for statement in statements:
        fleet.read().execute(statement.encode())


def test_what_people_read(fleet: Database, status: Status, golden: Golden) -> None:
    """The verdict and what to do, from a fleet that is well to one whose database was restored."""
    steps: list[tuple[str, list[str]]] = [
        ("all is well", []),
        ("firms fail, one is late", [_FAILING, _LATE]),
        ("something waits", [_WAITING]),
        ("a firm is silent, and so is one that is paused", [_SILENT]),
        ("the database was restored", [RESTORED]),
    ]
    said = []
    for title, statements in steps:
        spoil(fleet, *statements)
        ran = status()
        assert ran.stderr == ""
        said += [f"# {title} ({ran.returncode})", "", ran.stdout]
    text = re.sub(WHEN, "WHEN", "\n".join(said))
    golden("fleet_status", re.sub(r"\d+ seconds?\b", "N seconds", text))


@pytest.mark.parametrize(
    ("code", "statements"),
    [
        (0, []),
        (0, [_LATE]),
        (65, [_FAILING]),
        (65, [_WAITING]),
        (69, [_SILENT]),
        (69, [_SILENT, _FAILING, _WAITING]),
        (65, [RESTORED]),
    ],
    ids=["well", "late", "failing", "waiting", "silent", "all of it", "restored"],
)
def test_exit_code(fleet: Database, status: Status, code: int, statements: list[str]) -> None:
    spoil(fleet, *statements)
    ran = status("--json")
    outcomes = {0: "ok", 65: "attention", 69: "unavailable"}
    assert (ran.returncode, json.loads(ran.stdout)["outcome"]) == (code, outcomes[code])


def test_what_programs_read(fleet: Database, status: Status) -> None:
    spoil(fleet, _FAILING, _LATE, _SILENT, _WAITING)
    found: dict[str, Any] = json.loads(re.sub(MOMENT, "WHEN", status("--json").stdout))
    assert found == {
        "command": "fleet status",
        "outcome": "unavailable",
        "firms": {"active": 4, "paused": 1, "removed": 1},
        "failing": [
            {"firm": "birch", "outcome": "denied", "since": "WHEN"},
            {"firm": "elm", "outcome": "bug", "since": "WHEN"},
        ],
        "late": [{"firm": "elm", "since": "WHEN"}],
        "silent": [{"firm": "cedar-and-daughters", "since": "WHEN"}],
        "held": {"ash": 1},
        "rejected": {"ash": 2},
        "awaiting": {"cedar-and-daughters": 1},
        "paused_after_restore": {"firms": 0, "since": None},
        "workers": [
            {"name": "host-1", "host": None, "since": "WHEN", "connected": True, "firms": 1}
        ],
    }


def test_many_are_cut_for_people_and_whole_for_programs(fleet: Database, status: Status) -> None:
    add = """
        INSERT INTO firms (name, settings, secrets, good_at, failing_since, last_exit)
        SELECT 'firm-' || n, '{}', '', now(), now(), 78 FROM generate_series(1, 30) AS n
    """
    spoil(fleet, add)
    out = status().stdout
    assert out.count("settings or field wrong (78)") == 20
    assert "  … and 10 more: --json\n" in out
    assert len(json.loads(status("--json").stdout)["failing"]) == 30


def test_without_workers_or_firms(fleet: Database, status: Status) -> None:
    """What to do first is said."""
    spoil(fleet, "UPDATE firms SET state = 'paused' WHERE state = 'active'")
    assert status().stdout.startswith("No firm is active. Next: `clio-broadly-sync firms add`.\n")
    spoil(fleet, "UPDATE firms SET state = 'active', worker = NULL")
    fleet.cut()
    start = "No worker is at work: start one with `clio-broadly-sync fleet worker`."
    assert start in status().stdout


def test_worker_that_is_gone(fleet: Database, status: Status) -> None:
    fleet.cut()
    assert "  host-1  1 firm at work; gone, so they are run again after" in status().stdout


def test_before_init_and_without_settings(fleet: Database) -> None:
    """One sentence, naming what to do."""
    empty = re.sub(r"dbname=[^&]*", "dbname=postgres", url_of(fleet.address))
    ran = run(empty, "fleet", "status")
    assert (ran.returncode, ran.stdout) == (78, "")
    assert "`clio-broadly-sync fleet init`" in ran.stderr
    ran = run("mysql://here/fleet", "fleet", "status", "--json")
    assert ran.returncode == 78
    assert json.loads(ran.stdout) == {"command": "fleet status", "outcome": "config"}
    assert "FLEET_DATABASE must be" in ran.stderr
