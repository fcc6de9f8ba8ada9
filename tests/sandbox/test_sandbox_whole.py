"""The sandbox as a whole: starting, stopping, its settings, and how it bears a crowd."""

import ast
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from rig import Clio, Sandbox, faults
from rig.server import RiggedListener
from surroundings import BUSY_SECONDS, at_once

import clio_broadly_sync.sandbox as package
from clio_broadly_sync.sandbox import Firm


def test_it_starts_and_stops_without_a_trace() -> None:
    """No thread and no port remains, even with connections open."""
    before = set(threading.enumerate())
    with requests.Session() as session, Sandbox() as sandbox:
        session.get(sandbox.clio.url, timeout=60)
        session.get(sandbox.broadly.url, timeout=60)
    assert set(threading.enumerate()) <= before  # one of an earlier test may end meanwhile
    with pytest.raises(requests.ConnectionError):
        requests.get(sandbox.clio.url, timeout=60)


def test_stopping_waits_for_a_thread_whose_connection_is_closed() -> None:
    """Such as the one that only wakes the server up to stop."""
    closed, ended = threading.Event(), []

    class Lingering(RiggedListener):
        def server_close(self) -> None:
            super().server_close()
            closed.set()

        def shutdown_request(self, request: Any) -> None:
            super().shutdown_request(request)
            assert closed.wait(BUSY_SECONDS)
            ended.append(request)

    class Lingerers(Clio):
        listener = Lingering

    with Lingerers(Firm(1, 1, 1)) as clio:
        assert requests.get(clio.url, timeout=60).status_code == 404
    assert len(ended) == 2


def test_stopping_ends_a_slow_answer() -> None:
    """Nobody waits for a fault that would take a minute."""
    with requests.Session() as session, Sandbox() as sandbox:
        arrived = threading.Event()
        sandbox.clio.before = lambda request: arrived.set()
        sandbox.clio.faults.add(faults.delay(60))
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(session.get, sandbox.clio.url, timeout=60)
            assert arrived.wait(BUSY_SECONDS)
            with at_once():
                sandbox.stop()
            answer.exception()


def test_settings_name_all_a_program_needs() -> None:
    """By token or by sign-in, and what a test wants otherwise."""
    with Sandbox(rule="opt-in", dedupes=False, access_token="t-1", api_key="k-1") as sandbox:
        settings = sandbox.settings(SYNC_RULE="both")
        assert settings["CLIO_BASE_URL"] == sandbox.clio.url
        assert settings["BROADLY_URL"] == sandbox.broadly.endpoint
        assert (settings["CLIO_ACCESS_TOKEN"], settings["BROADLY_API_KEY"]) == ("t-1", "k-1")
        assert (settings["SYNC_RULE"], settings["BROADLY_DEDUPES"]) == ("both", "false")
        assert sandbox.settings()["SYNC_RULE"] == "opt-in"
        login = sandbox.settings(login=True)
        assert "CLIO_ACCESS_TOKEN" not in login
        assert login["CLIO_REDIRECT_URI"] in sandbox.clio.oauth.redirect_uris


def test_many_clients_and_changes_at_once() -> None:
    """Pages stay whole while the firm changes under way."""
    with Sandbox() as sandbox:
        bearer = {"Authorization": f"Bearer {sandbox.clio.token}"}

        def read(number: int) -> int:
            sandbox.firm.edit(5001 + number)
            url = f"{sandbox.clio.url}/api/v4/matters?order=updated_at(asc)"
            return len(requests.get(url, headers=bearer, timeout=60).json()["data"])

        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(read, range(40))) == {60}
        assert len(sandbox.clio.history) == 40


def test_idle_poll_of_a_large_firm_is_quick() -> None:
    """What changed lately is found without looking at all the rest: by a tenth of the CPU."""
    with Sandbox(Firm(contacts=10, matters=50_000, closed=1.0)) as sandbox:
        sandbox.firm.edit(5777)
        since = sandbox.firm.clock.now().timestamp() - 3600
        begun = time.thread_time()
        assert [row.id for row in sandbox.firm.matters.changed(since)] == [5777]
        idle = time.thread_time() - begun
        assert len(list(sandbox.firm.matters.changed(0))) == 50_000
        assert 10 * idle < time.thread_time() - begun


def test_sandbox_needs_nothing_but_the_standard_library() -> None:
    """Nothing else of the program is imported, and no package."""
    for path in Path(package.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                own = name.startswith("clio_broadly_sync.sandbox")
                known = own or name.split(".")[0] in sys.stdlib_module_names
                assert known, (path.name, name)
