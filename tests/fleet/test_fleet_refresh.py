"""Many processes renew a firm's sign-in: one of them asks Clio, and all use what it got.

A refresh token that rotates is good for one request. Whoever spent it a second time would end the
sign-in, and a person would have to sign in again.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from agency import Agency
from databases import Database
from rig import Sandbox
from surroundings import BUSY_SECONDS

from clio_broadly_sync.domain.credentials import Grant
from clio_broadly_sync.sandbox import Firm, Request

PROCESSES = 4
_WAIT = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


@pytest.fixture
def agency(database: Database) -> Iterator[Agency]:
    with closing(Agency(database.emptied())) as made:
        yield made


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(Firm(contacts=0, matters=0)) as running:
        running.clio.oauth.rotating = True
        yield running


def begin(agency: Agency, folder: Path, *words: str) -> "subprocess.Popen[str]":
    """Begin a command of the firm."""
    return subprocess.Popen(
        [sys.executable, "-m", "clio_broadly_sync", *words, "--firm", "acme"],
        env={
            **agency.environment,
            "PATH": os.defpath,
            "PYTHONPATH": str(Path(__file__).parents[2]),
        },
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def sign_in(agency: Agency, sandbox: Sandbox) -> None:
    """Let the firm have signed in a month ago, so that its access token is of no more use."""
    given = sandbox.clio.oauth.issue()
    sandbox.clio.oauth.expire()
    ended = datetime.now(UTC) - timedelta(hours=1)
    agency.place("acme").sign_in().save(Grant(sandbox.clio.url, given.access, given.refresh, ended))


@pytest.mark.parametrize("words", [["sync", "--dry-run"], ["check"]], ids=" ".join)
def test_one_of_many_processes_renews_the_sign_in(
    agency: Agency, sandbox: Sandbox, tmp_path: Path, words: list[str]
) -> None:
    """The others wait for it meanwhile, and each of them goes on with the same new token."""
    agency.add("acme", sandbox.settings(login=True))
    sign_in(agency, sandbox)
    waited: list[Any] = []

    def wait_for_the_others(request: Request) -> None:
        if request.path == "/oauth/token":
            end = time.monotonic() + BUSY_SECONDS
            waiting = 0
            while waiting < PROCESSES - 1 and time.monotonic() < end:
                (waiting,) = agency.admin.execute(_WAIT).fetchone() or (0,)
            waited.append(waiting)

    sandbox.clio.before = wait_for_the_others
    running = [begin(agency, tmp_path, *words) for _ in range(PROCESSES)]
    ended = [(process.communicate()[1], process.returncode) for process in running]
    assert sandbox.clio.errors == []
    assert waited == [PROCESSES - 1]
    assert ended == [("", 0)] * PROCESSES
    kept = agency.place("acme").sign_in().read()
    assert kept is not None
    asked = [e.headers["authorization"] for e in sandbox.clio.history if "/api/" in e.path]
    assert len(asked) >= PROCESSES
    assert {*asked} == {f"Bearer {kept.access_token}"}
    assert sandbox.clio.oauth.valid(kept.access_token)
    assert any(grant.refresh == kept.refresh_token for grant in sandbox.clio.oauth.grants)
