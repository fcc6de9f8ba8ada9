"""What a person does who signs in: opens the page that `login` names, and chooses there."""

import os
import select
import socket
from collections.abc import Mapping
from pathlib import Path
from random import SystemRandom
from urllib.parse import parse_qs, urlencode, urlsplit

import requests
from surroundings import BUSY_SECONDS
from world import Child, World

from clio_broadly_sync.domain.credentials import Grant
from clio_broadly_sync.store import TokenStore

NO_BROWSER = {"BROWSER": "true"}
"""The setting of a browser that does nothing, for tests that go to the page themselves."""


def by_login(world: World, **settings: str) -> None:
    """Give the world the settings for `login` in place of a token, and a free port to come back to.

    `settings` are further settings.
    """
    uri = f"http://127.0.0.1:{free_port()}/callback"
    world.clio.oauth.redirect_uris = {uri}
    state = {"SYNC_STATE": str(world.state)}
    world.settings = world.sandbox.settings(login=True, **state, **settings)


def free_port() -> int:
    """Return a port on which nothing listens, and which no outgoing connection is given."""
    for port in SystemRandom().sample(range(10_000, 20_000), 100):
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise RuntimeError("no free port")


def opened(child: Child) -> str:
    """Return the address that a `login` prints on a line of its own."""
    assert child.stdout is not None
    return next(line.strip() for line in child.stdout if line.startswith("http"))


def started(world: World, **settings: str | None) -> tuple[Child, str]:
    """Start a `login`, which waits for the browser; return it and the page that it names."""
    child = world.start(["login"], {**NO_BROWSER, **settings})
    return child, opened(child)


def allow(url: str) -> str:
    """Allow the sign-in on the page; return where the browser is sent, without going there."""
    return _choose(url, "allow")


def decline(url: str) -> str:
    """Decline the sign-in on the page; return where the browser is sent, without going there."""
    return _choose(url, "decline")


def go(url: str) -> requests.Response:
    """Go to an address as the browser does, and return the answer."""
    with _session() as session:
        return session.get(url, timeout=BUSY_SECONDS)


def with_query(url: str, **changes: str | None) -> str:
    """Return the address with other values in its query; a value of None takes the name away."""
    parts = urlsplit(url)
    given: Mapping[str, str | None] = {k: v[0] for k, v in parse_qs(parts.query).items()} | changes
    kept = {name: value for name, value in given.items() if value is not None}
    return parts._replace(query=urlencode(kept)).geturl()


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def sign_in(world: World) -> None:
    """Sign in, and fail where that does not work."""
    child, url = started(world)
    go(allow(url))
    ran = world.finish(child)
    assert (ran.code, ran.err) == (0, "")


def keep_sign_in(world: World) -> None:
    """Put into the state what `login` would put there, without running it."""
    by_login(world)
    its = world.clio.oauth.issue()
    grant = Grant(world.clio.url, its.access, its.refresh, its.expires)
    TokenStore(world.state).save(grant)


class Pipe:
    """A script to name in BROWSER, which only says which page it was given (`url`)."""

    def __init__(self, folder: Path) -> None:
        self._fifo, self.script = folder / "opened", folder / "browser"
        os.mkfifo(self._fifo)
        self.script.write_text(f'#!/bin/sh\nprintf %s "$1" > "{self._fifo}"\n', encoding="utf-8")
        self.script.chmod(0o700)

    def url(self) -> str:
        """Wait until the script was given a page, and return the address; fail after 30 seconds."""
        reader = os.open(self._fifo, os.O_RDONLY | os.O_NONBLOCK)
        try:
            assert select.select([reader], [], [], 30)[0], "no browser was opened"
            return os.read(reader, 65536).decode()
        finally:
            os.close(reader)


def _choose(url: str, decision: str) -> str:
    target = urlsplit(url)
    form = {**query_of(url), "decision": decision}
    with _session() as session:
        assert session.get(url, timeout=BUSY_SECONDS).status_code == 200
        page = target._replace(query="").geturl()
        sent = session.post(page, data=form, timeout=BUSY_SECONDS, allow_redirects=False)
    assert sent.status_code == 302
    return sent.headers["Location"]


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    return session
