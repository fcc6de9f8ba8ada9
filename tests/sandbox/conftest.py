"""Sandboxes for tests, with people or without any, and clients that ask their Clio."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from rig import Sandbox

from clio_broadly_sync.sandbox import Firm

Ask = Callable[..., requests.Response]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Yield a sandbox with a firm of made-up people."""
    with Sandbox() as running:
        yield running


@pytest.fixture
def empty() -> Iterator[Sandbox]:
    """Yield a sandbox with an empty firm."""
    with Sandbox(Firm(contacts=0, matters=0)) as running:
        yield running


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """Yield a session that uses neither a proxy nor `~/.netrc`."""
    with requests.Session() as opened:
        opened.trust_env = False
        yield opened


@pytest.fixture
def asker(session: requests.Session) -> Callable[[Sandbox], Ask]:
    """Return a function that makes a client for the Clio of a sandbox.

    Call the client as `ask(path, **query)`, where `ids__` means `ids[]`.
    """

    def make(sandbox: Sandbox) -> Ask:
        def ask(
            path: str, headers: dict[str, str] | None = None, **query: Any
        ) -> requests.Response:
            params = {name.replace("__", "[]"): value for name, value in query.items()}
            url = path if path.startswith("http") else f"{sandbox.clio.url}/api/v4/{path}"
            bearer = {"Authorization": f"Bearer {sandbox.clio.token}", **(headers or {})}
            return session.get(url, params=params, headers=bearer, timeout=60)

        return ask

    return make


@pytest.fixture
def ask(sandbox: Sandbox, asker: Callable[[Sandbox], Ask]) -> Ask:
    return asker(sandbox)


@pytest.fixture
def ask_empty(empty: Sandbox, asker: Callable[[Sandbox], Ask]) -> Ask:
    return asker(empty)
