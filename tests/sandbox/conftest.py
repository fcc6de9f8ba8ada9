"""A sandbox for each test, an empty one where people would only be in the way, and a client."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from rig import Sandbox

from clio_broadly_sync.sandbox import Firm

Ask = Callable[..., requests.Response]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def empty() -> Iterator[Sandbox]:
    with Sandbox(Firm(contacts=0, matters=0)) as running:
        yield running


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as opened:
        opened.trust_env = False
        yield opened


@pytest.fixture
def asker(session: requests.Session) -> Callable[[Sandbox], Ask]:
    """Return what makes a client for Clio: `ask(path, **query)`, brackets as `ids__`."""

    def make(sandbox: Sandbox) -> Ask:
        def ask(
            path: str, headers: dict[str, str] | None = None, **query: Any
        ) -> requests.Response:
            params = {name.replace("__", "[]"): value for name, value in query.items()}
            url = path if path.startswith("http") else f"{sandbox.clio.url}/api/v4/{path}"
            bearer = {"Authorization": f"Bearer {sandbox.clio.token}", **(headers or {})}
            return session.get(url, params=params, headers=bearer, timeout=5)

        return ask

    return make


@pytest.fixture
def ask(sandbox: Sandbox, asker: Callable[[Sandbox], Ask]) -> Ask:
    return asker(sandbox)


@pytest.fixture
def ask_empty(empty: Sandbox, asker: Callable[[Sandbox], Ask]) -> Ask:
    return asker(empty)
